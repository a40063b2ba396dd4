/*
 * From a URL and options to a store that can be opened.
 */
#ifndef STORE_FRONT_OPTIONS_H
#define STORE_FRONT_OPTIONS_H

#include <store/backend.h>

/** The backend of a scheme, NULL with `err` filled when it is unknown or not in this build. */
const struct convo_backend *convo_backend_find(const char *scheme, struct convo_err *err);

/** Apply defaults and what the URL says to store->opts; checks both. */
int convo_options_apply(struct convo_store *store, const struct convo_store_options *opts,
			const struct convo_url *url, struct convo_err *err);

/** Check a prefix: 1 to 32 of [A-Za-z0-9_]. */
int convo_options_prefix(const char *prefix, struct convo_err *err);

#endif
