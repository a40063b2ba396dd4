/*
 * What the files of the Redis store share.
 */
#ifndef STORE_REDIS_STORE_H
#define STORE_REDIS_STORE_H

#include <store/backend.h>
#include <store/redis/ask.h>
#include <store/shared/pool.h>

struct redis_store {
	struct convo_store base;
	struct redis_place place;
	char name[200]; /* "redis localhost:6379", for messages */
	char *host, *path, *user, *password;
	int database;
	char sha1[REDIS_SCRIPTS][41];
	struct store_pool *pool;
	struct store_group *group;
};

/** From a URL to a store that works (L1): the pool, the server's version, the schema. */
int cv_redis_open(struct convo_store *store, const struct store_call *call,
		  const struct cv_url *url, struct convo_err *err);

/** Let go of all that cv_redis_open() got hold of, or of a part. */
void cv_redis_close(struct convo_store *store);

/** What is stored is not as convo stores it. */
int cv_redis_damaged(const struct redis_store *redis, struct convo_err *err);

#endif
