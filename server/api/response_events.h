/*
 * The events of a response, for its stream: as it comes, and again from what is stored. Their numbers follow
 * from what was said alone, a delta's from how many bytes came before its end; so a reader who lost a stream
 * goes on behind the number he has, at any server.
 */
#ifndef SERVER_API_RESPONSE_EVENTS_H
#define SERVER_API_RESPONSE_EVENTS_H

#include <convo/model.h>

#include "api/response.h"

struct response_part;

/** All-zero but for the first two is valid. */
struct response_events {
	const char *answer_id;       /* of the event that the items belong to */
	int64_t after;               /* events up to this number are left out; -1: none */
	struct text out;             /* what is to be sent */
	int64_t number;              /* of the next event */
	struct response_part *parts; /* of the output, in the order they began */
	size_t count, items;
	bool broken; /* memory is out */
};

/** It was created, and is in progress. */
void response_events_begin(struct response_events *events, const json_t *object);

/** A piece of the answer came. */
void response_events_delta(struct response_events *events, const struct convo_delta *delta);

/** What of a stored message, or of a draft, has not come yet. */
void response_events_catch_up(struct response_events *events, const struct convo_event *event);

/** It ended, and is this. */
void response_events_end(struct response_events *events, const json_t *object);

void response_events_clear(struct response_events *events);

#endif
