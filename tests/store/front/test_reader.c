/*
 * Reading event by event, over a backend that notes what it is asked for: pages follow the bytes,
 * and no page holds more than some megabytes, whatever the events are.
 */
#include <support/test.h>

#include <convo/store.h>

#include <base/fail.h>
#include <store/backend.h>

#define EVENTS 400
#define LOADS 400

struct fake {
	struct convo_store base;
	char *message;           /* of the largest event; a smaller one is a part of it */
	size_t size[EVENTS + 1]; /* of the message of each seq */
	int64_t asked[LOADS];    /* the n of each load */
	size_t most_bytes;       /* most that one load could hand over */
	int loads, fail_load;    /* the how many-th load fails; 0: none */
	unsigned char generation;
};

static int fake_load(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_window *window,
		     struct convo_session *into, struct convo_err *err)
{
	struct fake *fake = (struct fake *)store;
	struct store_meta meta = {.session = cv_text_of(key->session),
				  .title = cv_text_of(""),
				  .generation = {fake->generation},
				  .first_seq = 1,
				  .last_seq = EVENTS};
	int64_t from, to, seq;
	size_t bytes = 0;
	int rc;

	(void)call;
	must(fake->loads < LOADS);
	fake->asked[fake->loads++] = window->n;
	if (fake->loads == fake->fail_load)
		return cv_fail(err, CONVO_E_GONE, "the fake fails");
	cv_session_reset(into);
	rc = cv_session_set_meta(into, &meta, err);
	cv_window_range(window, 1, EVENTS, 0, &from, &to);
	for (seq = from; rc >= 0 && seq <= to; seq++) {
		struct store_event event = {.seq = seq};

		event.field[FIELD_MESSAGE] = (struct cv_text){fake->message, fake->size[seq]};
		event.field[FIELD_ROLE] = event.field[FIELD_AUTHOR] = cv_text_of("user");
		rc = cv_session_add_event(into, &event, err);
		if (rc >= 0)
			bytes += fake->size[seq];
	}
	if (bytes > fake->most_bytes)
		fake->most_bytes = bytes;
	return rc;
}

static void fake_close(struct convo_store *store)
{
	free(((struct fake *)store)->message);
}

static const struct cv_backend fake_backend = {
	.scheme = "fake", .size = sizeof(struct fake), .load = fake_load, .close = fake_close};

static const struct convo_key key = {"app", "user", "s"};

static struct fake *fake_new(size_t size)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	must(fake != NULL);
	fake->message = calloc(1, CONVO_MAX_EVENT);
	must(fake->message != NULL);
	memset(fake->message, 'x', CONVO_MAX_EVENT - 1);
	fake->base.be = &fake_backend;
	fake->base.opts.timeout_ms = 60000;
	for (int i = 1; i <= EVENTS; i++)
		fake->size[i] = size;
	return fake;
}

/* Read all; each event comes once, in order, as large as it is. */
static void read_all(struct fake *fake, const struct convo_window *window, int64_t from, int64_t to)
{
	const struct convo_event *event;
	convo_reader *reader = NULL;
	struct convo_err err;

	must_pass(convo_reader_new(&reader, &key, window, &err));
	for (int64_t seq = from; seq <= to; seq++) {
		must_pass(convo_store_read(&event, &fake->base, reader, NULL, &err));
		must(event != NULL);
		must_equal(seq, event->seq);
		must_equal(fake->size[seq], event->message_len);
	}
	must_pass(convo_store_read(&event, &fake->base, reader, NULL, &err));
	must(event == NULL);
	convo_reader_free(reader);
}

static void test_reader__pages_grow_while_events_are_small(void **state)
{
	struct fake *fake = fake_new(100);

	(void)state;
	read_all(fake, NULL, 1, EVENTS);
	must_equal(8, fake->asked[0]);
	must_equal(16, fake->asked[1]);
	must_equal(32, fake->asked[2]);
	for (int i = 0; i < fake->loads; i++)
		must(fake->asked[i] <= 64);
	must(fake->loads <= 3 + EVENTS / 64 + 1);
	convo_store_close(&fake->base);
}

static void test_reader__a_short_window_is_one_load(void **state)
{
	static const struct {
		struct convo_window window;
		int64_t from, to;
	} cases[] = {
		{{.n = 5}, EVENTS - 4, EVENTS},
		{{.kind = CONVO_WINDOW_AFTER, .seq = 10, .n = 3}, 11, 13},
		{{.kind = CONVO_WINDOW_BEFORE, .seq = 4, .n = 3}, 1, 3},
		{{.kind = CONVO_WINDOW_NONE}, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake *fake = fake_new(100);

		read_all(fake, &cases[i].window, cases[i].from, cases[i].to);
		must_equal(1, fake->loads);
		convo_store_close(&fake->base);
	}
}

/* Small events have taught it to ask for many; then the largest come, and small ones again. */
static void test_reader__no_page_holds_more_than_some_megabytes(void **state)
{
	struct fake *fake = fake_new(100);

	(void)state;
	for (int i = 200; i < 230; i++)
		fake->size[i] = CONVO_MAX_EVENT - 1000;
	read_all(fake, NULL, 1, EVENTS);
	must(fake->most_bytes <= 5u << 20);
	must(fake->asked[fake->loads - 1] > 32); /* it has grown again */
	convo_store_close(&fake->base);
}

static void test_reader__a_failed_load_can_be_asked_for_again(void **state)
{
	(void)state;
	for (int fail = 1; fail <= 5; fail++) {
		struct fake *fake = fake_new(100);
		const struct convo_event *event = NULL;
		convo_reader *reader = NULL;
		struct convo_err err;
		int64_t seq = 1;
		int failed = 0;

		fake->fail_load = fail;
		must_pass(convo_reader_new(&reader, &key, NULL, &err));
		for (;;) {
			int rc = convo_store_read(&event, &fake->base, reader, NULL, &err);

			failed += rc == CONVO_E_GONE;
			if (rc < 0)
				continue;
			if (!event)
				break;
			must_equal(seq++, event->seq);
		}
		must_equal(EVENTS + 1, seq);
		must_equal(1, failed);
		convo_reader_free(reader);
		convo_store_close(&fake->base);
	}
}

static void test_reader__another_generation_ends_it_for_good(void **state)
{
	struct fake *fake = fake_new(100);
	const struct convo_event *event = NULL;
	convo_reader *reader = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_reader_new(&reader, &key, NULL, &err));
	for (int i = 0; i < 8; i++)
		must_pass(convo_store_read(&event, &fake->base, reader, NULL, &err));
	fake->generation = 1;
	for (int i = 0; i < 2; i++)
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_read(&event, &fake->base, reader, NULL, &err));
	convo_reader_free(reader);
	convo_store_close(&fake->base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader__pages_grow_while_events_are_small),
		cmocka_unit_test(test_reader__a_short_window_is_one_load),
		cmocka_unit_test(test_reader__no_page_holds_more_than_some_megabytes),
		cmocka_unit_test(test_reader__a_failed_load_can_be_asked_for_again),
		cmocka_unit_test(test_reader__another_generation_ends_it_for_good),
	};

	return TEST_RUN(tests);
}
