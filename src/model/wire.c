/*
 * Reading the OpenAI JSON; see wire.h, and request.c for writing it. The one file that uses jansson. The rules come
 * from what servers were seen to do; tests/model/wire holds an example of each.
 */
#include <model/wire.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <base/json.h>
#include <base/utf8.h>
#include <model/guard.h>

/* ---- trees ---------------------------------------------------------------------------- */

/* jansson does not always say when it is memory that failed it: then the text is good. */
static bool wire_is_nomem(const json_t *root, struct cv_text text)
{
	return !root && cv_json_check(text, "text", NULL) >= 0;
}

/* A tree from text: NULL with `*rc` 0 when it is no JSON. What does not pass is looked at once more,
 * with less insistence on whole characters and integers that fit; `*guarded` tells. */
static json_t *wire_parse(struct cv_text text, bool *guarded, int *rc)
{
	const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK;
	struct cv_buf guard = {0};
	json_error_t why;
	json_t *root = json_loadb(text.data, text.len, flags, &why);

	*guarded = !root;
	*rc = 0;
	if (root)
		return root;
	*rc = cv_guard_apply(&guard, text);
	if (*rc == 0) {
		text = (struct cv_text){cv_buf_str(&guard), guard.len};
		root = json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, &why);
		*rc = wire_is_nomem(root, text) ? CONVO_E_NOMEM : 0;
	}
	cv_buf_clear(&guard);
	return root;
}

/* A member's string; absent when it is none. */
static struct cv_text wire_string(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	struct cv_text text = {json_string_value(value), json_string_length(value)};

	return text;
}

static int64_t wire_integer(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	double number = json_number_value(value);

	if (json_is_integer(value))
		return json_integer_value(value);
	return json_is_real(value) && number >= 0 && number < 9e15 ? (int64_t)number : -1;
}

/* Append a tree as text. json_dumps() may leave out a quote when memory is out; into a buffer of the
 * right size it cannot. */
static int wire_dump(struct cv_buf *out, const json_t *tree)
{
	size_t size = json_dumpb(tree, NULL, 0, JSON_COMPACT);
	char *room = size ? cv_buf_room(out, size) : NULL;

	if (!room || json_dumpb(tree, room, size, JSON_COMPACT) != size)
		return CONVO_E_NOMEM;
	out->len += size;
	out->data[out->len] = '\0';
	return 0;
}

/* Whether a member is there and says something: servers write null, false and "" for "no". */
static bool wire_says(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) > 0;
	if (json_is_object(value))
		return json_object_size(value) > 0;
	return value && !json_is_null(value) && !json_is_false(value);
}

/* ---- errors --------------------------------------------------------------------------- */

/* What to show for the text at `p`: the character, or what stands for it. Gives how much of the text
 * that was. */
static size_t wire_show(const char *p, const char *end, struct cv_text secret,
			struct cv_text *shown)
{
	uint32_t cp = 0;
	size_t len = cv_utf8_next(p, (size_t)(end - p), &cp);

	*shown = (struct cv_text){p, len};
	if (secret.len && (size_t)(end - p) >= secret.len &&
	    memcmp(p, secret.data, secret.len) == 0) {
		*shown = cv_text_of("***");
		return secret.len;
	}
	if (!cp || cv_guard_is_mark(cp))
		*shown = cv_text_of("\xef\xbf\xbd");
	return len ? len : 1;
}

static bool wire_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Allocates nothing, so that an error always gets through. */
void cv_wire_keep(char *out, size_t size, struct cv_text text, const char *secret)
{
	struct cv_text key = cv_text_of(secret), shown;
	const char *p = text.data ? text.data : "", *end = p + text.len;
	size_t len = 0;

	if (key.len < 4)
		key.len = 0; /* a word, not a secret */
	while (p < end && wire_blank(*p))
		p++;
	while (p < end && *p != '\n' && *p != '\r') {
		p += wire_show(p, end, key, &shown);
		if (shown.len >= size - len)
			break;
		memcpy(out + len, shown.data, shown.len);
		len += shown.len;
	}
	while (len && wire_blank(out[len - 1]))
		len--;
	out[len] = '\0';
}

static void wire_keep_value(char *out, size_t size, const json_t *value, const char *secret)
{
	char number[32] = "";

	if (json_is_string(value)) {
		struct cv_text text = {json_string_value(value), json_string_length(value)};

		cv_wire_keep(out, size, text, secret);
		return;
	}
	if (json_is_number(value))
		snprintf(number, sizeof(number), "%.0f", json_number_value(value));
	cv_wire_keep(out, size, cv_text_of(number), secret);
}

static void wire_keep_object(struct wire_error *out, const json_t *error, const char *secret)
{
	static const char *const names[] = {"message", "detail", "error", "msg"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !*out->message; i++)
		wire_keep_value(out->message, sizeof(out->message),
				json_object_get(error, names[i]), secret);
	if (!*out->type)
		wire_keep_value(out->type, sizeof(out->type), json_object_get(error, "type"),
				secret);
	if (!*out->type)
		wire_keep_value(out->type, sizeof(out->type), json_object_get(error, "status"),
				secret);
	if (!*out->code)
		wire_keep_value(out->code, sizeof(out->code), json_object_get(error, "code"),
				secret);
	if (!*out->param)
		wire_keep_value(out->param, sizeof(out->param), json_object_get(error, "param"),
				secret);
}

