/*
 * The Redis store with sentinels: masters that die, stand still and hand over, sentinels that are away,
 * hang, know nothing or name the wrong one. The contract is in test_redis_sentinel_contract.c, nonsense
 * in test_redis_route.c.
 */
#include <support/test.h>

#include <stdio.h>
#include <time.h>

#include <base/clock.h>
#include <support/fake_redis.h>

#include "store/redis/grouped.h"
#include "store/redis/load.h"
#include "store/shared/calls.h"

static const struct convo_store_options one_second = {.timeout_ms = 1000,
						      .clean_interval_ms = CONVO_OFF};
static const struct convo_call brief = {.timeout_ms = 1000};
static const struct convo_event hello = {.message = CALLS_HELLO};

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
	int64_t begun_us = cv_clock_mono_us();
	struct convo_err err;
	convo_store *store = NULL;

	must_fail_with(code, convo_store_open(&store, url, &one_second, &err));
	must(store == NULL);
	must_say(text, err.text);
	must(cv_clock_mono_us() - begun_us < 1500000);
}

/* A URL with those sentinels, and options. */
static const char *url_of(const char *sentinels, const char *options)
{
	return test_text("redis+sentinel://%s/" GROUP_SENTINEL_NAME "%s", sentinels, options);
}

static const char *sentinel(int i)
{
	return test_text("127.0.0.1:%d", group->node[3 + i]->port);
}

/* ---- masters that go ---------------------------------------------------------------------- */

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
static void must_survive(void (*make)(void), int wait, const char *what)
{
	struct trouble trouble = {.make = make};
	bool may_fail = wait > 1; /* both are seldom there in time */
	convo_store *store;

	grouped_needed();
	store = store_open(test_text("%s?wait=%d", group->url, wait));
	load_begin(&trouble.load, store);
	trouble.load.may_fail = may_fail;
	test_threads(1 + WRITERS, trouble_run, &trouble);
	load_end(&trouble.load, what);
	convo_store_close(store);
}

static void kill_master(void)
{
	int master = group_master(group, NULL);

	group_kill(group, master);
	group_wait_replaced(group, master);
	group_restart(group, master);
}

static void test_L3_a_master_that_is_killed_fails_no_call(void **state)
{
	(void)state;
	must_survive(kill_master, 1, "master killed");
}

static void pause_master(void)
{
	int master = group_master(group, NULL);

	group_pause(group, master);
	group_wait_replaced(group, master);
	nap_ms(500);
	group_resume(group, master);
}

static void test_L3_a_master_that_stands_still_fails_no_call(void **state)
{
	(void)state;
	must_survive(pause_master, 1, "master paused");
}

static void hand_over_master(void)
{
	int master = group_master(group, NULL);

	server_ask(group->node[3], "SENTINEL FAILOVER " GROUP_SENTINEL_NAME);
	group_wait_replaced(group, master);
}

/* The old master takes writes until it is told: of two replicas one may follow it, and one be the new
 * master. So both are waited for. */
static void test_A8_a_master_that_hands_over_loses_nothing(void **state)
{
	(void)state;
	must_survive(hand_over_master, 2, "master handed over");
}

/* ---- sentinels ------------------------------------------------------------------------------ */

