/*
 * PostgreSQL as operators run it: schemas that are not public, row level security, timeouts and
 * isolation of their own, few connections, commits that wait for a standby which is away. What is
 * refused says so, and nothing is half done.
 */
#include "store/shared/sql_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#include "store/shared/calls.h"

static void nap_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

static void must_say(const char *want, const char *text)
{
	if (!strstr(text, want))
		must_not_reach("'%s' does not say '%s'", text, want);
}

/* The server's URL for another role and database, and ? with more. */
static const char *url_of(const char *role, const char *database, const char *more)
{
	return test_text("postgres://%s@127.0.0.1:%d/%s%s%s", role, sql_server->port, database,
			 more ? "?" : "", more ? more : "");
}

/* A database of its own, and a role that may connect to it and owns nothing. */
static void make_place(const char *name)
{
	sql_needed();
	server_ask(sql_server, "CREATE ROLE %s LOGIN", name);
	server_ask(sql_server, "CREATE DATABASE %s", name);
}

/* What psql says in a database. */
static const char *ask_in(const char *database, const char *sql)
{
	const char *const argv[] = {"/usr/bin/psql",
				    "-XAtq",
				    "-v",
				    "ON_ERROR_STOP=1",
				    "-h",
				    sql_server->socket,
				    "-p",
				    test_text("%d", sql_server->port),
				    "-U",
				    "convo",
				    "-d",
				    database,
				    "-c",
				    sql,
				    NULL};

	return test_run_program(argv);
}

/* Every call there is, each of which passes. */
static void must_all_work(const char *url)
{
	static const struct call all[] = {{"create", call_create},    {"append", call_append},
					  {"load", call_load},        {"list", call_list},
					  {"rename", call_rename},    {"state", call_state_set},
					  {"names", call_state_list}, {"delete", call_delete},
					  {"restore", call_restore},  {"delete", call_delete},
					  {"purge", call_purge}};
	convo_store *store = sql_open(url);
	struct convo_err err = {0};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].run(store, &err) < 0)
			must_not_reach("%s: %s", all[i].name, err.text);
	}
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	convo_store_close(store);
}

/* ---- schemas ------------------------------------------------------------------------------ */

static void test_L1_tables_go_to_the_schema_of_the_search_path(void **state)
{
	(void)state;
	make_place("narrow");
	ask_in("narrow", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
	sql_must_refuse(CONVO_E_DENIED, url_of("narrow", "narrow", NULL),
			"permission denied for schema public");
	sql_must_refuse(CONVO_E_DENIED,
			url_of("narrow", "narrow", "options=-csearch_path%3Dnowhere"),
			"(search_path)");
	ask_in("narrow", "CREATE SCHEMA own AUTHORIZATION narrow");
	ask_in("narrow", "CREATE SCHEMA other AUTHORIZATION narrow");
	must_all_work(url_of("narrow", "narrow", "options=-csearch_path%3Dother"));
	ask_in("narrow", "ALTER ROLE narrow SET search_path = own");
	must_all_work(url_of("narrow", "narrow", NULL));
	must_all_work(url_of("narrow", "narrow", "schema=check"));
	must_equal_str("own 9\nother 9",
		       ask_in("narrow", "SELECT n.nspname || ' ' || count(*) FROM pg_class AS c "
					"JOIN pg_namespace AS n ON n.oid = c.relnamespace "
					"WHERE c.relname LIKE 'convo%' AND c.relkind = 'r' "
					"GROUP BY n.nspname ORDER BY n.nspname DESC"));
}

/* ---- row level security -------------------------------------------------------------------- */

/* The tables belong to somebody else, and only rows that a policy lets through are there. */
static void secure(const char *name)
{
	make_place(name);
	convo_store_close(sql_open(url_of("convo", name, NULL)));
	ask_in(name,
	       test_text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public "
			 "TO %s",
			 name));
}

#define TABLES "FOREACH t IN ARRAY ARRAY['sessions', 'events', 'scopes', 'state', 'meta'] LOOP "

