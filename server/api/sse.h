/*
 * Events of the native API's streams as bytes.
 */
#ifndef SERVER_API_SSE_H
#define SERVER_API_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include <convo/session.h>

#include "term/text.h"

/** Largest event that is sent with its message. */
#define SSE_EVENT_MAX ((size_t)128 << 10)

/** Begin one: its data follows, JSON, then sse_end(). `seq` is its id; 0: it has none. @return success */
bool sse_begin(struct text *out, const char *name, int64_t seq);

/** End it. @param from where `out` was before sse_begin() */
bool sse_end(struct text *out, size_t from);

/** A stored event, whole or without its message. */
bool sse_event(struct text *out, const struct convo_event *event);

/** What is new in a text: `pos` is where it stands in it, in bytes. `kind`: NULL for the answer itself. */
struct sse_delta {
	const char *turn, *kind, *text;
	size_t pos, len;
};

bool sse_delta(struct text *out, const struct sse_delta *delta);

#endif
