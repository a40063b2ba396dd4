/*
 * What the parts of OpenAI's API have in common: how errors look, and which of ours become which.
 */
#ifndef SERVER_API_OPENAI_H
#define SERVER_API_OPENAI_H

#include "core/json.h"
#include "core/service.h"
#include "http/route.h"

/** An API of these routes in OpenAI's manner. */
struct http_api openai_api(const struct http_route *routes, size_t count, void *ctx);

/** Which side something failed on: the same code means different things. */
enum openai_side { OPENAI_REQUEST, OPENAI_STORE, OPENAI_MODEL };

/** What a failure is for a client; its message is err's. */
struct http_refusal openai_refusal(enum openai_side side, const struct convo_err *err);

/** Reply with it. */
void openai_fail(struct http_request *request, enum openai_side side, const struct convo_err *err);

/** Reply 400: a member of the body is not what it must be. @return false */
bool openai_wrong(struct http_request *request, const char *param, const char *message);

/** Reply that memory is out. @return false */
bool openai_nomem(struct http_request *request);

/** Reply that there is no such thing, of another one's likewise. @return false */
bool openai_absent(struct http_request *request, const char *what);

/** Read the body, an object. @return NULL when it was refused */
json_t *openai_body(struct http_request *request);

/** Read a switch, which may be null or absent. @return false: it is something else */
bool openai_switch(bool *out, const json_t *value);

/** The model that a body names. @return NULL when it was refused */
const struct model *openai_model(const struct service *service, struct http_request *request,
				 const json_t *body);

/** Most bytes of the header Idempotency-Key. */
#define OPENAI_ONCE_MAX 255

/**
 * The id of the turn that a request with the header Idempotency-Key runs: it follows from that, the key of who
 * asks, and the session, so that a replay is the same turn.
 *
 * @param session the one that is named; "": none is
 * @param out     "" without the header
 * @return false when it was refused
 */
bool openai_once(char out[CONVO_UUID_SIZE], struct http_request *request, const char *session);

/** Write {"error":...}, as bodies and streams have it. @return success */
bool openai_form(struct text *out, const struct http_refusal *refusal);

#endif
