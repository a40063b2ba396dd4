/*
 * S2: windows. Every kind, at every edge, against a plain computation of what it should hold.
 */
#include "contract.h"

#include <stdio.h>

#define EVENTS 9

static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 8, 9, 10, 1000, SIZE_MAX};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* What a window of a session that shows first..last holds: a range of seqs; empty: from > to. */
struct range {
	int64_t from, to;
};

static struct range range_of(const struct convo_window *w, int64_t around, int64_t first,
			     int64_t last)
{
	int64_t n = w->n == 0 || w->n > 100000 ? 100000 : (int64_t)w->n;
	struct range r = {first, last};

	switch (w->kind) {
	case CONVO_WINDOW_LAST:
		r.from = last - n + 1;
		break;
	case CONVO_WINDOW_AFTER:
		if (w->seq >= last)
			return (struct range){1, 0};
		r.from = w->seq + 1 > first ? w->seq + 1 : first;
		r.to = r.from + n - 1;
		break;
	case CONVO_WINDOW_BEFORE:
		r.to = w->seq - 1 < last ? w->seq - 1 : last;
		r.from = r.to - n + 1;
		break;
	case CONVO_WINDOW_AROUND:
		r.to = around + (n - 1) / 2;
		r.from = around - (n - 1 - (n - 1) / 2);
		break;
	case CONVO_WINDOW_NONE:
		r.to = first - 1;
		break;
	}
	if (r.from < first)
		r.from = first;
	if (r.to > last)
		r.to = last;
	return r;
}

static void window_must_hold(convo_store *store, const struct convo_key *key,
			     const struct convo_window *window, int64_t around, int64_t first,
			     int64_t last)
{
	struct range want = range_of(window, around, first, last);
	size_t count, n = want.from > want.to ? 0 : (size_t)(want.to - want.from + 1);
	convo_session *session = NULL;
	const struct convo_event *events;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, key, window, NULL, &err));
	events = test_events(session, &count);
	if (count != n)
		must_not_reach("kind %d n %zu seq %lld around %lld of %lld..%lld: %zu events, not "
			       "%zu from %lld",
			       window->kind, window->n, (long long)window->seq, (long long)around,
			       (long long)first, (long long)last, count, n, (long long)want.from);
	for (size_t i = 0; i < n; i++)
		must_equal(want.from + (int64_t)i, events[i].seq);
	must_equal(last, convo_session_meta(session)->last_seq);
	must_equal(last - first + 1, convo_session_meta(session)->count);
	convo_session_free(session);
}

/* Every kind and size of a session that shows first..last; ids[seq] are its events' ids. */
static void windows_must_hold(convo_store *store, const struct convo_key *key,
			      const char *const *ids, int64_t first, int64_t last)
{
	for (size_t i = 0; i < SIZES; i++) {
		struct convo_window w = {.kind = CONVO_WINDOW_LAST, .n = sizes[i]};

		window_must_hold(store, key, &w, 0, first, last);
		w.kind = CONVO_WINDOW_NONE;
		window_must_hold(store, key, &w, 0, first, last);
		for (w.seq = 0; w.seq <= last + 2; w.seq++) {
			w.kind = CONVO_WINDOW_AFTER;
			window_must_hold(store, key, &w, 0, first, last);
			w.kind = CONVO_WINDOW_BEFORE;
			window_must_hold(store, key, &w, 0, first, last);
		}
		w.seq = INT64_MAX;
		w.kind = CONVO_WINDOW_AFTER;
		window_must_hold(store, key, &w, 0, first, last);
		w.kind = CONVO_WINDOW_BEFORE;
		window_must_hold(store, key, &w, 0, first, last);
		w.kind = CONVO_WINDOW_AROUND;
		for (int64_t seq = first; seq <= last; seq++) {
			w.id = ids[seq];
			window_must_hold(store, key, &w, seq, first, last);
		}
	}
}

/* Append events 1..n with known ids, in batches of `batch`. */
static void window_fill(convo_store *store, const struct convo_key *key, const char **ids, size_t n,
			size_t batch)
{
	struct convo_event events[EVENTS + 1];
	struct convo_err err;

	for (size_t i = 1; i <= n; i++) {
		ids[i] = fx_uuid();
		events[(i - 1) % batch] = fx_event(ids[i], test_text("%zu", i));
		if (i % batch == 0 || i == n)
			must_pass(convo_store_append(store, key, NULL, events, (i - 1) % batch + 1,
						     NULL, NULL, &err));
	}
}

static void S2_windows_hold_what_they_say(struct fx *fx)
{
	const char *ids[EVENTS + 1];
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	window_fill(fx->store, &key, ids, EVENTS, 4);
	windows_must_hold(fx->store, &key, ids, 1, EVENTS);
}

static void S2_windows_of_an_empty_session_are_empty(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	windows_must_hold(fx->store, &key, NULL, 1, 0);
}

static void S2_windows_of_one_event_hold_it(struct fx *fx)
{
	const char *ids[2];
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	window_fill(fx->store, &key, ids, 1, 1);
	windows_must_hold(fx->store, &key, ids, 1, 1);
}

