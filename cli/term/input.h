/*
 * What is said to the program: edited on a terminal, or read line by line from a script.
 */
#ifndef CLI_TERM_INPUT_H
#define CLI_TERM_INPUT_H

#include "app.h"
#include "term/text.h"

enum input_end {
	INPUT_TEXT,      /* something was said */
	INPUT_END,       /* the input is over: Ctrl-D, end of file, or the terminal is gone */
	INPUT_INTERRUPT, /* Ctrl-C; `out` holds what had been typed */
	INPUT_TOOBIG     /* longer than TEXT_MAX: skipped, and said */
};

/** Get ready. @return false when memory ran out. */
bool input_open(const struct app *app);
void input_close(void);

/** Ask for the next message or command; its line end is not part of it. */
enum input_end input_next(struct text *out);

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
