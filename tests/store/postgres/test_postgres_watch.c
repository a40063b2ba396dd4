/*
 * Hearing of sessions from the server: connections that are killed, servers that restart, a pooler in
 * between, and that nothing of it is there while nobody watches.
 */
#include "store/shared/sql_suite.h"

#include <convo/watch.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define SOON_MS 20000

static const struct convo_key keys[] = {{"app", "user", "a"}, {"app", "user", "b"}};

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static convo_watch *watch_of(convo_store *store)
{
	convo_watch *watch = NULL;
	struct convo_err err;

	must_pass(convo_watch_new(&watch, store, &err));
	for (size_t i = 0; i < 2; i++)
		must_pass(convo_watch_add(watch, &keys[i], NULL, &err));
	return watch;
}

/* Let pass what comes without need. */
static void hear_out(convo_watch *watch)
{
	const struct convo_call quiet = {.timeout_ms = 2500};
	struct convo_err err;

	while (convo_watch_next(watch, NULL, NULL, &quiet, &err) == 0)
		;
	must_equal(CONVO_E_TIMEOUT, err.code);
}

static void must_hear(convo_watch *watch, const char *session)
{
	const struct convo_call soon = {.timeout_ms = SOON_MS};
	struct convo_key key;
	struct convo_err err;

	must_pass(convo_watch_next(watch, &key, NULL, &soon, &err));
	must_equal_str(session, key.session);
}

static void must_hear_both(convo_watch *watch)
{
	const struct convo_call soon = {.timeout_ms = SOON_MS};
	bool heard[2] = {false, false};
	struct convo_key key;
	struct convo_err err;

	while (!heard[0] || !heard[1]) {
		must_pass(convo_watch_next(watch, &key, NULL, &soon, &err));
		heard[*key.session == 'b'] = true;
	}
}

static long number(const char *sql)
{
	return strtol(server_ask(sql_server, "%s", sql), NULL, 10);
}

/* Wait until a question has this answer. */
static void must_become(long value, const char *sql)
{
	int tries = 0;

	while (number(sql) != value && tries++ < SOON_MS / 20)
		nap_ms(20);
	must_equal(value, number(sql));
}

/* End the connections that hear, whatever they do: their last statement tells them. */
static long kill_ears(void)
{
	return number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
		      "query LIKE 'SELECT watch_ear%' OR query LIKE 'LISTEN %'");
}

