/*
 * S2: reading a window event by event.
 */
#include "contract.h"

#include <stdio.h>

enum { MANY = 20000, LARGE = 6 };

static convo_reader *reader_begin(const struct convo_key *key, const struct convo_window *window)
{
	convo_reader *reader = NULL;
	struct convo_err err;

	must_pass(convo_reader_new(&reader, key, window, &err));
	must(convo_reader_meta(reader) == NULL);
	return reader;
}

static const struct convo_event *reader_next(convo_store *store, convo_reader *reader)
{
	const struct convo_event *event = NULL;
	struct convo_err err;

	must_pass(convo_store_read(&event, store, reader, NULL, &err));
	return event;
}

/* The reader gives the seqs `from` to `to`, and then nothing, however often it is asked. */
static void reader_must_run(convo_store *store, convo_reader *reader, int64_t from, int64_t to)
{
	for (int64_t seq = from; seq <= to; seq++) {
		const struct convo_event *event = reader_next(store, reader);

		if (!event)
			must_not_reach("ends before event %lld", (long long)seq);
		must_equal(seq, event->seq);
		must(event->message != NULL && event->role != NULL && event->id != NULL);
	}
	for (int i = 0; i < 2; i++)
		must(reader_next(store, reader) == NULL);
}

static void read_must_run(convo_store *store, const struct convo_key *key,
			  const struct convo_window *window, int64_t from, int64_t to)
{
	convo_reader *reader = reader_begin(key, window);

	reader_must_run(store, reader, from, to);
	convo_reader_free(reader);
}

/* Append n short events in large batches; the id of the one at `remember` goes to `id`. */
static void reader_fill(convo_store *store, const struct convo_key *key, size_t n, size_t remember,
			const char **id)
{
	struct convo_event events[500];
	struct convo_err err;

	for (size_t done = 0, i; done < n; done += i) {
		for (i = 0; i < 500 && done + i < n; i++) {
			events[i] = fx_event(NULL, "x");
			if (done + i + 1 == remember)
				events[i].id = *id = fx_uuid();
		}
		must_pass(convo_store_append(store, key, NULL, events, i, NULL, NULL, &err));
	}
}

static void S2_a_reader_gives_what_a_window_of_each_kind_shows(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const char *id = NULL;
	struct {
		struct convo_window window;
		int64_t from, to;
	} cases[] = {
		{{0}, 1, 300},
		{{.n = 1}, 300, 300},
		{{.n = 5}, 296, 300},
		{{.n = 200}, 101, 300},
		{{.n = 1000}, 1, 300},
		{{.kind = CONVO_WINDOW_AFTER}, 1, 300},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 20, .n = 3}, 21, 23},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 20, .n = 150}, 21, 170},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 250}, 251, 300},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 300}, 1, 0},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 9999}, 1, 0},
		{{.kind = CONVO_WINDOW_BEFORE, .seq = 1}, 1, 0},
		{{.kind = CONVO_WINDOW_BEFORE, .seq = 4}, 1, 3},
		{{.kind = CONVO_WINDOW_BEFORE, .seq = 200, .n = 120}, 80, 199},
		{{.kind = CONVO_WINDOW_BEFORE, .seq = 9999, .n = 2}, 299, 300},
		{{.kind = CONVO_WINDOW_AROUND, .n = 1}, 150, 150},
		{{.kind = CONVO_WINDOW_AROUND, .n = 6}, 147, 152},
		{{.kind = CONVO_WINDOW_AROUND, .n = 131}, 85, 215},
		{{.kind = CONVO_WINDOW_AROUND}, 1, 300},
		{{.kind = CONVO_WINDOW_NONE}, 1, 0},
	};

	fx_create(fx->store, &key);
	reader_fill(fx->store, &key, 300, 150, &id);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i].window.id = cases[i].window.kind == CONVO_WINDOW_AROUND ? id : NULL;
		read_must_run(fx->store, &key, &cases[i].window, cases[i].from, cases[i].to);
	}
	read_must_run(fx->store, &key, NULL, 1, 300);
}

