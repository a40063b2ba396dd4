/*
 * What is special to the PostgreSQL store. The contract is in test_postgres_contract.c, broken
 * networks in test_postgres_faults.c, kills in test_postgres_storm.c.
 */
#include "store/shared/sql_suite.h"

#include <stdio.h>

/* A mistake of one of many that write together must not be another's. */
static void mix_thread(void *ctx, int index)
{
	static const char *const sessions[] = {"absent", "a", "b", "c"};
	static const struct convo_expect expect = {.check_seq = true, .after_seq = 1000000};
	const struct convo_event event = {.message = "{\"role\":\"user\"}"};
	struct convo_key key = {"app", "user", sessions[index % 4]};
	struct convo_err err;

	for (int i = 0; i < 50; i++) {
		if (index % 4 == 0)
			must_fail_with(CONVO_E_NOTFOUND, sql_say(ctx, "absent", &err));
		else if (index == 5)
			must_fail_with(CONVO_E_CONFLICT,
				       convo_store_append(ctx, &key, &expect, &event, 1, NULL, NULL,
							  &err));
		else
			must_pass(sql_say(ctx, key.session, &err));
	}
}

static void mix(convo_store *store)
{
	sql_create(store, "a");
	sql_create(store, "b");
	sql_create(store, "c");
	test_threads(16, mix_thread, store);
	sql_must_have(store, "a", 150);
	sql_must_have(store, "b", 200);
	sql_must_have(store, "c", 200);
}

static void test_A8_each_of_those_that_write_together_has_its_own_outcome(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=mix_"));
	mix(store);
	convo_store_close(store);
}

/* One scope that is full fails the transaction of all; each is then tried by itself. */
static void full_thread(void *ctx, int index)
{
	const size_t size = 900064;
	struct convo_event event = {.message = "{\"role\":\"user\"}"};
	struct convo_key key = {"app", "user", "full"};
	struct convo_err err = {0};
	char *state;
	int rc = 0;

	for (int i = 0; index >= 8 && i < 10; i++)
		must_pass(sql_say(ctx, "beside", &err));
	if (index >= 8)
		return;
	state = malloc(size);
	must(state != NULL);
	snprintf(state, size, "{\"n%d\":\"%*s\"}", index, 900000, "");
	event.state = state;
	rc = convo_store_append(ctx, &key, NULL, &event, 1, NULL, NULL, &err);
	if (rc < 0 && rc != CONVO_E_TOOBIG)
		must_not_reach("%s", err.text);
	free(state);
}

static void test_N3_a_full_scope_fails_its_own_writer_alone(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=full_"));
	sql_create(store, "full");
	sql_create(store, "beside");
	test_threads(16, full_thread, store);
	sql_must_have(store, "full", 4);
	sql_must_have(store, "beside", 80);
	convo_store_close(store);
}

static void test_L6_works_behind_pgbouncer_in_transaction_mode(void **state)
{
	struct server *bouncer;
	convo_store *store;

	(void)state;
	sql_needed();
	bouncer = server_start_pgbouncer(sql_server);
	if (!bouncer)
		test_skip("no pgbouncer");
	store = sql_open(test_text("%s?prefix=bouncer_&pool=16", bouncer->url));
	mix(store);
	convo_store_close(store);
	server_end(bouncer);
}

static void test_any_default_isolation_will_do(void **state)
{
	static const char *const levels[] = {"repeatable read", "serializable"};

	(void)state;
	sql_needed();
	for (int i = 0; i < 2; i++) {
		const char *name = test_text("convo_level%d", i);
		convo_store *store;

		server_ask(sql_server, "CREATE DATABASE %s", name);
		server_ask(sql_server, "ALTER DATABASE %s SET default_transaction_isolation = '%s'",
			   name, levels[i]);
		store = sql_open(sql_url(name, NULL));
		mix(store);
		convo_store_close(store);
	}
}

static void test_another_encoding_is_refused(void **state)
{
	static const char *const encodings[] = {"LATIN1", "SQL_ASCII"};

	(void)state;
	sql_needed();
	for (int i = 0; i < 2; i++) {
		server_ask(sql_server,
			   "CREATE DATABASE convo_%s ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C' "
			   "TEMPLATE template0",
			   encodings[i], encodings[i]);
		sql_must_refuse(CONVO_E_UNSUPPORTED,
				sql_url(i ? "convo_sql_ascii" : "convo_latin1", NULL),
				encodings[i]);
	}
}

