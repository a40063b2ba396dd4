/*
 * The exit codes of the program.
 */
#ifndef CLI_APP_EXIT_H
#define CLI_APP_EXIT_H

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2, /* wrong use or missing settings */
	EXIT_STORE = 3, /* store unreachable */
	EXIT_MODEL = 4, /* model unreachable or refused */
	EXIT_INTERRUPTED = 130
};

#endif
