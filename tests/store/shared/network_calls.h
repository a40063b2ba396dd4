/*
 * Every call of a store that goes to its server, each with what it needs and how to see whether it
 * was carried out: for tests of what a call does, and tells, when the server cannot be reached.
 */
#ifndef TESTS_STORE_SHARED_NETWORK_CALLS_H
#define TESTS_STORE_SHARED_NETWORK_CALLS_H

#include <convo/store.h>

/** What one run of a call works on. */
struct network_try {
	struct convo_key key; /* of a user of its own */
	char id[4][CONVO_UUID_SIZE];
};

struct network_call {
	const char *name;
	bool repeats;  /* may be carried out twice, so that a lost connection does not show (L3) */
	bool deleted;  /* is done to a session in the trash */
	bool fresh;    /* is done to none */
	bool optional; /* may have nothing to ask the server for */
	bool large;    /* takes its time even on a good network */

	int (*run)(struct network_try *try, convo_store *store, const struct convo_call *bounds,
		   struct convo_err *err);

	/* Whether it was carried out, asked over a healthy network; NULL: it changes nothing. */
	bool (*done)(const struct network_try *try, convo_store *healthy);
};

extern const struct network_call network_calls[];
extern const int network_call_count;

/** Make the session that the call needs: three events, a state and a title. */
void network_prepare(struct network_try *try, const struct network_call *call,
		     convo_store *healthy);

#endif
