/*
 * Questions; see question.h. Messages come from other people's programs: nothing of them is believed.
 */
#include <runner/question.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/buf.h>
#include <base/check.h>
#include <base/fail.h>
#include <base/json.h>
#include <base/utf8.h>

/* What an event may hold beside its message. */
#define EVENT_REST 4096u

/* What each event of a batch takes beside its message: turn, role, author. */
#define BATCH_REST 512u

void cv_question_clear(struct question *question)
{
	free(question->events);
	free(question->ids);
	free((void *)question->id);
	free(question->seqs);
	free(question->made);
	memset(question, 0, sizeof(*question));
}

/* ---- the turn's id ---------------------------------------------------------------------- */

static int turn_check(const char *turn, struct convo_err *err)
{
	size_t len = strlen(turn);

	if (!len || len > CONVO_MAX_NAME || !cv_utf8_valid(turn, len))
		return cv_fail(err, CONVO_E_INVALID, "a turn's id has 1 to %u bytes of UTF-8",
			       CONVO_MAX_NAME);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)turn[i] < 0x20 || turn[i] == 0x7f)
			return cv_fail(err, CONVO_E_INVALID,
				       "the turn's id holds a control character");
	}
	return 0;
}

static int question_name(struct question *out, const char *turn, struct convo_err *err)
{
	int rc = turn ? turn_check(turn, err) : 0;

	if (rc < 0)
		return rc;
	out->given = turn != NULL;
	if (turn)
		memcpy(out->turn, turn, strlen(turn) + 1);
	else
		convo_uuid_make(out->turn);
	convo_turn_event_id(out->answer_id, out->turn, 0);
	return 0;
}

/* ---- events ----------------------------------------------------------------------------- */

static int question_room(struct question *out, size_t count, struct convo_err *err)
{
	out->count = count;
	out->events = cv_alloc(count, sizeof(*out->events));
	out->ids = cv_alloc(count, sizeof(*out->ids));
	out->id = cv_alloc(count, sizeof(*out->id));
	out->seqs = cv_alloc(count, sizeof(*out->seqs));
	if (!out->events || !out->ids || !out->id || !out->seqs)
		return cv_fail_nomem(err);
	for (size_t i = 0; i < count; i++) {
		convo_turn_event_id(out->ids[i], out->turn, i + 1);
		out->id[i] = out->events[i].id = out->ids[i];
		out->events[i].turn = out->turn;
	}
	return 0;
}

static int question_extra(struct question *out, const char *extra, struct convo_err *err)
{
	struct cv_text json = cv_text_of(extra);
	int rc;

	if (!extra)
		return 0;
	rc = cv_json_check(json, "extra", err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "extra: not a JSON object");
	if (out->events[0].message_len + json.len > CONVO_MAX_EVENT - EVENT_REST)
		return cv_fail(err, CONVO_E_TOOBIG,
			       "extra: with the first message more than %u bytes",
			       CONVO_MAX_EVENT - EVENT_REST);
	out->events[0].extra = extra;
	return 0;
}

/* ---- a text ----------------------------------------------------------------------------- */

/* The text as a message, and a title in case the session is new. */
static int text_make(struct question *out, const char *said, size_t len, struct convo_err *err)
{
	struct cv_buf text = {.max = CONVO_MAX_EVENT};
	int rc = cv_buf_repair(&text, said, len);

	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
	} else {
		cv_title_make(out->title, text.data, text.len);
		rc = convo_message_make(&out->made, "user", text.data, text.len, err);
	}
	cv_buf_clear(&text);
	return rc;
}

static int text_read(struct question *out, const struct convo_question *asked,
		     struct convo_err *err)
{
	size_t len = asked->text_len ? asked->text_len : strlen(asked->text);
	int rc;

