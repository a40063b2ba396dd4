/*
 * What is special to the MySQL store, on MariaDB. The contract is in test_mysql_contract.c, broken
 * networks in test_mysql_faults.c, kills in test_mysql_storm.c.
 */
#include "store/shared/sql_suite.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static void test_L1_a_small_max_allowed_packet_is_told_at_open(void **state)
{
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	sql_needed();
	server_ask(sql_server, "SET GLOBAL max_allowed_packet = 16776192");
	must_fail_with(CONVO_E_UNSUPPORTED,
		       convo_store_open(&store, sql_url(NULL, "prefix=packet_"), NULL, &err));
	must(strstr(err.text, "max_allowed_packet is 16776192") != NULL);
	must(strstr(err.text, "SET GLOBAL max_allowed_packet = 16777216") != NULL);
	server_ask(sql_server, "SET GLOBAL max_allowed_packet = 67108864");
}

/* A message of so many bytes, whose role stands last. */
static void packet_message(char *message, int len)
{
	static const char tail[] = "\",\"role\":\"user\"}";

	snprintf(message, CONVO_MAX_EVENT + 1, "{\"content\":\"%*s%s", len - 12 - (int)strlen(tail),
		 "", tail);
	must_equal(len, strlen(message));
}

/*
 * What does not fit goes in pieces: together the arguments of a statement may be larger, but none of
 * them. A change of state is one more copy, so the largest events that change much do not fit.
 */
static void test_N3_a_max_allowed_packet_of_16_MiB_will_do(void **state)
{
	static char message[CONVO_MAX_EVENT + 1], change[CONVO_MAX_VALUE];
	const struct convo_key key = {"app", "user", "s"};
	struct convo_window last = {.n = 4};
	convo_session *session = NULL;
	struct convo_event events[4] = {{.message = message}};
	convo_store *store;
	struct convo_err err;

	(void)state;
	sql_needed();
	server_ask(sql_server, "SET GLOBAL max_allowed_packet = 16777216");
	store = sql_open(sql_url(NULL, "prefix=packet_"));
	sql_create(store, "s");
	packet_message(message, CONVO_MAX_EVENT - (int)sizeof(change));
	snprintf(change, sizeof(change), "{\"v\":\"%*s\"}", (int)sizeof(change) - 10, "");
	for (int i = 0; i < 4; i++)
		events[i] = (struct convo_event){.message = message, .state = change};
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(store, &key, NULL, events, 4, NULL, NULL, &err));
	must(strstr(err.text, "max_allowed_packet") != NULL);
	must(!err.maybe);
	packet_message(message, CONVO_MAX_EVENT);
	for (int i = 0; i < 4; i++)
		events[i].state = NULL;
	must_pass(convo_store_append(store, &key, NULL, events, 4, NULL, NULL, &err));
	must_pass(convo_store_load(&session, store, &key, &last, NULL, &err));
	must_equal(4, convo_session_count(session));
	for (size_t i = 0; i < 4; i++) {
		const struct convo_event *event = convo_session_event(session, i);

		must(strcmp(event->role, "user") == 0);
		must(event->message_len == CONVO_MAX_EVENT);
	}
	convo_session_free(session);
	must_pass(sql_say(store, "s", &err));
	convo_store_close(store);
	server_ask(sql_server, "SET GLOBAL max_allowed_packet = 67108864");
}

/* A log of statements cannot hold what we do; it is told with what to do. */
static void test_L1_a_log_of_statements_is_told_at_open(void **state)
{
	static const char *const logs[] = {"--log-bin=bin", "--server-id=1",
					   "--binlog-format=STATEMENT", NULL};
	struct server *server = server_start_with(SERVER_MARIADB, SERVER_FAST, logs);
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	if (!server)
		test_skip("no mariadbd to test with");
	must_fail_with(CONVO_E_UNSUPPORTED, convo_store_open(&store, server->url, NULL, &err));
	must(strstr(err.text, "binlog_format") != NULL);
	server_end(server);
}

