/*
 * What the files of the PostgreSQL store share.
 */
#ifndef STORE_POSTGRES_STORE_H
#define STORE_POSTGRES_STORE_H

#include <store/postgres/db.h>
#include <store/shared/group.h>

/* How much travels together in a round of appends. */
#define PG_ROUND_JOBS 64
#define PG_ROUND_BYTES ((size_t)1 << 20)

enum {
	PG_CREATE,
	PG_LOAD,
	PG_APPEND,
	PG_RENAME,
	PG_LIST,
	PG_LIST_TRASH,
	PG_DELETE,
	PG_RESTORE,
	PG_PURGE,
	PG_STATE_SET,
	PG_STATE_LIST,
	PG_CLEAN,
	PG_LOCK, /* shuts out other migrations */
	PG_TEXTS
};

struct pg_store {
	struct convo_store base;
	struct pg_plan plan;
	struct store_pool *pool;
	struct store_group *appends;
	char *sql[PG_TEXTS];
};

struct pg_store *cv_pg_of(struct convo_store *store);

/** One or more statements that are run as one transaction. */
struct pg_work {
	struct pg_query *query;
	size_t count;
	bool refused; /* by the server, which still answers */
};

/** Run them; a pool_op whose ctx is a struct pg_work. */
int cv_pg_work_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		  enum pool_fate *fate, struct convo_err *err);

void cv_pg_args_key(struct pg_args *args, const struct convo_key *key);

/** The scopes, names and values of changes. */
void cv_pg_args_changes(struct pg_args *args, const struct store_change *changes, size_t count);

/** Say which scope is full; other codes have said it all. */
int cv_pg_tell(int rc, const struct pg_query *query, struct convo_err *err);

/** The `append` of the backend, and the round of its group. */
int cv_pg_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err);
void cv_pg_append_round(void *ctx, struct group_job **jobs, size_t count);

#endif
