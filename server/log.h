/*
 * The access log: a line of JSON for each request, on standard error. It never holds a text, a session or a
 * user. Where nobody reads it, or not as fast, lines are left out and counted: who serves does not wait.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include "http/http.h"

struct access_log;

/** Begin it: a thread writes what log_done() hears. @return 0, CONVO_E_NOMEM, CONVO_E_IO */
int log_open(struct access_log **out, struct convo_err *err);

/** Write what is left, for a second at most, and free it. NULL is fine. */
void log_close(struct access_log *log);

/** For http_options.done; `log` is a struct access_log. Does not block. */
void log_done(void *log, const struct http_done *done);

#endif
