/*
 * Telling what is new; see news.h.
 */
#include "api/news.h"

#include <string.h>

#include "api/native.h"
#include "api/native_write.h"
#include "api/sse.h"

/* No more is written while so much waits for a reader: less than what closes a stream. */
#define WAITING_MAX ((size_t)64 << 10)

/* Of an answer so much goes at once. */
#define PIECE_MAX ((size_t)32 << 10)

static void news_forget(struct news *news)
{
	size_t i;

	convo_session_free(news->session);
	news->session = NULL;
	for (i = 0; i < NEWS_EVENTS; i++)
		text_clear(&news->events[i]);
	json_decref(news->draft);
	news->draft = NULL;
	news->loaded = false;
}

void news_clear(struct news *news)
{
	news_forget(news);
}

/* Load what comes after a seq, unless that is there. */
static void news_load(struct news *news, convo_store *store, const struct convo_key *key,
		      int64_t after)
{
	const struct convo_window window = {
		.kind = CONVO_WINDOW_AFTER,
		.seq = after,
		.n = NEWS_EVENTS,
		.with = CONVO_WITH_DRAFT,
	};

	if (news->loaded && news->after == after)
		return;
	news_forget(news);
	convo_store_load(&news->session, store, key, &window, NULL, &news->err);
	news->after = after;
	news->loaded = true;
}

/* ---- writing -------------------------------------------------------------------------- */

/* @return whether anybody reads on */
static bool follower_write(struct follower *follower, const struct text *events)
{
	return http_stream_write(follower->stream, events->data, events->len);
}

/* An event of the stream whose data was written, or not. */
static bool follower_say(struct follower *follower, struct text *event, bool written)
{
	bool ok = written && follower_write(follower, event);

	text_clear(event);
	return ok;
}

static bool follower_has_room(const struct follower *follower)
{
	return http_stream_waiting(follower->stream) <= WAITING_MAX;
}

static enum news_next tell_absence(struct follower *follower)
{
	struct text out = {0};

	if (follower->absent)
		return NEWS_KNOWN;
	follower->absent = true;
	follower->met = false;
	follower->draft[0] = '\0';
	return follower_say(follower, &out,
			    sse_begin(&out, "gone", 0) && text_adds(&out, "{}") && sse_end(&out, 0))
		       ? NEWS_KNOWN
		       : NEWS_LEFT;
}

static enum news_next tell_failure(struct follower *follower, const struct convo_err *err)
{
	const struct http_refusal refusal = openai_refusal(OPENAI_STORE, err);
	struct text out = {0};

	if (follower->failed)
		return NEWS_FAILED;
	follower->failed = true;
	return follower_say(follower, &out,
			    sse_begin(&out, "error", 0) && native_form(&out, &refusal) &&
				    sse_end(&out, 0))
		       ? NEWS_FAILED
		       : NEWS_LEFT;
}

/* It is another life of the session: all of it is new. */
static enum news_next tell_reset(struct follower *follower, const struct convo_meta *meta)
{
	struct text out = {0};

	memcpy(follower->generation, meta->generation, sizeof(follower->generation));
	follower->seq = 0;
	follower->draft[0] = '\0';
	follower->met = false;
	return follower_say(follower, &out,
			    sse_begin(&out, "reset", 0) &&
				    text_addf(&out, "{\"generation\":\"%s\"}", meta->generation) &&
				    sse_end(&out, 0))
		       ? NEWS_MORE
		       : NEWS_LEFT;
}

/* FNV-1a: two titles in a row with one hash are not worth a thought. */
static uint64_t title_hash(const char *title)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *title; title++)
		hash = (hash ^ (unsigned char)*title) * UINT64_C(0x100000001b3);
	return hash;
}

