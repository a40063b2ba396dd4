/*
 * A connection to a PostgreSQL server: connecting, statements with binary parameters, pipelines,
 * migrations, and errors in our words, all of it by a deadline. Knows nothing of sessions.
 * libpq is behind it (pq.h).
 */
#ifndef STORE_POSTGRES_DB_H
#define STORE_POSTGRES_DB_H

#include <store/postgres/args.h>
#include <store/postgres/plan.h>
#include <store/shared/pool.h>
#include <store/shared/sql/sql.h>

/** One connection. One thread at a time. */
struct pg_db;

/** Connect, to the first of the hosts that takes us, or NULL with `err` filled. */
struct pg_db *cv_pg_open(const struct pg_plan *plan, int64_t deadline_us, struct convo_err *err);

/** Close it without waiting for anything. NULL is fine. */
void cv_pg_close(struct pg_db *db);

/** Whether it still looks usable; neither blocks nor asks. */
bool cv_pg_usable(const struct pg_db *db);

/** Take one row: the columns' bytes in the server's binary format, absent for NULL. */
typedef int (*pg_row)(void *ctx, const struct cv_text *columns, struct convo_err *err);

/** A statement on its way. */
struct pg_query {
	const char *sql;            /* one statement with $1, $2 ... */
	const struct pg_args *args; /* finished; NULL for none */
	void (*begin)(void *ctx);   /* called before each try: forget earlier rows; may be NULL */
	pg_row row;                 /* NULL: rows do not matter */
	void *ctx;
	bool large;     /* take row by row what is not to be held twice; costs more for each */
	int64_t count;  /* set: rows returned or changed */
	int64_t detail; /* set with CONVO_E_TOOBIG: what raised it */
};

/** What cv_pg_run() returns when others were in the way: nothing was done, try again. */
#define PG_AGAIN 1

/**
 * Run statements in one round trip as one transaction: all of them take effect or none. Rows are
 * handed out before that is known; a return of 0 tells it.
 *
 * @return 0, PG_AGAIN, what a row function returned, or the code for the server's refusal
 */
int cv_pg_run(struct pg_db *db, struct pg_query *queries, size_t count, int64_t deadline_us,
	      enum pool_fate *fate, struct convo_err *err);

/** Bring the schema up to date; see cv_sql_migrate(). `lock` is the statement that shuts out other
 * migrations until the transaction ends. */
int cv_pg_migrate(struct pg_db *db, const struct sql_dialect *dialect, const char *lock,
		  const char *prefix, bool check, int64_t deadline_us, enum pool_fate *fate,
		  struct convo_err *err);

/** A number of 2, 4 or 8 bytes; the nth of an array of bigint. Absent is 0. */
int64_t cv_pg_int(struct cv_text column);
int64_t cv_pg_int_at(struct cv_text column, size_t n);

/** The text of a jsonb column. */
struct cv_text cv_pg_json(struct cv_text column);

#endif
