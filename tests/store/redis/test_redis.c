/*
 * What is special to the Redis store: its keys and their lifetimes, scripts that are forgotten,
 * what a server may refuse and how that is told. The contract is in test_redis_contract.c, broken
 * networks in test_redis_faults.c, kills in test_redis_storm.c.
 */
#include <support/test.h>

#include <stdio.h>
#include <time.h>

#include <convo/store.h>

#include <base/clock.h>
#include <support/fake_redis.h>
#include <support/oom.h>
#include <support/proxy.h>
#include <support/servers.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define HOUR_US (INT64_C(3600) * 1000000)

static struct server *redis; /* NULL: not installed */

static const struct convo_key key = {"app", "user", "s"};
static const struct convo_store_options quiet = {.clean_interval_ms = -1};

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

static convo_store *store_open(const char *url, const struct convo_store_options *opts)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, url, opts ? opts : &quiet, &err));
	return store;
}

static void store_must_refuse(int code, const char *url, const struct convo_store_options *opts,
			      const char *text)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_fail_with(code, convo_store_open(&store, url, opts ? opts : &quiet, &err));
	must(store == NULL);
	if (!strstr(err.text, text))
		must_not_reach("'%s' does not say '%s'", err.text, text);
}

static void nap_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

static void create(convo_store *store, const struct convo_key *name)
{
	struct convo_err err;

	must_pass(convo_store_create(store, name, NULL, NULL, NULL, &err));
}

static int say(convo_store *store, const struct convo_key *name, struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO};

	return convo_store_append(store, name, NULL, &event, 1, NULL, NULL, err);
}

static void must_have_events(convo_store *store, const struct convo_key *name, size_t want)
{
	convo_session *session = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, store, name, NULL, NULL, &err));
	test_events(session, &n);
	must_equal(want, n);
	convo_session_free(session);
}

static void must_say(const char *want, const char *text)
{
	if (!strstr(text, want))
		must_not_reach("'%s' does not say '%s'", text, want);
}

/* ---- keys ------------------------------------------------------------------------------- */

static void test_N1_names_cannot_run_into_each_other(void **state)
{
	const struct convo_key keys[] = {{"a", "b:c", "d"}, {"a:b", "c", "d"},  {"a", "b", "c:d"},
					 {"a}", "{b", "d"}, {"a}{", "b", "d"},  {"a%3A", "b", "d"},
					 {"a:", "b", "d"},  {"a", "b", ":s:d"}, {"a", "b", "d"}};
	const size_t count = sizeof(keys) / sizeof(keys[0]);
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	for (size_t i = 0; i < count; i++)
		create(store, &keys[i]);
	for (size_t i = 0; i < count; i++) {
		for (size_t n = 0; n <= i; n++)
			must_pass(say(store, &keys[i], &err));
	}
	for (size_t i = 0; i < count; i++)
		must_have_events(store, &keys[i], i + 1);
	convo_store_close(store);
}

static void test_keys_of_a_user_share_a_slot(void **state)
{
	const struct convo_store_options opts = {.ttl_ms = 60000, .clean_interval_ms = -1};
	const struct convo_item items[] = {{.name = "a", .json = "1"},
					   {.name = "user:b", .json = "2"}};
	const struct convo_key other = {"app", "user", "other"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &opts);
	create(store, &key);
	create(store, &other);
	must_pass(say(store, &key, &err));
	must_pass(convo_store_state_set(store, &key, items, 2, NULL, &err));
	must_pass(convo_store_delete(store, &other, NULL, &err));
	must_equal_str("10", server_ask(redis, "DBSIZE"));
	must_equal_str("0", server_ask(redis, "EVAL \"local n = 0 for _, k in ipairs(redis.call("
					      "'KEYS', '*')) do if k ~= 'convo:schema' and not "
					      "string.find(k, 'convo:{app:user}', 1, true) then "
					      "n = n + 1 end end return n\" 0"));
	convo_store_close(store);
}

/* The number of keys that live longer than this many ms, or for ever. */
static int keys_beyond(int64_t ms)
{
	return atoi(server_ask(
		redis,
		"EVAL \"local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do local t = "
		"redis.call('PTTL', k) if t == -1 or t > tonumber(ARGV[1]) then n = n + 1 end "
		"end return n\" 0 %lld",
		(long long)ms));
}

