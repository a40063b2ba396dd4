/*
 * What a server says, made fit to be shown: one line of valid UTF-8 without secrets.
 */
#ifndef MODEL_KEEP_H
#define MODEL_KEEP_H

#include <stddef.h>

#include <base/text.h>

/** Texts that are never to be shown, even if the server does. */
struct secrets {
	const struct cv_text *item;
	size_t count;
};

/** A text shorter than this is a word rather than a secret. */
#define SHORTEST_SECRET 4

/**
 * Keep the first line of what a server says, as much as fits. Allocates nothing, so that an error
 * always gets through.
 *
 * @param out     receives the line and a NUL, `size` bytes at most
 * @param secrets NULL: none
 */
void cv_keep(char *out, size_t size, struct cv_text text, const struct secrets *secrets);

#endif
