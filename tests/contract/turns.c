/*
 * R1 to R5: leases and drafts.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#define SHORT_MS 1000 /* the shortest lease */

static const char *const said_so_far = "{\"role\":\"assistant\",\"content\":\"so far\"}";

static convo_lease *lease_of(int64_t ms)
{
	const struct convo_lease_options opts = {.ms = ms};
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, &opts, &err));
	return lease;
}

/* Append one event under a lease. */
static int hold(convo_store *store, const struct convo_key *key, convo_lease *lease,
		enum convo_hold what, const char *id, const char *text, struct convo_err *err)
{
	const struct convo_expect expect = {.lease = lease, .hold = what};
	struct convo_event event = fx_event(id, text);

	return convo_store_append(store, key, &expect, &event, 1, NULL, NULL, err);
}

/* The same without an event. */
static int hold_only(convo_store *store, const struct convo_key *key, convo_lease *lease,
		     enum convo_hold what, struct convo_err *err)
{
	const struct convo_expect expect = {.lease = lease, .hold = what};

	return convo_store_append(store, key, &expect, NULL, 0, NULL, NULL, err);
}

static int draft(convo_store *store, const struct convo_key *key, convo_lease *lease,
		 const char *id, const char *message, struct convo_err *err)
{
	const struct convo_event event = {
		.id = id, .turn = "t1", .model = "m", .message = message, .extra = "{\"a\":[1]}"};

	return convo_store_draft(store, key, lease, &event, NULL, err);
}

static convo_session *load_with_draft(convo_store *store, const struct convo_key *key)
{
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, key, &window, NULL, &err));
	return session;
}

/* The draft of the session is this one; NULL: there is none. */
static void must_have_draft(convo_store *store, const struct convo_key *key, const char *id,
			    const char *message)
{
	convo_session *session = load_with_draft(store, key);
	const struct convo_event *got = convo_session_draft(session);

	must(!got == !message);
	if (got) {
		must_equal_str(id, got->id);
		must(json_same(message, got->message));
		must_equal(0, got->seq);
		must_equal(CONVO_INTERRUPTED, got->status);
		must_equal_str("assistant", got->role);
		must_equal_str("t1", got->turn);
		must_equal_str("m", got->model);
		must(json_same("{\"a\":[1]}", got->extra));
	}
	convo_session_free(session);
}

