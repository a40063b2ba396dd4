/*
 * Hearing of sessions from the server: connections that are killed, servers that restart, a pooler in
 * between, and that nothing of it is there while nobody watches.
 */
#include "store/shared/sql_suite.h"

#include <stdlib.h>

#include "store/shared/heard.h"

static long number(const char *sql)
{
	return strtol(server_ask(sql_server, "%s", sql), NULL, 10);
}

/* Wait until a question has this answer. */
static void must_become(long value, const char *sql)
{
	int tries = 0;

	while (number(sql) != value && tries++ < HEARD_SOON_MS / 20)
		nap_ms(20);
	must_equal(value, number(sql));
}

/* End the connections that hear, whatever they do: their last statement tells them. */
static long kill_ears(void)
{
	return number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
		      "query LIKE 'SELECT watch_ear%' OR query LIKE 'LISTEN %'");
}

static void end_ears(void)
{
	(void)kill_ears();
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

static void test_W3_followers_miss_nothing_while_ears_are_killed(void **state)
{
	convo_store *store, *other;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=watch_"));
	other = sql_open(sql_url(NULL, "prefix=watch_"));
	heard_must_flow(store, other, end_ears);
	convo_store_close(other);
	convo_store_close(store);
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
	convo_watch_remove(watch, &heard_keys[0]);
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
	must_pass(convo_store_rename(other, &heard_keys[1], "title", NULL, &err));
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
