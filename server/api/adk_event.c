/*
 * Events; see adk_event.h.
 */
#include "api/adk_event.h"

#include <stdlib.h>
#include <string.h>

/* ---- from the store ------------------------------------------------------------------- */

bool adk_event_shows(const struct convo_event *event)
{
	return !strcmp(event->role, "user") || !strcmp(event->role, "assistant") ||
	       !strcmp(event->role, "tool");
}

static bool text_part_write(struct text *out, const char *text, bool thought)
{
	return text_adds(out, "{\"text\":") && json_quotes(out, text) &&
	       text_adds(out, thought ? ",\"thought\":true}" : "}");
}

/* A picture: its bytes, or where they are. */
static bool picture_part_write(struct text *out, const char *url)
{
	const char *comma = strncmp(url, "data:", 5) ? NULL : strstr(url, ";base64,");

	if (!comma)
		return text_adds(out, "{\"fileData\":{\"fileUri\":") && json_quotes(out, url) &&
		       text_adds(out, "}}");
	return text_adds(out, "{\"inlineData\":{\"mimeType\":") &&
	       json_quote(out, url + 5, (size_t)(comma - url - 5)) &&
	       text_adds(out, ",\"data\":") && json_quotes(out, comma + 8) && text_adds(out, "}}");
}

/* An element of a content array. Kinds that ADK has no word for become nothing. */
static bool element_write(struct text *out, const json_t *element, const char **between)
{
	const char *text = json_string_at(element, "text");
	const char *url = json_string_at(json_object_get(element, "image_url"), "url");

	if (!text && !url)
		return true;
	if (!text_adds(out, *between))
		return false;
	*between = ",";
	return text ? text_part_write(out, text, false) : picture_part_write(out, url);
}

/* Arguments are JSON in a text; where a model wrote no object, they are none. */
static bool call_part_write(struct text *out, const json_t *call)
{
	const json_t *function = json_object_get(call, "function");
	const char *arguments = json_string_at(function, "arguments");
	json_t *args = arguments ? json_read(arguments, strlen(arguments), NULL) : NULL;
	bool ok = text_adds(out, "{\"functionCall\":{\"id\":") &&
		  json_quotes(out, json_string_at(call, "id")) && text_adds(out, ",\"name\":") &&
		  json_quotes(out, json_string_at(function, "name")) &&
		  text_adds(out, ",\"args\":") &&
		  (json_is_object(args) ? json_write(out, args) : text_adds(out, "{}")) &&
		  text_adds(out, "}}");

	json_decref(args);
	return ok;
}

static bool output_part_write(struct text *out, const json_t *message)
{
	const char *content = json_string_at(message, "content");
	json_t *value = content ? json_read(content, strlen(content), NULL) : NULL;
	bool ok = text_adds(out, "{\"functionResponse\":{\"id\":") &&
		  json_quotes(out, json_string_at(message, "tool_call_id")) &&
		  text_adds(out, ",\"name\":") &&
		  json_quotes(out, json_string_at(message, "name")) &&
		  text_adds(out, ",\"response\":");

	if (ok && json_is_object(value))
		ok = json_write(out, value);
	else if (ok)
		ok = text_adds(out, "{\"result\":") && json_quotes(out, content ? content : "") &&
		     text_adds(out, "}");
	json_decref(value);
	return ok && text_adds(out, "}}");
}

static bool parts_write(struct text *out, const json_t *message, const char *role)
{
	const json_t *content = json_object_get(message, "content");
	const json_t *calls = json_object_get(message, "tool_calls");
	const char *thought = json_string_at(message, "reasoning_content");
	const char *text = json_string_value(content), *between = "";
	bool ok = true;
	size_t i;

	if (!strcmp(role, "tool"))
		return output_part_write(out, message);
	if (thought && *thought) {
		ok = text_part_write(out, thought, true);
		between = ",";
	}
	if (ok && text && (*text || !json_array_size(calls))) {
		ok = text_adds(out, between) && text_part_write(out, text, false);
		between = ",";
	}
	for (i = 0; ok && i < json_array_size(content); i++)
		ok = element_write(out, json_array_get(content, i), &between);
	for (i = 0; ok && i < json_array_size(calls); i++) {
		ok = text_adds(out, between) && call_part_write(out, json_array_get(calls, i));
		between = ",";
	}
	return ok;
}

