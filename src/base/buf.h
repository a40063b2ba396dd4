/*
 * A growing byte buffer with a ceiling. All-zero but for `max` is a valid empty one; a `max` of 0
 * means no ceiling. There is always a NUL after the bytes.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include <base/fail.h>

struct convo_buf {
	char *data; /* NULL while nothing was added */
	size_t len;
	size_t cap;
	size_t max;
};

/** Append bytes. @return 0, CONVO_E_NOMEM, CONVO_E_TOOBIG past the ceiling; no change then. */
int convo_buf_add(struct convo_buf *buf, const void *data, size_t len);

/** Append a NUL-terminated string. */
int convo_buf_adds(struct convo_buf *buf, const char *s);

/** Append one byte. */
int convo_buf_addc(struct convo_buf *buf, char c);

/** Append formatted text. */
int convo_buf_addf(struct convo_buf *buf, const char *fmt, ...) CONVO_PRINTF(2, 3);

/** Make room for `extra` more bytes and return where they go; the caller then raises `len`. */
char *convo_buf_room(struct convo_buf *buf, size_t extra);

/** Forget the first `n` bytes. */
void convo_buf_shift(struct convo_buf *buf, size_t n);

/** Empty it, keeping the memory. */
void convo_buf_reset(struct convo_buf *buf);

/** The bytes as a string, "" when nothing was added. Borrowed. */
const char *convo_buf_str(const struct convo_buf *buf);

/** Give the string away; the buffer becomes empty. NULL when memory is out. */
char *convo_buf_take(struct convo_buf *buf);

/** Free it; it is empty and usable again. */
void convo_buf_clear(struct convo_buf *buf);

/** Fill `err` for a negative code that a buffer function returned, and return the code. */
int convo_buf_fail(struct convo_err *err, int rc);

#ifdef __clang_analyzer__
#define convo_buf_fail(err, rc) ((void)(convo_buf_fail)(err, rc), (rc)) /* as in fail.h */
#endif

#endif
