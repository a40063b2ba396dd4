/*
 * A1 to A4, A6, A8: appending.
 */
#include "contract.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

static int append(struct fx *fx, const struct convo_key *key, const struct convo_expect *expect,
		  const struct convo_event *events, size_t count, int64_t *seqs,
		  struct convo_err *err)
{
	return convo_store_append(fx->store, key, expect, events, count, seqs, NULL, err);
}

/* ---- A1 --------------------------------------------------------------------------------- */

static void A1_events_are_numbered_from_1_without_gaps(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	struct convo_event batch[3];
	int64_t seqs[3];
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	for (int i = 0; i < 3; i++)
		batch[i] = fx_event(NULL, test_text("b%d", i));
	must_equal(1, fx_say(fx->store, &key, "one"));
	must_equal(1, fx_say(fx->store, &other, "one")); /* its own numbers */
	must_pass(append(fx, &key, NULL, batch, 3, seqs, &err));
	for (int i = 0; i < 3; i++)
		must_equal(2 + i, seqs[i]);
	must_equal(5, fx_say(fx->store, &key, "five"));
	must_pass(append(fx, &key, NULL, batch, 1, NULL, &err)); /* seqs may be NULL */
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 6);
	must(json_same(batch[1].message, test_events(session, NULL)[2].message));
	convo_session_free(session);
}

static void A1_a_batch_with_one_bad_event_stores_none(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event batch[3] = {fx_event(NULL, "a"), fx_event("no uuid", "b"),
				       fx_event(NULL, "c")};
	int64_t seqs[3] = {-1, -1, -1};
	struct convo_err err;

	batch[0].state = "{\"a\":1,\"user:a\":1,\"app:a\":1}";
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID, append(fx, &key, NULL, batch, 3, seqs, &err));
	must_equal(0, fx_last_seq(fx->store, &key));
	for (int i = 0; i < 3; i++)
		must_equal(-1, seqs[i]);
	fx_must_have(fx->store, &key, "a", NULL);
	fx_must_have(fx->store, &key, "user:a", NULL);
	fx_must_have(fx->store, &key, "app:a", NULL);
}

static void A1_time_never_decreases_with_seq(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *events;
	convo_session *session;
	int64_t now_ms;
	size_t count;

	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "now");
	cv_clock_shift_us(HOUR_US);
	fx_say_n(fx->store, &key, 2);
	cv_clock_shift_us(0); /* a clock set back, or another machine's */
	now_ms = cv_clock_us() / 1000;
	fx_say_n(fx->store, &key, 2);
	session = fx_load(fx->store, &key);
	events = test_events(session, &count);
	must_equal(5, count);
	for (size_t i = 1; i < count; i++)
		must(events[i].time_ms >= events[i - 1].time_ms);
	must(events[0].time_ms <= now_ms + 1000);
	must(events[4].time_ms >= now_ms + HOUR_US / 1000 - 60000);
	convo_session_free(session);
}

#define WRITES 25
#define MOST_BATCH 4

struct writers {
	struct fx *fx;
	convo_store *store; /* NULL: each opens its own */
	int batch;
	int writers;
	int64_t seqs[8][WRITES * MOST_BATCH]; /* what each was told */
};

/* Each event's text tells writer, call and place. */
static void write_run(void *ctx, int index)
{
	struct writers *w = ctx;
	convo_store *store = w->store ? w->store : fx_open_own(w->fx);
	struct convo_key key = fx_key(w->fx, "s");
	struct convo_event batch[MOST_BATCH];
	struct convo_err err;

	for (int i = 0; i < WRITES; i++) {
		int64_t *seqs = &w->seqs[index][i * w->batch];

		for (int k = 0; k < w->batch; k++)
			batch[k] = fx_event(NULL, test_text("%d.%d.%d", index, i, k));
		batch[0].state = test_text("{\"w%d\":%d}", index, i);
		must_pass(convo_store_append(store, &key, NULL, batch, (size_t)w->batch, seqs, NULL,
					     &err));
		for (int k = 1; k < w->batch; k++)
			must_equal(seqs[0] + k, seqs[k]);
	}
	if (!w->store)
		convo_store_close(store);
}

