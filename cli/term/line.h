/*
 * Line editing on a terminal.
 */
#ifndef CLI_TERM_LINE_H
#define CLI_TERM_LINE_H

#include "term/input.h"

/** Get ready: history, keys, completion of commands and of `app`'s session ids. */
bool line_open(const struct app *app);
void line_close(void);

/** Let a line be edited. See input_next(). */
enum input_end line_edit(const char *prompt, struct text *out);

#endif