static void test_T2_all_keys_of_a_session_go_by_themselves(void **state)
{
	const struct convo_store_options opts = {
		.ttl_ms = 1000, .trash_ms = 2000, .clean_interval_ms = -1};
	const struct convo_item item = {.name = "a", .json = "1"};
	const struct convo_key other = {"app", "user", "other"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &opts);
	create(store, &key);
	create(store, &other);
	must_pass(say(store, &key, &err));
	must_pass(say(store, &other, &err));
	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
	must_pass(convo_store_delete(store, &other, NULL, &err));
	/* All but the schema, a minute of grace included. */
	must_equal(1, keys_beyond(60000 + 2000));
	must_equal(0, keys_beyond(INT64_MAX / 2) - 1);
	must(keys_beyond(1) > 5);
	convo_store_close(store);
}

static void test_T3_a_handle_without_ttl_keeps_the_index_for_its_own(void **state)
{
	const struct convo_store_options ttl = {.ttl_ms = 1000, .clean_interval_ms = -1};
	const struct convo_key other = {"app", "user", "other"};
	convo_store *store, *brief;

	(void)state;
	redis_needed();
	brief = store_open(redis->url, &ttl);
	store = store_open(redis->url, NULL);
	create(brief, &key);
	must_equal(1, keys_beyond(61000));
	create(store, &other);
	/* The schema, the session and the list it is in. */
	must_equal(3, keys_beyond(61000));
	convo_store_close(brief);
	convo_store_close(store);
}

static void test_T4_what_ends_is_known_for_as_long_as_it_lives(void **state)
{
	const struct convo_store_options brief = {.ttl_ms = 1000, .clean_interval_ms = -1},
					 lasting = {.ttl_ms = 3600000, .clean_interval_ms = -1};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &brief);
	create(store, &key);
	convo_store_close(store);
	store = store_open(redis->url, &lasting);
	must_pass(say(store, &key, &err));
	/* The schema, the session, its events, live and due. */
	must_equal(5, keys_beyond(3600000));
	convo_store_close(store);
}

static void test_T4_new_sessions_push_out_those_that_are_over(void **state)
{
	const struct convo_store_options ttl = {.ttl_ms = 60000, .clean_interval_ms = -1};
	struct convo_key name = {"app", "user", NULL};
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &ttl);
	for (int i = 0; i < 25; i++) {
		name.session = test_text("old-%d", i);
		create(store, &name);
	}
	cv_clock_shift_us(HOUR_US);
	for (int i = 0; i < 3; i++) {
		name.session = test_text("new-%d", i);
		create(store, &name);
	}
	cv_clock_shift_us(0);
	must_equal_str("3", server_ask(redis, "ZCARD convo:{app:user}:live"));
	must_equal_str("3", server_ask(redis, "ZCARD convo:{app:user}:due"));
	/* Three sessions, live, due and the schema. */
	must_equal_str("6", server_ask(redis, "DBSIZE"));
	convo_store_close(store);
}

static void test_S4_nothing_is_left_of_what_is_purged(void **state)
{
	const struct convo_item items[] = {{.name = "a", .json = "1"},
					   {.name = "user:b", .json = "2"},
					   {.name = "app:c", .json = "3"}};
	const struct convo_item none[] = {{.name = "user:b"}, {.name = "app:c"}};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	for (int i = 0; i < 3; i++) {
		create(store, &key);
		must_pass(say(store, &key, &err));
		must_pass(convo_store_state_set(store, &key, items, 3, NULL, &err));
		must_pass(convo_store_delete(store, &key, NULL, &err));
	}
	must_pass(convo_store_purge(store, &key, NULL, NULL, &err));
	must_pass(convo_store_state_set(store, &key, none, 2, NULL, &err));
	must_equal_str("1", server_ask(redis, "DBSIZE"));
	convo_store_close(store);
}

static void test_A5_trimmed_events_leave_no_ids(void **state)
{
	const struct convo_store_options opts = {.event_limit = 10, .clean_interval_ms = -1};
	struct convo_created made;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &opts);
	must_pass(convo_store_create(store, &key, NULL, &made, NULL, &err));
	for (int i = 0; i < 50; i++)
		must_pass(say(store, &key, &err));
	must_equal_str("20", server_ask(redis, "HLEN convo:{app:user}:e:%s", made.generation));
	convo_store_close(store);
}

