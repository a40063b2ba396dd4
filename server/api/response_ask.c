/*
 * Reading what is asked; see response_ask.h.
 */
#include "api/response_ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/items.h"
#include "api/openai.h"

/* Null is as good as absent. */
static const json_t *ask_member(const struct response_ask *ask, const char *name)
{
	const json_t *value = json_object_get(ask->body, name);

	return json_is_null(value) ? NULL : value;
}

/* ---- what the model is told ----------------------------------------------------------- */

static json_t *tool_read(const json_t *tool)
{
	static const char *const members[] = {"name", "description", "parameters", "strict"};
	json_t *function = json_object();
	size_t i;

	for (i = 0; i < 4; i++) {
		json_t *value = json_object_get(tool, members[i]);

		if (value && !json_is_null(value))
			json_object_set(function, members[i], value);
	}
	return json_pack("{s:s,s:o}", "type", "function", "function", function);
}

static bool ask_read_tools(struct response_ask *ask, json_t *params, struct http_request *request)
{
	const json_t *given = ask_member(ask, "tools");
	json_t *tools;
	size_t i;

	if (!given || (json_is_array(given) && !json_array_size(given)))
		return true;
	tools = json_array();
	for (i = 0; i < json_array_size(given); i++) {
		const json_t *tool = json_array_get(given, i);
		const char *type = json_string_at(tool, "type");

		if (!type || strcmp(type, "function") != 0 || !json_string_at(tool, "name"))
			break;
		json_array_append_new(tools, tool_read(tool));
	}
	if (i < json_array_size(given) || !json_is_array(given)) {
		json_decref(tools);
		return openai_wrong(request, "tools",
				    "tools are functions with a name: others are not supported");
	}
	return item_set(params, "tools", tools) || openai_nomem(request);
}

static bool ask_read_choice(struct response_ask *ask, json_t *params, struct http_request *request)
{
	const json_t *choice = ask_member(ask, "tool_choice");
	const char *word = json_string_value(choice), *type = json_string_at(choice, "type");
	const char *name = json_string_at(choice, "name");

	if (!choice || !ask_member(ask, "tools"))
		return true;
	if (word && (!strcmp(word, "auto") || !strcmp(word, "none") || !strcmp(word, "required")))
		return item_set(params, "tool_choice", json_string(word)) || openai_nomem(request);
	if (type && name && !strcmp(type, "function"))
		return item_set(params, "tool_choice",
				json_pack("{s:s,s:{s:s}}", "type", "function", "function", "name",
					  name)) ||
		       openai_nomem(request);
	return openai_wrong(request, "tool_choice",
			    "tool_choice is auto, none, required or a function with a name");
}

/* How the answer is to look. */
static bool ask_read_format(struct response_ask *ask, json_t *params, struct http_request *request)
{
	static const char *const members[] = {"name", "description", "schema", "strict"};
	const json_t *format = json_object_get(ask_member(ask, "text"), "format");
	const char *type = json_string_at(format, "type");
	json_t *schema;
	size_t i;

	if (!format || json_is_null(format) || (type && !strcmp(type, "text")))
		return true;
	if (type && !strcmp(type, "json_object"))
		return item_set(params, "response_format", json_pack("{s:s}", "type", type)) ||
		       openai_nomem(request);
	if (!type || strcmp(type, "json_schema") != 0 || !json_string_at(format, "name") ||
	    !json_is_object(json_object_get(format, "schema")))
		return openai_wrong(request, "text.format",
				    "the format is text, json_object, or json_schema with name "
				    "and schema");
	schema = json_object();
	for (i = 0; i < 4; i++)
		if (json_object_get(format, members[i]))
			json_object_set(schema, members[i], json_object_get(format, members[i]));
	return item_set(params, "response_format",
			json_pack("{s:s,s:o}", "type", type, "json_schema", schema)) ||
	       openai_nomem(request);
}

/* Numbers and switches that have another name there, or the same one. */
static bool ask_read_numbers(struct response_ask *ask, json_t *params, struct http_request *request)
{
	static const struct {
		const char *name, *chat;
		bool whole, flag;
	} rows[] = {
		{"temperature", "temperature", false, false},
		{"top_p", "top_p", false, false},
		{"max_output_tokens", "max_tokens", true, false},
		{"parallel_tool_calls", "parallel_tool_calls", false, true},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *value = json_object_get(ask->body, rows[i].name);

		if (!value || json_is_null(value))
			continue;
		if (rows[i].flag    ? !json_is_boolean(value)
		    : rows[i].whole ? json_integer_value(value) < 1
				    : !json_is_number(value))
			return openai_wrong(request, rows[i].name, "it is not what it must be");
		if (rows[i].flag && !ask_member(ask, "tools"))
			continue; /* endpoints refuse it without tools */
		if (json_object_set(params, rows[i].chat, value) < 0)
			return openai_nomem(request);
	}
	return true;
}

