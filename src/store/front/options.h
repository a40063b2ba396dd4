/*
 * From a URL and options to a store that can be opened.
 */
#ifndef STORE_FRONT_OPTIONS_H
#define STORE_FRONT_OPTIONS_H

#include <store/backend.h>

/** Apply defaults and what the URL says to store->opts; checks both. */
int cv_options_apply(struct convo_store *store, const struct convo_store_options *opts,
		     const struct cv_url *url, struct convo_err *err);

/** Check a prefix: 1 to 32 of [A-Za-z0-9_]. */
int cv_options_prefix(const char *prefix, struct convo_err *err);

#endif
