/*
 * Completion: what a line that was begun can go on with.
 */
#ifndef CLI_COMMAND_COMPLETE_H
#define CLI_COMMAND_COMPLETE_H

#include "app/app.h"
#include "term/words.h"

/** Find them for the beginning of a line: names of commands, then ids where a command wants one. */
void complete_find(struct words *out, const struct app *app, const char *line);

#endif
