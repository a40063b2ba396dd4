/*
 * Redis as operators run it: commands renamed or withheld, memory that is full, replicas, masters
 * that are masters no more, users with few rights, clocks that differ. What is refused says so.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <support/fake_redis.h>
#include <support/proxy.h>
#include <support/servers.h>

#include "store/shared/calls.h"

#define MINUTE_US INT64_C(60000000)

static struct server *redis; /* NULL: not installed */

static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

static int redis_setup(void **state)
{
	(void)state;
	if (redis)
		server_ask(redis, "FLUSHALL");
	return 0;
}

static void redis_needed(void)
{
	if (!redis)
		test_skip("no redis-server to test with");
}

static convo_store *store_open(const char *url)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, url, &quiet, &err));
	return store;
}

static void must_say(const char *want, const char *text)
{
	if (!strstr(text, want))
		must_not_reach("'%s' does not say '%s'", text, want);
}

static void store_must_refuse(int code, const char *url, const char *text)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_fail_with(code, convo_store_open(&store, url, &quiet, &err));
	must(store == NULL);
	must_say(text, err.text);
}

static void must_count(convo_store *store, const struct convo_key *key, size_t want)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, key, NULL, NULL, &err));
	must_equal(want, convo_session_count(session));
	convo_session_free(session);
}

/* ---- commands ---------------------------------------------------------------------------- */

/* A server that knows a command no more. */
static struct server *server_without(const char *command)
{
	const char *const args[] = {"--rename-command", command, "", NULL};
	struct server *server = server_start_with(SERVER_REDIS, SERVER_FAST, args);

	if (!server)
		test_skip("no redis-server to test with");
	return server;
}

static void test_L6_INFO_may_be_renamed(void **state)
{
	struct server *server = server_without("INFO");
	convo_store *store = store_open(server->url);
	struct convo_err err;

	(void)state;
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	must_pass(call_load(store, &err));
	convo_store_close(store);
	server_end(server);
}

static void test_L6_a_command_that_is_renamed_is_named(void **state)
{
	static const char *const commands[] = {"EVALSHA", "EVAL", "UNLINK", "HGETALL", "ZADD"};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct server *server = server_without(commands[i]);

		store_must_refuse(CONVO_E_UNSUPPORTED, server->url,
				  test_text("renamed or newer than it is (version 5 is needed): %s",
					    commands[i]));
		server_end(server);
	}
}

static void test_an_argument_that_is_too_large_for_it_is_told(void **state)
{
	static const char *const args[] = {"--proto-max-bulk-len", "1mb", NULL};
	static char text[CONVO_MAX_EVENT];
	struct server *server = server_start_with(SERVER_REDIS, SERVER_FAST, args);
	const struct convo_event event = {.message = text};
	struct convo_err err;
	convo_store *store;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	snprintf(text, sizeof(text), "{\"role\":\"user\",\"content\":\"%*s\"}",
		 CONVO_MAX_EVENT - 30, "");
	store = store_open(server->url);
	must_pass(call_create(store, &err));
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(store, &calls_key, NULL, &event, 1, NULL, NULL, &err));
	must_say("raise its proto-max-bulk-len", err.text);
	must_pass(call_append(store, &err));
	convo_store_close(store);
	server_end(server);
}

static void test_L5_a_right_that_is_missing_is_named(void **state)
{
	struct server *server = server_start(SERVER_REDIS_AUTH, SERVER_FAST);

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	server_ask(server, "ACL SETUSER %s -zadd", server->user);
	store_must_refuse(CONVO_E_DENIED, server->url, "may not use this key or command: ZADD");
	server_ask(server, "ACL SETUSER %s +zadd -hgetall", server->user);
	store_must_refuse(CONVO_E_DENIED, server->url, "may not use this key or command: HGETALL");
	server_end(server);
}

static void test_L5_a_password_that_is_wrong_or_missing_names_the_user(void **state)
{
	struct server *server = server_start(SERVER_REDIS_AUTH, SERVER_FAST);

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	store_must_refuse(CONVO_E_DENIED, test_text("redis://127.0.0.1:%d", server->port),
			  "it wants a password (user 'default'; the URL says both");
	store_must_refuse(CONVO_E_DENIED,
			  test_text("redis://somebody:s3cret@127.0.0.1:%d", server->port),
			  "wrong user or password (user 'somebody'");
	server_end(server);
}

