/*
 * Signals: Ctrl-C, SIGTERM, SIGHUP, suspending and resizing.
 */
#ifndef CLI_TERM_SIGNALS_H
#define CLI_TERM_SIGNALS_H

#include <stdbool.h>

#include <convo/model.h>

/** A write that fails says so: to a pipe that was closed, or beyond the limit of a file's size. */
void signals_ignore(void);

/** Take over the signals. `cancel` is requested by Ctrl-C and by what ends the program. */
void signals_open(convo_cancel *cancel);

/** Ctrl-C pressed since the last signals_clear(). */
bool signals_interrupted(void);

/** The program shall end: SIGTERM, SIGHUP, or Ctrl-C twice in a second. */
bool signals_leaving(void);

/**
 * The window has another size, or the program was resumed, since the last call.
 *
 * @param elsewhere set to whether it was resumed: others have written, and moved the cursor
 */
bool signals_redraw(bool *elsewhere);

/** Forget an interruption that was dealt with, and make the cancel ready again. */
void signals_clear(void);

/** Wait until `fd` can be read. @return false when a signal ended the wait: see the above. */
bool signals_wait(int fd);

#endif
