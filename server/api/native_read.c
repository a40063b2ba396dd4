/*
 * Reading what is asked of the native API; see native.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/native.h"
#include "auth/auth.h"

struct convo_key native_key(const struct http_request *request)
{
	const struct convo_key key = {request->who.app, request->who.user, request->param[0]};

	return key;
}

struct convo_call native_call(const struct http_request *request)
{
	const struct convo_call call = {.cancel = request->cancel};

	return call;
}

/* ---- members -------------------------------------------------------------------------- */

/* A name that stands in a refusal: cut, when it is a long one. */
static const char *member_path(char out[NATIVE_PARAM_MAX], const char *within, const char *name)
{
	snprintf(out, NATIVE_PARAM_MAX, "%s%s", within, name);
	return out;
}

static const struct native_member *member_find(const char *name,
					       const struct native_member *members, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(members[i].name, name))
			return &members[i];
	return NULL;
}

static bool member_take(const struct native_member *member, const json_t *value)
{
	switch (member->kind) {
	case NATIVE_STRING:
		*(const char **)member->out = json_string_value(value);
		return json_is_string(value);
	case NATIVE_SWITCH:
		*(bool *)member->out = json_is_true(value);
		return json_is_boolean(value);
	case NATIVE_NUMBER:
		*(int64_t *)member->out = json_integer_value(value);
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case NATIVE_OBJECT:
		*(const json_t **)member->out = value;
		return json_is_object(value);
	case NATIVE_ARRAY:
		*(const json_t **)member->out = value;
		return json_is_array(value);
	case NATIVE_ANY:
		*(const json_t **)member->out = value;
		return true;
	}
	return false;
}

static const char *const member_wrong[] = {
	[NATIVE_STRING] = "must be a string",
	[NATIVE_SWITCH] = "must be true or false",
	[NATIVE_NUMBER] = "must be a whole number, 0 or more",
	[NATIVE_OBJECT] = "must be an object",
	[NATIVE_ARRAY] = "must be an array",
	[NATIVE_ANY] = "",
};

bool native_members(struct http_request *request, const json_t *object, const char *within,
		    const struct native_member *members, size_t count)
{
	char param[NATIVE_PARAM_MAX];
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		const struct native_member *member = member_find(name, members, count);

		if (!member)
			return native_wrong(request, member_path(param, within, name),
					    "there is no member of that name here");
		if (!json_is_null(value) && !member_take(member, value))
			return native_wrong(request, member_path(param, within, name),
					    member_wrong[member->kind]);
	}
	return true;
}

bool native_body(json_t **out, struct http_request *request, bool must, bool list)
{
	struct convo_err err;
	bool empty = !request->body_len && !must;

	*out = empty ? json_object() : json_read(request->body, request->body_len, &err);
	if (!*out && (empty || err.code == CONVO_E_NOMEM))
		return native_nomem(request);
	if (!*out)
		return native_wrong(request, NULL, err.text);
	if (list ? !json_is_array(*out) : !json_is_object(*out))
		return native_wrong(request, NULL,
				    list ? "the body must be a JSON array"
					 : "the body must be a JSON object");
	return true;
}

/* ---- parameters ----------------------------------------------------------------------- */

/* Whether a name is one of those in a list with blanks between. */
static bool name_is_listed(const char *name, const char *names)
{
	size_t len = strcspn(name, " ");
	const char *at = names;

	while (len && !name[len] && (at = strstr(at, name))) {
		if ((at == names || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
		at += len;
	}
	return false;
}

bool native_query_only(struct http_request *request, const char *names)
{
	char param[NATIVE_PARAM_MAX];
	const char *name;
	size_t i;

	for (i = 0; (name = http_query_name(request, i)); i++)
		if (!name_is_listed(name, names))
			return native_wrong(request, member_path(param, "", name),
					    "there is no parameter of that name here");
	return true;
}

bool native_query_number(int64_t *out, struct http_request *request, const char *name,
			 int64_t least, int64_t most)
{
	const char *value = http_query(request, name);
	char message[96];
	size_t len;
	long long n;

	if (!value)
		return true;
	len = strspn(value, "0123456789");
	n = len && len < 19 && !value[len] ? strtoll(value, NULL, 10) : -1;
	if (n >= least && n <= most) {
		*out = n;
		return true;
	}
	snprintf(message, sizeof(message), "must be a number from %lld to %lld", (long long)least,
		 (long long)most);
	return native_wrong(request, name, message);
}

bool native_query_switch(bool *out, struct http_request *request, const char *name)
{
	const char *value = http_query(request, name);

	if (!value)
		return true;
	*out = !strcmp(value, "true");
	return *out || !strcmp(value, "false") ||
	       native_wrong(request, name, "must be true or false");
}

/* ---- state ---------------------------------------------------------------------------- */

bool native_state_allowed(struct http_request *request, const json_t *state, const char *param)
{
	const char *name;
	json_t *value;

	if (request->who.rights & AUTH_ADMIN)
		return true;
	json_object_foreach((json_t *)(uintptr_t)state, name, value)
	{
		if (!strncmp(name, "app:", 4))
			return native_denied(request, param);
	}
	return true;
}

/* Writes the values one after the other, a NUL behind each. */
static bool state_write(struct convo_item *items, struct text *texts, const json_t *state)
{
	const char *name, *at;
	json_t *value;
	size_t i = 0, n;

	json_object_foreach((json_t *)(uintptr_t)state, name, value)
	{
		size_t from = texts->len;

		if (!json_write(texts, value))
			return false;
		items[i].name = name;
		items[i++].json_len = texts->len - from;
		if (!text_add(texts, "", 1))
			return false;
	}
	for (n = i, i = 0, at = texts->data; i < n; at += items[i++].json_len + 1)
		items[i].json = at;
	return true;
}

bool native_state(struct convo_item **items, size_t *count, struct text *texts,
		  struct http_request *request, const json_t *state, const char *param)
{
	if (!json_object_size(state))
		return true;
	if (!native_state_allowed(request, state, param))
		return false;
	*items = calloc(json_object_size(state), sizeof(**items));
	/* Escapes can make it longer than it came. */
	texts->max = 6 * HTTP_BODY_MAX;
	if (!*items || !state_write(*items, texts, state))
		return native_nomem(request);
	*count = json_object_size(state);
	return true;
}