/* ---- servers that only read -------------------------------------------------------------- */

/* Make a replica of a server and wait until it has what that has. */
static void replicate(struct server *replica, const struct server *master)
{
	server_ask(replica, "REPLICAOF 127.0.0.1 %d", master->port);
	for (int i = 0; i < 2000; i++) {
		const struct timespec ts = {0, 10000000};

		if (strstr(server_ask(replica, "INFO replication"), "master_link_status:up"))
			return;
		nanosleep(&ts, NULL);
	}
	must_not_reach("the replica does not reach its master");
}

static void test_L1_a_replica_can_be_read(void **state)
{
	const struct convo_store_options expiring = {.ttl_ms = 60000,
						     .clean_interval_ms = CONVO_OFF};
	struct server *replica;
	const struct convo_key brief = {"app", "user", "brief"};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	convo_store_close(store);
	must_pass(convo_store_open(&store, redis->url, &expiring, &err));
	must_pass(convo_store_create(store, &brief, NULL, NULL, NULL, &err));
	convo_store_close(store);
	replica = server_start(SERVER_REDIS, SERVER_FAST);
	replicate(replica, redis);
	/* A session that is over is in the lists, and a replica lets nothing go. */
	cv_clock_shift_us(2 * MINUTE_US);
	store = store_open(replica->url);
	must_count(store, &calls_key, 1);
	must_pass(call_state_list(store, &err));
	must_pass(call_list(store, &err));
	must_pass(call_list_trash(store, &err));
	must_fail_with(CONVO_E_READONLY, call_append(store, &err));
	must(!err.maybe);
	must_say("read-only replica", err.text);
	must_fail_with(CONVO_E_READONLY, call_rename(store, &err));
	must_fail_with(CONVO_E_READONLY, call_delete(store, &err));
	must_count(store, &calls_key, 1);
	cv_clock_shift_us(0);
	convo_store_close(store);
	/* What is not there cannot be made there. */
	store_must_refuse(CONVO_E_READONLY, test_text("%s?prefix=none", replica->url),
			  "read-only replica");
	server_end(replica);
}

static void link_to(const char *path, const struct server *server)
{
	unlink(path);
	must(symlink(server->socket, path) == 0);
}

static void test_L3_a_master_that_is_one_no_more_is_left(void **state)
{
	const char *path = test_path(test_dir(), "master.sock");
	struct server *other;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	other = server_start(SERVER_REDIS, SERVER_FAST);
	link_to(path, redis);
	store = store_open(test_text("redis://%s", path));
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	replicate(other, redis);
	server_ask(other, "REPLICAOF NO ONE");
	server_ask(redis, "REPLICAOF 127.0.0.1 %d", other->port);
	link_to(path, other);
	must_fail_with(CONVO_E_READONLY, call_append(store, &err));
	for (int i = 0; i < 10; i++)
		must_pass(call_append(store, &err));
	must_count(store, &calls_key, 11);
	server_ask(redis, "REPLICAOF NO ONE");
	convo_store_close(store);
	server_end(other);
}

static void test_L3_peers_that_went_without_a_word_cost_one_call(void **state)
{
	struct proxy *proxy;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	proxy = proxy_start(redis->host, redis->port);
	store = store_open(test_text("redis://127.0.0.1:%d?timeout=1s", proxy_port(proxy)));
	must_pass(call_create(store, &err));
	must_pass(call_load(store, &err));
	proxy_mute(proxy);
	must_fail_with(CONVO_E_TIMEOUT, call_load(store, &err));
	for (int i = 0; i < 8; i++)
		must_pass(call_append(store, &err));
	convo_store_close(store);
	proxy_end(proxy);
}

/* ---- calls that are canceled ------------------------------------------------------------- */

struct cancel_race {
	convo_store *store;
	convo_cancel *cancel;
	atomic_int waiting;
	bool load;
};

static void wait_for(atomic_int *number, int want)
{
	const struct timespec ts = {0, 1000000};

	while (atomic_load(number) < want)
		nanosleep(&ts, NULL);
}

