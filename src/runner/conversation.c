/*
 * The order of a conversation. Turns that ran at once alternate in seq; a model must see each
 * turn's messages together, so events are grouped by their turn id and the groups stand where
 * their first event stands. What is left out of a request for other reasons is context.c's.
 */
#include <runner/conversation.h>

#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/json.h>
#include <runner/ids.h>

/* ---- placing -------------------------------------------------------------------------- */

static int place_by_turn(const void *a, const void *b)
{
	const struct place *left = a, *right = b;
	int order = 0;

	if (left->turn && right->turn)
		order = strcmp(left->turn, right->turn);
	else if (left->turn || right->turn)
		order = left->turn ? 1 : -1;
	if (order != 0)
		return order;
	return left->index < right->index ? -1 : left->index > right->index;
}

static int place_by_first(const void *a, const void *b)
{
	const struct place *left = a, *right = b;

	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return left->index < right->index ? -1 : left->index > right->index;
}

/* The first of the places sorted by turn that is not before `turn`. */
static size_t place_find(const struct place *places, size_t count, const char *turn)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *here = places[middle].turn;

		if (!here || strcmp(here, turn) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Take a turn back. @return where it begins; 0 when that is not in sight. A window that is cut may show
 * the end of a turn alone: what begins with a question is whole.
 */
static int64_t place_undo(struct place *places, const convo_session *session, const char *turn)
{
	size_t count = convo_session_count(session), i = place_find(places, count, turn);
	const struct convo_event *first;

	if (i == count || strcmp(places[i].turn, turn) != 0)
		return 0;
	first = convo_session_event(session, places[i].index);
	for (; i < count && strcmp(places[i].turn, turn) == 0; i++)
		places[i].undone = true;
	if (convo_session_event(session, 0)->seq > 1 && !cv_turn_begins(first))
		return 0;
	return first->seq;
}

/* Obey the marker {"undo":"<turn id>"} of a control event, if it is one. */
static int place_obey(struct place *places, const convo_session *session, struct place *marker)
{
	const struct convo_event *event = convo_session_event(session, marker->index);
	struct cv_text undo = cv_json_find(cv_text_of(event->extra), "undo");
	struct cv_buf turn = {.max = CONVO_MAX_NAME};
	int rc;

	if (cv_json_kind(undo) != JSON_KIND_STRING)
		return 0;
	undo.data++;
	undo.len -= 2;
	rc = cv_json_unescape(&turn, undo);
	if (rc < 0)
		goto out;
	marker->marks = true;
	marker->takes = place_undo(places, session, cv_buf_str(&turn));
out:
	cv_buf_clear(&turn);
	return rc == CONVO_E_NOMEM ? rc : 0; /* a name that is too long names no turn */
}

static int place_all(struct place *places, const convo_session *session)
{
	size_t count = convo_session_count(session), i;

	for (i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, i);

		places[i].turn = event->turn;
		places[i].index = i;
		places[i].undone = strcmp(event->role, ROLE_CONTROL) == 0;
	}
	qsort(places, count, sizeof(*places), place_by_turn);
	for (i = 0; i < count; i++) {
		const char *turn = places[i].turn;
		bool same = i && turn && places[i - 1].turn && !strcmp(places[i - 1].turn, turn);

		places[i].first = same ? places[i - 1].first : places[i].index;
	}
	for (i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, places[i].index);

		if (strcmp(event->role, ROLE_CONTROL) == 0 && event->extra &&
		    place_obey(places, session, &places[i]) < 0)
			return CONVO_E_NOMEM;
	}
	qsort(places, count, sizeof(*places), place_by_first);
	return 0;
}

int cv_conversation_place(struct place **out, const convo_session *session, struct convo_err *err)
{
	struct place *places = cv_alloc(convo_session_count(session), sizeof(*places));

	if (!places || place_all(places, session) < 0) {
		free(places);
		return cv_fail_nomem(err);
	}
	*out = places;
	return 0;
}

/* ---- looking at messages -------------------------------------------------------------- */

/* Whether a value holds anything: a string that is not "", an array with an element. */
static bool value_filled(struct cv_text value)
{
	struct cv_text element;
	size_t pos = 0;

	switch (cv_json_kind(value)) {
	case JSON_KIND_STRING:
		return value.len > 2;
	case JSON_KIND_ARRAY:
		return cv_json_element(value, &pos, &element);
	default:
		return false;
	}
}

struct message_facts cv_message_look(const char *message, size_t len)
{
	struct cv_text object = {message, len}, name, value;
	struct message_facts facts = {0};
	size_t pos = 0;

	while (cv_json_member(object, &pos, &name, &value)) {
		if (cv_text_is(name, "content") || cv_text_is(name, "refusal"))
			facts.content |= value_filled(value);
		else if (cv_text_is(name, "tool_calls"))
			facts.calls |= value_filled(value);
		else if ((cv_text_is(name, "reasoning_content") || cv_text_is(name, "reasoning")) &&
			 value_filled(value))
			facts.thinking += value.len;
	}
	if (facts.calls)
		facts.thinking = 0;
	return facts;
}

/* An answer that never came, or was thinking alone, is nothing to send: endpoints refuse it. */
static bool event_speaks(const struct convo_event *event)
{
	struct message_facts facts;

	if (strcmp(event->role, "assistant") != 0)
		return true;
	facts = cv_message_look(event->message, event->message_len);
	return facts.content || facts.calls;
}

int64_t convo_session_conversation(const convo_session *session, const struct convo_event **events)
{
	size_t total = convo_session_count(session), i;
	struct place *places = NULL;
	int64_t count = 0;
	int rc;

	if (!total)
		return 0;
	rc = cv_check_given(events, "the place for the events", NULL);
	if (rc < 0)
		return rc;
	rc = cv_conversation_place(&places, session, NULL);
	if (rc < 0)
		return rc;
	for (i = 0; i < total; i++) {
		const struct convo_event *event = convo_session_event(session, places[i].index);

		if (!places[i].undone && event_speaks(event))
			events[count++] = event;
	}
	free(places);
	return count;
}
