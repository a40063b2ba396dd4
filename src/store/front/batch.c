/*
 * A batch of events as callers pass it in, checked and converted for the backend; see prepare.h.
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

/* ---- one event ----------------------------------------------------------------------------- */

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
	if (rc < 0) {
		cv_buf_fail(err, rc);
		goto out;
	}
	text->len = plain.len;
	text->data = cv_arena_dup(&out->arena, cv_buf_str(&plain), plain.len);
	if (!text->data)
		rc = cv_fail_nomem(err);
out:
	cv_buf_clear(&plain);
	return rc;
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
	return rc < 0 ? rc : cv_check_name(event->field[FIELD_ROLE], "the role", err);
}

static int prepare_object(struct cv_text text, enum event_field field, struct convo_err *err)
{
	int rc;

	if (!text.data)
		return 0;
	rc = cv_json_check(text, cv_event_field_name[field], err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "%s is not a JSON object",
			       cv_event_field_name[field]);
	return 0;
}

/* A member as it stands in the text: `name` is what is between its quotes. */
static int add_member(struct cv_buf *out, struct cv_text name, struct cv_text value)
{
	int rc = cv_buf_addc(out, out->len ? ',' : '{');

	if (rc < 0)
		return rc;
	rc = cv_buf_add(out, name.data - 1, name.len + 2);
	if (rc < 0)
		return rc;
	rc = cv_buf_addc(out, ':');
	if (rc < 0)
		return rc;
	return cv_buf_add(out, value.data, value.len);
}

/* Write the delta again without its temp: names. */
static int strip_temp(struct prepared_append *out, struct cv_text *state, struct convo_err *err)
{
	struct cv_text name, value, plain;
	struct cv_buf kept = {0};
	size_t pos = 0;
	int rc = 0;

	while (cv_json_member(*state, &pos, &name, &value)) {
		rc = string_of(out, &plain, name, err);
		if (rc < 0)
			goto out;
		if (plain.len >= 5 && memcmp(plain.data, "temp:", 5) == 0)
			continue;
		rc = add_member(&kept, name, value);
		if (rc < 0)
			goto broken;
	}
	*state = (struct cv_text){0};
	if (!kept.len)
		goto out;
	rc = cv_buf_addc(&kept, '}');
	if (rc < 0)
		goto broken;
	state->data = cv_arena_dup(&out->arena, kept.data, kept.len);
	state->len = kept.len;
	if (state->data)
		goto out;
	rc = CONVO_E_NOMEM;
broken:
	rc = cv_buf_fail(err, rc);
out:
	cv_buf_clear(&kept);
	return rc;
}

static int prepare_state(struct prepared_append *out, struct store_event *event, size_t index,
			 struct convo_err *err)
{
	struct cv_text *state = &event->field[FIELD_STATE], name, value, plain;
	size_t pos = 0, first = out->changes.count;
	bool temp, any_temp = false;
	int rc;

	while (cv_json_member(*state, &pos, &name, &value)) {
		rc = string_of(out, &plain, name, err);
		if (rc < 0)
			return rc;
		rc = cv_changes_add(&out->changes, plain, value, index, &temp, err);
		if (rc < 0)
			return rc;
		any_temp |= temp;
	}
	rc = cv_changes_check_unique(&out->changes, first, err);
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
	return cv_check_plain(text, what, err);
}

static int check_lines(const struct cv_text *field, struct convo_err *err)
{
	static const struct {
		enum event_field field;
		size_t max;
	} lines[] = {
		{FIELD_TURN, CONVO_MAX_NAME},
		{FIELD_MODEL, CONVO_MAX_NAME},
		{FIELD_FINISH_REASON, CONVO_MAX_NAME},
		{FIELD_ERROR, MAX_ERROR},
	};
	size_t i;
	int rc = cv_check_name(field[FIELD_AUTHOR], "the author", err);

	if (rc < 0)
		return rc;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		rc = check_line(field[lines[i].field], lines[i].max, lines[i].field, err);
		if (rc < 0)
			return rc;
	}
	return 0;
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

/* Everything but the state, which counts only if the event is no repetition within its batch. `role` as
 * for cv_prepare_draft(). */
static int prepare_event(struct prepared_append *out, struct store_event *event,
			 const struct convo_event *from, struct cv_text role, size_t *total,
			 struct convo_err *err)
{
	struct cv_text *field = event->field;
	enum event_field i;
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
	if (rc < 0)
		return rc;
	rc = prepare_id(event, from->id, err);
	if (rc < 0)
		return rc;
	field[FIELD_ROLE] = role;
	rc = role.data ? 0 : prepare_message(out, event, err);
	if (rc < 0)
		return rc;
	if (!from->author)
		field[FIELD_AUTHOR] = field[FIELD_ROLE];
	rc = check_lines(field, err);
	if (rc < 0)
		return rc;
	for (i = FIELD_USAGE; i < FIELD_COUNT; i++) {
		rc = prepare_object(field[i], i, err);
		if (rc < 0)
			return rc;
	}
	return 0;
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

/* Of several events, say which one is wrong. @return rc */
static int name_event(size_t i, size_t count, int rc, struct convo_err *err)
{
	char text[sizeof(err->text)];

	if (!err || count == 1 || rc == CONVO_E_NOMEM)
		return rc;
	memcpy(text, err->text, sizeof(text));
	return cv_fail(err, rc, "events[%zu]: %s", i, text);
}

/* Which of the caller's events was kept at this place. */
static size_t first_at(const struct prepared_append *out, size_t place)
{
	size_t i = 0;

	while (out->place[i] != place)
		i++;
	return i;
}

int cv_prepare_append(struct prepared_append *out, const struct convo_event *events, size_t count,
		      struct convo_err *err)
{
	size_t i, total = 0;
	int rc;

	if (!events || !count)
		return cv_fail(err, CONVO_E_INVALID, "there is no event to append");
	if (count > CONVO_MAX_BATCH_EVENTS)
		return cv_fail(err, CONVO_E_TOOBIG, "the batch has more than %u events",
			       CONVO_MAX_BATCH_EVENTS);
	out->events = count == 1 ? &out->one : cv_alloc(count, sizeof(*out->events));
	out->place = count == 1 ? &out->one_place : cv_alloc(count, sizeof(*out->place));
	if (!out->events || !out->place)
		return cv_fail_nomem(err);
	for (i = 0; i < count; i++) {
		rc = prepare_event(out, &out->events[i], &events[i], (struct cv_text){0}, &total,
				   err);
		if (rc < 0)
			return name_event(i, count, rc, err);
	}
	out->append.count = count;
	if (count > 1) {
		rc = drop_repeated(out, count, err);
		if (rc < 0)
			return rc;
	}
	for (i = 0; i < out->append.count; i++) {
		if (!out->events[i].field[FIELD_STATE].data)
			continue;
		rc = prepare_state(out, &out->events[i], i, err);
		if (rc < 0)
			return name_event(count == 1 ? 0 : first_at(out, i), count, rc, err);
	}
	out->append.events = out->events;
	out->append.changes = out->changes.change;
	out->append.change_count = out->changes.count;
	return 0;
}

int cv_prepare_draft(struct prepared_append *out, const struct convo_event *event,
		     struct cv_text role, struct convo_err *err)
{
	size_t total = 0;

	out->events = &out->one;
	out->place = &out->one_place;
	return prepare_event(out, &out->one, event, role, &total, err);
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
