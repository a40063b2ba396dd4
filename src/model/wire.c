/*
 * Reading answers; see wire.h, request.c for writing requests, and error.c for errors. The rules come
 * from what servers were seen to do; tests/model/wire holds an example of each.
 */
#include <model/wire.h>

#include <string.h>

#include <model/guard.h>
#include <model/tree.h>

/* ---- answers -------------------------------------------------------------------------- */

/* What one text is read into. */
struct wire_scope {
	struct wire *wire;
	bool guarded;
	struct convo_err *err;
};

static int wire_add_split(void *ctx, bool reasoning, const char *text, size_t len)
{
	struct wire_scope *scope = ctx;

	return cv_answer_add(scope->wire->answer,
			     reasoning ? CONVO_DELTA_REASONING : CONVO_DELTA_TEXT, text, len,
			     scope->err);
}

static int wire_add_bytes(struct wire_scope *scope, enum convo_delta_kind kind, struct cv_text text)
{
	if (kind != CONVO_DELTA_TEXT)
		return cv_answer_add(scope->wire->answer, kind, text.data, text.len, scope->err);
	return cv_think_split(&scope->wire->think, text.data, text.len, wire_add_split, scope);
}

static int wire_add_text(struct wire_scope *scope, enum convo_delta_kind kind, struct cv_text text)
{
	struct cv_buf raw = {0};
	int rc;

	if (!text.len)
		return 0;
	if (kind == CONVO_DELTA_REASONING)
		scope->wire->think.state = THINK_OFF; /* it has its own member here */
	if (!scope->guarded)
		return wire_add_bytes(scope, kind, text);
	rc = cv_guard_undo(&raw, text);
	if (rc < 0) {
		rc = cv_fail_nomem(scope->err);
		goto out;
	}
	rc = wire_add_bytes(scope, kind, (struct cv_text){raw.data, raw.len});
out:
	cv_buf_clear(&raw);
	return rc;
}

/* A part of a content array: text, a refusal, or thinking, which may be parts again. */
static int wire_add_part(struct wire_scope *scope, const json_t *part)
{
	const json_t *thinking = json_object_get(part, "thinking"), *inner;
	size_t i;
	int rc;

	if (json_is_string(part)) {
		struct cv_text text = {json_string_value(part), json_string_length(part)};

		return wire_add_text(scope, CONVO_DELTA_TEXT, text);
	}
	rc = wire_add_text(scope, CONVO_DELTA_REASONING, cv_tree_string(part, "thinking"));
	if (rc < 0)
		return rc;
	json_array_foreach(thinking, i, inner)
	{
		rc = wire_add_text(scope, CONVO_DELTA_REASONING, cv_tree_string(inner, "text"));
		if (rc < 0)
			return rc;
	}
	rc = wire_add_text(scope, CONVO_DELTA_REFUSAL, cv_tree_string(part, "refusal"));
	if (rc < 0)
		return rc;
	return wire_add_text(scope, CONVO_DELTA_TEXT, cv_tree_string(part, "text"));
}

static int wire_add_reasoning(struct wire_scope *scope, const json_t *delta)
{
	struct cv_text one = cv_tree_string(delta, "reasoning_content");
	struct cv_text two = cv_tree_string(delta, "reasoning");
	bool same = one.len == two.len && (!one.len || memcmp(one.data, two.data, one.len) == 0);
	int rc = wire_add_text(scope, CONVO_DELTA_REASONING, one);

	return rc < 0 || same ? rc : wire_add_text(scope, CONVO_DELTA_REASONING, two);
}

/* A string of a tool call, whole in itself: broken parts become U+FFFD here. */
static int wire_call_text(const struct wire_scope *scope, struct cv_buf *out, const json_t *value)
{
	struct cv_text text = {json_string_value(value), json_string_length(value)};
	struct cv_buf dump = {0}, raw = {0};
	int rc = 0;

	if (json_is_object(value) || json_is_array(value)) {
		rc = cv_tree_dump(&dump, value); /* arguments that are not in a string */
		if (rc < 0)
			goto out;
		text = (struct cv_text){dump.data, dump.len};
	}
	if (scope->guarded && text.len) {
		rc = cv_guard_undo(&raw, text);
		if (rc < 0)
			goto out;
		text = (struct cv_text){raw.data, raw.len};
	}
	rc = text.len ? cv_buf_repair(out, text.data, text.len) : 0;
out:
	cv_buf_clear(&dump);
	cv_buf_clear(&raw);
	return rc;
}

