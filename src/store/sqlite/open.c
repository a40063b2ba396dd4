/*
 * Connections to an SQLite file: opening and closing, transactions, and statements that are run once.
 *
 * No lock of another process is an error before the call ends: SQLite asks the busy handler where it
 * would fail with SQLITE_BUSY, and where it does not ask, the call is repeated here.
 */
#include <store/sqlite/driver.h>

#include <errno.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/fail.h>

/* Instructions of SQLite's machine between looks at the clock: some 0.1 ms. */
#define LOOK_STEPS 4000
#define LOG_BYTES "67108864"

static const char *const own_texts[OWN_COUNT] = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};

/* ---- opening ---------------------------------------------------------------------------- */

static int sqlite_prepare_own(struct sqlite_db *db, struct convo_err *err)
{
	int rc, i;

	for (i = 0; i < OWN_COUNT; i++) {
		rc = sqlite3_prepare_v3(db->handle, own_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
					&db->own[i], NULL);
		if (rc != SQLITE_OK)
			return cv_sqlite_fail(db, rc, err);
	}
	return 0;
}

static int sqlite_configure(struct sqlite_db *db, enum sqlite_mode mode, struct convo_err *err)
{
	int rc = sqlite_prepare_own(db, err);

	if (rc < 0)
		return rc;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_handler(db->handle, cv_sqlite_wait, db);
	sqlite3_progress_handler(db->handle, LOOK_STEPS, cv_sqlite_look, db);
	/* Whoever can write to the file must not get code run by views and triggers in it. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (mode != DB_WRITER)
		return cv_sqlite_exec(db, "PRAGMA query_only = 1", err);
	sqlite3_wal_hook(db->handle, cv_sqlite_logged, db);
	return cv_sqlite_exec(db, "PRAGMA synchronous = FULL", err);
}

/* What SQLite is to open: a path, or, if it is to look for no log and lock nothing, a URI. */
static int sqlite_name(struct cv_buf *name, const char *path, enum sqlite_mode mode)
{
	int rc = 0;

	if (mode != DB_FROZEN)
		return cv_buf_adds(name, path);
	if (cv_buf_adds(name, "file://") < 0)
		return CONVO_E_NOMEM;
	for (; *path && rc >= 0; path++)
		rc = strchr("%?#", *path) ? cv_buf_addf(name, "%%%02X", (unsigned)*path)
					  : cv_buf_addc(name, *path);
	return rc < 0 ? rc : cv_buf_adds(name, "?immutable=1");
}

int cv_sqlite_open(struct sqlite_db **out, const struct sqlite_plan *plan, enum sqlite_mode mode,
		   const struct store_call *call, struct convo_err *err)
{
	int flags = mode == DB_WRITER || mode == DB_READER ? SQLITE_OPEN_READWRITE
							   : SQLITE_OPEN_READONLY;
	struct sqlite_db *db = cv_alloc(1, sizeof(*db));
	struct cv_buf name = {0};
	int rc;

	if (!db)
		return cv_fail_nomem(err);
	if (cv_sqlite_vfs_take() != SQLITE_OK) {
		free(db);
		return cv_fail_nomem(err);
	}
	db->plan = plan;
	cv_sqlite_for(db, call);
	db->stmt = cv_alloc(plan->text_count, sizeof(sqlite3_stmt *));
	if (!db->stmt || sqlite_name(&name, plan->path, mode) < 0) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	if (mode == DB_FROZEN)
		flags |= SQLITE_OPEN_URI;
	rc = sqlite3_open_v2(cv_buf_str(&name), &db->handle, flags | SQLITE_OPEN_NOMUTEX,
			     SQLITE_VFS_NAME);
	rc = rc == SQLITE_OK ? sqlite_configure(db, mode, err) : cv_sqlite_fail(db, rc, err);
	if (rc < 0)
		goto out;
	*out = db;
	db = NULL;
out:
	cv_sqlite_close(db);
	cv_buf_clear(&name);
	return rc;
}

void cv_sqlite_close(struct sqlite_db *db)
{
	size_t i;

	if (!db)
		return;
	cv_sqlite_at_work(NULL);
	for (i = 0; i < OWN_COUNT; i++)
		sqlite3_finalize(db->own[i]);
	for (i = 0; db->stmt && i < db->plan->text_count; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->handle);
	cv_sqlite_vfs_give();
	free(db->stmt);
	free(db);
}

bool cv_sqlite_moved(struct sqlite_db *db)
{
	int moved = 0;

	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
}

/* ---- transactions ----------------------------------------------------------------------- */

static int sqlite_run_own(struct sqlite_db *db, int which, struct convo_err *err)
{
	int rc;

	errno = 0;
	rc = sqlite3_step(db->own[which]);
	sqlite3_reset(db->own[which]);
	return rc == SQLITE_DONE ? 0 : cv_sqlite_fail(db, rc, err);
}

int cv_sqlite_set_flush(struct sqlite_db *db, bool flush, struct convo_err *err)
{
	int rc = 0;

	if (db->lazy == flush)
		rc = cv_sqlite_exec(
			db, flush ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
			err);
	if (rc == 0)
		db->lazy = !flush;
	return rc;
}

int cv_sqlite_begin(struct sqlite_db *db, bool write, struct convo_err *err)
{
	db->broken = false;
	return sqlite_run_own(db, write ? OWN_BEGIN_WRITE : OWN_BEGIN, err);
}

int cv_sqlite_commit(struct sqlite_db *db, struct convo_err *err)
{
	int rc = sqlite_run_own(db, OWN_COMMIT, err);

	/* When its flush has failed the log may hold all of it, and be read so after a crash. */
	if (rc == CONVO_E_IO && err)
		err->maybe = (sqlite3_extended_errcode(db->handle) & 0xff) == SQLITE_IOERR;
	return rc;
}

void cv_sqlite_rollback(struct sqlite_db *db)
{
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(db->handle))
		sqlite_run_own(db, OWN_ROLLBACK, NULL);
}