static void write_must_be_whole(struct writers *w, convo_store *store)
{
	struct convo_key key = fx_key(w->fx, "s");
	convo_session *session = fx_load(store, &key);
	size_t total = (size_t)(w->writers * WRITES * w->batch);
	const struct convo_event *events = test_events(session, NULL);

	fx_must_run(session, 1, total);
	for (int writer = 0; writer < w->writers; writer++) {
		int64_t before = 0;

		for (int n = 0; n < WRITES * w->batch; n++) {
			int64_t seq = w->seqs[writer][n];
			const char *want = test_text("{\"role\":\"user\",\"content\":\"%d.%d.%d\"}",
						     writer, n / w->batch, n % w->batch);

			must(seq > before); /* each one's own order is kept */
			before = seq;
			must(json_same(want, events[seq - 1].message));
		}
		must(json_same(test_text("%d", WRITES - 1),
			       convo_session_state_get(session, test_text("w%d", writer))->json));
	}
	for (size_t i = 1; i < total; i++)
		must(events[i].time_ms >= events[i - 1].time_ms);
	convo_session_free(session);
}

static void A1_many_threads_append_without_gaps(struct fx *fx)
{
	struct writers *w = test_shared(sizeof(*w));
	struct convo_key key = fx_key(fx, "s");

	*w = (struct writers){.fx = fx, .store = fx->store, .batch = 1, .writers = 8};
	fx_create(fx->store, &key);
	test_threads(8, write_run, w);
	write_must_be_whole(w, fx->store);
	test_shared_free(w, sizeof(*w));
}

static void A1_batches_of_many_threads_stay_together(struct fx *fx)
{
	struct writers *w = test_shared(sizeof(*w));
	struct convo_key key = fx_key(fx, "s");

	*w = (struct writers){.fx = fx, .store = fx->store, .batch = 4, .writers = 8};
	fx_create(fx->store, &key);
	test_threads(8, write_run, w);
	write_must_be_whole(w, fx->store);
	test_shared_free(w, sizeof(*w));
}

static void A1_many_processes_append_without_gaps(struct fx *fx)
{
	struct writers *w = test_shared(sizeof(*w));
	struct convo_key key = fx_key(fx, "s");
	convo_store *store = fx_open_own(fx);

	*w = (struct writers){.fx = fx, .batch = 3, .writers = 4};
	fx_create(store, &key);
	convo_store_close(store);
	test_processes(4, write_run, w);
	store = fx_open_own(fx);
	write_must_be_whole(w, store);
	convo_store_close(store);
	test_shared_free(w, sizeof(*w));
}

/* Threads on sessions of their own, one of which all share: no session sees another's. */
static void write_own(void *ctx, int index)
{
	struct fx *fx = ctx;
	struct convo_key own = fx_key(fx, test_text("own%d", index)), shared = fx_key(fx, "shared");

	fx_create(fx->store, &own);
	for (int i = 1; i <= 20; i++) {
		must_equal(i, fx_say_state(fx->store, &own, "{\"user:u\":1}"));
		fx_say(fx->store, &shared, test_text("%d", index));
	}
}

static void A1_sessions_written_at_once_are_numbered_apart(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "shared");

	fx_create(fx->store, &key);
	test_threads(6, write_own, fx);
	must_equal(120, fx_last_seq(fx->store, &key));
}

/* ---- A2 --------------------------------------------------------------------------------- */

static void A2_event_id_already_stored_is_not_stored_again(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(fx_uuid(), "first"), again;
	int64_t seq = 0;
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 2);
	event.state = "{\"n\":1}";
	must_pass(append(fx, &key, NULL, &event, 1, &seq, &err));
	must_equal(3, seq);
	fx_say(fx->store, &key, "after");
	fx_set(fx->store, &key, "n", "2");
	again = fx_event(event.id, "second"); /* another text under the id: the first stays */
	again.state = "{\"n\":3,\"user:n\":3,\"app:n\":3}";
	seq = 0;
	must_pass(append(fx, &key, NULL, &again, 1, &seq, &err));
	must_equal(3, seq);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 4);
	must(json_same(event.message, test_events(session, NULL)[2].message));
	must(json_same(event.state, test_events(session, NULL)[2].state));
	convo_session_free(session);
	/* what came with it is not applied again either */
	fx_must_have(fx->store, &key, "n", "2");
	fx_must_have(fx->store, &key, "user:n", NULL);
	fx_must_have(fx->store, &key, "app:n", NULL);
}