static void pass_ms(int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static int64_t held_ms(convo_store *store, const struct convo_key *key)
{
	convo_session *session = fx_load(store, key);
	int64_t ms = convo_session_meta(session)->held_ms;

	convo_session_free(session);
	return ms;
}

/* ---- R1 --------------------------------------------------------------------------------- */

static void R1_while_one_holds_another_is_told_for_how_long(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(60000), *two = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_equal(0, held_ms(fx->store, &key));
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	must(held_ms(fx->store, &key) > 30000 && held_ms(fx->store, &key) <= 60000);
	must_fail_with(CONVO_E_BUSY,
		       hold(fx->store, &key, two, CONVO_HOLD_TAKE, NULL, "another", &err));
	must(err.busy_ms > 30000 && err.busy_ms <= 60000);
	must_equal(1, err.last_seq);
	must_equal(1, fx_last_seq(fx->store, &key));
	must_fail_with(CONVO_E_BUSY, hold_only(fx->store, &key, two, CONVO_HOLD_TAKE, &err));
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_END, NULL, "answer", &err));
	must_equal(0, held_ms(fx->store, &key));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_TAKE, NULL, "another", &err));
	must_equal(3, fx_last_seq(fx->store, &key));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_who_does_not_ask_is_not_hindered(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	convo_lease *one = lease_of(0), *two = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_equal(2, fx_say(fx->store, &key, "from aside"));
	fx_set(fx->store, &key, "a", "1");
	must_pass(convo_store_rename(fx->store, &key, "title", NULL, &err));
	must_pass(hold(fx->store, &other, two, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_END, NULL, "answer", &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_a_list_tells_who_is_being_answered(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), idle = fx_key(fx, "idle");
	convo_lease *lease = lease_of(60000);
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count;

	fx_create(fx->store, &key);
	fx_create(fx->store, &idle);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(convo_cursor_new(&cursor, key.app, key.user, CONVO_LIST_LIVE, &err));
	must_pass(test_list(fx->store, cursor, 10, &metas, &count, &err));
	must_equal(2, count);
	for (size_t i = 0; i < count; i++)
		must(!strcmp(metas[i].session, "s") ? metas[i].held_ms > 30000
						    : metas[i].held_ms == 0);
	convo_cursor_free(cursor);
	convo_lease_free(lease);
}

static void R1_a_lease_that_runs_out_is_free(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(SHORT_MS), *two = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	pass_ms(SHORT_MS + 300);
	must_equal(0, held_ms(fx->store, &key));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_TAKE, NULL, "another", &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_who_waits_gets_its_turn(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(SHORT_MS), *two = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_WAIT, NULL, "another", &err));
	must_fail_with(CONVO_E_CONFLICT, hold_only(fx->store, &key, one, CONVO_HOLD_KEEP, &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_keeping_it_prolongs_it(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(3 * SHORT_MS), *two = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	for (int i = 0; i < 2; i++) {
		pass_ms(2 * SHORT_MS);
		must_pass(hold_only(fx->store, &key, one, CONVO_HOLD_KEEP, &err));
	}
	must_fail_with(CONVO_E_BUSY, hold_only(fx->store, &key, two, CONVO_HOLD_TAKE, &err));
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_KEEP, NULL, "a tool's result", &err));
	must_equal(2, fx_last_seq(fx->store, &key));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_the_engines_clock_counts(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(60000), *two = lease_of(60000);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	cv_clock_shift_us(HOUR_US);
	must_fail_with(CONVO_E_BUSY, hold_only(fx->store, &key, two, CONVO_HOLD_TAKE, &err));
	must(err.busy_ms <= 60000);
	must_pass(hold_only(fx->store, &key, one, CONVO_HOLD_END, &err));
	must_pass(hold_only(fx->store, &key, two, CONVO_HOLD_TAKE, &err));
	cv_clock_shift_us(-HOUR_US);
	must_fail_with(CONVO_E_BUSY, hold_only(fx->store, &key, one, CONVO_HOLD_TAKE, &err));
	must(err.busy_ms <= 60000);
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_a_refused_append_takes_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), absent = fx_key(fx, "absent");
	convo_lease *one = lease_of(0), *two = lease_of(0);
	struct convo_event event = fx_event(NULL, "question");
	struct convo_expect expect = {
		.check_seq = true, .after_seq = 7, .lease = one, .hold = CONVO_HOLD_TAKE};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, &err));
	must_equal(0, err.last_seq);
	expect.check_seq = false;
	expect.generation = fx_uuid();
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       hold(fx->store, &absent, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_TAKE, NULL, "question", &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R1_a_repeated_taking_is_the_same(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(0), *two = lease_of(0);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int i = 0; i < 3; i++)
		must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, id, "question", &err));
	must_equal(1, fx_last_seq(fx->store, &key));
	must_fail_with(CONVO_E_BUSY,
		       hold(fx->store, &key, two, CONVO_HOLD_TAKE, id, "question", &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

/* Whoever repeats an append that another one has made gets the session as for a new one. */
static void R1_a_question_that_is_stored_takes_the_session_again(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(0), *two = lease_of(0), *three = lease_of(0);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, id, "question", &err));
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_END, NULL, "answer", &err));
	must_equal(0, held_ms(fx->store, &key));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_TAKE, id, "question", &err));
	must_equal(2, fx_last_seq(fx->store, &key));
	must(held_ms(fx->store, &key) > 0);
	must_fail_with(CONVO_E_BUSY,
		       hold(fx->store, &key, three, CONVO_HOLD_TAKE, id, "question", &err));
	must_pass(hold_only(fx->store, &key, two, CONVO_HOLD_END, &err));
	must_equal(0, held_ms(fx->store, &key));
	convo_lease_free(one);
	convo_lease_free(two);
	convo_lease_free(three);
}

