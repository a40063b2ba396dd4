/*
 * A growing byte buffer with a ceiling. All-zero but for `max` is a valid empty one; a `max` of 0
 * means no ceiling. There is always a NUL after the bytes.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include <base/fail.h>

struct cv_buf {
	char *data; /* NULL while nothing was added */
	size_t len;
	size_t cap;
	size_t max;
};

/** Append bytes. @return 0, CONVO_E_NOMEM, CONVO_E_TOOBIG past the ceiling; no change then. */
int cv_buf_add(struct cv_buf *buf, const void *data, size_t len);

/** Append a NUL-terminated string. */
int cv_buf_adds(struct cv_buf *buf, const char *s);

/** Append one byte. */
int cv_buf_addc(struct cv_buf *buf, char c);

/**
 * Append text with every invalid sequence (by the maximal-subpart practice of Unicode 3.9) and
 * every U+0000 replaced by U+FFFD.
 */
int cv_buf_repair(struct cv_buf *buf, const char *data, size_t len);

/** Append formatted text. */
int cv_buf_addf(struct cv_buf *buf, const char *fmt, ...) CV_PRINTF(2, 3);

/** Make room for `extra` more bytes and return where they go; the caller then raises `len`. */
char *cv_buf_room(struct cv_buf *buf, size_t extra);

/** Forget the first `n` bytes. */
void cv_buf_shift(struct cv_buf *buf, size_t n);

/** Empty it, keeping the memory. */
void cv_buf_reset(struct cv_buf *buf);

/** The bytes as a string, "" when nothing was added. Borrowed. */
const char *cv_buf_str(const struct cv_buf *buf);

/** Give the string away; the buffer becomes empty. NULL when memory is out. */
char *cv_buf_take(struct cv_buf *buf);

/** Free it; it is empty and usable again. */
void cv_buf_clear(struct cv_buf *buf);

/** Fill `err` for a negative code that a buffer function returned, and return the code. */
int cv_buf_fail(struct convo_err *err, int rc);

#ifdef __clang_analyzer__
#define cv_buf_fail(err, rc) ((void)(cv_buf_fail)(err, rc), (rc)) /* as in fail.h */
#endif

#endif
