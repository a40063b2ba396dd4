/*
 * What a client asks by POST /v1/chat/completions.
 */
#ifndef SERVER_API_CHAT_ASK_H
#define SERVER_API_CHAT_ASK_H

#include "api/messages.h"
#include "core/json.h"
#include "core/service.h"
#include "http/request.h"

/** All-zero is valid. */
struct chat_ask {
	json_t *body;
	const struct model *model;
	char *session; /* of the header or the metadata; NULL: nothing is kept */
	/** In a session: the turn of a request with an Idempotency-Key. */
	char once[CONVO_UUID_SIZE];
	bool stream, stream_usage;
	bool history;      /* in a session: what the store does not have is new */
	int64_t after_seq; /* then: what the session ended with when that was looked at; 0: nothing */
	struct messages said; /* in a session those that are new */
	struct text params;   /* members that are the model's, an object; empty: none */
	char *instruction; /* in a session: the system message that stands first; NULL: there is none */
};

/** Read it. @return false when it was refused */
bool chat_ask_read(struct chat_ask *out, const struct service *service,
		   struct http_request *request);

void chat_ask_clear(struct chat_ask *ask);

#endif
