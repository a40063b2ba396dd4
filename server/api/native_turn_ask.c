/*
 * Reading what is asked; see native_turn_ask.h.
 */
#include "api/native_turn_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/native.h"

/* The members as they came. */
struct members {
	const char *text, *model, *instruction, *turn, *busy;
	const json_t *messages, *params;
	bool fresh, stream;
};

static bool members_read(struct members *out, struct turn_ask *ask, struct http_request *request)
{
	const struct native_member members[] = {
		{"text", NATIVE_STRING, &out->text},
		{"messages", NATIVE_ARRAY, &out->messages},
		{"model", NATIVE_STRING, &out->model},
		{"instruction", NATIVE_STRING, &out->instruction},
		{"params", NATIVE_OBJECT, &out->params},
		{"turn", NATIVE_STRING, &out->turn},
		{"busy", NATIVE_STRING, &out->busy},
		{"new", NATIVE_SWITCH, &out->fresh},
		{"stream", NATIVE_SWITCH, &out->stream},
	};

	return native_query_only(request, "") && native_body(&ask->body, request, true, false) &&
	       native_members(request, ask->body, "", members,
			      sizeof(members) / sizeof(members[0]));
}

static bool ask_model(struct turn_ask *ask, const struct service *service, const char *name,
		      struct http_request *request)
{
	ask->model = name ? models_find(service->models, name) : models_at(service->models, 0);
	return ask->model ||
	       native_wrong(request, "model", "this server has no model of that name");
}

static bool ask_busy(struct turn_ask *ask, const char *word, struct http_request *request)
{
	static const struct {
		const char *word;
		enum convo_when_busy what;
	} words[] = {{"refuse", CONVO_BUSY_REFUSE},
		     {"wait", CONVO_BUSY_WAIT},
		     {"take", CONVO_BUSY_TAKE}};
	size_t i;

	for (i = 0; i < 3; i++) {
		if (word && strcmp(word, words[i].word) != 0)
			continue;
		ask->question.when_busy = words[i].what;
		return true;
	}
	return native_wrong(request, "busy", "must be refuse, wait or take");
}

/* Its own id, or one that follows from the header, or a fresh one. */
static bool ask_turn(struct turn_ask *ask, const char *id, struct http_request *request)
{
	char key[KEY_HEX_SIZE], fresh[CONVO_UUID_SIZE];
	bool given;

	if (!native_repeat_key(key, &given, request, "turn"))
		return false;
	if (id && given)
		return native_wrong(request, "Idempotency-Key", "goes without a turn's own id");
	if (id && (!*id || strlen(id) > CONVO_MAX_NAME))
		return native_wrong(request, "turn", "a turn's id has 1 to 255 bytes");
	convo_uuid_make(fresh);
	snprintf(ask->turn, sizeof(ask->turn), "%s", id ? id : given ? key : fresh);
	ask->options.turn = ask->turn;
	return true;
}

static bool ask_messages(struct turn_ask *ask, const json_t *list, struct http_request *request)
{
	char param[32];
	size_t i;

	ask->count = json_array_size(list);
	ask->messages = calloc(ask->count ? ask->count : 1, sizeof(*ask->messages));
	if (!ask->messages)
		return native_nomem(request);
	for (i = 0; i < ask->count; i++) {
		const json_t *message = json_array_get(list, i);

		if (!json_is_object(message)) {
			snprintf(param, sizeof(param), "messages[%zu]", i);
			return native_wrong(request, param, "must be an object");
		}
		ask->messages[i].json = json_dumps(message, JSON_COMPACT);
		if (!ask->messages[i].json)
			return native_nomem(request);
		ask->messages[i].len = strlen(ask->messages[i].json);
	}
	ask->question.messages = ask->messages;
	ask->question.count = ask->count;
	return true;
}

static bool ask_said(struct turn_ask *ask, const struct members *members,
		     struct http_request *request)
{
	if (members->text && members->messages)
		return native_wrong(request, "messages", "goes without a text");
	if (members->text && !*members->text)
		return native_wrong(request, "text", "what is said is empty");
	if (!members->text && !json_array_size(members->messages))
		return native_wrong(request, "text", "a text or messages are what is said");
	ask->question.text = members->text;
	return members->text || ask_messages(ask, members->messages, request);
}

bool turn_ask_read(struct turn_ask *ask, const struct service *service,
		   struct http_request *request)
{
	struct members members = {.stream = true};

	if (!members_read(&members, ask, request) ||
	    !ask_model(ask, service, members.model, request) ||
	    !ask_busy(ask, members.busy, request) || !ask_turn(ask, members.turn, request) ||
	    !ask_said(ask, &members, request))
		return false;
	if (members.params) {
		ask->params = json_dumps(members.params, JSON_COMPACT);
		if (!ask->params)
			return native_nomem(request);
	}
	ask->options.params = ask->params;
	ask->options.instruction = members.instruction;
	ask->stream = members.stream;
	ask->question.user = request->who.user;
	ask->question.session = request->param[0];
	ask->question.whole = !members.stream;
	ask->question.fresh = members.fresh;
	ask->question.options = &ask->options;
	return true;
}

void turn_ask_clear(struct turn_ask *ask)
{
	size_t i;

	for (i = 0; ask->messages && i < ask->count; i++)
		free((char *)(uintptr_t)ask->messages[i].json);
	free(ask->messages);
	free(ask->params);
	json_decref(ask->body);
}
