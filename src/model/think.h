/*
 * Reasoning that a model writes into its content: "<think>...</think>" at the beginning, in pieces
 * of any size.
 */
#ifndef MODEL_THINK_H
#define MODEL_THINK_H

#include <stdbool.h>
#include <stddef.h>

/** All-zero is the beginning of an answer. */
struct think {
	enum think_state {
		THINK_START = 0, /* the tag may still come */
		THINK_INSIDE,
		THINK_AFTER, /* blanks between the end of the tag and the text are dropped */
		THINK_OFF    /* from here on, all is text */
	} state;
	char held[16]; /* what may be a part of a tag */
	size_t held_len;
};

/** Receives text and reasoning in their order. @return 0 to go on; else the splitting ends so */
typedef int (*think_fn)(void *ctx, bool reasoning, const char *text, size_t len);

/** Split a piece. */
int cv_think_split(struct think *think, const char *text, size_t len, think_fn fn, void *ctx);

/** The answer ended: what was held is no tag. */
int cv_think_end(struct think *think, think_fn fn, void *ctx);

#endif
