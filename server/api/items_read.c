/*
 * Items into messages; see items.h.
 */
#include <stdio.h>
#include <string.h>

#include "api/items.h"
#include "api/openai.h"

struct gathering {
	struct messages *out;
	struct http_request *request;
	const char *list; /* the member that the items stand in */
	size_t at;        /* the item that is read */
	json_t *open;     /* a message of the assistant, which calls may follow; NULL: none */
};

static bool gather_wrong(const struct gathering *g, const char *member, const char *message)
{
	char param[96];

	snprintf(param, sizeof(param), "%s[%zu]%s%s", g->list, g->at, *member ? "." : "", member);
	return openai_wrong(g->request, param, message);
}

/* Add a message, which is taken. */
static bool gather_add(struct gathering *g, json_t *message)
{
	bool ok = message && messages_add(g->out, message);

	json_decref(message);
	return ok || openai_nomem(g->request);
}

static bool gather_close(struct gathering *g)
{
	json_t *open = g->open;

	g->open = NULL;
	return !open || gather_add(g, open);
}

/* ---- content -------------------------------------------------------------------------- */

static bool part_is_text(const char *type)
{
	return !strcmp(type, "input_text") || !strcmp(type, "output_text") || !strcmp(type, "text");
}

/* A part as chat has it. @return NULL: refused */
static json_t *part_read(const struct gathering *g, const json_t *part)
{
	const char *type = json_string_at(part, "type");
	const char *text = json_string_at(part, "text"), *url = json_string_at(part, "image_url");
	const char *detail = json_string_at(part, "detail");
	json_t *out;

	if (type && part_is_text(type) && text) {
		out = json_pack("{s:s,s:s}", "type", "text", "text", text);
	} else if (type && !strcmp(type, "input_image") && url) {
		out = json_pack("{s:s,s:{s:s,s:s}}", "type", "image_url", "image_url", "url", url,
				"detail", detail ? detail : "auto");
	} else {
		gather_wrong(g, "content",
			     "a part is input_text, output_text or input_image with an image_url");
		return NULL;
	}
	if (!out)
		openai_nomem(g->request);
	return out;
}

/* Most endpoints take one text as a string alone. */
static json_t *parts_simplify(json_t *parts)
{
	const json_t *only = json_array_size(parts) == 1 ? json_array_get(parts, 0) : NULL;
	json_t *text = json_object_get(only, "text");

	if (!text)
		return parts;
	json_incref(text);
	json_decref(parts);
	return text;
}

/* @return a new reference; NULL: refused */
static json_t *content_read(const struct gathering *g, const json_t *content)
{
	json_t *parts;
	size_t i;

	if (json_is_string(content))
		return json_string(json_string_value(content));
	if (!json_array_size(content)) {
		gather_wrong(g, "content", "the content is a text or an array of parts");
		return NULL;
	}
	parts = json_array();
	for (i = 0; i < json_array_size(content); i++) {
		json_t *part = part_read(g, json_array_get(content, i));

		if (!part || json_array_append_new(parts, part) < 0) {
			json_decref(parts);
			return NULL;
		}
	}
	return parts_simplify(parts);
}

/* Of the assistant all texts are one, and a refusal stands beside it. */
static json_t *spoken_read(const struct gathering *g, const json_t *content)
{
	struct text said = {0};
	const char *refusal = NULL;
	json_t *message = NULL;
	bool ok = text_adds(&said, "");
	size_t i;

	if (json_is_string(content))
		ok = ok && text_adds(&said, json_string_value(content));
	for (i = 0; ok && i < json_array_size(content); i++) {
		const json_t *part = json_array_get(content, i);
		const char *text = json_string_at(part, "text");

		refusal =
			json_string_at(part, "refusal") ? json_string_at(part, "refusal") : refusal;
		if (!text && !json_string_at(part, "refusal")) {
			gather_wrong(g, "content", "a part is output_text or refusal");
			goto out;
		}
		ok = !text || text_adds(&said, text);
	}
	if (ok)
		message = json_pack("{s:s,s:s,s:s*}", "role", "assistant", "content", said.data,
				    "refusal", refusal);
	if (!message)
		openai_nomem(g->request);
out:
	text_clear(&said);
	return message;
}