static void A2_ids_are_the_same_in_any_case(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event lower = fx_event("0191e2a4-7b2c-7abc-8def-0123456789ab", "x");
	struct convo_event upper = fx_event("0191E2A4-7B2C-7ABC-8DEF-0123456789AB", "x");
	struct convo_err err;
	int64_t seq = 0;

	fx_create(fx->store, &key);
	must_pass(append(fx, &key, NULL, &upper, 1, &seq, &err));
	must_pass(append(fx, &key, NULL, &lower, 1, &seq, &err));
	must_equal(1, seq);
	must_equal(1, fx_last_seq(fx->store, &key));
}

static void A2_an_id_counts_within_its_session_alone(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	struct convo_event event = fx_event(fx_uuid(), "x");
	struct convo_err err;
	int64_t seq = 0;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	fx_say(fx->store, &other, "x");
	must_pass(append(fx, &key, NULL, &event, 1, &seq, &err));
	must_equal(1, seq);
	must_pass(append(fx, &other, NULL, &event, 1, &seq, &err));
	must_equal(2, seq);
}

static void A2_a_batch_of_old_and_new_stores_the_new(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event events[6];
	int64_t seqs[6];
	convo_session *session;
	const struct convo_event *stored;
	struct convo_err err;

	for (int i = 0; i < 6; i++)
		events[i] = fx_event(fx_uuid(), test_text("%d", i));
	fx_create(fx->store, &key);
	must_pass(append(fx, &key, NULL, &events[1], 1, seqs, &err)); /* 1 */
	fx_say(fx->store, &key, "between");                           /* 2 */
	must_pass(append(fx, &key, NULL, &events[4], 1, seqs, &err)); /* 3 */
	for (int i = 0; i < 6; i++)
		events[i].state = test_text("{\"e%d\":1,\"n\":%d}", i, i);
	must_pass(append(fx, &key, NULL, events, 6, seqs, &err));
	must_equal(4, seqs[0]);
	must_equal(1, seqs[1]);
	must_equal(5, seqs[2]);
	must_equal(6, seqs[3]);
	must_equal(3, seqs[4]);
	must_equal(7, seqs[5]);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 7);
	stored = test_events(session, NULL);
	for (int i = 0; i < 6; i++)
		must(json_same(events[i].message, stored[seqs[i] - 1].message));
	convo_session_free(session);
	fx_must_have(fx->store, &key, "n", "5");
	fx_must_have(fx->store, &key, "e0", "1");
	fx_must_have(fx->store, &key, "e1", NULL); /* came with an old one */
	fx_must_have(fx->store, &key, "e4", NULL);
}

static void A2_an_id_twice_in_a_batch_is_stored_once(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const char *id = fx_uuid(), *id2 = fx_uuid();
	struct convo_event events[] = {fx_event(id, "a"), fx_event(NULL, "b"), fx_event(id2, "c"),
				       fx_event(id, "d"), fx_event(id2, "e"),  fx_event(NULL, "f")};
	int64_t seqs[6];
	convo_session *session;
	struct convo_err err;

	events[0].state = "{\"first\":1}";
	events[3].state = "{\"second\":1}";
	fx_create(fx->store, &key);
	must_pass(append(fx, &key, NULL, events, 6, seqs, &err));
	must_equal(1, seqs[0]);
	must_equal(2, seqs[1]);
	must_equal(3, seqs[2]);
	must_equal(1, seqs[3]);
	must_equal(3, seqs[4]);
	must_equal(4, seqs[5]);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 4);
	must(json_same(events[0].message, test_events(session, NULL)[0].message));
	convo_session_free(session);
	fx_must_have(fx->store, &key, "first", "1");
	fx_must_have(fx->store, &key, "second", NULL);
}

static void A2_events_without_ids_get_fresh_ones(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "same text");
	const struct convo_event *stored;
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int i = 0; i < 10; i++)
		must_pass(append(fx, &key, NULL, &event, 1, NULL, &err));
	must(event.id == NULL); /* the caller's memory is not changed (A8) */
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 10);
	stored = test_events(session, NULL);
	for (int i = 0; i < 10; i++) {
		must_equal(36, strlen(stored[i].id));
		must(stored[i].id[14] == '7'); /* version 7 */
		for (const char *c = stored[i].id; *c; c++)
			must(!isupper((unsigned char)*c));
		for (int j = 0; j < i; j++)
			must(strcmp(stored[i].id, stored[j].id) != 0);
	}
	convo_session_free(session);
}

