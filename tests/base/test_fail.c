/*
 * Failing: the one line that a caller gets is clean, whatever was put into it.
 */
#include <support/test.h>

#include <base/fail.h>
#include <base/utf8.h>

static void test_fail__returns_and_keeps_its_code(void **state)
{
	struct convo_err err = {.maybe = true};

	(void)state;
	must_equal(CONVO_E_IO, cv_fail(&err, CONVO_E_IO, "disk %d", 7));
	must_equal(CONVO_E_IO, err.code);
	must(!err.maybe);
	must_equal_str("disk 7", err.text);
	must_equal(CONVO_E_TIMEOUT, cv_fail_maybe(&err, CONVO_E_TIMEOUT, "late"));
	must(err.maybe);
	must_equal(CONVO_E_NOMEM, cv_fail_nomem(NULL));
}

/* Nothing of what an error held before shows in the next one (L5, A3, A8). */
static void test_fail__sets_every_member(void **state)
{
	struct convo_err err, want;

	(void)state;
	memset(&err, 0xff, sizeof(err));
	cv_fail(&err, CONVO_E_IO, "disk");
	memset(&want, 0, sizeof(want));
	want.code = CONVO_E_IO;
	memcpy(want.text, "disk", 4);
	must_equal(want.code, err.code);
	must_equal(want.maybe, err.maybe);
	must_equal(want.last_seq, err.last_seq);
	must(memcmp(want.reserved, err.reserved, sizeof(want.reserved)) == 0);
	must_equal_str("disk", err.text);
	memset(&err, 0xff, sizeof(err));
	cv_fail_nomem(&err);
	must(!err.maybe);
	must_equal(0, err.last_seq);
	must(memcmp(want.reserved, err.reserved, sizeof(want.reserved)) == 0);
	memset(&err, 0xff, sizeof(err));
	cv_fail_maybe(&err, CONVO_E_IO, "disk");
	must_equal(0, err.last_seq);
	must(memcmp(want.reserved, err.reserved, sizeof(want.reserved)) == 0);
}

static void test_fail__control_characters_and_broken_text_are_made_visible(void **state)
{
	struct convo_err err;

	(void)state;
	cv_fail(&err, CONVO_E_INVALID, "a\nb\033[1mc\x7f \xf8 \xc3( \xc3\xa9");
	must_equal_str("a?b?[1mc? ? ?( \xc3\xa9", err.text);
}

static void test_fail__a_long_line_is_cut_at_a_whole_character(void **state)
{
	struct convo_err err;
	char line[600];
	size_t i;

	(void)state;
	for (i = 0; i + 2 < sizeof(line); i += 2)
		memcpy(line + i, "\xc3\xa9", 2);
	line[i] = '\0';
	cv_fail(&err, CONVO_E_INVALID, "%s", line);
	must(cv_utf8_valid(err.text, strlen(err.text)));
	must(strlen(err.text) >= sizeof(err.text) - 3);
}

static void test_fail__an_argument_may_be_the_old_text(void **state)
{
	struct convo_err err;

	(void)state;
	cv_fail(&err, CONVO_E_IO, "inner");
	cv_fail(&err, CONVO_E_IO, "outer: %s", err.text);
	must_equal_str("outer: inner", err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail__returns_and_keeps_its_code),
		cmocka_unit_test(test_fail__sets_every_member),
		cmocka_unit_test(test_fail__control_characters_and_broken_text_are_made_visible),
		cmocka_unit_test(test_fail__a_long_line_is_cut_at_a_whole_character),
		cmocka_unit_test(test_fail__an_argument_may_be_the_old_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