/* ---- items ---------------------------------------------------------------------------- */

static bool gather_message(struct gathering *g, const json_t *item)
{
	static const char *const roles[] = {"user", "system", "developer", "assistant"};
	const char *role = json_string_at(item, "role");
	const json_t *given = json_object_get(item, "content");
	json_t *content;
	size_t i;

	for (i = 0; role && i < 4 && strcmp(role, roles[i]) != 0; i++)
		;
	if (!role || i == 4)
		return gather_wrong(g, "role", "the role is user, assistant, system or developer");
	if (!gather_close(g))
		return false;
	if (i == 3) {
		g->open = spoken_read(g, given);
		return g->open != NULL;
	}
	content = content_read(g, given);
	return content && gather_add(g, json_pack("{s:s,s:o}", "role", role, "content", content));
}

static bool gather_call(struct gathering *g, const json_t *item)
{
	const char *id = json_string_at(item, "call_id"), *name = json_string_at(item, "name");
	const char *arguments = json_string_at(item, "arguments");
	json_t *calls;

	if (!id || !*id || !name || !*name || !arguments)
		return gather_wrong(g, "", "a function_call has call_id, name and arguments");
	if (!g->open)
		g->open = json_pack("{s:s,s:n}", "role", "assistant", "content");
	if (g->open && !json_object_get(g->open, "tool_calls"))
		json_object_set_new(g->open, "tool_calls", json_array());
	calls = json_object_get(g->open, "tool_calls");
	return json_array_append_new(calls, json_pack("{s:s,s:s,s:{s:s,s:s}}", "id", id, "type",
						      "function", "function", "name", name,
						      "arguments", arguments)) == 0 ||
	       openai_nomem(g->request);
}

static bool gather_output(struct gathering *g, const json_t *item)
{
	const char *id = json_string_at(item, "call_id");
	json_t *content;

	if (!id || !*id)
		return gather_wrong(g, "call_id", "a function_call_output has a call_id");
	if (!gather_close(g))
		return false;
	content = content_read(g, json_object_get(item, "output"));
	return content && gather_add(g, json_pack("{s:s,s:s,s:o}", "role", "tool", "tool_call_id",
						  id, "content", content));
}

static bool gather_item(struct gathering *g, const json_t *item)
{
	const char *type = json_string_at(item, "type");

	if (!type && json_object_get(item, "role"))
		type = "message";
	if (!type)
		return gather_wrong(g, "type", "an item is an object with a type");
	if (!strcmp(type, "message"))
		return gather_message(g, item);
	if (!strcmp(type, "function_call"))
		return gather_call(g, item);
	if (!strcmp(type, "function_call_output"))
		return gather_output(g, item);
	return !strcmp(type, "reasoning") ||
	       gather_wrong(g, "type",
			    "an item is a message, function_call, function_call_output or "
			    "reasoning: others are not supported");
}

bool items_read(struct messages *out, const json_t *items, const char *param,
		struct http_request *request)
{
	struct gathering g = {.out = out, .request = request, .list = param};
	const char *text = json_string_value(items);
	size_t count = json_array_size(items);
	bool ok = true;

	if (text && *text)
		ok = gather_add(&g, json_pack("{s:s,s:s}", "role", "user", "content", text));
	for (; ok && g.at < count; g.at++)
		ok = gather_item(&g, json_array_get(items, g.at));
	ok = ok && gather_close(&g);
	json_decref(g.open);
	if (!ok)
		return false;
	messages_close(out);
	return out->count ||
	       openai_wrong(request, param, "it is neither a text nor an array of items, or empty");
}
