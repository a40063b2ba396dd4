/*
 * A session with a window of its events.
 */
#include <string.h>
#include <strings.h>

#include "api/native.h"
#include "api/native_write.h"

/* Most events of a window, and bytes of what is shown of them: a session's may be of 4 MiB each. */
#define WINDOW_MOST 200
#define WINDOW_BYTES ((size_t)4 << 20)

/* What is asked for. */
struct asked {
	struct convo_window window;
	bool state;
};

static bool asked_read(struct asked *out, struct http_request *request)
{
	static const struct {
		const char *name;
		enum convo_window_kind kind;
	} kinds[] = {{"last", CONVO_WINDOW_LAST},
		     {"after", CONVO_WINDOW_AFTER},
		     {"before", CONVO_WINDOW_BEFORE},
		     {"around", CONVO_WINDOW_AROUND}};
	struct convo_window *window = &out->window;
	const char *which = NULL;
	int64_t n = 50;
	size_t i;

	if (!native_query_only(request, "last after before around n state") ||
	    !native_query_switch(&out->state, request, "state"))
		return false;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!http_query(request, kinds[i].name))
			continue;
		if (which)
			return native_wrong(request, kinds[i].name,
					    "one of last, after, before and around is enough");
		which = kinds[i].name;
		window->kind = kinds[i].kind;
	}
	if (window->kind == CONVO_WINDOW_LAST && http_query(request, "n"))
		return native_wrong(request, "n", "goes with after, before or around");
	if (!native_query_number(&n, request, "n", 1, WINDOW_MOST) ||
	    !native_query_number(&n, request, "last", 0, WINDOW_MOST) ||
	    !native_query_number(&window->seq, request, "after", 0, INT64_MAX) ||
	    !native_query_number(&window->seq, request, "before", 0, INT64_MAX))
		return false;
	window->id = http_query(request, "around");
	window->n = (size_t)n;
	if (!n)
		window->kind = CONVO_WINDOW_NONE;
	return true;
}

/* The events that are shown: from `from` to before `to`. */
struct shown {
	size_t from, to;
};

/* Where to begin when not all can be shown. */
static size_t shown_anchor(const convo_session *session, const struct convo_window *window)
{
	size_t count = convo_session_count(session), i;

	if (window->kind == CONVO_WINDOW_AFTER)
		return 0;
	for (i = 0; window->id && i < count; i++)
		if (!strcasecmp(convo_session_event(session, i)->id, window->id))
			return i;
	return count - 1;
}

/* As many as fit, one at least. */
static struct shown shown_fit(const convo_session *session, const struct convo_window *window)
{
	size_t count = convo_session_count(session), left = WINDOW_BYTES, size;
	struct shown shown = {0};
	bool more = count > 0;

	if (!count)
		return shown;
	shown.from = shown_anchor(session, window);
	shown.to = shown.from + 1;
	size = native_event_size(convo_session_event(session, shown.from));
	left -= size < left ? size : left;
	while (more) {
		more = false;
		if (shown.to < count) {
			size = native_event_size(convo_session_event(session, shown.to));
			more = size <= left;
		}
		if (more) {
			left -= size;
			shown.to++;
		}
		if (!shown.from)
			continue;
		size = native_event_size(convo_session_event(session, shown.from - 1));
		if (size > left)
			continue;
		more = true;
		left -= size;
		shown.from--;
	}
	return shown;
}

/* Whether the session shows events before these, and after them. */
static bool more_write(struct text *out, const convo_session *session,
		       const struct convo_window *window, const struct shown *shown)
{
	const struct convo_meta *meta = convo_session_meta(session);
	bool before, after;

	if (shown->from < shown->to) {
		before = convo_session_event(session, shown->from)->seq >
			 meta->last_seq - meta->count + 1;
		after = convo_session_event(session, shown->to - 1)->seq < meta->last_seq;
	} else {
		before = meta->count && window->kind != CONVO_WINDOW_BEFORE;
		after = meta->count && window->kind == CONVO_WINDOW_BEFORE;
	}
	return text_addf(out, "\"more\":{\"before\":%s,\"after\":%s}", before ? "true" : "false",
			 after ? "true" : "false");
}

static bool window_write(struct text *out, const convo_session *session, const struct asked *asked)
{
	const struct shown shown = shown_fit(session, &asked->window);
	const struct convo_event *draft = convo_session_draft(session);
	bool ok = text_adds(out, "{\"session\":") &&
		  native_write_meta(out, convo_session_meta(session)) &&
		  text_adds(out, ",\"events\":[");
	size_t i;

	for (i = shown.from; ok && i < shown.to; i++)
		ok = (i == shown.from || text_adds(out, ",")) &&
		     native_write_event(out, convo_session_event(session, i), true);
	ok = ok && text_adds(out, "],") && more_write(out, session, &asked->window, &shown) &&
	     text_adds(out, ",\"draft\":") &&
	     (draft ? native_write_event(out, draft, true) : text_adds(out, "null"));
	if (ok && asked->state)
		ok = text_adds(out, ",\"state\":") && native_write_state(out, session);
	return ok && text_adds(out, "}");
}

void native_get(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	struct asked asked = {.window.with = CONVO_WITH_DRAFT, .state = true};
	struct text body = {.max = 8 * HTTP_BODY_MAX}, tag = {0};
	convo_session *session = NULL;
	struct convo_err err = {0};

	if (!asked_read(&asked, request))
		return;
	if (convo_store_load(&session, service->store, &key, &asked.window, &call, &err) < 0) {
		native_fail(request, OPENAI_STORE, &err);
		return;
	}
	if (native_write_tag(&tag, convo_session_meta(session)))
		http_add_header(request, "ETag", tag.data);
	native_reply(request, 200, &body, window_write(&body, session, &asked));
	convo_session_free(session);
	text_clear(&tag);
}
