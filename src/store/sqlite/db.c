/*
 * A connection to an SQLite file; see db.h.
 *
 * No lock of another process is an error before the call ends: SQLite asks sqlite_wait() where it
 * would fail with SQLITE_BUSY, and where it does not ask, the call is repeated here. What takes long
 * by itself asks sqlite_look() now and then.
 */
#include <store/sqlite/db.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/utf8.h>

#define WAIT_US 100
#define WAIT_MAX_US 4000
/* Instructions of SQLite's machine between looks at the clock: some 0.1 ms. */
#define LOOK_STEPS 4000
/* The log is written back from CHECKPOINT_PAGES on. Readers that overlap for ever would keep it from
 * beginning anew: from RESTART_PAGES on they are waited for, for RESTART_US, and again each
 * CHECKPOINT_PAGES, for longer the longer it is, but never for more than half of the time left: the
 * next calls wait, too. */
#define CHECKPOINT_PAGES 1000
#define RESTART_PAGES 4000
#define RESTART_US 100000
#define RESTART_MAX_PAGES (10 * RESTART_PAGES)
#define RESTART_MAX_US (10 * RESTART_US)
#define LOG_BYTES "67108864"

enum { OWN_BEGIN, OWN_BEGIN_WRITE, OWN_COMMIT, OWN_ROLLBACK, OWN_COUNT };

static const char *const own_texts[OWN_COUNT] = {"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};

struct sqlite_db {
	sqlite3 *handle;
	const struct sqlite_plan *plan;
	int64_t deadline_us;
	sqlite_canceled canceled; /* may be NULL */
	void *ctx;
	int stopped;       /* the code that something ended with for one of these, or 0 */
	int restart_pages; /* length of the log at which to wait for readers next */
	bool broken;
	sqlite3_stmt *own[OWN_COUNT];
	sqlite3_stmt **stmt; /* plan->text_count, each NULL until it is first used */
};

/* ---- errors ----------------------------------------------------------------------------- */

/* errno after the engine failed, 0 before it, still tells why. */
static bool errno_is_room(void)
{
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
}

static int sqlite_fail_stopped(struct sqlite_db *db, const char *late, struct convo_err *err)
{
	if (db->stopped == CONVO_E_CANCELED)
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", db->plan->where);
	return cv_fail(err, CONVO_E_TIMEOUT, "%s: %s", db->plan->where, late);
}

static int sqlite_fail_open(struct sqlite_db *db, struct convo_err *err)
{
	int number = sqlite3_system_errno(db->handle);
	const char *where = db->plan->where;
	char reason[80] = "";

	switch (number) {
	case ENOENT:
	case ENOTDIR:
		if (access(db->plan->path, F_OK) < 0)
			return cv_fail(err, CONVO_E_GONE, "%s: there is no such file any more",
				       where);
		/* fall through */
	case EACCES:
	case EPERM:
	case EROFS:
		return cv_fail(err, CONVO_E_DENIED,
			       "%s: no right to make or read its -wal and -shm; let its owner open "
			       "it once",
			       where);
	case EMFILE:
	case ENFILE:
		return cv_fail(err, CONVO_E_IO,
			       "%s: cannot be opened: too many open files (see ulimit -n)", where);
	case 0:
		return cv_fail(err, CONVO_E_IO, "%s: cannot be opened", where);
	}
	strerror_r(number, reason, sizeof(reason));
	return cv_fail(err, CONVO_E_IO, "%s: cannot be opened: %s", where, reason);
}

static int sqlite_fail_io(struct sqlite_db *db, int number, struct convo_err *err)
{
	char reason[80] = "";

	if (!number)
		return cv_fail(err, CONVO_E_IO, "%s: %s", db->plan->where,
			       sqlite3_errmsg(db->handle));
	strerror_r(number, reason, sizeof(reason));
	return cv_fail(err, CONVO_E_IO, "%s: the disk fails: %s", db->plan->where, reason);
}

/* Tell an error of the engine in our words. */
static int sqlite_fail(struct sqlite_db *db, int rc, struct convo_err *err)
{
	const char *where = db->plan->where;

	db->broken = true;
	/* SQLite does not hand on that there is no room, except in one case. What a flush could not
	 * write may be there all the same: that is trouble of another kind. */
	if ((rc & 0xff) == SQLITE_IOERR && errno_is_room() && rc != SQLITE_IOERR_FSYNC)
		rc = SQLITE_FULL;
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return cv_fail_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return sqlite_fail_stopped(db, "another process has it locked for too long", err);
	case SQLITE_INTERRUPT:
		return sqlite_fail_stopped(db, "not done in time", err);
	case SQLITE_FULL:
		return cv_fail(err, CONVO_E_FULL,
			       "%s: the disk is full, or a quota or limit of the file size reached",
			       where);
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return cv_fail(err, CONVO_E_READONLY,
			       "%s: read-only: no right to write the file or its directory", where);
	case SQLITE_NOTADB:
		return cv_fail(err, CONVO_E_VERSION, "%s: no SQLite database", where);
	case SQLITE_CORRUPT:
		return cv_sqlite_damaged(db, err);
	case SQLITE_CANTOPEN:
		return sqlite_fail_open(db, err);
	}
	return sqlite_fail_io(db, (rc & 0xff) == SQLITE_IOERR ? errno : 0, err);
}

