/*
 * A connection to an SQLite file: opening, cached statements, transactions, and errors in our
 * words. Knows nothing of sessions. open.c, query.c, wait.c and words.c talk to SQLite, by driver.h.
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include <store/shared/sql/sql.h>

/** One connection. One thread at a time. */
struct sqlite_db;

/** What a connection is made from; outlives it. */
struct sqlite_plan {
	const char *path;  /* absolute */
	const char *where; /* for messages */
	const struct sql_dialect *dialect;
	const char *prefix;
	const char *const *texts; /* statements by number, before expansion */
	size_t text_count;
};

enum sqlite_mode {
	DB_WRITER,
	DB_READER,      /* of a file that can be written, by others at the same time */
	DB_READER_ONLY, /* of a file that this process may not write, with a log beside it */
	DB_FROZEN       /* of one without: what changes it is for the caller to notice */
};

/** Asked while it waits for the locks of others, and while it works: whether to end. */
typedef bool (*sqlite_canceled)(void *ctx);

/**
 * Open an existing file.
 *
 * @return 0, CONVO_E_IO, CONVO_E_DENIED, CONVO_E_GONE, CONVO_E_NOMEM
 */
int cv_sqlite_open(struct sqlite_db **out, const struct sqlite_plan *plan, enum sqlite_mode mode,
		   const struct store_call *call, struct convo_err *err);

/** Close it. NULL is fine. */
void cv_sqlite_close(struct sqlite_db *db);

/**
 * Until when it may wait and work from now on, and who may end it earlier: CONVO_E_TIMEOUT,
 * CONVO_E_CANCELED. `ctx` has to live until the next of these, or until nothing is run any more.
 */
void cv_sqlite_until(struct sqlite_db *db, int64_t deadline_us, sqlite_canceled canceled,
		     void *ctx);

/** The same, by one call. */
void cv_sqlite_for(struct sqlite_db *db, const struct store_call *call);

/** Whether another file stands at the path now, or none. */
bool cv_sqlite_moved(struct sqlite_db *db);

/**
 * Make the file write ahead (WAL), so that readers and the writer do not wait for each other.
 * Others may do so at the same moment.
 */
int cv_sqlite_use_wal(struct sqlite_db *db, struct convo_err *err);

/* ---- transactions ----------------------------------------------------------------------- */

/** Whether commits are flushed from now on; not within a transaction. A connection begins with it. */
int cv_sqlite_set_flush(struct sqlite_db *db, bool flush, struct convo_err *err);

/** Begin a transaction: one that reads, or one that writes and shuts out other writers. */
int cv_sqlite_begin(struct sqlite_db *db, bool write, struct convo_err *err);

/**
 * End it, keeping what was done. After a failure it is still to be rolled back; err->maybe tells
 * whether it may show again all the same, after a crash.
 */
int cv_sqlite_commit(struct sqlite_db *db, struct convo_err *err);

/** Undo and end it, if one was begun. */
void cv_sqlite_rollback(struct sqlite_db *db);

/** Whether the engine failed since the transaction began: nothing of it may be kept. */
bool cv_sqlite_broken(const struct sqlite_db *db);

/* ---- statements ------------------------------------------------------------------------- */

/** A statement being filled in, run and read. Errors are kept until it is stepped. */
struct sqlite_query {
	struct sqlite_db *db;
	void *stmt;
	int params, columns; /* used so far */
	int rc;              /* of the engine */
	bool damaged;        /* the row holds what no convo wrote */
};

/** Take statement `number` of the plan; it must not be in use. */
struct sqlite_query cv_sqlite_query(struct sqlite_db *db, int number);

/** Fill in the next parameter. Borrowed until the query ends; a text, blob or UUID of NULL is NULL. */
void cv_sqlite_bind_int(struct sqlite_query *query, int64_t value);
void cv_sqlite_bind_text(struct sqlite_query *query, struct cv_text value);
void cv_sqlite_bind_blob(struct sqlite_query *query, const void *data, size_t len);
void cv_sqlite_bind_uuid(struct sqlite_query *query, const unsigned char *uuid);

/** Go to the next row. @return 1, 0 when there is none and the query has ended, negative codes */
int cv_sqlite_step(struct sqlite_query *query, struct convo_err *err);

/** Step to the end: of what returns no rows, or after the rows that were wanted. */
int cv_sqlite_run(struct sqlite_query *query, struct convo_err *err);

/** End it before its last row. Harmless after the end. */
void cv_sqlite_end(struct sqlite_query *query);

/** Work until now: steps of the statements that have ended, and pages looked at. */
int64_t cv_sqlite_steps(struct sqlite_db *db);

/**
 * Read the next column of the row. What is of another type or out of bounds comes back as the
 * least that is allowed, and shows in cv_sqlite_row(). Texts are UTF-8 without U+0000 and live until
 * the next step or the end; one of cv_sqlite_text_or_null() may be absent.
 */
int64_t cv_sqlite_int(struct sqlite_query *query, int64_t min, int64_t max);
struct cv_text cv_sqlite_text(struct sqlite_query *query, size_t min, size_t max);
struct cv_text cv_sqlite_text_or_null(struct sqlite_query *query, size_t max);
struct cv_text cv_sqlite_blob(struct sqlite_query *query, size_t max);
void cv_sqlite_uuid(struct sqlite_query *query, unsigned char out[UUID_BYTES]);

/** The same; all zero, and false, where it is NULL. */
bool cv_sqlite_uuid_or_null(struct sqlite_query *query, unsigned char out[UUID_BYTES]);

/** After the columns: whether all of them could be read. Ends the query when not. */
int cv_sqlite_row(struct sqlite_query *query, struct convo_err *err);

/** Rows contradict each other: "the database is damaged". */
int cv_sqlite_damaged(struct sqlite_db *db, struct convo_err *err);

/** How many rows the last statement has changed, and the number of the row inserted last. */
int64_t cv_sqlite_changes(const struct sqlite_db *db);
int64_t cv_sqlite_last_no(const struct sqlite_db *db);

/** Run a statement given as text. */
int cv_sqlite_exec(struct sqlite_db *db, const char *sql, struct convo_err *err);

/** Run a query given as text and read one number, as `get` of struct sql_conn. */
int cv_sqlite_get(struct sqlite_db *db, const char *sql, int64_t *value, bool *found,
		  struct convo_err *err);

#endif
