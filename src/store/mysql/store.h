/*
 * What the files of the MySQL store share: store.c opens it, creates and cleans; append.c, draft.c,
 * fork.c and load.c carry parameters to a procedure of 0002.sql or 0004.sql and its rows back; round.c
 * appends for many callers; marks.c asks about many sessions; list.c lists; rare.c does what all SQL
 * stores do alike.
 */
#ifndef STORE_MYSQL_STORE_H
#define STORE_MYSQL_STORE_H

#include <store/mysql/db.h>
#include <store/mysql/rows.h>
#include <store/shared/group.h>
#include <store/shared/sql/member.h>

/** Its statements: its own, those of sql/rare.h, those for several rows. */
enum {
	MY_CREATE,
	MY_LOAD,
	MY_GLANCE,
	MY_APPEND,
	MY_HOLD,
	MY_DRAFT,
	MY_DRAFTS,
	MY_FORK,
	MY_WEIGH,
	MY_LIST,
	MY_LIST_TRASH,
	MY_CLEAN,
	MY_RARE,                            /* + an enum sql_text */
	MY_ROWS = MY_RARE + SQL_TEXT_COUNT, /* + what rows.h says */
	MY_MARKS = MY_ROWS + MY_ROWS_TEXTS, /* + a size of cv_my_mark_rows */
	MY_TEXT_COUNT = MY_MARKS + MY_MARK_SIZES
};

struct my_store {
	struct sql_store sql;
	struct my_plan plan;
	atomic_bool state; /* the session that was loaded last has some */
	struct store_group *appends;
	atomic_int appending; /* calls that could travel together */
	atomic_int trip_us;   /* the way to the server and back; 0: not known */
	bool rounds;          /* the server knows what they take */
	char *expanded[MY_TEXT_COUNT];
	const char *texts[MY_TEXT_COUNT];
};

struct my_store *cv_my_of(struct convo_store *store);

/** What {p}hold() and {p}draft() answer beside what all procedures do. */
enum { MY_LEASE_LOST = 2, MY_DRAFT_THERE = 3 };

/** Parameters being listed. */
struct my_args {
	struct sql_value arg[20];
	size_t count;
};

void cv_my_int(struct my_args *args, int64_t number);
void cv_my_bytes(struct my_args *args, const void *data, size_t len); /* data NULL: NULL */
void cv_my_buf(struct my_args *args, const struct cv_buf *buf);
void cv_my_key(struct my_args *args, const struct convo_key *key);

/** Run a statement on a connection of the pool, again where others were in the way. `repeat` as for
 * cv_pool_run(). */
int cv_my_query(struct my_store *my, const struct store_call *call, bool repeat,
		struct my_query *query, struct convo_err *err);

/** The same with these parameters. */
int cv_my_call(struct my_store *my, const struct store_call *call, bool repeat,
	       struct my_query *query, const struct my_args *args, struct convo_err *err);

/** How often a call was tried again, and why; begins with zero. */
struct my_tries {
	int in_the_way;
	bool exists;
};

/**
 * Whether to try again: others were in the way, and there is time. Waits a little before it says yes
 * again and again, a different time in each thread, so that those who met do not meet for ever.
 */
bool cv_my_again(int rc, struct my_tries *tries, const struct store_call *call,
		 enum pool_fate fate);

/* Members of cv_backend_mysql, as in backend.h. */
int cv_my_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err);
int cv_my_load(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_window *window,
	       struct convo_session *into, struct convo_err *err);
void cv_my_drafts(struct convo_store *store, const struct store_call *call,
		  struct store_draft **drafts, size_t count);
int cv_my_fork(struct convo_store *store, const struct store_call *call,
	       const struct convo_key *key, const struct store_fork *fork, struct convo_err *err);
int cv_my_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		const char *user, const struct store_weighed *sessions, size_t count,
		int64_t *bytes, struct convo_err *err);
int cv_my_marks(struct convo_store *store, const struct store_call *call,
		const struct convo_key *const *keys, size_t count, uint64_t *marks,
		struct convo_err *err);
int cv_my_list(struct convo_store *store, const struct store_call *call, const char *app,
	       const char *user, bool trash, const struct store_place *place, size_t n,
	       struct store_page *into, struct convo_err *err);

/** How much travels together. */
#define MY_ROUND_JOBS 64
#define MY_ROUND_BYTES ((size_t)1 << 20)

/** A round of appends; its context is the store. Those that it leaves undone are to go alone. */
void cv_my_round(void *ctx, struct group_job **jobs, size_t count);

/** Carries out a struct sql_request, in one transaction. */
int cv_my_rare(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
	       enum pool_fate *fate, struct convo_err *err);

#endif
