/*
 * Google ADK's REST API; see adk.h. Here are its routes and what its parts share.
 */
#include "api/adk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/text.h>
#include <convo/version.h>

#include "api/apis.h"
#include "auth/auth.h"

#define APP_SCOPE "app:"

/* ---- bodies and replies --------------------------------------------------------------- */

json_t *adk_member(const json_t *body, const char *camel, const char *snake)
{
	json_t *value = json_object_get(body, camel);

	if (!value && snake)
		value = json_object_get(body, snake);
	return json_is_null(value) ? NULL : value;
}

const char *adk_text(const json_t *body, const char *camel, const char *snake)
{
	return json_string_value(adk_member(body, camel, snake));
}

bool adk_text_or_none(struct http_request *request, const json_t *body, const char *camel,
		      const char *snake)
{
	const json_t *value = adk_member(body, camel, snake);
	char message[64];

	if (!value || json_is_string(value))
		return true;
	snprintf(message, sizeof(message), "%s must be a text", camel);
	adk_wrong(request, message);
	return false;
}

json_t *adk_body(struct http_request *request)
{
	struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};
	json_t *body = request->body_len ? json_read(request->body, request->body_len, &err)
					 : json_object();

	if (json_is_object(body))
		return body;
	if (json_is_null(body)) {
		json_decref(body);
		return json_object();
	}
	if (body)
		adk_wrong(request, "the body must be a JSON object");
	else
		openai_fail(request, OPENAI_REQUEST, &err);
	json_decref(body);
	return NULL;
}

void adk_wrong(struct http_request *request, const char *message)
{
	const struct http_refusal refusal = {.status = 400, .message = message};

	http_refuse(request, &refusal);
}

void adk_unknown(struct http_request *request, const char *session)
{
	char message[CONVO_MAX_NAME + 32];
	const struct http_refusal refusal = {.status = 404, .message = message};

	snprintf(message, sizeof(message), "Session not found: %.*s", CONVO_MAX_NAME,
		 session ? session : "");
	http_refuse(request, &refusal);
}

void adk_fail(struct http_request *request, enum openai_side side, const char *session,
	      const struct convo_err *err)
{
	if (err->code == CONVO_E_NOTFOUND && side != OPENAI_MODEL)
		adk_unknown(request, session);
	else
		openai_fail(request, side, err);
}

void adk_no_memory(struct http_request *request)
{
	const struct convo_err nomem = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	openai_fail(request, OPENAI_REQUEST, &nomem);
}

void adk_reply(struct http_request *request, struct text *body, bool ok)
{
	if (ok) {
		http_reply(request, 200, "application/json", body);
		return;
	}
	text_clear(body);
	adk_no_memory(request);
}

bool adk_is_theirs(struct http_request *request, const char *app, const char *user,
		   const char *session)
{
	if (app && user && !strcmp(app, request->who.app) && !strcmp(user, request->who.user))
		return true;
	adk_unknown(request, session);
	return false;
}

/* ---- state ---------------------------------------------------------------------------- */

static bool state_add(struct convo_item *item, struct text *texts, const char *name, json_t *value)
{
	item->name = name;
	item->json_len = texts->len;
	if (!json_write(texts, value))
		return false;
	item->json_len = texts->len - item->json_len;
	return text_add(texts, "", 1);
}

bool adk_state(struct convo_item **items, size_t *count, struct text *texts, const json_t *changes,
	       struct http_request *request)
{
	const bool admin = request->who.rights & AUTH_ADMIN;
	const struct http_refusal forbidden = {
		.status = 403,
		.message = "state of the whole application (app:) wants the right admin",
	};
	const char *name, *at;
	json_t *value;
	size_t i = 0;

	*count = 0;
	if (!changes)
		return true;
	if (!json_is_object(changes)) {
		adk_wrong(request, "changes of state are an object");
		return false;
	}
	texts->max = 6 * HTTP_BODY_MAX;
	*items = calloc(json_object_size(changes) + 1, sizeof(**items));
	json_object_foreach((json_t *)(uintptr_t)changes, name, value)
	{
		if (!strncmp(name, APP_SCOPE, sizeof(APP_SCOPE) - 1) && !admin) {
			http_refuse(request, &forbidden);
			return false;
		}
		if (!*items || !state_add(&(*items)[(*count)++], texts, name, value)) {
			adk_no_memory(request);
			return false;
		}
	}
	for (at = texts->data; i < *count; at += (*items)[i++].json_len + 1)
		(*items)[i].json = at;
	return true;
}

