/*
 * Items of conversations; see conversation_items.h.
 */
#include "api/conversation_items.h"

#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>

#include "api/items.h"
#include "api/openai.h"
#include "api/paging.h"
#include "core/fail.h"

/* Events that are loaded at once beyond those that a page needs at least. */
#define LIST_SLACK 8

bool conversation_find(struct token *token, convo_session **out, const struct service *service,
		       struct http_request *request, const struct convo_window *window)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int rc = CONVO_E_NOTFOUND;

	if (token_read_conversation(token, request->param[0]))
		rc = kept_load(&session, service, request, token, window ? window : &none, &err);
	if (rc == CONVO_E_NOTFOUND)
		return openai_absent(request, window && window->kind == CONVO_WINDOW_AROUND
						      ? "item"
						      : "conversation");
	if (rc < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else if (out)
		*out = session;
	else
		convo_session_free(session);
	return rc == 0;
}

/* ---- one ------------------------------------------------------------------------------ */

/* The event of the item that the path names; it lives as long as `session`. @return NULL: refused */
static const struct convo_event *item_find(struct token *token, convo_session **session,
					   json_t *items, const struct service *service,
					   struct http_request *request)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id};
	const struct convo_event *event;
	size_t i;

	if (!item_id_read(id, request->param[1])) {
		openai_absent(request, "item");
		return NULL;
	}
	if (!conversation_find(token, session, service, request, &window))
		return NULL;
	event = convo_session_event(*session, 0);
	if (event && kept_shows(*session, event))
		items_add(items, event);
	for (i = 0; i < json_array_size(items); i++)
		if (item_is(json_array_get(items, i), request->param[1]))
			return event;
	openai_absent(request, "item");
	return NULL;
}

void conversation_items_get(void *ctx, struct http_request *request)
{
	convo_session *session = NULL;
	json_t *items = json_array();
	struct token token;
	size_t i;

	if (item_find(&token, &session, items, ctx, request))
		for (i = 0; i < json_array_size(items); i++)
			if (item_is(json_array_get(items, i), request->param[1]))
				paging_reply_object(request, json_incref(json_array_get(items, i)));
	convo_session_free(session);
	json_decref(items);
}

void conversation_items_delete(void *ctx, struct http_request *request)
{
	const struct http_refusal whole = {
		.status = 409,
		.code = "conflict",
		.message = "this item belongs to no turn, and cannot be taken back",
	};
	convo_session *session = NULL;
	json_t *items = json_array();
	struct token token;
	struct convo_err err;
	const struct convo_event *event = item_find(&token, &session, items, ctx, request);

	if (event && !event->turn)
		http_refuse(request, &whole);
	else if (event && kept_undo(ctx, request, &token, event->turn, &err) < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else if (event)
		paging_reply_object(
			request,
			json_pack("{s:s,s:s,s:I,s:{}}", "id", request->param[0], "object",
				  "conversation", "created_at",
				  (json_int_t)(convo_session_meta(session)->created_ms / 1000),
				  "metadata"));
	convo_session_free(session);
	json_decref(items);
}

/* ---- adding --------------------------------------------------------------------------- */

struct adding {
	struct convo_event event;
	char turn[CONVO_UUID_SIZE], id[CONVO_UUID_SIZE];
};

static void adding_name(struct adding *one, const char *once, size_t i)
{
	if (*once)
		convo_turn_event_id(one->turn, once, i + 1);
	else
		convo_uuid_make(one->turn);
	convo_turn_event_id(one->id, one->turn, 1);
}

bool conversation_append(const struct service *service, struct http_request *request,
			 const struct token *token, const struct messages *said, const char *once,
			 json_t *data)
{
	const struct convo_key key = kept_key(request, token);
	const struct convo_expect expect = {.generation = token->generation};
	struct convo_event *events = calloc(said->count + 1, sizeof(*events));
	struct adding *names = calloc(said->count + 1, sizeof(*names));
	struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};
	int rc = CONVO_E_NOMEM;
	size_t i;

	for (i = 0; events && names && i < said->count; i++) {
		adding_name(&names[i], once, i);
		events[i] = (struct convo_event){.id = names[i].id,
						 .turn = names[i].turn,
						 .message = said->list[i].json,
						 .message_len = said->list[i].len};
	}
	if (events && names)
		rc = convo_store_append(service->store, &key, &expect, events, said->count, NULL,
					NULL, &err);
	for (i = 0; rc == 0 && data && i < said->count; i++)
		items_add(data, &events[i]);
	free(events);
	free(names);
	if (rc == CONVO_E_NOTFOUND || rc == CONVO_E_CONFLICT)
		return openai_absent(request, "conversation");
	if (rc < 0)
		openai_fail(request, OPENAI_STORE, &err);
	return rc == 0;
}

