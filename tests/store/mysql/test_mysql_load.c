/*
 * Loading on MySQL: what is read by one statement (load.c) and what needs the procedure come out alike,
 * in whichever order they are asked for on one handle.
 */
#include "store/shared/sql_suite.h"

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

static const struct convo_key plain = {"app", "plain", "s"}, own = {"app", "own", "s"},
			      user = {"app", "user", "s"}, app = {"other", "plain", "s"},
			      empty = {"app", "plain", "empty"}, absent = {"app", "plain", "none"};

/* ---- one handle ------------------------------------------------------------------------- */

struct loads {
	convo_store *store;
	int64_t round_trips; /* of the last call */
};

static void loads_hear(void *ctx, const struct convo_trace_call *call)
{
	((struct loads *)ctx)->round_trips = call->round_trips;
}

static void loads_open(struct loads *loads, const char *prefix, int64_t limit)
{
	const struct convo_trace trace = {.on_call = loads_hear, .ctx = loads};
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = 20000,
						 .max_connections = 1,
						 .event_limit = limit ? limit : CONVO_OFF,
						 .trace = &trace};
	struct convo_err err;

	if (convo_store_open(&loads->store, sql_url(NULL, prefix), &opts, &err) < 0)
		must_not_reach("open: %s", err.text);
}

/* A session with events, and a name of state if one is given. */
static void loads_make(struct loads *loads, const struct convo_key *key, int events,
		       const char *name)
{
	const struct convo_item item = {.name = name, .json = "1"};
	const struct convo_create create = {.title = "title"};
	const struct convo_event event = {.message = HELLO};
	struct convo_err err;

	must_pass(convo_store_create(loads->store, key, &create, NULL, NULL, &err));
	for (int i = 0; i < events; i++)
		must_pass(convo_store_append(loads->store, key, NULL, &event, 1, NULL, NULL, &err));
	if (name)
		must_pass(convo_store_state_set(loads->store, key, &item, 1, NULL, &err));
}

/* Load the newest n; they are those up to `last`, and there are so many names of state. */
static void loads_must(struct loads *loads, const struct convo_key *key, size_t n, int64_t first,
		       int64_t last, size_t names)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = n};
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, loads->store, key, &window, NULL, &err));
	must_equal_str("title", convo_session_meta(session)->title);
	must_equal_str(key->session, convo_session_meta(session)->session);
	must_equal(last, convo_session_meta(session)->last_seq);
	must_equal(last - first + 1, convo_session_count(session));
	for (int64_t seq = first; seq <= last; seq++)
		must_equal(seq, convo_session_event(session, (size_t)(seq - first))->seq);
	test_state(session, &count);
	must_equal(names, count);
	convo_session_free(session);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_S2_state_is_loaded_whatever_was_loaded_before(void **state)
{
	static const struct {
		const struct convo_key *key;
		int64_t last;
		size_t names;
	} all[] = {{&plain, 3, 0}, {&own, 3, 1}, {&user, 3, 1}, {&app, 3, 1}, {&empty, 0, 0}};
	const size_t count = sizeof(all) / sizeof(all[0]);
	convo_session *session = NULL;
	struct loads loads;
	struct convo_err err;

	(void)state;
	sql_needed();
	loads_open(&loads, "prefix=mixed_", 0);
	loads_make(&loads, &plain, 3, NULL);
	loads_make(&loads, &own, 3, "n");
	loads_make(&loads, &user, 3, "user:n");
	loads_make(&loads, &app, 3, "app:n");
	loads_make(&loads, &empty, 0, NULL);
	for (size_t i = 0; i < count * count; i++) {
		loads_must(&loads, all[i / count].key, 50, 1, all[i / count].last,
			   all[i / count].names);
		loads_must(&loads, all[i % count].key, 50, 1, all[i % count].last,
			   all[i % count].names);
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_load(&session, loads.store, &absent, NULL, NULL, &err));
	}
	/* What was removed is not there any more. */
	must_pass(convo_store_state_set(loads.store, &own, &(struct convo_item){.name = "n"}, 1,
					NULL, &err));
	loads_must(&loads, &own, 50, 1, 3, 0);
	loads_must(&loads, &own, 50, 1, 3, 0);
	convo_store_close(loads.store);
}

static void test_S2_the_newest_are_those_of_the_window_and_the_limit(void **state)
{
	struct loads loads, all;

	(void)state;
	sql_needed();
	loads_open(&all, "prefix=newest_", 0);
	loads_make(&all, &plain, 6, NULL);
	loads_must(&all, &plain, 1, 6, 6, 0);
	loads_must(&all, &plain, 5, 2, 6, 0);
	loads_must(&all, &plain, 6, 1, 6, 0);
	loads_must(&all, &plain, 7, 1, 6, 0);
	loads_open(&loads, "prefix=newest_", 4);
	loads_must(&loads, &plain, 3, 4, 6, 0);
	loads_must(&loads, &plain, 50, 3, 6, 0);
	convo_store_close(loads.store);
	convo_store_close(all.store);
}

/* Each statement was prepared on the one connection before. */
static void test_P1_the_newest_take_one_round_trip(void **state)
{
	struct loads loads;

	(void)state;
	sql_needed();
	loads_open(&loads, "prefix=trips_", 0);
	loads_make(&loads, &plain, 3, NULL);
	loads_make(&loads, &own, 3, "n");
	loads_must(&loads, &plain, 50, 1, 3, 0);
	loads_must(&loads, &own, 50, 1, 3, 1);
	for (int i = 0; i < 2; i++) {
		loads_must(&loads, &own, 50, 1, 3, 1);
		must_equal(1, loads.round_trips);
	}
	loads_must(&loads, &plain, 50, 1, 3, 0);
	must_equal(1, loads.round_trips);
	for (int i = 0; i < 2; i++) {
		loads_must(&loads, &plain, 50, 1, 3, 0);
		must_equal(1, loads.round_trips);
	}
	loads_must(&loads, &own, 50, 1, 3, 1);
	must_equal(2, loads.round_trips);
	convo_store_close(loads.store);
}

int main(void)
{
	const struct CMUnitTest load[] = {
		cmocka_unit_test(test_S2_state_is_loaded_whatever_was_loaded_before),
		cmocka_unit_test(test_S2_the_newest_are_those_of_the_window_and_the_limit),
		cmocka_unit_test(test_P1_the_newest_take_one_round_trip),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(load);
	server_end(sql_server);
	return rc;
}
