/*
 * UTF-8 (RFC 3629): strict checking. Repairing text is cv_buf_repair()'s.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Length of the valid character at the start of `len` bytes, 0 if there is none. Overlong forms,
 * surrogates and values past U+10FFFF are not valid.
 *
 * @param cp receives the code point; may be NULL
 */
size_t cv_utf8_next(const char *data, size_t len, uint32_t *cp);

/** How many bytes from the start are whole valid characters that are not ASCII. Quick. */
size_t cv_utf8_wide(const char *data, size_t len);

/** Whether all bytes are valid UTF-8. U+0000 counts as valid. */
bool cv_utf8_valid(const char *data, size_t len);

/** How many bytes at the end are the beginning of a character that more bytes could complete. */
size_t cv_utf8_tail(const char *data, size_t len);

/**
 * How many bytes a broken sequence at the start takes: the maximal subpart of Unicode 3.9, which
 * one U+FFFD stands for. 1 at the least.
 */
size_t cv_utf8_broken(const char *data, size_t len);

#endif
