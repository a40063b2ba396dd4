/*
 * Applications that are convo's own: what their state holds, such as the keys of `convo serve`, is nothing
 * that a chat or a request may reach. Whoever lets others choose an application refuses these.
 */
#ifndef CLI_APP_RESERVED_H
#define CLI_APP_RESERVED_H

#include <stdbool.h>
#include <string.h>

/** How their names begin. */
#define RESERVED_APPS "convo:"

static inline bool app_is_reserved(const char *app)
{
	return !strncmp(app, RESERVED_APPS, sizeof(RESERVED_APPS) - 1);
}

#endif