int cv_sqlite_damaged(struct sqlite_db *db, struct convo_err *err)
{
	db->broken = true;
	return cv_fail(
		err, CONVO_E_IO,
		"%s: the database is damaged; take a copy of it from before, or see sqlite3's "
		".recover",
		db->plan->where);
}

/* ---- waiting ---------------------------------------------------------------------------- */

void cv_sqlite_until(struct sqlite_db *db, int64_t deadline_us, sqlite_canceled canceled, void *ctx)
{
	db->deadline_us = deadline_us;
	db->canceled = canceled;
	db->ctx = ctx;
	db->stopped = 0;
}

static bool call_canceled(void *cancel)
{
	return convo_cancel_requested(cancel);
}

void cv_sqlite_for(struct sqlite_db *db, const struct store_call *call)
{
	cv_sqlite_until(db, call->deadline_us, call->cancel ? call_canceled : NULL,
			(void *)call->cancel);
}

/* Whether it has to stop. */
static int sqlite_look(void *ctx)
{
	struct sqlite_db *db = ctx;

	if (db->canceled && db->canceled(db->ctx))
		db->stopped = CONVO_E_CANCELED;
	else if (cv_clock_mono_us() >= db->deadline_us)
		db->stopped = CONVO_E_TIMEOUT;
	return db->stopped != 0;
}

/* Sleep while another process holds a lock; 0 gives up. */
static int sqlite_wait(void *ctx, int tries)
{
	int64_t pause_us = tries < 6 ? WAIT_US << tries : WAIT_MAX_US;
	struct timespec ts = {.tv_nsec = (long)pause_us * 1000};

	if (sqlite_look(ctx))
		return 0;
	nanosleep(&ts, NULL);
	return 1;
}

/* Write the log back and have it begin anew, if the readers that are in the way leave in time. */
static int sqlite_restart(struct sqlite_db *db, sqlite3 *handle, const char *name, int pages)
{
	int64_t deadline_us = db->deadline_us, now_us = cv_clock_mono_us();
	int64_t wait_us =
		pages < RESTART_MAX_PAGES ? pages / RESTART_PAGES * RESTART_US : RESTART_MAX_US;
	int64_t left_us = (deadline_us - now_us) / 2;
	int rc;

	db->deadline_us = now_us + (wait_us < left_us ? wait_us : left_us);
	rc = sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	db->deadline_us = deadline_us;
	return rc;
}

/* After each commit. What it returns would become the result of the commit, which has happened. */
static int sqlite_logged(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct sqlite_db *db = ctx;

	if (pages < CHECKPOINT_PAGES)
		return SQLITE_OK;
	if (pages < db->restart_pages)
		sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	else if (sqlite_restart(db, handle, name, pages) == SQLITE_OK)
		db->restart_pages = RESTART_PAGES;
	else
		db->restart_pages = pages + CHECKPOINT_PAGES;
	return SQLITE_OK;
}