bool cv_sqlite_broken(const struct sqlite_db *db)
{
	return db->broken;
}

/* ---- statements given as text ----------------------------------------------------------- */

/* Prepare and step to the first row, while it is only locked; *stmt is to be finalized. */
static int sqlite_first_row(struct sqlite_db *db, const char *sql, sqlite3_stmt **stmt)
{
	int tries = 0, rc;

	do {
		sqlite3_finalize(*stmt);
		*stmt = NULL;
		errno = 0;
		rc = sqlite3_prepare_v2(db->handle, sql, -1, stmt, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(*stmt);
	} while ((rc & 0xff) == SQLITE_BUSY && cv_sqlite_wait(db, tries++));
	return rc;
}

int cv_sqlite_exec(struct sqlite_db *db, const char *sql, struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite_first_row(db, sql, &stmt);

	while (rc == SQLITE_ROW)
		rc = sqlite3_step(stmt);
	rc = rc == SQLITE_DONE ? 0 : cv_sqlite_fail(db, rc, err);
	sqlite3_finalize(stmt);
	return rc;
}

int cv_sqlite_get(struct sqlite_db *db, const char *sql, int64_t *value, bool *found,
		  struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite_first_row(db, sql, &stmt);

	*found = rc == SQLITE_ROW;
	if (*found)
		*value = sqlite3_column_int64(stmt, 0);
	rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : cv_sqlite_fail(db, rc, err);
	sqlite3_finalize(stmt);
	return rc;
}

int cv_sqlite_use_wal(struct sqlite_db *db, struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *mode;
	int rc = sqlite_first_row(db, "PRAGMA journal_mode = WAL", &stmt);

	if (rc != SQLITE_ROW) {
		rc = cv_sqlite_fail(db, rc, err);
		goto out;
	}
	mode = (const char *)sqlite3_column_text(stmt, 0);
	if (!mode)
		rc = cv_fail_nomem(err);
	else if (strcmp(mode, "wal") != 0)
		rc = cv_fail(err, CONVO_E_IO,
			     "%s: its file system does not allow a write-ahead log; keep it on a "
			     "local disk",
			     db->plan->where);
	else
		rc = 0;
out:
	sqlite3_finalize(stmt);
	if (rc < 0)
		return rc;
	return cv_sqlite_exec(db, "PRAGMA journal_size_limit = " LOG_BYTES, err);
}
