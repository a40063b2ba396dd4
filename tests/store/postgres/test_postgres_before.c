/*
 * A database as version 0.2 left it, or a schema since, and its programs beside this one: what they call is
 * still there.
 */
#include "store/shared/sql_suite.h"

#include <stdlib.h>

#include "store/shared/heard.h"

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define GENERATION "0191e2a4-7b2c-4000-8000-012345678901"

static const struct convo_key key = {"app", "user", "s"};

static convo_lease *lease_of(void)
{
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, NULL, &err));
	return lease;
}

static int hold(convo_store *store, convo_lease *lease, enum convo_hold what, struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO};
	const struct convo_expect expect = {.lease = lease, .hold = what};

	return convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, err);
}

static void draft(convo_store *store, convo_lease *lease)
{
	const struct convo_event event = {.id = "0191e2a4-7b2c-7000-8000-0123456789ab",
					  .message = HELLO};
	struct convo_err err;

	must_pass(convo_store_draft(store, &key, lease, &event, NULL, &err));
}

/* ---- what it did --------------------------------------------------------------------------- */

/* The migrations up to a version: 3 is its schema, 4 has turns and saves their drafts one by one. */
static void before_make(const char *prefix, int version)
{
	char *sql = NULL, *end;
	const char *last =
		test_text("UPDATE %smeta SET value = '%d' WHERE name = 'schema';", prefix, version);
	struct convo_err err;

	must_pass(convo_store_schema(&sql, "pgsql", prefix, &err));
	end = strstr(sql, last);
	must(end != NULL);
	end[strlen(last)] = '\0';
	sql_feed(sql_server->database, sql);
	convo_free(sql);
	must_equal_str("0", server_ask(sql_server,
				       "SELECT %screate('app', 'user', 's', 1000000, 0, 4194304, "
				       "'" GENERATION "', 'title', '{1,2}', '{n,m}', '{1,2}')",
				       prefix));
}

/* It puts what several callers append into one call, or calls for each. */
static void before_append(const char *prefix, int n)
{
	const char *event =
		test_text("'{0191e2a4-7b2c-7000-8000-0000000000%02d}', '{0}', '{user}', "
			  "'{user}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', ARRAY['" HELLO
			  "']::jsonb[], '{NULL}', '{NULL}', '{NULL}'",
			  n);

	if (n % 2)
		must_equal_str("0",
			       server_ask(sql_server,
					  "SELECT code FROM %sappend('app', 'user', 's', "
					  "2000000, 0, 4194304, 0, NULL, -1, %s, '{}', '{}', '{}', "
					  "'{}')",
					  prefix, event));
	else
		must_equal_str(test_text("1|%d", n),
			       server_ask(sql_server,
					  "SELECT job, last_seq FROM %sappend_many(0, 0, '{app}', "
					  "'{user}', '{s}', '{2000000}', '{NULL}', '{-1}', '{1}', "
					  "'{1}', '{1}', %s)",
					  prefix, event));
}

/* ---- tests --------------------------------------------------------------------------------- */

static void must_be_as_before(convo_store *store, size_t events)
{
	convo_session *session = NULL;
	const struct convo_item *items;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal_str("title", convo_session_meta(session)->title);
	must_equal_str(GENERATION, convo_session_meta(session)->generation);
	must_equal_str("", convo_session_meta(session)->fork_session);
	must_equal(events, convo_session_count(session));
	for (size_t i = 0; i < events; i++)
		must_equal(i + 1, convo_session_event(session, i)->seq);
	items = test_state(session, &count);
	must_equal(2, count);
	must_equal_str("1", items[0].json);
	convo_session_free(session);
}

static void before_bring_up_to_date(const char *prefix, int version)
{
	const char *url = sql_url(NULL, test_text("prefix=%s", prefix));
	const char *check = sql_url(NULL, test_text("prefix=%s&schema=check", prefix));
	const struct convo_fork fork = {.session = "fork"};
	convo_lease *lease = lease_of();
	convo_store *store;
	struct convo_err err;

	before_make(prefix, version);
	before_append(prefix, 1);
	before_append(prefix, 2);
	sql_must_refuse(CONVO_E_VERSION, check, "schema");
	store = sql_open(url);
	must_equal_str("5", server_ask(sql_server, "SELECT value FROM %smeta", prefix));
	must_be_as_before(store, 2);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease);
	must_pass(hold(store, lease, CONVO_HOLD_END, &err));
	must_be_as_before(store, 4);
	must_pass(convo_store_fork(store, &key, &fork, NULL, NULL, &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	must_be_as_before(store, 4);
	convo_lease_free(lease);
	convo_store_close(store);
	convo_store_close(sql_open(check));
}

static void test_L1_a_database_of_before_is_brought_up_to_date(void **state)
{
	(void)state;
	sql_needed();
	before_bring_up_to_date("three_", 3);
	before_bring_up_to_date("four_", 4);
}

static void test_L1_a_program_of_before_goes_on_beside_this_one(void **state)
{
	const struct convo_window window = {.n = 50, .with = CONVO_WITH_DRAFT};
	convo_lease *lease = lease_of();
	convo_session *session = NULL;
	convo_watch *watch = NULL;
	convo_store *store;
	struct convo_err err;

	(void)state;
	sql_needed();
	before_make("beside_", 3);
	store = sql_open(sql_url(NULL, "prefix=beside_"));
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease);
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	hear_out(watch);
	for (int n = 2; n < 6; n++) {
		before_append("beside_", n);
		must_hear(watch, "s"); /* it is told, though that program knows of nobody */
	}
	must_pass(convo_store_load(&session, store, &key, &window, NULL, &err));
	must(convo_session_draft(session) != NULL);
	must(convo_session_meta(session)->held_ms > 0);
	convo_session_free(session);
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, &err));
	must_be_as_before(store, 6);
	must_equal_str(
		"6", server_ask(sql_server,
				"SELECT count(*) FROM beside_load('app', 'user', 's', 3000000, 0, "
				"0, 50, 0, NULL) WHERE part = 2"));
	/* It deletes, and its cleaning leaves nothing of what it does not know. */
	must_equal_str("1", server_ask(sql_server, "SELECT count(*) FROM beside_turns"));
	must_equal_str("1", server_ask(sql_server, "SELECT count(*) FROM beside_drafts"));
	server_ask(sql_server, "UPDATE beside_sessions SET life = 2, due_us = 1");
	server_ask(sql_server, "SELECT * FROM beside_clean(4000000000000000, 2000)");
	must_equal_str("0", server_ask(sql_server, "SELECT count(*) FROM beside_sessions"));
	must_equal_str("0", server_ask(sql_server, "SELECT count(*) FROM beside_turns"));
	must_equal_str("0", server_ask(sql_server, "SELECT count(*) FROM beside_drafts"));
	must_fail_with(CONVO_E_NOTFOUND, hold(store, lease, CONVO_HOLD_KEEP, &err));
	convo_watch_free(watch);
	convo_lease_free(lease);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L1_a_database_of_before_is_brought_up_to_date),
		cmocka_unit_test(test_L1_a_program_of_before_goes_on_beside_this_one),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