/* ---- transactions ----------------------------------------------------------------------- */

/* Prepared from the start: rolling back must not need memory. */
static int sqlite_prepare_own(struct sqlite_db *db, struct convo_err *err)
{
	int rc, i;

	for (i = 0; i < OWN_COUNT; i++) {
		rc = sqlite3_prepare_v3(db->handle, own_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
					&db->own[i], NULL);
		if (rc != SQLITE_OK)
			return sqlite_fail(db, rc, err);
	}
	return 0;
}

static int sqlite_run_own(struct sqlite_db *db, int which, struct convo_err *err)
{
	int rc;

	errno = 0;
	rc = sqlite3_step(db->own[which]);
	sqlite3_reset(db->own[which]);
	return rc == SQLITE_DONE ? 0 : sqlite_fail(db, rc, err);
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

/* ---- opening ---------------------------------------------------------------------------- */

static int sqlite_configure(struct sqlite_db *db, enum sqlite_mode mode, struct convo_err *err)
{
	int rc = sqlite_prepare_own(db, err);

	if (rc < 0)
		return rc;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_handler(db->handle, sqlite_wait, db);
	sqlite3_progress_handler(db->handle, LOOK_STEPS, sqlite_look, db);
	/* Whoever can write to the file must not get code run by views and triggers in it. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (mode != DB_WRITER)
		return cv_sqlite_exec(db, "PRAGMA query_only = 1", err);
	sqlite3_wal_hook(db->handle, sqlite_logged, db);
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
	db->plan = plan;
	db->restart_pages = RESTART_PAGES;
	cv_sqlite_for(db, call);
	db->stmt = cv_alloc(plan->text_count, sizeof(sqlite3_stmt *));
	if (!db->stmt || sqlite_name(&name, plan->path, mode) < 0) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	if (mode == DB_FROZEN)
		flags |= SQLITE_OPEN_URI;
	rc = sqlite3_open_v2(cv_buf_str(&name), &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
	rc = rc == SQLITE_OK ? sqlite_configure(db, mode, err) : sqlite_fail(db, rc, err);
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
	for (i = 0; i < OWN_COUNT; i++)
		sqlite3_finalize(db->own[i]);
	for (i = 0; db->stmt && i < db->plan->text_count; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->handle);
	free(db->stmt);
	free(db);
}

bool cv_sqlite_moved(struct sqlite_db *db)
{
	int moved = 0;

	sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
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
	} while ((rc & 0xff) == SQLITE_BUSY && sqlite_wait(db, tries++));
	return rc;
}

int cv_sqlite_exec(struct sqlite_db *db, const char *sql, struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite_first_row(db, sql, &stmt);

	while (rc == SQLITE_ROW)
		rc = sqlite3_step(stmt);
	rc = rc == SQLITE_DONE ? 0 : sqlite_fail(db, rc, err);
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
	rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : sqlite_fail(db, rc, err);
	sqlite3_finalize(stmt);
	return rc;
}

int cv_sqlite_use_wal(struct sqlite_db *db, struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	const char *mode;
	int rc = sqlite_first_row(db, "PRAGMA journal_mode = WAL", &stmt);

	if (rc != SQLITE_ROW) {
		rc = sqlite_fail(db, rc, err);
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

/* ---- statements ------------------------------------------------------------------------- */

static int sqlite_prepare(struct sqlite_db *db, int number)
{
	const struct sqlite_plan *plan = db->plan;
	struct cv_buf sql = {0};
	int rc = SQLITE_NOMEM;

	if (cv_sql_expand(&sql, plan->dialect, plan->prefix, plan->texts[number], NULL) == 0)
		rc = sqlite3_prepare_v3(db->handle, sql.data, (int)sql.len,
					SQLITE_PREPARE_PERSISTENT, &db->stmt[number], NULL);
	cv_buf_clear(&sql);
	return rc;
}

struct sqlite_query cv_sqlite_query(struct sqlite_db *db, int number)
{
	struct sqlite_query query = {.db = db};

	if (!db->stmt[number])
		query.rc = sqlite_prepare(db, number);
	query.stmt = db->stmt[number];
	return query;
}

static void query_note(struct sqlite_query *query, int rc)
{
	if (query->rc == SQLITE_OK)
		query->rc = rc;
}

void cv_sqlite_bind_int(struct sqlite_query *query, int64_t value)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_int64(query->stmt, ++query->params, value));
}