/* Append events of 300 kB, so that some of them are more than one answer. */
static void say_large(convo_store *store, size_t count)
{
	const size_t size = 300000;
	char *message = malloc(size + 64);
	const struct convo_event event = {.message = message};
	struct convo_err err;

	must(message);
	strcpy(message, "{\"role\":\"user\",\"content\":\"");
	memset(message + 26, 'x', size);
	strcpy(message + 26 + size, "\"}");
	for (size_t i = 0; i < count; i++)
		must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
	free(message);
}

static void test_S2_windows_larger_than_an_answer_are_read_in_pieces(void **state)
{
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	say_large(store, 100);
	must_have_events(store, &key, 100);
	convo_store_close(store);
}

struct view {
	struct proxy *proxy;
	convo_store *through, *trimming;
};

/* A view is of one moment: events in a row up to the last, as many as it says. */
static void view_load(convo_store *store)
{
	convo_session *session = NULL;
	const struct convo_event *events;
	const struct convo_meta *meta;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &n);
	meta = convo_session_meta(session);
	must_equal(meta->count, n);
	for (size_t i = 0; i < n; i++)
		must_equal(meta->last_seq - (int64_t)(n - 1 - i), events[i].seq);
	convo_session_free(session);
}

/* One loads; the other removes events while the request for the rest of them is held up. */
static void view_thread(void *ctx, int index)
{
	struct view *view = ctx;
	struct convo_err err;

	if (index == 0) {
		view_load(view->through);
		return;
	}
	while (!proxy_fired(view->proxy))
		nap_ms(1);
	must_pass(say(view->trimming, &key, &err));
}

static void test_S2_a_large_view_holds_while_events_are_removed(void **state)
{
	const struct convo_store_options trimming = {.event_limit = 5, .clean_interval_ms = -1};
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	struct view view = {NULL, NULL, NULL};
	convo_session *session = NULL;
	struct convo_err err;
	size_t turns = 0;

	(void)state;
	redis_needed();
	view.proxy = proxy_start(redis->host, redis->port);
	view.through =
		store_open(test_text("redis://127.0.0.1:%d?pool=1", proxy_port(view.proxy)), NULL);
	view.trimming = store_open(redis->url, &trimming);
	/* Three turns: a first part, a second that is gone, and all again in one. */
	for (int i = 0; i < 20 && turns < 3; i++) {
		create(view.through, &key);
		say_large(view.through, 30);
		for (int k = 0; k < 2; k++) {
			proxy_arm(view.proxy, PROXY_NONE, PROXY_REQUEST, 0);
			must_pass(
				convo_store_load(&session, view.through, &key, &none, NULL, &err));
			convo_session_free(session);
		}
		/* The request for a part is as long as that for nothing. */
		proxy_arm(view.proxy, PROXY_DELAY, PROXY_REQUEST,
			  proxy_passed(view.proxy, PROXY_REQUEST));
		test_threads(2, view_thread, &view);
		turns = proxy_turns(view.proxy);
		must_pass(convo_store_delete(view.through, &key, NULL, &err));
	}
	must_equal(3, turns);
	convo_store_close(view.trimming);
	convo_store_close(view.through);
	proxy_end(view.proxy);
}

/* ---- scripts and round trips ------------------------------------------------------------ */

static void test_L6_scripts_may_be_forgotten_at_any_time(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	for (int i = 0; i < 5; i++) {
		server_ask(redis, "SCRIPT FLUSH");
		must_pass(say(store, &key, &err));
		server_ask(redis, "SCRIPT FLUSH");
		must_have_events(store, &key, (size_t)i + 1);
	}
	convo_store_close(store);
}

static void flush_thread(void *ctx, int index)
{
	struct convo_err err;

	for (int i = 0; i < 50; i++) {
		if (index == 0 && i % 5 == 0)
			server_ask(redis, "SCRIPT FLUSH");
		must_pass(say(ctx, &key, &err));
	}
}

static void test_L6_scripts_may_be_forgotten_under_load(void **state)
{
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	test_threads(8, flush_thread, store);
	must_have_events(store, &key, 400);
	convo_store_close(store);
}

