/*
 * The reader of server-sent events: every case is fed whole, in 7-byte pieces and byte by byte, and
 * must give the same.
 */
#include "support/test.h"

#include <string.h>

#include <model/sse.h>

#define LARGEST 4096

/* What was heard, as "name=data;" with '!' before what is unfinished. */
static int heard_event(void *ctx, const struct sse_event *event)
{
	struct cv_buf *heard = ctx;

	must(event->data.len > 0);
	if (event->unfinished)
		must_equal(0, cv_buf_addc(heard, '!'));
	if (event->name.len) {
		must_equal(0, cv_buf_add(heard, event->name.data, event->name.len));
		must_equal(0, cv_buf_addc(heard, '='));
	}
	must_equal(0, cv_buf_add(heard, event->data.data, event->data.len));
	return cv_buf_addc(heard, ';');
}

static int feed(struct cv_buf *heard, const char *bytes, size_t len, size_t step)
{
	struct sse sse = {.on_event = heard_event, .ctx = heard, .max = LARGEST};
	int rc = 0;

	for (size_t at = 0; at < len && rc == 0; at += step)
		rc = cv_sse_feed(&sse, bytes + at, len - at < step ? len - at : step);
	if (rc == 0)
		rc = cv_sse_end(&sse);
	cv_sse_clear(&sse);
	return rc;
}

static void must_hear_bytes(const char *want, const char *bytes, size_t len)
{
	static const size_t steps[] = {1, 2, 3, 7, 1 << 20};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct cv_buf heard = {0};

		must_equal(0, feed(&heard, bytes, len, steps[i]));
		must_equal_str(want, cv_buf_str(&heard));
		cv_buf_clear(&heard);
	}
}

static void must_hear(const char *want, const char *bytes)
{
	must_hear_bytes(want, bytes, strlen(bytes));
}

static void test_lines__end_in_lf_crlf_or_cr(void **state)
{
	(void)state;
	must_hear("a;b;", "data: a\n\ndata: b\n\n");
	must_hear("a;b;", "data: a\r\n\r\ndata: b\r\n\r\n");
	must_hear("a;b;", "data: a\r\rdata: b\r\r");
	must_hear("a;b\nc;", "data: a\r\n\ndata: b\rdata: c\n\r\n");
}

static void test_bom__one_is_dropped_at_the_start(void **state)
{
	(void)state;
	must_hear("a;", "\xef\xbb\xbf"
			"data: a\n\n");
	must_hear("", "\xef\xbb\xbf\xef\xbb\xbf"
		      "data: a\n\n");
	must_hear("b;", "\xef\xbb"
			"data: a\n\ndata: b\n\n");
	must_hear("b;", "data: b\n\n\xef\xbb\xbf"
			"data: a\n\n");
	must_hear("", "\xef\xbb");
}

static void test_fields__are_cut_at_the_first_colon(void **state)
{
	(void)state;
	must_hear("a:b;", "data:a:b\n\n");
	must_hear(" a;", "data:  a\n\n");
	must_hear("\ta;", "data:\ta\n\n");
	must_hear("a;", "Data: x\ndata : x\nother: x\nother\ndata: a\n\n");
	must_hear("ping=a;b;", "event: ping\ndata: a\n\ndata: b\n\n");
	must_hear("two=a;", "event: one\nevent: two\ndata: a\n\n");
}

static void test_comments__are_ignored(void **state)
{
	(void)state;
	must_hear("a;", ": keep-alive\n\n:\n:data: no\n\ndata: a\n:\n\n");
}

static void test_data__lines_are_joined(void **state)
{
	(void)state;
	must_hear("a\nb;", "data: a\ndata: b\n\n");
	must_hear("a\n\nb;", "data: a\ndata\ndata: b\n\n");
	must_hear("\na;", "data:\ndata: a\n\n");
}

static void test_data__nothing_is_no_event(void **state)
{
	(void)state;
	must_hear("a;", "retry: 5\n\nid: 1\n\nevent: x\n\ndata:\n\ndata\n\n\n\ndata: a\n\n");
}

static void test_error_field__is_an_error_event(void **state)
{
	(void)state;
	must_hear("error={};", "error: {}\n\n");
	must_hear("", "error:\n\n");
}

static void test_end__hands_out_what_was_not_closed(void **state)
{
	(void)state;
	must_hear("!a;", "data: a\n");
	must_hear("a;!b;", "data: a\n\ndata: b");
	must_hear("!a\nb;", "data: a\ndata: b");
	must_hear("", "");
	must_hear("", ": comment");
}

static void test_bytes__pass_as_they_are(void **state)
{
	static const char zero[] = "data: a\0b\n\n";
	struct cv_buf heard = {0};

	(void)state;
	must_hear("\xe4\xbd\xa0\xff\xf0\x9f\x98\x80;",
		  "data: \xe4\xbd\xa0\xff\xf0\x9f\x98\x80\n\n");
	must_equal(0, feed(&heard, zero, sizeof(zero) - 1, 1));
	must_equal(4, heard.len);
	must(memcmp(heard.data, "a\0b;", 4) == 0);
	cv_buf_clear(&heard);
}

static void test_ceiling__a_line_or_an_event_too_long_is_refused(void **state)
{
	static const size_t steps[] = {1, 7, 1 << 20};
	char line[LARGEST + 64];
	struct cv_buf many = {0};

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "data: ", 6);
	line[sizeof(line) - 1] = '\n';
	for (int i = 0; i < 3000; i++)
		must_equal(0, cv_buf_adds(&many, "data: x\n"));
	for (size_t i = 0; i < 3; i++) {
		struct cv_buf heard = {0};

		must_equal(CONVO_E_TOOBIG, feed(&heard, line, sizeof(line), steps[i]));
		must_equal(CONVO_E_TOOBIG, feed(&heard, line, sizeof(line) - 1, steps[i]));
		must_equal(CONVO_E_TOOBIG, feed(&heard, many.data, many.len, steps[i]));
		must_equal_str("", cv_buf_str(&heard));
		cv_buf_clear(&heard);
	}
	cv_buf_clear(&many);
}

static int stop_at_once(void *ctx, const struct sse_event *event)
{
	(void)event;
	++*(int *)ctx;
	return 42;
}

static void test_event__a_return_that_is_not_zero_ends_the_feeding(void **state)
{
	int calls = 0;
	struct sse sse = {.on_event = stop_at_once, .ctx = &calls, .max = LARGEST};

	(void)state;
	must_equal(42, cv_sse_feed(&sse, "data: a\n\ndata: b\n\n", 18));
	must_equal(1, calls);
	cv_sse_clear(&sse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines__end_in_lf_crlf_or_cr),
		cmocka_unit_test(test_bom__one_is_dropped_at_the_start),
		cmocka_unit_test(test_fields__are_cut_at_the_first_colon),
		cmocka_unit_test(test_comments__are_ignored),
		cmocka_unit_test(test_data__lines_are_joined),
		cmocka_unit_test(test_data__nothing_is_no_event),
		cmocka_unit_test(test_error_field__is_an_error_event),
		cmocka_unit_test(test_end__hands_out_what_was_not_closed),
		cmocka_unit_test(test_bytes__pass_as_they_are),
		cmocka_unit_test(test_ceiling__a_line_or_an_event_too_long_is_refused),
		cmocka_unit_test(test_event__a_return_that_is_not_zero_ends_the_feeding),
	};

	return TEST_RUN(tests);
}
