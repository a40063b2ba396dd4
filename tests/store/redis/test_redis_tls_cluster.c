/*
 * The Redis store on a cluster whose nodes speak TLS alone, among each other too: three masters, found
 * from one of them, which tells the others' TLS ports and addresses (L5). What is true of any cluster is
 * in test_redis_cluster.c, of TLS to one server in test_redis.c.
 */
#include <support/test.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <convo/convo.h>
#include <store/redis/request.h>
#include <support/servers.h>

#define NODES 3
#define USERS 12
#define SLOTS 16384

static struct server *node[NODES]; /* NULL: not installed */
static struct server *stranger;    /* has an authority of its own */

static const struct convo_store_options quiet = {.timeout_ms = 10000,
						 .clean_interval_ms = CONVO_OFF};

static const char *said(const struct server *server, const char *command)
{
	return server_ask(server, "%s", command);
}

/* ---- the cluster -------------------------------------------------------------------------- */

/* All have the certificate of the first, or they would not trust each other. */
static struct server *node_start(int i)
{
	const char *dir = i > 0 ? node[0]->dir : ".";
	const char *const args[] = {"--cluster-enabled",
				    "yes",
				    "--cluster-config-file",
				    "nodes.conf",
				    "--cluster-port",
				    test_text("%d", test_port()),
				    "--cluster-node-timeout",
				    "2000",
				    "--tls-cluster",
				    "yes",
				    "--tls-cert-file",
				    test_path(dir, "server.crt"),
				    "--tls-key-file",
				    test_path(dir, "server.key"),
				    "--tls-ca-cert-file",
				    test_path(dir, "ca.crt"),
				    NULL};

	return server_start_with(SERVER_REDIS_TLS, SERVER_FAST, args);
}

static bool cluster_is_whole(void)
{
	for (int i = 0; i < NODES; i++) {
		const char *info = said(node[i], "CLUSTER INFO");

		if (!strstr(info, "cluster_state:ok") || !strstr(info, "cluster_known_nodes:3") ||
		    !strstr(info, "cluster_slots_ok:16384"))
			return false;
	}
	return true;
}

static void cluster_wait(void)
{
	const struct timespec poll = {0, 50 * 1000000L};

	for (int i = 0; i < 1200; i++) {
		if (cluster_is_whole())
			return;
		nanosleep(&poll, NULL);
	}
	must_not_reach("no cluster: %s", said(node[0], "CLUSTER NODES"));
}

/* Where a node hears the others: "... 127.0.0.1:7001@7002 myself,...". */
static int node_bus(int i)
{
	const char *at = strchr(said(node[i], "CLUSTER NODES"), '@');

	must(at != NULL);
	return (int)strtol(at + 1, NULL, 10);
}

static void cluster_start(void)
{
	for (int i = 0; i < NODES; i++) {
		node[i] = node_start(i);
		if (!node[i])
			return;
		server_ask(node[i], "CLUSTER ADDSLOTSRANGE %d %d", SLOTS * i / NODES,
			   SLOTS * (i + 1) / NODES - 1);
		server_ask(node[i], "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
		if (i > 0)
			server_ask(node[i], "CLUSTER MEET 127.0.0.1 %d %d", node[0]->port,
				   node_bus(0));
	}
	cluster_wait();
	stranger = server_start(SERVER_REDIS_TLS, SERVER_FAST);
}

static void cluster_needed(void)
{
	if (!node[NODES - 1])
		test_skip("no redis-server to test with");
}

static void cluster_empty(void)
{
	for (int i = 0; i < NODES; i++)
		server_ask(node[i], "FLUSHALL");
}

static int cluster_setup(void **state)
{
	(void)state;
	if (node[NODES - 1])
		cluster_empty();
	return 0;
}

/* ---- what is done on it ------------------------------------------------------------------- */

/* Found from that node alone. */
static const char *url_from(const char *scheme, int i, const char *ca_file)
{
	return test_text("%s://localhost:%d/%s%s", scheme, node[i]->port, ca_file ? "?ca=" : "",
			 ca_file ? ca_file : "");
}

static convo_store *store_open(const char *url)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, url, &quiet, &err));
	return store;
}

static struct convo_key key_of(int user, char name[32])
{
	snprintf(name, 32, "user %d", user);
	return (struct convo_key){"app", name, "s"};
}

/* Which node has the user at first. */
static unsigned slot_of(int user)
{
	return cv_redis_slot(test_text("convo:{app:user %d}", user));
}

static int home_of(int user)
{
	return (int)(slot_of(user) * NODES / SLOTS);
}

static void write_all(convo_store *store)
{
	const struct convo_event event = {
		.message = "{\"role\":\"user\",\"content\":\"hello\"}",
		.state = "{\"mine\":1,\"user:ours\":2,\"app:everybody's\":3}"};
	struct convo_err err;
	char name[32];

	for (int user = 0; user < USERS; user++) {
		const struct convo_key key = key_of(user, name);

		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
		must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
}

static void must_have_all(convo_store *store)
{
	char name[32];

	for (int user = 0; user < USERS; user++) {
		const struct convo_key key = key_of(user, name);
		convo_session *session = NULL;
		struct convo_err err;

		must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
		must_equal(2, convo_session_count(session));
		must_equal_str("1", convo_session_state_get(session, "mine")->json);
		must_equal_str("2", convo_session_state_get(session, "user:ours")->json);
		must_equal_str("3", convo_session_state_get(session, "app:everybody's")->json);
		convo_session_free(session);
	}
}

static void must_say(const char *want, const char *text)
{
	if (!strstr(text, want))
		must_not_reach("'%s' does not say '%s'", text, want);
}

static void must_refuse(int code, const char *url, const char *text)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_fail_with(code, convo_store_open(&store, url, &quiet, &err));
	must_say(text, err.text);
}