static void test_P1_create_append_and_load_take_one_round_trip(void **state)
{
	const struct convo_window last = {.n = 50};
	struct convo_key name = {"app", "user", "x"};
	convo_session *session = NULL;
	struct proxy *proxy;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	proxy = proxy_start(redis->host, redis->port);
	store = store_open(test_text("redis://127.0.0.1:%d?pool=1", proxy_port(proxy)), NULL);
	/* Scripts are known to the server after their first use. */
	for (int i = 0; i < 2; i++) {
		name.session = test_text("x%d", i);
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		create(store, &name);
	}
	must_equal(1, proxy_turns(proxy));
	for (int i = 0; i < 60; i++) {
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		must_pass(say(store, &name, &err));
	}
	must_equal(1, proxy_turns(proxy));
	for (int i = 0; i < 2; i++) {
		proxy_arm(proxy, PROXY_NONE, PROXY_REQUEST, 0);
		must_pass(convo_store_load(&session, store, &name, &last, NULL, &err));
		convo_session_free(session);
	}
	must_equal(1, proxy_turns(proxy));
	convo_store_close(store);
	proxy_end(proxy);
}

static void crowd_thread(void *ctx, int index)
{
	const struct convo_key mine = {"app", "user", test_text("crowd-%d", index)};
	struct convo_err err;

	create(ctx, &mine);
	for (int i = 0; i < 50; i++) {
		must_pass(say(ctx, &mine, &err));
		must_pass(say(ctx, &key, &err));
	}
	must_have_events(ctx, &mine, 50);
}

static void test_L4_a_pool_of_one_serves_eight_threads(void **state)
{
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(test_text("%s?pool=1", redis->url), NULL);
	create(store, &key);
	test_threads(8, crowd_thread, store);
	must_have_events(store, &key, 400);
	convo_store_close(store);
}

/* ---- calls, one each -------------------------------------------------------------------- */

static int call_open(convo_store *store, struct convo_err *err)
{
	convo_store *other = NULL;
	int rc = convo_store_open(&other, redis->url, &quiet, err);

	(void)store;
	must(rc < 0 ? !other : other != NULL);
	convo_store_close(other);
	return rc;
}

static int call_append(convo_store *store, struct convo_err *err)
{
	return say(store, &key, err);
}

static int call_load(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	convo_session_free(session);
	return rc;
}

static int call_set(convo_store *store, struct convo_err *err)
{
	const struct convo_item item = {.name = "user:n", .json = "1"};

	return convo_store_state_set(store, &key, &item, 1, NULL, err);
}

static int call_get(convo_store *store, struct convo_err *err)
{
	char *json = NULL;
	int rc = convo_store_state_get(&json, store, &key, "user:n", NULL, err);

	free(json);
	return rc;
}

static int call_list(convo_store *store, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	const struct convo_meta *metas;
	size_t count;
	int rc = convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, err);

	if (rc >= 0)
		rc = test_list(store, cursor, 10, &metas, &count, err);
	convo_cursor_free(cursor);
	return rc;
}

/* ---- who may ---------------------------------------------------------------------------- */

static void test_L5_a_password_and_a_user_are_used_and_never_told(void **state)
{
	struct server *server = server_start(SERVER_REDIS_AUTH, SERVER_FAST);
	const char *place;
	struct convo_err err;
	convo_store *store;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	place = test_text("127.0.0.1:%d", server->port);
	store = store_open(server->url, NULL);
	create(store, &key);
	must_pass(say(store, &key, &err));
	must_equal_str(test_text("Redis (%s/0)", place), convo_store_describe(store));
	convo_store_close(store);
	store_must_refuse(CONVO_E_DENIED, test_text("redis://%s", place), NULL, "password");
	store_must_refuse(CONVO_E_DENIED, test_text("redis://%s:s3cret@%s", server->user, place),
			  NULL, "wrong user or password");
	/* The user may use keys that begin with "convo" alone. */
	store_must_refuse(CONVO_E_DENIED, test_text("%s?prefix=other", server->url), NULL,
			  "may not use");
	server_ask(server, "ACL SETUSER %s -zadd", server->user);
	store_must_refuse(CONVO_E_DENIED, server->url, NULL, "may not use");
	server_end(server);
}

