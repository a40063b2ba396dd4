/*
 * Base64url without padding (RFC 4648, 5), as keys, tokens and names in paths have it.
 */
#ifndef SERVER_CORE_BASE64URL_H
#define SERVER_CORE_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/** The letters of it. */
extern const char base64url_letters[];

/** Letters for so many bytes. */
#define BASE64URL_LEN(bytes) (((bytes)*4 + 2) / 3)

/** Encode. @param out room for BASE64URL_LEN(len) letters and a NUL */
void base64url_encode(char *out, const void *bytes, size_t len);

/**
 * Decode. One text stands for some bytes, and no other does: padding, other letters and bits that are left
 * over are refused.
 *
 * @param out     room for len * 3 / 4 bytes; may be where the text is
 * @param out_len how many there are
 */
bool base64url_decode(void *out, size_t *out_len, const char *text, size_t len);

#endif
