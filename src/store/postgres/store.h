/*
 * What the files of the PostgreSQL store share.
 */
#ifndef STORE_POSTGRES_STORE_H
#define STORE_POSTGRES_STORE_H

#include <store/postgres/db.h>
#include <store/shared/group.h>
#include <store/shared/sql/member.h>

/* The statements that are PostgreSQL's own; those of rare.h follow them. */
enum pg_own {
	PG_CREATE,
	PG_FORK,
	PG_LOAD,
	PG_LIST,
	PG_LIST_TRASH,
	PG_APPEND,
	PG_APPEND_MANY,
	PG_APPEND_HELD,
	PG_DRAFT,
	PG_DRAFTS,
	PG_MARKS,
	PG_WEIGH,
	PG_EAR_SET,
	PG_EAR_STAY,
	PG_EAR_END,
	PG_CLEAN,
	PG_BEGIN,
	PG_HASTE,
	PG_COMMIT,
	PG_ROLLBACK,
	PG_RARE
};

#define PG_STATEMENTS ((unsigned)PG_RARE + (unsigned)SQL_TEXT_COUNT)

struct pg_store {
	struct sql_store sql;
	struct pg_plan plan;
	struct store_group *appends;
	struct store_group *holds; /* appends with a lease, which are statements of their own */
	struct pg_shared shared;
	char *lock; /* the statement that shuts out other migrations */
	struct pg_statement statement[PG_STATEMENTS];
};

struct pg_store *cv_pg_of(struct convo_store *store);

/** One or more statements that are run as one transaction. */
struct pg_work {
	struct pg_query *query; /* their arguments finished */
	size_t count;
	struct pool_stops stops; /* what ends it early */
	bool refused;            /* set: by the server, which still answers */
};

/**
 * Run them, again where a connection was lost: doing so twice must do no harm.
 *
 * @return as cv_pg_run(), but for PG_AGAIN: others may be in the way until the deadline
 */
int cv_pg_work(struct pg_store *pg, const struct store_call *call, struct pg_work *work,
	       struct convo_err *err);

/** The same for one statement and its arguments, which are cleared. */
int cv_pg_one(struct pg_store *pg, const struct store_call *call, struct pg_query *query,
	      struct pg_args *args, struct convo_err *err);

void cv_pg_args_key(struct pg_args *args, const struct convo_key *key);

/** The names of many sessions, as three arrays. */
void cv_pg_args_keys(struct pg_args *args, const struct convo_key *const *keys, size_t count);

/** The scopes, names and values of changes. */
void cv_pg_args_changes(struct pg_args *args, const struct store_change *changes, size_t count);

/** Say which scope is full; other codes have said it all. */
int cv_pg_tell(int rc, const struct pg_query *query, struct convo_err *err);

/** The codes of our functions that are no convo_code. */
enum pg_code {
	PG_CODE_GENERATION = 1, /* the session has another one */
	PG_CODE_LEASE,          /* the lease is not held */
	PG_CODE_BUSY,           /* another one holds it */
	PG_CODE_IN_THE_WAY      /* STORE_IN_THE_WAY */
};

/* ---- the members of the backend that have a file of their own --------------------------- */

int cv_pg_create(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, const struct store_create *create,
		 struct convo_err *err);
int cv_pg_fork(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_fork *fork, struct convo_err *err);

/** How much travels together in a round of appends. */
#define PG_ROUND_JOBS 64
#define PG_ROUND_BYTES ((size_t)1 << 20)

int cv_pg_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err);
void cv_pg_append_round(void *ctx, struct group_job **jobs, size_t count);

int cv_pg_load(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_window *window,
	       struct convo_session *into, struct convo_err *err);

void cv_pg_drafts(struct convo_store *store, const struct store_call *call,
		  struct store_draft **drafts, size_t count);

int cv_pg_list(struct convo_store *store, const struct store_call *call, const char *app,
	       const char *user, bool trash, const struct store_place *place, size_t n,
	       struct store_page *into, struct convo_err *err);

/** What a statement promises whose rows are sessions: those of rare.h, and what is ours. */
#define PG_ROW_PROMISES "iiiiiiiiiiiiiiuttITUI"

int cv_pg_marks(struct convo_store *store, const struct store_call *call,
		const struct convo_key *const *keys, size_t count, uint64_t *marks,
		struct convo_err *err);
int cv_pg_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		const char *user, const struct store_weighed *sessions, size_t count,
		int64_t *bytes, struct convo_err *err);

int cv_pg_ear_open(struct convo_store *store, const struct store_call *call, struct store_ear **out,
		   struct convo_err *err);
int cv_pg_ear_set(struct store_ear *ear, const struct convo_key *key, bool on,
		  struct convo_err *err);
int cv_pg_ear_wait(struct store_ear *ear, const struct store_call *call,
		   void (*tell)(void *ctx, uint64_t tag), void *ctx, struct convo_err *err);
void cv_pg_ear_close(struct store_ear *ear);

/** Carries out a struct sql_request, in one transaction. */
int cv_pg_rare(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
	       enum pool_fate *fate, struct convo_err *err);

#endif