/* Every operation once. */
static void do_everything(convo_store *store)
{
	const struct convo_item item = {.name = "a", .json = "1"}, none = {.name = "a"};
	struct convo_err err;

	create(store, &key);
	must_pass(say(store, &key, &err));
	must_pass(say(store, &key, &err));
	must_have_events(store, &key, 1);
	must_pass(convo_store_rename(store, &key, "title", NULL, &err));
	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
	must_pass(convo_store_state_set(store, &key, &none, 1, NULL, &err));
	must_pass(call_set(store, &err));
	must_pass(call_get(store, &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(call_list(store, &err));
	create(store, &key);
	must_pass(convo_store_purge(store, &key, NULL, NULL, &err));
	must_pass(call_list(store, &err));
}

static void test_E2_what_is_not_counted_in_time_is_said(void **state)
{
	const struct convo_call hurry = {.timeout_ms = 1};
	struct server *server = server_start(SERVER_REDIS, SERVER_FAST);
	struct convo_stats stats = {0};
	struct convo_err err;
	convo_store *store;
	int partial = 0;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	store = store_open(server_new_database(server), NULL);
	for (int i = 0; i < 1000; i++) {
		struct convo_key each = {"app", "user", test_text("%d", i)};

		must_pass(convo_store_create(store, &each, NULL, NULL, NULL, &err));
	}
	for (int i = 0; i < 20; i++) {
		must_pass(convo_store_stats(store, "app", NULL, &stats, &hurry, &err));
		must(stats.partial || stats.sessions == 1000);
		partial += stats.partial;
	}
	must(partial);
	convo_store_close(store);
	server_end(server);
}

static void test_the_rights_in_the_docs_are_enough(void **state)
{
	struct server *server = server_start(SERVER_REDIS_AUTH, SERVER_FAST);
	const char *url;
	convo_store *store;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	server_ask(server,
		   "ACL SETUSER small on \">password\" \"~convo:*\" resetchannels -@all "
		   "+ping +select +info +eval +evalsha +get +set +exists +rename +unlink "
		   "+persist +pexpire +pttl +hset +hget +hmget +hgetall +hdel +hstrlen +zadd "
		   "+zrem +zrange +zrevrange +zrangebyscore +zrevrangebyscore +strlen +getrange "
		   "+setrange +time");
	url = test_text("redis://small:password@127.0.0.1:%d?limit=1&ttl=1h", server->port);
	store = store_open(url, NULL);
	do_everything(store);
	convo_store_close(store);
	server_ask(server, "ACL SETUSER small -info");
	convo_store_close(store_open(url, NULL));
	server_end(server);
}

static void test_L5_TLS_is_verified(void **state)
{
	struct server *server = server_start(SERVER_REDIS_TLS, SERVER_FAST);
	struct convo_err err;
	convo_store *store;

	(void)state;
	if (!server)
		test_skip("no redis-server to test with");
	store = store_open(server->url, NULL);
	create(store, &key);
	for (int i = 0; i < 20; i++)
		must_pass(say(store, &key, &err));
	must_have_events(store, &key, 20);
	convo_store_close(store);
	store_must_refuse(CONVO_E_IO, test_text("rediss://localhost:%d", server->port), NULL,
			  "not trusted");
	/* The certificate names localhost and 127.0.0.1, and this leads there too. */
	store_must_refuse(CONVO_E_IO,
			  test_text("rediss://0.0.0.0:%d?ca=%s", server->port, server->ca_file),
			  NULL, "not trusted: IP address mismatch");
	store_must_refuse(CONVO_E_INVALID,
			  test_text("rediss://localhost:%d?ca=/nowhere", server->port), NULL,
			  "/nowhere");
	store_must_refuse(CONVO_E_GONE, test_text("redis://localhost:%d", server->port), NULL,
			  "redis localhost");
	server_end(server);
}

static void test_unix_sockets_and_databases(void **state)
{
	struct convo_err err;
	convo_store *store, *other;

	(void)state;
	redis_needed();
	store = store_open(test_text("redis://%s?db=3", redis->socket), NULL);
	must_equal_str(test_text("Redis (%s/3)", redis->socket), convo_store_describe(store));
	create(store, &key);
	must_pass(say(store, &key, &err));
	other = store_open(test_text("valkey://localhost:%d/3", redis->port), NULL);
	must_have_events(other, &key, 1);
	convo_store_close(store);
	convo_store_close(other);
	store_must_refuse(CONVO_E_INVALID, test_text("redis://localhost:%d/99", redis->port), NULL,
			  "no database of that number");
	store_must_refuse(CONVO_E_INVALID, test_text("redis://localhost:%d/x", redis->port), NULL,
			  "must be a number");
}

/* ---- what a server may refuse ----------------------------------------------------------- */

static void test_L2_nobody_listens(void **state)
{
	int64_t begin_us = cv_clock_mono_us();
	int port = test_port();

	(void)state;
	store_must_refuse(CONVO_E_GONE, test_text("redis://127.0.0.1:%d", port), NULL,
			  test_text("redis 127.0.0.1:%d: connection refused", port));
	store_must_refuse(CONVO_E_GONE, "redis:///nowhere/redis.sock", NULL,
			  "redis /nowhere/redis.sock: no such file");
	store_must_refuse(CONVO_E_GONE, "redis://no-such-host.invalid", NULL, "no-such-host");
	must(cv_clock_mono_us() - begin_us < 12000000);
}

static void test_L2_a_server_that_hangs_ends_in_a_timeout(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 200, .clean_interval_ms = -1};
	int64_t begin_us;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &opts);
	create(store, &key);
	server_pause(redis);
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT, say(store, &key, &err));
	must(err.maybe);
	must(cv_clock_mono_us() - begin_us < 1000000);
	/* The connection that was given up is replaced, but nobody greets us. */
	must_fail_with(CONVO_E_TIMEOUT, say(store, &key, &err));
	must(!err.maybe);
	store_must_refuse(CONVO_E_TIMEOUT, redis->url, &opts, "no answer in time");
	server_resume(redis);
	must_pass(say(store, &key, &err));
	convo_store_close(store);
}