/* How it ended, for one that is not whole. */
static bool end_write(struct text *out, const struct convo_event *event)
{
	if (event->status == CONVO_COMPLETE)
		return true;
	if (event->status == CONVO_INTERRUPTED)
		return text_adds(out, ",\"interrupted\":true");
	return text_adds(out, ",\"errorCode\":\"FAILED\",\"errorMessage\":") &&
	       json_quotes(out, event->error ? event->error : "the answer failed");
}

static bool usage_write(struct text *out, const struct convo_event *event)
{
	json_t *usage = event->usage ? json_read(event->usage, strlen(event->usage), NULL) : NULL;
	const json_int_t asked = json_integer_value(json_object_get(usage, "prompt_tokens"));
	const json_int_t said = json_integer_value(json_object_get(usage, "completion_tokens"));
	bool ok = !usage || text_addf(out,
				      ",\"usageMetadata\":{\"promptTokenCount\":%lld,"
				      "\"candidatesTokenCount\":%lld,\"totalTokenCount\":%lld}",
				      (long long)asked, (long long)said, (long long)(asked + said));

	json_decref(usage);
	return ok;
}

/* Whose event it is: the user's, or an agent's, which is called as the application where it has no name. */
static const char *author_of(const struct convo_event *event, const char *app)
{
	if (!strcmp(event->role, "user") || !strcmp(event->role, "tool"))
		return "user";
	return strcmp(event->author, "assistant") != 0 ? event->author : app;
}

bool adk_event_write(struct text *out, const struct convo_event *event, const char *app,
		     bool partial)
{
	json_t *message = json_read(event->message, event->message_len, NULL);
	const bool model = !strcmp(event->role, "assistant");
	bool ok = message && text_adds(out, "{\"content\":{\"parts\":[") &&
		  parts_write(out, message, event->role) &&
		  text_addf(out, "],\"role\":\"%s\"}", model ? "model" : "user") &&
		  (!partial || text_adds(out, ",\"partial\":true")) && end_write(out, event) &&
		  usage_write(out, event) && text_adds(out, ",\"invocationId\":") &&
		  json_quotes(out, event->turn ? event->turn : "") &&
		  text_adds(out, ",\"author\":") && json_quotes(out, author_of(event, app)) &&
		  text_adds(out, ",\"actions\":{\"stateDelta\":") &&
		  text_adds(out, event->state ? event->state : "{}") &&
		  text_adds(out, ",\"artifactDelta\":{},\"requestedAuthConfigs\":{},"
				 "\"requestedToolConfirmations\":{}},\"nodeInfo\":{\"path\":\"\"},"
				 "\"id\":") &&
		  json_quotes(out, event->id) &&
		  text_addf(out, ",\"timestamp\":%lld.%03lld}", (long long)(event->time_ms / 1000),
			    (long long)(event->time_ms % 1000));

	json_decref(message);
	return ok;
}

/* ---- from a client -------------------------------------------------------------------- */

static json_t *either(const json_t *object, const char *camel, const char *snake)
{
	json_t *value = json_object_get(object, camel);

	return value ? value : json_object_get(object, snake);
}

/* Bytes come in either alphabet of base64; a data URL wants the first. */
static json_t *picture_element(const json_t *data)
{
	const char *type = json_string_value(either(data, "mimeType", "mime_type"));
	const char *bytes = json_string_at(data, "data");
	struct text url = {0};
	json_t *element = NULL;
	char *c;

	if (type && bytes && text_addf(&url, "data:%s;base64,", type) && text_adds(&url, bytes)) {
		for (c = url.data + strlen(type) + 13; *c; c++)
			*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
		element = json_pack("{s:s,s:{s:s}}", "type", "image_url", "image_url", "url",
				    url.data);
	}
	text_clear(&url);
	return element;
}

/* A part as an element of a content array; NULL: it is none that can be. */
static json_t *part_element(const json_t *part)
{
	const json_t *data = either(part, "inlineData", "inline_data");
	const json_t *file = either(part, "fileData", "file_data");
	const char *text = json_string_at(part, "text");
	const char *uri = json_string_value(either(file, "fileUri", "file_uri"));

	if (text)
		return json_pack("{s:s,s:s}", "type", "text", "text", text);
	if (uri)
		return json_pack("{s:s,s:{s:s}}", "type", "image_url", "image_url", "url", uri);
	return json_is_object(data) ? picture_element(data) : NULL;
}

