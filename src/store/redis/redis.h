/*
 * The Redis store's own struct.
 */
#ifndef STORE_REDIS_REDIS_H
#define STORE_REDIS_REDIS_H

#include <store/backend.h>
#include <store/redis/script.h>
#include <store/redis/socket.h>
#include <store/shared/group.h>
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

#endif
