/*
 * Bytes as pointer and length. A NULL pointer means absent, which is not the same as empty.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct convo_text {
	const char *data;
	size_t len;
};

/** A view of a NUL-terminated string, or an absent one for NULL. */
static inline struct convo_text convo_text_of(const char *s)
{
	struct convo_text text = {s, s ? strlen(s) : 0};

	return text;
}

static inline bool convo_text_is(struct convo_text text, const char *s)
{
	return text.data && text.len == strlen(s) && memcmp(text.data, s, text.len) == 0;
}

#endif
