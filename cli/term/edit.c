/*
 * Editing; see edit.h.
 */
#include "term/edit.h"

#include <string.h>

#include "term/glyph.h"

bool edit_insert(struct edit *edit, const char *s, size_t len)
{
	if (!text_insert(&edit->text, edit->at, s, len))
		return false;
	edit->at += len;
	return true;
}

bool edit_replace(struct edit *edit, const char *s, size_t len)
{
	struct text fresh = {0};

	if (!text_add(&fresh, s, len))
		return false;
	text_clear(&edit->text);
	edit->text = fresh;
	edit->at = len;
	return true;
}

/* ---- moving --------------------------------------------------------------------------- */

bool edit_left(struct edit *edit)
{
	if (!edit->at)
		return false;
	edit->at = glyph_before(edit->text.data, edit->at);
	return true;
}

bool edit_right(struct edit *edit)
{
	struct glyph glyph;

	if (edit->at == edit->text.len)
		return false;
	edit->at += glyph_next(edit->text.data + edit->at, edit->text.len - edit->at, &glyph);
	return true;
}

/* Whether the glyph at the cursor belongs to a word: letters and digits, and all beyond ASCII. */
static bool edit_in_word(const struct edit *edit)
{
	unsigned char c = (unsigned char)edit->text.data[edit->at];

	return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
	       ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

bool edit_word_left(struct edit *edit)
{
	size_t from = edit->at, start;
	bool inside = false;

	while (edit->at) {
		start = edit->at;
		edit_left(edit);
		if (inside && !edit_in_word(edit)) {
			edit->at = start;
			break;
		}
		inside = edit_in_word(edit);
	}
	return edit->at != from;
}

bool edit_word_right(struct edit *edit)
{
	size_t from = edit->at;
	bool inside = false;

	while (edit->at < edit->text.len && !(inside && !edit_in_word(edit))) {
		inside = edit_in_word(edit);
		edit_right(edit);
	}
	return edit->at != from;
}

bool edit_home(struct edit *edit)
{
	size_t from = edit->at;

	while (edit->at && edit->text.data[edit->at - 1] != '\n')
		edit->at--;
	return edit->at != from;
}

bool edit_end(struct edit *edit)
{
	size_t from = edit->at;

	while (edit->at < edit->text.len && edit->text.data[edit->at] != '\n')
		edit->at++;
	return edit->at != from;
}

/* From the start of a line, to where `cols` columns are passed or the line ends. */
static void edit_to_column(struct edit *edit, size_t cols)
{
	const struct text *text = &edit->text;
	struct glyph glyph;
	size_t n;

	for (; edit->at < text->len && text->data[edit->at] != '\n'; edit->at += n) {
		n = glyph_next(text->data + edit->at, text->len - edit->at, &glyph);
		if (glyph.width > cols)
			return;
		cols -= glyph.width;
	}
}

/* The column of the cursor; moves it to the start of its line. */
static size_t edit_column(struct edit *edit)
{
	size_t at = edit->at;

	edit_home(edit);
	return at == edit->at ? 0 : text_width(edit->text.data + edit->at, at - edit->at);
}

bool edit_up(struct edit *edit)
{
	size_t at = edit->at, cols = edit_column(edit);

	if (!edit->at) {
		edit->at = at;
		return false;
	}
	edit->at--;
	edit_home(edit);
	edit_to_column(edit, cols);
	return true;
}

bool edit_down(struct edit *edit)
{
	size_t at = edit->at, cols = edit_column(edit);

	edit_end(edit);
	if (edit->at == edit->text.len) {
		edit->at = at;
		return false;
	}
	edit->at++;
	edit_to_column(edit, cols);
	return true;
}

/* ---- removing ------------------------------------------------------------------------- */

bool edit_backspace(struct edit *edit)
{
	size_t at = edit->at;

	if (!edit_left(edit))
		return false;
	text_remove(&edit->text, edit->at, at - edit->at);
	return true;
}

bool edit_delete(struct edit *edit)
{
	return edit_right(edit) && edit_backspace(edit);
}

bool edit_cut(struct edit *edit, bool (*move)(struct edit *edit))
{
	size_t at = edit->at, from, len;
	struct text cut = {0};

	if (!move(edit))
		return false;
	from = at < edit->at ? at : edit->at;
	len = at < edit->at ? edit->at - at : at - edit->at;
	edit->at = from;
	/* Without memory to keep it, it is removed all the same, as was asked. */
	if (text_add(&cut, edit->text.data + from, len)) {
		text_clear(&edit->cut);
		edit->cut = cut;
	}
	text_remove(&edit->text, from, len);
	return true;
}

bool edit_paste(struct edit *edit)
{
	return edit->cut.len && edit_insert(edit, edit->cut.data, edit->cut.len);
}

bool edit_swap(struct edit *edit)
{
	struct edit moved = *edit;
	size_t first, second, end;
	struct text both = {0};
	bool done = false;

	edit_right(&moved);
	end = moved.at;
	if (!edit_left(&moved))
		return false;
	second = moved.at;
	if (!edit_left(&moved))
		return false;
	first = moved.at;
	if (!text_add(&both, edit->text.data + second, end - second) ||
	    !text_add(&both, edit->text.data + first, second - first))
		goto out;
	memcpy(edit->text.data + first, both.data, both.len);
	edit->at = end;
	done = true;
out:
	text_clear(&both);
	return done;
}

void edit_clear(struct edit *edit)
{
	text_clear(&edit->text);
	text_clear(&edit->cut);
	edit->at = 0;
}
