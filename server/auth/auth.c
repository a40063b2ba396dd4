/*
 * Who may; see auth.h.
 */
#include "auth/auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/fail.h"

struct auth {
	const char *app, *user;
};

int auth_one_user(struct auth **out, const char *app, const char *user, struct convo_err *err)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	auth->app = app;
	auth->user = user;
	*out = auth;
	return 0;
}

void auth_free(struct auth *auth)
{
	free(auth);
}

bool auth_is_open(const struct auth *auth)
{
	(void)auth;
	return true;
}

bool auth_admit(void *ctx, const struct http_request *request, struct http_who *who,
		struct http_refusal *why)
{
	const struct auth *auth = ctx;

	(void)request;
	(void)why;
	snprintf(who->app, sizeof(who->app), "%s", auth->app);
	snprintf(who->user, sizeof(who->user), "%s", auth->user);
	who->rights = AUTH_READ | AUTH_CHAT | AUTH_ADMIN;
	return true;
}
