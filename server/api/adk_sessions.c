/*
 * Sessions in ADK's form: listed, made, read, changed and deleted.
 */
#include <stdlib.h>
#include <string.h>

#include "api/adk.h"
#include "api/adk_event.h"

enum { APP, USER, SESSION }; /* parameters of the path */

static struct convo_key key_of(const struct http_request *request, const char *session)
{
	const struct convo_key key = {request->who.app, request->who.user, session};

	return key;
}

static bool path_is_theirs(struct http_request *request)
{
	return adk_is_theirs(request, request->param[APP], request->param[USER],
			     request->param[SESSION]);
}

void adk_get_session(void *service, struct http_request *request)
{
	if (path_is_theirs(request))
		adk_show(service, request, request->param[SESSION]);
}

/* ---- lists ---------------------------------------------------------------------------- */

static bool list_write(struct text *out, const struct http_request *request,
		       const convo_cursor *cursor)
{
	const struct convo_meta *meta;
	bool ok = text_adds(out, "[");
	size_t i;

	for (i = 0; ok && (meta = convo_cursor_meta(cursor, i)); i++)
		ok = text_adds(out, i ? "," : "") && adk_head_write(out, request, meta->session) &&
		     text_adds(out, "},\"events\":[],\"lastUpdateTime\":") &&
		     adk_time_write(out, meta->updated_ms) && text_adds(out, "}");
	return ok && text_adds(out, "]");
}

void adk_list_sessions(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_call call = {.cancel = request->cancel};
	convo_cursor *cursor = NULL;
	struct convo_err err;
	struct text body = {0};
	size_t count;

	if (!path_is_theirs(request))
		return;
	if (convo_cursor_new(&cursor, request->who.app, request->who.user, CONVO_LIST_LIVE, &err) <
		    0 ||
	    convo_store_list(service->store, cursor, ADK_MOST, &count, &call, &err) < 0)
		adk_fail(request, OPENAI_STORE, NULL, &err);
	else
		adk_reply(request, &body, list_write(&body, request, cursor));
	convo_cursor_free(cursor);
}

/* ---- making --------------------------------------------------------------------------- */

/* Events that a new session begins with. All-zero is valid. */
struct begin {
	struct convo_event *events;
	struct adk_messages *messages; /* of each event that was given */
	size_t count, given;
	json_t *states; /* texts that events point into: their changes of state */
};

static void begin_clear(struct begin *begin)
{
	size_t i;

	for (i = 0; i < begin->given; i++)
		adk_messages_clear(&begin->messages[i]);
	free(begin->messages);
	free(begin->events);
	json_decref(begin->states);
}

/* The changes of state of an event, as a text that stays. */
static const char *begin_state(struct begin *begin, const json_t *event)
{
	const json_t *changes =
		adk_member(adk_member(event, "actions", NULL), "stateDelta", "state_delta");
	const char *kept = NULL;
	struct text text = {0};

	if (json_object_size(changes) && json_write(&text, changes) &&
	    json_array_append_new(begin->states, json_string(text.data)) == 0)
		kept = json_string_value(
			json_array_get(begin->states, json_array_size(begin->states) - 1));
	text_clear(&text);
	return kept;
}

/* One that was given, which may be several in the store. */
static const char *begin_add(struct begin *begin, const json_t *event, size_t most)
{
	struct adk_messages *messages = &begin->messages[begin->given++];
	const char *author = adk_text(event, "author", NULL);
	const char *wrong = adk_content_read(messages, adk_member(event, "content", NULL));
	size_t i;

	if (wrong)
		return wrong;
	if (begin->count + messages->count > most)
		return "a session begins with 1,000 messages at most";
	for (i = 0; i < messages->count; i++) {
		struct convo_event *out = &begin->events[begin->count++];

		out->message = messages->list[i].json;
		out->message_len = messages->list[i].len;
		out->turn = adk_text(event, "invocationId", "invocation_id");
		if (out->turn && !*out->turn)
			out->turn = NULL;
		if (author && *author && strcmp(author, "user") != 0)
			out->author = author;
	}
	begin->events[begin->count - 1].state = begin_state(begin, event);
	return NULL;
}

/* State of the whole application is no matter of an event's. */
static bool begin_is_own(const json_t *event)
{
	const json_t *changes =
		adk_member(adk_member(event, "actions", NULL), "stateDelta", "state_delta");
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)changes, name, value)
	{
		if (!strncmp(name, "app:", 4))
			return false;
	}
	return true;
}

