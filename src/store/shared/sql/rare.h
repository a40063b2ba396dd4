/*
 * The operations that are not worth a script for each engine: rename, delete, restore, purge, the
 * lists, state. Each is written once, as statements that are data and a little C between them:
 * where something has to be decided, the session's row is locked and read, C decides, and the row
 * is written. Appending, loading and creating, which take one round trip, are each engine's own.
 *
 * A backend gives the texts that its engine words differently (struct sql_dialect), binds values
 * and reads columns (struct sql_value), and runs steps (struct sql_conversation). It expands each
 * text once, by cv_sql_text().
 */
#ifndef STORE_SHARED_SQL_RARE_H
#define STORE_SHARED_SQL_RARE_H

#include <store/shared/sql/sql.h>

/** A value that is bound, or a column that was read. A text's data lives as long as its row. */
struct sql_value {
	enum sql_kind { SQL_NULL, SQL_INT, SQL_TEXT, SQL_UUID, SQL_JSON } kind;
	int64_t number;      /* of SQL_INT */
	struct cv_text text; /* of the others; JSON as text */
};

/**
 * Take one row. The columns are of the kinds that the statement promises: whoever reads rows calls
 * cv_sql_check_columns() before.
 */
typedef int (*sql_row_fn)(void *ctx, const struct sql_value *column, struct convo_err *err);

/**
 * Whether columns are as promised: a letter for each, i a number, t a text, u a uuid, j JSON, in
 * capitals where it may be NULL. What is not was damaged, or comes from a server that lies.
 *
 * @return 0, or CONVO_E_IO
 */
int cv_sql_check_columns(const char *promised, const struct sql_value *column, size_t count,
			 const char *where, struct convo_err *err);

/** Others were in the way until the deadline: nothing was done, CONVO_E_TIMEOUT. */
int cv_sql_in_the_way(struct convo_err *err, const char *where);

/** "the database is damaged", CONVO_E_IO. */
int cv_sql_damaged(struct convo_err *err, const char *where);

#define SQL_VALUES 16

/** A statement to be run. */
struct sql_step {
	enum sql_text text;
	struct sql_value value[SQL_VALUES]; /* in the order of the ?s in its text */
	size_t count;
	sql_row_fn row; /* NULL: rows do not matter */
	void *ctx;
	int64_t changed; /* set: rows changed */
};

/** What cv_sql_columns[] promises of a statement that returns rows; NULL of others. */
extern const char *const cv_sql_columns[SQL_TEXT_COUNT];

/**
 * A connection during one operation. `ctx` goes back first.
 *
 * run() runs steps in their order, in one round trip where the driver can. With `more` others
 * follow, all in one transaction at READ COMMITTED that the first of them opens; the last run,
 * without it, commits. Steps of an operation that has one run only are a transaction as well.
 * It returns 0, a negative code with `err` filled, or a positive one, which is the backend's own
 * (others were in the way: undo, and try the operation again) and is handed through.
 *
 * undo() ends a transaction without its changes, if one is open.
 */
struct sql_conversation {
	void *ctx;
	struct convo_store *store;
	const struct store_call *call;
	int (*run)(void *ctx, struct sql_step *steps, size_t count, bool more,
		   struct convo_err *err);
	void (*undo)(void *ctx);
};

/* ---- a session's row -------------------------------------------------------------------- */

/** As the SQL_ROW columns of every statement that reads one. Texts live as long as the row. */
struct sql_row {
	int64_t no, life, position, created_us, updated_us, expires_us, deleted_us, purge_us,
		due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes;
	const unsigned char *generation;
	struct cv_text session, title;
};

enum { SQL_LIFE_LIVE, SQL_LIFE_TRASH, SQL_LIFE_DEAD };

/** Its columns: so many numbers, then the generation, the session's id, and the title. */
#define SQL_ROW_NUMBERS 14
#define SQL_ROW_COLUMNS (SQL_ROW_NUMBERS + 3)

/** Read the columns; a row that cannot be is CONVO_E_IO: the database is damaged. */
int cv_sql_row_read(struct sql_row *row, const struct sql_value *column, const char *where,
		    struct convo_err *err);

/** The same checks for a row that was read in another way. */
int cv_sql_row_check(const struct sql_row *row, const char *where, struct convo_err *err);

/** Whether an event that was read can be one; CONVO_E_IO. */
int cv_sql_event_check(const struct store_event *event, const char *where, struct convo_err *err);

struct store_meta cv_sql_row_meta(const struct sql_row *row);

/* ---- pieces that the operations share ----------------------------------------------------- */

/** Add a value to a step; a text without data is NULL. Borrowed until it has run. */
void cv_sql_bind_int(struct sql_step *step, int64_t value);
void cv_sql_bind_text(struct sql_step *step, enum sql_kind kind, struct cv_text text);
void cv_sql_bind_key(struct sql_step *step, const struct convo_key *key);

/** A session's row while it is locked; its texts are gone. */
struct sql_locked {
	const char *where;
	bool found;
	struct sql_row row;
};

/** Make a step of SQL_FIND and the like, which fills `locked`; values may be added. */
void cv_sql_lock(struct sql_conversation *with, struct sql_step *step, enum sql_text text,
		 const struct convo_key *key, struct sql_locked *locked);

/** Whether the row is there and has not expired. */
bool cv_sql_locked_lives(const struct sql_conversation *with, const struct sql_locked *locked);

/* ---- the operations, as in backend.h ---------------------------------------------------- */

/** Owners on their way. */
struct sql_owners {
	const struct store_owners_place *from;
	struct store_owners_place last; /* set: of the last one */
	size_t count;                   /* set */
	struct store_owners *into;
	const char *where; /* the operation's own */
};

/**
 * An operation and what it is about: `run` is one of the functions below, and reads the members
 * that it names. A backend hands both through its pool.
 */
struct sql_request {
	int (*run)(struct sql_conversation *with, const struct sql_request *request,
		   struct convo_err *err);
	const struct convo_key *key; /* all of them; a list needs no session, an app no user */
	struct cv_text title;
	const unsigned char *generation; /* NULL: the newest, or all */
	bool trash;
	const struct store_place *place;
	size_t n;
	struct store_page *page;
	struct sql_owners *owners;
	const struct store_change *changes;
	size_t change_count;
	unsigned scopes;
	const struct cv_text *name;
	struct convo_state *state;
};

int cv_sql_rename(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err); /* key, title */
int cv_sql_delete(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err); /* key */
int cv_sql_restore(struct sql_conversation *with, const struct sql_request *request,
		   struct convo_err *err); /* key, generation */
int cv_sql_purge(struct sql_conversation *with, const struct sql_request *request,
		 struct convo_err *err); /* key, generation */
int cv_sql_list(struct sql_conversation *with, const struct sql_request *request,
		struct convo_err *err); /* key, trash, place, n, page */
int cv_sql_owners(struct sql_conversation *with, const struct sql_request *request,
		  struct convo_err *err); /* key's app or NULL, trash, n, owners */
int cv_sql_state_set(struct sql_conversation *with, const struct sql_request *request,
		     struct convo_err *err); /* key, changes, change_count */
int cv_sql_state_list(struct sql_conversation *with, const struct sql_request *request,
		      struct convo_err *err); /* key, scopes, name, state */

#endif
