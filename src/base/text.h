/*
 * Bytes as pointer and length. A NULL pointer means absent, which is not the same as empty.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct cv_text {
	const char *data;
	size_t len;
};

/** A view of a NUL-terminated string, or an absent one for NULL. */
static inline struct cv_text cv_text_of(const char *s)
{
	struct cv_text text = {s, s ? strlen(s) : 0};

	return text;
}

static inline bool cv_text_is(struct cv_text text, const char *s)
{
	return text.data && text.len == strlen(s) && memcmp(text.data, s, text.len) == 0;
}

#endif