/* One after the other, so that storage holds exactly the newest. */
static void S2_windows_keep_to_the_event_limit(struct fx *fx)
{
	const struct convo_store_options four = {.event_limit = 4, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &four);
	const char *ids[EVENTS + 1];
	struct convo_key key = fx_key(fx, "s");

	fx_create(store, &key);
	window_fill(store, &key, ids, EVENTS, 1);
	windows_must_hold(store, &key, ids, EVENTS - 3, EVENTS);
}

/* Storage may hold a batch more than the limit; nobody sees it. */
static void S2_windows_do_not_show_a_batch_beyond_the_limit(struct fx *fx)
{
	const struct convo_store_options two = {.event_limit = 2, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &two);
	const char *ids[EVENTS + 1];
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(store, &key);
	window_fill(store, &key, ids, EVENTS, EVENTS);
	windows_must_hold(store, &key, ids, EVENTS - 1, EVENTS);
	for (int i = 1; i < EVENTS - 1; i++) { /* hidden ones cannot be gone around */
		struct convo_window w = {.kind = CONVO_WINDOW_AROUND, .n = 3, .id = ids[i]};
		convo_session *session = NULL;

		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_load(&session, store, &key, &w, NULL, &err));
	}
}

/* The limit is the reader's (T3): one with a limit shows less of what one without wrote. */
static void S2_windows_keep_to_the_limit_of_the_reader(struct fx *fx)
{
	const struct convo_store_options three = {.event_limit = 3, .clean_interval_ms = -1};
	convo_store *limited = fx_open(fx, &three);
	const char *ids[EVENTS + 1];
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	window_fill(fx->store, &key, ids, EVENTS, 4);
	windows_must_hold(limited, &key, ids, EVENTS - 2, EVENTS);
	windows_must_hold(fx->store, &key, ids, 1, EVENTS);
	window_fill(fx->store, &key, ids, 1, 1); /* by the one without: nothing goes */
	must_equal(EVENTS + 1, fx_last_seq(fx->store, &key));
	window_must_hold(fx->store, &key, &(struct convo_window){0}, 0, 1, EVENTS + 1);
	window_fill(limited, &key, ids, 1, 1); /* by the one with: all but three go */
	window_must_hold(fx->store, &key, &(struct convo_window){0}, 0, EVENTS, EVENTS + 2);
}

static void S2_a_window_around_what_is_not_there_is_not_found(struct fx *fx)
{
	struct convo_window w = {.kind = CONVO_WINDOW_AROUND, .n = 3, .id = fx_uuid()};
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	struct convo_event event = fx_event(fx_uuid(), "elsewhere");
	convo_session *session = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	fx_say(fx->store, &key, "x");
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, fx->store, &key, &w, NULL, &err));
	must_pass(convo_store_append(fx->store, &other, NULL, &event, 1, NULL, NULL, &err));
	w.id = event.id; /* of another session */
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, fx->store, &key, &w, NULL, &err));
	must(session == NULL);
}

static void S2_an_id_is_found_in_any_case(struct fx *fx)
{
	static const char lower[] = "0191e2a4-7b2c-7abc-8def-0123456789ab";
	static const char upper[] = "0191E2A4-7B2C-7ABC-8DEF-0123456789AB";
	struct convo_window w = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = upper};
	struct convo_event event = fx_event(lower, "x");
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	window_must_hold(fx->store, &key, &w, 1, 1, 1);
}

static void S2_windows_that_make_no_sense_are_refused(struct fx *fx)
{
	const struct convo_window bad[] = {
		{.kind = (enum convo_window_kind)9},
		{.kind = CONVO_WINDOW_AFTER, .seq = -1},
		{.kind = CONVO_WINDOW_BEFORE, .seq = -1},
		{.kind = CONVO_WINDOW_AROUND, .n = 3},
		{.kind = CONVO_WINDOW_AROUND, .n = 3, .id = "not a uuid"},
		{.kind = CONVO_WINDOW_AROUND, .n = 3, .id = ""},
	};
	struct convo_key key = fx_key(fx, "s");
	convo_session *session = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail_with(CONVO_E_INVALID,
			       convo_store_load(&session, fx->store, &key, &bad[i], NULL, &err));
	must(session == NULL);
}

const struct contract_test contract_windows[] = {
	CONTRACT_TEST(S2_windows_hold_what_they_say),
	CONTRACT_TEST(S2_windows_of_an_empty_session_are_empty),
	CONTRACT_TEST(S2_windows_of_one_event_hold_it),
	CONTRACT_TEST(S2_windows_keep_to_the_event_limit),
	CONTRACT_TEST(S2_windows_do_not_show_a_batch_beyond_the_limit),
	CONTRACT_TEST_IF(S2_windows_keep_to_the_limit_of_the_reader, NEEDS_SHARED),
	CONTRACT_TEST(S2_a_window_around_what_is_not_there_is_not_found),
	CONTRACT_TEST(S2_an_id_is_found_in_any_case),
	CONTRACT_TEST(S2_windows_that_make_no_sense_are_refused),
	{0},
};
