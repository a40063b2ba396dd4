/*
 * A connection to a MySQL or MariaDB server: connecting, prepared statements with bound
 * parameters, migrations, and errors in our words, all of it by a deadline. Knows nothing of
 * sessions. db.c and plan.c are the only files that include mysql.h.
 */
#ifndef STORE_MYSQL_DB_H
#define STORE_MYSQL_DB_H

#include <store/mysql/plan.h>
#include <store/shared/pool.h>
#include <store/shared/sql/sql.h>

/** One connection. One thread at a time. */
struct my_db;

/** Connect, or NULL with `err` filled. */
struct my_db *cv_my_open(const struct my_plan *plan, int64_t deadline_us, struct convo_err *err);

/** Close it without waiting for anything. NULL is fine. */
void cv_my_close(struct my_db *db);

/** Whether it still looks usable; neither blocks nor asks. */
bool cv_my_usable(const struct my_db *db);

/** A parameter: a number, bytes, or NULL. */
struct my_arg {
	enum { MY_NULL, MY_INT, MY_BYTES } kind;
	int64_t number;
	struct cv_text bytes;
};

/** A column of a row; numbers have no bytes and NULL has neither. */
struct my_column {
	int64_t number;
	struct cv_text bytes;
};

/** Take one row. */
typedef int (*my_row)(void *ctx, const struct my_column *columns, struct convo_err *err);

/** A statement on its way. */
struct my_query {
	size_t text; /* its number */
	const struct my_arg *args;
	size_t arg_count;
	void (*begin)(void *ctx); /* called before each try: forget earlier rows; may be NULL */
	my_row row;               /* of any of its results; NULL: they do not matter */
	void *ctx;
	int64_t changed; /* set: rows changed */
	int64_t detail;  /* set with CONVO_E_TOOBIG: what raised it */
};

/** What cv_my_run() returns when others were in the way: nothing was done, try again. */
#define MY_AGAIN 1

/**
 * Run a statement: one round trip, and one more the first time on a connection, to prepare it.
 *
 * @return 0, MY_AGAIN, what a row function returned, or the code for the server's refusal
 */
int cv_my_run(struct my_db *db, struct my_query *query, int64_t deadline_us, enum pool_fate *fate,
	      struct convo_err *err);

/** Bring the schema up to date; see cv_sql_migrate(). */
int cv_my_migrate(struct my_db *db, const struct sql_dialect *dialect, const char *prefix,
		  bool check, int64_t deadline_us, enum pool_fate *fate, struct convo_err *err);

#endif
