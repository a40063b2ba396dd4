/*
 * Taking a turn back: a marker event that names it. Nothing is erased, so a turn that another
 * program stores while it is being taken back needs no lock: its late answer carries the turn's id
 * and is hidden with it.
 */
#include <runner/runner.h>

#include <stdlib.h>
#include <string.h>

#include <base/buf.h>
#include <base/check.h>
#include <base/fail.h>
#include <base/json.h>
#include <runner/conversation.h>
#include <runner/ids.h>

#define FIRST_WINDOW 64

/* How often others may append between our look and our marker. */
#define UNDO_ROUNDS 100

/*
 * The first event of the turn that began last and stands. In a cut window that must be a question
 * in sight: what begins with an answer may have begun before the window, and may even have been
 * taken back there while it ran.
 */
static int undo_find(const struct convo_event **out, const convo_session *session, bool cut,
		     struct convo_err *err)
{
	size_t count = convo_session_count(session);
	struct place *places = NULL;
	int rc = cv_conversation_place(&places, session, err);

	if (rc < 0)
		return rc;
	*out = NULL;
	while (count--) {
		if (!places[count].turn || places[count].undone)
			continue;
		*out = convo_session_event(session, places[count].first);
		if (cut && !cv_turn_begins(*out))
			*out = NULL;
		break;
	}
	free(places);
	return 0;
}

/* Load as much of the session as it takes to find the turn. */
static int undo_load(convo_session **out, const struct convo_event **first,
		     const struct convo_runner *runner, const struct convo_key *key,
		     const struct convo_call *call, struct convo_err *err)
{
	struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = FIRST_WINDOW};

	for (;;) {
		convo_session *session = NULL;
		bool cut;
		int rc = convo_store_load(&session, runner->store, key, &window, call, err);

		if (rc < 0)
			return rc;
		cut = window.n &&
		      (int64_t)convo_session_count(session) < convo_session_meta(session)->count;
		rc = undo_find(first, session, cut, err);
		if (rc >= 0 && *first) {
			*out = session;
			return 0;
		}
		convo_session_free(session);
		if (rc < 0)
			return rc;
		if (!cut)
			return cv_fail(err, CONVO_E_NOTFOUND, "no turn left to take back");
		window.n = window.n > SIZE_MAX / 8 ? 0 : window.n * 8;
	}
}

static int undo_extra(struct cv_buf *extra, const char *turn)
{
	int rc = cv_buf_adds(extra, "{\"undo\":");

	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(extra, turn, strlen(turn));
	return rc < 0 ? rc : cv_buf_addc(extra, '}');
}

/* Append the marker, if nobody appended anything since the session was loaded. */
static int undo_mark(const struct convo_runner *runner, const struct convo_key *key,
		     const convo_session *session, const char *turn, const struct convo_call *call,
		     struct convo_err *err)
{
	static const char marker[] = "{\"role\":\"" ROLE_CONTROL "\",\"content\":\"undo\"}";
	const struct convo_meta *meta = convo_session_meta(session);
	const struct convo_expect expect = {
		.generation = meta->generation, .check_seq = true, .after_seq = meta->last_seq};
	struct cv_buf extra = {.max = 4096};
	struct convo_event event = {.message = marker};
	char id[CONVO_UUID_SIZE];
	int64_t seq;
	int rc = undo_extra(&extra, turn);

	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
		goto out;
	}
	convo_uuid_make(id);
	event.id = id;
	event.extra = extra.data;
	rc = cv_runner_append(runner, key, &expect, &event, 1, APPEND_SETTLE, call, &seq, err);
out:
	cv_buf_clear(&extra);
	return rc;
}

/* What the user said in the turn that begins with `first`; "" when that is nothing. */
static int undo_text(char **out, const convo_session *session, const struct convo_event *first,
		     struct convo_err *err)
{
	size_t count = convo_session_count(session);
	struct cv_buf all = {0};
	int rc = cv_buf_adds(&all, "");

	for (size_t i = 0; i < count && rc >= 0; i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char *text = NULL;

		if (event->seq < first->seq || !event->turn || strcmp(event->turn, first->turn) ||
		    strcmp(event->role, "user") != 0)
			continue;
		rc = convo_message_text(&text, event->message, event->message_len, err);
		if (rc < 0)
			goto out;
		rc = all.len ? cv_buf_adds(&all, "\n\n") : 0;
		if (rc >= 0)
			rc = cv_buf_adds(&all, text);
		free(text);
	}
	*out = rc < 0 ? NULL : cv_buf_take(&all);
	rc = *out ? 0 : cv_fail_nomem(err);
out:
	cv_buf_clear(&all);
	return rc;
}

static int undo_once(char **text, const struct convo_runner *runner, const struct convo_key *key,
		     const struct convo_call *call, struct convo_err *err)
{
	const struct convo_event *first = NULL;
	convo_session *session = NULL;
	char *said = NULL;
	int rc = undo_load(&session, &first, runner, key, call, err);

	if (rc < 0)
		return rc;
	rc = undo_text(&said, session, first, err);
	if (rc < 0)
		goto out;
	rc = undo_mark(runner, key, session, first->turn, call, err);
	if (rc < 0 || !text)
		goto out;
	*text = said;
	said = NULL;
out:
	convo_session_free(session);
	free(said);
	return rc;
}

int convo_runner_undo(char **text, convo_runner *runner, const char *user, const char *session,
		      const struct convo_call *call, struct convo_err *err)
{
	struct convo_key key = {NULL, user, session};
	struct convo_err failure = {0};
	int round, rc = cv_check_given(runner, "the runner", err);

	if (rc < 0)
		return rc;
	key.app = runner->app;
	rc = CONVO_E_CONFLICT;
	for (round = 0; round < UNDO_ROUNDS && rc == CONVO_E_CONFLICT; round++)
		rc = undo_once(text, runner, &key, call, &failure);
	if (rc < 0 && err)
		*err = failure;
	return rc;
}