/* One is canceled, one cancels when the others wait, and one has all the time. */
static void cancel_thread(void *ctx, int index)
{
	struct cancel_race *race = ctx;
	const struct convo_call call = {.timeout_ms = 60000, .cancel = race->cancel},
				lasting = {.timeout_ms = 60000};
	const struct convo_event event = {.message = CALLS_HELLO};
	const struct timespec ts = {0, 50000000};
	convo_session *session = NULL;
	struct convo_err err;
	int64_t begin_us = cv_clock_mono_us();

	if (index == 1) {
		wait_for(&race->waiting, 2);
		nanosleep(&ts, NULL); /* they are on their way by then, or it is too easy */
		convo_cancel_request(race->cancel);
		return;
	}
	atomic_fetch_add(&race->waiting, 1);
	if (index == 2) {
		must_pass(convo_store_append(race->store, &calls_key, NULL, &event, 1, NULL,
					     &lasting, &err));
		return;
	}
	if (race->load)
		must_fail_with(CONVO_E_CANCELED, convo_store_load(&session, race->store, &calls_key,
								  NULL, &call, &err));
	else
		must_fail_with(CONVO_E_CANCELED, convo_store_append(race->store, &calls_key, NULL,
								    &event, 1, NULL, &call, &err));
	server_resume(redis);
	must(cv_clock_mono_us() - begin_us < 10000000);
	must(session == NULL);
}

static void test_L2_a_cancel_ends_its_call_and_no_other(void **state)
{
	struct cancel_race race = {0};
	struct convo_err err;

	(void)state;
	redis_needed();
	race.store = store_open(redis->url);
	must_pass(convo_cancel_new(&race.cancel, &err));
	must_pass(call_create(race.store, &err));
	for (int i = 0; i < 2; i++) {
		race.load = i;
		race.waiting = 0;
		server_pause(redis);
		test_threads(3, cancel_thread, &race);
		convo_cancel_reset(race.cancel);
		must_pass(call_append(race.store, &err));
	}
	convo_cancel_free(race.cancel);
	convo_store_close(race.store);
}

struct sent {
	convo_store *store;
	convo_cancel *cancel;
	struct proxy *proxy;
};

static void sent_thread(void *ctx, int index)
{
	struct sent *sent = ctx;
	const struct convo_call call = {.timeout_ms = 60000, .cancel = sent->cancel};
	const struct convo_event event = {.message = CALLS_HELLO};
	const struct timespec ts = {0, 1000000};
	struct convo_err err;

	if (index == 0) {
		must_fail_with(CONVO_E_CANCELED, convo_store_append(sent->store, &calls_key, NULL,
								    &event, 1, NULL, &call, &err));
		must(err.maybe);
		return;
	}
	while (proxy_passed(sent->proxy, PROXY_REQUEST) < sizeof(CALLS_HELLO))
		nanosleep(&ts, NULL);
	convo_cancel_request(sent->cancel);
}

static void test_A8_a_canceled_append_that_was_sent_may_be_there(void **state)
{
	struct sent sent = {0};
	struct convo_err err;

	(void)state;
	redis_needed();
	sent.proxy = proxy_start(redis->host, redis->port);
	sent.store = store_open(test_text("redis://127.0.0.1:%d", proxy_port(sent.proxy)));
	must_pass(convo_cancel_new(&sent.cancel, &err));
	must_pass(call_create(sent.store, &err));
	proxy_arm(sent.proxy, PROXY_NONE, PROXY_REQUEST, 0);
	server_pause(redis);
	test_threads(2, sent_thread, &sent);
	server_resume(redis);
	must_pass(call_load(sent.store, &err));
	convo_store_close(sent.store);
	convo_cancel_free(sent.cancel);
	proxy_end(sent.proxy);
}

/* ---- clocks and durations ---------------------------------------------------------------- */

static int64_t updated_ms(convo_store *store)
{
	convo_session *session = NULL;
	struct convo_err err;
	int64_t updated;

	must_pass(convo_store_load(&session, store, &calls_key, NULL, NULL, &err));
	updated = convo_session_meta(session)->updated_ms;
	convo_session_free(session);
	return updated;
}