static void test_L5_a_cluster_is_used_by_TLS(void **state)
{
	convo_store *store, *other;

	(void)state;
	cluster_needed();
	store = store_open(url_from("rediss+cluster", 0, node[0]->ca_file));
	write_all(store);
	must_have_all(store);
	/* They lie on all of them, and another seed leads there too. */
	for (int i = 0; i < NODES; i++)
		must(strcmp(said(node[i], "DBSIZE"), "0") != 0);
	other = store_open(url_from("rediss", NODES - 1, node[0]->ca_file));
	must_have_all(other);
	convo_store_close(other);
	convo_store_close(store);
}

/* All of them are told, the new one first. */
static void slot_give(unsigned slot, int to)
{
	const char *id = said(node[to], "CLUSTER MYID");

	for (int i = 0; i < NODES; i++)
		server_ask(node[(to + i) % NODES], "CLUSTER SETSLOT %u NODE %s", slot, id);
}

/* A node's word that another serves a slot is followed by TLS too. */
static void test_L5_a_slot_that_moves_is_followed_by_TLS(void **state)
{
	const char *count = test_text("CLUSTER COUNTKEYSINSLOT %u", slot_of(0));
	int from = home_of(0), to = (from + 1) % NODES;
	convo_store *store;

	(void)state;
	cluster_needed();
	store = store_open(url_from("rediss+cluster", 0, node[0]->ca_file));
	slot_give(slot_of(0), to);
	write_all(store);
	must_have_all(store);
	must_equal_str("0", said(node[from], count));
	must(strcmp(said(node[to], count), "0") != 0);
	convo_store_close(store);
	cluster_empty();
	slot_give(slot_of(0), from);
}

/* One that comes back is spoken to by TLS again; meanwhile the others' users are served. */
static void test_L3_a_node_that_was_away_is_used_by_TLS_again(void **state)
{
	convo_store *store;

	(void)state;
	cluster_needed();
	store = store_open(url_from("rediss+cluster", 0, node[0]->ca_file));
	write_all(store);
	for (int i = 0; i < NODES; i++)
		server_ask(node[i], "CLIENT KILL TYPE normal SKIPME yes");
	must_have_all(store);
	server_stop(node[1]);
	server_restart(node[1]);
	cluster_wait();
	cluster_empty();
	write_all(store);
	must_have_all(store);
	convo_store_close(store);
}

static void test_L5_the_nodes_are_verified(void **state)
{
	(void)state;
	cluster_needed();
	must_refuse(CONVO_E_IO, url_from("rediss+cluster", 0, NULL), "not trusted");
	must_refuse(CONVO_E_IO, url_from("rediss+cluster", 0, stranger->ca_file), "not trusted");
	must_refuse(CONVO_E_GONE, url_from("redis+cluster", 0, NULL), "localhost");
}

static void node_certify(struct server *server, const struct server *as)
{
	server_ask(server, "CONFIG SET tls-cert-file %s tls-key-file %s",
		   test_path(as->dir, "server.crt"), test_path(as->dir, "server.key"));
	server_ask(server, "CLIENT KILL TYPE normal SKIPME yes");
}

/* The first user of ours who is at home there, or who is not. */
static int user_of(int home, bool is_there)
{
	for (int user = 0; user < USERS; user++) {
		if ((home_of(user) == home) == is_there)
			return user;
	}
	must_not_reach("no user of that kind");
}

/* The first node is trusted, another one is not any more. */
static void test_L5_a_node_that_was_told_of_is_verified_too(void **state)
{
	/* It is asked again and again whether another serves the slot. */
	const struct convo_call some_seconds = {.timeout_ms = 4000};
	const int last = NODES - 1;
	struct convo_err err;
	convo_store *store;
	struct convo_key key;
	char name[32];

	(void)state;
	cluster_needed();
	store = store_open(url_from("rediss+cluster", 0, node[0]->ca_file));
	node_certify(node[last], stranger);
	key = key_of(user_of(last, false), name);
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	key = key_of(user_of(last, true), name);
	must_fail_with(CONVO_E_IO,
		       convo_store_create(store, &key, NULL, NULL, &some_seconds, &err));
	must_say("its certificate is not trusted", err.text);
	node_certify(node[last], node[0]);
	cluster_empty();
	write_all(store);
	must_have_all(store);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, cluster_setup)
		TEST(test_L5_a_cluster_is_used_by_TLS),
		TEST(test_L5_a_slot_that_moves_is_followed_by_TLS),
		TEST(test_L3_a_node_that_was_away_is_used_by_TLS_again),
		TEST(test_L5_the_nodes_are_verified),
		TEST(test_L5_a_node_that_was_told_of_is_verified_too),
#undef TEST
	};
	int rc;

	cluster_start();
	rc = TEST_RUN(tests);
	for (int i = 0; i < NODES; i++)
		server_end(node[i]);
	server_end(stranger);
	return rc;
}
