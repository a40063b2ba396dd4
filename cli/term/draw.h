/*
 * Drawing the line that is edited: prompt and text over as many rows as they take, and the cursor.
 */
#ifndef CLI_TERM_DRAW_H
#define CLI_TERM_DRAW_H

#include "term/text.h"

/** What to draw. */
struct draw {
	const char *prompt;
	const struct text *text;
	size_t at;         /* the cursor in it, in bytes */
	const char *below; /* a line under it, dim; NULL: none */
};

/** Begin on a fresh line. */
void draw_begin(void);

/** Make the screen show this. What only grew at its end is only added to. */
void draw_show(const struct draw *draw);

/** The window has another size, or the cursor is elsewhere now: draw all of it anew. */
void draw_again(const struct draw *draw, bool elsewhere);

/** Show all of it and leave the cursor on the row after it. */
void draw_end(const struct draw *draw);

#endif