/* The session itself, when what a person sees of it has changed. @return whether anybody reads */
static bool tell_meta(struct follower *follower, const struct convo_meta *meta)
{
	const uint64_t title = title_hash(meta->title);
	const bool held = meta->held_ms > 0;
	struct text out = {0};

	if (follower->met && follower->title == title && follower->held == held)
		return true;
	follower->met = true;
	follower->title = title;
	follower->held = held;
	return follower_say(follower, &out,
			    sse_begin(&out, "session", 0) && native_write_meta(&out, meta) &&
				    sse_end(&out, 0));
}

static enum news_next tell_events(struct news *news, struct follower *follower)
{
	size_t count = convo_session_count(news->session), i;

	for (i = 0; i < count && i < NEWS_EVENTS; i++) {
		const struct convo_event *event = convo_session_event(news->session, i);
		struct text *bytes = &news->events[i];

		if (!follower_has_room(follower))
			return NEWS_LATER;
		if (!bytes->len && !sse_event(bytes, event))
			return NEWS_LEFT;
		if (!follower_write(follower, bytes))
			return NEWS_LEFT;
		follower->seq = event->seq;
		if (!strcmp(follower->draft, event->id))
			follower->draft[0] = '\0';
	}
	return count < NEWS_EVENTS ? NEWS_KNOWN : NEWS_MORE;
}

/* ---- the draft ------------------------------------------------------------------------ */

/* Where a piece of at most PIECE_MAX ends: between characters. */
static size_t piece_len(const char *text, size_t len)
{
	if (len <= PIECE_MAX)
		return len;
	len = PIECE_MAX;
	while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

/* What is new in a text of the draft, in pieces. `told`: so much was. */
static enum news_next tell_text(struct follower *follower, const char *turn, const char *kind,
				const char *text, size_t *told)
{
	size_t len = text ? strlen(text) : 0;
	struct text out = {0};

	if (len < *told) /* it is another text: it begins anew */
		*told = 0;
	while (*told < len) {
		struct sse_delta delta = {.turn = turn, .kind = kind, .pos = *told};

		if (!follower_has_room(follower))
			return NEWS_LATER;
		delta.text = text + *told;
		delta.len = piece_len(delta.text, len - *told);
		if (!follower_say(follower, &out, sse_delta(&out, &delta)))
			return NEWS_LEFT;
		*told += delta.len;
	}
	return NEWS_KNOWN;
}

static enum news_next tell_draft(struct news *news, struct follower *follower)
{
	const struct convo_event *draft = convo_session_draft(news->session);
	const char *turn;
	enum news_next next;

	if (!draft)
		return NEWS_KNOWN;
	if (!news->draft)
		news->draft = json_read(draft->message, draft->message_len, NULL);
	if (strcmp(follower->draft, draft->id) != 0) {
		memcpy(follower->draft, draft->id, sizeof(follower->draft));
		follower->said = follower->thought = 0;
	}
	turn = draft->turn ? draft->turn : draft->id;
	next = tell_text(follower, turn, "reasoning",
			 json_string_at(news->draft, "reasoning_content"), &follower->thought);
	if (next != NEWS_KNOWN)
		return next;
	return tell_text(follower, turn, NULL, json_string_at(news->draft, "content"),
			 &follower->said);
}

/* ---- all of it ------------------------------------------------------------------------ */

enum news_next news_tell(struct news *news, convo_store *store, const struct convo_key *key,
			 struct follower *follower)
{
	const struct convo_meta *meta;
	enum news_next next;

	if (!follower_has_room(follower))
		return NEWS_LATER;
	news_load(news, store, key, follower->seq);
	if (!news->session)
		return news->err.code == CONVO_E_NOTFOUND ? tell_absence(follower)
							  : tell_failure(follower, &news->err);
	follower->absent = follower->failed = false;
	meta = convo_session_meta(news->session);
	if (strcmp(follower->generation, meta->generation) != 0)
		return tell_reset(follower, meta);
	if (!tell_meta(follower, meta))
		return NEWS_LEFT;
	next = tell_events(news, follower);
	return next == NEWS_KNOWN ? tell_draft(news, follower) : next;
}
