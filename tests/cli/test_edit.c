/*
 * Glyphs, the editing of text, and pasted blocks: what needs no terminal.
 */
#include <support/test.h>

#include <locale.h>

#include "term/edit.h"
#include "term/glyph.h"
#include "term/paste.h"

#define FAMILY "\U0001f469\u200d\U0001f469\u200d\U0001f467"
#define FLAG "\U0001f1ef\U0001f1f5"
#define THUMB "\U0001f44d\U0001f3fd"
#define LETTER "e\u0323\u0301"
#define HEART "\u2764\ufe0f"
#define HANGUL "\u1112\u1161\u11ab"

static void test_glyph__is_a_cluster_as_wide_as_it_is_shown(void **state)
{
	static const struct {
		const char *text;
		size_t width;
	} cases[] = {
		{"a", 1},        {"\u4f60", 2}, {FAMILY, 2},   {FLAG, 2},     {THUMB, 2},
		{LETTER, 1},     {HEART, 2},    {HANGUL, 2},   {"\033", 2},   {"\177", 2},
		{"\xc2\x9b", 8}, {"\xff", 4},   {"\u202e", 8}, {"\ue0a0", 1}, {"\u0378", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct glyph glyph;
		struct text text = {0};

		must(text_addf(&text, "x%sy", cases[i].text));
		must_equal(strlen(cases[i].text), glyph_next(text.data + 1, text.len - 1, &glyph));
		must_equal(cases[i].width, glyph.width);
		must_equal(1, glyph_before(text.data, text.len - 1));
		must_equal(cases[i].width + 2, text_width(text.data, text.len));
		text_clear(&text);
	}
}

/* Whatever the bytes are, going forward and back passes the same places, and ends. */
static void test_glyph__before_is_the_inverse_of_next(void **state)
{
	static const char *const parts[] = {"a",        " ",      "\n",    "\r",   "\u4f60",
					    FAMILY,     FLAG,     THUMB,   LETTER, "\xff",
					    "\xe4\xbd", "\u200d", "\u0301"};
	enum { PARTS = sizeof(parts) / sizeof(parts[0]), ROUNDS = 300 };
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (int round = 0; round < ROUNDS; round++) {
		struct text text = {0};
		size_t places[200], count = 0, at = 0;
		struct glyph glyph;

		for (int i = 0; i < 30; i++)
			must(text_adds(&text, parts[test_rng_below(&rng, PARTS)]));
		while (at < text.len) {
			places[count++] = at;
			at += glyph_next(text.data + at, text.len - at, &glyph);
		}
		must_equal(text.len, at);
		while (count--) {
			at = glyph_before(text.data, at);
			must_equal(places[count], at);
		}
		text_clear(&text);
	}
}

static void wants(const struct edit *edit, const char *before, const char *after)
{
	struct text whole = {0};

	must(text_addf(&whole, "%s%s", before, after));
	must_equal_str(whole.data, edit->text.data);
	must_equal(strlen(before), edit->at);
	text_clear(&whole);
}

static void test_edit__goes_and_removes_by_clusters(void **state)
{
	struct edit edit = {0};

	(void)state;
	must(!edit_left(&edit) && !edit_right(&edit) && !edit_backspace(&edit));
	must(!edit_delete(&edit) && !edit_up(&edit) && !edit_down(&edit) && !edit_paste(&edit));
	must(edit_insert(&edit, "a" FAMILY "b", strlen("a" FAMILY "b")));
	must(edit_left(&edit) && edit_left(&edit));
	wants(&edit, "a", FAMILY "b");
	must(edit_right(&edit));
	wants(&edit, "a" FAMILY, "b");
	must(edit_backspace(&edit));
	wants(&edit, "a", "b");
	must(edit_insert(&edit, FLAG, strlen(FLAG)) && edit_home(&edit) && edit_delete(&edit));
	wants(&edit, "", FLAG "b");
	must(edit_delete(&edit));
	wants(&edit, "", "b");
	edit_clear(&edit);
}

static void test_edit__keeps_the_column_from_line_to_line(void **state)
{
	struct edit edit = {0};
	const char *text = "\u4f60\u597d!\nabcd\n\nx";

	(void)state;
	must(edit_insert(&edit, text, strlen(text)));
	must(edit_up(&edit) && edit_up(&edit) && edit_end(&edit));
	wants(&edit, "\u4f60\u597d!\nabcd", "\n\nx");
	must(edit_left(&edit) && edit_up(&edit));
	wants(&edit, "\u4f60", "\u597d!\nabcd\n\nx");
	must(!edit_up(&edit) && edit_down(&edit));
	wants(&edit, "\u4f60\u597d!\nab", "cd\n\nx");
	must(edit_down(&edit) && edit_down(&edit) && !edit_down(&edit));
	wants(&edit, "\u4f60\u597d!\nabcd\n\n", "x");
	edit_clear(&edit);
}

static void test_edit__cuts_words_and_puts_them_back(void **state)
{
	struct edit edit = {0};

	(void)state;
	must(edit_insert(&edit, "one, two_3 \u96ea.", strlen("one, two_3 \u96ea.")));
	must(edit_cut(&edit, edit_word_left));
	wants(&edit, "one, two_3 ", "");
	must(edit_cut(&edit, edit_word_left) && edit_home(&edit) && edit_paste(&edit));
	wants(&edit, "two_3 ", "one, ");
	must(edit_word_right(&edit));
	wants(&edit, "two_3 one", ", ");
	must(edit_end(&edit) && edit_swap(&edit));
	wants(&edit, "two_3 one ,", "");
	must(edit_replace(&edit, "x", 1) && !edit_swap(&edit));
	wants(&edit, "x", "");
	edit_clear(&edit);
}

static void test_edit__what_does_not_fit_changes_nothing(void **state)
{
	struct edit edit = {.text = {.max = 8}};

	(void)state;
	must(edit_insert(&edit, "12345", 5) && edit_left(&edit));
	must(!edit_insert(&edit, "6789", 4));
	wants(&edit, "1234", "5");
	must(edit_insert(&edit, "678", 3));
	wants(&edit, "1234678", "5");
	edit_clear(&edit);
}

/* Of blocks kept aside the oldest go when all are more than two messages; labels stay apart. */
static void test_paste__keeps_the_newest_blocks(void **state)
{
	enum { BLOCKS = 20, LARGE = 6 << 20 };
	char labels[BLOCKS][64];
	struct text typed = {0}, out = {0};

	(void)state;
	for (int i = 0; i < BLOCKS; i++) {
		struct text block = {0};

		if (i < BLOCKS - 1)
			must(text_addf(&block, "block %d\n", i));
		else
			must(text_addf(&block, "%*s", LARGE, "x"));
		must(snprintf(labels[i], sizeof(labels[i]), "%s", paste_keep(&block)) > 0);
		must(block.data == NULL);
	}
	must(text_addf(&typed, "a%sb%sc", labels[3], labels[4]));
	must(paste_expand(&out, &typed));
	must(strstr(out.data, labels[3])); /* 16 are kept */
	must(strstr(out.data, "block 4\nc"));
	text_clear(&out);
	for (int i = 0; i < 2; i++) {
		struct text block = {0};

		must(text_addf(&block, "%*s", LARGE, "y") && paste_keep(&block));
	}
	must(paste_expand(&out, &typed));
	must_equal_str(typed.data, out.data);
	paste_clear();
	text_clear(&typed);
	text_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glyph__is_a_cluster_as_wide_as_it_is_shown),
		cmocka_unit_test(test_glyph__before_is_the_inverse_of_next),
		cmocka_unit_test(test_edit__goes_and_removes_by_clusters),
		cmocka_unit_test(test_edit__keeps_the_column_from_line_to_line),
		cmocka_unit_test(test_edit__cuts_words_and_puts_them_back),
		cmocka_unit_test(test_edit__what_does_not_fit_changes_nothing),
		cmocka_unit_test(test_paste__keeps_the_newest_blocks),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return TEST_RUN(tests);
}
