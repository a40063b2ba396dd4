/*
 * A connection to an SQLite file; see sqlite_db.h.
 *
 * No lock of another process is an error before the deadline: SQLite asks sqlite_wait() where it
 * would fail with SQLITE_BUSY, and where it does not ask, the call is repeated here.
 */
#include <store/sqlite/db.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <sqlite3.h>

#include <base/alloc.h>
#include <base/clock.h>

#define WAIT_US 100
#define WAIT_MAX_US 4000
/* Instructions of SQLite's machine between looks at the clock: some 0.1 ms. */
#define LOOK_STEPS 4000
/* The log is written back from CHECKPOINT_PAGES on. Readers that overlap for ever would keep it from
 * beginning anew: from RESTART_PAGES on they are waited for, for RESTART_US, and again each
 * CHECKPOINT_PAGES, for longer the longer it is. */
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
	int restart_pages; /* length of the log at which to wait for readers next */
	bool broken;
	sqlite3_stmt *own[OWN_COUNT];
	sqlite3_stmt **stmt; /* plan->text_count, each NULL until it is first used */
};

/* ---- errors ----------------------------------------------------------------------------- */

static int sqlite_fail_open(struct sqlite_db *db, struct convo_err *err)
{
	int number = sqlite3_system_errno(db->handle);
	char reason[80] = "no reason given";
	int code = number == EACCES || number == EPERM || number == EROFS ? CONVO_E_DENIED
									  : CONVO_E_IO;

	if (number)
		strerror_r(number, reason, sizeof(reason));
	return cv_fail(err, code, "%s: cannot open: %s", db->plan->where, reason);
}

/* SQLite does not hand on why a write failed. errno, 0 before it, still tells when it is room. */
static bool errno_is_room(void)
{
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
}

/* Tell an error of the engine in our words. */
static int sqlite_fail(struct sqlite_db *db, int rc, struct convo_err *err)
{
	const char *where = db->plan->where;

	db->broken = true;
	if ((rc & 0xff) == SQLITE_IOERR && errno_is_room())
		rc = SQLITE_FULL;
	switch (rc & 0xff) {
	case SQLITE_NOMEM:
		return cv_fail_nomem(err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: locked by another process for too long",
			       where);
	case SQLITE_INTERRUPT:
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: not done in time", where);
	case SQLITE_FULL:
		return cv_fail(err, CONVO_E_IO, "%s: the disk is full", where);
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return cv_fail(err, CONVO_E_DENIED, "%s: no right to write there", where);
	case SQLITE_NOTADB:
		return cv_fail(err, CONVO_E_VERSION, "%s: not a database of convo", where);
	case SQLITE_CANTOPEN:
		return sqlite_fail_open(db, err);
	}
	return cv_fail(err, CONVO_E_IO, "%s: %s", where, sqlite3_errmsg(db->handle));
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* Sleep while another process holds a lock; 0 gives up. */
static int sqlite_wait(void *ctx, int tries)
{
	const struct sqlite_db *db = ctx;
	int64_t left_us = db->deadline_us - cv_clock_mono_us();
	int64_t pause_us = tries < 6 ? WAIT_US << tries : WAIT_MAX_US;
	struct timespec ts = {0};

	if (left_us <= 0)
		return 0;
	ts.tv_nsec = (long)(pause_us < left_us ? pause_us : left_us) * 1000;
	nanosleep(&ts, NULL);
	return 1;
}

static int sqlite_look(void *ctx)
{
	const struct sqlite_db *db = ctx;

	return cv_clock_mono_us() >= db->deadline_us;
}

/* After each commit. What it returns would become the result of the commit, which has happened. */
static int sqlite_logged(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct sqlite_db *db = ctx;
	int64_t deadline_us = db->deadline_us, wait_us;

	if (pages < CHECKPOINT_PAGES)
		return SQLITE_OK;
	if (pages < db->restart_pages) {
		sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		return SQLITE_OK;
	}
	wait_us = pages < RESTART_MAX_PAGES ? pages / RESTART_PAGES * RESTART_US : RESTART_MAX_US;
	db->deadline_us = cv_clock_mono_us() + wait_us;
	if (sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_RESTART, NULL, NULL) ==
	    SQLITE_OK)
		db->restart_pages = RESTART_PAGES;
	else
		db->restart_pages = pages + CHECKPOINT_PAGES;
	db->deadline_us = deadline_us;
	return SQLITE_OK;
}

/* ---- transactions ----------------------------------------------------------------------- */