static void hang_thread(void *ctx, int index)
{
	struct convo_err err;
	int64_t begin_us, took_us;

	nap_ms(index * 40);
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT, say(ctx, &key, &err));
	took_us = cv_clock_mono_us() - begin_us;
	if (took_us > 450000)
		must_not_reach("caller %d waited %d ms", index, (int)(took_us / 1000));
}

static void test_L2_none_waits_for_those_with_more_time(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 300, .clean_interval_ms = -1};
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, &opts);
	create(store, &key);
	server_pause(redis);
	test_threads(12, hang_thread, store);
	server_resume(redis);
	must_pass(say(store, &key, &err));
	convo_store_close(store);
}

static void test_A8_a_server_out_of_memory_stores_nothing(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	must_pass(say(store, &key, &err));
	server_ask(redis, "CONFIG SET maxmemory 1");
	must_fail_with(CONVO_E_FULL, say(store, &key, &err));
	must(!err.maybe);
	must_say("out of memory", err.text);
	must_have_events(store, &key, 1);
	store_must_refuse(CONVO_E_FULL, test_text("%s?prefix=new", redis->url), NULL,
			  "out of memory");
	/* What frees memory works, and so does opening what is there. */
	convo_store_close(store);
	store = store_open(redis->url, NULL);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_purge(store, &key, NULL, NULL, &err));
	server_ask(redis, "CONFIG SET maxmemory 0");
	create(store, &key);
	must_pass(say(store, &key, &err));
	convo_store_close(store);
}

static void test_A8_a_replica_is_read_only(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	must_pass(say(store, &key, &err));
	server_ask(redis, "REPLICAOF 127.0.0.1 1");
	must_fail_with(CONVO_E_READONLY, say(store, &key, &err));
	must(!err.maybe);
	must_say("read-only replica", err.text);
	must_have_events(store, &key, 1);
	store_must_refuse(CONVO_E_READONLY, test_text("%s?prefix=new", redis->url), NULL,
			  "read-only replica");
	server_ask(redis, "REPLICAOF NO ONE");
	must_pass(say(store, &key, &err));
	convo_store_close(store);
}

