/*
 * Looking at many Redis sessions at once: what has changed, how much there is. Functions of
 * struct cv_backend.
 */
#ifndef STORE_REDIS_MARKS_H
#define STORE_REDIS_MARKS_H

#include <store/backend.h>

/** How often to ask for marks where no ear is open. */
#define CV_REDIS_MARKS_US 200000

int cv_redis_marks(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *const *keys, size_t count, uint64_t *marks,
		   struct convo_err *err);

int cv_redis_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, const struct store_weighed *sessions, size_t count,
		   int64_t *bytes, struct convo_err *err);

#endif
