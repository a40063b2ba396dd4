/*
 * The models there are, in OpenAI's form.
 */
#include "api/apis.h"
#include "api/openai.h"
#include "auth/auth.h"
#include "core/json.h"

static bool model_write(struct text *out, const struct model *model)
{
	return text_adds(out, "{\"id\":") && json_quotes(out, model->name) &&
	       text_addf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"convo\"}",
			 (long long)model->created);
}

static void models_reply(struct http_request *request, struct text *body, bool ok)
{
	const struct convo_err nomem = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	if (ok) {
		http_reply(request, 200, "application/json", body);
		return;
	}
	text_clear(body);
	openai_fail(request, OPENAI_REQUEST, &nomem);
}

static void models_list(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct model *model;
	struct text body = {0};
	size_t i;
	bool ok = text_adds(&body, "{\"object\":\"list\",\"data\":[");

	for (i = 0; ok && (model = models_at(service->models, i)); i++)
		ok = (!i || text_adds(&body, ",")) && model_write(&body, model);
	models_reply(request, &body, ok && text_adds(&body, "]}"));
}

static void models_get(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct model *model = models_find(service->models, request->param[0]);
	const struct http_refusal unknown = {
		.status = 404,
		.code = "model_not_found",
		.message = "this server has no model of that name",
		.param = "model",
	};
	struct text body = {0};

	if (model)
		models_reply(request, &body, model_write(&body, model));
	else
		http_refuse(request, &unknown);
}

static const struct http_route models_routes[] = {
	{HTTP_GET, "/v1/models", models_list, AUTH_READ, HTTP_QUICK},
	{HTTP_GET, "/v1/models/{model...}", models_get, AUTH_READ, HTTP_QUICK},
};

struct http_api models_api(struct service *service)
{
	return openai_api(models_routes, 2, service);
}
