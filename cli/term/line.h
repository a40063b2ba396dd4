/*
 * Line editing on a terminal.
 */
#ifndef CLI_TERM_LINE_H
#define CLI_TERM_LINE_H

#include "term/text.h"
#include "term/words.h"

/** How asking for a line ended. */
enum line_end {
	LINE_TEXT,      /* something was said */
	LINE_OVER,      /* the input is over: Ctrl-D, end of file, or the terminal is gone */
	LINE_INTERRUPT, /* Ctrl-C; the text is what had been typed */
	LINE_TOOBIG     /* longer than TEXT_MAX: skipped, and said */
};

struct line_options {
	const char *history; /* path of the file; NULL: none */
	words_find complete; /* for Tab; called with `ctx` */
	void *ctx;
};

/** Get ready: history and keys. `options` must last until line_close(). */
void line_open(const struct line_options *options);
void line_close(void);

/** Let a line be edited; its line end is not part of it. */
enum line_end line_edit(const char *prompt, struct text *out);

#endif
