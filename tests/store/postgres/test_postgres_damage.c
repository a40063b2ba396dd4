/*
 * Values that no convo wrote, in the rows of a real server: "the database is damaged", wherever they
 * are read (case 12); and the step from the schema of 0.1, with data in it.
 */
#include "store/shared/sql_suite.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what a call makes of it -------------------------------------------------------------- */

static const struct convo_key key = {"app", "user", "s"};

static int try_load(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	for (size_t i = 0; i < convo_session_count(session); i++)
		must(convo_session_event(session, i)->message != NULL);
	convo_session_free(session);
	return rc;
}

static int try_append(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.message = "{\"role\":\"user\"}", .state = "{\"n\":2}"};

	return convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, err);
}

static int try_list(convo_store *store, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count;
	int rc = convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, err);

	if (rc >= 0)
		rc = convo_store_list(store, cursor, 5, &count, NULL, err);
	convo_cursor_free(cursor);
	return rc;
}

static int try_state_set(convo_store *store, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "n", .json = "1"},
					   {.name = "user:n", .json = "1"}};

	return convo_store_state_set(store, &key, items, 2, NULL, err);
}

static int try_state_get(convo_store *store, struct convo_err *err)
{
	char *value = NULL;
	int rc = convo_store_state_get(&value, store, &key, "n", NULL, err);

	convo_free(value);
	return rc;
}

static int try_rename(convo_store *store, struct convo_err *err)
{
	return convo_store_rename(store, &key, "title", NULL, err);
}

static int try_clean(convo_store *store, struct convo_err *err)
{
	return convo_store_clean(store, NULL, NULL, err);
}

static int try_restore(convo_store *store, struct convo_err *err)
{
	int rc = convo_store_delete(store, &key, NULL, err);

	return rc < 0 ? rc : convo_store_restore(store, &key, NULL, NULL, err);
}

static int (*const tries[])(convo_store *store, struct convo_err *err) = {
	try_load,   try_list,  try_state_get, try_append,
	try_rename, try_clean, try_state_set, try_restore,
};

/* Damage a column of a new session, and do everything with it. @return how often it was told */
static size_t damage(convo_store *store, const char *table, const char *column, const char *value)
{
	size_t told = 0;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct convo_err err = {0};
		int rc;

		server_ask(sql_server, "DELETE FROM damage_sessions");
		server_ask(sql_server, "DELETE FROM damage_scopes");
		sql_create(store, "s");
		must_pass(try_append(store, &err));
		must_pass(try_state_set(store, &err));
		server_ask(sql_server, "UPDATE damage_%s SET %s = %s", table, column, value);
		rc = tries[i](store, &err);
		/* Some damage makes a session expired, or is not looked at. */
		if (rc < 0 && rc != CONVO_E_IO && rc != CONVO_E_NOTFOUND && rc != CONVO_E_TOOBIG)
			must_not_reach("%s.%s = %s, try %zu: %d %s", table, column, value, i, rc,
				       err.text);
		told += rc == CONVO_E_IO;
	}
	return told;
}

static void test_N2_a_number_at_the_end_of_its_range_is_told_as_damage(void **state)
{
	static const char *const columns[] = {"kept_seq",     "first_seq",   "last_seq",
					      "position",     "created_us",  "updated_us",
					      "last_time_ms", "state_bytes", "due_us"};
	static const char *const values[] = {"9223372036854775807", "-9223372036854775808", "NULL"};
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=damage_"));
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		server_ask(sql_server, "ALTER TABLE damage_sessions ALTER COLUMN %s DROP NOT NULL",
			   columns[i]);
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			if (damage(store, "sessions", columns[i], values[j]) == 0)
				must_not_reach("%s = %s is told by no call", columns[i], values[j]);
		}
	}
	damage(store, "sessions", "expires_us", "9223372036854775807");
	damage(store, "sessions", "expires_us", "-1");
	damage(store, "scopes", "state_bytes", "9223372036854775807");
	damage(store, "state", "bytes", "-9223372036854775808");
	convo_store_close(store);
}

