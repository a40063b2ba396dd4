/*
 * Server-sent events (WHATWG HTML, 9.2.5 and 9.2.6): bytes in any split become events. Lenient where
 * servers of this kind are known to err; what an event means is for others.
 */
#ifndef MODEL_SSE_H
#define MODEL_SSE_H

#include <stdbool.h>

#include <base/buf.h>
#include <base/text.h>

/** One event. Borrowed; the texts are not NUL-terminated and may hold any bytes. */
struct sse_event {
	struct cv_text name; /* of its "event" field, or "error" for a field of that name */
	struct cv_text data; /* never empty; the lines are joined by LF */
	bool unfinished;     /* the stream ended before the event did: it may be cut */
};

/** @return 0 to go on; anything else ends the feeding and is returned by it */
typedef int (*sse_event_fn)(void *ctx, const struct sse_event *event);

/** A reader. All-zero but for the first three is ready. */
struct sse {
	sse_event_fn on_event;
	void *ctx;
	size_t max; /* most bytes of a line and of an event's data */

	struct cv_buf line; /* the beginning of a line whose end has not come */
	struct cv_buf name, data;
	unsigned bom; /* how many bytes of a byte order mark came; 3: the start is over */
	bool cr;      /* the last byte was a CR: a LF that follows belongs to it */
	bool any;     /* the event has a data line */
};

/** Read some bytes. @return 0, CONVO_E_TOOBIG, CONVO_E_NOMEM, or what on_event returned */
int cv_sse_feed(struct sse *sse, const char *bytes, size_t len);

/** The stream ended: an event that was not closed is handed out as unfinished. */
int cv_sse_end(struct sse *sse);

/** Free what it holds. */
void cv_sse_clear(struct sse *sse);

#endif
