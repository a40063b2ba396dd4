/*
 * Waiting, and not for too long: for the locks of others, for readers in the way of the log, and for
 * what takes long by itself.
 */
#include <store/sqlite/driver.h>

#include <pthread.h>
#include <time.h>

#include <base/clock.h>

#define WAIT_US 100
#define WAIT_MAX_US 4000
/* The log is written back from CHECKPOINT_PAGES on. Readers that overlap for ever would keep it from
 * beginning anew: from RESTART_PAGES on they are waited for, for RESTART_US, and again each
 * CHECKPOINT_PAGES, for longer the longer it is, but never for more than half of the time left: the
 * next calls wait, too. */
#define CHECKPOINT_PAGES 1000
#define RESTART_PAGES 4000
#define RESTART_US 100000
#define RESTART_MAX_PAGES (10 * RESTART_PAGES)
#define RESTART_MAX_US (10 * RESTART_US)

/* Whether it has to stop. */
int cv_sqlite_look(void *ctx)
{
	struct sqlite_db *db = ctx;

	if (db->canceled && db->canceled(db->ctx))
		db->stopped = CONVO_E_CANCELED;
	else if (cv_clock_mono_us() >= db->deadline_us)
		db->stopped = CONVO_E_TIMEOUT;
	return db->stopped != 0;
}

/* Sleep while another process holds a lock; 0 gives up. */
int cv_sqlite_wait(void *ctx, int tries)
{
	int64_t pause_us = tries < 6 ? WAIT_US << tries : WAIT_MAX_US;
	struct timespec ts = {.tv_nsec = (long)pause_us * 1000};

	if (cv_sqlite_look(ctx))
		return 0;
	nanosleep(&ts, NULL);
	return 1;
}

/*
 * Where the index of the log looks torn, SQLite sleeps and tries again for ten seconds, without
 * asking anybody. It sleeps by its view of the system (VFS): ours is the system's, but it wakes when
 * the connection that its thread works on has to stop.
 */
static _Thread_local struct sqlite_db *at_work;
static sqlite3_vfs vfs_ours;

void cv_sqlite_at_work(struct sqlite_db *db)
{
	at_work = db;
}

void cv_sqlite_until(struct sqlite_db *db, int64_t deadline_us, sqlite_canceled canceled, void *ctx)
{
	db->deadline_us = deadline_us;
	db->canceled = canceled;
	db->ctx = ctx;
	db->stopped = 0;
	at_work = db;
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

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	struct timespec ts = {.tv_nsec = WAIT_MAX_US * 1000L};
	int left_us = us;

	(void)vfs;
	while (left_us > 0 && !(at_work && cv_sqlite_look(at_work))) {
		if (left_us < WAIT_MAX_US)
			ts.tv_nsec = left_us * 1000L;
		nanosleep(&ts, NULL);
		left_us -= WAIT_MAX_US;
	}
	return us;
}

static pthread_mutex_t vfs_lock = PTHREAD_MUTEX_INITIALIZER; /* guards vfs_ours and vfs_users */
static int vfs_users;

/* Make it known to SQLite while there are connections; a library can be unloaded. */
int cv_sqlite_vfs_take(void)
{
	const sqlite3_vfs *system;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&vfs_lock);
	if (vfs_users)
		goto out;
	rc = SQLITE_NOMEM;
	system = sqlite3_vfs_find(NULL);
	if (!system)
		goto out;
	vfs_ours = *system;
	vfs_ours.zName = SQLITE_VFS_NAME;
	vfs_ours.xSleep = vfs_sleep;
	rc = sqlite3_vfs_register(&vfs_ours, 0);
out:
	vfs_users += rc == SQLITE_OK;
	pthread_mutex_unlock(&vfs_lock);
	return rc;
}

void cv_sqlite_vfs_give(void)
{
	pthread_mutex_lock(&vfs_lock);
	if (--vfs_users == 0)
		sqlite3_vfs_unregister(&vfs_ours);
	pthread_mutex_unlock(&vfs_lock);
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
int cv_sqlite_logged(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct sqlite_db *db = ctx;

	if (pages < CHECKPOINT_PAGES)
		return SQLITE_OK;
	if (pages < (db->restart_pages ? db->restart_pages : RESTART_PAGES))
		sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	else if (sqlite_restart(db, handle, name, pages) == SQLITE_OK)
		db->restart_pages = RESTART_PAGES;
	else
		db->restart_pages = pages + CHECKPOINT_PAGES;
	return SQLITE_OK;
}
