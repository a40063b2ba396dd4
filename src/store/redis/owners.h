/*
 * Who has sessions on a Redis server, or in a cluster; backend.h tells what it answers.
 */
#ifndef STORE_REDIS_OWNERS_H
#define STORE_REDIS_OWNERS_H

#include <store/backend.h>

int cv_redis_owners(struct convo_store *store, const struct store_call *call, const char *app,
		    bool trash, size_t n, struct store_owners_place *place,
		    struct store_owners *into, bool *more, struct convo_err *err);

#endif
