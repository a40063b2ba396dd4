/*
 * What the MySQL store keeps beside its JSON columns, a database of version 0.1 that is brought up to
 * date, and rows that somebody has damaged.
 */
#include "store/shared/sql_suite.h"

#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <store/mysql/exact.h>
#include <support/json_same.h>

static const struct convo_key key = {"app", "user", "s"};

/* ---- N2: what needs a copy -------------------------------------------------------------- */

static void test_N2_only_what_the_JSON_type_changes_is_copied(void **state)
{
	static const struct {
		const char *json;
		enum my_exact exact;
	} cases[] = {
		{"null", MY_EXACT_KEPT},
		{"\"1.23456789012345678 \\\" 1e999\"", MY_EXACT_KEPT},
		{"0", MY_EXACT_KEPT},
		{"-0", MY_EXACT_COPIED},
		{"-0.0", MY_EXACT_COPIED},
		{"0.0", MY_EXACT_KEPT},
		{"1.0", MY_EXACT_KEPT},
		{"1.50", MY_EXACT_KEPT},
		{"9223372036854775807", MY_EXACT_KEPT},
		{"-9223372036854775807", MY_EXACT_KEPT},
		{"9223372036854775808", MY_EXACT_COPIED},
		{"123456789012345678901234567890", MY_EXACT_COPIED},
		{"0.11947143682048289", MY_EXACT_COPIED},
		{"0.119471436820482", MY_EXACT_KEPT},
		{"0.1194714368204829", MY_EXACT_COPIED},
		{"123456789012.345", MY_EXACT_KEPT},
		{"0.00000000000000000000001", MY_EXACT_COPIED},
		{"1e22", MY_EXACT_KEPT},
		{"1e23", MY_EXACT_COPIED},
		{"12.5E-21", MY_EXACT_KEPT},
		{"12.5e-22", MY_EXACT_COPIED},
		{"1e-99999999999999999999", MY_EXACT_COPIED},
		{"{\"a\": 1, \"b\": {\"a\": 2}, \"c\": [{\"a\": 1}, {\"a\": 1}]}", MY_EXACT_KEPT},
		{"{\"a\" : 1, \"b\": \"a\", \"a\" : 1}", MY_EXACT_COPIED},
		{"{\"b\": {\"a\": 2}, \"a\": 1, \"c\": 0, \"b\": 1}", MY_EXACT_COPIED},
		{"{\"a\": [1, 2.5, -3, {\"\": 1e400}]}", MY_EXACT_COPIED},
		{"[{}, [], \"a\", \"a\"]", MY_EXACT_KEPT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cv_my_exact(cv_text_of(cases[i].json)) != cases[i].exact)
			must_not_reach("%s is %d", cases[i].json,
				       (int)cv_my_exact(cv_text_of(cases[i].json)));
	}
}