static void A2_ids_that_are_no_uuids_are_refused(struct fx *fx)
{
	static const char *const bad[] = {
		"",
		"x",
		"0191e2a47b2c7abc8def0123456789ab",
		"0191e2a4-7b2c-7abc-8def-0123456789a",
		"0191e2a4-7b2c-7abc-8def-0123456789abc",
		"0191e2a4-7b2c-7abc-8def-0123456789ag",
		"{0191e2a4-7b2c-7abc-8def-0123456789ab}",
		" 191e2a4-7b2c-7abc-8def-0123456789ab",
		"0191e2a4_7b2c_7abc_8def_0123456789ab",
	};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct convo_event event = fx_event(bad[i], "x");
		struct convo_expect expect = {.generation = bad[i]};

		must_fail_with(CONVO_E_INVALID, append(fx, &key, NULL, &event, 1, NULL, &err));
		event.id = NULL;
		must_fail_with(CONVO_E_INVALID, append(fx, &key, &expect, &event, 1, NULL, &err));
		must_fail_with(CONVO_E_INVALID,
			       convo_store_restore(fx->store, &key, bad[i], NULL, &err));
		must_fail_with(CONVO_E_INVALID,
			       convo_store_purge(fx->store, &key, bad[i], NULL, &err));
	}
	must_equal(0, fx_last_seq(fx->store, &key));
}

struct retriers {
	struct fx *fx;
	const char *ids[40];
	_Atomic int64_t seqs[40];
};

/* All of them append the same events, each in its own order. */
static void retry_run(void *ctx, int index)
{
	struct retriers *r = ctx;
	struct convo_key key = fx_key(r->fx, "s");
	struct convo_err err;

	for (int i = 0; i < 40; i++) {
		int k = (i + index * 7) % 40;
		struct convo_event event = fx_event(r->ids[k], "x");
		int64_t seq = 0, none = 0;

		event.state = test_text("{\"user:k%d\":1}", k);
		must_pass(
			convo_store_append(r->fx->store, &key, NULL, &event, 1, &seq, NULL, &err));
		if (!atomic_compare_exchange_strong(&r->seqs[k], &none, seq))
			must_equal(none, seq);
	}
}

static void A2_racing_retries_store_each_event_once(struct fx *fx)
{
	struct retriers r = {.fx = fx};
	struct convo_key key = fx_key(fx, "s");
	convo_session *session;

	for (int i = 0; i < 40; i++)
		r.ids[i] = fx_uuid();
	fx_create(fx->store, &key);
	test_threads(6, retry_run, &r);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 40);
	for (int i = 0; i < 40; i++)
		must_equal_str(r.ids[i], test_events(session, NULL)[r.seqs[i] - 1].id);
	convo_session_free(session);
}

/* ---- A3 --------------------------------------------------------------------------------- */

static void A3_a_stale_after_seq_is_a_conflict(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_expect expect = {.check_seq = true};
	int64_t seq = -5;
	struct convo_err err;

	event.state = "{\"user:a\":1}";
	fx_create(fx->store, &key);
	for (expect.after_seq = 1; expect.after_seq < 4; expect.after_seq++) {
		must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, &event, 1, &seq, &err));
		must_equal(0, err.last_seq);
	}
	expect.after_seq = 0;
	event.state = NULL;
	must_pass(append(fx, &key, &expect, &event, 1, &seq, &err));
	must_equal(1, seq);
	event.state = "{\"user:a\":1}";
	fx_say_n(fx->store, &key, 4);
	seq = -5;
	for (expect.after_seq = 0; expect.after_seq < 8; expect.after_seq++) {
		if (expect.after_seq == 5)
			continue;
		must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, &event, 1, &seq, &err));
		must_equal(5, err.last_seq);
		must_equal(-5, seq);
	}
	must_equal(5, fx_last_seq(fx->store, &key));
	fx_must_have(fx->store, &key, "user:a", NULL);
	expect.after_seq = 5;
	must_pass(append(fx, &key, &expect, &event, 1, &seq, &err));
	must_equal(6, seq);
}

static void A3_without_expectation_an_append_goes_last(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	const struct convo_expect nothing = {.after_seq = 77}; /* check_seq is not set */
	struct convo_err err;
	int64_t seq;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 3);
	must_pass(append(fx, &key, &nothing, &event, 1, &seq, &err));
	must_equal(4, seq);
}