static bool begin_read(struct begin *begin, const json_t *list, struct http_request *request)
{
	const size_t count = json_array_size(list);
	const char *wrong = NULL;
	size_t i;

	if (!count)
		return true;
	begin->messages = calloc(count, sizeof(*begin->messages));
	begin->events = calloc(ADK_MOST, sizeof(*begin->events));
	begin->states = json_array();
	if (!begin->messages || !begin->events || !begin->states)
		wrong = "out of memory";
	for (i = 0; !wrong && i < count; i++) {
		const json_t *event = json_array_get(list, i);

		wrong = begin_is_own(event) ? begin_add(begin, event, ADK_MOST)
					    : "events cannot change the state of the application";
	}
	if (wrong)
		adk_wrong(request, wrong);
	return !wrong;
}

/* All of them, or there is no session either. */
static int begin_append(struct begin *begin, convo_store *store, struct http_request *request,
			const struct convo_created *made, struct convo_err *err)
{
	const struct convo_key key = key_of(request, made->session);
	const struct convo_expect expect = {.generation = made->generation};
	const struct convo_call call = {.cancel = request->cancel};
	int rc;

	if (!begin->count)
		return 0;
	rc = convo_store_append(store, &key, &expect, begin->events, begin->count, NULL, &call,
				err);
	if (rc < 0 && convo_store_delete(store, &key, NULL, NULL) == 0)
		convo_store_purge(store, &key, made->generation, NULL, NULL);
	return rc;
}

static void session_make(struct service *service, struct http_request *request, const char *session,
			 const json_t *state, const json_t *events)
{
	const struct convo_key key = key_of(request, session);
	const struct convo_call call = {.cancel = request->cancel};
	struct convo_created made;
	struct convo_create create = {0};
	struct convo_item *items = NULL;
	struct begin begin = {0};
	struct text texts = {0};
	struct convo_err err;

	if (!adk_state(&items, &create.state_count, &texts, state, request) ||
	    !begin_read(&begin, events, request))
		goto out;
	create.state = items;
	if (convo_store_create(service->store, &key, &create, &made, &call, &err) < 0 ||
	    begin_append(&begin, service->store, request, &made, &err) < 0)
		adk_fail(request, OPENAI_STORE, session, &err);
	else
		adk_show(service, request, made.session);
out:
	begin_clear(&begin);
	text_clear(&texts);
	free(items);
}

void adk_create_session(void *service, struct http_request *request)
{
	json_t *body;

	if (!path_is_theirs(request))
		return;
	body = adk_body(request);
	if (!body)
		return;
	if (adk_text_or_none(request, body, "sessionId", "session_id"))
		session_make(service, request, adk_text(body, "sessionId", "session_id"),
			     adk_member(body, "state", NULL), adk_member(body, "events", NULL));
	json_decref(body);
}

/* The older way: the body is the state. */
void adk_create_named(void *service, struct http_request *request)
{
	json_t *body;

	if (!path_is_theirs(request))
		return;
	body = adk_body(request);
	if (!body)
		return;
	session_make(service, request, request->param[SESSION], body, NULL);
	json_decref(body);
}

/* ---- changing and deleting ------------------------------------------------------------ */

void adk_patch_session(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	const struct convo_key key = key_of(request, request->param[SESSION]);
	const struct convo_call call = {.cancel = request->cancel};
	struct convo_item *items = NULL;
	struct text texts = {0};
	struct convo_err err;
	json_t *body;
	size_t count;

	if (!path_is_theirs(request))
		return;
	body = adk_body(request);
	if (!body)
		return;
	if (!adk_state(&items, &count, &texts, adk_member(body, "stateDelta", "state_delta"),
		       request))
		goto out;
	if (count && convo_store_state_set(service->store, &key, items, count, &call, &err) < 0)
		adk_fail(request, OPENAI_STORE, key.session, &err);
	else
		adk_show(service, request, key.session);
out:
	json_decref(body);
	text_clear(&texts);
	free(items);
}

/* Of what is not there ADK says the same. */
void adk_delete_session(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = key_of(request, request->param[SESSION]);
	const struct convo_call call = {.cancel = request->cancel};
	struct convo_err err;
	struct text body = {0};

	if (!path_is_theirs(request))
		return;
	if (convo_store_delete(service->store, &key, &call, &err) < 0)
		adk_fail(request, OPENAI_STORE, key.session, &err);
	else
		adk_reply(request, &body, text_adds(&body, "null"));
}
