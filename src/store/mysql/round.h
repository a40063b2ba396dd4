/*
 * Appends of several callers as one transaction of a few statements, each for many rows: no procedure,
 * which a server takes as long for as for all else that an append is. What it refuses or finds
 * unusual is left to {p}append().
 */
#ifndef STORE_MYSQL_ROUND_H
#define STORE_MYSQL_ROUND_H

#include <store/shared/group.h>
#include <store/shared/sql/rare.h>

/** How much travels together, and what one call may bring. */
#define MY_ROUND_JOBS 64
#define MY_ROUND_BYTES ((size_t)1 << 20)
#define MY_ROUND_EVENTS 16
#define MY_ROUND_SHARE (MY_ROUND_BYTES / 16)

/** Callers at a time from which on they travel together. */
#define MY_CROWD 4

/* The statements; each is there for several numbers of rows. */
enum my_round_kind {
	MY_ROUND_FIND, /* and lock */
	MY_ROUND_ADD,
	MY_ROUND_CUT,
	MY_ROUND_MOVE,
	MY_ROUND_KINDS
};
#define MY_ROUND_SIZES 12
#define MY_ROUND_TEXTS ((int)MY_ROUND_KINDS * MY_ROUND_SIZES)

/** Append the text of one, before cv_sql_expand(). */
int cv_my_round_text(struct cv_buf *out, int text);

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

/** Of a struct store_group; its context is the store. */
void cv_my_round(void *ctx, struct group_job **jobs, size_t count);

/** Carry it out by itself, in one round trip. */
int cv_my_append_alone(struct my_append *self, struct convo_err *err);

#endif