void cv_sqlite_bind_text(struct sqlite_query *query, struct cv_text value)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_text(query->stmt, ++query->params, value.data,
						    (int)value.len, SQLITE_STATIC));
}

void cv_sqlite_bind_uuid(struct sqlite_query *query, const unsigned char *uuid)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_blob(query->stmt, ++query->params, uuid, UUID_BYTES,
						    SQLITE_STATIC));
}

void cv_sqlite_end(struct sqlite_query *query)
{
	sqlite3_reset(query->stmt);
}

int cv_sqlite_step(struct sqlite_query *query, struct convo_err *err)
{
	int rc = query->rc;

	query->columns = 0;
	errno = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(query->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	rc = rc == SQLITE_DONE ? 0 : sqlite_fail(query->db, rc, err);
	cv_sqlite_end(query);
	return rc;
}

int cv_sqlite_run(struct sqlite_query *query, struct convo_err *err)
{
	int rc;

	do
		rc = cv_sqlite_step(query, err);
	while (rc > 0);
	return rc;
}

int64_t cv_sqlite_int(struct sqlite_query *query, int64_t min, int64_t max)
{
	int column = query->columns++;
	int64_t value = sqlite3_column_int64(query->stmt, column);

	if (sqlite3_column_type(query->stmt, column) == SQLITE_INTEGER && value >= min &&
	    value <= max)
		return value;
	query->damaged = true;
	return min;
}

struct cv_text cv_sqlite_text_or_null(struct sqlite_query *query, size_t max)
{
	int column = query->columns++, type = sqlite3_column_type(query->stmt, column);
	struct cv_text text = {0};

	if (type != SQLITE_TEXT) {
		query->damaged = query->damaged || type != SQLITE_NULL;
		return text;
	}
	text.data = (const char *)sqlite3_column_text(query->stmt, column);
	text.len = (size_t)sqlite3_column_bytes(query->stmt, column);
	if (!text.data)
		query_note(query, SQLITE_NOMEM);
	else if (text.len > max || memchr(text.data, '\0', text.len) ||
		 !cv_utf8_valid(text.data, text.len))
		query->damaged = true;
	return text;
}

struct cv_text cv_sqlite_text(struct sqlite_query *query, size_t min, size_t max)
{
	struct cv_text text = cv_sqlite_text_or_null(query, max);

	if (!text.data || text.len < min)
		query->damaged = true;
	return text;
}

void cv_sqlite_uuid(struct sqlite_query *query, unsigned char out[UUID_BYTES])
{
	int column = query->columns++;
	const void *blob = sqlite3_column_blob(query->stmt, column);

	memset(out, 0, UUID_BYTES);
	if (blob && sqlite3_column_type(query->stmt, column) == SQLITE_BLOB &&
	    sqlite3_column_bytes(query->stmt, column) == UUID_BYTES)
		memcpy(out, blob, UUID_BYTES);
	else
		query->damaged = true;
}

int cv_sqlite_row(struct sqlite_query *query, struct convo_err *err)
{
	int rc;

	if (query->rc == SQLITE_OK && !query->damaged)
		return 0;
	rc = query->rc == SQLITE_OK ? cv_sqlite_damaged(query->db, err)
				    : sqlite_fail(query->db, query->rc, err);
	cv_sqlite_end(query);
	return rc;
}

int64_t cv_sqlite_changes(const struct sqlite_db *db)
{
	return sqlite3_changes(db->handle);
}

int64_t cv_sqlite_last_no(const struct sqlite_db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
