/*
 * Events of streams; see sse.h.
 */
#include "api/sse.h"

#include "api/native_write.h"
#include "core/json.h"

bool sse_begin(struct text *out, const char *name, int64_t seq)
{
	if (seq && !text_addf(out, "id: %lld\n", (long long)seq))
		return false;
	return text_addf(out, "event: %s\ndata: ", name);
}

/* JSON that was stored may have lines between its tokens, where a blank is as good; data is one line. */
static void sse_flatten(struct text *out, size_t from)
{
	size_t i;

	for (i = from; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
}

bool sse_end(struct text *out, size_t from)
{
	/* The lines before the data end with newlines of ours. */
	for (; from < out->len && out->data[from] != '{'; from++)
		;
	sse_flatten(out, from);
	return text_adds(out, "\n\n");
}

bool sse_event(struct text *out, const struct convo_event *event)
{
	const size_t from = out->len;

	return sse_begin(out, "event", event->seq) &&
	       native_write_event(out, event, native_event_size(event) <= SSE_EVENT_MAX) &&
	       sse_end(out, from);
}

bool sse_delta(struct text *out, const struct sse_delta *delta)
{
	const size_t from = out->len;

	return sse_begin(out, "delta", 0) && text_adds(out, "{\"turn\":") &&
	       json_quotes(out, delta->turn) &&
	       (!delta->kind || text_addf(out, ",\"kind\":\"%s\"", delta->kind)) &&
	       text_addf(out, ",\"pos\":%zu,\"text\":", delta->pos) &&
	       json_quote(out, delta->text, delta->len) && text_adds(out, "}") &&
	       sse_end(out, from);
}
