/*
 * Names; see who.h.
 */
#include "auth/who.h"

#include <convo/store.h>

#include "app/reserved.h"
#include "core/fail.h"

/* A cursor looks at the names (N1), and asks nobody. */
int who_check(const char *app, const char *user, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	int rc;

	if (app_is_reserved(app))
		return fail(err, CONVO_E_INVALID,
			    "apps whose names begin with '" RESERVED_APPS "' are convo's own");
	rc = convo_cursor_new(&cursor, app, user, CONVO_LIST_LIVE, err);
	convo_cursor_free(cursor);
	return rc;
}
