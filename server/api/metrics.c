/*
 * What happens, for who looks after the server: GET /metrics for Prometheus, /usage.json with what all servers on the
 * store counted over hours and days, and /usage, the page that draws it. The page itself tells nothing: it asks for
 * the figures with a key.
 */
#include "metrics/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/apis.h"
#include "api/openai.h"
#include "api/pages.h"
#include "auth/auth.h"
#include "metrics/report.h"
#include "metrics/usage.h"
#include "page/page.h"

/* How long the store may take for all of it. */
#define READ_MS 10000

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

/* A parameter of the query that is a time; an absent one is left. @return false: it is none, and was refused */
static bool usage_read_time(int64_t *out, struct http_request *request, const char *name)
{
	const char *value = http_query(request, name);
	char *end;

	if (!value)
		return true;
	errno = 0;
	*out = strtoll(value, &end, 10);
	if (*value >= '0' && *value <= '9' && !*end && !errno && *out < INT64_C(1) << 40)
		return true;
	openai_wrong(request, name, "a time is in Unix seconds");
	return false;
}

/* What this server has counted meanwhile is in it; what others have, up to a minute ago. */
static void usage_report(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_call call = {.timeout_ms = READ_MS, .cancel = request->cancel};
	const int64_t now_s = (int64_t)time(NULL);
	int64_t to_s = now_s, from_s;
	struct report report = {0};
	struct text body = {0};
	struct convo_err err = {0};
	int rc;

	if (!usage_read_time(&to_s, request, "to"))
		return;
	from_s = to_s - SHELF_DAY;
	if (!usage_read_time(&from_s, request, "from"))
		return;
	rc = usage_flush(service->usage, &call, &err);
	if (rc == 0)
		rc = report_read(&report, service->store, from_s, to_s, now_s, &call, &err);
	if (rc < 0) {
		openai_fail(request, OPENAI_STORE, &err);
	} else {
		bool ok = report_write(&body, &report);

		metrics_reply(request, "application/json", &body, ok);
	}
	report_clear(&report);
}

static void usage_page(void *ctx, struct http_request *request)
{
	(void)ctx;
	page_reply(request, &page_usage);
}

static const struct http_route metrics_routes[] = {
	{HTTP_GET, "/metrics", metrics_scrape, AUTH_ADMIN, HTTP_QUICK},
	{HTTP_GET, "/usage.json", usage_report, AUTH_ADMIN, HTTP_QUICK},
	{HTTP_GET, "/usage", usage_page, 0, HTTP_AT_ONCE},
};

struct http_api metrics_api(struct service *service)
{
	struct http_api api = openai_api(
		metrics_routes, sizeof(metrics_routes) / sizeof(metrics_routes[0]), service);

	api.prefix = "/metrics";
	return api;
}