static void R1_bad_leases_are_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_lease_options opts = {.ms = SHORT_MS - 1};
	struct convo_event event = fx_event(NULL, "x");
	struct convo_expect expect = {0};
	convo_lease *lease = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID, convo_lease_new(&lease, &opts, &err));
	opts.ms = 600001;
	must_fail_with(CONVO_E_INVALID, convo_lease_new(&lease, &opts, &err));
	must(lease == NULL);
	lease = lease_of(0);
	expect.lease = lease;
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, &err));
	expect.hold = (enum convo_hold)17;
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, &err));
	expect = (struct convo_expect){.hold = CONVO_HOLD_TAKE};
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, &err));
	must_equal(0, fx_last_seq(fx->store, &key));
	convo_lease_free(lease);
}

struct takers {
	struct fx *fx;
	struct convo_key key;
	atomic_int took, busy;
};

static void take_run(void *ctx, int index)
{
	struct takers *takers = ctx;
	convo_lease *lease = lease_of(60000);
	struct convo_err err;
	int rc = hold(takers->fx->store, &takers->key, lease, CONVO_HOLD_TAKE, NULL,
		      test_text("taker %d", index), &err);

	if (rc == 0)
		atomic_fetch_add(&takers->took, 1);
	else if (rc == CONVO_E_BUSY)
		atomic_fetch_add(&takers->busy, 1);
	else
		must_not_reach("%d: %s", rc, err.text);
	convo_lease_free(lease);
}

static void R1_of_64_threads_one_takes_it(struct fx *fx)
{
	struct takers takers = {.fx = fx, .key = fx_key(fx, "s")};

	fx_create(fx->store, &takers.key);
	test_threads(64, take_run, &takers);
	must_equal(1, takers.took);
	must_equal(63, takers.busy);
	must_equal(1, fx_last_seq(fx->store, &takers.key));
}

struct turn_counts {
	atomic_int inside, turns;
};

struct turners {
	struct fx *fx;
	struct turn_counts *counts; /* shared by processes */
};

/* Turns of many processes on one session, one after the other. */
static void turn_run(void *ctx, int index)
{
	struct turners *turners = ctx;
	struct convo_key key = fx_key(turners->fx, "s");
	convo_store *store = fx_open_own(turners->fx);
	struct convo_err err;

	convo_store_create(store, &key, NULL, NULL, NULL, NULL);
	for (int i = 0; i < 5; i++) {
		convo_lease *lease = lease_of(60000);

		must_pass(hold(store, &key, lease, CONVO_HOLD_WAIT, NULL,
			       test_text("q%d %d", index, i), &err));
		must_equal(0, atomic_fetch_add(&turners->counts->inside, 1));
		must_equal(1, atomic_fetch_sub(&turners->counts->inside, 1));
		must_pass(hold(store, &key, lease, CONVO_HOLD_END, NULL,
			       test_text("a%d %d", index, i), &err));
		atomic_fetch_add(&turners->counts->turns, 1);
		convo_lease_free(lease);
	}
	convo_store_close(store);
}

static void R1_turns_of_8_processes_do_not_overlap(struct fx *fx)
{
	struct turners turners = {fx, test_shared(sizeof(*turners.counts))};
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *events;
	convo_session *session;
	convo_store *store;
	size_t count;

	test_processes(8, turn_run, &turners);
	must_equal(40, turners.counts->turns);
	store = fx_open_own(fx);
	session = fx_load(store, &key);
	events = test_events(session, &count);
	must_equal(80, count);
	for (size_t i = 0; i < count; i += 2) {
		const char *question = strstr(events[i].message, "\"q");

		must(question != NULL);
		must(strstr(events[i + 1].message, test_text("\"a%.3s", question + 2)) != NULL);
	}
	convo_session_free(session);
	convo_store_close(store);
	test_shared_free(turners.counts, sizeof(*turners.counts));
}

