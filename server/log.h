/*
 * The access log: a line of JSON for each request, on standard error. It never holds a text, a session or a
 * user.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include "http/http.h"

/** For http_options.done. */
void log_done(void *ctx, const struct http_done *done);

#endif
