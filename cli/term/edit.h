/*
 * The text that is being edited, and the cursor in it. Nothing here is drawn.
 */
#ifndef CLI_TERM_EDIT_H
#define CLI_TERM_EDIT_H

#include "term/text.h"

/** All-zero is an empty text. */
struct edit {
	struct text text; /* `data` is NULL while nothing was ever in it */
	size_t at;        /* the cursor, in bytes; always between two glyphs */
	struct text cut;  /* what was cut out last */
};

/** Put text in at the cursor. @return false, nothing changed, when it does not fit. */
bool edit_insert(struct edit *edit, const char *s, size_t len);

/** Make it another text, the cursor at its end. @return false, nothing changed: out of memory. */
bool edit_replace(struct edit *edit, const char *s, size_t len);

/** Move by a glyph or a word; within the line to its ends. @return false at the text's end. */
bool edit_left(struct edit *edit);
bool edit_right(struct edit *edit);
bool edit_word_left(struct edit *edit);
bool edit_word_right(struct edit *edit);
bool edit_home(struct edit *edit);
bool edit_end(struct edit *edit);

/** Move to the line above or below, in the same column. @return false when there is none. */
bool edit_up(struct edit *edit);
bool edit_down(struct edit *edit);

/** Remove the glyph before the cursor, or at it. @return false when there is none. */
bool edit_backspace(struct edit *edit);
bool edit_delete(struct edit *edit);

/** Cut what lies between the cursor and where a move leads. @return false when that is nothing. */
bool edit_cut(struct edit *edit, bool (*move)(struct edit *edit));

/** Put in what was cut out last. */
bool edit_paste(struct edit *edit);

/** Swap the glyphs at both sides of the cursor; at the end, the last two. */
bool edit_swap(struct edit *edit);

void edit_clear(struct edit *edit);

#endif
