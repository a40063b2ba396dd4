/*
 * Messages into items; see items.h.
 */
#include <string.h>

#include "api/items.h"
#include "api/token.h"

bool item_set(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) == 0;
}

bool item_is(const json_t *item, const char *id)
{
	const char *own = json_string_at(item, "id");

	return own && strcmp(own, id) == 0;
}

static const char *item_status(const struct convo_event *event)
{
	return event->status == CONVO_COMPLETE ? "completed" : "incomplete";
}

/* ---- content -------------------------------------------------------------------------- */

/* A part as items have it. */
static json_t *part_write(const json_t *part)
{
	const char *text = json_string_at(part, "text");
	const json_t *image = json_object_get(part, "image_url");
	const char *detail = json_string_at(image, "detail");

	if (image)
		return json_pack("{s:s,s:s*,s:s}", "type", "input_image", "image_url",
				 json_string_at(image, "url"), "detail", detail ? detail : "auto");
	return json_pack("{s:s,s:s}", "type", "input_text", "text", text ? text : "");
}

static json_t *content_write(const json_t *content)
{
	const char *text = json_string_value(content);
	json_t *parts = json_array();
	size_t i;

	if (!json_is_array(content))
		json_array_append_new(parts, json_pack("{s:s,s:s}", "type", "input_text", "text",
						       text ? text : ""));
	for (i = 0; i < json_array_size(content); i++)
		json_array_append_new(parts, part_write(json_array_get(content, i)));
	return parts;
}

/* What the assistant says, in parts. */
static json_t *spoken_write(const char *text, const char *refusal)
{
	json_t *parts = json_array();

	if (text && *text)
		json_array_append_new(parts, json_pack("{s:s,s:s,s:[],s:[]}", "type", "output_text",
						       "text", text, "annotations", "logprobs"));
	if (refusal && *refusal)
		json_array_append_new(parts, json_pack("{s:s,s:s}", "type", "refusal", "refusal",
						       refusal));
	return parts;
}

/* ---- items ---------------------------------------------------------------------------- */

static bool add_message(json_t *list, const struct convo_event *event, const char *role,
			json_t *content)
{
	char id[ITEM_ID_SIZE];

	item_id_write(id, "msg_", event->id, -1);
	return json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", id, "type",
						     "message", "status", item_status(event),
						     "role", role, "content", content)) == 0;
}

static bool add_reasoning(json_t *list, const struct convo_event *event, const char *text)
{
	char id[ITEM_ID_SIZE];

	item_id_write(id, "rs_", event->id, -1);
	return json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:[],s:[{s:s,s:s}]}", "id", id,
						     "type", "reasoning", "status",
						     item_status(event), "summary", "content",
						     "type", "reasoning_text", "text", text)) == 0;
}

static bool add_call(json_t *list, const struct convo_event *event, const json_t *call, size_t i)
{
	const json_t *function = json_object_get(call, "function");
	const char *call_id = json_string_at(call, "id"), *name = json_string_at(function, "name");
	const char *arguments = json_string_at(function, "arguments");
	char id[ITEM_ID_SIZE];

	item_id_write(id, "fc_", event->id, (int)i);
	return json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "id", id, "type",
						     "function_call", "status", item_status(event),
						     "call_id", call_id ? call_id : "", "name",
						     name ? name : "", "arguments",
						     arguments ? arguments : "")) == 0;
}

static bool add_output(json_t *list, const struct convo_event *event, const json_t *message)
{
	const char *call_id = json_string_at(message, "tool_call_id");
	const json_t *content = json_object_get(message, "content");
	json_t *output = json_is_string(content) ? json_string(json_string_value(content))
						 : content_write(content);
	char id[ITEM_ID_SIZE];

	item_id_write(id, "fco_", event->id, -1);
	return json_array_append_new(
		       list, json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", id, "type",
				       "function_call_output", "status", item_status(event),
				       "call_id", call_id ? call_id : "", "output", output)) == 0;
}

static bool add_spoken(json_t *list, const struct convo_event *event, const json_t *message)
{
	const char *thought = json_string_at(message, "reasoning_content");
	const char *text = json_string_at(message, "content");
	const char *refusal = json_string_at(message, "refusal");
	const json_t *calls = json_object_get(message, "tool_calls");
	json_t *parts;
	size_t i;
	bool ok;

	if (!thought)
		thought = json_string_at(message, "reasoning");
	ok = !thought || !*thought || add_reasoning(list, event, thought);
	parts = json_is_array(json_object_get(message, "content"))
			? content_write(json_object_get(message, "content"))
			: spoken_write(text, refusal);
	if (ok && json_array_size(parts))
		ok = add_message(list, event, "assistant", parts);
	else
		json_decref(parts);
	for (i = 0; ok && i < json_array_size(calls); i++)
		ok = add_call(list, event, json_array_get(calls, i), i);
	return ok;
}

bool items_add(json_t *list, const struct convo_event *event)
{
	json_t *message = json_read(event->message, event->message_len, NULL);
	const char *role = json_string_at(message, "role");
	bool ok = role != NULL;

	if (ok && !strcmp(role, "assistant"))
		ok = add_spoken(list, event, message);
	else if (ok && (!strcmp(role, "tool") || !strcmp(role, "function")))
		ok = add_output(list, event, message);
	else if (ok && strcmp(role, "control") != 0)
		ok = add_message(list, event, role,
				 content_write(json_object_get(message, "content")));
	json_decref(message);
	return ok;
}
