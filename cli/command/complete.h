/*
 * Completion: what a line that was begun can go on with.
 */
#ifndef CLI_COMMAND_COMPLETE_H
#define CLI_COMMAND_COMPLETE_H

#include "app.h"

enum { COMPLETE_MOST = 200 };

/** Words that the last word of a line may become. All-zero is valid. */
struct complete {
	char *words[COMPLETE_MOST];
	size_t count;
	size_t from; /* where in the line the word begins, in bytes */
};

/** Find them for the beginning of a line: names of commands, then ids where a command wants one. */
void complete_find(struct complete *out, const struct app *app, const char *line);

void complete_clear(struct complete *out);

/** How many bytes all words share at their beginning: whole characters. */
size_t complete_common(const struct complete *complete);

#endif
