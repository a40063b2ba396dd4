/*
 * The Redis store's own struct.
 */
#ifndef STORE_REDIS_REDIS_H
#define STORE_REDIS_REDIS_H

#include <stdatomic.h>

#include <store/backend.h>
#include <store/redis/script.h>
#include <store/redis/socket.h>
#include <store/shared/group.h>

struct redis_flights;
struct redis_route;

enum redis_mode {
	REDIS_ALONE,   /* one server */
	REDIS_CLUSTER, /* many, each with its slots */
	REDIS_SENTINEL /* the one that the sentinels call the master */
};

struct redis_store {
	struct convo_store base;
	enum redis_mode mode;
	struct redis_login login;
	struct redis_tls *tls; /* NULL without */
	char name[200];        /* "redis localhost:6379", for messages */
	int wait;              /* replicas that must have what is acknowledged */
	bool tells;            /* it may tell those who watch (PUBLISH) */
	char sha1[REDIS_SCRIPTS][41];
	group_round round; /* what the groups of its nodes do */
	struct redis_route *route;
	struct redis_flights *flights;
	atomic_bool reached; /* it was open once: servers that go away are waited for */
};

#endif
