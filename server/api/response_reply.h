/*
 * Telling a response: whole, in events, or that it has begun.
 */
#ifndef SERVER_API_RESPONSE_REPLY_H
#define SERVER_API_RESPONSE_REPLY_H

#include "api/openai.h"
#include "api/response_events.h"
#include "http/stream.h"

/** A reply under way. All-zero but for the first two is valid. */
struct response_reply {
	struct http_request *request;
	const json_t *echo;
	char id[TOKEN_SIZE];
	bool streams; /* it is told in events */
	bool told;    /* the request is answered, or the answer has begun */
	bool gone;    /* nobody reads it any more */
	http_stream *stream;
	struct response_events events;
};

/** The answer has begun: tell so, in a stream. */
void response_reply_begin(struct response_reply *reply);

/** Tell how things stand, as the whole reply. */
void response_reply_object(struct response_reply *reply, const struct response_end *end);

/** A piece came. @return whether anybody reads on */
bool response_reply_delta(struct response_reply *reply, const struct convo_delta *delta);

/** What is stored so far came, of a response that runs. @return whether anybody reads on */
bool response_reply_so_far(struct response_reply *reply, const struct convo_event *event);

/** It ended: tell the rest, or all of it. */
void response_reply_end(struct response_reply *reply, const struct response_end *end);

/** It failed, and nothing is stored that could be told: an error, or the event of one. */
void response_reply_fail(struct response_reply *reply, enum openai_side side,
			 const struct convo_err *err);

void response_reply_clear(struct response_reply *reply);

#endif
