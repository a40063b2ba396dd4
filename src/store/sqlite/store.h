/*
 * What the files of the SQLite store share: the store, its statements, and what is read from rows.
 */
#ifndef STORE_SQLITE_STORE_H
#define STORE_SQLITE_STORE_H

#include <base/chain.h>
#include <store/shared/group.h>
#include <store/shared/pool.h>
#include <store/sqlite/db.h>
#include <store/sqlite/file.h>

struct sqlite_store {
	struct convo_store base;
	struct sqlite_file file;
	struct sqlite_plan plan;
	struct sqlite_db *writer;  /* used by the round that runs, and by open(); NULL when nothing
	                              can be written */
	struct store_group *group; /* one round at a time */
	struct store_pool *readers;
};

/* The statements; their texts are in row.c. */
enum sqlite_text {
	TEXT_FIND,
	TEXT_FIND_TRASH,
	TEXT_FIND_TRASH_LIFE,
	TEXT_FIND_DUE,
	TEXT_LIST,
	TEXT_LIST_TRASH,
	TEXT_OWNERS,
	TEXT_OWNERS_TRASH,
	TEXT_CREATE,
	TEXT_FORK,
	TEXT_TOUCH,
	TEXT_TITLE,
	TEXT_HOLD,
	TEXT_LIFE,
	TEXT_DUE,
	TEXT_KEPT,
	TEXT_PURGE,
	TEXT_PURGE_LIFE,
	TEXT_REMOVE,
	TEXT_EVENTS,
	TEXT_EVENT_SEQ,
	TEXT_EVENT_ADD,
	TEXT_EVENTS_CUT,
	TEXT_EVENTS_FORK,
	TEXT_EVENT_TIME,
	TEXT_WEIGH,
	TEXT_SCOPE,
	TEXT_SCOPE_ADD,
	TEXT_SCOPE_BYTES,
	TEXT_STATE,
	TEXT_STATE_ONE,
	TEXT_STATE_PUT,
	TEXT_STATE_DROP,
	TEXT_STATE_CUT,
	TEXT_STATE_FORK,
	TEXT_DRAFT,
	TEXT_DRAFT_PUT,
	TEXT_DRAFT_DROP,
	TEXT_PIECE,
	TEXT_PIECES,
	TEXT_PIECE_PUT,
	TEXT_PIECES_CUT,
	TEXT_MARK,
	TEXT_VERSION,
	TEXT_SAVEPOINT,
	TEXT_RELEASE,
	TEXT_UNDO,
	TEXT_COUNT
};

extern const char *const cv_sqlite_texts[TEXT_COUNT];

enum sqlite_life { LIFE_LIVE, LIFE_TRASH, LIFE_DEAD };

/** Most that a time in µs can be in a file: far enough to add any duration to it. */
#define SQLITE_TIME_MAX (INT64_C(1) << 60)

/** What a session has of a lease: see 0002.sql. */
struct sqlite_held {
	unsigned char lease[UUID_BYTES]; /* all zero: nobody has ever held it */
	int64_t us, boot;
	bool has_draft;
	unsigned char draft[UUID_BYTES];
	int64_t draft_bytes;
};

/* A session's row; the columns are explained in 0001.sql and 0002.sql. */
struct sqlite_row {
	int64_t no, life;
	int64_t position, created_us, updated_us, expires_us, deleted_us, purge_us, due_us;
	int64_t kept_seq, first_seq, last_seq, last_time_ms, state_bytes;
	unsigned char generation[UUID_BYTES];
	struct sqlite_held held;
	bool is_fork;
	unsigned char fork_generation[UUID_BYTES];
	int64_t fork_seq;
	size_t session_len, title_len, fork_len;
	char session[CONVO_MAX_NAME + 1], title[CONVO_MAX_NAME + 1], fork[CONVO_MAX_NAME + 1];
};

/*
 * Everything that is read from the file is read here, and checked: what comes out of these is within
 * the bounds that we keep when writing, whoever has changed the file. Otherwise they say that the
 * database is damaged, and the query has ended.
 */

/** Read the rows of one of the TEXT_FIND and TEXT_LIST statements. As cv_sqlite_step(). */
int cv_sqlite_row_step(struct sqlite_query *query, struct sqlite_row *row, struct convo_err *err);

