/*
 * The stores there are to choose from, by the library's table of backends, and where the
 * environment says they are.
 */
#ifndef CLI_APP_STORES_H
#define CLI_APP_STORES_H

#include <convo/backend.h>

#include "term/text.h"

/** An environment variable that is set and not empty, or the standard. */
const char *stores_env(const char *name, const char *standard);

/**
 * Where a file of ours goes: $`variable`/convo/`name`, else ~/`fallback`/convo/`name`. The folder is
 * made, for its owner alone, if it is missing.
 *
 * @return 0, or an errno value: then `out` is what could not be made, or empty: there is no HOME
 */
int stores_path(struct text *out, const char *variable, const char *fallback, const char *name);

/** Add the names of the backends: those in this build, those with a schema alone. @return success */
bool stores_list(struct text *out, const char *between, bool with_schema);

/** The backend that a name, or the scheme of a URL, stands for; else says which there are. */
const struct convo_backend *stores_find(const char *session);

/** The URL of a backend, by its variables. Says what is wrong. @return 0 or an exit code. */
int stores_url(struct text *url, const struct convo_backend *backend);

#endif