static void test_S3_updated_never_goes_back_when_clocks_differ(void **state)
{
	static const struct call writes[] = {
		{"append", call_append}, {"state_set", call_state_set}, {"rename", call_rename}};
	const struct convo_key other = {"app", "user", "other"};
	const struct convo_event event = {.message = CALLS_HELLO};
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;
	int64_t before = 0;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	must_pass(call_create(store, &err));
	must_pass(convo_store_create(store, &other, NULL, NULL, NULL, &err));
	for (int i = 0; i < 9; i++) {
		int64_t now;

		/* The next writer's clock is minutes ahead, or behind. */
		cv_clock_shift_us((i % 3 - 1) * 10 * MINUTE_US);
		must_pass(writes[i / 3].run(store, &err));
		now = updated_ms(store);
		if (now < before)
			must_not_reach("%s %d: updated went back", writes[i / 3].name, i);
		before = now;
		must_pass(convo_store_append(store, &other, NULL, &event, 1, NULL, NULL, &err));
	}
	cv_clock_shift_us(0);
	must_pass(convo_store_load(&session, store, &other, NULL, NULL, &err));
	for (size_t i = 1; i < convo_session_count(session); i++)
		must(convo_session_event(session, i)->time_ms >=
		     convo_session_event(session, i - 1)->time_ms);
	convo_session_free(session);
	convo_store_close(store);
}

static void test_T2_the_longest_ttl_can_be_read_back(void **state)
{
	const struct convo_store_options longest = {.ttl_ms = CONVO_MAX_DURATION,
						    .trash_ms = CONVO_MAX_DURATION,
						    .clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	redis_needed();
	must_pass(convo_store_open(&store, redis->url, &longest, &err));
	must_pass(call_create(store, &err));
	for (int i = 0; i < 2; i++) {
		must_pass(call_append(store, &err));
		must_pass(call_load(store, &err));
		must_pass(call_list(store, &err));
		must_pass(call_delete(store, &err));
		must_pass(call_list_trash(store, &err));
		must_pass(call_restore(store, &err));
	}
	convo_store_close(store);
}

/* ---- cost -------------------------------------------------------------------------------- */

static int calls_of(const char *command)
{
	const char *stat = strstr(server_ask(redis, "INFO commandstats"),
				  test_text("cmdstat_%s:calls=", command));

	return stat ? atoi(strchr(stat, '=') + 1) : 0;
}

static void test_P2_one_large_event_does_not_slow_later_loads(void **state)
{
	const struct convo_window last = {.n = 50};
	const size_t size = 1000000;
	char *message = malloc(size + 64);
	const struct convo_event event = {.message = message};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	must(message);
	strcpy(message, "{\"role\":\"user\",\"content\":\"");
	memset(message + 26, 'x', size);
	strcpy(message + 26 + size, "\"}");
	store = store_open(redis->url);
	must_pass(call_create(store, &err));
	must_pass(convo_store_append(store, &calls_key, NULL, &event, 1, NULL, NULL, &err));
	for (int i = 0; i < 50; i++)
		must_pass(call_append(store, &err));
	server_ask(redis, "CONFIG RESETSTAT");
	must_pass(calls_load(store, &last, &err));
	/* The session, and all of its events at once; none is measured. */
	must_equal(2, calls_of("hmget"));
	must_equal(0, calls_of("hstrlen"));
	/* A window with the large one measures those up to it. */
	must_pass(call_load(store, &err));
	must_equal(1, calls_of("hstrlen"));
	convo_store_close(store);
	free(message);
}

#define REDIS_TEST(name) cmocka_unit_test_setup(name, redis_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REDIS_TEST(test_L6_INFO_may_be_renamed),
		REDIS_TEST(test_L6_a_command_that_is_renamed_is_named),
		REDIS_TEST(test_an_argument_that_is_too_large_for_it_is_told),
		REDIS_TEST(test_L5_a_right_that_is_missing_is_named),
		REDIS_TEST(test_L5_a_password_that_is_wrong_or_missing_names_the_user),
		REDIS_TEST(test_L1_a_replica_can_be_read),
		REDIS_TEST(test_L3_a_master_that_is_one_no_more_is_left),
		REDIS_TEST(test_L3_peers_that_went_without_a_word_cost_one_call),
		REDIS_TEST(test_L2_a_cancel_ends_its_call_and_no_other),
		REDIS_TEST(test_A8_a_canceled_append_that_was_sent_may_be_there),
		REDIS_TEST(test_S3_updated_never_goes_back_when_clocks_differ),
		REDIS_TEST(test_T2_the_longest_ttl_can_be_read_back),
		REDIS_TEST(test_P2_one_large_event_does_not_slow_later_loads),
	};
	int rc;

	redis = server_start(SERVER_REDIS, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(redis);
	return rc;
}
