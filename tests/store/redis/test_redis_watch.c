/*
 * Hearing of sessions from a Redis server: connections that are killed, that fall silent, that are too
 * slow, a server that restarts, users who may not tell or hear, and that nothing of it is there while
 * nobody watches. In a cluster and with sentinels: test_redis_watch_group.c.
 */
#include "store/shared/heard.h"

#include <stdio.h>

#include <base/clock.h>
#include <support/fake_redis.h>
#include <support/proxy.h>
#include <support/servers.h>

#include "store/redis/asked.h"

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

static int number_of(const struct server *server, const char *command)
{
	return atoi(server_ask(server, "%s", command));
}

/* How many connections hear. */
static int ears_of(const struct server *server)
{
	return atoi(strchr(server_ask(server, "PUBSUB NUMSUB convo:ears"), '\n') + 1);
}

static void must_become(int value, int (*of)(const struct server *server))
{
	int tries = 0;

	while (of(redis) != value && tries++ < HEARD_SOON_MS / 20)
		nap_ms(20);
	must_equal(value, of(redis));
}

static int channels_of(const struct server *server)
{
	return number_of(server, "EVAL \"return #redis.call('PUBSUB', 'CHANNELS')\" 0");
}

/* ---- W1 ---------------------------------------------------------------------------------- */

static void test_W1_all_that_happens_is_told(void **state)
{
	convo_store *other;
	struct asked asked;

	(void)state;
	redis_needed();
	asked_open(&asked, redis->url);
	other = store_open(redis->url);
	asked_must_hear_all(&asked, other);
	convo_store_close(other);
	asked_close(&asked);
}

static void test_W1_all_that_happens_is_told_by_TLS(void **state)
{
	struct server *server = server_start(SERVER_REDIS_TLS, SERVER_FAST);
	convo_store *other;
	struct asked asked;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	asked_open(&asked, server->url);
	other = store_open(server->url);
	asked_must_hear_all(&asked, other);
	convo_store_close(other);
	asked_close(&asked);
	server_end(server);
}

/* Names that look like patterns, and those that look like others put together. */
static void test_N1_names_do_not_hear_each_other(void **state)
{
	static const struct convo_key keys[] = {{"a", "b:c", "d"},      {"a:b", "c", "d"},
						{"a", "b", "*"},        {"a", "b", "?"},
						{"a", "b", "[d]"},      {"a", "b", "d"},
						{"a}:s:", "b", ":s:d"}, {"*", "b", "d"}};
	const struct convo_call soon = {.timeout_ms = HEARD_SOON_MS};
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	must_pass(convo_watch_new(&watch, store, &err));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		must_pass(convo_watch_add(watch, &keys[i], (void *)(uintptr_t)i, &err));
	hear_out(watch);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		void *tag = NULL;

		must_pass(convo_store_create(other, &keys[i], NULL, NULL, NULL, &err));
		must_pass(convo_watch_next(watch, NULL, &tag, &soon, &err));
		must_equal(i, (uintptr_t)tag);
	}
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_watch_next(watch, NULL, NULL, &(struct convo_call){.timeout_ms = 300},
					&err));
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* ---- W2 ---------------------------------------------------------------------------------- */

static void test_W2_nothing_is_there_while_nobody_watches(void **state)
{
	convo_store *store;
	convo_watch *watch;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	must_equal(0, channels_of(redis));
	watch = watch_of(store);
	must_become(3, channels_of);
	must_equal(1, ears_of(redis));
	convo_watch_remove(watch, &heard_keys[0]);
	must_become(2, channels_of);
	convo_watch_free(watch);
	must_become(0, channels_of);
	must_equal(0, ears_of(redis));
	convo_store_close(store);
}

