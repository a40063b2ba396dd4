/*
 * Leases, drafts, forks and marks on MySQL: what is left in its tables, what they cost, and programs of
 * before beside this one. What they are is in the contract.
 */
#include "store/shared/sql_suite.h"

#include <stdlib.h>
#include <string.h>

#include <convo/watch.h>

#include <base/clock.h>
#include <store/backend.h>
#include <support/json_same.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define HOUR_US INT64_C(3600000000)

static const struct convo_key key = {"app", "user", "s"};

static convo_lease *lease_of(int64_t ms)
{
	const struct convo_lease_options lease_opts = {.ms = ms};
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, &lease_opts, &err));
	return lease;
}

static int hold(convo_store *store, convo_lease *lease, enum convo_hold what, size_t events,
		struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO};
	const struct convo_expect expect = {.lease = lease, .hold = what};

	return convo_store_append(store, &key, &expect, &event, events, NULL, NULL, err);
}

static const char draft_id[] = "0191e2a4-7b2c-7000-8000-0123456789ab";

static int draft_save(convo_store *store, convo_lease *lease, const char *message,
		      struct convo_err *err)
{
	const struct convo_event event = {.id = draft_id, .turn = "t", .message = message};

	return convo_store_draft(store, &key, lease, &event, NULL, err);
}

static int draft_load(convo_store *store, convo_session **out, struct convo_err *err)
{
	const struct convo_window window = {.n = 50, .with = CONVO_WITH_DRAFT};

	return convo_store_load(out, store, &key, &window, NULL, err);
}

/* What stands in both tables. */
static void must_hold_rows(const char *prefix, const char *more, const char *drafts)
{
	must_equal_str(more, server_ask(sql_server, "SELECT COUNT(*) FROM %smore", prefix));
	must_equal_str(drafts, server_ask(sql_server, "SELECT COUNT(*) FROM %sdrafts", prefix));
}

/* ---- L1: versions before ------------------------------------------------------------------ */

/* A database of version 4, whose programs save drafts one by one. */
static void before_make_4(const char *url)
{
	convo_store_close(sql_open(url));
	server_ask(sql_server, "DROP PROCEDURE before_drafts; "
			       "UPDATE before_meta SET value = '4' WHERE name = 'schema'");
}

/* One of version 3, which has no turns, and how a program of then writes to it. */
static void before_make_3(const char *url)
{
	before_make_4(url);
	server_ask(sql_server,
		   "DROP PROCEDURE before_hold; DROP PROCEDURE before_draft; DROP PROCEDURE "
		   "before_read; DROP PROCEDURE before_fork; DROP PROCEDURE before_weigh; "
		   "DROP TABLE before_more, before_drafts; "
		   "UPDATE before_meta SET value = '3' WHERE name = 'schema'");
	server_ask(sql_server, "CALL before_create('app', 'user', 's', 1000000, 0, 4194304, "
			       "UNHEX('0191e2a47b2c70008000012345678901'), 'title', 0, '', '')");
}

static void before_append(const char *id)
{
	server_ask(sql_server,
		   "CALL before_append('app', 'user', 's', 2000000, 0, 4194304, 0, NULL, -1, "
		   "CONCAT(UNHEX('%s'), '00000', '000000034000000004', '000000034000000004', "
		   "REPEAT('000000000000000000', 4), '000000001000000033', "
		   "REPEAT('000000000000000000', 3)), 0, '', '%suser')",
		   id, HELLO);
}

static void test_L1_a_program_of_before_goes_on_beside_this_one(void **state)
{
	convo_lease *lease = lease_of(60000);
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;
	const char *url;

	(void)state;
	sql_needed();
	url = sql_url(NULL, "prefix=before_");
	before_make_3(url);
	before_append("0191e2a47b2c70008000012345678902");
	sql_must_refuse(CONVO_E_VERSION, sql_url(NULL, "prefix=before_&schema=check"), "schema");
	store = sql_open(url);
	must_equal_str("5", server_ask(sql_server, "SELECT value FROM before_meta"));
	sql_must_have(store, "s", 1);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
	must_pass(draft_save(store, lease, HELLO, &err));
	before_append("0191e2a47b2c70008000012345678903");
	must_equal_str("3", server_ask(sql_server, "SELECT last_seq FROM before_sessions"));
	must_pass(draft_load(store, &session, &err));
	must_equal(3, convo_session_count(session));
	must(convo_session_draft(session) != NULL);
	must(convo_session_meta(session)->held_ms > 0);
	convo_session_free(session);
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, 1, &err));
	/* Its cleaning leaves nothing of ours. */
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_hold_rows("before_", "1", "1");
	server_ask(sql_server, "CALL before_clean(4000000000000000, 2000)");
	must_equal_str("0", server_ask(sql_server, "SELECT COUNT(*) FROM before_sessions"));
	must_hold_rows("before_", "0", "0");
	convo_store_close(store);
	convo_lease_free(lease);
}

