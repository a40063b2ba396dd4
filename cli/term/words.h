/*
 * Words that the last word of a line may become.
 */
#ifndef CLI_TERM_WORDS_H
#define CLI_TERM_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum { WORDS_MOST = 200 };

/** All-zero is valid. */
struct words {
	char *word[WORDS_MOST];
	size_t count;
	size_t from; /* where in the line the word begins, in bytes */
};

/** Finds the words for the beginning of a line; `words` is empty. */
typedef void (*words_find)(void *ctx, const char *line, struct words *words);

/** Add a copy of one. @return false when there are too many, or no memory: stop looking. */
bool words_add(struct words *words, const char *word);

/** How many bytes all of them share at their beginning: whole code points. */
size_t words_common(const struct words *words);

void words_clear(struct words *words);

#endif