/** Read the rows of TEXT_EVENTS; texts as in cv_sqlite_text(). As cv_sqlite_step(). */
int cv_sqlite_event_step(struct sqlite_query *query, struct store_event *event,
			 struct convo_err *err);

/** Read the rows of TEXT_STATE and TEXT_STATE_ONE. As cv_sqlite_step(). */
int cv_sqlite_state_step(struct sqlite_query *query, struct cv_text *name, struct cv_text *value,
			 struct convo_err *err);

/** The row's meta; its texts belong to the row. */
struct store_meta cv_sqlite_row_meta(const struct sqlite_row *row);

/** Fill in the next three parameters: app, user, session. */
void cv_sqlite_bind_name(struct sqlite_query *query, const struct convo_key *key);

/** How much longer a session is held, in µs; 0: it is not. (held.c) */
int64_t cv_sqlite_held_left_us(const struct sqlite_held *held);

/** Add the draft of a session that is loaded, if it has one. (held.c) */
int cv_sqlite_held_load(struct sqlite_db *db, const struct sqlite_row *row,
			struct convo_session *into, struct convo_err *err);

/**
 * Find the session that has the name now.
 *
 * @return 1, 0 when there is none or it has expired (row->no is 0 or its number), negative codes
 */
int cv_sqlite_find(struct sqlite_db *db, const struct store_call *call, const struct convo_key *key,
		   struct sqlite_row *row, struct convo_err *err);

/** The seq of an event of that id. @return 1, 0 when it is not stored, or a negative code */
int cv_sqlite_event_seq(struct sqlite_db *db, const struct sqlite_row *row, const unsigned char *id,
			int64_t *seq, struct convo_err *err);

/** What user or app state belongs to. @return 1, 0 when there is none yet, or a negative code */
int cv_sqlite_scope(struct sqlite_db *db, enum convo_scope scope, const struct convo_key *key,
		    int64_t *owner, int64_t *bytes, struct convo_err *err);

/** Marks that a connection has read, good while nobody writes the file (marks.c). All-zero: none. */
struct sqlite_seen {
	int64_t version; /* of the file, as the connection sees it */
	struct cv_chain sessions;
};

/** In a transaction: forget them if somebody has written the file. */
int cv_sqlite_seen_check(struct sqlite_db *db, struct sqlite_seen *seen, struct convo_err *err);

/** After that, in the same transaction: the mark of a session, 0 when it is absent. */
int cv_sqlite_seen_mark(struct sqlite_db *db, struct sqlite_seen *seen,
			const struct store_call *call, const struct convo_key *key, uint64_t *mark,
			struct convo_err *err);

void cv_sqlite_seen_clear(struct sqlite_seen *seen);

/* ---- what reads: read.c ----------------------------------------------------------------- */

extern const struct pool_driver cv_sqlite_readers;

int cv_sqlite_load(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_window *window,
		   struct convo_session *into, struct convo_err *err);
int cv_sqlite_marks(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *const *keys, size_t count, uint64_t *marks,
		    struct convo_err *err);
int cv_sqlite_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		    const char *user, const struct store_weighed *sessions, size_t count,
		    int64_t *bytes, struct convo_err *err);
int cv_sqlite_owners(struct convo_store *store, const struct store_call *call, const char *app,
		     bool trash, size_t n, struct store_owners_place *place,
		     struct store_owners *into, bool *more, struct convo_err *err);
int cv_sqlite_list(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, bool trash, const struct store_place *place, size_t n,
		   struct store_page *into, struct convo_err *err);
int cv_sqlite_state_list(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			 struct convo_state *into, struct convo_err *err);

/* ---- what writes: append.c, held.c, fork.c, state.c, life.c, clean.c---------------------------------- */

int cv_sqlite_append(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct store_append *append,
		     struct convo_err *err);
void cv_sqlite_drafts(struct convo_store *store, const struct store_call *call,
		      struct store_draft **drafts, size_t count);
int cv_sqlite_fork(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_fork *fork,
		   struct convo_err *err);
int cv_sqlite_state_set(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_change *changes,
			size_t count, struct convo_err *err);
int cv_sqlite_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err);
int cv_sqlite_rename(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct cv_text title, struct convo_err *err);
int cv_sqlite_delete(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct convo_err *err);
int cv_sqlite_restore(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const unsigned char *generation,
		      struct convo_err *err);
int cv_sqlite_purge(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const unsigned char *generation,
		    struct convo_err *err);
int cv_sqlite_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err);

#endif
