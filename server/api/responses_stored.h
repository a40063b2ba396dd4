/*
 * What is asked of a response that is stored, or runs: handlers of routes.
 */
#ifndef SERVER_API_RESPONSES_STORED_H
#define SERVER_API_RESPONSES_STORED_H

#include "http/request.h"

/* `ctx` is a struct service. */

/** GET /v1/responses/{id}: as it is, or with stream=true its events, of one that runs until its end. */
void responses_get(void *ctx, struct http_request *request);

/** DELETE: its turn is taken back. */
void responses_delete(void *ctx, struct http_request *request);

/** POST .../cancel: one that runs, on whatever server, ends within a second or so. */
void responses_cancel(void *ctx, struct http_request *request);

/** GET .../input_items. */
void responses_input(void *ctx, struct http_request *request);

#endif
