/*
 * Reading a reply; see reply.h. Neither the status nor the Content-Type is trusted alone: servers
 * stream when asked not to, do not when asked to, and report errors with status 200.
 */
#include <model/reply.h>

#include <string.h>

#define MARK "\xef\xbb\xbf"       /* a byte order mark */
#define LARGEST_ERROR (64u << 10) /* bytes of an error or a page; the rest is not read */

/* ---- what is it ----------------------------------------------------------------------- */

static struct cv_text reply_trim(struct cv_text text)
{
	while (text.len && strchr(" \t\r\n", text.data[0]) && text.data[0]) {
		text.data++;
		text.len--;
	}
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]) && text.data[text.len - 1])
		text.len--;
	return text;
}

static struct cv_text reply_skip_mark(struct cv_text text)
{
	if (text.len >= 3 && memcmp(text.data, MARK, 3) == 0) {
		text.data += 3;
		text.len -= 3;
	}
	return text;
}

/* Whether text begins a line of an event stream: 1, 0, or -1 when there is too little of it. */
static int reply_looks_like_event(struct cv_text text)
{
	static const char *const names[] = {"data", "event", "id", "retry", "error"};

	if (*text.data == ':')
		return 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (memcmp(text.data, names[i], text.len < len ? text.len : len) != 0)
			continue;
		if (text.len <= len)
			return -1;
		return text.data[len] == ':' || text.data[len] == '\n' || text.data[len] == '\r';
	}
	return 0;
}

static enum reply_form reply_sniff(const struct reply *reply)
{
	struct cv_text text = {reply->body.data, reply->body.len};
	int event;

	if (text.len < 3 && memcmp(text.data, MARK, text.len) == 0)
		return REPLY_UNKNOWN;
	text = reply_trim(reply_skip_mark(text));
	if (!text.len)
		return REPLY_UNKNOWN;
	if (*text.data == '{' || *text.data == '[')
		return REPLY_WHOLE;
	if (*text.data == '<')
		return REPLY_PAGE;
	event = reply->says_events ? 1 : reply_looks_like_event(text);
	if (event < 0)
		return REPLY_UNKNOWN;
	return event ? REPLY_EVENTS : REPLY_PAGE;
}

/* ---- reading -------------------------------------------------------------------------- */

/* Learn from the error that the server sent. @return whether the conversation was too long */
static bool reply_learn(struct reply *reply)
{
	const struct wire_error *error = &reply->wire.error;
	bool known = strcmp(error->code, "context_length_exceeded") == 0 ||
		     strcmp(error->type, "exceed_context_size_error") == 0;

	reply->refusal.window = error->window;
	reply->refusal.asked = error->asked;
	cv_refusal_read(&reply->refusal, error->message, known);
	return reply->refusal.too_long;
}

#define TOO_LONG "the conversation is too long for the model"

/* Put what the wire reader found wrong into words. */
static int reply_wire_failed(struct reply *reply)
{
	char told[sizeof(struct wire_error)];

	if (reply->wire.broken)
		return cv_fail(reply->err, CONVO_E_REFUSED, "%s: the server sent broken JSON",
			       reply->base);
	cv_error_tell(told, sizeof(told), &reply->wire.error);
	if (reply_learn(reply))
		return cv_fail(reply->err, CONVO_E_TOOBIG, "%s: %s%s%s", reply->base, TOO_LONG,
			       *told ? ": " : "", told);
	return cv_fail(reply->err, CONVO_E_REFUSED, "%s: the server reported%s%s", reply->base,
		       *told ? ": " : " an error without a text", told);
}

static int reply_read(struct reply *reply, struct cv_text json, bool is_error)
{
	int rc = cv_wire_read(&reply->wire, json, is_error, reply->err);

	if (rc == CONVO_E_REFUSED && (reply->wire.broken || reply->wire.failed))
		return reply_wire_failed(reply);
	return rc;
}

