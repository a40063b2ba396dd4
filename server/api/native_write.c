/*
 * Writing JSON; see native_write.h.
 */
#include "api/native_write.h"

#include <string.h>

#include "core/json.h"

static bool write_fork(struct text *out, const struct convo_meta *meta)
{
	if (!*meta->fork_session)
		return text_adds(out, "null");
	return text_adds(out, "{\"id\":") && json_quotes(out, meta->fork_session) &&
	       text_addf(out, ",\"generation\":\"%s\",\"seq\":%lld}", meta->fork_generation,
			 (long long)meta->fork_seq);
}

bool native_write_meta(struct text *out, const struct convo_meta *meta)
{
	return text_adds(out, "{\"id\":") && json_quotes(out, meta->session) &&
	       text_adds(out, ",\"title\":") && json_quotes(out, meta->title) &&
	       text_addf(out,
			 ",\"generation\":\"%s\",\"created_ms\":%lld,\"updated_ms\":%lld,"
			 "\"expires_ms\":%lld,\"deleted_ms\":%lld,\"count\":%lld,\"last_seq\":%lld,"
			 "\"held_ms\":%lld,\"fork\":",
			 meta->generation, (long long)meta->created_ms, (long long)meta->updated_ms,
			 (long long)meta->expires_ms, (long long)meta->deleted_ms,
			 (long long)meta->count, (long long)meta->last_seq,
			 (long long)meta->held_ms) &&
	       write_fork(out, meta) && text_adds(out, "}");
}

/* A member that is text, or none. */
static bool write_text(struct text *out, const char *name, const char *value)
{
	return !value || (text_addf(out, ",\"%s\":", name) && json_quotes(out, value));
}

/* A member that is JSON, or none. */
static bool write_json(struct text *out, const char *name, const char *value)
{
	return !value || (text_addf(out, ",\"%s\":", name) && text_adds(out, value));
}

bool native_write_event(struct text *out, const struct convo_event *event, bool whole)
{
	static const char *const statuses[] = {"complete", "interrupted", "failed"};
	bool ok = text_adds(out, "{");

	if (ok && event->seq)
		ok = text_addf(out, "\"seq\":%lld,", (long long)event->seq);
	ok = ok &&
	     text_addf(out, "\"id\":\"%s\",\"time_ms\":%lld,\"role\":", event->id,
		       (long long)event->time_ms) &&
	     json_quotes(out, event->role) && write_text(out, "author", event->author) &&
	     write_text(out, "turn", event->turn) &&
	     text_addf(out, ",\"status\":\"%s\",\"message\":", statuses[event->status]);
	if (!whole)
		return ok && text_adds(out, "null,\"omitted\":true}");
	return ok && text_add(out, event->message, event->message_len) &&
	       write_text(out, "model", event->model) &&
	       write_text(out, "finish_reason", event->finish_reason) &&
	       write_text(out, "error", event->error) && write_json(out, "usage", event->usage) &&
	       write_json(out, "state", event->state) && write_json(out, "extra", event->extra) &&
	       text_adds(out, "}");
}

static size_t length_of(const char *text)
{
	return text ? strlen(text) : 0;
}

size_t native_event_size(const struct convo_event *event)
{
	const size_t rest = 512; /* names, ids, figures */

	return rest + event->message_len + length_of(event->usage) + length_of(event->state) +
	       length_of(event->extra) + length_of(event->error);
}

bool native_write_state(struct text *out, const convo_session *session)
{
	const struct convo_item *item;
	bool ok = text_adds(out, "{");
	size_t i;

	for (i = 0; ok && (item = convo_session_state_at(session, i)); i++)
		ok = (!i || text_adds(out, ",")) && json_quotes(out, item->name) &&
		     text_adds(out, ":") && text_add(out, item->json, item->json_len);
	return ok && text_adds(out, "}");
}

bool native_write_tag(struct text *out, const struct convo_meta *meta)
{
	return text_addf(out, "\"%s/%lld\"", meta->generation, (long long)meta->last_seq);
}