static void test_N2_a_message_that_MySQL_keeps_has_no_copy(void **state)
{
	const struct convo_event copied = {
		.message = "{\"role\":\"user\",\"content\":1.23456789012345678}"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=exact_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	must_pass(convo_store_append(store, &key, NULL, &copied, 1, NULL, NULL, &err));
	must_equal_str("1\n0", server_ask(sql_server, "SELECT exact IS NULL FROM exact_events "
						      "ORDER BY session, seq"));
	convo_store_close(store);
}

/* ---- L1: from 0.1 ----------------------------------------------------------------------- */

static void test_L1_a_database_of_0_1_is_brought_up_to_date(void **state)
{
	static const char event[] = "{\"role\":\"user\",\"content\":[0.1, 7]}";
	const char *mariadb[] = {"/bin/sh", "-c", NULL, NULL};
	const char *url;
	convo_session *session;
	const struct convo_event *events;
	struct convo_err err;
	convo_store *store;
	char *value = NULL;
	size_t n;

	(void)state;
	sql_needed();
	server_ask(sql_server, "CREATE DATABASE convo_old CHARACTER SET utf8mb4");
	server_ask(sql_server, "GRANT ALL ON convo_old.* TO convo@'%%'");
	url = sql_url("convo_old", NULL);
	mariadb[2] =
		test_text("exec mariadb --no-defaults -u root -S '%s' -D convo_old <'" SCHEMA_0_1
			  "'",
			  sql_server->socket);
	test_run_program(mariadb);
	server_ask(sql_server,
		   "USE convo_old; SET @data = '%skuser';"
		   "CALL convo_create('app', 'user', 's', 1000000, 0, 4194304, "
		   "UNHEX('0191e2a47b2c70008000012345678901'), 'title', 1, "
		   "CONCAT('1000000000', '000000041000000001', '000000001000000040'), "
		   "CONCAT('%s', 'k'));"
		   "CALL convo_append('app', 'user', 's', 2000000, 0, 4194304, 0, NULL, -1, "
		   "CONCAT(UNHEX('0191e2a47b2c70008000012345678902'), '0', '000000042000000004', "
		   "'000000042000000004', REPEAT('000000000000000000', 4), '000000001000000037', "
		   "REPEAT('000000000000000000', 3)), 0, '', '%s       user')",
		   event, "{\"v\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}  ", event);
	sql_must_refuse(CONVO_E_VERSION, test_text("%s?schema=check", url), "schema");
	store = sql_open(url);
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &n);
	must_equal(1, n);
	must(json_same(event, events[0].message));
	convo_session_free(session);
	must_pass(convo_store_state_get(&value, store, &key, "k", NULL, &err));
	must(json_same("{\"v\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}", value));
	convo_free(value);
	must_pass(sql_say(store, "s", &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	sql_must_have(store, "s", 2);
	convo_store_close(store);
	must_equal_str("5", server_ask(sql_server, "SELECT value FROM convo_old.convo_meta"));
	must_equal_str(
		"create append load clean change change_shared hold draft drafts read fork weigh",
		server_ask(sql_server,
			   "SELECT GROUP_CONCAT(SUBSTR(routine_name, 7) ORDER BY FIELD("
			   "SUBSTR(routine_name, 7), 'create', 'append', 'load', 'clean', "
			   "'change', 'change_shared', 'hold', 'draft', 'drafts', 'read', "
			   "'fork', 'weigh') SEPARATOR ' ') FROM "
			   "information_schema.routines WHERE routine_schema = 'convo_old'"));
	/* A migration that is cut short goes on. */
	server_ask(sql_server, "USE convo_old; ALTER TABLE convo_state DROP COLUMN exact; "
			       "UPDATE convo_meta SET value = '1'; DROP PROCEDURE convo_load");
	store = sql_open(url);
	sql_must_have(store, "s", 2);
	convo_store_close(store);
}

/* ---- answers that are true ---------------------------------------------------------------- */

/* The server counts a row that is as it should be as not changed, unless it is told otherwise. */
static void test_S2_a_rename_that_changes_nothing_succeeds(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=same_"));
	sql_create(store, "s");
	server_ask(sql_server, "UPDATE same_sessions SET title = 't', position = 4000000000000000, "
			       "updated_us = 4000000000000000");
	must_pass(convo_store_rename(store, &key, "t", NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_rename(store, &(struct convo_key){"app", "user", "none"}, "t",
					  NULL, &err));
	convo_store_close(store);
}

static void test_S2_around_an_unknown_event_says_so(void **state)
{
	const struct convo_window around = {
		.kind = CONVO_WINDOW_AROUND, .n = 3, .id = "0191e2a4-7b2c-7000-8000-0123456789ab"};
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=around_"));
	sql_create(store, "s");
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, store, &key, &around, NULL, &err));
	must(strstr(err.text, "event") != NULL);
	convo_store_close(store);
}

/* Functions that a server of our range does not have: MySQL 9 has no MD5(), SHA1(). */
static void test_L6_no_function_is_used_that_a_server_lacks(void **state)
{
	static const char *const gone[] = {"MD5(", "SHA1(", "SHA(", "PASSWORD(", "ENCRYPT("};
	const char *log;

	(void)state;
	sql_needed();
	server_ask(sql_server, "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = 1");
	convo_store_close(sql_open(sql_url(NULL, "prefix=functions_")));
	server_ask(sql_server, "SET GLOBAL general_log = 0");
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		log = server_ask(sql_server,
				 "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE "
				 "'%%GET_LOCK%%' AND argument LIKE '%%%s%%' AND argument NOT "
				 "LIKE '%%general_log%%'",
				 gone[i]);
		must_equal_str("0", log);
	}
	must(strcmp(server_ask(sql_server, "SELECT COUNT(*) FROM mysql.general_log WHERE "
					   "argument LIKE '%%GET_LOCK%%SHA2(%%'"),
		    "0") != 0);
}

/* ---- damage ------------------------------------------------------------------------------- */

static int load(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	for (size_t i = 0; i < convo_session_count(session); i++)
		must(convo_session_event(session, i)->message != NULL);
	convo_session_free(session);
	return rc;
}