static void test_L3_a_busy_server_is_waited_for(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	struct convo_err err;
	convo_store *store;

	(void)state;
	fake_redis_say(fake, "EVALSHA", "*2\r\n:0\r\n$1\r\n1\r\n");
	store = store_open(test_text("redis://127.0.0.1:%d", fake_redis_port(fake)), NULL);
	fake_redis_say(fake, "EVALSHA", "-LOADING Redis is loading the dataset in memory\r\n");
	fake_redis_say(fake, "EVALSHA", "-LOADING Redis is loading the dataset in memory\r\n");
	fake_redis_say(fake, "EVALSHA", "-BUSY Redis is busy running a script.\r\n");
	fake_redis_say(fake, "EVALSHA", "*2\r\n:0\r\n:1\r\n");
	must_pass(say(store, &key, &err));
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_L2_a_server_busy_for_too_long_has_stored_nothing(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 200, .clean_interval_ms = -1};
	struct fake_redis *fake = fake_redis_start();
	struct convo_err err;
	convo_store *store;

	(void)state;
	fake_redis_say(fake, "EVALSHA", "*2\r\n:0\r\n$1\r\n1\r\n");
	store = store_open(test_text("redis://127.0.0.1:%d", fake_redis_port(fake)), &opts);
	for (int i = 0; i < 200; i++)
		fake_redis_say(fake, "EVALSHA", "-LOADING Redis is loading\r\n");
	must_fail_with(CONVO_E_IO, say(store, &key, &err));
	must(!err.maybe);
	must_say("LOADING", err.text);
	convo_store_close(store);
	fake_redis_end(fake);
}

