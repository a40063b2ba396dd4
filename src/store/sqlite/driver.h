/*
 * What the files that talk to SQLite share: the only one to include sqlite3.h.
 */
#ifndef STORE_SQLITE_DRIVER_H
#define STORE_SQLITE_DRIVER_H

#include <sqlite3.h>

#include <store/sqlite/db.h>

/* Statements that every connection has from the start: rolling back must not need memory. */
enum { OWN_BEGIN, OWN_BEGIN_WRITE, OWN_COMMIT, OWN_ROLLBACK, OWN_COUNT };

struct sqlite_db {
	sqlite3 *handle;
	const struct sqlite_plan *plan;
	int64_t deadline_us;
	sqlite_canceled canceled; /* may be NULL */
	void *ctx;
	int stopped;       /* the code that something ended with for one of these, or 0 */
	int restart_pages; /* length of the log at which to wait for readers next; 0: not yet set */
	bool broken;
	bool lazy;     /* commits are not flushed */
	int64_t steps; /* of the statements that have ended */
	sqlite3_stmt *own[OWN_COUNT];
	sqlite3_stmt **stmt; /* plan->text_count, each NULL until it is first used */
};

/**
 * Tell an error of the engine in our words (words.c). errno, 0 before it, may still tell why.
 *
 * @return the code
 */
int cv_sqlite_fail(struct sqlite_db *db, int rc, struct convo_err *err);

/** Whether a connection has to stop; the progress handler (wait.c). */
int cv_sqlite_look(void *db);

/** Sleep a little while another has a lock; 0 gives up. The busy handler (wait.c). */
int cv_sqlite_wait(void *db, int tries);

/** Write the log back from time to time; the hook after each commit (wait.c). */
int cv_sqlite_logged(void *db, sqlite3 *handle, const char *name, int pages);

/** SQLite's view of the system, but for its sleep, known by name between these (wait.c). */
#define SQLITE_VFS_NAME "convo"
int cv_sqlite_vfs_take(void);
void cv_sqlite_vfs_give(void);

/** The connection that this thread works on (wait.c); NULL: none. */
void cv_sqlite_at_work(struct sqlite_db *db);

#endif