static void test_N2_a_null_that_cannot_be_is_told_as_damage(void **state)
{
	static const struct {
		const char *table, *column;
	} nulls[] = {{"events", "message"}, {"events", "role"},       {"events", "author"},
		     {"events", "id"},      {"events", "time_ms"},    {"events", "status"},
		     {"state", "value"},    {"state", "bytes"},       {"sessions", "generation"},
		     {"sessions", "title"}, {"scopes", "state_bytes"}};
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=damage_"));
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
		server_ask(sql_server, "ALTER TABLE damage_%s ALTER COLUMN %s DROP NOT NULL",
			   nulls[i].table, nulls[i].column);
		if (damage(store, nulls[i].table, nulls[i].column, "NULL") == 0)
			must_not_reach("%s.%s is told by no call", nulls[i].table, nulls[i].column);
	}
	convo_store_close(store);
}

/* ---- from 0.1 ----------------------------------------------------------------------------- */

/* What 0.1 printed for an administrator: the first of the migrations. */
static char *schema_of_0_1(const char *prefix)
{
	static const char end[] = "VALUES ('schema', '1');";
	struct convo_err err;
	char *sql = NULL, *stop;

	must_pass(convo_store_schema(&sql, "postgres", prefix, &err));
	stop = strstr(sql, end);
	must(stop != NULL);
	stop[sizeof(end) - 1] = '\0';
	return sql;
}

static void test_L1_the_schema_of_0_1_is_brought_up_to_date_with_its_data(void **state)
{
	const char *file = test_path(test_dir(), "schema01.sql");
	const char *psql[] = {"/usr/bin/psql",
			      "-XAtq",
			      "-v",
			      "ON_ERROR_STOP=1",
			      "-h",
			      NULL,
			      "-p",
			      NULL,
			      "-U",
			      "convo",
			      "-d",
			      "postgres",
			      "-f",
			      file,
			      NULL};
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;
	char *sql;
	FILE *out;

	(void)state;
	sql_needed();
	sql = schema_of_0_1("old_");
	out = fopen(file, "w");
	must(out != NULL);
	fputs(sql, out);
	fputs("SELECT old_create('app', 'user', 's', 1000, 0, 4194304, "
	      "'00112233-4455-6677-8899-aabbccddeeff', 'kept', '{1}', '{n}', '{\"[1]\"}');\n"
	      "SELECT * FROM old_append('app', 'user', 's', 2000, 0, 4194304, 0, NULL, -1, "
	      "ARRAY['00112233-4455-6677-8899-aabbccddee00'::uuid], '{0}', '{user}', '{user}', "
	      "'{NULL}', '{NULL}', '{NULL}', '{NULL}', ARRAY['{\"role\":\"user\"}'::jsonb], "
	      "'{NULL}', '{NULL}', '{NULL}', '{}', '{}', '{}', '{}');\n",
	      out);
	must_equal(0, fclose(out));
	free(sql);
	psql[5] = sql_server->socket;
	psql[7] = test_text("%d", sql_server->port);
	test_run_program(psql);
	sql_must_refuse(CONVO_E_VERSION, sql_url(NULL, "prefix=old_&schema=check"), "version 1");
	store = sql_open(sql_url(NULL, "prefix=old_"));
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal_str("kept", convo_session_meta(session)->title);
	must_equal(1, convo_session_count(session));
	must_equal_str("[1]", convo_session_state_get(session, "n")->json);
	convo_session_free(session);
	must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 2);
	convo_store_close(store);
	must_equal_str("5", server_ask(sql_server, "SELECT value FROM old_meta"));
	must_equal_str("0",
		       server_ask(sql_server, "SELECT count(*) FROM pg_proc WHERE proname IN "
					      "('old_restore', 'old_state_set', 'old_names')"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_N2_a_number_at_the_end_of_its_range_is_told_as_damage),
		cmocka_unit_test(test_N2_a_null_that_cannot_be_is_told_as_damage),
		cmocka_unit_test(test_L1_the_schema_of_0_1_is_brought_up_to_date_with_its_data),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
