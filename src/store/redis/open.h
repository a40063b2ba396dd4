/*
 * Opening and closing a Redis store; backend.h tells what both do.
 */
#ifndef STORE_REDIS_OPEN_H
#define STORE_REDIS_OPEN_H

#include <store/backend.h>

/** From a URL to a store that works (L1): the pool, the server's version, the schema. */
int cv_redis_open(struct convo_store *store, const struct store_call *call,
		  const struct cv_url *url, struct convo_err *err);

/** Let go of all that cv_redis_open() got hold of, or of a part. */
void cv_redis_close(struct convo_store *store);

#endif
