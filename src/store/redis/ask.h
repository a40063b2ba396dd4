/*
 * Asking Redis: from a request to an answer, with scripts that a server may forget, errors it may
 * report, connections it may lose, and other servers that take its place.
 */
#ifndef STORE_REDIS_ASK_H
#define STORE_REDIS_ASK_H

#include <store/backend.h>
#include <store/redis/request.h>

/** Ask, on a connection of its own. @return what its answer() returned, or another failure */
int cv_ask_run(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
	       struct convo_err *err);

/** The same, in one go with those of other threads that have gathered meanwhile. */
int cv_ask_run_grouped(struct redis_store *redis, const struct store_call *call,
		       struct redis_ask *ask, struct convo_err *err);

/**
 * Ask for two that may be different servers', at once: one round trip. Both are run, whatever becomes
 * of one of them.
 *
 * @return the failure of the first, else that of the second, else 0
 */
int cv_ask_run_both(struct redis_store *redis, const struct store_call *call,
		    struct redis_ask *first, struct redis_ask *second, struct convo_err *err);

/** A round of a node's group: the asks that have gathered, in one go. */
void cv_ask_round(void *node, struct group_job **jobs, size_t count);

#endif