	if (!len)
		return cv_fail(err, CONVO_E_INVALID, "the question is empty");
	rc = question_room(out, 1, err);
	if (rc < 0)
		return rc;
	rc = len > CONVO_MAX_EVENT ? CONVO_E_TOOBIG : text_make(out, asked->text, len, err);
	if (rc == CONVO_E_TOOBIG || (rc >= 0 && strlen(out->made) > CONVO_MAX_EVENT - EVENT_REST))
		return cv_fail(err, CONVO_E_TOOBIG, "the question has more than 4 MiB");
	if (rc < 0)
		return rc;
	out->events[0].message = out->made;
	out->events[0].message_len = strlen(out->made);
	out->events[0].role = "user";
	return 0;
}

/* ---- messages --------------------------------------------------------------------------- */

/* The members of a message that something depends on. Absent ones are all-zero. */
struct said {
	struct cv_text role, content, calls, call_id;
	const char *name; /* of the message, for errors */
	bool last;
};

static int said_fail(const struct said *said, const char *what, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_INVALID, "%s: %s", said->name, what);
}

/* Programs differ in which one they take of two, so nothing that is looked at may stand there twice. */
static int said_find(struct said *said, struct cv_text message, struct convo_err *err)
{
	static const char *const names[] = {"role", "content", "tool_calls", "tool_call_id"};
	struct cv_text *const places[] = {&said->role, &said->content, &said->calls,
					  &said->call_id};
	struct cv_text name, value;
	size_t pos = 0;

	while (cv_json_member(message, &pos, &name, &value)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (!cv_json_name_is(name, names[i]))
				continue;
			if (places[i]->data)
				return cv_fail(err, CONVO_E_INVALID,
					       "%s: \"%s\" stands there twice", said->name,
					       names[i]);
			*places[i] = value;
		}
	}
	return 0;
}

/* The role as a string that lives for ever; NULL: it is none of those that may be said. */
static const char *said_role(const struct said *said)
{
	static const char *const roles[] = {"user", "tool", "assistant", "system", "developer"};

	if (cv_json_kind(said->role) != JSON_KIND_STRING)
		return NULL;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (cv_text_is((struct cv_text){said->role.data + 1, said->role.len - 2}, roles[i]))
			return roles[i];
	}
	return NULL;
}

static bool content_has_parts(struct cv_text content)
{
	struct cv_text part;
	size_t pos = 0, count = 0;

	while (cv_json_element(content, &pos, &part)) {
		if (cv_json_kind(part) != JSON_KIND_OBJECT ||
		    cv_json_kind(cv_json_find(part, "type")) != JSON_KIND_STRING)
			return false;
		count++;
	}
	return count > 0;
}

static int said_check_content(const struct said *said, bool calls, struct convo_err *err)
{
	switch (cv_json_kind(said->content)) {
	case JSON_KIND_STRING:
		return 0;
	case JSON_KIND_ARRAY:
		return content_has_parts(said->content)
			       ? 0
			       : said_fail(said, "a part of the content has no \"type\"", err);
	case JSON_KIND_NULL:
	case JSON_KIND_NONE:
		if (calls)
			return 0;
		break;
	default:
		break;
	}
	return said_fail(said, "the content is neither a text nor an array of parts", err);
}

static int said_check(const struct said *said, const char *role, struct convo_err *err)
{
	bool assistant = strcmp(role, "assistant") == 0;
	bool calls = cv_json_kind(said->calls) == JSON_KIND_ARRAY && said->calls.len > 2;

	if (said->calls.data && !(assistant && cv_json_kind(said->calls) == JSON_KIND_ARRAY) &&
	    cv_json_kind(said->calls) != JSON_KIND_NULL)
		return said_fail(said, "\"tool_calls\" are an array, of the assistant alone", err);
	if (assistant && said->last)
		return said_fail(said, "the last message is the assistant's already", err);
	if (strcmp(role, "tool") == 0 &&
	    (cv_json_kind(said->call_id) != JSON_KIND_STRING || said->call_id.len == 2))
		return said_fail(said, "the output of a tool has no \"tool_call_id\"", err);
	return said_check_content(said, calls, err);
}

