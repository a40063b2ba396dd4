/*
 * UTF-8 (RFC 3629): strict checking and lenient repair.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <base/buf.h>

/**
 * Length of the valid character at the start of `len` bytes, 0 if there is none. Overlong forms,
 * surrogates and values past U+10FFFF are not valid.
 *
 * @param cp receives the code point; may be NULL
 */
size_t cv_utf8_next(const char *data, size_t len, uint32_t *cp);

/** Whether all bytes are valid UTF-8. U+0000 counts as valid. */
bool cv_utf8_valid(const char *data, size_t len);

/** How many bytes at the end are the beginning of a character that more bytes could complete. */
size_t cv_utf8_tail(const char *data, size_t len);

/**
 * Append text to `out` with every invalid sequence (by the maximal-subpart practice of Unicode
 * 3.9) and every U+0000 replaced by U+FFFD.
 *
 * @return 0, or a code of cv_buf_add()
 */
int cv_utf8_repair(struct cv_buf *out, const char *data, size_t len);

#endif