/* Prepared from the start: rolling back must not need memory. */
static int sqlite_prepare_own(struct sqlite_db *db, struct convo_err *err)
{
	int rc = SQLITE_OK, i;

	for (i = 0; rc == SQLITE_OK && i < OWN_COUNT; i++)
		rc = sqlite3_prepare_v3(db->handle, own_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
					&db->own[i], NULL);
	return rc == SQLITE_OK ? 0 : sqlite_fail(db, rc, err);
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
	if (rc < 0 && err)
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

static int sqlite_configure(struct sqlite_db *db, bool reader, struct convo_err *err)
{
	int rc = sqlite_prepare_own(db, err);

	if (rc < 0)
		return rc;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_handler(db->handle, sqlite_wait, db);
	/* Whoever can write to the file must not get code run by views and triggers in it. */
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (reader) {
		sqlite3_progress_handler(db->handle, LOOK_STEPS, sqlite_look, db);
		return cv_sqlite_exec(db, "PRAGMA query_only = 1", err);
	}
	sqlite3_wal_hook(db->handle, sqlite_logged, db);
	if (sqlite3_db_readonly(db->handle, "main") == 1)
		return sqlite_fail(db, SQLITE_READONLY, err);
	return cv_sqlite_exec(db, "PRAGMA synchronous = FULL", err);
}

int cv_sqlite_open(struct sqlite_db **out, const struct sqlite_plan *plan, bool reader,
		   int64_t deadline_us, struct convo_err *err)
{
	struct sqlite_db *db = cv_alloc(1, sizeof(*db));
	int rc;

	if (!db)
		return cv_fail_nomem(err);
	db->plan = plan;
	db->restart_pages = RESTART_PAGES;
	db->deadline_us = deadline_us;
	db->stmt = cv_alloc(plan->text_count, sizeof(sqlite3_stmt *));
	rc = db->stmt ? sqlite3_open_v2(plan->path, &db->handle,
					SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)
		      : SQLITE_NOMEM;
	rc = rc == SQLITE_OK ? sqlite_configure(db, reader, err) : sqlite_fail(db, rc, err);
	if (rc < 0)
		cv_sqlite_close(db);
	else
		*out = db;
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

void cv_sqlite_until(struct sqlite_db *db, int64_t deadline_us)
{
	db->deadline_us = deadline_us;
}

const char *cv_sqlite_path(struct sqlite_db *db)
{
	return sqlite3_db_filename(db->handle, "main");
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
	rc = *found || rc == SQLITE_DONE ? 0 : sqlite_fail(db, rc, err);
	sqlite3_finalize(stmt);
	return rc;
}

int cv_sqlite_use_wal(struct sqlite_db *db, struct convo_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite_first_row(db, "PRAGMA journal_mode = WAL", &stmt);

	if (rc != SQLITE_ROW)
		rc = sqlite_fail(db, rc, err);
	else if (strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") != 0)
		rc = cv_fail(err, CONVO_E_IO,
			     "%s: its file system does not allow a write-ahead log",
			     db->plan->where);
	else
		rc = 0;
	sqlite3_finalize(stmt);
	if (rc == 0)
		rc = cv_sqlite_exec(db, "PRAGMA journal_size_limit = " LOG_BYTES, err);
	return rc;
}

/* ---- statements ------------------------------------------------------------------------- */

static int sqlite_prepare(struct sqlite_db *db, int number)
{
	const struct sqlite_plan *plan = db->plan;
	struct cv_buf sql = {0};
	int rc = cv_sql_expand(&sql, plan->dialect, plan->prefix, plan->texts[number], NULL);

	if (rc == 0)
		rc = sqlite3_prepare_v3(db->handle, sql.data, (int)sql.len,
					SQLITE_PREPARE_PERSISTENT, &db->stmt[number], NULL);
	else
		rc = SQLITE_NOMEM;
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

int64_t cv_sqlite_int(struct sqlite_query *query)
{
	return sqlite3_column_int64(query->stmt, query->columns++);
}

struct cv_text cv_sqlite_text(struct sqlite_query *query)
{
	int column = query->columns++;
	struct cv_text text;

	text.data = (const char *)sqlite3_column_text(query->stmt, column);
	text.len = (size_t)sqlite3_column_bytes(query->stmt, column);
	if (!text.data && sqlite3_column_type(query->stmt, column) != SQLITE_NULL)
		query_note(query, SQLITE_NOMEM);
	return text;
}

void cv_sqlite_uuid(struct sqlite_query *query, unsigned char out[UUID_BYTES])
{
	int column = query->columns++;
	const void *blob = sqlite3_column_blob(query->stmt, column);

	memset(out, 0, UUID_BYTES);
	if (blob && sqlite3_column_bytes(query->stmt, column) == UUID_BYTES)
		memcpy(out, blob, UUID_BYTES);
}

int64_t cv_sqlite_changes(const struct sqlite_db *db)
{
	return sqlite3_changes(db->handle);
}

int64_t cv_sqlite_last_no(const struct sqlite_db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
