/*
 * Who may do what: whose requests these are.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <convo/model.h>
#include <convo/store.h>

#include "auth/jwt.h"
#include "auth/rights.h"
#include "http/request.h"

/** Thread-safe. */
struct auth;

/** Everybody is this one user, with all rights. The names are borrowed. */
int auth_one_user(struct auth **out, const char *app, const char *user, struct convo_err *err);

/** Ways to say who asks; one at least. */
struct auth_ways {
	convo_store *store; /* holds keys (keys.h); NULL: none are taken. Must outlive it */
	const struct jwt_options
		*jwt; /* NULL: no tokens are taken. What it points to must outlive it */
};

/**
 * Everybody says a key or a token, which tells app, user and rights; nothing else in a request does. A key that
 * was read is believed for KNOWN_MS (known.h), and so are keys of tokens for KEYRING_MS (keyring.h).
 *
 * @return 0, CONVO_E_NOMEM, or as jwt_new()
 */
int auth_by(struct auth **out, const struct auth_ways *ways, struct convo_err *err);

/** NULL is fine. */
void auth_free(struct auth *auth);

/**
 * For http_options.admit; `auth` is a struct auth. Whatever is wrong with a key, the refusal is one and the
 * same; a store that is away is another. Of a token whose signature is right it says what is wrong.
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