static void test_W2_thousands_of_sessions_are_heard_of(void **state)
{
	enum { MANY = 3000 };
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	must_pass(convo_watch_new(&watch, store, &err));
	for (int i = 0; i < MANY; i++) {
		const struct convo_key key = {"app", test_text("u%d", i % 7), test_text("s%d", i)};

		must_pass(convo_watch_add(watch, &key, NULL, &err));
	}
	must_become(MANY + 1, channels_of);
	hear_out(watch);
	for (int i = 0; i < MANY; i += MANY / 5) {
		const struct convo_key key = {"app", test_text("u%d", i % 7), test_text("s%d", i)};

		must_pass(convo_store_create(other, &key, NULL, NULL, NULL, &err));
		must_hear(watch, key.session);
	}
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* ---- W3 ---------------------------------------------------------------------------------- */

/* Both are told of, and again of what happens then. */
static void must_hear_again(convo_watch *watch, convo_store *other)
{
	must_hear_both(watch);
	hear_out(watch);
	must_equal(1, ears_of(redis));
	heard_say(other, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
}

static void end_ears(void)
{
	(void)number_of(redis, "CLIENT KILL TYPE pubsub");
}

static void test_W3_there_is_news_of_all_after_a_lost_connection(void **state)
{
	convo_store *store, *other;
	convo_watch *watch;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	heard_create(store, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(1, number_of(redis, "CLIENT KILL TYPE pubsub"));
	must_hear_again(watch, other);
	convo_store_close(store);
}

static void test_W3_there_is_news_of_all_after_a_restart_of_the_server(void **state)
{
	convo_store *store, *other;
	convo_watch *watch;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	watch = watch_of(store);
	hear_out(watch);
	server_kill(redis);
	server_restart(redis);
	must_hear_both(watch);
	hear_out(watch);
	heard_create(other, "b"); /* it has kept nothing */
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

static void test_W3_there_is_news_of_all_after_a_connection_that_fell_silent(void **state)
{
	struct proxy *proxy;
	convo_store *store, *other;
	convo_watch *watch;

	(void)state;
	redis_needed();
	proxy = proxy_start(redis->host, redis->port);
	store = store_open(test_text("redis://127.0.0.1:%d?timeout=1s", proxy_port(proxy)));
	other = store_open(redis->url);
	heard_create(other, "b");
	watch = watch_of(store);
	hear_out(watch);
	proxy_mute(proxy);
	must_hear_both(watch);
	hear_out(watch);
	heard_say(other, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	proxy_end(proxy);
}

/* A server hangs up on who does not read what it is told. */
static void test_W3_there_is_news_of_all_after_more_than_can_be_told(void **state)
{
	convo_store *store, *other;
	convo_watch *watch;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	heard_create(store, "b");
	watch = watch_of(store);
	hear_out(watch);
	server_ask(redis, "CONFIG SET client-output-buffer-limit \"pubsub 65536 0 0\"");
	server_ask(redis, "EVAL \"for i = 1, 1000 do redis.call('PUBLISH', 'convo:ears', "
			  "string.rep('x', 1000)) end\" 0");
	must_hear_again(watch, other);
	server_ask(redis, "CONFIG SET client-output-buffer-limit \"pubsub 33554432 8388608 60\"");
	convo_store_close(store);
}

static void test_W3_followers_miss_nothing_while_ears_are_killed(void **state)
{
	convo_store *store, *other;

	(void)state;
	redis_needed();
	store = store_open(redis->url);
	other = store_open(redis->url);
	heard_must_flow(store, other, end_ears);
	convo_store_close(other);
	convo_store_close(store);
}

/* ---- rights ------------------------------------------------------------------------------- */

static struct server *auth_needed(void)
{
	struct server *server = server_start(SERVER_REDIS_AUTH, SERVER_FAST);

	if (!server)
		test_skip("no redis-server to test with");
	if (strstr(server_ask(server, "INFO server"), "redis_version:6")) {
		server_end(server);
		test_skip("a Redis that has no rights to channels");
	}
	return server;
}

static void test_W1_the_rights_in_the_docs_are_enough(void **state)
{
	struct server *server = auth_needed();
	convo_store *other;
	struct asked asked;
	const char *url;

	(void)state;
	server_ask(
		server,
		"ACL SETUSER small on \">password\" \"~convo:*\" resetchannels \"&convo:*\" -@all "
		"+ping +select +info +publish +subscribe +unsubscribe +eval +evalsha +get +set "
		"+exists +rename +unlink +persist +pexpire +pttl +hset +hget +hmget +hgetall "
		"+hdel +hstrlen +zadd +zrem +zrange +zrevrange +zrangebyscore "
		"+zrevrangebyscore +strlen +getrange +setrange +time");
	url = test_text("redis://small:password@127.0.0.1:%d", server->port);
	asked_open(&asked, url);
	other = store_open(url);
	asked_must_hear_all(&asked, other);
	convo_store_close(other);
	asked_close(&asked);
	server_end(server);
}

/* A user who may do everything but what is said. */
static convo_store *store_as(struct server *server, const char *name, const char *rights)
{
	server_ask(server, "ACL SETUSER %s on \">password\" \"~*\" +@all allchannels %s", name,
		   rights);
	return store_open(test_text("redis://%s:password@127.0.0.1:%d", name, server->port));
}

/* He writes, and nothing fails for what he may not; he watches, and is told late but not never. */
static void must_do_without(struct server *server, const char *rights)
{
	convo_store *store = store_as(server, "small", rights), *other;
	convo_watch *watch;

	other = store_as(server, "large", "+ping");
	server_ask(server, "ACL LOG RESET");
	heard_create(store, "a");
	heard_create(store, "b");
	heard_say(store, "a");
	must_equal_str("", server_ask(server, "ACL LOG")); /* nor does it fill the server's log */
	watch = watch_of(store);
	hear_out(watch);
	must_equal(0, ears_of(server));
	heard_say(other, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	server_ask(server, "FLUSHALL");
}

static void test_W1_without_the_rights_sessions_are_asked_for(void **state)
{
	struct server *server = auth_needed();

	(void)state;
	must_do_without(server, "resetchannels");
	must_do_without(server, "resetchannels \"&other:*\"");
	must_do_without(server, "-publish");
	server_end(server);
}

static void test_W1_who_may_not_hear_asks(void **state)
{
	struct server *server = auth_needed();
	convo_store *store = store_as(server, "small", "-subscribe");
	convo_store *other = store_as(server, "large", "+ping");
	convo_watch *watch;

	(void)state;
	heard_create(other, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(0, ears_of(server));
	heard_say(other, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	server_end(server);
}

/* A right that is taken away costs no call and no news. */
static void test_W1_rights_that_are_taken_away_are_done_without(void **state)
{
	struct server *server = auth_needed();
	convo_store *store = store_as(server, "small", "+ping");
	convo_store *other = store_as(server, "large", "+ping");
	convo_watch *watch;

	(void)state;
	heard_create(store, "a");
	heard_create(store, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(1, ears_of(server));
	server_ask(server, "ACL SETUSER small resetchannels");
	hear_out(watch);
	must_equal(0, ears_of(server));
	heard_say(store, "a");
	must_hear(watch, "a");
	hear_out(watch); /* it was told, and finds it by asking, too */
	heard_say(other, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	server_end(server);
}

/* Those who cannot tell, like programs of before, are heard of by who asks now and then. */
static void test_W1_what_is_not_told_is_asked_for_now_and_then(void **state)
{
	struct server *server = auth_needed();
	convo_store *store = store_as(server, "large", "+ping");
	convo_store *mute = store_as(server, "small", "-publish");
	convo_watch *watch;

	(void)state;
	heard_create(store, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(1, ears_of(server));
	heard_say(mute, "b");
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(mute);
	convo_store_close(store);
	server_end(server);
}

/* ---- servers that say something else --------------------------------------------------------- */

#define OPENED "*3\r\n:0\r\n$1\r\n1\r\n:1\r\n"
#define HEARD "*3\r\n$9\r\nsubscribe\r\n$10\r\nconvo:ears\r\n:1\r\n"

static void test_W3_nonsense_ends_the_hearing_alone(void **state)
{
	static const char *const said[] = {
		"-ERR unknown command 'SUBSCRIBE'\r\n",
		"-LOADING Redis is loading the dataset in memory\r\n",
		"+OK\r\n",
		":1\r\n",
		"$-1\r\n",
		"*-1\r\n",
		"*0\r\n",
		"*2\r\n$4\r\npong\r\n$0\r\n\r\n",
		"*3\r\n:1\r\n:2\r\n:3\r\n",
		"*3\r\n$9\r\nsubscribe\r\n*0\r\n:1\r\n",
		"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
		HEARD
		"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$0\r\n\r\n*3\r\n$7\r\nmessage\r\n$-1\r\n:1\r\n",
		HEARD HEARD HEARD "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
		HEARD "*3\r\n$7\r\nmess",
		HEARD "-NOPERM this user has no permissions\r\n",
		"HTTP/1.1 400 Bad Request\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct fake_redis *fake = fake_redis_start();
		convo_store *store;
		convo_watch *watch;

		fake_redis_say(fake, "EVALSHA", OPENED);
		fake_redis_say(fake, "SUBSCRIBE", said[i]);
		store = store_open(
			test_text("redis://127.0.0.1:%d?timeout=1s", fake_redis_port(fake)));
		watch = watch_of(store);
		must_hear_both(watch);
		nap_ms(200);
		convo_watch_free(watch);
		convo_store_close(store);
		fake_redis_end(fake);
	}
}

#define REDIS_TEST(name) cmocka_unit_test_setup(name, redis_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REDIS_TEST(test_W1_all_that_happens_is_told),
		REDIS_TEST(test_W1_all_that_happens_is_told_by_TLS),
		REDIS_TEST(test_N1_names_do_not_hear_each_other),
		REDIS_TEST(test_W2_nothing_is_there_while_nobody_watches),
		REDIS_TEST(test_W2_thousands_of_sessions_are_heard_of),
		REDIS_TEST(test_W3_there_is_news_of_all_after_a_lost_connection),
		REDIS_TEST(test_W3_there_is_news_of_all_after_a_restart_of_the_server),
		REDIS_TEST(test_W3_there_is_news_of_all_after_a_connection_that_fell_silent),
		REDIS_TEST(test_W3_there_is_news_of_all_after_more_than_can_be_told),
		REDIS_TEST(test_W3_followers_miss_nothing_while_ears_are_killed),
		REDIS_TEST(test_W1_the_rights_in_the_docs_are_enough),
		REDIS_TEST(test_W1_without_the_rights_sessions_are_asked_for),
		REDIS_TEST(test_W1_who_may_not_hear_asks),
		REDIS_TEST(test_W1_rights_that_are_taken_away_are_done_without),
		REDIS_TEST(test_W1_what_is_not_told_is_asked_for_now_and_then),
		REDIS_TEST(test_W3_nonsense_ends_the_hearing_alone),
	};
	int rc;

	redis = server_start(SERVER_REDIS, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(redis);
	return rc;
}
