/*
 * In a cluster: telling the nodes of users that somebody watches sessions of theirs. What one node
 * publishes goes to all nodes, two kilobytes for each; so it is only done for users who are watched, which
 * stands beside them for a minute each time.
 */
#ifndef STORE_REDIS_ANNOUNCE_H
#define STORE_REDIS_ANNOUNCE_H

#include <base/chain.h>
#include <store/redis/redis.h>

/** A user, of whom sessions are watched. */
struct announced_user {
	struct chain_node chain; /* first */
	size_t sessions;
	int64_t at_us; /* when it is announced next */
	bool failed;   /* it could not be */
	struct convo_key key;
	char names[];
};

/** Those who are announced; all-zero but for the store: nobody. */
struct announce {
	struct redis_store *redis;
	struct cv_chain users;
	int64_t at_us; /* when the next is due; 0: now */
	bool gap;      /* of some, news may have been missed; for who runs it, who sets it back */
};

/** Watch a session of that user, too. NULL when memory is out. */
struct announced_user *cv_announce_add(struct announce *announce, const struct convo_key *key);

/** Watch one less. */
void cv_announce_remove(struct announce *announce, struct announced_user *user);

/**
 * Announce those who are due, within a second. Users whose node does not take it are tried again later;
 * when that has succeeded there was a `gap`.
 *
 * @return 0, CONVO_E_NOMEM
 */
int cv_announce_run(struct announce *announce, struct convo_err *err);

void cv_announce_clear(struct announce *announce);

#endif
