/*
 * Asking once: -p, and -json.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "app/app.h"

/** Ask, print the answer on stdout. @return the program's exit code. */
int ask_run(struct app *app);

#endif
