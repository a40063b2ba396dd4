/*
 * A Redis server that keeps data: where it is, the connections to it, and what has queued for it.
 */
#ifndef STORE_REDIS_NODE_H
#define STORE_REDIS_NODE_H

#include <store/redis/conn.h>
#include <store/shared/group.h>
#include <store/shared/pool.h>

struct redis_store;

#define REDIS_GROUP_JOBS 256 /* most of a round */

struct redis_node {
	struct redis_place place;
	char name[200]; /* "redis localhost:6379", for messages */
	char *host, *path;
	struct redis_store *redis;
	struct store_pool *pool;
	struct store_group *group;
	size_t users; /* the route's: who has taken it */
	bool listed;  /* the route's: it serves something */
};

/** What the pool is run with: who connects finds there whom, and how long it may take. */
struct redis_call {
	struct store_call call; /* first */
	struct redis_until until;
	const struct redis_node *node;
};

/**
 * Make one; nothing is connected yet.
 *
 * @param host copied; NULL: `path`, copied, is a unix socket
 * @return 0, CONVO_E_NOMEM
 */
int cv_node_new(struct redis_node **out, struct redis_store *redis, const char *host, int port,
		const char *path, struct convo_err *err);

/** Let go of its connections and of it. Nobody may be using it. NULL is fine. */
void cv_node_free(struct redis_node *node);

/** Write "redis host:port". */
void cv_node_name(char *out, size_t size, const char *host, int port);

/**
 * Connect, and say who we are.
 *
 * @param place borrowed as long as the connection lives
 * @return 0, or as cv_redis_connect(); CONVO_E_DENIED, CONVO_E_READONLY for a replica where a master
 *         is wanted, what else the server says
 */
int cv_node_connect(struct redis_conn **out, const struct redis_store *redis,
		    const struct redis_place *place, const struct redis_until *until,
		    struct convo_err *err);

#endif