/* ---- R2 --------------------------------------------------------------------------------- */

static void R2_the_newest_draft_is_shown(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(0);
	const char *id = fx_uuid(), *other = fx_uuid();
	static const char *const grows[] = {
		"{\"role\":\"assistant\",\"content\":\"\"}",
		"{\"role\":\"assistant\",\"content\":\"one\"}",
		"{\"role\":\"assistant\",\"content\":\"one, \xe4\xb8\xa4\"}",
		"{\"role\":\"assistant\",\"content\":\"one, \xe4\xb8\xa4\xe4\xb8\xaa \\\"2\\\"\"}",
		"{\"role\":\"assistant\",\"content\":\"one\"}",
		"{\"role\":\"assistant\",\"tool_calls\":[],\"content\":null}",
	};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_have_draft(fx->store, &key, NULL, NULL);
	for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++) {
		must_pass(draft(fx->store, &key, lease, id, grows[i], &err));
		must_have_draft(fx->store, &key, id, grows[i]);
	}
	must_pass(draft(fx->store, &key, lease, other, said_so_far, &err));
	must_have_draft(fx->store, &key, other, said_so_far);
	must_equal(1, fx_last_seq(fx->store, &key)); /* takes no seq */
	convo_lease_free(lease);
}

static void R2_a_draft_is_shown_on_request_alone(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(0);
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, lease, fx_uuid(), said_so_far, &err));
	session = fx_load(fx->store, &key);
	must(convo_session_draft(session) == NULL);
	must_equal(1, convo_session_count(session));
	convo_session_free(session);
	convo_lease_free(lease);
}

static void R2_a_draft_of_3_MiB_grows_and_is_kept(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(0);
	const char *id = fx_uuid();
	char *large = fx_message_of(CONVO_MAX_DRAFT), *more = fx_message_of(CONVO_MAX_DRAFT + 1);
	char *half = fx_message_of(CONVO_MAX_DRAFT / 2);
	struct convo_err err;

	memcpy(strstr(large, "user"), "aide", 4);
	memcpy(strstr(half, "user"), "aide", 4);
	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, lease, id, half, &err));
	must_pass(draft(fx->store, &key, lease, id, large, &err));
	must_fail_with(CONVO_E_TOOBIG, draft(fx->store, &key, lease, id, more, &err));
	{
		convo_session *session = load_with_draft(fx->store, &key);

		must(json_same(large, convo_session_draft(session)->message));
		convo_session_free(session);
	}
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_END, id, "answer", &err));
	must_have_draft(fx->store, &key, NULL, NULL);
	free(large);
	free(half);
	free(more);
	convo_lease_free(lease);
}

static void R2_a_draft_prolongs_the_lease(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(3 * SHORT_MS), *two = lease_of(0);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	for (int i = 0; i < 2; i++) {
		pass_ms(2 * SHORT_MS);
		must_pass(draft(fx->store, &key, one, id, said_so_far, &err));
	}
	must_fail_with(CONVO_E_BUSY, hold_only(fx->store, &key, two, CONVO_HOLD_TAKE, &err));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R2_a_draft_is_no_activity(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	convo_lease *lease = lease_of(0);
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	fx_say(fx->store, &other, "later");
	must_pass(draft(fx->store, &key, lease, fx_uuid(), said_so_far, &err));
	must_pass(convo_cursor_new(&cursor, key.app, key.user, CONVO_LIST_LIVE, &err));
	must_pass(test_list(fx->store, cursor, 10, &metas, &count, &err));
	must_equal_str("other", metas[0].session);
	convo_cursor_free(cursor);
	convo_lease_free(lease);
}

static void R2_bad_drafts_are_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), absent = fx_key(fx, "absent");
	convo_lease *lease = lease_of(0);
	struct convo_event event = {.message = said_so_far};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_CONFLICT,
		       draft(fx->store, &key, lease, fx_uuid(), said_so_far, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       draft(fx->store, &absent, lease, fx_uuid(), said_so_far, &err));
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_draft(fx->store, &key, lease, &event, NULL, &err));
	event.id = fx_uuid();
	event.state = "{\"a\":1}";
	must_fail_with(CONVO_E_INVALID,
		       convo_store_draft(fx->store, &key, lease, &event, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       draft(fx->store, &key, lease, "no uuid", said_so_far, &err));
	must_fail_with(CONVO_E_INVALID, draft(fx->store, &key, lease, fx_uuid(), "[]", &err));
	must_have_draft(fx->store, &key, NULL, NULL);
	convo_lease_free(lease);
}

