/*
 * Failing in one line: fill the caller's convo_err and return its code.
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <convo/err.h>

#if defined(__GNUC__)
#define CV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CV_PRINTF(fmt, args)
#endif

/**
 * Fill `err` (NULL is fine) with a code and one line, and return the code. Control characters and
 * broken UTF-8 in the line become '?', and it is cut at a whole character.
 */
int cv_fail(struct convo_err *err, int code, const char *fmt, ...) CV_PRINTF(3, 4);

/** The same, with the `maybe` flag: the call may have been carried out (A8). */
int cv_fail_maybe(struct convo_err *err, int code, const char *fmt, ...) CV_PRINTF(3, 4);

/** "out of memory", with CONVO_E_NOMEM. */
int cv_fail_nomem(struct convo_err *err);

#ifdef __clang_analyzer__
/* It does not look into other files: tell it that the code comes back. */
#define cv_fail(err, code, ...) ((void)(cv_fail)(err, code, __VA_ARGS__), (code))
#define cv_fail_maybe(err, code, ...) ((void)(cv_fail_maybe)(err, code, __VA_ARGS__), (code))
#define cv_fail_nomem(err) ((void)(cv_fail_nomem)(err), CONVO_E_NOMEM)
#endif

#endif
