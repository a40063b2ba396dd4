/*
 * A packed event: what one field of the hash of a session's events holds. docs/internals/redis-event.md
 * has a picture of it.
 */
#ifndef STORE_REDIS_EVENT_H
#define STORE_REDIS_EVENT_H

#include <store/backend.h>

/** The bytes of an event when packed. */
size_t cv_event_size(const struct store_event *event);

/** Write them to `to`, with that time. */
void cv_event_pack(char *to, const struct store_event *event, int64_t now_ms);

/** Read an event; its texts stay in `from`. False for bytes that pack() does not make. */
bool cv_event_unpack(struct store_event *event, struct cv_text from);

#endif