/* ---- R3 --------------------------------------------------------------------------------- */

static void R3_the_answer_ends_the_lease_and_its_draft(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(0);
	const char *id = fx_uuid();
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, lease, id, said_so_far, &err));
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_END, id, "answer", &err));
	must_have_draft(fx->store, &key, NULL, NULL);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_END, id, "answer", &err)); /* A2 */
	must_fail_with(CONVO_E_CONFLICT, draft(fx->store, &key, lease, id, said_so_far, &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, lease, CONVO_HOLD_KEEP, NULL, "more", &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, lease, CONVO_HOLD_END, NULL, "another", &err));
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 2);
	must_equal(0, convo_session_meta(session)->held_ms);
	convo_session_free(session);
	convo_lease_free(lease);
}

static void R3_an_end_without_an_event_leaves_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(0);
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, lease, fx_uuid(), said_so_far, &err));
	must_pass(hold_only(fx->store, &key, lease, CONVO_HOLD_END, &err));
	must_have_draft(fx->store, &key, NULL, NULL);
	must_equal(0, held_ms(fx->store, &key));
	must_equal(1, fx_last_seq(fx->store, &key));
	convo_lease_free(lease);
}

/* ---- R4 --------------------------------------------------------------------------------- */

static void R4_a_holder_whose_session_was_taken_is_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(SHORT_MS), *two = lease_of(0);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	pass_ms(SHORT_MS + 300);
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_TAKE, NULL, "another", &err));
	must_fail_with(CONVO_E_CONFLICT, draft(fx->store, &key, one, id, said_so_far, &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, one, CONVO_HOLD_END, id, "late", &err));
	must_equal(2, err.last_seq);
	must_fail_with(CONVO_E_CONFLICT, hold_only(fx->store, &key, one, CONVO_HOLD_KEEP, &err));
	must_equal(2, fx_last_seq(fx->store, &key));
	must_have_draft(fx->store, &key, NULL, NULL);
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_END, NULL, "answer", &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, one, CONVO_HOLD_END, id, "late", &err));
	must_equal(3, fx_last_seq(fx->store, &key));
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R4_taking_over_by_force_refuses_who_had_it(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *one = lease_of(60000), *two = lease_of(60000);
	const char *id = fx_uuid();
	const struct convo_event *events;
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, one, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, one, id, said_so_far, &err));
	must_pass(hold(fx->store, &key, two, CONVO_HOLD_FORCE, NULL, "another", &err));
	must_fail_with(CONVO_E_CONFLICT, draft(fx->store, &key, one, id, said_so_far, &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, one, CONVO_HOLD_END, id, "late", &err));
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 3);
	events = test_events(session, NULL);
	must_equal_str(id, events[1].id); /* what it had said so far is kept (R5) */
	must(json_same(said_so_far, events[1].message));
	must_equal(CONVO_INTERRUPTED, events[1].status);
	convo_session_free(session);
	convo_lease_free(one);
	convo_lease_free(two);
}

static void R4_who_was_late_but_alone_goes_on(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(SHORT_MS);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	pass_ms(SHORT_MS + 300);
	must_pass(draft(fx->store, &key, lease, id, said_so_far, &err));
	must(held_ms(fx->store, &key) > 0);
	pass_ms(SHORT_MS + 300);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_END, id, "answer", &err));
	must_equal(2, fx_last_seq(fx->store, &key));
	convo_lease_free(lease);
}