static void A3_an_expected_generation_must_be_the_sessions(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_created made;
	struct convo_expect expect = {.generation = made.generation};
	char upper[CONVO_UUID_SIZE];
	struct convo_err err;

	must_pass(convo_store_create(fx->store, &key, NULL, &made, NULL, &err));
	must_pass(append(fx, &key, &expect, &event, 1, NULL, &err));
	for (size_t i = 0; i < sizeof(upper); i++)
		upper[i] = (char)toupper((unsigned char)made.generation[i]);
	expect.generation = upper;
	must_pass(append(fx, &key, &expect, &event, 1, NULL, &err));
	expect.generation = fx_uuid();
	event.state = "{\"app:a\":1}";
	must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, &event, 1, NULL, &err));
	must_equal(2, err.last_seq);
	must_equal(2, fx_last_seq(fx->store, &key));
	fx_must_have(fx->store, &key, "app:a", NULL);
	/* both at once: either one that fails is a conflict */
	expect = (struct convo_expect){
		.generation = made.generation, .check_seq = true, .after_seq = 1};
	must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, &event, 1, NULL, &err));
	expect = (struct convo_expect){.generation = fx_uuid(), .check_seq = true, .after_seq = 2};
	must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, &event, 1, NULL, &err));
	expect.generation = made.generation;
	must_pass(append(fx, &key, &expect, &event, 1, NULL, &err));
}

/* A retry whose first try was stored succeeds, though after_seq is stale by its own doing. */
static void A3_a_stored_batch_may_be_retried_with_its_after_seq(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event batch[3], more[4];
	struct convo_expect expect = {.check_seq = true, .after_seq = 2};
	int64_t first[3], again[4];
	struct convo_err err;

	for (int i = 0; i < 3; i++)
		batch[i] = more[i] = fx_event(fx_uuid(), test_text("%d", i));
	more[3] = fx_event(fx_uuid(), "new");
	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 2);
	must_pass(append(fx, &key, &expect, batch, 3, first, &err));
	fx_say(fx->store, &key, "by another");
	must_pass(append(fx, &key, &expect, batch, 3, again, &err));
	for (int i = 0; i < 3; i++)
		must_equal(first[i], again[i]);
	must_pass(append(fx, &key, &expect, &batch[1], 1, again, &err));
	must_equal(first[1], again[0]);
	/* with one that is new the expectation counts */
	must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, more, 4, again, &err));
	must_equal(6, err.last_seq);
	expect.after_seq = 6;
	must_pass(append(fx, &key, &expect, more, 4, again, &err));
	must_equal(first[2], again[2]);
	must_equal(7, again[3]);
	must_equal(7, fx_last_seq(fx->store, &key));
}

struct claims {
	struct fx *fx;
	atomic_int won;
};

/* Everyone loads, expects, appends, and reloads on a conflict: no two on one seq. */
static void claim_run(void *ctx, int index)
{
	struct claims *claims = ctx;
	struct convo_key key = fx_key(claims->fx, "s");
	struct convo_expect expect = {.check_seq = true};
	int done = 0;

	while (done < 15) {
		struct convo_event event = fx_event(NULL, test_text("%d", index));
		struct convo_err err;
		int64_t seq = 0;
		int rc = append(claims->fx, &key, &expect, &event, 1, &seq, &err);

		if (rc == 0) {
			must_equal(expect.after_seq + 1, seq);
			expect.after_seq = seq;
			atomic_fetch_add(&claims->won, 1);
			done++;
		} else if (rc == CONVO_E_CONFLICT) {
			must(err.last_seq > expect.after_seq);
			expect.after_seq = err.last_seq;
		} else {
			must_not_reach("append gave %d: %s", rc, err.text);
		}
	}
}

static void A3_of_racing_claims_on_a_seq_one_wins(struct fx *fx)
{
	struct claims claims = {.fx = fx};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	test_threads(5, claim_run, &claims);
	must_equal(75, atomic_load(&claims.won));
	must_equal(75, fx_last_seq(fx->store, &key));
}

static void A3_a_negative_after_seq_is_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_expect expect = {.check_seq = true, .after_seq = -1};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID, append(fx, &key, &expect, &event, 1, NULL, &err));
}

/* ---- A4 --------------------------------------------------------------------------------- */

static void append_must_not_find(struct fx *fx, const struct convo_key *key)
{
	const struct convo_expect any_seq = {.check_seq = true, .after_seq = 1};
	const struct convo_item items[] = {{.name = "a", .json = "1"},
					   {.name = "user:late", .json = "1"},
					   {.name = "app:late", .json = "1"}};
	struct convo_event event = fx_event(NULL, "late");
	struct convo_err err;
	int64_t seq = -3;

	event.state = "{\"user:late\":1,\"app:late\":1}";
	must_fail_with(CONVO_E_NOTFOUND, append(fx, key, NULL, &event, 1, &seq, &err));
	must_fail_with(CONVO_E_NOTFOUND, append(fx, key, &any_seq, &event, 1, &seq, &err));
	must_equal(-3, seq);
	must(!err.maybe);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_set(fx->store, key, items, 3, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_rename(fx->store, key, "late", NULL, &err));
	fx_must_be_absent(fx->store, key);
	fx_must_have(fx->store, key, "user:late", NULL);
	fx_must_have(fx->store, key, "app:late", NULL);
}

