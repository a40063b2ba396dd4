/*
 * One turn as a person sees it: the question asked, the answer streaming, what went wrong.
 */
#ifndef CLI_APP_TURN_H
#define CLI_APP_TURN_H

#include "app/app.h"

/** Ask, show the answer, remember the turn in app->last. @return 0 or the exit code of what failed. */
int turn_run(struct app *app, const char *text, size_t len);

/** Run a turn that nobody watches: `listener` hears it. Otherwise the same. */
int turn_ask(struct app *app, const char *text, size_t len, const struct convo_listener *listener);

/** One dim line on stdout: tokens, time to first token, total time of the last answer. */
void turn_figures(const struct app *app, char *out, size_t size);

/** For convo_listener.on_busy: says that another program is answering, and that this waits. */
int turn_on_busy(void *ctx, int64_t busy_ms);

#endif
