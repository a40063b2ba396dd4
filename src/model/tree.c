/*
 * JSON trees; see tree.h.
 */
#include <model/tree.h>

#include <base/json.h>
#include <model/guard.h>

/* jansson does not always say when it is memory that failed it: then the text is good. */
static bool tree_is_nomem(const json_t *root, struct cv_text text)
{
	return !root && cv_json_check(text, "text", NULL) >= 0;
}

json_t *cv_tree_parse(struct cv_text text, bool *guarded, int *rc)
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
	if (*rc < 0)
		goto out;
	text = (struct cv_text){cv_buf_str(&guard), guard.len};
	root = json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, &why);
	*rc = tree_is_nomem(root, text) ? CONVO_E_NOMEM : 0;
out:
	cv_buf_clear(&guard);
	return root;
}

struct cv_text cv_tree_string(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	struct cv_text text = {json_string_value(value), json_string_length(value)};

	return text;
}

int64_t cv_tree_integer(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	double number = json_number_value(value);

	if (json_is_integer(value))
		return json_integer_value(value);
	return json_is_real(value) && number >= 0 && number < 9e15 ? (int64_t)number : -1;
}

/* json_dumps() may leave out a quote when memory is out; into a buffer of the right size it cannot. */
int cv_tree_dump(struct cv_buf *out, const json_t *tree)
{
	size_t size = json_dumpb(tree, NULL, 0, JSON_COMPACT);
	char *room = size ? cv_buf_room(out, size) : NULL;

	if (!room || json_dumpb(tree, room, size, JSON_COMPACT) != size)
		return CONVO_E_NOMEM;
	out->len += size;
	out->data[out->len] = '\0';
	return 0;
}

bool cv_tree_says(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) > 0;
	if (json_is_object(value))
		return json_object_size(value) > 0;
	return value && !json_is_null(value) && !json_is_false(value);
}