static void A4_an_unknown_session_is_not_found(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	append_must_not_find(fx, &key);
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

static void A4_a_deleted_session_stays_deleted(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(fx_uuid(), "stored before");
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(append(fx, &key, NULL, &event, 1, NULL, &err));
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	append_must_not_find(fx, &key);
	/* not even as a retry */
	must_fail_with(CONVO_E_NOTFOUND, append(fx, &key, NULL, &event, 1, NULL, &err));
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 1);
	convo_session_free(session);
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	append_must_not_find(fx, &key);
}

static void A4_an_expired_session_stays_expired(struct fx *fx)
{
	const struct convo_store_options hour = {.ttl_ms = HOUR_US / 1000, .clean_interval_ms = -1};
	struct fx mine = {.contract = fx->contract, .store = fx_open(fx, &hour)};
	struct convo_key key = fx_key(fx, "s");

	fx_create(mine.store, &key);
	fx_say(mine.store, &key, "x");
	cv_clock_shift_us(HOUR_US + SECOND_US);
	append_must_not_find(&mine, &key);
	must_equal(0, fx_count(mine.store, fx->app, "u", CONVO_LIST_LIVE));
	must_equal(0, fx_count(mine.store, fx->app, "u", CONVO_LIST_TRASH));
}

/* ---- A6 --------------------------------------------------------------------------------- */

static void A6_deltas_go_to_their_scopes(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), sibling = fx_key(fx, "sibling");
	struct convo_key stranger = {fx->app, "v", "s"};

	fx_create(fx->store, &key);
	fx_create(fx->store, &sibling);
	fx_create(fx->store, &stranger);
	fx_say_state(fx->store, &key,
		     "{\"a\":1,\"user:a\":2,\"app:a\":3,\"temp:a\":4,\"u\\u0073er:b\":5}");
	fx_must_have(fx->store, &key, "a", "1");
	fx_must_have(fx->store, &key, "user:a", "2");
	fx_must_have(fx->store, &key, "app:a", "3");
	fx_must_have(fx->store, &key, "temp:a", NULL);
	fx_must_have(fx->store, &key, "user:b", "5");
	fx_must_have(fx->store, &sibling, "a", NULL);
	fx_must_have(fx->store, &sibling, "user:a", "2");
	fx_must_have(fx->store, &sibling, "app:a", "3");
	fx_must_have(fx->store, &stranger, "a", NULL);
	fx_must_have(fx->store, &stranger, "user:a", NULL);
	fx_must_have(fx->store, &stranger, "app:a", "3");
}

static void A6_temp_names_are_stored_nowhere(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *events;
	convo_session *session;
	size_t names;

	fx_create(fx->store, &key);
	fx_say_state(fx->store, &key, "{\"temp:a\":1,\"b\":2,\"temp:c\":{\"b\":3}}");
	fx_say_state(fx->store, &key, "{\"te\\u006dp:a\":1}");
	session = fx_load(fx->store, &key);
	events = test_events(session, NULL);
	must(json_same("{\"b\":2}", events[0].state)); /* nor with the event */
	must(!events[1].state || json_same("{}", events[1].state));
	test_state(session, &names);
	must_equal(1, names);
	convo_session_free(session);
}

static void A6_null_removes_a_name(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	fx_say_state(fx->store, &key, "{\"a\":1,\"user:a\":1,\"app:a\":1,\"b\":{\"x\":null}}");
	fx_say_state(fx->store, &key, "{\"a\":null,\"user:a\":null,\"app:a\":null,\"never\":null}");
	fx_must_have(fx->store, &key, "a", NULL);
	fx_must_have(fx->store, &key, "user:a", NULL);
	fx_must_have(fx->store, &key, "app:a", NULL);
	fx_must_have(fx->store, &key, "b", "{\"x\":null}"); /* only at the top */
}