/* The shapes: {"error":{...}}, {"error":"text"}, {"errors":[{...}]}, {"detail":"text"},
 * {"detail":[{"msg":...}]}, {"message":"text"}, and any of them in an array. */
static void wire_keep_error(struct wire_error *out, const json_t *root, const char *secret)
{
	static const char *const names[] = {"error", "errors", "detail"};

	memset(out, 0, sizeof(*out));
	if (json_is_array(root))
		root = json_array_get(root, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *value = json_object_get(root, names[i]);

		if (json_is_array(value))
			value = json_array_get(value, 0);
		if (json_is_object(value))
			wire_keep_object(out, value, secret);
		else if (!*out->message)
			wire_keep_value(out->message, sizeof(out->message), value, secret);
	}
	wire_keep_object(out, root, secret);
}

/* The title of a page, or its first text. */
static struct cv_text wire_page_text(struct cv_text body)
{
	static const char tag[] = "<title>";
	struct cv_text title = body;

	for (size_t i = 0; i + sizeof(tag) <= body.len; i++) {
		if (strncasecmp(body.data + i, tag, sizeof(tag) - 1) == 0) {
			title.data = body.data + i + sizeof(tag) - 1;
			title.len = body.len - i - (sizeof(tag) - 1);
			break;
		}
	}
	for (size_t i = 0; title.data != body.data && i < title.len; i++) {
		if (title.data[i] == '<')
			title.len = i;
	}
	return title;
}

void cv_wire_error(struct wire_error *out, struct cv_text body, const char *secret, bool *json)
{
	bool guarded;
	int rc;
	json_t *root = wire_parse(body, &guarded, &rc);

	memset(out, 0, sizeof(*out));
	*json = json_is_object(root) || json_is_array(root);
	if (*json)
		wire_keep_error(out, root, secret);
	else
		cv_wire_keep(out->message, sizeof(out->message), wire_page_text(body), secret);
	json_decref(root);
}

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
	} else {
		text.data = raw.data;
		text.len = raw.len;
		rc = wire_add_bytes(scope, kind, text);
	}
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
	rc = wire_add_text(scope, CONVO_DELTA_REASONING, wire_string(part, "thinking"));
	json_array_foreach(thinking, i, inner)
	{
		if (rc == 0)
			rc = wire_add_text(scope, CONVO_DELTA_REASONING,
					   wire_string(inner, "text"));
	}
	if (rc == 0)
		rc = wire_add_text(scope, CONVO_DELTA_REFUSAL, wire_string(part, "refusal"));
	if (rc == 0)
		rc = wire_add_text(scope, CONVO_DELTA_TEXT, wire_string(part, "text"));
	return rc;
}

static int wire_add_reasoning(struct wire_scope *scope, const json_t *delta)
{
	struct cv_text one = wire_string(delta, "reasoning_content");
	struct cv_text two = wire_string(delta, "reasoning");
	int rc = wire_add_text(scope, CONVO_DELTA_REASONING, one);

	if (rc == 0 &&
	    (one.len != two.len || (one.len && memcmp(one.data, two.data, one.len) != 0)))
		rc = wire_add_text(scope, CONVO_DELTA_REASONING, two);
	return rc;
}

/* A string of a tool call, whole in itself: broken parts become U+FFFD here. */
static int wire_call_text(const struct wire_scope *scope, struct cv_buf *out, const json_t *value)
{
	struct cv_text text = {json_string_value(value), json_string_length(value)};
	struct cv_buf dump = {0}, raw = {0};
	int rc = 0;

	if (json_is_object(value) || json_is_array(value)) {
		rc = wire_dump(&dump, value); /* arguments that are not in a string */
		text = (struct cv_text){dump.data, dump.len};
	}
	if (rc == 0 && scope->guarded && text.len) {
		rc = cv_guard_undo(&raw, text);
		text = (struct cv_text){raw.data, raw.len};
	}
	if (rc == 0 && text.len)
		rc = cv_buf_repair(out, text.data, text.len);
	cv_buf_clear(&dump);
	cv_buf_clear(&raw);
	return rc;
}

static int wire_add_call(struct wire_scope *scope, const json_t *call, const json_t *function)
{
	struct cv_buf id = {0}, name = {0}, args = {0};
	struct answer_call_piece piece = {.index = wire_integer(call, "index")};
	int rc = wire_call_text(scope, &id, json_object_get(call, "id"));

	if (rc == 0)
		rc = wire_call_text(scope, &name, json_object_get(function, "name"));
	if (rc == 0)
		rc = wire_call_text(scope, &args, json_object_get(function, "arguments"));
	if (rc < 0) {
		rc = cv_fail_nomem(scope->err);
	} else {
		piece.id = (struct cv_text){id.data, id.len};
		piece.name = (struct cv_text){name.data, name.len};
		piece.args = (struct cv_text){args.data, args.len};
		rc = cv_answer_call(scope->wire->answer, &piece, scope->err);
	}
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
	int rc = 0;

	json_array_foreach(calls, i, call)
	{
		if (rc == 0 && json_is_object(call))
			rc = wire_add_call(scope, call, json_object_get(call, "function"));
	}
	if (rc == 0 && json_is_object(old))
		rc = wire_add_call(scope, NULL, old); /* from before there were several */
	return rc;
}