static void S2_a_reader_gives_events_whole(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event full = fx_event(fx_uuid(), "x");
	const struct convo_event *got;
	convo_reader *reader;
	struct convo_err err;

	fx_create(fx->store, &key);
	full.author = "someone";
	full.turn = "t";
	full.model = "m";
	full.usage = "{\"n\":1}";
	full.extra = "{\"e\":[]}";
	must_pass(convo_store_append(fx->store, &key, NULL, &full, 1, NULL, NULL, &err));
	reader = reader_begin(&key, NULL);
	got = reader_next(fx->store, reader);
	must(got != NULL);
	must_equal_str(full.id, got->id);
	must_equal_str("someone", got->author);
	must_equal_str("user", got->role);
	must_equal_str("t", got->turn);
	must_equal_str("m", got->model);
	must(json_same(full.usage, got->usage) && json_same(full.extra, got->extra));
	must(json_same(full.message, got->message));
	must_equal_str("s", convo_reader_meta(reader)->session);
	must_equal(1, convo_reader_meta(reader)->count);
	must(reader_next(fx->store, reader) == NULL);
	must_equal_str("s", convo_reader_meta(reader)->session); /* as long as the reader */
	convo_reader_free(reader);
}

static void S2_a_reader_of_an_empty_or_absent_session(struct fx *fx)
{
	const struct convo_window around = {.kind = CONVO_WINDOW_AROUND, .id = fx_uuid()};
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *event = NULL;
	convo_reader *reader = reader_begin(&key, NULL);
	struct convo_err err;

	must_fail_with(CONVO_E_NOTFOUND, convo_store_read(&event, fx->store, reader, NULL, &err));
	must(event == NULL && convo_reader_meta(reader) == NULL);
	fx_create(fx->store, &key);
	reader_must_run(fx->store, reader, 1, 0); /* it had not begun */
	convo_reader_free(reader);
	reader = reader_begin(&key, &around);
	must_fail_with(CONVO_E_NOTFOUND, convo_store_read(&event, fx->store, reader, NULL, &err));
	convo_reader_free(reader);
}

static void S2_a_reader_does_not_show_what_is_appended_meanwhile(struct fx *fx)
{
	static const int64_t pauses[] = {1, 8, 9, 40, 200};

	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i));
		convo_reader *reader = reader_begin(&key, NULL);

		fx_create(fx->store, &key);
		reader_fill(fx->store, &key, 200, 0, NULL);
		for (int64_t seq = 1; seq <= pauses[i]; seq++)
			must_equal(seq, reader_next(fx->store, reader)->seq);
		reader_fill(fx->store, &key, 100, 0, NULL);
		reader_must_run(fx->store, reader, pauses[i] + 1, 200);
		must_equal(200, convo_reader_meta(reader)->last_seq);
		convo_reader_free(reader);
	}
}

/* What an event limit removes while it is read is passed over; what is left comes in order. */
static void S2_a_reader_passes_over_what_was_trimmed_meanwhile(struct fx *fx)
{
	const struct convo_store_options limited = {
		.event_limit = 120, .clean_interval_ms = CONVO_OFF, .timeout_ms = 20000};
	convo_store *store = fx_open(fx, &limited);
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *event;
	convo_reader *reader = reader_begin(&key, NULL);
	int64_t last = 0, after = 0;

	fx_create(store, &key);
	reader_fill(store, &key, 200, 0, NULL);
	must_equal(81, reader_next(store, reader)->seq);
	must_equal(120, convo_reader_meta(reader)->count);
	reader_fill(store, &key, 100, 0, NULL); /* leaves 181 to 300 */
	while ((event = reader_next(store, reader)) != NULL) {
		must(event->seq > last);
		must(event->seq < 120 || event->seq >= 181); /* the page at hand, or what is left */
		last = event->seq;
		after += last >= 181;
	}
	must_equal(200, last);
	must_equal(20, after);
	convo_reader_free(reader);
	reader = reader_begin(&key, NULL);
	must_equal(181, reader_next(store, reader)->seq);
	reader_fill(store, &key, 200, 0, NULL); /* nothing is left of what it began with */
	for (last = 181; (event = reader_next(store, reader)) != NULL; last = event->seq)
		must_equal(last + 1, event->seq);
	must(last < 220);
	convo_reader_free(reader);
}

