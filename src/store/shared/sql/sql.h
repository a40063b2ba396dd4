/*
 * What the SQL backends share: statement texts with the table prefix filled in, and numbered
 * migrations that bring a schema up to date. Knows no driver; what differs between dialects is
 * data (struct sql_dialect) or one of four callbacks (struct sql_conn).
 *
 * A migration is a file <number>.sql in its backend's folder, turned into C when the library is
 * built (embed.sh). In it a statement ends with a ';' at the end of a line, {p} stands for the
 * table prefix, and the last statement writes the version into {p}meta. A file that was released
 * is never changed again: what comes later is the next number.
 *
 * To add a dialect: write 0001.sql with a table {p}meta (name, value) that has
 * the row ('schema', '1'); name it in the folder's meson.build; declare its migrations
 * below; and fill a struct sql_dialect in the backend's file. Where DDL is not transactional every
 * statement of a migration must bear being run again, and {p}meta comes into being with the row
 * ('schema', '0'), so that a migration that was cut short is known as ours and goes on.
 */
#ifndef STORE_SHARED_SQL_SQL_H
#define STORE_SHARED_SQL_SQL_H

#include <store/backend.h>

struct sql_migration {
	int version;                   /* 1, 2, 3 ... */
	const char *const *statements; /* before expansion; NULL after the last */
};

/* By embed.sh, ending with a version of 0. Only those of the backends in the build. */
extern const struct sql_migration cv_sql_sqlite[];
extern const struct sql_migration cv_sql_postgres[];
extern const struct sql_migration cv_sql_mysql[];

/** The statements of rare.h. */
enum sql_text {
	SQL_FIND,            /* the live session of a name, its row locked */
	SQL_FIND_TRASH,      /* the newest deleted one, locked */
	SQL_FIND_TRASH_LIFE, /* that generation, deleted, locked */
	SQL_LIST,
	SQL_LIST_TRASH,
	SQL_OWNERS, /* of an app, after a user; and of later apps, unless they are not wanted */
	SQL_OWNERS_TRASH,
	SQL_RENAME,
	SQL_DELETE,
	SQL_PURGE,
	SQL_PURGE_LIFE,
	SQL_LIFE,        /* write what begins and ends a life */
	SQL_TOUCH,       /* write what a change of state changes */
	SQL_SCOPE_ADD,   /* make the owner of user or app state, unless it is there */
	SQL_SCOPE,       /* find it, its row locked */
	SQL_SCOPE_BYTES, /* write its size */
	SQL_STATE_BYTES, /* what a name counts now */
	SQL_STATE_PUT,
	SQL_STATE_DROP,
	SQL_STATE_LIST,
	SQL_TEXT_COUNT
};

/** What a dialect says about itself. Statements are expanded by cv_sql_expand(). */
struct sql_dialect {
	const char *scheme;   /* "sqlite" */
	char quote;           /* around column names: '"' or '`' */
	bool numbered;        /* parameters are $1, $2 ..., not ? */
	const char *live;     /* what is true of the sessions that live: "life = 0" */
	const char *listed;   /* the same, as the index of their list has it */
	const char *lock;     /* after a SELECT whose rows are to be locked: " FOR UPDATE" or "" */
	const char *greatest; /* the function: "greatest" */
	const char *texts[SQL_TEXT_COUNT]; /* in place of the usual ones; NULL: none */
	const struct sql_migration *migrations;
	const char *delimiter; /* after a statement that holds ';', for its program; or NULL */

	/* One number each, read before anything else is done: */
	const char *count_tables; /* how many tables have one of our names, whoever made them */
	const char *count_meta; /* how many of the columns name and value {p}meta has: 2 is ours */
	const char *count_hidden; /* 1 when rows of {p}meta may be hidden from us; NULL: never */
};

/** A connection on which a schema is checked or migrated. `ctx` goes back first. */
struct sql_conn {
	void *ctx;
	const char *where; /* for messages */

	/* Run a query and read the first column of its first row; *found is false without one. */
	int (*get)(void *ctx, const char *sql, int64_t *value, bool *found, struct convo_err *err);

	/* Run a statement that returns nothing. */
	int (*exec)(void *ctx, const char *sql, struct convo_err *err);

	/* Shut out other migrations of this database (and begin a transaction where DDL has them),
	 * and let them in again. `rc` tells end() whether to keep what was done; a negative one is
	 * what it returns. */
	int (*begin)(void *ctx, struct convo_err *err);
	int (*end)(void *ctx, int rc, struct convo_err *err);

	/* Where begin() shuts out those on the same server alone: shut out all others, for the exec()s
	 * that follow and until end(). Called only if there is something to migrate, which is looked
	 * at once more after it. NULL: not needed. */
	int (*claim)(void *ctx, struct convo_err *err);
};

/**
 * Append a statement text with {p} replaced by the prefix, and {fields} by the columns of an
 * event's text fields, quoted, in the order of enum event_field.
 */
int cv_sql_expand(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		  const char *text, struct convo_err *err);

/**
 * Append a statement of rare.h, ready for the driver. Besides what cv_sql_expand() fills in, {user}
 * is the quoted column, {live}, {listed}, {lock} and {greatest} come from the dialect, and each ? becomes a
 * number where the dialect has them.
 */
int cv_sql_text(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		enum sql_text text, struct convo_err *err);

/**
 * Bring the schema up to date (L1); one that is up to date is only read. Many processes may do so
 * at once.
 *
 * @param check run no DDL: a schema that is missing or old is CONVO_E_VERSION
 * @return 0, CONVO_E_VERSION for a newer schema (left alone) and for tables that are not ours, or
 *         what a callback returned
 */
int cv_sql_migrate(const struct sql_dialect *dialect, const struct sql_conn *conn,
		   const char *prefix, bool check, struct convo_err *err);

/** Append the SQL of all migrations, for an administrator; the `schema` of a backend. */
int cv_sql_schema(struct cv_buf *out, const struct sql_dialect *dialect, const char *prefix,
		  struct convo_err *err);

#endif
