/*
 * Running turns on Redis: leases, drafts, forks. Functions of struct cv_backend.
 */
#ifndef STORE_REDIS_TURN_H
#define STORE_REDIS_TURN_H

#include <store/redis/request.h>

/** Add what becomes of the lease to an append: behind its events, in front of its changes. */
void cv_turn_add_hold(struct redis_ask *ask, const struct store_hold *hold);

void cv_redis_drafts(struct convo_store *store, const struct store_call *call,
		     struct store_draft **drafts, size_t count);

int cv_redis_fork(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_fork *fork,
		  struct convo_err *err);

#endif
