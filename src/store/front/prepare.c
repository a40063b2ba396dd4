/*
 * Checking and converting what callers pass in; see prepare.h.
 */
#include <store/front/prepare.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <base/json.h>
#include <base/utf8.h>

/* Longest error line of an event, in bytes. */
#define MAX_ERROR 4096

const char *const cv_event_field_name[FIELD_COUNT] = {
	[FIELD_ROLE] = "role",
	[FIELD_AUTHOR] = "author",
	[FIELD_TURN] = "turn",
	[FIELD_MODEL] = "model",
	[FIELD_FINISH_REASON] = "finish_reason",
	[FIELD_ERROR] = "error",
	[FIELD_MESSAGE] = "message",
	[FIELD_USAGE] = "usage",
	[FIELD_STATE] = "state",
	[FIELD_EXTRA] = "extra",
};

/* ---- names ------------------------------------------------------------------------------ */

/* Valid UTF-8 without C0, DEL and C1 controls. */
static int check_plain(struct cv_text text, const char *what, struct convo_err *err)
{
	size_t pos = 0;

	while (pos < text.len) {
		uint32_t cp;
		size_t n = cv_utf8_next(text.data + pos, text.len - pos, &cp);

		if (!n)
			return cv_fail(err, CONVO_E_INVALID, "%s is not valid UTF-8", what);
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return cv_fail(err, CONVO_E_INVALID, "%s holds a control character", what);
		pos += n;
	}
	return 0;
}

static int check_name(struct cv_text name, const char *what, struct convo_err *err)
{
	if (!name.len)
		return cv_fail(err, CONVO_E_INVALID, "%s is empty", what);
	if (name.len > CONVO_MAX_NAME)
		return cv_fail(err, CONVO_E_INVALID, "%s is longer than %u bytes", what,
			       CONVO_MAX_NAME);
	return check_plain(name, what, err);
}

int cv_prepare_name(const char *name, const char *what, struct convo_err *err)
{
	if (!name)
		return cv_fail(err, CONVO_E_INVALID, "%s is missing", what);
	return check_name(cv_text_of(name), what, err);
}

int cv_prepare_key(const struct convo_key *key, unsigned scopes, struct convo_err *err)
{
	int rc;

	if (!key)
		return cv_fail(err, CONVO_E_INVALID, "the key is missing");
	rc = cv_prepare_name(key->app, "the app name", err);
	if (rc >= 0 && scopes & (CONVO_SCOPE_USER | CONVO_SCOPE_SESSION))
		rc = cv_prepare_name(key->user, "the user name", err);
	if (rc >= 0 && scopes & CONVO_SCOPE_SESSION)
		rc = cv_prepare_name(key->session, "the session id", err);
	return rc;
}

int cv_prepare_title(struct cv_text *out, const char *title, struct convo_err *err)
{
	struct cv_text text = cv_text_of(title ? title : "");

	*out = text;
	return text.len ? check_name(text, "the title", err) : 0;
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
	return check_name(*rest, "a state name", err);
}

/* Add one name; a temp: one is only checked. */
static int changes_add(struct change_list *list, struct cv_text name, struct cv_text value,
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

/* No name twice among the changes from `first` on. */
static int changes_check_unique(const struct change_list *list, size_t first, struct convo_err *err)
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
		if (rc >= 0)
			rc = changes_add(list, cv_text_of(items[i].name), value, 0, &temp, err);
		if (rc < 0)
			return rc;
	}
	return changes_check_unique(list, 0, err);
}

unsigned cv_prepare_scopes(const struct change_list *list)
{
	unsigned scopes = 0;
	size_t i;

	for (i = 0; i < list->count; i++)
		scopes |= list->change[i].scope;
	return scopes;
}

/* ---- events ----------------------------------------------------------------------------- */

/* A string of JSON, escapes resolved when there are any. */
static int string_of(struct prepared_append *out, struct cv_text *text, struct cv_text raw,
		     struct convo_err *err)
{
	struct cv_buf plain = {0};
	int rc;

	*text = raw;
	if (!memchr(raw.data, '\\', raw.len))
		return 0;
	rc = cv_json_unescape(&plain, raw);
	if (rc >= 0) {
		text->len = plain.len;
		text->data = cv_arena_dup(&out->arena, cv_buf_str(&plain), plain.len);
		if (!text->data)
			rc = CONVO_E_NOMEM;
	}
	cv_buf_clear(&plain);
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

static int prepare_message(struct prepared_append *out, struct store_event *event,
			   struct convo_err *err)
{
	struct cv_text message = event->field[FIELD_MESSAGE], role;
	int rc = cv_json_check(message, "the message", err);

	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "the message is not a JSON object");
	role = cv_json_find(message, "role");
	if (cv_json_kind(role) != JSON_KIND_STRING)
		return cv_fail(err, CONVO_E_INVALID, "the message has no \"role\" string");
	role = (struct cv_text){role.data + 1, role.len - 2};
	rc = string_of(out, &event->field[FIELD_ROLE], role, err);
	return rc < 0 ? rc : check_name(event->field[FIELD_ROLE], "the role", err);
}