static void test_L5_damaged_rows_are_told(void **state)
{
	static const char *const damage[] = {
		"ALTER TABLE damage_events MODIFY message LONGTEXT; "
		"UPDATE damage_events SET message = NULL",
		"ALTER TABLE damage_events MODIFY role TEXT; UPDATE damage_events SET role = NULL",
		"UPDATE damage_events SET seq = -9223372036854775808; UPDATE damage_sessions SET "
		"first_seq = -9223372036854775808, kept_seq = -9223372036854775808",
		"UPDATE damage_events SET status = 9",
		"UPDATE damage_events SET time_ms = 9223372036854775807",
		"ALTER TABLE damage_events MODIFY time_ms DOUBLE NOT NULL",
		"UPDATE damage_events SET exact = 'nonsense'",
		"UPDATE damage_events SET exact = '[1]'",
		"ALTER TABLE damage_events MODIFY id VARBINARY(20); UPDATE damage_events SET id = "
		"'short'",
		"UPDATE damage_sessions SET expires_us = 9223372036854775807",
		"UPDATE damage_sessions SET expires_us = 9000000000000000000, "
		"updated_us = -9223372036854775808",
		"UPDATE damage_sessions SET last_seq = 9223372036854775807",
		"UPDATE damage_sessions SET last_seq = -9223372036854775808",
		"UPDATE damage_sessions SET first_seq = 9223372036854775807",
		"UPDATE damage_sessions SET kept_seq = -9223372036854775808",
		"ALTER TABLE damage_sessions MODIFY title VARCHAR(255); UPDATE damage_sessions SET "
		"title = NULL",
	};
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		int rc;

		store = sql_open(sql_url(NULL, "prefix=damage_"));
		sql_create(store, "s");
		must_pass(sql_say(store, "s", &err));
		must_pass(load(store, &err));
		server_ask(sql_server, "%s", damage[i]);
		rc = load(store, &err);
		if (rc != CONVO_E_IO || !strstr(err.text, "damaged"))
			must_not_reach("%s: %d %s", damage[i], rc, err.text);
		/* A write may not look at what is damaged, but must end, in good order. */
		rc = sql_say(store, "s", &err);
		must(rc <= 0);
		convo_store_close(store);
		server_ask(sql_server, "DROP TABLE damage_meta, damage_sessions, damage_events, "
				       "damage_state, damage_scopes, damage_more, damage_drafts");
	}
}

/* In a transaction of ours too: another connection would not find anything else. */
static void test_L5_a_damaged_row_is_told_at_once(void **state)
{
	const struct convo_item item = {.name = "n", .json = "1"};
	int64_t began_us;
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=at_once_&timeout=60s"));
	sql_create(store, "s");
	server_ask(sql_server, "UPDATE at_once_sessions SET last_seq = -9223372036854775808");
	began_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_IO, convo_store_state_set(store, &key, &item, 1, NULL, &err));
	must(strstr(err.text, "damaged") != NULL);
	must(!err.maybe);
	must(cv_clock_mono_us() - began_us < 30000000);
	server_ask(sql_server, "UPDATE at_once_sessions SET last_seq = 0");
	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
	convo_store_close(store);
}

/* ---- errors ------------------------------------------------------------------------------- */

static void test_A8_a_full_table_is_told_as_full(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=full_"));
	sql_create(store, "s");
	server_ask(sql_server,
		   "CREATE TRIGGER full_trigger BEFORE INSERT ON full_events FOR EACH ROW SIGNAL "
		   "SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full\\n"
		   "buy more'");
	must_fail_with(CONVO_E_FULL, sql_say(store, "s", &err));
	must(strstr(err.text, "is full buy more") != NULL);
	server_ask(sql_server, "DROP TRIGGER full_trigger");
	must_pass(sql_say(store, "s", &err));
	convo_store_close(store);
}

static void test_L2_a_cancel_stops_a_call(void **state)
{
	struct convo_call call = {0};
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=cancel_"));
	sql_create(store, "s");
	must_pass(convo_cancel_new(&call.cancel, &err));
	convo_cancel_request(call.cancel);
	must_fail_with(CONVO_E_CANCELED, convo_store_rename(store, &key, "never", &call, &err));
	convo_cancel_reset(call.cancel);
	must_pass(convo_store_rename(store, &key, "now", &call, &err));
	convo_cancel_free(call.cancel);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest values[] = {
		cmocka_unit_test(test_N2_only_what_the_JSON_type_changes_is_copied),
		cmocka_unit_test(test_N2_a_message_that_MySQL_keeps_has_no_copy),
		cmocka_unit_test(test_L1_a_database_of_0_1_is_brought_up_to_date),
		cmocka_unit_test(test_S2_a_rename_that_changes_nothing_succeeds),
		cmocka_unit_test(test_S2_around_an_unknown_event_says_so),
		cmocka_unit_test(test_L6_no_function_is_used_that_a_server_lacks),
		cmocka_unit_test(test_L5_damaged_rows_are_told),
		cmocka_unit_test(test_L5_a_damaged_row_is_told_at_once),
		cmocka_unit_test(test_A8_a_full_table_is_told_as_full),
		cmocka_unit_test(test_L2_a_cancel_stops_a_call),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(values);
	server_end(sql_server);
	return rc;
}
