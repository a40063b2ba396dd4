/*
 * The spinner: shows that an answer is awaited, and for how long.
 */
#ifndef CLI_TERM_SPIN_H
#define CLI_TERM_SPIN_H

/** Begin, with the line's beginning ("🤖 Assistant: "). Nothing without a terminal to draw on. */
void spin_start(const char *lead);

/** Say what is waited for and count down to it, on the same line. */
void spin_wait(const char *reason, int wait_ms);

/** Stop and erase the line. Does nothing when it does not run. */
void spin_stop(void);

#endif
