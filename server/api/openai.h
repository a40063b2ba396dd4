/*
 * What the parts of OpenAI's API have in common: how errors look, and which of ours become which.
 */
#ifndef SERVER_API_OPENAI_H
#define SERVER_API_OPENAI_H

#include "http/route.h"

/** An API of these routes in OpenAI's manner. */
struct http_api openai_api(const struct http_route *routes, size_t count, void *ctx);

/** Which side something failed on: the same code means different things. */
enum openai_side { OPENAI_REQUEST, OPENAI_STORE, OPENAI_MODEL };

/** What a failure is for a client; its message is err's. */
struct http_refusal openai_refusal(enum openai_side side, const struct convo_err *err);

/** Reply with it. */
void openai_fail(struct http_request *request, enum openai_side side, const struct convo_err *err);

/** Reply 400: a member of the body is not what it must be. */
void openai_wrong(struct http_request *request, const char *param, const char *message);

/** Write {"error":...}, as bodies and streams have it. @return success */
bool openai_form(struct text *out, const struct http_refusal *refusal);

#endif