static void test_L5_rows_of_others_are_not_there_by_a_policy(void **state)
{
	const struct convo_key theirs = {"theirs", "user", "s"};
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;

	(void)state;
	secure("tenant");
	ask_in("tenant",
	       "DO $$ DECLARE t text; BEGIN " TABLES "EXECUTE format('ALTER TABLE convo_%s ENABLE "
	       "ROW LEVEL SECURITY', t); END LOOP; END $$");
	ask_in("tenant", "CREATE POLICY p ON convo_meta FOR SELECT USING (true)");
	ask_in("tenant", "CREATE POLICY p ON convo_sessions USING (app = 'app')");
	ask_in("tenant", "CREATE POLICY p ON convo_scopes USING (app = 'app')");
	ask_in("tenant",
	       "CREATE POLICY p ON convo_events USING "
	       "(EXISTS (SELECT FROM convo_sessions AS s WHERE s.no = convo_events.session))");
	ask_in("tenant", "CREATE POLICY p ON convo_state USING "
			 "(CASE scope WHEN 1 THEN EXISTS (SELECT FROM convo_sessions AS s "
			 "WHERE s.no = owner) ELSE EXISTS (SELECT FROM convo_scopes AS s "
			 "WHERE s.no = owner) END)");
	store = sql_open(url_of("convo", "tenant", NULL));
	must_pass(convo_store_create(store, &theirs, NULL, NULL, NULL, &err));
	convo_store_close(store);
	must_all_work(url_of("tenant", "tenant", NULL));
	store = sql_open(url_of("tenant", "tenant", NULL));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, store, &theirs, NULL, NULL, &err));
	must_fail_with(CONVO_E_DENIED,
		       convo_store_create(store, &(struct convo_key){"theirs", "user", "new"}, NULL,
					  NULL, NULL, &err));
	must_say("row-level security", err.text);
	must(!err.maybe);
	convo_store_close(store);
	must_equal_str("1", ask_in("tenant",
				   "SELECT count(*) FROM convo_sessions WHERE app = 'theirs'"));
}

static void test_L1_a_policy_that_hides_the_schema_is_told(void **state)
{
	(void)state;
	secure("blind");
	ask_in("blind", "ALTER TABLE convo_meta ENABLE ROW LEVEL SECURITY");
	sql_must_refuse(CONVO_E_DENIED, url_of("blind", "blind", NULL), "row level security");
	sql_must_refuse(CONVO_E_DENIED, url_of("blind", "blind", "schema=check"),
			"row level security");
}

static void test_L1_a_policy_that_hides_events_is_told(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	secure("partly");
	store = sql_open(url_of("partly", "partly", NULL));
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	ask_in("partly", "ALTER TABLE convo_events ENABLE ROW LEVEL SECURITY");
	must_fail_with(CONVO_E_DENIED, call_append(store, &err));
	must_say("row-level security", err.text);
	must(!err.maybe);
	/* Not an empty conversation. */
	must_fail_with(CONVO_E_IO, call_load(store, &err));
	ask_in("partly", "ALTER TABLE convo_events DISABLE ROW LEVEL SECURITY");
	must_pass(call_append(store, &err));
	convo_store_close(store);
	store = sql_open(url_of("convo", "partly", NULL));
	sql_must_have(store, "s", 2);
	convo_store_close(store);
}

/* ---- timeouts of the administrator --------------------------------------------------------- */

/* Somebody who holds the row of every session for some time. */
struct holder {
	pthread_t thread;
	const char *database;
	int ms;
};

static void *holder_thread(void *ctx)
{
	struct holder *holder = ctx;

	ask_in(holder->database,
	       test_text("BEGIN; SELECT no FROM convo_sessions FOR UPDATE; SELECT pg_sleep(%g); "
			 "COMMIT",
			 holder->ms / 1000.0));
	return NULL;
}

/* How many connections of a role wait for this: 'Lock', 'SyncRep'. */
static int waiting(const char *role, const char *what)
{
	return atoi(server_ask(sql_server,
			       "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s' AND "
			       "(wait_event_type = '%s' OR wait_event = '%s')",
			       role, what, what));
}

static void hold(struct holder *holder, const char *database, int ms)
{
	holder->database = database;
	holder->ms = ms;
	must(pthread_create(&holder->thread, NULL, holder_thread, holder) == 0);
	for (int i = 0; i < 500; i++) {
		if (atoi(server_ask(
			    sql_server,
			    "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
			    "wait_event = 'PgSleep'",
			    database)))
			return;
		nap_ms(10);
	}
	must_not_reach("nobody holds the rows");
}

static void test_A8_a_statement_timeout_is_told_and_nothing_was_done(void **state)
{
	struct holder holder;
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("brief");
	store = sql_open(url_of("convo", "brief", NULL));
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	convo_store_close(store);
	store = sql_open(url_of("convo", "brief", "options=-cstatement_timeout%3D150"));
	hold(&holder, "brief", 1000);
	must_fail_with(CONVO_E_TIMEOUT, call_append(store, &err));
	must_say("(statement_timeout, or an administrator)", err.text);
	must(!err.maybe);
	must_fail_with(CONVO_E_TIMEOUT, call_rename(store, &err));
	must(!err.maybe);
	must_equal(0, pthread_join(holder.thread, NULL));
	sql_must_have(store, "s", 1);
	must_pass(call_append(store, &err));
	must_pass(call_rename(store, &err));
	convo_store_close(store);
}

