/*
 * What a client asks by POST /convo/v1/sessions/{id}/turns.
 */
#ifndef SERVER_API_NATIVE_TURN_ASK_H
#define SERVER_API_NATIVE_TURN_ASK_H

#include <convo/runner.h>

#include "core/json.h"
#include "core/service.h"
#include "http/request.h"

/** All-zero is valid. */
struct turn_ask {
	json_t *body;
	const struct model *model;
	struct convo_question question;
	struct convo_turn_options options;
	char turn[CONVO_MAX_NAME + 1]; /* its id */
	struct convo_message *messages;
	size_t count;
	char *params; /* JSON; NULL: none */
	bool stream;
};

/** Read it. @return false when it was refused */
bool turn_ask_read(struct turn_ask *out, const struct service *service,
		   struct http_request *request);

void turn_ask_clear(struct turn_ask *ask);

#endif
