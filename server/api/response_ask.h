/*
 * What a client asks by POST /v1/responses.
 */
#ifndef SERVER_API_RESPONSE_ASK_H
#define SERVER_API_RESPONSE_ASK_H

#include "api/messages.h"
#include "api/token.h"
#include "core/service.h"
#include "http/request.h"

/** All-zero is valid. */
struct response_ask {
	json_t *body;
	const struct model *model;
	bool stream, background;
	bool stateless;           /* nothing is kept */
	struct messages said;     /* what is new */
	const char *instructions; /* of the body; NULL: none */
	struct text params;       /* for the model, an object; empty: none */
	/** What the response says again of what was asked: kept with the question. */
	json_t *echo;
	struct token previous;     /* the response that this one follows; session "": none */
	struct token conversation; /* that it is said in; likewise */
};

/** Read it. @return false when it was refused */
bool response_ask_read(struct response_ask *out, const struct service *service,
		       struct http_request *request);

void response_ask_clear(struct response_ask *ask);

#endif
