/*
 * The Redis store on a cluster: slots that move, nodes that die, stand still and come back, seeds that
 * are something else, and users with few rights. The contract is in test_redis_cluster_contract.c, what
 * nodes may say that is not true in test_redis_route.c, the state of the app in test_redis_notes.c.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/request.h>
#include <support/fake_redis.h>

#include "store/redis/grouped.h"
#include "store/redis/load.h"
#include "store/shared/calls.h"

/* For opening where it is to fail, and for calls. */
static const struct convo_store_options one_second = {.timeout_ms = 1000,
						      .clean_interval_ms = CONVO_OFF};
static const struct convo_call brief = {.timeout_ms = 1000}, two_seconds = {.timeout_ms = 2000},
			       some_seconds = {.timeout_ms = 4000};

static const struct convo_event hello = {.message = CALLS_HELLO};
static const struct convo_item app_item = {.name = "app:c", .json = "4"};

/* A test that failed may have left a slot on its way. */
static int cluster_teardown(void **state)
{
	const unsigned slots[] = {cv_redis_slot("convo:{app}"), cv_redis_slot("convo:{app:user}")};

	grouped_teardown(state);
	for (int i = 0; group && i < group->nodes; i++) {
		for (size_t n = 0; n < 2; n++)
			(void)server_try(group->node[i],
					 test_text("CLUSTER SETSLOT %u STABLE", slots[n]));
	}
	return 0;
}

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
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

	must_fail_with(code, convo_store_open(&store, url, &one_second, &err));
	must(store == NULL);
	must_say(text, err.text);
}

/* The group's URL with options. */
static const char *with(const char *options)
{
	return test_text("%s?%s", group->url, options);
}

static void must_count(convo_store *store, size_t want)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &calls_key, NULL, NULL, &err));
	must_equal(want, convo_session_count(session));
	convo_session_free(session);
}

/* "host:port" of one of them. */
static const char *a_node(void)
{
	return test_text("127.0.0.1:%d", group->node[0]->port);
}

static void must_have_app(convo_store *store, const char *name, const char *want)
{
	char *value = NULL;
	struct convo_err err;

	must_pass(convo_store_state_get(&value, store, &calls_key, test_text("app:%s", name), NULL,
					&err));
	must_equal_str(want, value);
	convo_free(value);
}

/* The master of the user of calls.h. */
static int master_of_user(void)
{
	return group_master(group, "convo:{app:user}");
}

/* A master that is not that one. */
static int other_master(int master)
{
	for (int i = 0; i < group->data; i++) {
		if (i != master &&
		    strstr(server_try(group->node[i], "INFO replication"), "role:master"))
			return i;
	}
	must_not_reach("no other master");
}

/* ---- slots that move ---------------------------------------------------------------------- */

static const char *id_of(int node)
{
	return server_ask(group->node[node], "CLUSTER MYID");
}

