/*
 * What the writing files of the SQLite store share: jobs, and changes to the row of a session.
 */
#ifndef STORE_SQLITE_WRITE_H
#define STORE_SQLITE_WRITE_H

#include <store/sqlite/store.h>

struct sqlite_job {
	struct group_job base;
	/* Do it, in a transaction that others may be in too. Checks come before the first change;
	 * where that is not possible, with a savepoint. */
	int (*run)(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err);
	bool savepoint; /* can fail after its first change */
	bool light;     /* need not be flushed: may be lost in a crash of the machine */
	bool again;     /* its round had no time left, but it has */
	const struct store_call *call;
	const struct convo_key *key;

	const struct store_create *create;
	struct store_append *append;
	struct store_draft **drafts; /* what becomes of each is told in it */
	size_t draft_count;
	const struct store_fork *fork;
	struct cv_text title;
	const unsigned char *generation;
	const struct store_change *changes;
	size_t change_count;
	int64_t removed;
	bool more;
};

/** Carry out a job, together with those of other threads (write.c). */
int cv_sqlite_write(struct convo_store *store, const struct store_call *call,
		    struct sqlite_job *job, struct convo_err *err);

/** The round of the group; ctx is the store. */
void cv_sqlite_round(void *ctx, struct group_job **jobs, size_t count);

/** Find the session a job is about, or refuse. */
int cv_sqlite_job_find(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
		       struct convo_err *err);

/** Write what a write changes: everything but the life and what stays the same for ever. */
int cv_sqlite_row_touch(struct sqlite_db *db, const struct store_call *call, struct sqlite_row *row,
			struct convo_err *err);

/** Move the time at which cleaning looks at it. */
int cv_sqlite_row_set_due(struct sqlite_db *db, struct sqlite_row *row, int64_t due_us,
			  struct convo_err *err);

/** Refuse if a live session has the name; one that has expired makes way. */
int cv_sqlite_take_name(struct sqlite_store *store, const struct store_call *call,
			const struct convo_key *key, struct convo_err *err);

/**
 * Whether the append may do with the lease what it wants to: 0, STORE_IN_THE_WAY, CONVO_E_BUSY,
 * CONVO_E_CONFLICT, both told. (held.c)
 */
int cv_sqlite_held_check(const struct sqlite_job *job, const struct sqlite_row *row, bool fresh,
			 struct convo_err *err);

/** Do it. (held.c) */
int cv_sqlite_held_grant(struct sqlite_db *db, struct sqlite_row *row,
			 const struct store_hold *hold, struct convo_err *err);

/** End a session for good; its parts are left to cleaning. */
int cv_sqlite_row_kill(struct sqlite_db *db, struct sqlite_row *row, struct convo_err *err);

/** Delete the events from seq to seq. */
int cv_sqlite_row_cut(struct sqlite_db *db, const struct sqlite_row *row, int64_t from, int64_t to,
		      struct convo_err *err);

/**
 * Apply a job's changes of state, but not those of events that are stored already. The session's
 * row, if there is one, is still to be written.
 */
int cv_sqlite_job_change_state(struct sqlite_store *store, struct sqlite_job *job,
			       struct sqlite_row *row, struct convo_err *err);

#endif
