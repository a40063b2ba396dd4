/*
 * Who may do what: whose requests these are.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <convo/err.h>

#include "http/request.h"

/** Rights, as bits of http_who and http_route. */
enum auth_right {
	AUTH_READ = 1 << 0, /* read sessions, list models */
	AUTH_CHAT = 1 << 1, /* ask models, write to sessions */
	AUTH_ADMIN = 1 << 2 /* figures of all users, keys */
};

/** Thread-safe. */
struct auth;

/** Everybody is this one user, with all rights. The names are borrowed. */
int auth_one_user(struct auth **out, const char *app, const char *user, struct convo_err *err);

/** NULL is fine. */
void auth_free(struct auth *auth);

/** Whether who has no key may do anything: such a server is for its own machine alone. */
bool auth_is_open(const struct auth *auth);

/** For http_options.admit; `auth` is a struct auth. */
bool auth_admit(void *auth, const struct http_request *request, struct http_who *who,
		struct http_refusal *why);

#endif