static void R4_another_life_knows_no_lease_of_the_first(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *lease = lease_of(60000);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, lease, id, said_so_far, &err));
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, draft(fx->store, &key, lease, id, said_so_far, &err));
	fx_create(fx->store, &key);
	must_equal(0, held_ms(fx->store, &key));
	must_have_draft(fx->store, &key, NULL, NULL);
	must_fail_with(CONVO_E_CONFLICT, draft(fx->store, &key, lease, id, said_so_far, &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, lease, CONVO_HOLD_END, id, "late", &err));
	must_equal(0, fx_last_seq(fx->store, &key));
	convo_lease_free(lease);
}

/* ---- R5 --------------------------------------------------------------------------------- */

/* A session with a question, and a draft whose writer is gone. @return the draft's id */
static const char *leave_draft(struct fx *fx, const struct convo_key *key)
{
	convo_lease *gone = lease_of(SHORT_MS);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, key);
	must_pass(hold(fx->store, key, gone, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, key, gone, id, said_so_far, &err));
	convo_lease_free(gone);
	pass_ms(SHORT_MS + 300);
	return id;
}

static void must_stand_second(struct fx *fx, const struct convo_key *key, const char *id,
			      size_t count)
{
	convo_session *session = load_with_draft(fx->store, key);
	const struct convo_event *events = test_events(session, NULL);

	fx_must_run(session, 1, count);
	must_equal_str(id, events[1].id);
	must(json_same(said_so_far, events[1].message));
	must_equal(CONVO_INTERRUPTED, events[1].status);
	must_equal_str("assistant", events[1].role);
	must_equal_str("t1", events[1].turn);
	must_equal_str("m", events[1].model);
	must(json_same("{\"a\":[1]}", events[1].extra));
	must(events[1].error != NULL);
	must(convo_session_draft(session) == NULL);
	convo_session_free(session);
}

static void R5_the_next_turn_stores_what_is_left_first(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const char *id = leave_draft(fx, &key);
	convo_lease *next = lease_of(0);
	struct convo_err err;

	must_have_draft(fx->store, &key, id, said_so_far);
	must_equal(1, fx_last_seq(fx->store, &key));
	must_pass(hold(fx->store, &key, next, CONVO_HOLD_TAKE, NULL, "next question", &err));
	must_stand_second(fx, &key, id, 3);
	must(held_ms(fx->store, &key) > 0);
	must_pass(hold(fx->store, &key, next, CONVO_HOLD_END, NULL, "answer", &err));
	must_stand_second(fx, &key, id, 4);
	convo_lease_free(next);
}

static void R5_a_question_that_is_asked_again_brings_what_is_left(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *gone = lease_of(SHORT_MS), *next = lease_of(0);
	const char *id = fx_uuid(), *answer = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, gone, CONVO_HOLD_TAKE, id, "question", &err));
	must_pass(draft(fx->store, &key, gone, answer, said_so_far, &err));
	pass_ms(SHORT_MS + 300);
	must_pass(hold(fx->store, &key, next, CONVO_HOLD_TAKE, id, "question", &err));
	must_stand_second(fx, &key, answer, 2);
	must(held_ms(fx->store, &key) > 0);
	must_pass(hold_only(fx->store, &key, next, CONVO_HOLD_END, &err));
	must_stand_second(fx, &key, answer, 2);
	convo_lease_free(gone);
	convo_lease_free(next);
}