/* A title from the first message of the user. */
static int message_title(struct question *out, struct cv_text message, struct convo_err *err)
{
	char *text = NULL;
	int rc = convo_message_text(&text, message.data, message.len, err);

	if (rc < 0)
		return rc;
	cv_title_make(out->title, text, strlen(text));
	free(text);
	return 0;
}

static int message_read(struct question *out, size_t i, const struct convo_message *message,
			struct convo_err *err)
{
	struct cv_text json = {message->json, message->len};
	struct convo_event *event = &out->events[i];
	struct said said = {.last = i + 1 == out->count};
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "messages[%zu]", i);
	said.name = name;
	if (!json.data)
		return said_fail(&said, "it is missing (NULL)", err);
	if (json.len > CONVO_MAX_EVENT - EVENT_REST)
		return cv_fail(err, CONVO_E_TOOBIG, "%s: more than %u bytes", name,
			       CONVO_MAX_EVENT - EVENT_REST);
	rc = cv_json_check(json, name, err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return said_fail(&said, "not a JSON object", err);
	rc = said_find(&said, json, err);
	if (rc < 0)
		return rc;
	event->role = said_role(&said);
	if (!event->role)
		return said_fail(&said, "the role is none that can be said", err);
	rc = said_check(&said, event->role, err);
	if (rc < 0)
		return rc;
	event->message = json.data;
	event->message_len = json.len;
	out->outputs |= strcmp(event->role, "tool") == 0;
	if (!*out->title && strcmp(event->role, "user") == 0)
		return message_title(out, json, err);
	return 0;
}

static int messages_read(struct question *out, const struct convo_question *asked,
			 struct convo_err *err)
{
	size_t total = 0;
	int rc;

	if (!asked->messages || !asked->count)
		return cv_fail(err, CONVO_E_INVALID, "a question needs a text or messages");
	if (asked->count > CONVO_MAX_BATCH_EVENTS)
		return cv_fail(err, CONVO_E_TOOBIG, "messages[%u]: more than %u messages",
			       CONVO_MAX_BATCH_EVENTS, CONVO_MAX_BATCH_EVENTS);
	rc = question_room(out, asked->count, err);
	for (size_t i = 0; i < asked->count && rc >= 0; i++) {
		rc = message_read(out, i, &asked->messages[i], err);
		if (rc < 0)
			return rc;
		total += asked->messages[i].len + BATCH_REST;
		if (total > CONVO_MAX_BATCH)
			return cv_fail(err, CONVO_E_TOOBIG,
				       "messages[%zu]: with those before it more than %u bytes", i,
				       CONVO_MAX_BATCH);
	}
	return rc;
}

/* ---- all of it -------------------------------------------------------------------------- */

int cv_question_read(struct question *out, const struct convo_question *asked,
		     struct convo_err *err)
{
	const struct convo_turn_options *options = asked ? asked->options : NULL;
	int rc;

	if (!asked || !asked->user || !asked->session)
		return cv_fail(err, CONVO_E_INVALID, "a question needs user and session");
	rc = CHECK_RESERVED(asked, err);
	if (rc < 0)
		return rc;
	rc = options ? CHECK_RESERVED(options, err) : 0;
	if (rc < 0)
		return rc;
	if ((unsigned)asked->when_busy > CONVO_BUSY_TAKE)
		return cv_fail(err, CONVO_E_INVALID, "what to do when it is busy is unknown");
	if (asked->text && (asked->messages || asked->count))
		return cv_fail(err, CONVO_E_INVALID, "a question is a text or messages, not both");
	rc = question_name(out, options ? options->turn : NULL, err);
	if (rc < 0)
		return rc;
	rc = asked->text ? text_read(out, asked, err) : messages_read(out, asked, err);
	return rc < 0 || !options ? rc : question_extra(out, options->extra, err);
}
