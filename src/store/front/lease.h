/*
 * The lease that a caller has, for the functions that take one, and the draft that was saved under it.
 */
#ifndef STORE_FRONT_LEASE_H
#define STORE_FRONT_LEASE_H

#include <store/backend.h>

struct convo_lease {
	unsigned char id[UUID_BYTES];
	int64_t us;
	bool saving; /* a call saves a draft under it */
	/* The draft as the store has it; `saved` is false when that is not known. */
	bool saved;
	unsigned char draft[UUID_BYTES];
	struct cv_buf head; /* its other fields, one behind the other, each with its length */
	struct cv_buf message;
};

/** What an append of convo_expect is to do with its lease. @return 0, CONVO_E_INVALID */
int cv_lease_hold(struct store_hold *out, const struct convo_expect *expect, struct convo_err *err);

/**
 * Append with a hold: what a holder that is gone has left is stored first (R5), and with CONVO_HOLD_WAIT
 * it waits until nobody holds the session. @return as the backend's append, but never
 * STORE_IN_THE_WAY
 */
int cv_lease_append(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, struct store_append *append, bool wait,
		    struct convo_err *err);

#endif