static void R5_what_is_left_can_be_stored_by_itself(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), idle = fx_key(fx, "idle");
	struct convo_key absent = fx_key(fx, "absent");
	convo_lease *lease = lease_of(60000);
	const char *id = leave_draft(fx, &key);
	struct convo_err err;
	int64_t seq = -1;

	must_pass(convo_store_settle(fx->store, &key, &seq, NULL, &err));
	must_equal(2, seq);
	must_stand_second(fx, &key, id, 2);
	must_equal(0, held_ms(fx->store, &key));
	must_pass(convo_store_settle(fx->store, &key, &seq, NULL, &err));
	must_equal(0, seq);
	fx_create(fx->store, &idle);
	must_pass(convo_store_settle(fx->store, &idle, NULL, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_settle(fx->store, &absent, &seq, NULL, &err));
	must_pass(hold(fx->store, &idle, lease, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &idle, lease, fx_uuid(), said_so_far, &err));
	must_fail_with(CONVO_E_BUSY, convo_store_settle(fx->store, &idle, &seq, NULL, &err));
	must(err.busy_ms > 30000);
	must_equal(1, fx_last_seq(fx->store, &idle));
	convo_lease_free(lease);
}

/* Take or force a session after that seq, with a question. */
static int hold_after(struct fx *fx, const struct convo_key *key, convo_lease *lease,
		      enum convo_hold what, int64_t after_seq, struct convo_err *err)
{
	const struct convo_expect expect = {
		.check_seq = true, .after_seq = after_seq, .lease = lease, .hold = what};
	const struct convo_event event = fx_event(NULL, "next question");

	return convo_store_append(fx->store, key, &expect, &event, 1, NULL, NULL, err);
}

static void R5_what_is_stored_first_is_no_conflict(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const char *id = leave_draft(fx, &key);
	convo_lease *next = lease_of(0);
	struct convo_err err;

	must_pass(hold_after(fx, &key, next, CONVO_HOLD_TAKE, 1, &err));
	must_stand_second(fx, &key, id, 3);
	convo_lease_free(next);
}

static void R5_a_conflict_stores_no_draft_and_takes_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	const char *id = leave_draft(fx, &key), *living = fx_uuid();
	convo_lease *next = lease_of(0), *holder = lease_of(60000);
	struct convo_err err;

	for (int64_t after = 0; after <= 2; after += 2) {
		must_fail_with(CONVO_E_CONFLICT,
			       hold_after(fx, &key, next, CONVO_HOLD_TAKE, after, &err));
		must_equal(1, err.last_seq);
		must_have_draft(fx->store, &key, id, said_so_far);
		must_equal(0, held_ms(fx->store, &key));
		must_equal(1, fx_last_seq(fx->store, &key));
	}
	fx_create(fx->store, &other);
	must_pass(hold(fx->store, &other, holder, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &other, holder, living, said_so_far, &err));
	must_fail_with(CONVO_E_CONFLICT, hold_after(fx, &other, next, CONVO_HOLD_FORCE, 0, &err));
	must_pass(draft(fx->store, &other, holder, living, said_so_far, &err));
	must_pass(hold(fx->store, &other, holder, CONVO_HOLD_END, living, "answer", &err));
	must_equal(2, fx_last_seq(fx->store, &other));
	convo_lease_free(next);
	convo_lease_free(holder);
}

static void R5_a_late_answer_does_not_stand_twice(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_lease *late = lease_of(SHORT_MS);
	const char *id = fx_uuid();
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(hold(fx->store, &key, late, CONVO_HOLD_TAKE, NULL, "question", &err));
	must_pass(draft(fx->store, &key, late, id, said_so_far, &err));
	pass_ms(SHORT_MS + 300);
	must_pass(convo_store_settle(fx->store, &key, NULL, NULL, &err));
	must_fail_with(CONVO_E_CONFLICT,
		       hold(fx->store, &key, late, CONVO_HOLD_END, id, "whole answer", &err));
	must_stand_second(fx, &key, id, 2);
	convo_lease_free(late);
}

struct settlers {
	struct fx *fx;
	struct convo_key key;
	atomic_int stored;
};

static void settle_run(void *ctx, int index)
{
	struct settlers *settlers = ctx;
	struct convo_err err;
	int64_t seq = 0;

	(void)index;
	must_pass(convo_store_settle(settlers->fx->store, &settlers->key, &seq, NULL, &err));
	must(seq == 0 || seq == 2);
	atomic_fetch_add(&settlers->stored, seq == 2);
}

