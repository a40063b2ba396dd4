/*
 * The APIs: a file each, which gives the table of its routes. What they read and write is request->who's; what
 * a model answered is told to auth_spend(), for the limits of the key.
 */
#ifndef SERVER_API_APIS_H
#define SERVER_API_APIS_H

#include "core/service.h"
#include "http/route.h"

/** GET /healthz, /readyz: is it alive, and should it get requests. */
struct http_api health_api(struct service *service);

/** GET /v1/models, /v1/models/{model}. */
struct http_api models_api(struct service *service);

/** POST /v1/chat/completions. */
struct http_api chat_api(struct service *service);

/** /convo/v1: all that a store can do (docs/api.md). */
struct http_api native_api(struct service *service);

/** GET /: the page to chat. */
struct http_api page_api(struct service *service);

/** GET /metrics, /usage, /usage.json: what happens, for who looks after the server. */
struct http_api metrics_api(struct service *service);

/** Google ADK's REST API: /list-apps, /apps/{app}/users/{user}/sessions, /run, /run_sse (adk.h). */
struct http_api adk_api(struct service *service);

/** /v1/responses and what is below it. */
struct http_api responses_api(struct service *service);

/** /v1/conversations and what is below it. */
struct http_api conversations_api(struct service *service);

/** Most of them. */
#define APIS_MOST 16

/** All of them, for http_options. @return how many */
size_t apis_all(struct http_api out[APIS_MOST], struct service *service);

#endif
