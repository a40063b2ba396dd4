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
		cmocka_unit_test(test_fail__control_characters_and_broken_text_are_made_visible),
		cmocka_unit_test(test_fail__a_long_line_is_cut_at_a_whole_character),
		cmocka_unit_test(test_fail__an_argument_may_be_the_old_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
