/*
 * Responses: the object that stands for a turn, as it runs and as it is stored. What was asked beside the
 * messages is in the `extra` of the question's first event, the member "response".
 */
#ifndef SERVER_API_RESPONSE_H
#define SERVER_API_RESPONSE_H

#include <convo/model.h>

#include "api/kept.h"
#include "core/json.h"

/** What became of one. */
struct response_end {
	const struct convo_event *event; /* the answer, or its draft; NULL: nothing came */
	bool running, cancelled;
};

/** The object. @param echo what was asked @return a new reference; NULL: out of memory */
json_t *response_object(const char *id, const json_t *echo, const struct response_end *end);

/** "completed", "incomplete" ...: its status, which is also how the last event of its stream is called. */
const char *response_status(const struct response_end *end);

/** An answer as the event that it will be. Borrows both. */
struct convo_event response_event(const struct convo_answer *answer, const char *id);

/** A stored one. All-zero is valid. */
struct response_stored {
	json_t *echo;
	convo_session *question, *answer; /* of one event each */
	struct response_end end;
	int64_t first_seq,
		last_seq;    /* of the turn: its question's first, and its last event's so far */
	int64_t session_seq; /* of the session */
};

/** @return 0, CONVO_E_NOTFOUND when there is none or it was taken back, or as convo_store_load() */
int response_load(struct response_stored *out, const struct service *service,
		  const struct http_request *request, const struct token *token,
		  struct convo_err *err);

void response_stored_clear(struct response_stored *stored);

#endif