/* A program that saves a draft by itself goes on, beside one that saves those of many turns. */
static void test_L1_drafts_of_before_are_gone_on_with(void **state)
{
	convo_lease *lease = lease_of(60000);
	struct convo_event event = {.id = draft_id, .turn = "t", .message = HELLO};
	struct convo_draft draft = {.key = &key, .lease = lease, .event = &event};
	convo_session *session = NULL;
	struct convo_err err;
	convo_store *store;
	const char *url;

	(void)state;
	sql_needed();
	url = sql_url(NULL, "prefix=before_");
	before_make_4(url);
	sql_must_refuse(CONVO_E_VERSION, sql_url(NULL, "prefix=before_&schema=check"), "schema");
	store = sql_open(url);
	must_equal_str("5", server_ask(sql_server, "SELECT value FROM before_meta"));
	sql_create(store, "s");
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
	must_pass(draft_save(store, lease, HELLO, &err));
	event.message = "{\"role\":\"user\",\"content\":\"hello again\"}";
	must_pass(convo_store_drafts(store, &draft, 1, NULL, &err));
	must_equal(0, draft.code);
	must_pass(draft_load(store, &session, &err));
	must(json_same(event.message, convo_session_draft(session)->message));
	convo_session_free(session);
	must_pass(draft_save(store, lease, HELLO, &err));
	must_pass(draft_load(store, &session, &err));
	must(json_same(HELLO, convo_session_draft(session)->message));
	convo_session_free(session);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	convo_store_close(store);
	convo_lease_free(lease);
}

/* ---- R2: pieces --------------------------------------------------------------------------- */

/* A message of so many bytes, which ends in the middle of a character now and then. */
static char *message_of(size_t len)
{
	static const char head[] = "{\"role\":\"assistant\",\"content\":\"", tail[] = "\"}";
	char *message = calloc(1, len + 1);
	size_t at = sizeof(head) - 1;

	must(message != NULL && len > at + 4);
	memcpy(message, head, at);
	memset(message + at, 'x', len - at);
	for (; at + 5 < len; at += 5)
		memcpy(message + at, "\xe4\xb8\xad", 3);
	memcpy(message + len - 2, tail, 2);
	return message;
}

static void must_load_draft(convo_store *store, const char *message)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(draft_load(store, &session, &err));
	must_equal_str(message, convo_session_draft(session)->message);
	must_equal_str("t", convo_session_draft(session)->turn);
	must(convo_session_draft(session)->model == NULL);
	convo_session_free(session);
}

static void test_R2_a_draft_grows_by_pieces(void **state)
{
	convo_lease *lease = lease_of(0);
	struct convo_err err;
	convo_store *store;
	char *message;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=pieces_"));
	sql_create(store, "s");
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
	for (size_t len = 60; len < 20000; len += 117) {
		message = message_of(len);
		must_pass(draft_save(store, lease, message, &err));
		if (len % 10 == 0)
			must_load_draft(store, message);
		free(message);
	}
	/* As many pieces as it is long, not as it was saved; none is written again but the last. */
	must_equal_str("1", server_ask(sql_server,
				       "SELECT COUNT(*) BETWEEN 4 AND 8 AND MAX(LENGTH(part)) <= "
				       "4096 AND SUM(LENGTH(part)) = (SELECT draft_len FROM "
				       "pieces_more) FROM pieces_drafts"));
	/* What goes back to before is cut, wherever a piece ends. */
	for (size_t len = 19999; len > 1993; len -= 1993) {
		message = message_of(len);
		must_pass(draft_save(store, lease, message, &err));
		must_load_draft(store, message);
		free(message);
	}
	message = message_of(CONVO_MAX_DRAFT);
	must_pass(draft_save(store, lease, message, &err));
	must_load_draft(store, message);
	free(message);
	must_pass(hold(store, lease, CONVO_HOLD_END, 1, &err));
	must_hold_rows("pieces_", "1", "0");
	convo_store_close(store);
	convo_lease_free(lease);
}

