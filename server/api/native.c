/*
 * The native API: its table, its errors, who asks. See native.h.
 */
#include "api/native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/version.h>

#include "api/apis.h"
#include "auth/auth.h"

/* ---- errors --------------------------------------------------------------------------- */

/* A word for what the server refuses before a handler is asked. */
static const char *native_word(const struct http_refusal *refusal)
{
	if (refusal->code)
		return refusal->code;
	switch (refusal->status) {
	case 400:
		return "invalid_value";
	case 403:
		return "forbidden";
	case 404:
		return "not_found";
	case 405:
		return "method_not_allowed";
	case 413:
	case 431:
		return "too_big";
	default:
		return refusal->status < 500 ? "refused" : "unavailable";
	}
}

static bool native_form_open(struct text *out, const struct http_refusal *refusal)
{
	return text_adds(out, "{\"error\":{\"code\":") && json_quotes(out, native_word(refusal)) &&
	       text_adds(out, ",\"message\":") && json_quotes(out, refusal->message) &&
	       (!refusal->param ||
		(text_adds(out, ",\"param\":") && json_quotes(out, refusal->param)));
}

bool native_form(struct text *out, const struct http_refusal *refusal)
{
	return native_form_open(out, refusal) && text_adds(out, "}}");
}

void native_reply(struct http_request *request, int status, struct text *body, bool written)
{
	if (written) {
		http_reply(request, status, "application/json", body);
		return;
	}
	text_clear(body);
	native_nomem(request);
}

/* Beside what is refused the body tells where the session is. */
static void native_moved(struct http_request *request, const struct http_refusal *refusal,
			 const struct convo_err *err)
{
	struct text body = {0};
	bool ok = native_form_open(&body, refusal) &&
		  text_addf(&body, ",\"last_seq\":%lld", (long long)err->last_seq);

	if (ok && err->code == CONVO_E_BUSY)
		ok = text_addf(&body, ",\"busy_ms\":%lld", (long long)err->busy_ms);
	native_reply(request, refusal->status, &body, ok && text_adds(&body, "}}"));
}

/* What the store and the runner call what is a member or a parameter here. */
static const struct {
	const char *begin, *param;
} native_params[] = {
	{"the session id", "id"},
	{"the title", "title"},
	{"a state", "state"},
	{"state ", "state"},
	{"the window's event id", "around"},
	{"the generation", "generation"},
	{"a turn's id", "turn"},
	{"the turn's id", "turn"},
	{"the question", "text"},
	{"the instruction", "instruction"},
	{"the event id", "id"},
	{"the author", "author"},
	{"the message", "message"},
	{"the role", "message"},
	{"turn", "turn"},
	{"model", "model"},
	{"finish_reason", "finish_reason"},
	{"error", "error"},
	{"usage", "usage"},
	{"extra", "extra"},
};

#define COUNT (sizeof(native_params) / sizeof(native_params[0]))

/*
 * Which member or parameter a failure speaks of: its text begins with what is wrong, and before that with where
 * it stands, "events[2]: ". @return NULL when it does not tell
 */
static const char *native_param(char out[NATIVE_PARAM_MAX], const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789[]"), i;
	const bool placed = len && text[len] == ':';
	const char *what = placed ? text + len + 2 : text;

	/* Within events alone: a message is whole. */
	i = placed && strncmp(text, "events", strlen("events")) != 0 ? COUNT : 0;
	for (; i < COUNT; i++)
		if (!strncmp(what, native_params[i].begin, strlen(native_params[i].begin)))
			break;
	if (i == COUNT) {
		snprintf(out, NATIVE_PARAM_MAX, "%.*s", placed ? (int)len : 0, text);
		return placed ? out : NULL;
	}
	snprintf(out, NATIVE_PARAM_MAX, "%.*s%s%s", placed ? (int)len : 0, text, placed ? "." : "",
		 native_params[i].param);
	return out;
}

void native_fail(struct http_request *request, enum openai_side side, const struct convo_err *err)
{
	struct http_refusal refusal = openai_refusal(side, err);
	char param[NATIVE_PARAM_MAX];

	if (side != OPENAI_MODEL && (err->code == CONVO_E_INVALID || err->code == CONVO_E_TOOBIG))
		refusal.param = native_param(param, err->text);
	if (err->code == CONVO_E_NOTFOUND && side == OPENAI_STORE)
		refusal.message = "there is no such session";
	if (err->code == CONVO_E_CONFLICT && http_header(request, "If-Match"))
		refusal.status = 412;
	if (err->code == CONVO_E_CONFLICT || err->code == CONVO_E_BUSY)
		native_moved(request, &refusal, err);
	else
		http_refuse(request, &refusal);
}