static json_t *part_call(const json_t *call)
{
	json_t *args = json_object_get(call, "args"), *value = NULL;
	struct text text = {0};

	if (json_string_at(call, "name") && json_string_at(call, "id") &&
	    (args ? json_write(&text, args) : text_adds(&text, "{}")))
		value = json_pack("{s:s,s:s,s:{s:s,s:s}}", "id", json_string_at(call, "id"), "type",
				  "function", "function", "name", json_string_at(call, "name"),
				  "arguments", text.data);
	text_clear(&text);
	return value;
}

static json_t *output_message(const json_t *output)
{
	const json_t *response = json_object_get(output, "response");
	json_t *message = NULL;
	struct text text = {0};

	if (json_string_at(output, "id") && json_is_object(response) && json_write(&text, response))
		message = json_pack("{s:s,s:s,s:s*,s:s}", "role", "tool", "tool_call_id",
				    json_string_at(output, "id"), "name",
				    json_string_at(output, "name"), "content", text.data);
	text_clear(&text);
	return message;
}

/* Takes the message. */
static bool messages_add(struct adk_messages *out, json_t *message)
{
	struct convo_message *list = realloc(out->list, (out->count + 1) * sizeof(*list));
	const size_t at = out->texts.len;
	bool ok =
		list && message && json_write(&out->texts, message) && text_add(&out->texts, "", 1);

	if (list)
		out->list = list;
	json_decref(message);
	if (!ok)
		return false;
	list[out->count].json = NULL;
	list[out->count++].len = out->texts.len - at - 1;
	return true;
}

/* What the parts come to that are no outputs: one message, or none. */
static bool messages_add_rest(struct adk_messages *out, const char *role, json_t *content,
			      json_t *calls)
{
	const size_t count = json_array_size(content);
	const char *only = json_string_at(json_array_get(content, 0), "text");
	json_t *message;

	if (!count && !json_array_size(calls))
		return true;
	if (count == 1 && only)
		message = json_pack("{s:s,s:s}", "role", role, "content", only);
	else
		message = json_pack("{s:s,s:o*}", "role", role, "content",
				    count ? json_incref(content) : json_null());
	if (message && json_array_size(calls))
		json_object_set(message, "tool_calls", calls);
	return messages_add(out, message);
}

static const char *part_read(struct adk_messages *out, const json_t *part, bool model,
			     json_t *content, json_t *calls)
{
	const json_t *call = either(part, "functionCall", "function_call");
	const json_t *output = either(part, "functionResponse", "function_response");
	json_t *element;

	if (json_is_true(json_object_get(part, "thought")))
		return NULL;
	if (json_is_object(output))
		return messages_add(out, output_message(output))
			       ? NULL
			       : "a functionResponse has an id and a response, an object";
	if (json_is_object(call))
		return model && json_array_append_new(calls, part_call(call)) == 0
			       ? NULL
			       : "a functionCall is the model's, and has an id and a name";
	element = part_element(part);
	if (element && json_array_append_new(content, element) == 0)
		return NULL;
	return "a part has text, inlineData, fileData, functionCall or functionResponse";
}

const char *adk_content_read(struct adk_messages *out, const json_t *content)
{
	const json_t *parts = json_object_get(content, "parts");
	const char *role = json_string_at(content, "role"), *wrong = NULL, *at;
	const bool model = role && !strcmp(role, "model");
	json_t *elements = json_array(), *calls = json_array();
	size_t i;

	out->texts.max = (size_t)48 << 20; /* escapes can make them longer than they came */
	for (i = 0; !wrong && i < json_array_size(parts); i++)
		wrong = part_read(out, json_array_get(parts, i), model, elements, calls);
	if (!wrong && !messages_add_rest(out, model ? "assistant" : "user", elements, calls))
		wrong = "out of memory";
	json_decref(elements);
	json_decref(calls);
	for (i = 0, at = out->texts.data; i < out->count; at += out->list[i++].len + 1)
		out->list[i].json = at;
	return wrong || out->count ? wrong : "a content wants parts";
}

void adk_messages_clear(struct adk_messages *messages)
{
	free(messages->list);
	text_clear(&messages->texts);
}
