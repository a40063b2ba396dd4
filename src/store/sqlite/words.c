/*
 * The errors of SQLite in our words. A sentence names the file, the cause, and what can be done where
 * that is not plain.
 */
#include <store/sqlite/driver.h>

#include <errno.h>
#include <unistd.h>

#include <base/fail.h>

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
int cv_sqlite_fail(struct sqlite_db *db, int rc, struct convo_err *err)
{
	const char *where = db->plan->where;

	db->broken = true;
	/* SQLite does not hand on that there is no room, except in one case; errno does. What a flush
	 * could not write may be there all the same: that is trouble of another kind. */
	if ((rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_FSYNC &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
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
