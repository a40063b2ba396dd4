/*
 * The chat: the frame around it, and its loop.
 */
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include "app/app.h"

/** Talk until the user leaves or the script ends. @return the program's exit code. */
int chat_run(struct app *app);

/** Choose the session to begin with: the last one with -c, else a new one. @return 0 or exit code */
int chat_begin(struct app *app);

#endif
