/*
 * Base64url; see base64url.h.
 */
#include "core/base64url.h"

#include <string.h>

const char base64url_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(char *out, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;
	unsigned bits = 0, held = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		bits = bits << 8 | from[i];
		for (held += 8; held >= 6; held -= 6)
			*out++ = base64url_letters[bits >> (held - 6) & 63];
		bits &= (1u << held) - 1;
	}
	if (held)
		*out++ = base64url_letters[bits << (6 - held) & 63];
	*out = '\0';
}

bool base64url_decode(void *out, size_t *out_len, const char *text, size_t len)
{
	unsigned char *to = out;
	unsigned bits = 0, held = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		const char *at = text[i] ? strchr(base64url_letters, text[i]) : NULL;

		if (!at)
			return false;
		bits = bits << 6 | (unsigned)(at - base64url_letters);
		held += 6;
		if (held >= 8) {
			held -= 8;
			*to++ = (unsigned char)(bits >> held);
			bits &= (1u << held) - 1;
		}
	}
	*out_len = (size_t)(to - (unsigned char *)out);
	return held < 6 && !bits;
}
