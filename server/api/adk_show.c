/*
 * A session in ADK's form, with its newest events: ADK's API has no pages. What was taken back is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "api/adk.h"
#include "api/adk_event.h"
#include "core/fail.h"

/* Most bytes of a session; its events are read a few at a time. */
#define SHOW_MAX ((size_t)32 << 20)

/* An event in the body, from its comma on. */
struct piece {
	size_t at;
	char *turn; /* NULL: of none */
};

/* All-zero is valid. */
struct shown {
	struct text body;
	struct piece pieces[ADK_MOST];
	size_t count;
	char *undone[ADK_MOST]; /* turns that were taken back */
	size_t undone_count;
};

bool adk_head_write(struct text *out, const struct http_request *request, const char *session)
{
	return text_adds(out, "{\"id\":") && json_quotes(out, session) &&
	       text_adds(out, ",\"appName\":") && json_quotes(out, request->who.app) &&
	       text_adds(out, ",\"userId\":") && json_quotes(out, request->who.user) &&
	       text_adds(out, ",\"state\":{");
}

bool adk_time_write(struct text *out, int64_t ms)
{
	return text_addf(out, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

static void shown_free(struct shown *shown)
{
	size_t i;

	if (!shown)
		return;
	for (i = 0; i < shown->count; i++)
		free(shown->pieces[i].turn);
	for (i = 0; i < shown->undone_count; i++)
		free(shown->undone[i]);
	text_clear(&shown->body);
	free(shown);
}

static bool state_write(struct text *out, const convo_session *session)
{
	const struct convo_item *item;
	bool ok = true;
	size_t i;

	for (i = 0; ok && (item = convo_session_state_at(session, i)); i++)
		ok = text_adds(out, i ? "," : "") && json_quotes(out, item->name) &&
		     text_adds(out, ":") && text_adds(out, item->json);
	return ok;
}

/* A mark of convo's own, which may take a turn back. */
static bool shown_obey(struct shown *shown, const struct convo_event *mark)
{
	json_t *extra = mark->extra ? json_read(mark->extra, strlen(mark->extra), NULL) : NULL;
	const char *turn = json_string_at(extra, "undo");
	char *copy = turn ? strdup(turn) : NULL;
	const bool ok = !turn || copy;

	if (copy)
		shown->undone[shown->undone_count++] = copy;
	json_decref(extra);
	return ok;
}

static bool shown_add(struct shown *shown, const struct convo_event *event, const char *app)
{
	struct piece *piece = &shown->pieces[shown->count];

	if (!adk_event_shows(event))
		return shown_obey(shown, event);
	piece->at = shown->body.len;
	piece->turn = event->turn ? strdup(event->turn) : NULL;
	shown->count++;
	return (piece->turn || !event->turn) && text_adds(&shown->body, ",") &&
	       adk_event_write(&shown->body, event, app, false);
}

static int shown_read(struct shown *shown, struct service *service, struct http_request *request,
		      const struct convo_key *key, const char *generation, struct convo_err *err)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = ADK_MOST};
	const struct convo_call call = {.cancel = request->cancel};
	const struct convo_event *event = NULL;
	convo_reader *reader = NULL;
	int rc = convo_reader_new(&reader, key, &window, err);

	while (rc == 0) {
		rc = convo_store_read(&event, service->store, reader, &call, err);
		if (rc < 0 || !event)
			break;
		if (strcmp(convo_reader_meta(reader)->generation, generation) != 0)
			rc = fail(err, CONVO_E_CONFLICT, "the session was made anew meanwhile");
		else if (!shown_add(shown, event, request->who.app))
			rc = fail(err, CONVO_E_TOOBIG,
				  "the session's newest %d events take more than %zu MiB", ADK_MOST,
				  SHOW_MAX >> 20);
	}
	convo_reader_free(reader);
	return rc;
}

static bool shown_is_undone(const struct shown *shown, const struct piece *piece)
{
	size_t i;

	for (i = 0; piece->turn && i < shown->undone_count; i++)
		if (!strcmp(shown->undone[i], piece->turn))
			return true;
	return false;
}

/* Close the gaps that turns leave which were taken back, and that of the first comma. */
static void shown_pack(struct shown *shown, size_t begin)
{
	struct text *body = &shown->body;
	size_t to = begin, i;

	for (i = 0; i < shown->count; i++) {
		const size_t at = shown->pieces[i].at + (to == begin);
		const size_t end = i + 1 < shown->count ? shown->pieces[i + 1].at : body->len;

		if (shown_is_undone(shown, &shown->pieces[i]))
			continue;
		memmove(body->data + to, body->data + at, end - at);
		to += end - at;
	}
	text_remove(body, to, body->len - to);
}

static int shown_write(struct shown *shown, struct service *service, struct http_request *request,
		       const struct convo_key *key, struct convo_err *err)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_call call = {.cancel = request->cancel};
	struct text *body = &shown->body;
	convo_session *session = NULL;
	size_t begin;
	int rc = convo_store_load(&session, service->store, key, &none, &call, err);

	if (rc < 0)
		return rc;
	body->max = SHOW_MAX;
	if (!adk_head_write(body, request, key->session) || !state_write(body, session) ||
	    !text_adds(body, "},\"events\":[")) {
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
		goto out;
	}
	begin = body->len;
	rc = shown_read(shown, service, request, key, convo_session_meta(session)->generation, err);
	if (rc < 0)
		goto out;
	shown_pack(shown, begin);
	if (!text_adds(body, "],\"lastUpdateTime\":") ||
	    !adk_time_write(body, convo_session_meta(session)->updated_ms) || !text_adds(body, "}"))
		rc = fail(err, CONVO_E_NOMEM, "out of memory");
out:
	convo_session_free(session);
	return rc;
}

void adk_show(struct service *service, struct http_request *request, const char *session)
{
	const struct convo_key key = {request->who.app, request->who.user, session};
	struct shown *shown = calloc(1, sizeof(*shown));
	struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	if (shown && shown_write(shown, service, request, &key, &err) == 0)
		adk_reply(request, &shown->body, true);
	else
		adk_fail(request, OPENAI_STORE, session, &err);
	shown_free(shown);
}