/* Move a slot key by key, as an administrator's tool does; half of it stays away for a while. */
static void slot_move(unsigned slot, int from, int to, int half_ms)
{
	const struct server *source = group->node[from], *target = group->node[to];
	const char *keys, *end;
	int n = 0;

	server_ask(target, "CLUSTER SETSLOT %u IMPORTING %s", slot, id_of(from));
	server_ask(source, "CLUSTER SETSLOT %u MIGRATING %s", slot, id_of(to));
	keys = server_ask(source, "CLUSTER GETKEYSINSLOT %u 1000", slot);
	for (; *keys; keys = *end ? end + 1 : end, n++) {
		end = strchr(keys, '\n') ? strchr(keys, '\n') : keys + strlen(keys);
		if (n == 3)
			nap_ms(half_ms);
		server_ask(source, "MIGRATE %s %d \"%.*s\" 0 5000", target->host, target->port,
			   (int)(end - keys), keys);
	}
	server_ask(target, "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
	server_ask(source, "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
}

static void slot_mover(void *ctx, int index)
{
	unsigned slot = cv_redis_slot("convo:{app:user}");
	struct load *load = ctx;
	int home, other;

	if (index > 0) {
		load_run(ctx, index);
		return;
	}
	home = master_of_user();
	other = other_master(home);
	for (int i = 0; i < 2; i++) {
		nap_ms(200);
		slot_move(slot, home, other, 300);
		nap_ms(200);
		slot_move(slot, other, home, 300);
	}
	load->over = true;
}

/* While a slot moves, some of a user's keys are here and some are there: nothing may run on a part. */
static void test_A1_slots_that_move_lose_and_double_nothing(void **state)
{
	struct load load;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	load_begin(&load, store);
	test_threads(1 + WRITERS, slot_mover, &load);
	load_end(&load, "slots moved");
	convo_store_close(store);
}

/* The state of the app is read by a command about one key, which is sent on while it moves. */
static void test_A6_the_app_is_found_while_its_slot_moves(void **state)
{
	unsigned slot = cv_redis_slot("convo:{app}");
	int home, other;
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	home = group_master(group, "convo:{app}");
	other = other_master(home);
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	must_pass(call_state_set(store, &err));
	server_ask(group->node[other], "CLUSTER SETSLOT %u IMPORTING %s", slot, id_of(home));
	server_ask(group->node[home], "CLUSTER SETSLOT %u MIGRATING %s", slot, id_of(other));
	must_have_app(store, "c", "3");
	server_ask(group->node[home], "MIGRATE 127.0.0.1 %d convo:{app} 0 5000",
		   group->node[other]->port);
	must_have_app(store, "c", "3");
	/* Writing waits. */
	must_fail_with(CONVO_E_IO,
		       convo_store_state_set(store, &calls_key, &app_item, 1, &some_seconds, &err));
	must_say("not ready in time (TRYAGAIN)", err.text);
	slot_move(slot, home, other, 0);
	must_pass(convo_store_state_set(store, &calls_key, &app_item, 1, &some_seconds, &err));
	must_have_app(store, "c", "4");
	slot_move(slot, other, home, 0);
	must_have_app(store, "c", "4");
	convo_store_close(store);
}

/* ---- nodes that die ----------------------------------------------------------------------- */

struct trouble {
	struct load load; /* first */
	void (*make)(void);
};

static void trouble_run(void *ctx, int index)
{
	struct trouble *trouble = ctx;

	if (index > 0) {
		load_run(&trouble->load, index);
		return;
	}
	nap_ms(300);
	trouble->make();
	nap_ms(500);
	trouble->load.over = true;
}

/* No call fails, and what was acknowledged is there once. */
static void must_survive(void (*make)(void), const char *what)
{
	struct trouble trouble = {.make = make};
	convo_store *store;

	grouped_needed();
	store = store_open(with("wait=1"));
	load_begin(&trouble.load, store);
	test_threads(1 + WRITERS, trouble_run, &trouble);
	load_end(&trouble.load, what);
	convo_store_close(store);
}

static void kill_master(void)
{
	int master = master_of_user();

	group_kill(group, master);
	group_wait_replaced(group, master);
	group_restart(group, master);
}

static void test_L3_a_master_that_is_killed_fails_no_call(void **state)
{
	(void)state;
	must_survive(kill_master, "master killed");
}

static void pause_master(void)
{
	int master = master_of_user();

	int64_t begun_us = cv_clock_mono_us();

	group_pause(group, master);
	group_wait_replaced(group, master);
	test_say("replaced after %lld ms", (long long)(cv_clock_mono_us() - begun_us) / 1000);
	nap_ms(500);
	group_resume(group, master);
}

static void test_L3_a_master_that_stands_still_fails_no_call(void **state)
{
	(void)state;
	must_survive(pause_master, "master paused");
}

static void hand_over_master(void)
{
	int master = master_of_user();

	for (int i = 0; i < group->data; i++) {
		const char *info = server_try(group->node[i], "INFO replication");

		if (strstr(info, "role:slave") &&
		    strstr(info, test_text("master_port:%d\r", group->node[master]->port)))
			server_ask(group->node[i], "CLUSTER FAILOVER");
	}
	group_wait_replaced(group, master);
}

static void test_L3_a_master_that_hands_over_fails_no_call(void **state)
{
	(void)state;
	must_survive(hand_over_master, "master handed over");
}

static int replica_of(int master)
{
	for (int i = 0; i < group->data; i++) {
		const char *info = server_try(group->node[i], "INFO replication");

		if (strstr(info, "role:slave") &&
		    strstr(info, test_text("master_port:%d", group->node[master]->port)))
			return i;
	}
	must_not_reach("node %d has no replica", master);
}

/* A user that another node serves. */
static void other_user(char name[32], int master)
{
	do
		snprintf(name, 32, "other %d", rand() % 1000);
	while (group_master(group, test_text("convo:{app:%s}", name)) == master);
}

static void must_fail_in_time(convo_store *store, const char *names)
{
	int64_t begun_us = cv_clock_mono_us();
	struct convo_err err = {0};
	int rc = convo_store_append(store, &calls_key, NULL, &hello, 1, NULL, &two_seconds, &err);

	must(rc < 0);
	must(cv_clock_mono_us() - begun_us < 2500000);
	test_say("%d: %s", rc, err.text);
	must_say(names, err.text);
	must(!strchr(err.text, '\n'));
}

static void test_L2_a_slot_that_nobody_serves_is_told_in_time(void **state)
{
	unsigned slot = cv_redis_slot("convo:{app:user}");
	int master, replica;
	char name[32];
	const struct convo_key elsewhere = {"app", name, "s"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	master = master_of_user();
	replica = replica_of(master);
	other_user(name, master);
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	must_pass(convo_store_create(store, &elsewhere, NULL, NULL, NULL, &err));
	group_kill(group, replica);
	group_kill(group, master);
	must_fail_in_time(store, test_text("slot %u", slot));
	/* All others are refused too, unless the administrator wants it otherwise. */
	nap_ms(3000);
	must_fail_with(CONVO_E_IO, convo_store_append(store, &elsewhere, NULL, &hello, 1, NULL,
						      &two_seconds, &err));
	must_say("is not served (CLUSTERDOWN): start the nodes", err.text);
	must(!err.maybe);
	for (int i = 0; i < group->data; i++) {
		if (i != master && i != replica)
			server_ask(group->node[i], "CONFIG SET cluster-require-full-coverage no");
	}
	must_pass(convo_store_append(store, &elsewhere, NULL, &hello, 1, NULL, &two_seconds, &err));
	must_fail_in_time(store, test_text("slot %u", slot));
	group_restart(group, master);
	group_restart(group, replica);
	must_pass(call_append(store, &err));
	for (int i = 0; i < group->data; i++)
		server_ask(group->node[i], "CONFIG SET cluster-require-full-coverage yes");
	convo_store_close(store);
}

/* ---- replicas that are waited for ------------------------------------------------------------ */

static void wait_in_vain(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_append(ctx, &calls_key, NULL, &hello, 1, NULL, &brief, &err));
	must(err.maybe);
}

static void test_A8_too_few_replicas_leave_the_outcome_open(void **state)
{
	const struct convo_event event = {.id = "0197b0a1-0000-7000-8000-000000000001",
					  .message = CALLS_HELLO};
	struct convo_err err;
	convo_store *store;
	int64_t seq = 0, begun_us;
	int replica;

	(void)state;
	grouped_needed();
	replica = replica_of(master_of_user());
	store = store_open(with("wait=1"));
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	group_pause(group, replica);
	for (int i = 0; i < 2; i++) {
		/* The second finds it stored, and must not take that for enough. */
		begun_us = cv_clock_mono_us();
		must_fail_with(CONVO_E_TIMEOUT, convo_store_append(store, &calls_key, NULL, &event,
								   1, NULL, &brief, &err));
		must(err.maybe);
		must_say("stored, but 0 of 1 replicas have it in time", err.text);
		must(cv_clock_mono_us() - begun_us < 1500000);
	}
	/* A group of calls ends for each of them. */
	test_threads(8, wait_in_vain, store);
	group_resume(group, replica);
	must_pass(convo_store_append(store, &calls_key, NULL, &event, 1, &seq, NULL, &err));
	must_equal(2, seq);
	/* All were stored, each once. */
	must_count(store, 2 + 8);
	convo_store_close(store);
}

/* ---- where to begin --------------------------------------------------------------------------- */

/* What stands first in a list of seeds, and does not help. */
static void test_L1_a_first_seed_that_is_no_node_is_passed_over(void **state)
{
	static const struct {
		const char *says; /* to CLUSTER SLOTS; NULL: nobody is there, "": it hangs */
		int code;         /* where there is no other seed */
		const char *text;
	} seeds[] = {
		{NULL, CONVO_E_GONE, "connection refused"},
		{"", CONVO_E_TIMEOUT, "no answer in time"},
		{"-ERR This instance has cluster support disabled\r\n", CONVO_E_INVALID,
		 "it is no node of a cluster: write redis://"},
		{"-ERR unknown command 'CLUSTER', with args\r\n", CONVO_E_UNSUPPORTED, "CLUSTER"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", CONVO_E_IO, "this does not answer like Redis"},
		{"-NOPERM this user has no permissions to run the 'cluster|slots' command\r\n",
		 CONVO_E_DENIED, "CLUSTER"},
		{"*0\r\n", CONVO_E_GONE, "is the cluster made yet?"},
		{"-LOADING Redis is loading the dataset in memory\r\n", CONVO_E_IO, "LOADING"},
	};

	(void)state;
	grouped_needed();
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		struct fake_redis *fake = seeds[i].says ? fake_redis_start() : NULL;
		int port = fake ? fake_redis_port(fake) : test_port();
		const char *first = test_text("127.0.0.1:%d", port);
		convo_store *store = NULL;
		struct convo_err err;

		for (int n = 0; n < 8 && fake; n++)
			fake_redis_say(fake, "CLUSTER", seeds[i].says);
		must_fail_with(seeds[i].code,
			       convo_store_open(&store, test_text("redis+cluster://%s/", first),
						&one_second, &err));
		must_say(seeds[i].text, err.text);
		must_say(first, err.text);
		must_pass(convo_store_open(&store,
					   test_text("redis+cluster://%s,%s/", first, a_node()),
					   &quiet, &err));
		must(call_create(store, &err) == (i ? CONVO_E_EXISTS : 0));
		convo_store_close(store);
		if (fake)
			fake_redis_end(fake);
	}
}

static void test_L1_a_node_of_a_cluster_is_noticed(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(test_text("redis://%s", a_node()));
	must_pass(call_create(store, &err));
	must_pass(call_state_set(store, &err));
	must_pass(call_append(store, &err));
	must_count(store, 1);
	must_have_app(store, "c", "3");
	convo_store_close(store);
	store = store_open(test_text("redis://127.0.0.1:%d,%s", test_port(), a_node()));
	must_count(store, 1);
	convo_store_close(store);
	must_refuse(CONVO_E_INVALID, test_text("redis://%s/2", a_node()), "database 0 alone");
	must_refuse(CONVO_E_INVALID, test_text("redis+cluster://%s/2", a_node()),
		    "database 0 alone");
	must_refuse(CONVO_E_INVALID, test_text("redis+cluster://%s/?db=2", a_node()),
		    "database 0 alone");
	must_refuse(CONVO_E_INVALID, with("sentinel_user=a"), "are for redis+sentinel://");
	must_refuse(CONVO_E_INVALID, with("wait=100"), "at most 99");
	must_refuse(CONVO_E_INVALID, with("wait=x"), "must be a number");
}

/* ---- users and their rights ---------------------------------------------------------------- */

#define RIGHTS                                                                               \
	"on '>pass' '~convo:*' resetchannels -@all +ping +select +info +eval +evalsha +get " \
	"+set +exists +rename +unlink +persist +pexpire +pttl +hset +hget +hmget "           \
	"+hgetall +hdel +hstrlen +zadd +zrem +zrange +zrevrange +zrangebyscore "             \
	"+zrevrangebyscore +strlen +getrange +setrange +time '+cluster|slots' +asking "      \
	"+lrange +rpush +lrem +wait"

static void grant(const char *rights)
{
	for (int i = 0; i < group->data; i++)
		server_ask(group->node[i], "ACL SETUSER few %s", rights);
}

static void test_L5_the_rights_of_the_page_are_enough_and_each_is_named(void **state)
{
	static const char *const rights[][2] = {{"cluster|slots", "CLUSTER"},
						{"asking", "asking"},
						{"wait", "wait"},
						{"time", "TIME"},
						{"lrange", "LRANGE"},
						{"rpush", "RPUSH"},
						{"lrem", "LREM"},
						{"hgetall", "HGETALL"}};
	const char *url = test_text("redis+cluster://few:pass@%s/?wait=1", a_node());
	const struct call calls[] = {{"create", call_create},
				     {"append", call_append},
				     {"load", call_load},
				     {"list", call_list},
				     {"rename", call_rename},
				     {"state_set", call_state_set},
				     {"state_list", call_state_list},
				     {"delete", call_delete},
				     {"list trash", call_list_trash},
				     {"restore", call_restore},
				     {"delete again", call_delete},
				     {"purge", call_purge}};
	struct convo_err err = {0};
	convo_store *store;

	(void)state;
	grouped_needed();
	grant("reset " RIGHTS);
	store = store_open(url);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].run(store, &err) < 0)
			must_not_reach("%s: %s", calls[i].name, err.text);
	}
	convo_store_close(store);
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		grant(test_text("reset " RIGHTS " '-%s'", rights[i][0]));
		must_refuse(CONVO_E_DENIED, url,
			    test_text("may not use this key or command: %s", rights[i][1]));
	}
	grant("reset");
}

