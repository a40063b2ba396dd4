/*
 * What the server makes of our statements while it has not counted the tables yet: by what index it
 * finds a session.
 */
#include "store/shared/sql_suite.h"

#include <stdlib.h>
#include <time.h>

#define SESSIONS 300 /* of one user */
#define CALLS 10     /* of each kind */

static void use(convo_store *store, int i)
{
	const struct convo_event event = {.message = "{\"role\":\"user\"}"};
	const struct convo_item item = {.name = "n", .json = "1"};
	const struct convo_key key = {"app", "user", test_text("s%d", i)};
	convo_session *session = NULL;
	char *value = NULL;
	struct convo_err err;

	must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	convo_session_free(session);
	must_pass(convo_store_rename(store, &key, "title", NULL, &err));
	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
	must_pass(convo_store_state_get(&value, store, &key, "n", NULL, &err));
	convo_free(value);
	must_pass(convo_store_delete(store, &key, NULL, &err));
}

static void use_many(void *ctx, int index)
{
	for (int i = 0; i < CALLS; i++)
		use(ctx, index * CALLS + i);
}

/* How often an index was gone through. */
static long scans(const char *index)
{
	return strtol(server_ask(sql_server,
				 "SELECT idx_scan FROM pg_stat_user_indexes WHERE "
				 "indexrelname = 'plans_sessions_%s'",
				 index),
		      NULL, 10);
}

/* One that goes over the list of the user costs what the user has. */
static void test_P2_a_session_is_found_by_its_name_however_many_there_are(void **state)
{
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=plans_"));
	for (int i = 0; i < SESSIONS; i++)
		sql_create(store, test_text("s%d", i));
	test_threads(SESSIONS / CALLS / 2, use_many, store);
	convo_store_close(store); /* its connections tell what they did as they end */
	while (scans("name") < SESSIONS / 2)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	must_equal(0, scans("list"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_P2_a_session_is_found_by_its_name_however_many_there_are),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