static void test_a_read_only_server_refuses_writes_alone(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	server_ask(sql_server, "CREATE DATABASE convo_readonly");
	store = sql_open(sql_url("convo_readonly", NULL));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	convo_store_close(store);
	server_ask(sql_server,
		   "ALTER DATABASE convo_readonly SET default_transaction_read_only = on");
	store = sql_open(sql_url("convo_readonly", NULL));
	sql_must_have(store, "s", 1);
	must_fail_with(CONVO_E_READONLY, sql_say(store, "s", &err));
	must(!err.maybe);
	server_ask(sql_server,
		   "ALTER DATABASE convo_readonly SET default_transaction_read_only = off");
	must_pass(sql_say(store, "s", &err));
	sql_must_have(store, "s", 2);
	convo_store_close(store);
}

static void test_L3_the_first_of_several_hosts_that_answers_is_taken(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(test_text("postgres://convo@127.0.0.1:%d,127.0.0.1:%d/postgres?"
				   "prefix=hosts_&target_session_attrs=read-write",
				   test_port(), sql_server->port));
	sql_create(store, "s");
	convo_store_close(store);
	store = sql_open(test_text("postgres://convo@/postgres?host=%s:%d&prefix=hosts_",
				   sql_server->socket, sql_server->port));
	sql_must_have(store, "s", 0);
	convo_store_close(store);
}

static void test_a_url_with_an_unknown_option_is_refused(void **state)
{
	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_INVALID, sql_url(NULL, "sslmod=require"), "sslmod");
}

static void test_schema_that_is_gone_is_told(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=gone_"));
	server_ask(sql_server, "DROP FUNCTION gone_create");
	must_fail_with(CONVO_E_VERSION,
		       convo_store_create(store, &(struct convo_key){"a", "u", "s"}, NULL, NULL,
					  NULL, &err));
	convo_store_close(store);
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
	must_equal_str("hello",
		       server_ask(sql_server, "SELECT message->>'content' FROM query_events "
					      "JOIN query_sessions ON no = "
					      "query_events.session WHERE app = 'app'"));
	convo_store_close(store);
}

static void test_L5_tls_is_verified(void **state)
{
	struct server *tls = server_start(SERVER_POSTGRES_TLS, SERVER_FAST);
	const char *url;

	(void)state;
	sql_needed();
	convo_store_close(sql_open(tls->url));
	url = test_text("%.*s", (int)(strchr(tls->url, '?') - tls->url), tls->url);
	convo_store_close(sql_open(test_text("%s?sslmode=require", url)));
	/* Another authority is not trusted. */
	sql_must_refuse(CONVO_E_IO,
			test_text("%s?sslmode=verify-full&sslrootcert=/etc/hostname", url), "");
	server_end(tls);
}

static void test_L5_a_missing_password_is_told_with_the_user_and_the_way_to_give_it(void **state)
{
	const char *url;

	(void)state;
	sql_needed();
	url = test_text("postgres://convo%s", strchr(sql_url(NULL, NULL), '@'));
	sql_must_refuse(CONVO_E_DENIED, url, "'convo'");
	sql_must_refuse(CONVO_E_DENIED, url, "PG_PASSWORD");
}

static void test_a_server_that_is_not_there_is_gone(void **state)
{
	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_GONE, test_text("postgres://convo@127.0.0.1:%d/chat", test_port()),
			"refused");
}

int main(void)
{
	const struct CMUnitTest with_password[] = {
		cmocka_unit_test(
			test_L5_a_missing_password_is_told_with_the_user_and_the_way_to_give_it),
		cmocka_unit_test(test_L5_a_wrong_password_is_told_without_it),
		cmocka_unit_test(test_L4_one_connection_serves_eight_threads),
	};
	const struct CMUnitTest postgres[] = {
		SQL_SUITE,
		cmocka_unit_test(test_L2_a_cancel_ends_a_call_that_waits_for_the_server),
		cmocka_unit_test(test_A8_each_of_those_that_write_together_has_its_own_outcome),
		cmocka_unit_test(test_N3_a_full_scope_fails_its_own_writer_alone),
		cmocka_unit_test(test_L6_works_behind_pgbouncer_in_transaction_mode),
		cmocka_unit_test(test_any_default_isolation_will_do),
		cmocka_unit_test(test_another_encoding_is_refused),
		cmocka_unit_test(test_a_read_only_server_refuses_writes_alone),
		cmocka_unit_test(test_L3_the_first_of_several_hosts_that_answers_is_taken),
		cmocka_unit_test(test_a_url_with_an_unknown_option_is_refused),
		cmocka_unit_test(test_schema_that_is_gone_is_told),
		cmocka_unit_test(test_a_server_that_is_not_there_is_gone),
		cmocka_unit_test(test_messages_can_be_queried),
		cmocka_unit_test(test_L5_tls_is_verified),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES_SCRAM, SERVER_FAST);
	rc = TEST_RUN(with_password);
	server_end(sql_server);
	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc |= TEST_RUN(postgres);
	server_end(sql_server);
	return rc;
}
