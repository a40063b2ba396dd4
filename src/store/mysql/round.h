/*
 * An append on its way: by itself (append.c), or with those of other callers as one transaction of a
 * few statements, each for many rows (round.c). These call no procedure: a server takes as long for
 * one as for all else that an append is.
 */
#ifndef STORE_MYSQL_ROUND_H
#define STORE_MYSQL_ROUND_H

#include <store/shared/group.h>
#include <store/shared/sql/rare.h>

/** One caller's append. */
struct my_append {
	struct group_job job;
	struct convo_store *store;
	const struct store_call *call;
	const struct convo_key *key;
	struct store_append *append;

	/* What came of it. */
	bool alone; /* nothing yet: it is to be done by itself */
	bool maybe; /* but it may have been done */

	/* While its round runs. */
	bool adds;
	struct round_session *session;
	int64_t first_seq, time_ms; /* of its events */
};

#endif