/* What a server sets for its sessions must not matter. */
static void test_any_default_of_a_session_will_do(void **state)
{
	struct convo_err err;
	convo_store *store;
	char *value = NULL;

	(void)state;
	sql_needed();
	server_ask(sql_server, "SET GLOBAL sql_mode = 'ANSI,ORACLE,PAD_CHAR_TO_FULL_LENGTH,"
			       "SIMULTANEOUS_ASSIGNMENT', GLOBAL autocommit = 0, "
			       "GLOBAL time_zone = '-11:00', GLOBAL tx_isolation = 'SERIALIZABLE', "
			       "GLOBAL character_set_server = 'latin1'");
	store = sql_open(sql_url("convo_odd", NULL));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	must_pass(convo_store_state_set(store, &(struct convo_key){"app", "user", "s"},
					&(struct convo_item){.name = "\xc3\xa9", .json = "[]"}, 1,
					NULL, &err));
	convo_store_close(store);
	store = sql_open(sql_url("convo_odd", NULL));
	sql_must_have(store, "s", 1);
	must_pass(convo_store_state_get(&value, store, &(struct convo_key){"app", "user", "s"},
					"\xc3\xa9", NULL, &err));
	must_equal_str("[]", value);
	free(value);
	convo_store_close(store);
	server_ask(sql_server, "SET GLOBAL sql_mode = DEFAULT, GLOBAL autocommit = 1, "
			       "GLOBAL time_zone = 'SYSTEM', GLOBAL tx_isolation = DEFAULT, "
			       "GLOBAL character_set_server = DEFAULT");
}

static void test_a_read_only_server_refuses_writes_alone(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	convo_store_close(sql_open(sql_url(NULL, "prefix=readonly_")));
	store = sql_open(sql_url(NULL, "prefix=readonly_"));
	sql_create(store, "s");
	server_ask(sql_server, "SET GLOBAL read_only = 1");
	convo_store_close(store);
	store = sql_open(sql_url(NULL, "prefix=readonly_"));
	sql_must_have(store, "s", 0);
	must_fail_with(CONVO_E_READONLY, sql_say(store, "s", &err));
	must(!err.maybe);
	server_ask(sql_server, "SET GLOBAL read_only = 0");
	must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 1);
	convo_store_close(store);
}

static void *hold(void *ctx)
{
	server_ask(sql_server, "BEGIN; SELECT no FROM lock_sessions FOR UPDATE; DO SLEEP(1.5); "
			       "ROLLBACK");
	return ctx;
}

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Somebody else's lock is waited for as long as there is time. */
static void test_a_lock_of_others_is_waited_for(void **state)
{
	struct convo_err err = {0};
	convo_store *patient, *hasty;
	pthread_t holder;

	(void)state;
	sql_needed();
	patient = sql_open(sql_url(NULL, "prefix=lock_"));
	hasty = sql_open(sql_url(NULL, "prefix=lock_&timeout=300ms"));
	sql_create(patient, "s");
	sql_must_have(hasty, "s", 0);
	must_equal(0, pthread_create(&holder, NULL, hold, NULL));
	nap_ms(600);
	must_fail_with(CONVO_E_TIMEOUT, sql_say(hasty, "s", &err));
	must_pass(sql_say(patient, "s", &err));
	pthread_join(holder, NULL);
	convo_store_close(hasty);
	convo_store_close(patient);
}

/* The key over the names of those that live holds, whatever a program does. */
static void test_S1_the_database_itself_refuses_a_second_life(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=twice_"));
	sql_create(store, "s");
	server_ask(
		sql_server,
		"INSERT IGNORE INTO twice_sessions (app, user, session, generation, title, life, "
		"position, created_us, updated_us, expires_us, deleted_us, purge_us, due_us, "
		"kept_seq, first_seq, last_seq, last_time_ms, state_bytes) SELECT app, user, "
		"session, generation, title, life, position, created_us, updated_us, expires_us, "
		"deleted_us, purge_us, due_us, kept_seq, first_seq, last_seq, last_time_ms, "
		"state_bytes FROM twice_sessions");
	must_equal_str("1", server_ask(sql_server, "SELECT COUNT(*) FROM twice_sessions"));
	convo_store_close(store);
}