void conversation_items_create(void *ctx, struct http_request *request)
{
	json_t *body = openai_body(request), *data = json_array();
	struct messages said = {0};
	struct token token;
	char once[CONVO_UUID_SIZE];

	if (body && json_is_string(json_object_get(body, "items")))
		openai_wrong(request, "items", "items are an array");
	else if (body && items_read(&said, json_object_get(body, "items"), "items", request) &&
		 openai_once(once, request, request->param[0]) &&
		 conversation_find(&token, NULL, ctx, request, NULL) &&
		 conversation_append(ctx, request, &token, &said, once, data))
		paging_reply(request, json_incref(data), false);
	messages_clear(&said);
	json_decref(body);
	json_decref(data);
}

/* ---- the list ------------------------------------------------------------------------- */

/* A page while it is gathered. */
struct listing {
	const struct service *service;
	struct http_request *request;
	struct token token;
	struct page page;
	json_t *data;
	bool begun; /* the item that it goes behind was passed, or there is none */
	bool more;
	int64_t seq; /* from where on events are looked for */
	bool ended;  /* there are no more of them */
};

/* The items of an event, in the page's order. */
static void list_event(struct listing *l, const convo_session *session,
		       const struct convo_event *event)
{
	json_t *items = json_array();
	size_t count, i;

	if (kept_shows(session, event))
		items_add(items, event);
	count = json_array_size(items);
	for (i = 0; i < count; i++) {
		json_t *item = json_array_get(items, l->page.rising ? i : count - 1 - i);

		if (l->begun && json_array_size(l->data) == l->page.limit)
			l->more = true;
		else if (l->begun)
			json_array_append(l->data, item);
		l->begun = l->begun || item_is(item, l->page.after);
	}
	json_decref(items);
}

static bool list_load(struct listing *l)
{
	const struct convo_window window = {
		.kind = l->page.rising ? CONVO_WINDOW_AFTER : CONVO_WINDOW_BEFORE,
		.n = l->page.limit + LIST_SLACK,
		.seq = l->seq,
	};
	convo_session *session = NULL;
	size_t count, i;

	if (!conversation_find(&l->token, &session, l->service, l->request, &window))
		return false;
	count = convo_session_count(session);
	for (i = 0; i < count && !l->more; i++) {
		const struct convo_event *event =
			convo_session_event(session, l->page.rising ? i : count - 1 - i);

		list_event(l, session, event);
		l->seq = event->seq;
	}
	l->ended = count < window.n;
	convo_session_free(session);
	return true;
}

/* Find where the page begins. @return false: refused */
static bool list_begin(struct listing *l)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id};
	convo_session *session = NULL;
	struct convo_err err;
	int rc;

	l->seq = l->page.rising ? 0 : INT64_MAX;
	l->begun = !l->page.after;
	if (l->begun)
		return true;
	if (!conversation_find(&l->token, NULL, l->service, l->request, NULL))
		return false;
	rc = item_id_read(id, l->page.after)
		     ? kept_load(&session, l->service, l->request, &l->token, &window, &err)
		     : CONVO_E_NOTFOUND;
	if (rc == 0 && convo_session_event(session, 0)) {
		int64_t seq = convo_session_event(session, 0)->seq;

		l->seq = l->page.rising ? seq - 1 : seq + 1;
	}
	convo_session_free(session);
	if (rc == CONVO_E_NOTFOUND)
		paging_no_item(l->request);
	else if (rc < 0)
		openai_fail(l->request, OPENAI_STORE, &err);
	return rc == 0;
}

void conversation_items_list(void *ctx, struct http_request *request)
{
	struct listing l = {.service = ctx, .request = request};
	bool ok;

	if (!paging_read(&l.page, request) || !list_begin(&l))
		return;
	l.data = json_array();
	do
		ok = list_load(&l);
	while (ok && !l.more && !l.ended);
	if (ok)
		paging_reply(request, json_incref(l.data), l.more);
	json_decref(l.data);
}