static void test_W3_there_is_news_of_all_after_a_lost_connection(void **state)
{
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=watch_"));
	other = sql_open(sql_url(NULL, "prefix=watch_"));
	sql_create(store, "a");
	sql_create(store, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(1, number("SELECT count(*) FROM watch_ears"));
	must_equal(2, number("SELECT count(*) FROM watch_watchers"));
	must_equal(1, kill_ears());
	must_hear_both(watch);
	hear_out(watch);
	must_pass(sql_say(other, "b", &err));
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

static void test_W3_there_is_news_of_all_after_a_restart_of_the_server(void **state)
{
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=watch_"));
	other = sql_open(sql_url(NULL, "prefix=watch_"));
	watch = watch_of(store);
	hear_out(watch);
	server_kill(sql_server);
	server_restart(sql_server);
	must_hear_both(watch);
	hear_out(watch);
	must_pass(sql_say(other, "a", &err));
	must_hear(watch, "a");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

#define EVENTS 200

struct following {
	convo_store *store, *other;
	atomic_int following;
};

/* The first writes, the second kills ears, the others follow and see each event once. */
static void follow_run(void *ctx, int index)
{
	struct following *following = ctx;
	convo_watch *watch;
	struct convo_err err;
	int64_t last = 0;

	if (index == 0) {
		for (int i = 0; i < EVENTS; i++) {
			must_pass(sql_say(following->other, "followed", &err));
			nap_ms(10);
		}
		return;
	}
	if (index == 1) {
		while (atomic_load(&following->following)) {
			nap_ms(300);
			kill_ears();
		}
		return;
	}
	must_pass(convo_watch_new(&watch, following->store, &err));
	must_pass(
		convo_watch_add(watch, &(struct convo_key){"app", "user", "followed"}, NULL, &err));
	while (last < EVENTS) {
		const struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .seq = last};
		convo_session *session = NULL;

		must_hear(watch, "followed");
		must_pass(convo_store_load(&session, following->store,
					   &(struct convo_key){"app", "user", "followed"}, &window,
					   NULL, &err));
		for (size_t i = 0; i < convo_session_count(session); i++)
			must_equal(++last, convo_session_event(session, i)->seq);
		convo_session_free(session);
	}
	convo_watch_free(watch);
	atomic_fetch_sub(&following->following, 1);
}

static void test_W3_followers_miss_nothing_while_ears_are_killed(void **state)
{
	struct following following = {.following = 4};

	(void)state;
	sql_needed();
	following.store = sql_open(sql_url(NULL, "prefix=watch_"));
	following.other = sql_open(sql_url(NULL, "prefix=watch_"));
	sql_create(following.store, "followed");
	test_threads(6, follow_run, &following);
	convo_store_close(following.other);
	convo_store_close(following.store);
}

static void test_W2_nothing_is_there_while_nobody_watches(void **state)
{
	convo_store *store;
	convo_watch *watch;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=quiet_"));
	must_become(0, "SELECT count(*) FROM quiet_ears");
	watch = watch_of(store);
	must_become(2, "SELECT count(*) FROM quiet_watchers");
	convo_watch_remove(watch, &keys[0]);
	must_become(1, "SELECT count(*) FROM quiet_watchers");
	convo_watch_free(watch);
	must_become(0, "SELECT count(*) FROM quiet_watchers");
	must_become(0, "SELECT count(*) FROM quiet_ears");
	must_become(0, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' OR "
		       "query LIKE 'SELECT quiet_ear%'");
	convo_store_close(store);
}

static void test_W2_ears_that_are_gone_without_a_word_are_removed(void **state)
{
	convo_store *store;
	struct convo_err err;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=watch_"));
	server_ask(sql_server, "INSERT INTO watch_ears (until) VALUES (now() - interval '1 s')");
	server_ask(sql_server, "INSERT INTO watch_watchers SELECT 'app', 'user', 'a', no, 7 "
			       "FROM watch_ears WHERE until < now()");
	must_equal(1, number("SELECT count(*) FROM watch_watchers WHERE tag = 7"));
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	must_equal(0, number("SELECT count(*) FROM watch_watchers WHERE tag = 7"));
	must_equal(0, number("SELECT count(*) FROM watch_ears WHERE until < now()"));
	convo_store_close(store);
}

static void test_W1_behind_a_pooler_sessions_are_asked_for(void **state)
{
	struct server *bouncer;
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	sql_needed();
	bouncer = server_start_pgbouncer(sql_server);
	if (!bouncer)
		test_skip("no pgbouncer");
	store = sql_open(test_text("%s?prefix=pooled_", bouncer->url));
	other = sql_open(sql_url(NULL, "prefix=pooled_"));
	sql_create(other, "a");
	sql_create(other, "b");
	watch = watch_of(store);
	hear_out(watch);
	must_equal(0, number("SELECT count(*) FROM pooled_ears"));
	must_pass(sql_say(other, "a", &err));
	must_hear(watch, "a");
	must_pass(convo_store_rename(other, &keys[1], "title", NULL, &err));
	must_hear(watch, "b");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	server_end(bouncer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W3_there_is_news_of_all_after_a_lost_connection),
		cmocka_unit_test(test_W3_there_is_news_of_all_after_a_restart_of_the_server),
		cmocka_unit_test(test_W3_followers_miss_nothing_while_ears_are_killed),
		cmocka_unit_test(test_W2_nothing_is_there_while_nobody_watches),
		cmocka_unit_test(test_W2_ears_that_are_gone_without_a_word_are_removed),
		cmocka_unit_test(test_W1_behind_a_pooler_sessions_are_asked_for),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
