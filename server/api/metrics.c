/*
 * What happens, for who looks after the server: GET /metrics, for Prometheus.
 */
#include "metrics/metrics.h"

#include "api/apis.h"
#include "api/openai.h"
#include "auth/auth.h"

static void metrics_reply(struct http_request *request, const char *type, struct text *body,
			  bool ok)
{
	const struct convo_err nomem = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	if (ok) {
		http_reply(request, 200, type, body);
		return;
	}
	text_clear(body);
	openai_fail(request, OPENAI_REQUEST, &nomem);
}

static void metrics_scrape(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	struct text body = {0};
	bool ok = metrics_write(&body, service->metrics);

	metrics_reply(request, "text/plain; version=0.0.4; charset=utf-8", &body, ok);
}

static const struct http_route metrics_routes[] = {
	{HTTP_GET, "/metrics", metrics_scrape, AUTH_ADMIN, HTTP_QUICK},
};

struct http_api metrics_api(struct service *service)
{
	struct http_api api = openai_api(
		metrics_routes, sizeof(metrics_routes) / sizeof(metrics_routes[0]), service);

	api.prefix = "/metrics";
	return api;
}
