/*
 * What is special to stores with a schema on a server, and the same for PostgreSQL and MySQL: whose
 * tables they are, databases that are missing, refusals, servers that hang, one connection for
 * many threads. Their own files add what is theirs.
 */
#ifndef TESTS_STORE_SHARED_SQL_SUITE_H
#define TESTS_STORE_SHARED_SQL_SUITE_H

#include <support/servers.h>
#include <support/test.h>

#include <convo/store.h>

extern struct server *sql_server; /* set by main(); NULL: not installed */

/** End the test as skipped without a server. */
void sql_needed(void);

/** The server's URL with another database, and ? or & with more parameters; either may be NULL. */
const char *sql_url(const char *database, const char *more);

/** Open; no cleaning by itself. */
convo_store *sql_open(const char *url);

/** Fail to open with that code, and a text that says this and no password. */
void sql_must_refuse(int code, const char *url, const char *text);

/** Run SQL of any length in a database, as an administrator. */
void sql_feed(const char *database, const char *sql);

void sql_create(convo_store *store, const char *session);
int sql_say(convo_store *store, const char *session, struct convo_err *err);
void sql_must_have(convo_store *store, const char *session, size_t events);

void test_L1_tables_of_others_are_left_alone(void **state);
void test_L1_a_newer_schema_is_left_alone(void **state);
void test_L1_many_processes_may_start_without_a_database(void **state);
void test_L1_a_database_that_may_not_be_made_is_told(void **state);
void test_L1_the_schema_may_be_made_by_an_administrator(void **state);
void test_L2_a_server_that_hangs_costs_the_timeout_and_no_more(void **state);
void test_L2_a_cancel_ends_a_call_that_waits_for_the_server(void **state);
void test_L3_a_restart_of_the_server_needs_none_of_ours(void **state);
void test_L3_a_peer_that_went_without_a_word_costs_one_call(void **state);
void test_L4_one_connection_serves_eight_threads(void **state);
void test_L5_a_wrong_password_is_told_without_it(void **state);
void test_P1_round_trips_are_few(void **state);
void test_each_allocation_may_fail(void **state);

#define SQL_SUITE                                                                            \
	cmocka_unit_test(test_L1_tables_of_others_are_left_alone),                           \
		cmocka_unit_test(test_L1_a_newer_schema_is_left_alone),                      \
		cmocka_unit_test(test_L1_many_processes_may_start_without_a_database),       \
		cmocka_unit_test(test_L1_a_database_that_may_not_be_made_is_told),           \
		cmocka_unit_test(test_L1_the_schema_may_be_made_by_an_administrator),        \
		cmocka_unit_test(test_L2_a_server_that_hangs_costs_the_timeout_and_no_more), \
		cmocka_unit_test(test_L3_a_restart_of_the_server_needs_none_of_ours),        \
		cmocka_unit_test(test_L3_a_peer_that_went_without_a_word_costs_one_call),    \
		cmocka_unit_test(test_L4_one_connection_serves_eight_threads),               \
		cmocka_unit_test(test_P1_round_trips_are_few),                               \
		cmocka_unit_test(test_each_allocation_may_fail)

#endif