static void R5_of_many_who_try_one_stores_it(struct fx *fx)
{
	struct settlers settlers = {.fx = fx, .key = fx_key(fx, "s")};
	const char *id = leave_draft(fx, &settlers.key);

	test_threads(16, settle_run, &settlers);
	must_equal(1, settlers.stored);
	must_stand_second(fx, &settlers.key, id, 2);
}

static void R5_of_many_next_turns_one_begins_and_stores_it(struct fx *fx)
{
	struct takers takers = {.fx = fx, .key = fx_key(fx, "s")};
	const char *id = leave_draft(fx, &takers.key);

	test_threads(16, take_run, &takers);
	must_equal(1, takers.took);
	must_stand_second(fx, &takers.key, id, 3);
}

static void R5_a_draft_goes_to_the_trash_and_back(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const char *id = leave_draft(fx, &key);
	struct convo_err err;

	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	must_have_draft(fx->store, &key, id, said_so_far);
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	fx_create(fx->store, &key);
	must_have_draft(fx->store, &key, NULL, NULL);
}

const struct contract_test contract_turns[] = {
	CONTRACT_TEST(R1_while_one_holds_another_is_told_for_how_long),
	CONTRACT_TEST(R1_who_does_not_ask_is_not_hindered),
	CONTRACT_TEST(R1_a_list_tells_who_is_being_answered),
	CONTRACT_TEST(R1_a_lease_that_runs_out_is_free),
	CONTRACT_TEST(R1_who_waits_gets_its_turn),
	CONTRACT_TEST(R1_keeping_it_prolongs_it),
	CONTRACT_TEST(R1_the_engines_clock_counts),
	CONTRACT_TEST(R1_a_refused_append_takes_nothing),
	CONTRACT_TEST(R1_a_repeated_taking_is_the_same),
	CONTRACT_TEST(R1_a_question_that_is_stored_takes_the_session_again),
	CONTRACT_TEST(R1_bad_leases_are_refused),
	CONTRACT_TEST(R1_of_64_threads_one_takes_it),
	CONTRACT_TEST_IF(R1_turns_of_8_processes_do_not_overlap, NEEDS_FORK),
	CONTRACT_TEST(R2_the_newest_draft_is_shown),
	CONTRACT_TEST(R2_a_draft_is_shown_on_request_alone),
	CONTRACT_TEST(R2_a_draft_of_3_MiB_grows_and_is_kept),
	CONTRACT_TEST(R2_a_draft_prolongs_the_lease),
	CONTRACT_TEST(R2_a_draft_is_no_activity),
	CONTRACT_TEST(R2_bad_drafts_are_refused),
	CONTRACT_TEST(R3_the_answer_ends_the_lease_and_its_draft),
	CONTRACT_TEST(R3_an_end_without_an_event_leaves_nothing),
	CONTRACT_TEST(R4_a_holder_whose_session_was_taken_is_refused),
	CONTRACT_TEST(R4_taking_over_by_force_refuses_who_had_it),
	CONTRACT_TEST(R4_who_was_late_but_alone_goes_on),
	CONTRACT_TEST(R4_another_life_knows_no_lease_of_the_first),
	CONTRACT_TEST(R5_the_next_turn_stores_what_is_left_first),
	CONTRACT_TEST(R5_a_question_that_is_asked_again_brings_what_is_left),
	CONTRACT_TEST(R5_what_is_left_can_be_stored_by_itself),
	CONTRACT_TEST(R5_what_is_stored_first_is_no_conflict),
	CONTRACT_TEST(R5_a_conflict_stores_no_draft_and_takes_nothing),
	CONTRACT_TEST(R5_a_late_answer_does_not_stand_twice),
	CONTRACT_TEST(R5_of_many_who_try_one_stores_it),
	CONTRACT_TEST(R5_of_many_next_turns_one_begins_and_stores_it),
	CONTRACT_TEST(R5_a_draft_goes_to_the_trash_and_back),
	{0},
};
