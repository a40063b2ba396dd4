/*
 * Which server is asked: the only one; in a cluster the one that serves the slot; with sentinels the
 * one that they call the master. What is known of that is shared by all threads, and looked up again
 * when a server says otherwise or does not answer.
 */
#ifndef STORE_REDIS_ROUTE_H
#define STORE_REDIS_ROUTE_H

#include <store/redis/node.h>
#include <store/redis/request.h>

struct redis_route;

/** Where to begin: a server, a node of the cluster or a sentinel. */
struct redis_seed {
	char *host; /* NULL: `path` is a unix socket */
	int port;
	char *path;
};

#define REDIS_SEEDS 64

/**
 * Make one for redis->mode, which looks nothing up yet.
 *
 * @param seeds taken over, with their texts, also on failure; 1 to REDIS_SEEDS of them
 * @param master what sentinels call it; NULL without them; copied
 * @param login for the sentinels; taken over like the seeds
 * @return 0, CONVO_E_NOMEM
 */
int cv_route_new(struct redis_route **out, struct redis_store *redis, struct redis_seed *seeds,
		 size_t count, const char *master, struct redis_login *login,
		 struct convo_err *err);

/** Let go of all servers. Nobody may be asking. NULL is fine. */
void cv_route_free(struct redis_route *route);

/** The server turned out to be a node of a cluster. Before anybody else asks. */
int cv_route_becomes_cluster(struct redis_store *redis, struct convo_err *err);

/**
 * Set ask->node, for cv_route_give(). Where it is not known or doubted who serves it, that is looked
 * up first: by one thread, for which the others wait.
 *
 * @return 0, CONVO_E_TIMEOUT, CONVO_E_CANCELED, CONVO_E_GONE and others: nobody could be asked
 */
int cv_route_take(struct redis_store *redis, struct redis_ask *ask, const struct redis_until *until,
		  struct convo_err *err);

/** Let go of ask->node; where there is none, of the server that it was sent on to and did not ask. */
void cv_route_give(struct redis_store *redis, struct redis_ask *ask);

/** Add to a failure that ends an ask what is known of others who might have served it. Not alone. */
void cv_route_explain(struct redis_store *redis, const struct redis_ask *ask,
		      struct convo_err *err);

/**
 * The server with the lowest name above `after` of those that serve slots, as far as it is known.
 *
 * @param name set to its name
 * @param slot set to one of its slots
 * @return false when there is none
 */
bool cv_route_after(struct redis_store *redis, const char *after, char *name, size_t size,
		    unsigned *slot);

/** Whether a server that is held is one of those that are asked, as far as it is known. */
bool cv_route_lists(struct redis_store *redis, const struct redis_node *node);

/** A slot that the server of that name serves. @return false when it serves none */
bool cv_route_slot_of(struct redis_store *redis, const char *name, unsigned *slot);

/** The server did not answer, or not as one that serves the ask: look again before the next one. */
void cv_route_doubt(struct redis_store *redis, const struct redis_node *node);

/**
 * Whether a server's error sends the ask on to another one ("MOVED 7 host:port", "ASK 7 host:port"),
 * which is then asked next.
 */
bool cv_route_sent_on(struct redis_node *from, struct redis_ask *ask, const char *error);

/** Let go of seeds and their texts. NULL is fine. */
void cv_redis_seeds_free(struct redis_seed *seed, size_t count);

/** Forget it, wiping the password. */
void cv_redis_login_clear(struct redis_login *login);

/* ---- for who looks up --------------------------------------------------------------------- */

/** A lookup: what has been found so far. */
struct redis_lookup;

/** One server serves slots from `first` to `last`. `host` is borrowed. @return 0, INVALID or NOMEM */
int cv_route_found(struct redis_lookup *lookup, const char *host, int port, unsigned first,
		   unsigned last, struct convo_err *err);

/** Ask a node of a cluster which slots are where, on a connection of its own. */
int cv_cluster_look(struct redis_lookup *lookup, struct redis_store *redis,
		    const struct redis_place *place, const struct redis_until *until,
		    struct convo_err *err);

/** Ask a sentinel who the master is. */
int cv_sentinel_look(struct redis_lookup *lookup, struct redis_store *redis,
		     const struct redis_place *place, const char *master,
		     const struct redis_until *until, struct convo_err *err);

#endif