/* Values are replaced, not merged. */
static void A6_a_later_value_replaces_the_earlier(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event batch[4] = {fx_event(NULL, "1"), fx_event(NULL, "2"),
				       fx_event(NULL, "3"), fx_event(NULL, "4")};
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say_state(fx->store, &key, "{\"o\":{\"a\":1,\"b\":2},\"keep\":1}");
	fx_say_state(fx->store, &key, "{\"o\":{\"c\":3}}");
	fx_must_have(fx->store, &key, "o", "{\"c\":3}");
	fx_must_have(fx->store, &key, "keep", "1");
	batch[0].state = "{\"n\":1,\"gone\":1,\"user:n\":1}";
	batch[1].state = "{\"n\":2,\"gone\":null,\"back\":null}";
	batch[3].state = "{\"n\":4,\"back\":4,\"user:n\":null}";
	must_pass(append(fx, &key, NULL, batch, 4, NULL, &err));
	fx_must_have(fx->store, &key, "n", "4");
	fx_must_have(fx->store, &key, "gone", NULL);
	fx_must_have(fx->store, &key, "back", "4");
	fx_must_have(fx->store, &key, "user:n", NULL);
}

/* Two sessions' events count in a name both share: no update is lost. */
static void count_run(void *ctx, int index)
{
	struct fx *fx = ctx;
	struct convo_key key = fx_key(fx, test_text("s%d", index));

	fx_create(fx->store, &key);
	for (int i = 0; i < 20; i++)
		fx_say_state(fx->store, &key,
			     test_text("{\"user:%d.%d\":1,\"app:%d.%d\":1,\"%d\":1}", index, i,
				       index, i, i));
}

static void A6_deltas_of_many_sessions_lose_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s0");
	convo_state *state = NULL;
	struct convo_err err;
	size_t count;

	test_threads(6, count_run, fx);
	must_pass(convo_store_state_list(&state, fx->store, &key,
					 CONVO_SCOPE_USER | CONVO_SCOPE_APP, NULL, &err));
	test_items(state, &count);
	must_equal(240, count);
	convo_state_free(state);
	must_pass(convo_store_state_list(&state, fx->store, &key, CONVO_SCOPE_SESSION, NULL, &err));
	test_items(state, &count);
	must_equal(20, count);
	convo_state_free(state);
}

/* ---- A8 --------------------------------------------------------------------------------- */

static void A8_a_failure_leaves_the_callers_memory_alone(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), key_before;
	struct convo_event events[2] = {fx_event(NULL, "a"), fx_event(fx_uuid(), "b")}, before[2];
	struct convo_expect expect = {.check_seq = true, .after_seq = 9};
	int64_t seqs[2] = {-1, -2};
	convo_session *untouched = (convo_session *)(uintptr_t)1;
	convo_state *state = (convo_state *)(uintptr_t)1;
	char *value = (char *)(uintptr_t)1;
	struct convo_err err;

	events[0].state = "{\"temp:a\":1,\"b\":2}";
	memcpy(before, events, sizeof(events));
	key_before = key;
	must_fail_with(CONVO_E_NOTFOUND, append(fx, &key, &expect, events, 2, seqs, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&untouched, fx->store, &key, NULL, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_get(&value, fx->store, &key, "a", NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_state_list(&state, fx->store, &key,
								CONVO_SCOPE_SESSION, NULL, &err));
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_CONFLICT, append(fx, &key, &expect, events, 2, seqs, &err));
	must_pass(append(fx, &key, NULL, events, 2, NULL, &err)); /* nor does success */
	must(memcmp(before, events, sizeof(events)) == 0);
	must(memcmp(&key_before, &key, sizeof(key)) == 0);
	must(seqs[0] == -1 && seqs[1] == -2);
	must(untouched == (convo_session *)(uintptr_t)1);
	must(state == (convo_state *)(uintptr_t)1);
	must(value == (char *)(uintptr_t)1);
}

/* Every function takes no err at all. */
static void A8_of_several_events_the_text_names_the_one_at_fault(struct fx *fx)
{
	const char *id = fx_uuid();
	/* The second is the first one again: the fault of the third is the caller's third. */
	struct convo_event batch[] = {fx_event(id, "a"), fx_event(id, "a"), fx_event(NULL, "b")};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	batch[2].state = "{\"\":1}";
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, batch, 3, NULL, NULL, &err));
	must(strstr(err.text, "events[2]: a state name ") == err.text);
	batch[2].state = NULL;
	batch[1].author = "";
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, batch, 3, NULL, NULL, &err));
	must(strstr(err.text, "events[1]: the author ") == err.text);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, &batch[1], 1, NULL, NULL, &err));
	must(strstr(err.text, "the author ") == err.text);
}

