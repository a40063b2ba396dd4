/*
 * Reading errors; see error.h. The shapes: {"error":{...}}, {"error":"text"}, {"errors":[{...}]},
 * {"detail":"text"}, {"detail":[{"msg":...}]}, {"message":"text"}, any of them in an array or within
 * each other.
 */
#include <model/error.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <model/refusal.h>

/* How deep an error may stand in others. */
#define DEEPEST 6

/* ---- trees ------------------------------------------------------------------------------ */

static void error_keep_value(char *out, size_t size, const json_t *value,
			     const struct secrets *secrets)
{
	char number[32] = "";

	if (json_is_string(value)) {
		struct cv_text text = {json_string_value(value), json_string_length(value)};

		cv_keep(out, size, text, secrets);
		return;
	}
	if (json_is_number(value))
		snprintf(number, sizeof(number), "%.0f", json_number_value(value));
	cv_keep(out, size, cv_text_of(number), secrets);
}

static void error_keep_first(char *out, size_t size, const json_t *object, const char *const *names,
			     const struct secrets *secrets)
{
	for (; *names && !*out; names++)
		error_keep_value(out, size, json_object_get(object, *names), secrets);
}

static void error_keep_count(int64_t *out, const json_t *object, const char *name)
{
	int64_t count = cv_tree_integer(object, name);

	if (!*out && count >= SMALLEST_WINDOW && count <= LARGEST_WINDOW)
		*out = count;
}

static void error_keep_object(struct wire_error *out, const json_t *error,
			      const struct secrets *secrets)
{
	static const char *const messages[] = {"message", "detail", "error", "msg",
					       "reason",  "title",  NULL};
	static const char *const types[] = {"type", "status", NULL};
	static const char *const codes[] = {"code", NULL}, *const params[] = {"param", NULL};

	error_keep_first(out->message, sizeof(out->message), error, messages, secrets);
	error_keep_first(out->type, sizeof(out->type), error, types, secrets);
	error_keep_first(out->code, sizeof(out->code), error, codes, secrets);
	error_keep_first(out->param, sizeof(out->param), error, params, secrets);
	error_keep_count(&out->window, error, "n_ctx");
	error_keep_count(&out->asked, error, "n_prompt_tokens");
}

/* The inner ones know better: a gateway wraps what the server behind it said. */
static void error_keep_tree(struct wire_error *out, const json_t *value,
			    const struct secrets *secrets, int depth)
{
	static const char *const names[] = {"error", "errors", "detail", "message"};

	if (json_is_array(value))
		value = json_array_get(value, 0);
	if (!json_is_object(value)) {
		if (!*out->message)
			error_keep_value(out->message, sizeof(out->message), value, secrets);
		return;
	}
	for (size_t i = 0; depth < DEEPEST && i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *inner = json_object_get(value, names[i]);

		if (json_is_object(inner) || json_is_array(inner))
			error_keep_tree(out, inner, secrets, depth + 1);
	}
	error_keep_object(out, value, secrets);
}

/* The first text anywhere in a value that says something. */
static const json_t *error_find_text(const json_t *value, int depth)
{
	const json_t *inner, *found = NULL;
	const char *name;
	size_t i;

	if (json_is_string(value))
		return json_string_length(value) ? value : NULL;
	if (depth == DEEPEST)
		return NULL;
	json_array_foreach(value, i, inner)
	{
		if (!found)
			found = error_find_text(inner, depth + 1);
	}
	json_object_foreach((json_t *)value, name, inner)
	{
		if (!found)
			found = error_find_text(inner, depth + 1);
	}
	return found;
}

void cv_error_read(struct wire_error *out, const json_t *root, const struct secrets *secrets)
{
	memset(out, 0, sizeof(*out));
	error_keep_tree(out, root, secrets, 0);
	if (!*out->message && !*out->code && !*out->type)
		error_keep_value(out->message, sizeof(out->message), error_find_text(root, 0),
				 secrets);
}

bool cv_error_is(const json_t *root)
{
	static const char *const names[] = {"errors", "detail", "message", "msg"};

	if (json_is_array(root))
		return cv_tree_says(json_object_get(json_array_get(root, 0), "error"));
	if (cv_tree_says(json_object_get(root, "error")))
		return true;
	if (json_object_get(root, "choices"))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (cv_tree_says(json_object_get(root, names[i])))
			return true;
	}
	return cv_text_is(cv_tree_string(root, "object"), "error");
}

/* ---- bodies ----------------------------------------------------------------------------- */

/* The title of a page, or its first text. */
static struct cv_text error_page_text(struct cv_text body)
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

void cv_error_read_body(struct wire_error *out, struct cv_text body, const struct secrets *secrets,
			bool *json)
{
	bool guarded;
	int rc;
	json_t *root = cv_tree_parse(body, &guarded, &rc);

	memset(out, 0, sizeof(*out));
	*json = json_is_object(root) || json_is_array(root);
	if (*json)
		cv_error_read(out, root, secrets);
	else
		cv_keep(out->message, sizeof(out->message), error_page_text(body), secrets);
	json_decref(root);
}

void cv_error_tell(char *out, size_t size, const struct wire_error *error)
{
	const char *what = *error->code ? error->code : error->type;

	if (*error->message && *what)
		snprintf(out, size, "%s (%s)", error->message, what);
	else
		snprintf(out, size, "%s", *error->message ? error->message : what);
}