static void test_L1_a_first_sentinel_that_does_not_tell_is_passed_over(void **state)
{
	static const struct {
		const char *says; /* NULL: nobody is there, "": it hangs */
		int code;         /* where there is no other */
		const char *text;
	} firsts[] = {
		{NULL, CONVO_E_GONE, "connection refused"},
		{"", CONVO_E_TIMEOUT, "no answer in time"},
		{"*-1\r\n", CONVO_E_INVALID, "the sentinel knows no master 'convo': the URL names"},
		{"-ERR unknown command 'SENTINEL'\r\n", CONVO_E_INVALID, "it is no sentinel"},
		{"-NOAUTH Authentication required.\r\n", CONVO_E_DENIED,
		 "it wants a password (user 'default'; the URL says both, sentinel_user= and "},
		{"-NOPERM this user has no permissions to run the 'sentinel' command\r\n",
		 CONVO_E_DENIED, "SENTINEL"},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", CONVO_E_IO, "this does not answer like Redis"},
	};

	(void)state;
	grouped_needed();
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		struct fake_redis *fake = firsts[i].says ? fake_redis_start() : NULL;
		int port = fake ? fake_redis_port(fake) : test_port();
		const char *first = test_text("127.0.0.1:%d", port);
		convo_store *store;
		struct convo_err err;

		for (int n = 0; n < 8 && fake; n++)
			fake_redis_say(fake, "MASTER-ADDR", firsts[i].says);
		must_refuse(firsts[i].code, url_of(first, ""), firsts[i].text);
		must_refuse(firsts[i].code, url_of(first, ""), first);
		store = store_open(url_of(test_text("%s,%s", first, sentinel(0)), ""));
		must(call_create(store, &err) == (i ? CONVO_E_EXISTS : 0));
		convo_store_close(store);
		if (fake)
			fake_redis_end(fake);
	}
}

static void test_L1_what_is_wrong_with_a_url_is_told(void **state)
{
	const char *port;

	(void)state;
	grouped_needed();
	port = test_text("%d", group->node[0]->port);
	must_refuse(CONVO_E_INVALID, test_text("redis+sentinel://%s/none", sentinel(0)),
		    "knows no master 'none'");
	must_refuse(CONVO_E_INVALID, test_text("redis+sentinel://%s", sentinel(0)),
		    "the URL names the master");
	must_refuse(CONVO_E_INVALID, test_text("redis+sentinel://%s/a/b", sentinel(0)),
		    "the URL names the master");
	must_refuse(CONVO_E_INVALID, test_text("redis://%s", sentinel(0)),
		    "it is a sentinel: write redis+sentinel://");
	must_refuse(CONVO_E_INVALID, url_of(test_text("127.0.0.1:%s", port), ""),
		    "it is no sentinel");
	must_refuse(CONVO_E_DENIED, test_text("redis+sentinel://a:s3cret@%s/convo", sentinel(0)),
		    "wrong user or password (user 'a'; the URL says both, redis://user:pass");
}

static void test_L5_sentinels_have_a_user_of_their_own(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	for (int i = 3; i < 6; i++)
		server_ask(group->node[i], "ACL SETUSER watcher reset on '>s3cret' -@all +ping "
					   "'+sentinel|get-master-addr-by-name'");
	store = store_open(url_of(sentinel(0), "?sentinel_user=watcher&sentinel_password=s3cret"));
	must_pass(call_create(store, &err));
	convo_store_close(store);
	must_refuse(CONVO_E_DENIED,
		    url_of(sentinel(0), "?sentinel_user=watcher&sentinel_password=wr0ng"),
		    "wrong user or password (user 'watcher'; the URL says both, sentinel_user=");
}

#define RIGHTS                                                                          \
	"on '>pass' '~convo:*' resetchannels -@all +ping +select +info +eval +evalsha " \
	"+get +set +exists +rename +unlink +persist +pexpire +pttl +hset +hget +hmget " \
	"+hgetall +hdel +hstrlen +zadd +zrem +zrange +zrevrange +zrangebyscore "        \
	"+zrevrangebyscore +strlen +getrange +setrange +time +role +wait"

