/*
 * OpenAI's manner; see openai.h.
 */
#include "api/openai.h"

#include <stdio.h>
#include <string.h>

#include <convo/runner.h>

static const char *openai_type(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 429:
		return "rate_limit_error";
	default:
		return status < 500 ? "invalid_request_error" : "server_error";
	}
}

bool openai_form(struct text *out, const struct http_refusal *refusal)
{
	return text_adds(out, "{\"error\":{\"message\":") && json_quotes(out, refusal->message) &&
	       text_addf(out, ",\"type\":\"%s\",\"param\":", openai_type(refusal->status)) &&
	       json_quotes(out, refusal->param) && text_adds(out, ",\"code\":") &&
	       json_quotes(out, refusal->code) && text_adds(out, "}}");
}

struct http_api openai_api(const struct http_route *routes, size_t count, void *ctx)
{
	const struct http_api api = {
		.prefix = "/v1/",
		.routes = routes,
		.count = count,
		.ctx = ctx,
		.form = openai_form,
		.too_slow =
			"data: {\"error\":{\"message\":\"the reader is too slow: 256 kB wait for "
			"it\",\"type\":\"server_error\",\"param\":null,\"code\":\"too_slow\"}}"
			"\n\n",
	};

	return api;
}

/* Of several rows for a code the first that fits the side counts. */
static const struct {
	int code;
	enum openai_side side;
	bool any; /* of sides */
	int status;
	const char *word;
	int retry_after;
} openai_rows[] = {
	{CONVO_E_NOMEM, 0, true, 503, "out_of_memory", 2},
	{CONVO_E_INVALID, 0, true, 400, "invalid_value", 0},
	{CONVO_E_TOOBIG, OPENAI_MODEL, false, 400, "context_length_exceeded", 0},
	{CONVO_E_TOOBIG, 0, true, 413, "too_big", 0},
	{CONVO_E_NOTFOUND, OPENAI_MODEL, false, 502, "model_not_found", 0},
	{CONVO_E_NOTFOUND, 0, true, 404, "not_found", 0},
	{CONVO_E_EXISTS, 0, true, 409, "exists", 0},
	{CONVO_E_CONFLICT, 0, true, 409, "conflict", 0},
	{CONVO_E_BUSY, 0, true, 409, "busy", 1},
	{CONVO_E_TIMEOUT, OPENAI_MODEL, false, 504, "model_timeout", 0},
	{CONVO_E_TIMEOUT, 0, true, 503, "store_timeout", 2},
	{CONVO_E_CANCELED, 0, true, 503, "shutting_down", 1},
	{CONVO_E_DENIED, OPENAI_MODEL, false, 502, "model_denied", 0},
	{CONVO_E_REFUSED, OPENAI_MODEL, false, 502, "model_refused", 0},
	{0, OPENAI_MODEL, false, 502, "model_unavailable", 0},
	{0, 0, true, 503, "store_unavailable", 2},
};

struct http_refusal openai_refusal(enum openai_side side, const struct convo_err *err)
{
	struct http_refusal refusal = {.message = err->text};
	size_t i;

	for (i = 0; i + 1 < sizeof(openai_rows) / sizeof(openai_rows[0]); i++)
		if ((openai_rows[i].code == err->code || !openai_rows[i].code) &&
		    (openai_rows[i].any || openai_rows[i].side == side))
			break;
	refusal.status = openai_rows[i].status;
	refusal.code = openai_rows[i].word;
	refusal.retry_after = openai_rows[i].retry_after;
	return refusal;
}

void openai_fail(struct http_request *request, enum openai_side side, const struct convo_err *err)
{
	const struct http_refusal refusal = openai_refusal(side, err);

	http_refuse(request, &refusal);
}

bool openai_wrong(struct http_request *request, const char *param, const char *message)
{
	const struct http_refusal refusal = {
		.status = 400,
		.code = "invalid_value",
		.message = message,
		.param = param,
	};

	http_refuse(request, &refusal);
	return false;
}

bool openai_nomem(struct http_request *request)
{
	const struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	openai_fail(request, OPENAI_REQUEST, &err);
	return false;
}

bool openai_absent(struct http_request *request, const char *what)
{
	struct convo_err err = {.code = CONVO_E_NOTFOUND};

	snprintf(err.text, sizeof(err.text), "there is no such %s", what);
	openai_fail(request, OPENAI_REQUEST, &err);
	return false;
}

json_t *openai_body(struct http_request *request)
{
	struct convo_err err;
	json_t *body = json_read(request->body, request->body_len, &err);

	if (!body)
		openai_fail(request, OPENAI_REQUEST, &err);
	else if (!json_is_object(body))
		openai_wrong(request, NULL, "the body must be a JSON object");
	if (json_is_object(body))
		return body;
	json_decref(body);
	return NULL;
}

bool openai_switch(bool *out, const json_t *value)
{
	*out = json_is_true(value);
	return !value || json_is_boolean(value) || json_is_null(value);
}

const struct model *openai_model(const struct service *service, struct http_request *request,
				 const json_t *body)
{
	const char *name = json_string_at(body, "model");
	const struct model *model = name ? models_find(service->models, name) : NULL;
	const struct http_refusal unknown = {
		.status = 404,
		.code = "model_not_found",
		.message = "this server has no model of that name: GET /v1/models lists them",
		.param = "model",
	};

	if (!name)
		openai_wrong(request, "model", "a model must be named");
	else if (!model)
		http_refuse(request, &unknown);
	return model;
}

/* Each part is made short by itself, so that no two lists of parts look alike. */
bool openai_once(char out[CONVO_UUID_SIZE], struct http_request *request, const char *session)
{
	const char *header = http_header(request, "Idempotency-Key");
	const char *parts[] = {header, session, request->who.key};
	char all[3 * CONVO_UUID_SIZE];
	size_t i;

	*out = '\0';
	if (!header)
		return true;
	if (!*header || strlen(header) > OPENAI_ONCE_MAX)
		return openai_wrong(request, NULL, "Idempotency-Key has 1 to 255 bytes");
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		convo_turn_event_id(all + i * (CONVO_UUID_SIZE - 1), parts[i], 0);
	convo_turn_event_id(out, all, 0);
	return true;
}
