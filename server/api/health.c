/*
 * Whether the server is alive, and whether it should get requests.
 */
#include <stdio.h>

#include "api/apis.h"
#include "api/openai.h"
#include "auth/auth.h"

#define READY_MS 1000

static void health_say(struct http_request *request, int status, const char *text)
{
	struct text body = {0};

	if (text_addf(&body, "%s\n", text))
		http_reply(request, status, "text/plain; charset=utf-8", &body);
}

static void health_alive(void *ctx, struct http_request *request)
{
	(void)ctx;
	health_say(request, 200, "ok");
}

/* A name that nobody has: an answer of the store is what is wanted. */
static int health_ask(struct service *service, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_key key = {"convo", "convo", "readyz"};
	const struct convo_call call = {.timeout_ms = READY_MS, .cancel = cancel};
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	int rc = convo_store_load(&session, service->store, &key, &window, &call, err);

	convo_session_free(session);
	return rc == CONVO_E_NOTFOUND ? 0 : rc;
}

static void health_ready(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	struct convo_err err = {0};
	char why[64];

	if (atomic_load(&service->draining)) {
		health_say(request, 503, "shutting down");
	} else if (health_ask(service, request->cancel, &err) < 0) {
		/* Its own words may name hosts: this is for anybody. */
		snprintf(why, sizeof(why), "store: %s", convo_code_name(err.code));
		health_say(request, 503, why);
	} else {
		health_say(request, 200, "ok");
	}
}

static const struct http_route health_routes[] = {
	{HTTP_GET, "/healthz", health_alive, 0, HTTP_AT_ONCE},
	{HTTP_GET, "/readyz", health_ready, 0, HTTP_QUICK},
};

struct http_api health_api(struct service *service)
{
	struct http_api api = openai_api(health_routes, 2, service);

	api.prefix = "/healthz";
	return api;
}
