/*
 * Keys: from the bytes a terminal sends.
 */
#ifndef CLI_TERM_KEYS_H
#define CLI_TERM_KEYS_H

#include "term/text.h"

enum key {
	KEY_NONE = 0,  /* one that means nothing here */
	KEY_TEXT,      /* typed, as it stands in struct keys_text */
	KEY_PASTE,     /* a block begins: keys_paste() takes it */
	KEY_OVER,      /* the terminal is gone */
	KEY_INTERRUPT, /* a signal came: see signals_interrupted() and signals_leaving() */
	KEY_ENTER,
	KEY_NEWLINE,
	KEY_COMPLETE,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_WORD_LEFT,
	KEY_WORD_RIGHT,
	KEY_HOME,
	KEY_END,
	KEY_UP,
	KEY_DOWN,
	KEY_BACKSPACE,
	KEY_DELETE,
	KEY_DELETE_OR_LEAVE,
	KEY_CUT_WORD_LEFT,
	KEY_CUT_WORD_RIGHT,
	KEY_CUT_HOME,
	KEY_CUT_END,
	KEY_PUT_BACK,
	KEY_SWAP,
	KEY_REDRAW,
	KEY_SEARCH,
	KEY_CANCEL,
	KEY_COUNT
};

/** Typed text; borrowed until the next call. */
struct keys_text {
	const char *data;
	size_t len;
};

/**
 * Called before each wait, so that the screen is right while nothing happens; and when the window
 * was `resized`, or others have written and the cursor is `elsewhere` (see signals_redraw()).
 */
typedef void (*keys_draw)(bool resized, bool elsewhere);

/** Wait for the next key. `text` is set with KEY_TEXT, to all that was typed in a row. */
enum key keys_next(struct keys_text *text, keys_draw draw);

/**
 * Take a pasted block. @return KEY_PASTE when it is whole, KEY_NONE when it is too big (all of it is
 * skipped), KEY_OVER or KEY_INTERRUPT when it was cut off.
 */
enum key keys_paste(struct text *block, keys_draw draw);

#endif