static void test_T4_nothing_is_left_of_a_session_that_was_held(void **state)
{
	convo_lease *lease = lease_of(0);
	const struct convo_fork fork = {.session = "fork"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=left_&ttl=1h"));
	sql_create(store, "s");
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
	must_pass(draft_save(store, lease, HELLO, &err));
	must_pass(convo_store_fork(store, &key, &fork, NULL, NULL, &err));
	must_hold_rows("left_", "2", "1");
	cv_clock_shift_us(2 * HOUR_US);
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	cv_clock_shift_us(0);
	must_equal_str("0", server_ask(sql_server, "SELECT COUNT(*) FROM left_sessions"));
	must_equal_str("0", server_ask(sql_server, "SELECT COUNT(*) FROM left_events"));
	must_hold_rows("left_", "0", "0");
	convo_store_close(store);
	convo_lease_free(lease);
}

/* ---- A2: repeated by ourselves -------------------------------------------------------------- */

/* An append that settles a draft, whose answer was lost on its way, is sent again as it was. */
static void test_A2_a_settling_that_is_sent_again_succeeds(void **state)
{
	convo_lease *gone = lease_of(0);
	struct store_call call = {0};
	struct store_hold settle = {.what = CONVO_HOLD_FORCE,
				    .us = 60000000,
				    .settles = true,
				    .draft_len = sizeof(HELLO) - 1};
	struct store_event event = {.status = CONVO_INTERRUPTED};
	struct store_append append = {.events = &event, .count = 1, .hold = &settle};
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=settle_"));
	sql_create(store, "s");
	must_pass(hold(store, gone, CONVO_HOLD_TAKE, 1, &err));
	must_pass(draft_save(store, gone, HELLO, &err));
	must(cv_uuid_parse(event.id, draft_id));
	must(cv_uuid_parse(settle.draft, draft_id));
	cv_uuid_random(settle.lease);
	event.field[FIELD_ROLE] = event.field[FIELD_AUTHOR] = cv_text_of("user");
	event.field[FIELD_MESSAGE] = cv_text_of(HELLO);
	call.now_us = cv_clock_us();
	call.deadline_us = cv_clock_mono_us() + 10000000;
	for (int i = 0; i < 3; i++) {
		must_pass(store->be->append(store, &call, &key, &append, &err));
		must_equal(2, event.seq);
		settle.what = CONVO_HOLD_TAKE;
	}
	must_hold_rows("settle_", "1", "0");
	sql_must_have(store, "s", 2);
	convo_store_close(store);
	convo_lease_free(gone);
}

/* ---- P1 ------------------------------------------------------------------------------------ */

static void trips_add(void *ctx, const struct convo_trace_call *call)
{
	*(int64_t *)ctx += call->round_trips;
}

#define MUST_TAKE(most, what)                 \
	do {                                  \
		trips = 0;                    \
		must_pass(what);              \
		must(i < 2 || trips == most); \
	} while (0)

/* Once its statements are known to the connection. */
static void test_P1_turns_take_no_further_round_trips(void **state)
{
	int64_t trips = 0;
	const struct convo_trace trace = {.on_call = trips_add, .ctx = &trips};
	const struct convo_store_options few = {.clean_interval_ms = CONVO_OFF,
						.timeout_ms = 20000,
						.max_connections = 1,
						.trace = &trace};
	convo_session *session;
	struct convo_stats stats;
	struct convo_err err;
	convo_store *store = NULL;

	(void)state;
	sql_needed();
	must_pass(convo_store_open(&store, sql_url(NULL, "prefix=trips_"), &few, &err));
	sql_create(store, "s");
	for (int i = 0; i < 4; i++) {
		const struct convo_fork fork = {.session = test_text("fork %d", i)};
		convo_lease *lease = lease_of(0);

		MUST_TAKE(1, hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
		MUST_TAKE(1, draft_save(store, lease, HELLO, &err));
		session = NULL;
		MUST_TAKE(2, draft_load(store, &session, &err));
		convo_session_free(session);
		MUST_TAKE(1, hold(store, lease, CONVO_HOLD_END, 1, &err));
		session = NULL;
		MUST_TAKE(1, draft_load(store, &session, &err));
		convo_session_free(session);
		MUST_TAKE(1, convo_store_fork(store, &key, &fork, NULL, NULL, &err));
		must_pass(convo_store_stats(store, "app", "user", &stats, NULL, &err));
		must_equal(i + 2, stats.sessions);
		convo_lease_free(lease);
	}
	convo_store_close(store);
}

/* ---- W1 ------------------------------------------------------------------------------------ */

static uint64_t mark_of(convo_store *store)
{
	const struct convo_key *keys[] = {&key, &key};
	struct store_call call = {.now_us = cv_clock_us(),
				  .deadline_us = cv_clock_mono_us() + 10000000};
	uint64_t marks[2] = {0, 0};
	struct convo_err err;

	must_pass(store->be->marks(store, &call, keys, 1, marks, &err));
	return marks[0];
}

static void must_differ(convo_store *store, uint64_t *mark)
{
	uint64_t now = mark_of(store);

	must(now != *mark);
	*mark = now;
}

static void state_write(convo_store *store, const char *json)
{
	const struct convo_item item = {.name = "n", .json = json};
	struct convo_err err;

	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
}

/* Also what is done by a clock that is behind, and by many at one moment. */
static void test_W1_every_change_has_another_mark(void **state)
{
	convo_lease *lease = lease_of(0);
	uint64_t mark = 0;
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = sql_open(sql_url(NULL, "prefix=marks_"));
	must_equal(0, mark_of(store));
	sql_create(store, "s");
	must_differ(store, &mark);
	must_pass(sql_say(store, "s", &err));
	must_differ(store, &mark);
	cv_clock_shift_us(-HOUR_US);
	must_pass(convo_store_rename(store, &key, "title", NULL, &err));
	must_differ(store, &mark);
	state_write(store, "1");
	must_differ(store, &mark);
	state_write(store, "2");
	must_differ(store, &mark);
	cv_clock_shift_us(0);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, 0, &err));
	must_differ(store, &mark);
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, 0, &err));
	must_equal(mark, mark_of(store)); /* prolonged, no more */
	must_pass(draft_save(store, lease, HELLO, &err));
	must_differ(store, &mark);
	must_pass(draft_save(store, lease, "{\"role\":\"user\",\"content\":\"hallo\"}", &err));
	must_differ(store, &mark);
	must_pass(hold(store, lease, CONVO_HOLD_END, 0, &err));
	must_differ(store, &mark);
	must_pass(hold(store, lease, CONVO_HOLD_END, 0, &err));
	must_equal(mark, mark_of(store));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_equal(0, mark_of(store));
	convo_store_close(store);
	convo_lease_free(lease);
}