static int wire_add_call(struct wire_scope *scope, const json_t *call, const json_t *function)
{
	struct cv_buf id = {0}, name = {0}, args = {0};
	struct answer_call_piece piece = {.index = cv_tree_integer(call, "index")};
	int rc;

	if (wire_call_text(scope, &id, json_object_get(call, "id")) < 0 ||
	    wire_call_text(scope, &name, json_object_get(function, "name")) < 0 ||
	    wire_call_text(scope, &args, json_object_get(function, "arguments")) < 0) {
		rc = cv_fail_nomem(scope->err);
		goto out;
	}
	piece.id = (struct cv_text){id.data, id.len};
	piece.name = (struct cv_text){name.data, name.len};
	piece.args = (struct cv_text){args.data, args.len};
	rc = cv_answer_call(scope->wire->answer, &piece, scope->err);
out:
	cv_buf_clear(&id);
	cv_buf_clear(&name);
	cv_buf_clear(&args);
	return rc;
}

static int wire_add_calls(struct wire_scope *scope, const json_t *delta)
{
	const json_t *calls = json_object_get(delta, "tool_calls"), *call;
	const json_t *old = json_object_get(delta, "function_call");
	size_t i;

	json_array_foreach(calls, i, call)
	{
		int rc = json_is_object(call)
				 ? wire_add_call(scope, call, json_object_get(call, "function"))
				 : 0;

		if (rc < 0)
			return rc;
	}
	/* from before there were several */
	return json_is_object(old) ? wire_add_call(scope, NULL, old) : 0;
}

static int wire_add_delta(struct wire_scope *scope, const json_t *delta)
{
	const json_t *content = json_object_get(delta, "content"), *part;
	size_t i;
	int rc = wire_add_reasoning(scope, delta);

	if (rc < 0)
		return rc;
	rc = wire_add_text(scope, CONVO_DELTA_TEXT, cv_tree_string(delta, "content"));
	if (rc < 0)
		return rc;
	json_array_foreach(content, i, part)
	{
		rc = wire_add_part(scope, part);
		if (rc < 0)
			return rc;
	}
	rc = wire_add_text(scope, CONVO_DELTA_REFUSAL, cv_tree_string(delta, "refusal"));
	return rc < 0 ? rc : wire_add_calls(scope, delta);
}

static int wire_set_usage(struct wire_scope *scope, const json_t *usage)
{
	struct cv_buf dump = {0};
	int rc;

	if (!json_is_object(usage))
		return 0;
	rc = cv_tree_dump(&dump, usage);
	if (rc < 0) {
		rc = cv_fail_nomem(scope->err);
		goto out;
	}
	rc = cv_answer_set_usage(scope->wire->answer, (struct cv_text){dump.data, dump.len},
				 cv_tree_integer(usage, "prompt_tokens"),
				 cv_tree_integer(usage, "completion_tokens"), scope->err);
out:
	cv_buf_clear(&dump);
	return rc;
}

/* The text comes before the finish reason that may share its chunk. */
static int wire_read_choice(struct wire_scope *scope, const json_t *choice)
{
	const json_t *delta = json_object_get(choice, "delta");
	struct wire *wire = scope->wire;
	char finish[256];
	int rc;

	if (!json_is_object(delta))
		delta = json_object_get(choice, "message");
	rc = wire_add_delta(scope, delta);
	if (rc < 0)
		return rc;
	cv_keep(finish, sizeof(finish), cv_tree_string(choice, "finish_reason"), wire->secrets);
	if (*finish) {
		wire->finished = true;
		wire->gave_up = strcmp(finish, "error") == 0;
		rc = cv_answer_set_finish(wire->answer, cv_text_of(finish), scope->err);
		if (rc < 0)
			return rc;
	}
	return wire_set_usage(scope, json_object_get(choice, "usage"));
}