/* ---- connections ---------------------------------------------------------------------------- */

/* Names whose users and apps are on all nodes. */
static struct convo_key spread_key(int i, char app[16], char user[16])
{
	snprintf(app, 16, "app%d", i % 5);
	snprintf(user, 16, "user%d", i);
	return (struct convo_key){app, user, "s"};
}

static void spread_run(void *ctx, int index)
{
	char app[16], user[16];
	const struct convo_item item = {.name = "app:a", .json = "1"};
	struct convo_err err;

	for (int i = 0; i < 12; i++) {
		const struct convo_key key = spread_key(index + i, app, user);
		convo_session *session = NULL;

		must_pass(convo_store_append(ctx, &key, NULL, &hello, 1, NULL, NULL, &err));
		if (i % 4 == 0)
			must_pass(convo_store_state_set(ctx, &key, &item, 1, NULL, &err));
		must_pass(convo_store_load(&session, ctx, &key, NULL, NULL, &err));
		convo_session_free(session);
	}
}

/* A load holds connections of two nodes; were they taken in any order, threads would wait for each other. */
static void test_L4_many_threads_on_few_connections_do_not_wait_for_each_other(void **state)
{
	char app[16], user[16];
	struct convo_err err;

	(void)state;
	grouped_needed();
	for (int pool = 1; pool < 3; pool++) {
		convo_store *store = store_open(with(test_text("pool=%d", pool)));
		int64_t begun_us = cv_clock_mono_us();

		for (int i = 0; pool == 1 && i < 76; i++) {
			const struct convo_key key = spread_key(i, app, user);

			must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		}
		test_threads(64, spread_run, store);
		test_say("64 threads, %d connections a node: %lld ms", pool,
			 (long long)(cv_clock_mono_us() - begun_us) / 1000);
		for (int i = 0; i < group->data; i++) {
			const char *list = server_ask(group->node[i], "CLIENT LIST TYPE normal");
			int lines = 0;

			for (; list; list = strchr(list + 1, '\n'))
				lines++;
			/* One of them is that of redis-cli. */
			must(lines - 1 <= pool);
		}
		convo_store_close(store);
	}
}