static void test_L2_a_lock_timeout_is_waited_over_within_ours(void **state)
{
	const struct convo_call soon = {.timeout_ms = 250};
	const struct convo_event event = {.message = CALLS_HELLO};
	struct holder holder;
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("locky");
	store = sql_open(url_of("convo", "locky", "options=-clock_timeout%3D20"));
	must_pass(call_create(store, &err));
	hold(&holder, "locky", 700);
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_append(store, &calls_key, NULL, &event, 1, NULL, &soon, &err));
	must_pass(call_append(store, &err));
	must_pass(call_rename(store, &err));
	must_equal(0, pthread_join(holder.thread, NULL));
	sql_must_have(store, "s", 1);
	convo_store_close(store);
}

static void open_thread(void *ctx, int index)
{
	(void)index;
	convo_store_close(sql_open(ctx));
}

static void test_L1_short_timeouts_of_the_server_do_not_hinder_opening(void **state)
{
	const char *url;

	(void)state;
	make_place("hasty");
	url = url_of("convo", "hasty",
		     "options=-cstatement_timeout%3D40%20-clock_timeout%3D5%20"
		     "-cidle_in_transaction_session_timeout%3D5");
	/* One makes the schema, the others wait for it. */
	test_threads(12, open_thread, (void *)(uintptr_t)url);
	must_all_work(url);
}

static void test_L2_a_call_that_gives_up_leaves_nothing_behind_on_the_server(void **state)
{
	const struct convo_call soon = {.timeout_ms = 200};
	const struct convo_event event = {.message = CALLS_HELLO};
	struct holder holder;
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("leaver");
	ask_in("leaver", "GRANT ALL ON SCHEMA public TO leaver");
	store = sql_open(url_of("leaver", "leaver", NULL));
	must_pass(call_create(store, &err));
	hold(&holder, "leaver", 2000);
	for (int i = 0; i < 3; i++) {
		must_fail_with(CONVO_E_TIMEOUT, convo_store_append(store, &calls_key, NULL, &event,
								   1, NULL, &soon, &err));
		must(err.maybe);
	}
	/* Nobody waits for the lock any more, though it is still held. */
	for (int i = 0; i < 50 && waiting("leaver", "Lock"); i++)
		nap_ms(10);
	must_equal(0, waiting("leaver", "Lock"));
	must_equal(0, pthread_join(holder.thread, NULL));
	sql_must_have(store, "s", 0);
	convo_store_close(store);
}

/* ---- isolation ----------------------------------------------------------------------------- */

static void strict_thread(void *ctx, int index)
{
	struct convo_err err;

	for (int i = 0; i < 20; i++) {
		must_pass(sql_say(ctx, index % 2 ? "a" : "b", &err));
		must_pass(call_state_set_own(ctx, &err));
		must_pass(call_load(ctx, &err));
	}
}

static void test_A1_any_isolation_of_the_role_keeps_the_order(void **state)
{
	static const char *const levels[] = {"serializable", "repeatable%5C%20read"};

	(void)state;
	make_place("strict");
	for (int i = 0; i < 2; i++) {
		convo_store *store = sql_open(url_of(
			"convo", "strict",
			test_text("prefix=s%d_&options=-cdefault_transaction_isolation%%3D%s", i,
				  levels[i])));
		struct convo_err err;

		must_pass(call_create(store, &err));
		sql_create(store, "a");
		sql_create(store, "b");
		test_threads(8, strict_thread, store);
		sql_must_have(store, "a", 80);
		sql_must_have(store, "b", 80);
		convo_store_close(store);
	}
}

/* A transaction may be refused at its very end. */
static void test_A8_a_commit_that_is_refused_is_tried_again(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("late");
	store = sql_open(url_of("convo", "late", NULL));
	must_pass(call_create(store, &err));
	ask_in("late", "CREATE SEQUENCE odd");
	ask_in("late",
	       "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
	       "IF nextval('odd') % 3 > 0 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '40001'; "
	       "END IF; RETURN NULL; END $$");
	ask_in("late", "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON convo_events "
		       "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()");
	for (int i = 0; i < 5; i++)
		must_pass(call_append(store, &err));
	sql_must_have(store, "s", 5);
	/* One connection has served them all. */
	must_equal_str("1", server_ask(sql_server, "SELECT count(*) FROM pg_stat_activity WHERE "
						   "datname = 'late'"));
	ask_in("late", "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
		       "BEGIN RAISE EXCEPTION 'never' USING ERRCODE = '23000'; END $$");
	must_fail_with(CONVO_E_IO, call_append(store, &err));
	must_say("never", err.text);
	must(!err.maybe);
	sql_must_have(store, "s", 5);
	convo_store_close(store);
}

