/*
 * The URLs of an endpoint, made from the base URL that a person wrote. Nothing is asked, and
 * nothing but what people leave at a base's end by mistake is changed in it.
 */
#ifndef MODEL_ENDPOINT_H
#define MODEL_ENDPOINT_H

#include <stdbool.h>

#include <base/fail.h>

struct endpoint {
	char *shown; /* the base, without user, password and query, like the others that are shown */
	char *chat_url, *chat_shown; /* BASE/chat/completions */
	char *list_url, *list_shown; /* BASE/models */
	bool tls;                    /* https */
};

/**
 * Read a base URL: http or https, a host, a path, and perhaps a query, which is kept behind every
 * path.
 *
 * @return 0; CONVO_E_INVALID: `err` shows the value, without what may be secret in it, and what is
 *         wrong; CONVO_E_NOMEM. Clear it in any case
 */
int cv_endpoint_init(struct endpoint *out, const char *base, struct convo_err *err);

void cv_endpoint_clear(struct endpoint *endpoint);

#endif