static void test_L5_the_rights_of_the_page_are_enough_and_each_is_named(void **state)
{
	const struct call calls[] = {{"create", call_create},  {"append", call_append},
				     {"load", call_load},      {"state_set", call_state_set},
				     {"list", call_list},      {"delete", call_delete},
				     {"restore", call_restore}};
	const char *url;
	struct convo_err err = {0};
	convo_store *store;

	(void)state;
	grouped_needed();
	url = test_text("redis+sentinel://few:pass@%s/convo?wait=1&db=2", sentinel(0));
	for (int i = 0; i < 3; i++)
		server_ask(group->node[i], "ACL SETUSER few reset " RIGHTS);
	store = store_open(url);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].run(store, &err) < 0)
			must_not_reach("%s: %s", calls[i].name, err.text);
	}
	convo_store_close(store);
	must_say("db2:", server_ask(group->node[group_master(group, NULL)], "INFO keyspace"));
	for (int i = 0; i < 3; i++)
		server_ask(group->node[i], "ACL SETUSER few -role");
	must_refuse(CONVO_E_DENIED, url, "may not use this key or command: role");
	for (int i = 0; i < 3; i++)
		server_ask(group->node[i], "ACL SETUSER few +role -wait");
	must_refuse(CONVO_E_DENIED, url, "may not use this key or command: wait");
}

/* What a sentinel knows may be of before a fail-over. */
static void test_L3_a_named_server_that_is_no_master_is_not_taken(void **state)
{
	struct fake_redis *fake;
	const char *named;
	int master, replica;

	(void)state;
	grouped_needed();
	master = group_master(group, NULL);
	replica = master == 0;
	fake = fake_redis_start();
	named = test_text("*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n",
			  snprintf(NULL, 0, "%d", group->node[replica]->port),
			  group->node[replica]->port);
	for (int i = 0; i < 200; i++)
		fake_redis_say(fake, "MASTER-ADDR", named);
	must_refuse(CONVO_E_READONLY, url_of(test_text("127.0.0.1:%d", fake_redis_port(fake)), ""),
		    test_text("127.0.0.1:%d: it is a read-only replica",
			      group->node[replica]->port));
	fake_redis_end(fake);
}

/* What is connected goes on; what must be connected anew is tried at the master known last. */
static void test_L3_without_sentinels_the_known_master_serves(void **state)
{
	struct convo_err err;
	convo_store *store;
	int master;

	(void)state;
	grouped_needed();
	master = group_master(group, NULL);
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	for (int i = 3; i < 6; i++)
		group_pause(group, i);
	must_pass(call_append(store, &err));
	server_ask(group->node[master], "CLIENT KILL TYPE normal");
	must_pass(call_append(store, &err));
	for (int i = 3; i < 6; i++) {
		group_resume(group, i);
		group_kill(group, i);
	}
	server_ask(group->node[master], "CLIENT KILL TYPE normal");
	must_pass(call_append(store, &err));
	group_kill(group, master);
	must_fail_with(CONVO_E_GONE,
		       convo_store_append(store, &calls_key, NULL, &hello, 1, NULL, &brief, &err));
	test_say("%s", err.text);
	must_say(test_text("redis 127.0.0.1:%d: connection refused", group->node[master]->port),
		 err.text);
	must_say("asked for another master: redis 127.0.0.1:", err.text);
	server_restart(group->node[master]);
	for (int i = 3; i < 6; i++)
		group_restart(group, i);
	group_wait_healthy(group);
	must_pass(call_append(store, &err));
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, grouped_setup, grouped_teardown)
		TEST(test_L1_a_first_sentinel_that_does_not_tell_is_passed_over),
		TEST(test_L1_what_is_wrong_with_a_url_is_told),
		TEST(test_L5_sentinels_have_a_user_of_their_own),
		TEST(test_L5_the_rights_of_the_page_are_enough_and_each_is_named),
		TEST(test_L3_a_named_server_that_is_no_master_is_not_taken),
		TEST(test_A8_a_master_that_hands_over_loses_nothing),
		TEST(test_L3_a_master_that_is_killed_fails_no_call),
		TEST(test_L3_a_master_that_stands_still_fails_no_call),
		TEST(test_L3_without_sentinels_the_known_master_serves),
#undef TEST
	};
	int rc;

	group = group_start(GROUP_REDIS_SENTINEL);
	rc = TEST_RUN(tests);
	group_end(group);
	return rc;
}
