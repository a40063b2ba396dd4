/*
 * Reading what is asked; see chat_ask.h.
 */
#include "api/chat_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/text.h>

#include "api/chat_history.h"
#include "api/openai.h"
#include "http/route.h"

/* Who says what is new: we do, or the client. */
static bool ask_read_history(struct chat_ask *ask, struct http_request *request)
{
	const char *header = http_header(request, "X-Convo-History");

	ask->history = header && !strcmp(header, "client");
	if (!header || (ask->history && ask->session))
		return true;
	return openai_wrong(request, NULL, "X-Convo-History is \"client\", in a session");
}

/* A header holds ASCII alone: there the name is percent-encoded. */
static bool ask_read_session(struct chat_ask *ask, struct http_request *request)
{
	const char *header = http_header(request, "X-Convo-Session");
	const char *member = json_string_at(json_object_get(ask->body, "metadata"), "session_id");

	if (!header && !member)
		return true;
	ask->session = strdup(header ? header : member);
	if (!ask->session)
		return openai_nomem(request);
	if (header && !http_percent_decode(ask->session, false))
		return openai_wrong(request, NULL, "X-Convo-Session is not percent-encoded text");
	return openai_once(ask->once, request, ask->session);
}

static bool ask_read_options(struct chat_ask *ask, struct http_request *request)
{
	const json_t *options = json_object_get(ask->body, "stream_options");
	const json_t *n = json_object_get(ask->body, "n");

	if (!openai_switch(&ask->stream, json_object_get(ask->body, "stream")))
		return openai_wrong(request, "stream", "stream must be true or false");
	if (!openai_switch(&ask->stream_usage, json_object_get(options, "include_usage")))
		return openai_wrong(request, "stream_options.include_usage",
				    "include_usage must be true or false");
	if (n && !json_is_null(n) && json_integer_value(n) != 1)
		return openai_wrong(request, "n", "one answer is all there is: n must be 1");
	return ask_read_session(ask, request) && ask_read_history(ask, request);
}

static bool ask_write_messages(struct chat_ask *ask, const json_t *list,
			       struct http_request *request)
{
	const json_t *message;
	char param[48];
	size_t i;

	json_array_foreach(list, i, message)
	{
		if (!json_string_at(message, "role")) {
			snprintf(param, sizeof(param), "messages[%zu].role", i);
			return openai_wrong(request, param,
					    "each message is an object with a role");
		}
		if (!messages_add(&ask->said, message))
			return openai_nomem(request);
	}
	return true;
}

static bool ask_read_messages(struct chat_ask *ask, struct http_request *request)
{
	const json_t *list = json_object_get(ask->body, "messages");

	if (!json_array_size(list))
		return openai_wrong(request, "messages",
				    "messages must be an array with one at least");
	if (!ask_write_messages(ask, list, request))
		return false;
	messages_close(&ask->said);
	return true;
}

static bool ask_has_role(const json_t *list, size_t i, const char *role)
{
	return strcmp(json_string_at(json_array_get(list, i), "role"), role) == 0;
}

/* A system message in front is said for this request alone. */
static bool ask_read_instruction(struct chat_ask *ask, const json_t *list,
				 struct http_request *request)
{
	struct convo_err err;

	if (!ask_has_role(list, 0, "system") && !ask_has_role(list, 0, "developer"))
		return true;
	if (convo_message_text(&ask->instruction, ask->said.list[0].json, ask->said.list[0].len,
			       &err) == 0)
		return true;
	openai_fail(request, OPENAI_REQUEST, &err);
	return false;
}

/*
 * Clients send all of the conversation each time. New is the last message of role user, and what tools
 * have answered since the assistant spoke last; only these stay.
 */
static bool ask_keep_last(struct chat_ask *ask, const json_t *list, struct http_request *request)
{
	size_t spoke = ask->said.count, said = ask->said.count, kept = 0, i;

	while (spoke && !ask_has_role(list, spoke - 1, "assistant"))
		spoke--;
	for (i = spoke; i < ask->said.count; i++) {
		if (ask_has_role(list, i, "tool"))
			ask->said.list[kept++] = ask->said.list[i];
	}
	while (said && !ask_has_role(list, said - 1, "user"))
		said--;
	if (said > spoke || (said && !kept)) {
		const char *text = json_string_at(json_array_get(list, said - 1), "content");

		if (text && !*text)
			return openai_wrong(request, "messages", "what is said is empty");
		ask->said.list[kept++] = ask->said.list[said - 1];
	}
	ask->said.count = kept;
	return kept || openai_wrong(request, "messages",
				    "in a session the last message of role user is what is said");
}

/* All of it counts, as far as the store does not have it. */
static bool ask_keep_history(struct chat_ask *ask, const json_t *list,
			     const struct service *service, struct http_request *request)
{
	struct messages *said = &ask->said;

	if (ask->instruction)
		memmove(said->list, said->list + 1, --said->count * sizeof(*said->list));
	if (!said->count || ask_has_role(list, json_array_size(list) - 1, "assistant"))
		return openai_wrong(request, "messages",
				    "the last message is what is said to the model");
	return chat_history_keep_new(said, &ask->after_seq, ask->session, service, request);
}

static bool ask_keep_new(struct chat_ask *ask, const struct service *service,
			 struct http_request *request)
{
	const json_t *list = json_object_get(ask->body, "messages");

	if (!ask_read_instruction(ask, list, request))
		return false;
	return ask->history ? ask_keep_history(ask, list, service, request)
			    : ask_keep_last(ask, list, request);
}

/* What is not ours is the model's. */
static bool ask_read_params(struct chat_ask *ask, struct http_request *request)
{
	static const char *const ours[] = {"model", "messages", "stream", "stream_options", "n"};
	json_t *metadata = json_object_get(ask->body, "metadata");
	size_t i;

	json_object_del(metadata, "session_id");
	if (metadata && !json_object_size(metadata))
		json_object_del(ask->body, "metadata");
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		json_object_del(ask->body, ours[i]);
	if (!models_add_params(ask->body, ask->model))
		return openai_nomem(request);
	if (json_object_size(ask->body) && !json_write(&ask->params, ask->body))
		return openai_nomem(request);
	return true;
}

bool chat_ask_read(struct chat_ask *ask, const struct service *service,
		   struct http_request *request)
{
	ask->body = openai_body(request);
	if (!ask->body)
		return false;
	ask->model = openai_model(service, request, ask->body);
	if (!ask->model || !ask_read_options(ask, request) || !ask_read_messages(ask, request))
		return false;
	return (!ask->session || ask_keep_new(ask, service, request)) &&
	       ask_read_params(ask, request);
}

void chat_ask_clear(struct chat_ask *ask)
{
	json_decref(ask->body);
	free(ask->session);
	messages_clear(&ask->said);
	text_clear(&ask->params);
	convo_free(ask->instruction);
}