static int wire_read_choices(struct wire_scope *scope, const json_t *choices)
{
	const json_t *choice;
	size_t i;

	scope->wire->choices = scope->wire->choices || json_is_array(choices);
	json_array_foreach(choices, i, choice)
	{
		int64_t index = cv_tree_integer(choice, "index");
		int rc = index == 0 || (index < 0 && i == 0) ? wire_read_choice(scope, choice) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int wire_read_root(struct wire_scope *scope, const json_t *root, bool is_error)
{
	struct wire *wire = scope->wire;
	char model[256];
	int rc;

	cv_keep(model, sizeof(model), cv_tree_string(root, "model"), wire->secrets);
	rc = *model ? cv_answer_set_model(wire->answer, cv_text_of(model), scope->err) : 0;
	if (rc < 0)
		return rc;
	rc = wire_read_choices(scope, json_object_get(root, "choices"));
	if (rc < 0)
		return rc;
	rc = wire_set_usage(scope, json_object_get(root, "usage"));
	if (rc < 0)
		return rc;
	if (!is_error && !cv_error_is(root))
		return 0;
	wire->failed = true;
	cv_error_read(&wire->error, root, wire->secrets);
	return CONVO_E_REFUSED;
}

int cv_wire_read(struct wire *wire, struct cv_text json, bool is_error, struct convo_err *err)
{
	struct wire_scope scope = {.wire = wire, .err = err};
	int rc;
	json_t *root = cv_tree_parse(json, &scope.guarded, &rc);

	wire->broken = false;
	if (rc < 0)
		return cv_fail_nomem(err);
	if (!root) {
		wire->broken = true;
		return CONVO_E_REFUSED;
	}
	rc = wire_read_root(&scope, root, is_error);
	json_decref(root);
	return rc;
}

int cv_wire_end(struct wire *wire, struct convo_err *err)
{
	struct wire_scope scope = {.wire = wire, .err = err};

	return cv_think_end(&wire->think, wire_add_split, &scope);
}

/* ---- the list of models --------------------------------------------------------------- */

/* Servers add to a name: Ollama a tag, others a folder. */
static bool wire_same_model(struct cv_text id, const char *model)
{
	size_t len = strlen(model);

	if (cv_text_is(id, model))
		return true;
	if (id.len == len + 7 && memcmp(id.data, model, len) == 0)
		return memcmp(id.data + len, ":latest", 7) == 0;
	return id.len == len + 7 && memcmp(id.data, "models/", 7) == 0 &&
	       memcmp(id.data + 7, model, len) == 0;
}

/* The entries of a list of models; NULL when it is no such list. */
static const json_t *wire_list_of(const json_t *root)
{
	return json_is_array(root) ? root : json_object_get(root, "data");
}

int cv_wire_has_model(struct cv_text body, const char *model)
{
	bool guarded;
	int rc, found = -1;
	json_t *root = cv_tree_parse(body, &guarded, &rc), *entry;
	const json_t *list = wire_list_of(root);
	size_t i;

	if (json_is_array(list))
		found = 0;
	json_array_foreach(list, i, entry)
	{
		if (wire_same_model(cv_tree_string(entry, "id"), model))
			found = 1;
	}
	json_decref(root);
	return found;
}

/* Servers have agreed on no name. Those of what is loaded come before those of what could be. */
static int64_t wire_entry_window(const json_t *entry)
{
	static const char *const names[] = {
		"n_ctx",          "loaded_context_length", "max_model_len",    "context_length",
		"context_window", "max_context_length",    "max_input_tokens", "input_token_limit",
		"context_size",   "n_ctx_train",
	};
	const json_t *const places[] = {json_object_get(entry, "meta"), entry,
					json_object_get(entry, "top_provider")};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			int64_t window = cv_tree_integer(places[k], names[i]);

			if (window > 0)
				return window;
		}
	}
	return 0;
}

int64_t cv_wire_window(struct cv_text body, const char *model)
{
	bool guarded;
	int rc;
	json_t *root = cv_tree_parse(body, &guarded, &rc), *entry;
	const json_t *list = wire_list_of(root);
	int64_t window = 0;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		if (json_array_size(list) == 1 ||
		    wire_same_model(cv_tree_string(entry, "id"), model))
			window = wire_entry_window(entry);
	}
	json_decref(root);
	return window;
}