/* ---- rights -------------------------------------------------------------------------------- */

static void test_L1_a_role_that_may_only_read_reads(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("reader");
	server_ask(sql_server, "ALTER ROLE reader SET default_transaction_read_only = on");
	ask_in("reader", "GRANT ALL ON SCHEMA public TO reader");
	sql_must_refuse(CONVO_E_READONLY, url_of("reader", "reader", NULL), "read-only");
	must_equal_str("0", ask_in("reader", "SELECT count(*) FROM pg_class WHERE relname LIKE "
					     "'convo%'"));
	store = sql_open(url_of("convo", "reader", NULL));
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	convo_store_close(store);
	ask_in("reader", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "
			 "reader");
	store = sql_open(url_of("reader", "reader", NULL));
	sql_must_have(store, "s", 1);
	must_pass(call_list(store, &err));
	must_fail_with(CONVO_E_READONLY, call_append(store, &err));
	must(!err.maybe);
	must_fail_with(CONVO_E_READONLY, call_rename(store, &err));
	must(!err.maybe);
	convo_store_close(store);
}

/* ---- connections --------------------------------------------------------------------------- */

static void crowd_thread(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	for (int i = 0; i < 10; i++)
		must_pass(call_load(ctx, &err));
}

static void test_L4_a_server_with_few_connections_serves_many_threads(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("crowd");
	ask_in("crowd", "GRANT ALL ON SCHEMA public TO crowd");
	server_ask(sql_server, "ALTER ROLE crowd CONNECTION LIMIT 2");
	store = sql_open(url_of("crowd", "crowd", NULL));
	must_pass(call_create(store, &err));
	test_threads(8, crowd_thread, store);
	convo_store_close(store);
}

static void test_L3_connections_that_an_administrator_ends_are_replaced(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("ended");
	store = sql_open(url_of("convo", "ended", NULL));
	must_pass(call_create(store, &err));
	for (int i = 0; i < 3; i++) {
		server_ask(sql_server,
			   "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
			   "WHERE datname = 'ended'");
		must_pass(call_append(store, &err));
		must_pass(call_load(store, &err));
		server_ask(sql_server,
			   "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
			   "WHERE datname = 'ended'");
		must_pass(call_rename(store, &err));
	}
	sql_must_have(store, "s", 3);
	convo_store_close(store);
}

/* ---- commits that wait --------------------------------------------------------------------- */

static void standbys_are(const char *names)
{
	server_ask(sql_server, "ALTER SYSTEM SET synchronous_standby_names = '%s'", names);
	server_ask(sql_server, "SELECT pg_reload_conf()");
	for (int i = 0; i < 500; i++) {
		if (strcmp(names, server_ask(sql_server, "SHOW synchronous_standby_names")) == 0)
			return;
		nap_ms(10);
	}
	must_not_reach("the server does not read its settings");
}

/* A call that waits for its standby, and somebody who ends that. */
struct waiter {
	convo_store *store;
	const char *role, *end;
	const char *id; /* of what is appended; NULL: a session is made */
};

static void waiter_thread(void *ctx, int index)
{
	const struct convo_call call = {.timeout_ms = 1500};
	struct waiter *waiter = ctx;
	const struct convo_event event = {.id = waiter->id, .message = CALLS_HELLO};
	struct convo_err err;

	if (index == 0) {
		must_fail_with(CONVO_E_TIMEOUT,
			       waiter->id ? convo_store_append(waiter->store, &calls_key, NULL,
							       &event, 1, NULL, &call, &err)
					  : convo_store_create(waiter->store, &calls_key, NULL,
							       NULL, &call, &err));
		must(err.maybe);
		return;
	}
	for (int i = 0; i < 500 && !waiting(waiter->role, "SyncRep"); i++)
		nap_ms(2);
	must(waiting(waiter->role, "SyncRep"));
	server_ask(sql_server,
		   "SELECT pg_%s_backend(pid) FROM pg_stat_activity "
		   "WHERE usename = '%s' AND wait_event = 'SyncRep'",
		   waiter->end, waiter->role);
}