static int prepare_object(struct cv_text text, enum event_field field, struct convo_err *err)
{
	int rc = text.data ? cv_json_check(text, cv_event_field_name[field], err) : 0;

	if (rc < 0 || !text.data)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "%s is not a JSON object",
			       cv_event_field_name[field]);
	return 0;
}

/* Write the delta again without its temp: names. */
static int strip_temp(struct prepared_append *out, struct cv_text *state, struct convo_err *err)
{
	struct cv_buf kept = {0};
	struct cv_text name, value;
	size_t pos = 0;
	int rc = 0;

	while (rc >= 0 && cv_json_member(*state, &pos, &name, &value)) {
		struct cv_text plain;

		rc = string_of(out, &plain, name, err);
		if (rc < 0 || (plain.len >= 5 && memcmp(plain.data, "temp:", 5) == 0))
			continue;
		rc = cv_buf_addc(&kept, kept.len ? ',' : '{');
		if (rc >= 0)
			rc = cv_buf_add(&kept, name.data - 1, name.len + 2);
		if (rc >= 0)
			rc = cv_buf_addc(&kept, ':');
		if (rc >= 0)
			rc = cv_buf_add(&kept, value.data, value.len);
	}
	*state = (struct cv_text){0};
	if (rc >= 0 && kept.len)
		rc = cv_buf_addc(&kept, '}');
	if (rc >= 0 && kept.len) {
		state->data = cv_arena_dup(&out->arena, kept.data, kept.len);
		state->len = kept.len;
		if (!state->data)
			rc = CONVO_E_NOMEM;
	}
	cv_buf_clear(&kept);
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

static int prepare_state(struct prepared_append *out, struct store_event *event, size_t index,
			 struct convo_err *err)
{
	struct cv_text *state = &event->field[FIELD_STATE], name, value, plain;
	size_t pos = 0, first = out->changes.count;
	bool temp, any_temp = false;
	int rc;

	if (!state->data)
		return 0;
	while (cv_json_member(*state, &pos, &name, &value)) {
		rc = string_of(out, &plain, name, err);
		if (rc >= 0)
			rc = changes_add(&out->changes, plain, value, index, &temp, err);
		if (rc < 0)
			return rc;
		any_temp |= temp;
	}
	rc = changes_check_unique(&out->changes, first, err);
	return rc < 0 || !any_temp ? rc : strip_temp(out, state, err);
}

static int check_line(struct cv_text text, size_t max, enum event_field field,
		      struct convo_err *err)
{
	const char *what = cv_event_field_name[field];

	if (!text.data)
		return 0;
	if (text.len > max)
		return cv_fail(err, CONVO_E_INVALID, "%s is longer than %zu bytes", what, max);
	if (field == FIELD_ERROR)
		return cv_utf8_valid(text.data, text.len)
			       ? 0
			       : cv_fail(err, CONVO_E_INVALID, "%s is not valid UTF-8", what);
	return check_plain(text, what, err);
}

static int check_lines(const struct store_event *event, struct convo_err *err)
{
	const struct cv_text *field = event->field;
	int rc = check_name(field[FIELD_AUTHOR], "the author", err);

	if (rc >= 0)
		rc = check_line(field[FIELD_TURN], CONVO_MAX_NAME, FIELD_TURN, err);
	if (rc >= 0)
		rc = check_line(field[FIELD_MODEL], CONVO_MAX_NAME, FIELD_MODEL, err);
	if (rc >= 0)
		rc = check_line(field[FIELD_FINISH_REASON], CONVO_MAX_NAME, FIELD_FINISH_REASON,
				err);
	if (rc >= 0)
		rc = check_line(field[FIELD_ERROR], MAX_ERROR, FIELD_ERROR, err);
	return rc;
}

static int check_size(const struct store_event *event, size_t *total, struct convo_err *err)
{
	size_t size = 0;
	int i;

	for (i = 0; i < FIELD_COUNT; i++)
		size += event->field[i].len;
	if (size > CONVO_MAX_EVENT)
		return cv_fail(err, CONVO_E_TOOBIG, "an event is larger than %u bytes",
			       CONVO_MAX_EVENT);
	*total += size;
	if (*total > CONVO_MAX_BATCH)
		return cv_fail(err, CONVO_E_TOOBIG, "the batch is larger than %u bytes",
			       CONVO_MAX_BATCH);
	return 0;
}

static int prepare_id(struct store_event *event, const char *id, struct convo_err *err)
{
	if (!id)
		cv_uuid_new(event->id);
	else if (!cv_uuid_parse(event->id, id))
		return cv_fail(err, CONVO_E_INVALID, "the event id is not a UUID");
	return 0;
}

/* Everything but the state, which counts only if the event is no repetition within its batch. */
static int prepare_event(struct prepared_append *out, struct store_event *event,
			 const struct convo_event *from, size_t *total, struct convo_err *err)
{
	struct cv_text *field = event->field;
	int rc;

	if (!from->message)
		return cv_fail(err, CONVO_E_INVALID, "the message is missing");
	if ((unsigned)from->status > CONVO_FAILED)
		return cv_fail(err, CONVO_E_INVALID, "the status is none of enum convo_status");
	event->status = (int)from->status;
	field[FIELD_AUTHOR] = cv_text_of(from->author);
	field[FIELD_TURN] = cv_text_of(from->turn);
	field[FIELD_MODEL] = cv_text_of(from->model);
	field[FIELD_FINISH_REASON] = cv_text_of(from->finish_reason);
	field[FIELD_ERROR] = cv_text_of(from->error);
	field[FIELD_MESSAGE] = cv_text_of(from->message_len ? NULL : from->message);
	if (from->message_len)
		field[FIELD_MESSAGE] = (struct cv_text){from->message, from->message_len};
	field[FIELD_USAGE] = cv_text_of(from->usage);
	field[FIELD_STATE] = cv_text_of(from->state);
	field[FIELD_EXTRA] = cv_text_of(from->extra);
	rc = check_size(event, total, err);
	if (rc >= 0)
		rc = prepare_id(event, from->id, err);
	if (rc >= 0)
		rc = prepare_message(out, event, err);
	if (rc >= 0 && !from->author)
		field[FIELD_AUTHOR] = field[FIELD_ROLE];
	if (rc >= 0)
		rc = check_lines(event, err);
	if (rc >= 0)
		rc = prepare_object(field[FIELD_USAGE], FIELD_USAGE, err);
	if (rc >= 0)
		rc = prepare_object(field[FIELD_STATE], FIELD_STATE, err);
	if (rc >= 0)
		rc = prepare_object(field[FIELD_EXTRA], FIELD_EXTRA, err);
	return rc;
}

/* ---- ids that stand in a batch twice ---------------------------------------------------- */

struct id_place {
	const unsigned char *id;
	size_t index;
};

static int id_compare(const void *a, const void *b)
{
	const struct id_place *left = a, *right = b;
	int order = memcmp(left->id, right->id, UUID_BYTES);

	if (order)
		return order;
	return left->index < right->index ? -1 : left->index > right->index;
}

/*
 * Let each event's place be that of the first one with its id, and close the gaps (A2: an id is
 * stored once).
 */
static int drop_repeated(struct prepared_append *out, size_t count, struct convo_err *err)
{
	struct id_place *ids = cv_alloc(count, sizeof(*ids));
	size_t i, kept = 0;

	if (!ids)
		return cv_fail_nomem(err);
	for (i = 0; i < count; i++)
		ids[i] = (struct id_place){out->events[i].id, i};
	qsort(ids, count, sizeof(*ids), id_compare);
	for (i = 0; i < count; i++) {
		bool same = i && memcmp(ids[i].id, ids[i - 1].id, UUID_BYTES) == 0;

		out->place[ids[i].index] = same ? out->place[ids[i - 1].index] : ids[i].index;
	}
	free(ids);
	for (i = 0; i < count; i++) {
		if (out->place[i] == i) {
			out->place[i] = kept;
			out->events[kept++] = out->events[i];
		} else {
			out->place[i] = out->place[out->place[i]];
		}
	}
	out->append.count = kept;
	return 0;
}

int cv_prepare_append(struct prepared_append *out, const struct convo_event *events, size_t count,
		      struct convo_err *err)
{
	size_t i, total = 0;
	int rc = 0;

	if (!events || !count)
		return cv_fail(err, CONVO_E_INVALID, "there is no event to append");
	if (count > CONVO_MAX_BATCH_EVENTS)
		return cv_fail(err, CONVO_E_TOOBIG, "the batch has more than %u events",
			       CONVO_MAX_BATCH_EVENTS);
	out->events = count == 1 ? &out->one : cv_alloc(count, sizeof(*out->events));
	out->place = count == 1 ? &out->one_place : cv_alloc(count, sizeof(*out->place));
	if (!out->events || !out->place)
		return cv_fail_nomem(err);
	for (i = 0; rc >= 0 && i < count; i++)
		rc = prepare_event(out, &out->events[i], &events[i], &total, err);
	out->append.count = count;
	if (rc >= 0 && count > 1)
		rc = drop_repeated(out, count, err);
	for (i = 0; rc >= 0 && i < out->append.count; i++)
		rc = prepare_state(out, &out->events[i], i, err);
	out->append.events = out->events;
	out->append.changes = out->changes.change;
	out->append.change_count = out->changes.count;
	return rc;
}

void cv_prepare_clear(struct prepared_append *prepared)
{
	cv_arena_clear(&prepared->arena);
	if (prepared->events != &prepared->one)
		free(prepared->events);
	if (prepared->place != &prepared->one_place)
		free(prepared->place);
	free(prepared->changes.change);
}
