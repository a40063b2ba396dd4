/*
 * A connection to a MySQL or MariaDB server: connecting, prepared statements with bound
 * parameters, and errors in our words, all of it by a call's deadline and until it is canceled.
 * Knows nothing of sessions. libmariadb is behind it (driver.h).
 */
#ifndef STORE_MYSQL_DB_H
#define STORE_MYSQL_DB_H

#include <store/mysql/plan.h>
#include <store/mysql/refuse.h>
#include <store/shared/pool.h>
#include <store/shared/sql/rare.h>

/** One connection. One thread at a time. */
struct my_db;

/**
 * Connect to a host that takes writes; where all answer and none does, to the first that can be read
 * from. NULL with `err` filled if there is none.
 */
struct my_db *cv_my_open(struct my_plan *plan, const struct store_call *call,
			 struct convo_err *err);

/** Close it without waiting for anything. NULL is fine. */
void cv_my_close(struct my_db *db);

/** Have the server see that we are gone: it ends what transaction there is. It is not usable then. */
void cv_my_hang_up(struct my_db *db);

/** Whether it still looks usable; neither blocks nor asks. */
bool cv_my_usable(const struct my_db *db);

/** Its socket, or -1. */
int cv_my_socket(const struct my_db *db);

/**
 * Before something is read: whether the server still takes writes, if it did and is one of several. What
 * was a primary may be a replica by now, and behind, without having closed its connections. Asks once
 * in a second at most.
 *
 * @return 0, CONVO_E_GONE with POOL_UNSENT, or as cv_my_run()
 */
int cv_my_look_again(struct my_db *db, const struct store_call *call, enum pool_fate *fate,
		     struct convo_err *err);

/** Whether it knows SKIP LOCKED, which MySQL does from 8.0.1 on. */
bool cv_my_skips(const struct my_db *db);

/** Whether it is a node of a Galera cluster, whose other nodes know nothing of its locks. */
bool cv_my_is_galera(const struct my_db *db);

/** What to call its host. */
const char *cv_my_where(const struct my_db *db);

/** What the rows of one result hold, by cv_sql_check_columns(), and who takes them. */
struct my_take {
	const char *promised;
	sql_row_fn row;
};

#define MY_TAKES 4 /* most results of a statement */

/** A statement on its way. */
struct my_query {
	size_t text; /* its number */
	const struct sql_value *args;
	size_t arg_count;
	void (*begin)(void *ctx); /* called before each try: forget earlier rows; may be NULL */
	struct my_take take[MY_TAKES]; /* its results in their order; there may be fewer */
	void *ctx;
	int64_t changed; /* set: rows changed, or left as they are because that was asked for */
	int64_t detail;  /* set with CONVO_E_TOOBIG: what raised it */
};

/**
 * Run a statement: one round trip, and one more the first time on a connection, to prepare it.
 *
 * @return 0, MY_AGAIN, what a row function returned, or the code for the server's refusal
 */
int cv_my_run(struct my_db *db, struct my_query *query, const struct store_call *call,
	      enum pool_fate *fate, struct convo_err *err);

/** What ends the following statements early, in place of each call's cancel; NULL: that again. */
void cv_my_stop_by(struct my_db *db, const struct pool_stops *stops);

/**
 * Run a statement without parameters.
 *
 * @param value receives the first column of the first row as a number, if there is one; or NULL
 * @param found set to true if there is, so false before; NULL if `value` is
 * @return as cv_my_run()
 */
int cv_my_plain(struct my_db *db, const char *sql, int64_t *value, bool *found,
		const struct store_call *call, enum pool_fate *fate, struct convo_err *err);

/**
 * Open a transaction, which the server ends by itself when we are gone without a word: others wait
 * for the rows that it has locked. As cv_my_run(). cv_my_end() follows, whatever came between.
 */
int cv_my_start(struct my_db *db, const struct store_call *call, enum pool_fate *fate,
		struct convo_err *err);

/** End it by "COMMIT" or "ROLLBACK". After a failure the connection is not used again; but after
 * MY_AGAIN, which says that nothing was committed. */
int cv_my_end(struct my_db *db, const char *how, const struct store_call *call,
	      enum pool_fate *fate, struct convo_err *err);

/** Bring the schema up to date; see cv_sql_migrate(). */
int cv_my_migrate(struct my_db *db, const struct sql_dialect *dialect, const char *prefix,
		  bool check, const struct store_call *call, enum pool_fate *fate,
		  struct convo_err *err);

#endif
