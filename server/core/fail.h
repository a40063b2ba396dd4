/*
 * Failing in one line, as the library does.
 */
#ifndef SERVER_CORE_FAIL_H
#define SERVER_CORE_FAIL_H

#include <convo/err.h>

/** Fill `err`, which may be NULL. @return the code */
int fail(struct convo_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
