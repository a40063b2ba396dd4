/*
 * -check: whether key, URL, model and store work.
 */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "app/app.h"

/** Test them all, a line each on stdout. @return 0, or the exit code of the first that fails. */
int check_run(struct app *app, const struct flags *flags);

#endif
