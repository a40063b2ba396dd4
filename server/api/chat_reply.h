/*
 * Answers of POST /v1/chat/completions, whole and in chunks.
 */
#ifndef SERVER_API_CHAT_REPLY_H
#define SERVER_API_CHAT_REPLY_H

#include <convo/model.h>

#include "api/chat_ask.h"
#include "api/openai.h"
#include "http/stream.h"

/** A reply under way. All-zero but for the first two is valid. */
struct chat_reply {
	struct http_request *request;
	const struct chat_ask *ask;
	int64_t created;     /* Unix seconds */
	http_stream *stream; /* begun with the first piece; NULL: nothing was sent */
	bool gone;           /* nobody reads it any more */
	bool called;         /* calls of tools were sent */
};

/** Where an answer is stored. */
struct chat_place {
	const char *session; /* NULL: nowhere */
	int64_t seq;         /* 0: it is not */
	bool repeated;       /* by an earlier request, of which this is a replay */
};

/** Send a piece of an answer. @return whether anybody reads on */
bool chat_reply_delta(struct chat_reply *reply, const struct convo_delta *delta);

/** Send the end of an answer, or all of it. */
void chat_reply_end(struct chat_reply *reply, const struct convo_answer *answer,
		    const struct chat_place *place);

/** Send what went wrong. */
void chat_reply_fail(struct chat_reply *reply, enum openai_side side, const struct convo_err *err);

#endif
