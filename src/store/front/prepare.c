/*
 * Names, titles and state as callers pass them in; see prepare.h. Events are in batch.c.
 */
#include <store/front/prepare.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <base/json.h>
#include <base/utf8.h>

/* ---- names ------------------------------------------------------------------------------ */

int cv_check_plain(struct cv_text text, const char *what, struct convo_err *err)
{
	size_t pos = 0, n;
	uint32_t cp;

	while (pos < text.len) {
		if (text.data[pos] >= ' ' && text.data[pos] < 0x7f) {
			pos++;
			continue;
		}
		n = cv_utf8_next(text.data + pos, text.len - pos, &cp);
		if (!n)
			return cv_fail(err, CONVO_E_INVALID, "%s is not valid UTF-8", what);
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return cv_fail(err, CONVO_E_INVALID, "%s holds a control character", what);
		pos += n;
	}
	return 0;
}

int cv_check_name(struct cv_text name, const char *what, struct convo_err *err)
{
	if (!name.len)
		return cv_fail(err, CONVO_E_INVALID, "%s is empty", what);
	if (name.len > CONVO_MAX_NAME)
		return cv_fail(err, CONVO_E_INVALID, "%s is longer than %u bytes", what,
			       CONVO_MAX_NAME);
	return cv_check_plain(name, what, err);
}

int cv_prepare_name(const char *name, const char *what, struct convo_err *err)
{
	if (!name)
		return cv_fail(err, CONVO_E_INVALID, "%s is missing", what);
	return cv_check_name(cv_text_of(name), what, err);
}

int cv_prepare_key(const struct convo_key *key, unsigned scopes, struct convo_err *err)
{
	int rc;

	if (!key)
		return cv_fail(err, CONVO_E_INVALID, "the key is missing");
	rc = cv_prepare_name(key->app, "the app name", err);
	if (rc < 0)
		return rc;
	if (scopes & (CONVO_SCOPE_USER | CONVO_SCOPE_SESSION)) {
		rc = cv_prepare_name(key->user, "the user name", err);
		if (rc < 0)
			return rc;
	}
	return scopes & CONVO_SCOPE_SESSION ? cv_prepare_name(key->session, "the session id", err)
					    : 0;
}

int cv_prepare_title(struct cv_text *out, const char *title, struct convo_err *err)
{
	struct cv_text text = cv_text_of(title ? title : "");

	*out = text;
	return text.len ? cv_check_name(text, "the title", err) : 0;
}

/* ---- state ------------------------------------------------------------------------------ */

int cv_prepare_state_name(const char *name, size_t len, enum convo_scope *scope, bool *temp,
			  struct cv_text *rest, struct convo_err *err)
{
	static const struct {
		const char *prefix;
		enum convo_scope scope;
		bool temp;
	} known[] = {
		{"user:", CONVO_SCOPE_USER, false},
		{"app:", CONVO_SCOPE_APP, false},
		{"temp:", CONVO_SCOPE_SESSION, true},
	};
	size_t i;

	*scope = CONVO_SCOPE_SESSION;
	*temp = false;
	*rest = (struct cv_text){name, len};
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t prefix_len = strlen(known[i].prefix);

		if (len < prefix_len || memcmp(name, known[i].prefix, prefix_len) != 0)
			continue;
		*scope = known[i].scope;
		*temp = known[i].temp;
		*rest = (struct cv_text){name + prefix_len, len - prefix_len};
	}
	return cv_check_name(*rest, "a state name", err);
}

int cv_changes_add(struct change_list *list, struct cv_text name, struct cv_text value,
		   size_t event, bool *temp, struct convo_err *err)
{
	struct store_change change = {.value = value, .event = event};
	int rc = cv_prepare_state_name(name.data, name.len, &change.scope, temp, &change.name, err);

	if (rc < 0 || *temp)
		return rc;
	if (cv_json_kind(value) == JSON_KIND_NULL)
		change.value = (struct cv_text){0};
	if (change.value.len > CONVO_MAX_VALUE)
		return cv_fail(err, CONVO_E_TOOBIG, "a state value is larger than %u bytes",
			       CONVO_MAX_VALUE);
	list->bytes[change.scope] += store_change_bytes(&change);
	if (list->bytes[change.scope] > CONVO_MAX_STATE)
		return cv_fail(err, CONVO_E_TOOBIG, "state is larger than %u bytes",
			       CONVO_MAX_STATE);
	if (!cv_grow((void **)&list->change, &list->cap, list->count + 1, sizeof(*list->change)))
		return cv_fail_nomem(err);
	list->change[list->count++] = change;
	return 0;
}

int cv_change_compare(const struct store_change *left, const struct store_change *right)
{
	if (left->scope != right->scope)
		return left->scope < right->scope ? -1 : 1;
	if (left->name.len != right->name.len)
		return left->name.len < right->name.len ? -1 : 1;
	return memcmp(left->name.data, right->name.data, left->name.len);
}

static int change_sort(const void *a, const void *b)
{
	return cv_change_compare(*(const struct store_change *const *)a,
				 *(const struct store_change *const *)b);
}

int cv_changes_check_unique(const struct change_list *list, size_t first, struct convo_err *err)
{
	size_t count = list->count - first, i;
	const struct store_change **sorted;
	int rc = 0;

	if (count < 2)
		return 0;
	sorted = cv_alloc(count, sizeof(struct store_change *));
	if (!sorted)
		return cv_fail_nomem(err);
	for (i = 0; i < count; i++)
		sorted[i] = &list->change[first + i];
	qsort(sorted, count, sizeof(struct store_change *), change_sort);
	for (i = 1; i < count; i++) {
		if (cv_change_compare(sorted[i - 1], sorted[i]) == 0)
			rc = cv_fail(err, CONVO_E_INVALID, "a state name stands there twice");
	}
	free(sorted);
	return rc;
}

int cv_prepare_items(struct change_list *list, const struct convo_item *items, size_t count,
		     struct convo_err *err)
{
	size_t i;
	int rc;

	if (count && !items)
		return cv_fail(err, CONVO_E_INVALID, "the state items are missing");
	for (i = 0; i < count; i++) {
		struct cv_text value = cv_text_of(items[i].json ? items[i].json : "null");
		bool temp;

		if (!items[i].name)
			return cv_fail(err, CONVO_E_INVALID, "a state name is missing");
		if (items[i].json && items[i].json_len)
			value.len = items[i].json_len;
		rc = cv_json_check(value, "a state value", err);
		if (rc < 0)
			return rc;
		rc = cv_changes_add(list, cv_text_of(items[i].name), value, 0, &temp, err);
		if (rc < 0)
			return rc;
	}
	return cv_changes_check_unique(list, 0, err);
}

unsigned cv_prepare_scopes(const struct change_list *list)
{
	unsigned scopes = 0;
	size_t i;

	for (i = 0; i < list->count; i++)
		scopes |= list->change[i].scope;
	return scopes;
}