/* A migration that was cut short goes on. */
static void test_L1_a_migration_that_was_cut_short_goes_on(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	convo_store_close(sql_open(sql_url(NULL, "prefix=cut_")));
	server_ask(sql_server, "DROP PROCEDURE cut_append");
	server_ask(sql_server, "DROP TABLE cut_state");
	server_ask(sql_server, "UPDATE cut_meta SET value = '0'");
	store = sql_open(sql_url(NULL, "prefix=cut_"));
	sql_create(store, "s");
	convo_store_close(store);
	server_ask(sql_server, "CREATE TABLE cut2_meta (name VARCHAR(64) PRIMARY KEY, "
			       "value VARCHAR(255)) COMMENT = 'convo'");
	store = sql_open(sql_url(NULL, "prefix=cut2_"));
	sql_create(store, "s");
	convo_store_close(store);
}

static void test_a_url_with_an_unknown_option_is_refused(void **state)
{
	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_INVALID, sql_url(NULL, "sslmode=require"), "sslmode");
	sql_must_refuse(CONVO_E_INVALID, sql_url(NULL, "tls=maybe"), "tls");
}

static void test_messages_can_be_queried(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=query_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	must_equal_str("hello", server_ask(sql_server, "SELECT JSON_UNQUOTE(JSON_EXTRACT(message, "
						       "'$.content')) FROM query_events AS e JOIN "
						       "query_sessions AS s ON s.no = e.session "
						       "WHERE app = 'app'"));
	convo_store_close(store);
}

static void test_L5_tls_is_verified(void **state)
{
	struct server *tls = server_start(SERVER_MARIADB_TLS, SERVER_FAST);
	struct server *stranger = server_start(SERVER_MARIADB_TLS, SERVER_FAST);
	struct server *plain = sql_server;
	const char *url;

	(void)state;
	sql_needed();
	sql_server = tls;
	url = test_text("mysql://convo:%s@localhost:%d/convo", "p%40ss%3Aw%2Frd%20%23%27%25",
			tls->port);
	convo_store_close(sql_open(test_text("%s?tls=verify&ca=%s", url, tls->ca_file)));
	convo_store_close(sql_open(test_text("%s?tls=unverified", url)));
	/* Without TLS this user may not come in, and hears how; another authority is not trusted. */
	sql_must_refuse(CONVO_E_DENIED, url, "tls=verify");
	sql_must_refuse(CONVO_E_DENIED, test_text("%s?tls=off", url), "tls=verify");
	sql_must_refuse(CONVO_E_IO, test_text("%s?ca=%s", url, stranger->ca_file), "");
	sql_must_refuse(CONVO_E_IO, test_text("%s?tls=verify&ca=%s", url, stranger->ca_file), "");
	sql_server = plain;
	server_end(stranger);
	server_end(tls);
}

int main(void)
{
	const struct CMUnitTest mysql[] = {
		SQL_SUITE,
		cmocka_unit_test(test_L5_a_wrong_password_is_told_without_it),
		cmocka_unit_test(test_L1_a_small_max_allowed_packet_is_told_at_open),
		cmocka_unit_test(test_N3_a_max_allowed_packet_of_16_MiB_will_do),
		cmocka_unit_test(test_L1_a_log_of_statements_is_told_at_open),
		cmocka_unit_test(test_any_default_of_a_session_will_do),
		cmocka_unit_test(test_a_read_only_server_refuses_writes_alone),
		cmocka_unit_test(test_a_lock_of_others_is_waited_for),
		cmocka_unit_test(test_S1_the_database_itself_refuses_a_second_life),
		cmocka_unit_test(test_L1_a_migration_that_was_cut_short_goes_on),
		cmocka_unit_test(test_a_url_with_an_unknown_option_is_refused),
		cmocka_unit_test(test_messages_can_be_queried),
		cmocka_unit_test(test_L5_tls_is_verified),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(mysql);
	server_end(sql_server);
	return rc;
}