static int reply_event(void *ctx, const struct sse_event *event)
{
	struct reply *reply = ctx;
	struct cv_text data = reply_trim(event->data);

	if (reply->done || !data.len || cv_text_is(event->name, "ping") ||
	    cv_text_is(event->name, "keepalive"))
		return 0;
	if (cv_text_is(data, "[DONE]")) {
		reply->done = true;
		return 0;
	}
	if (event->unfinished) {
		int rc = cv_wire_read(&reply->wire, data, false, reply->err);

		/* Cut in the middle, it says nothing; that it is cut is noticed at the end. */
		if (rc == CONVO_E_REFUSED && reply->wire.broken)
			return 0;
		return rc == CONVO_E_REFUSED && reply->wire.failed ? reply_wire_failed(reply) : rc;
	}
	return reply_read(reply, data, cv_text_is(event->name, "error"));
}

void cv_reply_begin(struct reply *reply)
{
	reply->form = reply->collect ? REPLY_BODY : REPLY_UNKNOWN;
	if (reply->status >= 300)
		reply->form = REPLY_ERROR;
	reply->body.max = reply->max;
	reply->sse.on_event = reply_event;
	reply->sse.ctx = reply;
	reply->sse.max = reply->max;
}

static int reply_too_big(struct reply *reply)
{
	return cv_fail(reply->err, CONVO_E_TOOBIG, "%s: the server sent more than %zu bytes%s",
		       reply->base, reply->max, reply->form == REPLY_EVENTS ? " in one event" : "");
}

static int reply_feed_events(struct reply *reply, const char *bytes, size_t len)
{
	int rc = cv_sse_feed(&reply->sse, bytes, len);

	if (rc == CONVO_E_TOOBIG && !cv_answer_full(reply->wire.answer))
		return reply_too_big(reply);
	return rc == CONVO_E_NOMEM ? cv_fail_nomem(reply->err) : rc;
}

int cv_reply_feed(struct reply *reply, const char *bytes, size_t len)
{
	int rc;

	reply->started = reply->started || len;
	if (reply->done)
		return 0;
	if (reply->form == REPLY_EVENTS)
		return reply_feed_events(reply, bytes, len);
	rc = cv_buf_add(&reply->body, bytes, len);
	if (rc < 0)
		return rc == CONVO_E_TOOBIG ? reply_too_big(reply) : cv_fail_nomem(reply->err);
	if (reply->form == REPLY_UNKNOWN)
		reply->form = reply_sniff(reply);
	if (reply->form == REPLY_EVENTS) {
		rc = reply_feed_events(reply, reply->body.data, reply->body.len);
		cv_buf_clear(&reply->body);
	}
	if ((reply->form == REPLY_ERROR || reply->form == REPLY_PAGE) &&
	    reply->body.len > LARGEST_ERROR)
		reply->done = true;
	return rc;
}

/* ---- the end -------------------------------------------------------------------------- */

/* What a status means, for people; a longer look than HTTP's own words. */
static const char *reply_meaning(struct reply *reply, int *code)
{
	const struct wire_error *error = &reply->wire.error;

	*code = CONVO_E_REFUSED;
	if (strcmp(error->code, "insufficient_quota") == 0 ||
	    strcmp(error->type, "insufficient_quota") == 0)
		return "no credit left";
	if (reply->status != 429 && reply_learn(reply)) {
		*code = CONVO_E_TOOBIG;
		return TOO_LONG;
	}
	switch (reply->status) {
	case 401:
		*code = CONVO_E_DENIED;
		return "the key was refused";
	case 403:
		*code = CONVO_E_DENIED;
		return "not allowed";
	case 402:
		return "no balance left";
	case 404:
		*code = CONVO_E_NOTFOUND;
		return strcmp(error->code, "model_not_found") == 0 ? "no such model" : "not found";
	case 407:
		return "the proxy wants a password";
	case 413:
		*code = CONVO_E_TOOBIG;
		return "the request is too large";
	case 429:
		return "too many requests";
	}
	return reply->status >= 500 ? "trouble at the server" : "refused";
}

