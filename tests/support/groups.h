/*
 * Real servers that belong together, private to a test like those of servers.h: one of them dies or
 * stands still, another takes its place, and the first comes back.
 *
 * A Redis node writes its log before it answers (appendfsync always). So one that was killed may be
 * started at once: it comes back with what it had, and not as an empty master whom its replicas
 * follow into emptiness.
 */
#ifndef TESTS_SUPPORT_GROUPS_H
#define TESTS_SUPPORT_GROUPS_H

#include "servers.h"

enum group_kind {
	GROUP_REDIS_CLUSTER,  /* 3 masters and 3 replicas; a dead one is replaced after some 4 s */
	GROUP_REDIS_SENTINEL, /* nodes 0 to 2: master and 2 replicas, 3 to 5: sentinels; 2 s */
	GROUP_POSTGRES,       /* primary and synchronous standby; replaced by group_promote() */
	GROUP_POSTGRES_ASYNC, /* the same, asynchronous */
	GROUP_GALERA,         /* 3 MariaDB nodes that all take writes; one is missed after 4 s */
	GROUP_ALONE,          /* one server, by group_alone() */
	GROUP_KINDS
};

#define GROUP_NODES 6

/* What the sentinels call their master. */
#define GROUP_SENTINEL_NAME "convo"

struct group {
	enum group_kind kind;
	const char *url; /* of them all, for convo_store_open(); password included */
	int nodes;
	int data;   /* so many of them, the first ones, hold data */
	bool apart; /* each on a host of its own */
	/* For server_ask(), server_pid() and the like. Stop, kill and restart them by group_...() */
	struct server *node[GROUP_NODES];
};

/**
 * Start a group and wait until it is healthy: 1 s for PostgreSQL, 4 s for Redis, 10 s for Galera.
 *
 * @return the group, for group_end(); NULL, with a line that says so, when a program is not
 *         installed. Any other trouble fails the test.
 */
struct group *group_start(enum group_kind kind);

/**
 * The same with each node on a host of its own, in a network into which this process moves (hosts.h):
 * group_cut_off() works. NULL, with a line, also where that is not permitted.
 */
struct group *group_start_apart(enum group_kind kind);

/** A group of one server, whose it is from now on; nobody takes its place. */
struct group *group_alone(struct server *server);

/** Stop them and remove their directories. NULL is fine. */
void group_end(struct group *group);

/** kill -9 node i. */
void group_kill(struct group *group, int i);

/**
 * Start a node that was killed or stopped, and wait until it answers; not until it has caught up.
 * Where another has taken its place it follows that one; a PostgreSQL primary takes a new copy.
 */
void group_restart(struct group *group, int i);

/** SIGSTOP and SIGCONT: connections stay open, nothing answers. */
void group_pause(struct group *group, int i);
void group_resume(struct group *group, int i);

/** Packets to and from node i vanish, and nobody is told; it is back in the network. */
void group_cut_off(struct group *group, int i);
void group_mend(struct group *group, int i);

/**
 * Who takes writes, as those see it who are up: -1 when it is nobody just now.
 *
 * @param key in a cluster, whose slot's master is asked for; NULL: that of slot 0. Others have no
 *            use for it. Of Galera's nodes, which all do, it is the first
 */
int group_master(const struct group *group, const char *key);

/**
 * Whether the others do without node i, which is not up: they have a master in its place, or it was
 * none. For Galera: they have noticed that it is gone.
 */
bool group_is_replaced(const struct group *group, int i);

/** Wait for that, at most a minute. PostgreSQL's standby is promoted by group_promote() only. */
void group_wait_replaced(const struct group *group, int i);

/** The same for some seconds. @return whether it is so */
bool group_is_replaced_within(const struct group *group, int i, double seconds);

/**
 * Make PostgreSQL's standby the primary. The old one is killed first, if it lives: nothing else
 * would keep it from taking writes. Synchronous, the new one takes none until the old one is
 * started again and follows it.
 */
void group_promote(struct group *group);

/** Wait, at most 3 minutes, until all nodes are up, agree on who they are, and have caught up. */
void group_wait_healthy(const struct group *group);
bool group_is_healthy(const struct group *group);

/** The URL of a new empty database. On Redis all that there is goes: a cluster has one only. */
const char *group_new_database(struct group *group);

#endif