/* Whether its wait is canceled or its connection ended: it goes on waiting. */
static const char *const ends[] = {"cancel", "terminate"};

static void test_A7_an_append_is_not_acknowledged_without_its_standby(void **state)
{
	char id[2][CONVO_UUID_SIZE];
	struct waiter waiter = {.role = "waiter"};
	struct convo_event event = {.message = CALLS_HELLO};
	struct convo_err err;
	int64_t seq = 0;

	(void)state;
	make_place("waiter");
	ask_in("waiter", "GRANT ALL ON SCHEMA public TO waiter");
	waiter.store = sql_open(url_of("waiter", "waiter", NULL));
	must_pass(call_create(waiter.store, &err));
	standbys_are("nobody");
	for (int i = 0; i < 2; i++) {
		convo_uuid_make(id[i]);
		waiter.id = id[i];
		waiter.end = ends[i];
		test_threads(2, waiter_thread, &waiter);
	}
	/* Reading is possible all the time. */
	must_pass(call_load(waiter.store, &err));
	must_pass(call_list(waiter.store, &err));
	standbys_are("");
	for (int i = 0; i < 2; i++) {
		event.id = id[i];
		must_pass(convo_store_append(waiter.store, &calls_key, NULL, &event, 1, &seq, NULL,
					     &err));
		must_equal(i + 1, seq);
	}
	sql_must_have(waiter.store, "s", 2);
	convo_store_close(waiter.store);
}

static void test_A7_a_session_is_not_acknowledged_without_its_standby(void **state)
{
	struct waiter waiter = {.role = "maker"};
	struct convo_err err;

	(void)state;
	make_place("maker");
	ask_in("maker", "GRANT ALL ON SCHEMA public TO maker");
	for (int i = 0; i < 2; i++) {
		waiter.store = sql_open(url_of("maker", "maker", test_text("prefix=p%d_", i)));
		waiter.end = ends[i];
		standbys_are("nobody");
		test_threads(2, waiter_thread, &waiter);
		standbys_are("");
		must_pass(call_append(waiter.store, &err));
		convo_store_close(waiter.store);
	}
}

static void test_L2_commits_that_wait_do_not_use_up_the_connections(void **state)
{
	const struct convo_call call = {.timeout_ms = 100};
	const struct convo_event event = {.message = CALLS_HELLO};
	struct convo_err err;
	convo_store *store;

	(void)state;
	make_place("patient");
	ask_in("patient", "GRANT ALL ON SCHEMA public TO patient");
	server_ask(sql_server, "ALTER ROLE patient CONNECTION LIMIT 8");
	store = sql_open(url_of("patient", "patient", NULL));
	must_pass(call_create(store, &err));
	standbys_are("nobody");
	for (int i = 0; i < 20; i++) {
		must_fail_with(CONVO_E_TIMEOUT, convo_store_append(store, &calls_key, NULL, &event,
								   1, NULL, &call, &err));
		must(err.maybe);
	}
	must_pass(call_load(store, &err));
	standbys_are("");
	must_pass(call_append(store, &err));
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L1_tables_go_to_the_schema_of_the_search_path),
		cmocka_unit_test(test_L5_rows_of_others_are_not_there_by_a_policy),
		cmocka_unit_test(test_L1_a_policy_that_hides_the_schema_is_told),
		cmocka_unit_test(test_L1_a_policy_that_hides_events_is_told),
		cmocka_unit_test(test_A8_a_statement_timeout_is_told_and_nothing_was_done),
		cmocka_unit_test(test_L2_a_lock_timeout_is_waited_over_within_ours),
		cmocka_unit_test(test_L1_short_timeouts_of_the_server_do_not_hinder_opening),
		cmocka_unit_test(test_L2_a_call_that_gives_up_leaves_nothing_behind_on_the_server),
		cmocka_unit_test(test_A1_any_isolation_of_the_role_keeps_the_order),
		cmocka_unit_test(test_A8_a_commit_that_is_refused_is_tried_again),
		cmocka_unit_test(test_L1_a_role_that_may_only_read_reads),
		cmocka_unit_test(test_L4_a_server_with_few_connections_serves_many_threads),
		cmocka_unit_test(test_L3_connections_that_an_administrator_ends_are_replaced),
		cmocka_unit_test(test_A7_an_append_is_not_acknowledged_without_its_standby),
		cmocka_unit_test(test_A7_a_session_is_not_acknowledged_without_its_standby),
		cmocka_unit_test(test_L2_commits_that_wait_do_not_use_up_the_connections),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
