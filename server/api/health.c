/*
 * Whether the server is alive, and whether it should get requests.
 */
#include <stdio.h>

#include "api/apis.h"
#include "api/openai.h"
#include "auth/auth.h"

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

static void health_ready(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	struct convo_err err = {0};
	char why[64];

	if (atomic_load(&service->draining)) {
		health_say(request, 503, "shutting down");
	} else if (service_ask_store(service, request->cancel, &err) < 0) {
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