bool native_wrong(struct http_request *request, const char *param, const char *message)
{
	openai_wrong(request, param, message);
	return false;
}

bool native_nomem(struct http_request *request)
{
	const struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	openai_fail(request, OPENAI_REQUEST, &err);
	return false;
}

bool native_denied(struct http_request *request, const char *param)
{
	const struct http_refusal refusal = {
		.status = 403,
		.code = "forbidden",
		.message = "names that begin with app: are all users': this key may not set them",
		.param = param,
	};

	http_refuse(request, &refusal);
	return false;
}

/* ---- who asks ------------------------------------------------------------------------- */

static bool me_rights(struct text *out, unsigned rights)
{
	struct text list = {0};
	const char *at;
	size_t len;
	bool ok = rights_write(&list, rights) && text_adds(out, ",\"rights\":[");

	for (at = list.data; ok && at && *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		ok = (at == list.data || text_adds(out, ",")) && json_quote(out, at, len);
	}
	text_clear(&list);
	return ok && text_adds(out, "]");
}

static bool me_models(struct text *out, const struct models *models)
{
	const struct model *model;
	bool ok = text_adds(out, ",\"models\":[");
	size_t i;

	for (i = 0; ok && (model = models_at(models, i)); i++)
		ok = (!i || text_adds(out, ",")) && json_quotes(out, model->name);
	return ok && text_adds(out, "]");
}

static void native_me(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct http_who *who = &request->who;
	struct text body = {0};
	bool ok;

	if (!native_query_only(request, ""))
		return;
	ok = text_adds(&body, "{\"app\":") && json_quotes(&body, who->app) &&
	     text_adds(&body, ",\"user\":") && json_quotes(&body, who->user) &&
	     text_adds(&body, ",\"key\":") && json_quotes(&body, who->key) &&
	     me_rights(&body, who->rights) &&
	     text_addf(&body, ",\"version\":\"%s\"", convo_version()) &&
	     me_models(&body, service->models) && text_adds(&body, "}");
	native_reply(request, 200, &body, ok);
}

static void native_search(void *ctx, struct http_request *request)
{
	const struct http_refusal none = {
		.status = 501,
		.code = "not_supported",
		.message = "this server cannot search yet",
	};

	(void)ctx;
	http_refuse(request, &none);
}

/* ---- the table ------------------------------------------------------------------------ */

#define SESSIONS "/convo/v1/sessions"

static const struct http_route native_routes[] = {
	{HTTP_GET, "/convo/v1/me", native_me, AUTH_READ, HTTP_QUICK},
	{HTTP_GET, SESSIONS, native_list, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, SESSIONS, native_create, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, SESSIONS "/{id}", native_get, AUTH_READ, HTTP_QUICK},
	{HTTP_PATCH, SESSIONS "/{id}", native_patch, AUTH_CHAT, HTTP_QUICK},
	{HTTP_DELETE, SESSIONS "/{id}", native_delete, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, SESSIONS "/{id}/restore", native_restore, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, SESSIONS "/{id}/fork", native_fork, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, SESSIONS "/{id}/events", native_append, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, SESSIONS "/{id}/turns", native_turn, AUTH_CHAT, HTTP_LONG},
	{HTTP_POST, SESSIONS "/{id}/turns/{turn}/cancel", native_cancel, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, SESSIONS "/{id}/undo", native_undo, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, SESSIONS "/{id}/follow", native_follow, AUTH_READ, HTTP_QUICK},
	{HTTP_GET, "/convo/v1/search", native_search, AUTH_READ, HTTP_QUICK},
};

struct http_api native_api(struct service *service)
{
	const struct http_api api = {
		.prefix = "/convo/v1/",
		.routes = native_routes,
		.count = sizeof(native_routes) / sizeof(native_routes[0]),
		.ctx = service,
		.form = native_form,
		.too_slow =
			"event: error\n"
			"data: {\"error\":{\"code\":\"too_slow\",\"message\":\"the reader is too "
			"slow: 256 kB wait for it\"}}\n\n",
	};

	return api;
}
