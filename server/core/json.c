/*
 * JSON; see json.h.
 */
#include "core/json.h"

#include <string.h>

#include <convo/text.h>

#include "core/fail.h"

/* jansson reads by recursion, as deep as 2,048 levels: more than a worker's stack should hold. */
static bool json_is_flat(const char *text, size_t len)
{
	bool quoted = false;
	size_t i, depth = 0;

	for (i = 0; i < len && depth <= JSON_DEPTH; i++) {
		if (quoted) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				quoted = false;
		} else if (text[i] == '"') {
			quoted = true;
		} else if (text[i] == '{' || text[i] == '[') {
			depth++;
		} else if ((text[i] == '}' || text[i] == ']') && depth) {
			depth--;
		}
	}
	return depth <= JSON_DEPTH;
}

json_t *json_read(const char *text, size_t len, struct convo_err *err)
{
	json_error_t error;
	json_t *value;

	if (!json_is_flat(text, len)) {
		fail(err, CONVO_E_INVALID, "JSON that is nested deeper than %d levels", JSON_DEPTH);
		return NULL;
	}
	value = json_loadb(text, len, JSON_DECODE_ANY, &error);
	if (value)
		return value;
	if (json_error_code(&error) == json_error_out_of_memory)
		fail(err, CONVO_E_NOMEM, "out of memory");
	else
		fail(err, CONVO_E_INVALID, "no JSON: line %d, column %d", error.line, error.column);
	return NULL;
}

static int json_put(const char *bytes, size_t len, void *out)
{
	return text_add(out, bytes, len) ? 0 : -1;
}

bool json_write(struct text *out, const json_t *value)
{
	return json_dump_callback(value, json_put, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

bool json_quote(struct text *out, const char *text, size_t len)
{
	char *quoted = NULL;
	bool ok;

	if (convo_json_quote(&quoted, text, len, NULL) < 0)
		return false;
	ok = text_adds(out, quoted);
	convo_free(quoted);
	return ok;
}

bool json_quotes(struct text *out, const char *text)
{
	return text ? json_quote(out, text, strlen(text)) : text_adds(out, "null");
}

const char *json_string_at(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}