static void S2_a_reader_ends_when_the_session_is_deleted_or_another(struct fx *fx)
{
	for (int again = 0; again < 2; again++) {
		struct convo_key key = fx_key(fx, again ? "again" : "gone");
		const struct convo_event *event = NULL;
		convo_reader *reader = reader_begin(&key, NULL);
		struct convo_err err;
		int64_t seq = 0;
		int rc;

		fx_create(fx->store, &key);
		reader_fill(fx->store, &key, 200, 0, NULL);
		must_equal(1, reader_next(fx->store, reader)->seq);
		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
		if (again) {
			fx_create(fx->store, &key);
			reader_fill(fx->store, &key, 300, 0, NULL);
		}
		do {
			rc = convo_store_read(&event, fx->store, reader, NULL, &err);
			if (rc == 0)
				seq = event->seq;
		} while (rc == 0);
		must_equal(CONVO_E_NOTFOUND, rc);
		must(seq < 200);
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_read(&event, fx->store, reader, NULL, &err));
		if (!again) { /* restored it is the same session: the reading goes on */
			must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
			reader_must_run(fx->store, reader, seq + 1, 200);
		}
		convo_reader_free(reader);
	}
}

static void S2_a_reader_goes_through_many_events(struct fx *fx)
{
	const struct convo_window tail = {.n = MANY - 7};
	struct convo_key key = fx_key(fx, "long");

	fx_create(fx->store, &key);
	reader_fill(fx->store, &key, MANY, 0, NULL);
	read_must_run(fx->store, &key, NULL, 1, MANY);
	read_must_run(fx->store, &key, &tail, 8, MANY);
}

/* Small events teach the reader to ask for many at once; then come the largest there are. */
static void S2_a_reader_goes_through_the_largest_events(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "large");
	char *message = fx_message_of(CONVO_MAX_EVENT - 64);
	struct convo_event event = {.message = message};
	const struct convo_event *got;
	convo_reader *reader = reader_begin(&key, NULL);
	struct convo_err err;

	fx_create(fx->store, &key);
	reader_fill(fx->store, &key, 200, 0, NULL);
	for (int i = 0; i < LARGE; i++)
		must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	reader_fill(fx->store, &key, 50, 0, NULL);
	for (int64_t seq = 1; seq <= 200 + LARGE + 50; seq++) {
		got = reader_next(fx->store, reader);
		must(got != NULL);
		must_equal(seq, got->seq);
		if (seq > 200 && seq <= 200 + LARGE)
			must(got->message_len >=
			     CONVO_MAX_EVENT - 64); /* perhaps with blanks (N2) */
	}
	must(reader_next(fx->store, reader) == NULL);
	convo_reader_free(reader);
	free(message);
}

static void S2_a_reader_goes_on_after_a_call_that_failed(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_reader *reader = reader_begin(&key, NULL);
	const struct convo_event *event = NULL;
	struct convo_call call = {0};
	struct convo_err err;

	fx_create(fx->store, &key);
	reader_fill(fx->store, &key, 100, 0, NULL);
	must_pass(convo_cancel_new(&call.cancel, &err));
	convo_cancel_request(call.cancel);
	for (int64_t seq = 1; seq <= 100; seq++) {
		must_fail_with(CONVO_E_CANCELED,
			       convo_store_read(&event, fx->store, reader, &call, &err));
		must_equal(seq, reader_next(fx->store, reader)->seq);
	}
	must(reader_next(fx->store, reader) == NULL);
	convo_reader_free(reader);
	convo_cancel_free(call.cancel);
}

const struct contract_test contract_reader[] = {
	CONTRACT_TEST(S2_a_reader_gives_what_a_window_of_each_kind_shows),
	CONTRACT_TEST(S2_a_reader_gives_events_whole),
	CONTRACT_TEST(S2_a_reader_of_an_empty_or_absent_session),
	CONTRACT_TEST(S2_a_reader_does_not_show_what_is_appended_meanwhile),
	CONTRACT_TEST(S2_a_reader_passes_over_what_was_trimmed_meanwhile),
	CONTRACT_TEST(S2_a_reader_ends_when_the_session_is_deleted_or_another),
	CONTRACT_TEST(S2_a_reader_goes_through_many_events),
	CONTRACT_TEST(S2_a_reader_goes_through_the_largest_events),
	CONTRACT_TEST(S2_a_reader_goes_on_after_a_call_that_failed),
	{0},
};
