/*
 * Drawing the line; see draw.h.
 *
 * The terminal wraps what is too long for a row by itself, so that it can wrap it anew when the
 * window changes. Terminals do not agree on how wide some clusters are; so everything is drawn from
 * the start of the line, and the cursor gets to its column by writing what stands before it, which
 * is right wherever the terminal puts it.
 */
#include "term/draw.h"

#include <string.h>

#include "term/glyph.h"
#include "term/term.h"

static struct {
	struct text whole; /* prompt and text, as last shown */
	size_t at;         /* the cursor in it */
	size_t top;        /* its first row on the screen: of a tall text a part is shown */
	size_t row;        /* the cursor's, counted from that one */
	bool below;        /* there was a line under it */
} drawn;

enum { TAB_COLUMNS = 4 };

/* A place in the text and on the screen. Column `cols` is the one after the last. */
struct place {
	size_t at, row, col;
};

/* ---- where things stand --------------------------------------------------------------- */

/* Passes the glyph at `place`. *start is where it stands: the next row, if it does not fit. */
static void place_pass(struct place *place, struct place *start, const struct text *whole,
		       size_t cols)
{
	struct glyph glyph;
	size_t width;

	glyph_next(whole->data + place->at, whole->len - place->at, &glyph);
	width = glyph.cp == '\n' ? 0 : glyph.cp == '\t' ? TAB_COLUMNS : glyph.width;
	if (width > cols)
		width = cols;
	if (place->col + width > cols) {
		place->row++;
		place->col = 0;
	}
	*start = *place;
	place->at += glyph.len;
	place->col += width;
	if (glyph.cp == '\n') {
		place->row++;
		place->col = 0;
	}
}

/* Where the glyph at `at` stands; at the end of the text, where the next one will. */
static struct place place_of(const struct text *whole, size_t at, size_t cols)
{
	struct place place = {0, 0, 0}, start;

	while (place.at < at)
		place_pass(&place, &start, whole, cols);
	if (place.at < whole->len) {
		place_pass(&place, &start, whole, cols);
		return start;
	}
	if (place.col >= cols) {
		place.row++;
		place.col = 0;
	}
	return place;
}

/* Where a row begins, or the text ends. */
static struct place place_row(const struct text *whole, size_t row, size_t cols)
{
	struct place place = {0, 0, 0}, start;

	while (place.at < whole->len) {
		place_pass(&place, &start, whole, cols);
		if (start.row >= row)
			return start;
	}
	return place;
}

/* Whether the text fills its last row, so that the terminal has yet to wrap. */
static bool place_hangs(const struct text *whole, const struct place *end)
{
	return !end->col && whole->len && whole->data[whole->len - 1] != '\n';
}

/* ---- drawing -------------------------------------------------------------------------- */

/* Writes the text from a place on. */
static void draw_part(const struct text *whole, struct place from, size_t to, size_t cols)
{
	while (from.at < to) {
		struct place before = from, start;
		const char *s = whole->data + from.at;

		place_pass(&from, &start, whole, cols);
		/* What is shown as several characters must not be torn apart, nor what the
		 * terminal takes for narrower than we do be squeezed in. */
		if (start.row > before.row && before.col < cols)
			term_say("%*s", (int)(cols - before.col), "");
		if (*s == '\t')
			term_say("%*s", TAB_COLUMNS, "");
		else
			term_show(s, from.at - start.at);
	}
}

/* Makes the terminal wrap now. A blank does it without ending the line. */
static void draw_wrap(const struct text *whole, const struct place *end)
{
	if (place_hangs(whole, end))
		term_say(" \r");
}

static void draw_up(size_t rows)
{
	if (rows)
		term_say("\033[%zuA", rows);
	term_say("\r");
}

/* Which row comes first: the last one that did, unless the cursor would be out of sight. */
static void draw_scroll(size_t row, size_t rows, size_t height)
{
	if (rows <= height)
		drawn.top = 0;
	else if (drawn.top > rows - height)
		drawn.top = rows - height;
	if (row < drawn.top)
		drawn.top = row;
	else if (row >= drawn.top + height)
		drawn.top = row - height + 1;
}

static void draw_all(const struct text *whole, size_t at, const char *below)
{
	size_t cols = term_columns(), height = term_rows(), last;
	struct place cursor = place_of(whole, at, cols), end = place_of(whole, whole->len, cols);
	size_t from_row = drawn.row;
	struct place to = {.at = whole->len};

	if (below && height > 1)
		height--;
	draw_scroll(cursor.row, end.row + 1, height);
	last = end.row;
	if (last >= drawn.top + height) {
		last = drawn.top + height - 1;
		to = place_row(whole, last + 1, cols);
		if (whole->data[to.at - 1] == '\n')
			to.at--;
	}
	draw_up(from_row);
	term_say("\033[J");
	draw_part(whole, place_row(whole, drawn.top, cols), to.at, cols);
	if (to.at == whole->len)
		draw_wrap(whole, &end);
	if (below) {
		term_say("\n");
		term_style(STYLE_DIM);
		term_show_line(below, cols - 1);
		term_style(STYLE_PLAIN);
		last++;
	}
	drawn.row = cursor.row - drawn.top;
	if (at == whole->len && !below)
		return;
	draw_up(last - cursor.row);
	draw_part(whole, place_row(whole, cursor.row, cols), at, cols);
}

/* Text at the end, where the cursor is, is written after the rest. @return whether that is all. */
static bool draw_more(const struct text *whole, size_t at)
{
	size_t cols = term_columns(), old = drawn.whole.len;
	struct place from, end;

	if (!old || drawn.at != old || at != whole->len || whole->len <= old || drawn.top ||
	    memcmp(whole->data, drawn.whole.data, old) != 0)
		return false;
	from = place_of(whole, old, cols);
	end = place_of(whole, whole->len, cols);
	/* Not so when it changes the glyph before it. */
	if (from.at != old || end.row >= term_rows())
		return false;
	draw_part(whole, from, whole->len, cols);
	draw_wrap(whole, &end);
	drawn.row = end.row;
	return true;
}

void draw_begin(void)
{
	text_clear(&drawn.whole);
	drawn.at = drawn.top = drawn.row = 0;
	drawn.below = false;
}

void draw_show(const struct draw *draw)
{
	struct text whole = {.max = SIZE_MAX / 4};
	size_t at = strlen(draw->prompt) + draw->at;

	/* Without memory the screen stays as it is. */
	if (!text_adds(&whole, draw->prompt) ||
	    (draw->text->len && !text_add(&whole, draw->text->data, draw->text->len))) {
		text_clear(&whole);
		return;
	}
	if (drawn.below || draw->below || !draw_more(&whole, at))
		draw_all(&whole, at, draw->below);
	text_clear(&drawn.whole);
	drawn.whole = whole;
	drawn.at = at;
	drawn.below = draw->below != NULL;
	term_flush();
}

void draw_again(const struct draw *draw, bool elsewhere)
{
	size_t cols = term_columns();

	if (elsewhere)
		drawn.row = 0;
	else if (!drawn.top && drawn.whole.len)
		drawn.row = place_of(&drawn.whole, drawn.at, cols).row;
	else if (drawn.top) {
		term_say("\033[H");
		drawn.row = 0;
	}
	text_clear(&drawn.whole);
	draw_show(draw);
}

void draw_end(const struct draw *draw)
{
	struct place end;

	draw_show(draw);
	end = place_of(&drawn.whole, drawn.whole.len, term_columns());
	if (!place_hangs(&drawn.whole, &end))
		term_say("\n");
	draw_begin();
}