static bool ask_read_params(struct response_ask *ask, struct http_request *request)
{
	const char *effort = json_string_at(ask_member(ask, "reasoning"), "effort");
	const char *verbosity = json_string_at(ask_member(ask, "text"), "verbosity");
	json_t *params = json_object();
	bool ok = ask_read_tools(ask, params, request) && ask_read_choice(ask, params, request) &&
		  ask_read_format(ask, params, request) && ask_read_numbers(ask, params, request);

	if (ok && effort)
		item_set(params, "reasoning_effort", json_string(effort));
	if (ok && verbosity)
		item_set(params, "verbosity", json_string(verbosity));
	if (ok && !models_add_params(params, ask->model))
		ok = openai_nomem(request);
	if (ok && json_object_size(params) && !json_write(&ask->params, params))
		ok = openai_nomem(request);
	json_decref(params);
	return ok;
}

/* ---- where it belongs ----------------------------------------------------------------- */

static bool ask_read_place(struct response_ask *ask, struct http_request *request)
{
	const char *previous = json_string_at(ask->body, "previous_response_id");
	const json_t *given = ask_member(ask, "conversation");
	const char *conversation =
		json_is_object(given) ? json_string_at(given, "id") : json_string_value(given);

	if (previous && given)
		return openai_wrong(request, "conversation",
				    "previous_response_id and conversation exclude each other");
	if ((previous || given || ask->background) && ask->stateless)
		return openai_wrong(request, "store",
				    "what follows another response, is said in a conversation or "
				    "goes on in the background is stored");
	if (given && !conversation)
		return openai_wrong(request, "conversation", "a conversation is named by its id");
	if (previous && !token_read_response(&ask->previous, previous))
		return openai_absent(request, "response");
	if (conversation && !token_read_conversation(&ask->conversation, conversation))
		return openai_absent(request, "conversation");
	return true;
}

static bool ask_read_options(struct response_ask *ask, struct http_request *request)
{
	static const char *const refused[] = {"prompt", "background_options"};
	static const char *const objects[] = {"metadata", "text", "reasoning"};
	const json_t *store = ask_member(ask, "store");
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (ask_member(ask, refused[i]))
			return openai_wrong(request, refused[i], "it is not supported");
	if (!openai_switch(&ask->stream, json_object_get(ask->body, "stream")))
		return openai_wrong(request, "stream", "stream must be true or false");
	if (!openai_switch(&ask->background, json_object_get(ask->body, "background")))
		return openai_wrong(request, "background", "background must be true or false");
	if (store && !json_is_boolean(store))
		return openai_wrong(request, "store", "store must be true or false");
	ask->stateless = json_is_false(store);
	for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (ask_member(ask, objects[i]) && !json_is_object(ask_member(ask, objects[i])))
			return openai_wrong(request, objects[i], "it is an object");
	if (ask_member(ask, "instructions") && !json_string_at(ask->body, "instructions"))
		return openai_wrong(request, "instructions", "instructions are a text");
	ask->instructions = json_string_at(ask->body, "instructions");
	return ask_read_place(ask, request);
}

/* ---- what is said again --------------------------------------------------------------- */

/* A member as it was asked, or what holds without it. The standard is taken. */
static void echo_set(struct response_ask *ask, const char *name, json_t *standard)
{
	json_t *given = json_object_get(ask->body, name);

	if (!given || json_is_null(given))
		json_object_set_new(ask->echo, name, standard);
	else
		json_object_set(ask->echo, name, given);
	if (given && !json_is_null(given))
		json_decref(standard);
}

static bool ask_echo(struct response_ask *ask, struct http_request *request)
{
	static const char *const nulls[] = {"instructions", "max_output_tokens",
					    "previous_response_id", "reasoning"};
	const json_t *conversation = ask_member(ask, "conversation");
	char token[TOKEN_SIZE];
	size_t i;

	ask->echo = json_pack("{s:s,s:I,s:s,s:b,s:b,s:i,s:s}", "object", "response", "created_at",
			      (json_int_t)time(NULL), "model", ask->model->name, "background",
			      ask->background, "store", !ask->stateless, "count",
			      (int)ask->said.count, "truncation", "disabled");
	if (!ask->echo)
		return openai_nomem(request);
	for (i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		echo_set(ask, nulls[i], json_null());
	echo_set(ask, "metadata", json_object());
	echo_set(ask, "tools", json_array());
	echo_set(ask, "tool_choice", json_string("auto"));
	echo_set(ask, "parallel_tool_calls", json_true());
	echo_set(ask, "temperature", json_real(1.0));
	echo_set(ask, "top_p", json_real(1.0));
	echo_set(ask, "text", json_pack("{s:{s:s}}", "format", "type", "text"));
	if (conversation)
		token_write(token, &ask->conversation);
	return item_set(ask->echo, "conversation",
			conversation ? json_pack("{s:s}", "id", token) : json_null()) ||
	       openai_nomem(request);
}

bool response_ask_read(struct response_ask *ask, const struct service *service,
		       struct http_request *request)
{
	ask->body = openai_body(request);
	if (!ask->body)
		return false;
	ask->model = openai_model(service, request, ask->body);
	return ask->model && ask_read_options(ask, request) &&
	       items_read(&ask->said, json_object_get(ask->body, "input"), "input", request) &&
	       ask_read_params(ask, request) && ask_echo(ask, request);
}

void response_ask_clear(struct response_ask *ask)
{
	json_decref(ask->body);
	json_decref(ask->echo);
	messages_clear(&ask->said);
	text_clear(&ask->params);
}
