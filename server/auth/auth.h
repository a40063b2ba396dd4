/*
 * Who may do what: whose requests these are.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <convo/model.h>
#include <convo/store.h>

#include "auth/rights.h"
#include "http/request.h"

/** Thread-safe. */
struct auth;

/** Everybody is this one user, with all rights. The names are borrowed. */
int auth_one_user(struct auth **out, const char *app, const char *user, struct convo_err *err);

/**
 * Everybody says a key (keys.h), which tells app, user and rights; nothing else in a request does. A key that
 * was read is believed for KNOWN_MS (known.h).
 *
 * @param store holds the keys; must outlive it
 */
int auth_by_keys(struct auth **out, convo_store *store, struct convo_err *err);

/** NULL is fine. */
void auth_free(struct auth *auth);

/**
 * For http_options.admit; `auth` is a struct auth. Whatever is wrong with a key, the refusal is one and the
 * same; a store that is away is another.
 */
bool auth_admit(void *auth, struct http_request *request, struct http_who *who,
		struct http_refusal *why);

/**
 * An answer was had for a request: its tokens count against the limit of the request's key. Where the model does
 * not tell them, a token is four bytes.
 */
void auth_spend(struct auth *auth, const struct http_request *request,
		const struct convo_answer *answer);

#endif