static int wire_add_delta(struct wire_scope *scope, const json_t *delta)
{
	const json_t *content = json_object_get(delta, "content"), *part;
	size_t i;
	int rc = wire_add_reasoning(scope, delta);

	if (rc == 0)
		rc = wire_add_text(scope, CONVO_DELTA_TEXT, wire_string(delta, "content"));
	json_array_foreach(content, i, part)
	{
		if (rc == 0)
			rc = wire_add_part(scope, part);
	}
	if (rc == 0)
		rc = wire_add_text(scope, CONVO_DELTA_REFUSAL, wire_string(delta, "refusal"));
	return rc == 0 ? wire_add_calls(scope, delta) : rc;
}

static int wire_set_usage(struct wire_scope *scope, const json_t *usage)
{
	struct cv_buf dump = {0};
	int rc;

	if (!json_is_object(usage))
		return 0;
	rc = wire_dump(&dump, usage);
	if (rc < 0) {
		rc = cv_fail_nomem(scope->err);
	} else {
		struct cv_text text = {dump.data, dump.len};

		rc = cv_answer_set_usage(scope->wire->answer, text,
					 wire_integer(usage, "prompt_tokens"),
					 wire_integer(usage, "completion_tokens"), scope->err);
	}
	cv_buf_clear(&dump);
	return rc;
}

/* The text comes before the finish reason that may share its chunk. */
static int wire_read_choice(struct wire_scope *scope, const json_t *choice)
{
	const json_t *delta = json_object_get(choice, "delta");
	char finish[256];
	int rc;

	if (!json_is_object(delta))
		delta = json_object_get(choice, "message");
	rc = wire_add_delta(scope, delta);
	cv_wire_keep(finish, sizeof(finish), wire_string(choice, "finish_reason"),
		     scope->wire->secret);
	if (rc == 0 && *finish) {
		scope->wire->finished = true;
		scope->wire->gave_up = strcmp(finish, "error") == 0;
		rc = cv_answer_set_finish(scope->wire->answer, cv_text_of(finish), scope->err);
	}
	return rc == 0 ? wire_set_usage(scope, json_object_get(choice, "usage")) : rc;
}

static int wire_read_choices(struct wire_scope *scope, const json_t *choices)
{
	const json_t *choice;
	size_t i;
	int rc = 0;

	scope->wire->choices = scope->wire->choices || json_is_array(choices);
	json_array_foreach(choices, i, choice)
	{
		int64_t index = wire_integer(choice, "index");

		if (rc == 0 && (index == 0 || (index < 0 && i == 0)))
			rc = wire_read_choice(scope, choice);
	}
	return rc;
}

static bool wire_is_error(const json_t *root, bool is_error)
{
	struct cv_text object = wire_string(root, "object");

	if (json_is_array(root))
		return wire_says(json_object_get(json_array_get(root, 0), "error"));
	if (is_error || wire_says(json_object_get(root, "error")))
		return true;
	return !json_object_get(root, "choices") &&
	       (cv_text_is(object, "error") || wire_says(json_object_get(root, "errors")) ||
		wire_says(json_object_get(root, "detail")) || wire_string(root, "message").len);
}

static int wire_read_root(struct wire_scope *scope, const json_t *root, bool is_error)
{
	struct wire *wire = scope->wire;
	char model[256];
	int rc = 0;

	cv_wire_keep(model, sizeof(model), wire_string(root, "model"), wire->secret);
	if (*model)
		rc = cv_answer_set_model(wire->answer, cv_text_of(model), scope->err);
	if (rc == 0)
		rc = wire_read_choices(scope, json_object_get(root, "choices"));
	if (rc == 0)
		rc = wire_set_usage(scope, json_object_get(root, "usage"));
	if (rc == 0 && wire_is_error(root, is_error)) {
		wire->failed = true;
		wire_keep_error(&wire->error, root, wire->secret);
		return CONVO_E_REFUSED;
	}
	return rc;
}

int cv_wire_read(struct wire *wire, struct cv_text json, bool is_error, struct convo_err *err)
{
	struct wire_scope scope = {.wire = wire, .err = err};
	int rc;
	json_t *root = wire_parse(json, &scope.guarded, &rc);

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

int cv_wire_has_model(struct cv_text body, const char *model)
{
	bool guarded;
	int rc, found = -1;
	json_t *root = wire_parse(body, &guarded, &rc), *entry;
	const json_t *list = json_is_array(root) ? root : json_object_get(root, "data");
	size_t i;

	if (json_is_array(list))
		found = 0;
	json_array_foreach(list, i, entry)
	{
		if (wire_same_model(wire_string(entry, "id"), model))
			found = 1;
	}
	json_decref(root);
	return found;
}