static void test_odd_servers_are_refused(void **state)
{
	static const struct {
		const char *command, *reply;
		int code;
		const char *text;
	} odd[] = {
		{"INFO", "$19\r\nredis_version:4.0.9\r\n", CONVO_E_UNSUPPORTED, "too old"},
		{"PING", "HTTP/1.1 400 Bad Request\r\n\r\n", CONVO_E_IO, "does not answer like"},
		{"PING", "-ERR max number of clients reached\r\n", CONVO_E_IO, "too many clients"},
		{"PING", "-DENIED Redis is running in protected mode\r\n", CONVO_E_DENIED,
		 "protected"},
		{"EVALSHA", "-MOVED 1234 127.0.0.1:7000\r\n", CONVO_E_UNSUPPORTED, "cluster"},
		{"EVALSHA", "*2\r\n:0\r\n$1\r\n9\r\n", CONVO_E_VERSION, "newer convo"},
		{"EVALSHA", "*2\r\n:0\r\n$3\r\nabc\r\n", CONVO_E_VERSION, "not of convo"},
		{"EVALSHA", "+OK\r\n", CONVO_E_IO, "unexpected answer"},
		{"EVALSHA", "-ERR unknown command 'EVALSHA', with args beginning with: x\r\n",
		 CONVO_E_UNSUPPORTED, "version 5"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct fake_redis *fake = fake_redis_start();

		fake_redis_say(fake, odd[i].command, odd[i].reply);
		store_must_refuse(odd[i].code,
				  test_text("redis://127.0.0.1:%d", fake_redis_port(fake)), NULL,
				  odd[i].text);
		fake_redis_end(fake);
	}
}

/* ---- schema ----------------------------------------------------------------------------- */

static void test_L1_a_newer_store_is_refused_and_left_alone(void **state)
{
	(void)state;
	redis_needed();
	server_ask(redis, "SET convo:schema 2");
	store_must_refuse(CONVO_E_VERSION, redis->url, NULL, "newer convo");
	must_equal_str("1", server_ask(redis, "DBSIZE"));
	must_equal_str("2", server_ask(redis, "GET convo:schema"));
	server_ask(redis, "DEL convo:schema");
	server_ask(redis, "RPUSH convo:schema x");
	store_must_refuse(CONVO_E_VERSION, redis->url, NULL, "WRONGTYPE");
}

static void test_L1_stores_with_other_prefixes_are_others(void **state)
{
	convo_store *one, *two;
	struct convo_err err;

	(void)state;
	redis_needed();
	one = store_open(test_text("%s?prefix=one", redis->url), NULL);
	two = store_open(test_text("%s?prefix=two", redis->url), NULL);
	create(one, &key);
	must_fail_with(CONVO_E_NOTFOUND, say(two, &key, &err));
	create(two, &key);
	convo_store_close(one);
	convo_store_close(two);
}

static void test_L5_evicted_keys_are_told(void **state)
{
	convo_session *session = NULL;
	struct convo_created made;
	struct convo_err err;
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	must_pass(convo_store_create(store, &key, NULL, &made, NULL, &err));
	must_pass(say(store, &key, &err));
	server_ask(redis, "DEL convo:{app:user}:e:%s", made.generation);
	must_fail_with(CONVO_E_IO, convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_say("evict", err.text);
	convo_store_close(store);
}

/* ---- memory ----------------------------------------------------------------------------- */

/* Memory that runs out while an answer is read costs the connection, and the certainty. */
static void test_A8_each_allocation_failing_is_an_error(void **state)
{
	int (*const calls[])(convo_store *, struct convo_err *) = {
		call_open, call_append, call_load, call_set, call_get, call_list};
	convo_store *store;

	(void)state;
	redis_needed();
	store = store_open(redis->url, NULL);
	create(store, &key);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (size_t n = 1; test_oom_at(n); n++) {
			struct convo_err err = {0};
			int rc = calls[i](store, &err);
			bool hit = test_oom_end();

			if (hit ? rc != CONVO_E_NOMEM && !(rc == CONVO_E_IO && err.maybe) : rc != 0)
				must_not_reach("call %zu, allocation %zu: %d %s", i, n, rc,
					       err.text);
			must_equal(0, calls[i](store, &err));
		}
	}
	convo_store_close(store);
}

#define REDIS_TEST(name) cmocka_unit_test_setup(name, redis_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REDIS_TEST(test_N1_names_cannot_run_into_each_other),
		REDIS_TEST(test_keys_of_a_user_share_a_slot),
		REDIS_TEST(test_T2_all_keys_of_a_session_go_by_themselves),
		REDIS_TEST(test_T3_a_handle_without_ttl_keeps_the_index_for_its_own),
		REDIS_TEST(test_T4_what_ends_is_known_for_as_long_as_it_lives),
		REDIS_TEST(test_T4_new_sessions_push_out_those_that_are_over),
		REDIS_TEST(test_S4_nothing_is_left_of_what_is_purged),
		REDIS_TEST(test_A5_trimmed_events_leave_no_ids),
		REDIS_TEST(test_S2_windows_larger_than_an_answer_are_read_in_pieces),
		REDIS_TEST(test_S2_a_large_view_holds_while_events_are_removed),
		REDIS_TEST(test_L6_scripts_may_be_forgotten_at_any_time),
		REDIS_TEST(test_L6_scripts_may_be_forgotten_under_load),
		REDIS_TEST(test_P1_create_append_and_load_take_one_round_trip),
		REDIS_TEST(test_L4_a_pool_of_one_serves_eight_threads),
		REDIS_TEST(test_L5_a_password_and_a_user_are_used_and_never_told),
		REDIS_TEST(test_E2_what_is_not_counted_in_time_is_said),
		REDIS_TEST(test_the_rights_in_the_docs_are_enough),
		REDIS_TEST(test_L5_TLS_is_verified),
		REDIS_TEST(test_unix_sockets_and_databases),
		REDIS_TEST(test_L2_nobody_listens),
		REDIS_TEST(test_L2_a_server_that_hangs_ends_in_a_timeout),
		REDIS_TEST(test_L2_none_waits_for_those_with_more_time),
		REDIS_TEST(test_A8_a_server_out_of_memory_stores_nothing),
		REDIS_TEST(test_A8_a_replica_is_read_only),
		REDIS_TEST(test_L3_a_busy_server_is_waited_for),
		REDIS_TEST(test_L2_a_server_busy_for_too_long_has_stored_nothing),
		REDIS_TEST(test_odd_servers_are_refused),
		REDIS_TEST(test_L1_a_newer_store_is_refused_and_left_alone),
		REDIS_TEST(test_L1_stores_with_other_prefixes_are_others),
		REDIS_TEST(test_L5_evicted_keys_are_told),
		REDIS_TEST(test_A8_each_allocation_failing_is_an_error),
	};
	int rc;

	redis = server_start(SERVER_REDIS, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(redis);
	return rc;
}