/* ---- L5 ------------------------------------------------------------------------------------ */

static void test_L5_a_damaged_draft_or_fork_is_told(void **state)
{
	static const char *const damage[] = {
		"UPDATE spoilt_drafts SET part = 'nonsense'",
		"UPDATE spoilt_drafts SET part = '[1]'",
		"UPDATE spoilt_drafts SET role = NULL",
		"UPDATE spoilt_drafts SET pos = 7",
		"DELETE FROM spoilt_drafts",
		("UPDATE spoilt_more SET fork_session = 'x', fork_generation = '', fork_seq = "
		 "9000000000000000000"),
		"UPDATE spoilt_more SET fork_session = '', fork_generation = ''",
	};
	convo_session *session;
	struct convo_err err;

	(void)state;
	sql_needed();
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		convo_store *store = sql_open(sql_url(NULL, "prefix=spoilt_"));
		convo_lease *lease = lease_of(0);
		int rc;

		sql_create(store, "s");
		must_pass(hold(store, lease, CONVO_HOLD_TAKE, 1, &err));
		must_pass(draft_save(store, lease, HELLO, &err));
		server_ask(sql_server, "%s", damage[i]);
		for (int window = 0; window < 2; window++) {
			const struct convo_window windows[] = {{.n = 50, .with = CONVO_WITH_DRAFT},
							       {.kind = CONVO_WINDOW_NONE,
								.with = CONVO_WITH_DRAFT}};

			session = NULL;
			rc = convo_store_load(&session, store, &key, &windows[window], NULL, &err);
			if (rc != CONVO_E_IO || !strstr(err.text, "damaged"))
				must_not_reach("%s: %d %s", damage[i], rc, err.text);
		}
		convo_store_close(store);
		convo_lease_free(lease);
		server_ask(sql_server, "DROP TABLE spoilt_meta, spoilt_sessions, spoilt_events, "
				       "spoilt_state, spoilt_scopes, spoilt_more, spoilt_drafts");
	}
}

int main(void)
{
	const struct CMUnitTest turns[] = {
		cmocka_unit_test(test_L1_a_program_of_before_goes_on_beside_this_one),
		cmocka_unit_test(test_L1_drafts_of_before_are_gone_on_with),
		cmocka_unit_test(test_R2_a_draft_grows_by_pieces),
		cmocka_unit_test(test_T4_nothing_is_left_of_a_session_that_was_held),
		cmocka_unit_test(test_A2_a_settling_that_is_sent_again_succeeds),
		cmocka_unit_test(test_P1_turns_take_no_further_round_trips),
		cmocka_unit_test(test_W1_every_change_has_another_mark),
		cmocka_unit_test(test_L5_a_damaged_draft_or_fork_is_told),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(turns);
	server_end(sql_server);
	return rc;
}