static void A8_err_may_be_null(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	const struct convo_expect expect = {.check_seq = true, .after_seq = 9};
	const struct convo_item item = {.name = "a", .json = "{"};
	convo_session *session = NULL;
	convo_state *state = NULL;
	char *value = NULL;

	must_equal(CONVO_E_NOTFOUND, convo_store_load(&session, fx->store, &key, NULL, NULL, NULL));
	must_equal(CONVO_E_NOTFOUND,
		   convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, NULL));
	must_equal(CONVO_E_NOTFOUND, convo_store_rename(fx->store, &key, "t", NULL, NULL));
	must_equal(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, NULL, NULL, NULL));
	must_equal(CONVO_E_NOTFOUND,
		   convo_store_state_get(&value, fx->store, &key, "a", NULL, NULL));
	must_equal(CONVO_E_NOTFOUND, convo_store_state_list(&state, fx->store, &key,
							    CONVO_SCOPE_SESSION, NULL, NULL));
	must_equal(CONVO_E_INVALID, convo_store_state_set(fx->store, &key, &item, 1, NULL, NULL));
	must_equal(0, convo_store_create(fx->store, &key, NULL, NULL, NULL, NULL));
	must_equal(CONVO_E_EXISTS, convo_store_create(fx->store, &key, NULL, NULL, NULL, NULL));
	must_equal(CONVO_E_CONFLICT,
		   convo_store_append(fx->store, &key, &expect, &event, 1, NULL, NULL, NULL));
	must_equal(0, convo_store_delete(fx->store, &key, NULL, NULL));
	must_equal(0, convo_store_purge(fx->store, &key, NULL, NULL, NULL));
}

const struct contract_test contract_append[] = {
	CONTRACT_TEST(A1_events_are_numbered_from_1_without_gaps),
	CONTRACT_TEST(A1_a_batch_with_one_bad_event_stores_none),
	CONTRACT_TEST(A1_time_never_decreases_with_seq),
	CONTRACT_TEST(A1_many_threads_append_without_gaps),
	CONTRACT_TEST(A1_batches_of_many_threads_stay_together),
	CONTRACT_TEST_IF(A1_many_processes_append_without_gaps, NEEDS_FORK),
	CONTRACT_TEST(A1_sessions_written_at_once_are_numbered_apart),
	CONTRACT_TEST(A2_event_id_already_stored_is_not_stored_again),
	CONTRACT_TEST(A2_ids_are_the_same_in_any_case),
	CONTRACT_TEST(A2_an_id_counts_within_its_session_alone),
	CONTRACT_TEST(A2_a_batch_of_old_and_new_stores_the_new),
	CONTRACT_TEST(A2_an_id_twice_in_a_batch_is_stored_once),
	CONTRACT_TEST(A2_events_without_ids_get_fresh_ones),
	CONTRACT_TEST(A2_ids_that_are_no_uuids_are_refused),
	CONTRACT_TEST(A2_racing_retries_store_each_event_once),
	CONTRACT_TEST(A3_a_stale_after_seq_is_a_conflict),
	CONTRACT_TEST(A3_without_expectation_an_append_goes_last),
	CONTRACT_TEST(A3_an_expected_generation_must_be_the_sessions),
	CONTRACT_TEST(A3_a_stored_batch_may_be_retried_with_its_after_seq),
	CONTRACT_TEST(A3_of_racing_claims_on_a_seq_one_wins),
	CONTRACT_TEST(A3_a_negative_after_seq_is_refused),
	CONTRACT_TEST(A4_an_unknown_session_is_not_found),
	CONTRACT_TEST(A4_a_deleted_session_stays_deleted),
	CONTRACT_TEST(A4_an_expired_session_stays_expired),
	CONTRACT_TEST(A6_deltas_go_to_their_scopes),
	CONTRACT_TEST(A6_temp_names_are_stored_nowhere),
	CONTRACT_TEST(A6_null_removes_a_name),
	CONTRACT_TEST(A6_a_later_value_replaces_the_earlier),
	CONTRACT_TEST(A6_deltas_of_many_sessions_lose_nothing),
	CONTRACT_TEST(A8_a_failure_leaves_the_callers_memory_alone),
	CONTRACT_TEST(A8_of_several_events_the_text_names_the_one_at_fault),
	CONTRACT_TEST(A8_err_may_be_null),
	{0},
};