/* ---- calls that are canceled ------------------------------------------------------------------ */

struct canceled {
	convo_store *store;
	convo_cancel *cancel;
};

static void canceled_run(void *ctx, int index)
{
	struct canceled *canceled = ctx;
	const struct convo_call call = {.cancel = canceled->cancel};
	struct convo_err err;
	int64_t begun_us = cv_clock_mono_us();

	if (index == 0) {
		nap_ms(300);
		convo_cancel_request(canceled->cancel);
		return;
	}
	must_fail_with(CONVO_E_CANCELED, convo_store_append(canceled->store, &calls_key, NULL,
							    &hello, 1, NULL, &call, &err));
	must(cv_clock_mono_us() - begun_us < 300000 + 100000 + 200000);
}

/* One of the calls looks up who serves the slot, the others wait for it. */
static void test_L2_calls_end_while_nobody_tells_who_serves_a_slot(void **state)
{
	struct canceled canceled = {0};
	struct convo_err err;
	int64_t begun_us;

	(void)state;
	grouped_needed();
	canceled.store = store_open(group->url);
	must_pass(convo_cancel_new(&canceled.cancel, &err));
	must_pass(call_create(canceled.store, &err));
	for (int i = 0; i < group->data; i++) {
		server_ask(group->node[i], "CLIENT KILL TYPE normal");
		group_pause(group, i);
	}
	test_threads(9, canceled_run, &canceled);
	begun_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT, convo_store_append(canceled.store, &calls_key, NULL, &hello,
							   1, NULL, &brief, &err));
	must(cv_clock_mono_us() - begun_us < 1300000);
	for (int i = 0; i < group->data; i++)
		group_resume(group, i);
	must_pass(call_append(canceled.store, &err));
	convo_store_close(canceled.store);
	convo_cancel_free(canceled.cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, grouped_setup, cluster_teardown)
		TEST(test_L1_a_first_seed_that_is_no_node_is_passed_over),
		TEST(test_L1_a_node_of_a_cluster_is_noticed),
		TEST(test_L5_the_rights_of_the_page_are_enough_and_each_is_named),
		TEST(test_L4_many_threads_on_few_connections_do_not_wait_for_each_other),
		TEST(test_A1_slots_that_move_lose_and_double_nothing),
		TEST(test_A6_the_app_is_found_while_its_slot_moves),
		TEST(test_A8_too_few_replicas_leave_the_outcome_open),
		TEST(test_L3_a_master_that_hands_over_fails_no_call),
		TEST(test_L3_a_master_that_is_killed_fails_no_call),
		TEST(test_L3_a_master_that_stands_still_fails_no_call),
		TEST(test_L2_a_slot_that_nobody_serves_is_told_in_time),
		TEST(test_L2_calls_end_while_nobody_tells_who_serves_a_slot),
#undef TEST
	};
	int rc;

	group = group_start(GROUP_REDIS_CLUSTER);
	rc = TEST_RUN(tests);
	group_end(group);
	return rc;
}