/* ---- what is about the server --------------------------------------------------------- */

static void adk_health(void *ctx, struct http_request *request)
{
	struct text body = {0};

	(void)ctx;
	adk_reply(request, &body, text_adds(&body, "{\"status\":\"ok\"}"));
}

static void adk_version(void *ctx, struct http_request *request)
{
	struct text body = {0};

	(void)ctx;
	adk_reply(request, &body,
		  text_adds(&body, "{\"version\":") && json_quotes(&body, convo_version()) &&
			  text_adds(&body, ",\"language\":\"c\",\"language_version\":\"11\"}"));
}

/* The application is the key's: there is one. */
static void adk_list_apps(void *ctx, struct http_request *request)
{
	const char *detailed = http_query(request, "detailed");
	struct text body = {0};
	bool ok;

	(void)ctx;
	if (detailed && !strcmp(detailed, "true"))
		ok = text_adds(&body, "{\"apps\":[{\"name\":") &&
		     json_quotes(&body, request->who.app) &&
		     text_adds(&body, ",\"rootAgentName\":") &&
		     json_quotes(&body, request->who.app) &&
		     text_adds(&body, ",\"description\":\"\",\"language\":\"yaml\"}]}");
	else
		ok = text_adds(&body, "[") && json_quotes(&body, request->who.app) &&
		     text_adds(&body, "]");
	adk_reply(request, &body, ok);
}

static void adk_not_here(void *ctx, struct http_request *request)
{
	const struct http_refusal refusal = {
		.status = 501,
		.message = "this server has sessions and runs; artifacts, memory, live runs and "
			   "evaluations are not here",
	};

	(void)ctx;
	http_refuse(request, &refusal);
}

/* ---- routes --------------------------------------------------------------------------- */

#define SESSIONS "/apps/{app}/users/{user}/sessions"
#define SESSION SESSIONS "/{session}"
#define BELOW SESSION "/{below...}"

static const struct http_route adk_routes[] = {
	{HTTP_GET, "/health", adk_health, 0, HTTP_AT_ONCE},
	{HTTP_GET, "/version", adk_version, 0, HTTP_AT_ONCE},
	{HTTP_GET, "/list-apps", adk_list_apps, AUTH_READ, HTTP_QUICK},
	{HTTP_GET, SESSIONS, adk_list_sessions, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, SESSIONS, adk_create_session, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, SESSION, adk_get_session, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, SESSION, adk_create_named, AUTH_CHAT, HTTP_QUICK},
	{HTTP_PATCH, SESSION, adk_patch_session, AUTH_CHAT, HTTP_QUICK},
	{HTTP_DELETE, SESSION, adk_delete_session, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, "/run", adk_run, AUTH_CHAT, HTTP_LONG},
	{HTTP_POST, "/run_sse", adk_run_sse, AUTH_CHAT, HTTP_LONG},
	{HTTP_GET, "/run_live", adk_not_here, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, BELOW, adk_not_here, AUTH_READ, HTTP_QUICK},
	{HTTP_POST, BELOW, adk_not_here, AUTH_CHAT, HTTP_QUICK},
	{HTTP_DELETE, BELOW, adk_not_here, AUTH_CHAT, HTTP_QUICK},
	{HTTP_PATCH, "/apps/{app}/users/{user}/memory", adk_not_here, AUTH_CHAT, HTTP_QUICK},
};

/* As FastAPI's, which ADK is built on. */
static bool adk_form(struct text *out, const struct http_refusal *refusal)
{
	return text_adds(out, "{\"detail\":") && json_quotes(out, refusal->message) &&
	       text_adds(out, "}");
}

struct http_api adk_api(struct service *service)
{
	const struct http_api api = {
		.prefix = "/apps/",
		.routes = adk_routes,
		.count = sizeof(adk_routes) / sizeof(adk_routes[0]),
		.ctx = service,
		.form = adk_form,
		.too_slow = "data: {\"error\":\"the reader is too slow: 256 kB wait for it\"}\n\n",
	};

	return api;
}
