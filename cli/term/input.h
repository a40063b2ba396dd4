/*
 * What is said to the program: edited on a terminal, or read line by line from a script.
 */
#ifndef CLI_TERM_INPUT_H
#define CLI_TERM_INPUT_H

#include "term/line.h"

/** Get ready. `options` are for a line that is edited, and must last until input_close(). */
void input_open(const struct line_options *options);
void input_close(void);

/** Ask for the next message or command; its line end is not part of it. */
enum line_end input_next(struct text *out);

/**
 * Ask a question that wants y or n. In a script the next line answers if it is one of y, yes, n and
 * no; any other is left for later, and the answer is no.
 */
bool input_confirm(const char *question);

/** On a live terminal, between pages of a list: whether to go on. */
bool input_more(void);

/** The whole of standard input, if it is a pipe or a file: for -p. @return false: too big. */
bool input_piped(struct text *out);

#endif
