/*
 * Hearing of sessions (W1 to W3): a connection of its own that subscribes to their channels. Functions
 * of struct cv_backend.
 */
#ifndef STORE_REDIS_EAR_H
#define STORE_REDIS_EAR_H

#include <store/backend.h>

int cv_redis_ear_open(struct convo_store *store, const struct store_call *call,
		      struct store_ear **out, struct convo_err *err);

int cv_redis_ear_set(struct store_ear *ear, const struct convo_key *key, bool on,
		     struct convo_err *err);

int cv_redis_ear_wait(struct store_ear *ear, const struct store_call *call,
		      void (*tell)(void *ctx, uint64_t tag), void *ctx, struct convo_err *err);

void cv_redis_ear_close(struct store_ear *ear);

#endif
