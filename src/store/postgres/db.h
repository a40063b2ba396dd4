/*
 * A connection to a PostgreSQL server: connecting, statements with binary parameters, pipelines,
 * migrations, and errors in our words, all of it until a deadline or a cancel. Knows nothing of
 * sessions. libpq is behind it (pq.h).
 */
#ifndef STORE_POSTGRES_DB_H
#define STORE_POSTGRES_DB_H

#include <store/postgres/args.h>
#include <store/postgres/plan.h>
#include <store/postgres/until.h>
#include <store/shared/pool.h>
#include <store/shared/sql/rare.h>

/** One connection. One thread at a time. */
struct pg_db;

/** Connect, to the first of the hosts that takes us, or NULL with `err` filled. */
struct pg_db *cv_pg_open(const struct pg_plan *plan, const struct pg_until *until,
			 struct pg_shared *shared, struct convo_err *err);

/** Close it without waiting for anything. NULL is fine. */
void cv_pg_close(struct pg_db *db);

/** Whether it still looks usable; neither blocks nor asks. */
bool cv_pg_usable(const struct pg_db *db);

/** Its socket, or -1. */
int cv_pg_socket(const struct pg_db *db);

/**
 * A statement that is run more than once. The server keeps it prepared, so that it is not parsed and
 * planned each time; not behind a pooler that hands out another connection for each transaction,
 * which is found out by trying.
 */
struct pg_statement {
	char *sql;           /* with $1, $2 ...; owned */
	const char *columns; /* what its rows promise: cv_sql_check_columns(); NULL: no rows */
	char name[24];       /* on the server, made from the text; "": is not prepared */
	unsigned number;     /* among the store's, below 64 */
};

/** Give it its name. */
void cv_pg_statement_name(struct pg_statement *statement, unsigned number);

/** A statement on its way. */
struct pg_query {
	const struct pg_statement *statement;
	const struct pg_args *args; /* finished; NULL for none */
	void (*begin)(void *ctx);   /* called before each try: forget earlier rows; may be NULL */
	sql_row_fn row;             /* NULL: rows do not matter */
	void *ctx;
	bool large;     /* take row by row what is not to be held twice; costs more for each */
	size_t most;    /* bytes that an honest answer may have, or a row of it; 0: 1 MiB */
	int64_t count;  /* set: rows returned or changed */
	int64_t detail; /* set with CONVO_E_TOOBIG: what raised it */
};

/**
 * Run statements in one round trip as one transaction: all of them take effect or none. Rows are
 * handed out before that is known; a return of 0 tells it.
 *
 * @return 0, PG_AGAIN, what a row function returned, or the code for the server's refusal
 */
int cv_pg_run(struct pg_db *db, struct pg_query *queries, size_t count,
	      const struct pg_until *until, enum pool_fate *fate, struct convo_err *err);

/** Bring the schema up to date; see cv_sql_migrate(). `lock` is the statement that shuts out other
 * migrations until the transaction ends. */
int cv_pg_migrate(struct pg_db *db, const struct sql_dialect *dialect, const char *lock,
		  const char *prefix, bool check, const struct pg_until *until,
		  enum pool_fate *fate, struct convo_err *err);

/**
 * Run one statement without parameters outside of a pipeline: before the first cv_pg_run().
 *
 * @param value receives the first column of the first row, a number as text; NULL: unwanted
 * @param state receives the SQLSTATE of a failure, or ""
 */
int cv_pg_plain(struct pg_db *db, const char *sql, const struct pg_until *until, int64_t *value,
		bool *found, char state[6], enum pool_fate *fate, struct convo_err *err);

#endif
