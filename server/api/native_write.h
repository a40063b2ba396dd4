/*
 * How sessions, events and state look in the native API.
 */
#ifndef SERVER_API_NATIVE_WRITE_H
#define SERVER_API_NATIVE_WRITE_H

#include <stdbool.h>

#include <convo/session.h>

#include "term/text.h"

/** A session, without its events. @return success, as of all here */
bool native_write_meta(struct text *out, const struct convo_meta *meta);

/** An event, or a draft, which has no seq. `whole`: its message, too. */
bool native_write_event(struct text *out, const struct convo_event *event, bool whole);

/** How many bytes of JSON an event holds, about. */
size_t native_event_size(const struct convo_event *event);

/** The merged state of a loaded session, an object. */
bool native_write_state(struct text *out, const convo_session *session);

/** "generation/last_seq" with its quotes, as ETag and If-Match have it. */
bool native_write_tag(struct text *out, const struct convo_meta *meta);

#endif