static int reply_fail_status(struct reply *reply)
{
	struct cv_text body = {cv_buf_str(&reply->body), reply->body.len};
	const struct wire_error *error = &reply->wire.error;
	const char *meaning, *where = reply->base;
	int code;

	if (reply->status < 400)
		return cv_fail(reply->err, CONVO_E_NOTFOUND,
			       "%s: HTTP %d: moved to %s; set the base URL", reply->url,
			       reply->status, *reply->location ? reply->location : "another place");
	cv_error_read_body(&reply->wire.error, body, reply->wire.secrets, &reply->json);
	meaning = reply_meaning(reply, &code);
	if (reply->status == 404 && strcmp(error->code, "model_not_found") != 0)
		where = reply->url; /* the path may be what is wrong */
	return cv_fail(reply->err, code, "%s: HTTP %d: %s%s%s%s%s%s%s%s%s%s", where, reply->status,
		       meaning, *error->message ? ": " : "", error->message,
		       *error->code ? " (" : "", error->code, *error->code ? ")" : "",
		       reply->status == 404 && !reply->json ? "; not an OpenAI-style API?" : "",
		       *reply->id ? " [request " : "", reply->id, *reply->id ? "]" : "");
}

static int reply_fail_page(struct reply *reply)
{
	struct cv_text body = {cv_buf_str(&reply->body), reply->body.len};
	struct wire_error *error = &reply->wire.error;

	cv_error_read_body(error, body, reply->wire.secrets, &reply->json);
	return cv_fail(reply->err, CONVO_E_NOTFOUND, "%s: not an OpenAI-style API; it says: %s",
		       reply->url, *error->message ? error->message : "nothing");
}

static int reply_cut(struct reply *reply, const char *cut)
{
	return cv_fail(reply->err, CONVO_E_IO,
		       "%s: connection closed before the reply was complete%s%s", reply->base,
		       cut ? ": " : "", cut ? cut : "");
}

static int reply_check_finish(struct reply *reply)
{
	return reply->wire.gave_up
		       ? cv_fail(reply->err, CONVO_E_REFUSED,
				 "%s: the server ended the answer with an error", reply->base)
		       : 0;
}

static int reply_end_whole(struct reply *reply, const char *cut)
{
	struct cv_text body = {cv_buf_str(&reply->body), reply->body.len};
	int rc = cv_wire_read(&reply->wire, reply_skip_mark(body), false, reply->err);

	if (rc == CONVO_E_REFUSED && reply->wire.broken && cut)
		return reply_cut(reply, cut);
	if (rc == CONVO_E_REFUSED && (reply->wire.broken || reply->wire.failed))
		return reply_wire_failed(reply);
	if (rc == 0 && !reply->wire.choices)
		return reply_fail_page(reply);
	return rc < 0 ? rc : reply_check_finish(reply);
}

/* [DONE] or a finish reason makes it complete; without either the end came too soon. */
static int reply_end_events(struct reply *reply, const char *cut)
{
	int rc = reply->done ? 0 : cv_sse_end(&reply->sse);

	if (rc < 0)
		return rc == CONVO_E_NOMEM ? cv_fail_nomem(reply->err) : rc;
	if (!reply->done && !reply->wire.finished)
		return reply_cut(reply, cut);
	return reply_check_finish(reply);
}

static int reply_end_body(struct reply *reply, const char *cut)
{
	enum reply_form form = reply_sniff(reply);

	if (cut || form == REPLY_UNKNOWN)
		return reply_cut(reply, cut);
	return form == REPLY_WHOLE ? 0 : reply_fail_page(reply);
}

static int reply_verdict(struct reply *reply, const char *cut)
{
	switch (reply->form) {
	case REPLY_ERROR:
		return reply_fail_status(reply);
	case REPLY_PAGE:
		return reply_fail_page(reply);
	case REPLY_BODY:
		return reply_end_body(reply, cut);
	case REPLY_WHOLE:
		return reply_end_whole(reply, cut);
	case REPLY_EVENTS:
		return reply_end_events(reply, cut);
	case REPLY_UNKNOWN:
		break;
	}
	return reply_cut(reply, cut);
}

int cv_reply_end(struct reply *reply, const char *cut)
{
	int rc = reply_verdict(reply, cut), flushed = 0;

	if (!reply->collect && (rc == 0 || rc == CONVO_E_IO))
		flushed = cv_wire_end(&reply->wire, reply->err);
	return flushed < 0 ? flushed : rc;
}

void cv_reply_clear(struct reply *reply)
{
	cv_sse_clear(&reply->sse);
	cv_buf_clear(&reply->body);
}
