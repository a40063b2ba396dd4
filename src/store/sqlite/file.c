/*
 * The file of an SQLite store; see file.h.
 */
#include <store/sqlite/file.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/alloc.h>
#include <base/fail.h>

/* No database is smaller, but for an empty one. */
#define HEADER_BYTES 512

/* ---- words ------------------------------------------------------------------------------ */

/* Why something could not be made or found, and what can be done about it. */
static int file_fail(const struct sqlite_file *file, const char *what, int number,
		     struct convo_err *err)
{
	char reason[80] = "";

	switch (number) {
	case EACCES:
	case EPERM:
		return cv_fail(err, CONVO_E_DENIED, "%s: %s: no right to write in that directory",
			       file->where, what);
	case EROFS:
		return cv_fail(err, CONVO_E_READONLY, "%s: %s: the file system is read-only",
			       file->where, what);
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return cv_fail(err, CONVO_E_FULL, "%s: %s: the disk is full, or a quota reached",
			       file->where, what);
	case ENOTDIR:
		return cv_fail(err, CONVO_E_GONE, "%s: %s: a part of its path is no directory",
			       file->where, what);
	case ENAMETOOLONG:
		return cv_fail(err, CONVO_E_GONE, "%s: %s: its path is too long", file->where,
			       what);
	case ENOENT:
		return cv_fail(err, CONVO_E_DENIED, "%s: %s: nothing can be made in that directory",
			       file->where, what);
	}
	strerror_r(number, reason, sizeof(reason));
	return cv_fail(err, CONVO_E_IO, "%s: %s: %s", file->where, what, reason);
}

/* Of a long path its end tells more, and the reason has to find room after it. */
static void file_name(struct sqlite_file *file, const char *path)
{
	const size_t room = sizeof(file->where) - sizeof("SQLite (...)");
	size_t len = strlen(path);
	const char *end = path;

	if (len > room) {
		end += len - room;
		while (((unsigned char)*end & 0xc0) == 0x80)
			end++;
	}
	snprintf(file->where, sizeof(file->where), "SQLite (%s%s)", end == path ? "" : "...", end);
}

/* ---- finding ---------------------------------------------------------------------------- */

/* Make the directories that are missing above the file. */
static int file_make_parents(const struct sqlite_file *file, char *path, struct convo_err *err)
{
	char *slash = path;
	struct stat st;
	int number;

	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		number = mkdir(path, 0700) < 0 ? errno : 0;
		/* Also where one may not make what is there already. */
		if (number && stat(path, &st) == 0)
			number = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
		*slash = '/';
		if (number)
			return file_fail(file, "cannot make its directory", number, err);
	}
	return 0;
}

/* A device or a pipe is no place for sessions: SQLite would take it, and leave a journal beside. */
static int file_check(const struct sqlite_file *file, const char *path, struct convo_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return cv_fail(err, CONVO_E_GONE, "%s: there is no such file", file->where);
		return file_fail(file, "cannot be found", errno, err);
	}
	if (S_ISDIR(st.st_mode))
		return cv_fail(err, CONVO_E_VERSION, "%s: a directory, and no file in one",
			       file->where);
	if (!S_ISREG(st.st_mode))
		return cv_fail(err, CONVO_E_VERSION, "%s: no regular file", file->where);
	/* SQLite takes a file of one byte for an empty one. */
	if (st.st_size > 0 && st.st_size < HEADER_BYTES)
		return cv_fail(err, CONVO_E_VERSION, "%s: no SQLite database", file->where);
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0 && errno == EACCES)
		return cv_fail(err, CONVO_E_DENIED, "%s: no right to read it; see who owns it",
			       file->where);
	return 0;
}

/* Make the file, readable by its owner only. */
static int file_make(const struct sqlite_file *file, const char *path, struct convo_err *err)
{
	/* Closing a descriptor of a file drops all locks this process has on it. So it is opened
	 * only if it is new, and while no other thread can take it for one that is there. */
	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	int fd, number = 0;

	pthread_mutex_lock(&making);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* A link to what is not there yet exists to O_EXCL. */
	if (fd < 0 && errno == EEXIST && access(path, F_OK) < 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	else
		number = errno;
	pthread_mutex_unlock(&making);
	if (number && access(path, F_OK) < 0)
		return file_fail(file, "cannot make it", number, err);
	return 0;
}

/* Whether the directory of a path can be written, so that a log can be made beside the file. */
static bool file_directory_writable(char *path)
{
	char *slash = strrchr(path, '/');
	bool writable;

	slash[0] = '\0';
	writable = faccessat(AT_FDCWD, slash == path ? "/" : path, W_OK, AT_EACCESS) == 0;
	slash[0] = '/';
	return writable;
}

/* Whether a file of that name lies beside it, with something in it. */
static bool file_has_beside(const struct sqlite_file *file, const char *suffix)
{
	struct stat st;
	char path[4096];

	if (snprintf(path, sizeof(path), "%s%s", file->path, suffix) >= (int)sizeof(path))
		return true;
	return stat(path, &st) == 0 && st.st_size > 0;
}

/* Whether what is in the file is only true together with a log. */
static bool file_has_log(const struct sqlite_file *file)
{
	return file_has_beside(file, "-wal") || file_has_beside(file, "-journal");
}

static bool file_readonly(struct sqlite_file *file)
{
	if (faccessat(AT_FDCWD, file->path, W_OK, AT_EACCESS) < 0)
		return true;
	return !file_directory_writable(file->path) && !file_has_log(file);
}

int cv_sqlite_file_find(struct sqlite_file *file, const struct cv_url *url, bool make,
			struct convo_err *err)
{
	char *path;
	int rc;

	if ((url->host && *url->host) || url->user || url->password || url->port)
		return cv_fail(err, CONVO_E_INVALID,
			       "write sqlite:relative/path or sqlite:///absolute/path");
	if (!url->path || !*url->path)
		return cv_fail(err, CONVO_E_INVALID, "the sqlite URL names no file");
	if (strcmp(url->path, ":memory:") == 0)
		return cv_fail(err, CONVO_E_INVALID,
			       "sqlite keeps sessions in a file; for memory alone use memory:");
	file_name(file, url->path);
	path = cv_memdup(url->path, strlen(url->path));
	if (!path)
		return cv_fail_nomem(err);
	rc = make ? file_make_parents(file, path, err) : 0;
	if (rc >= 0 && make)
		rc = file_make(file, path, err);
	if (rc >= 0)
		rc = file_check(file, path, err);
	if (rc < 0)
		goto out;
	/* The readers open it later, wherever the program has gone by then. */
	file->path = realpath(path, NULL);
	if (!file->path) {
		rc = errno == ENOMEM ? cv_fail_nomem(err)
				     : file_fail(file, "cannot be found", errno, err);
		goto out;
	}
	file->readonly = file_readonly(file);
out:
	free(path);
	return rc;
}

void cv_sqlite_file_clear(struct sqlite_file *file)
{
	free(file->path);
	file->path = NULL;
}

/* ---- changes ---------------------------------------------------------------------------- */

bool cv_sqlite_file_stamp(const struct sqlite_file *file, struct sqlite_stamp *stamp)
{
	struct stat st;

	if (file_has_log(file) || stat(file->path, &st) < 0)
		return false;
	*stamp = (struct sqlite_stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
	return true;
}

bool cv_sqlite_file_same(const struct sqlite_file *file, const struct sqlite_stamp *stamp)
{
	struct sqlite_stamp now;

	return cv_sqlite_file_stamp(file, &now) && now.dev == stamp->dev && now.ino == stamp->ino &&
	       now.size == stamp->size && now.changed.tv_sec == stamp->changed.tv_sec &&
	       now.changed.tv_nsec == stamp->changed.tv_nsec;
}

/* ---- the limit of its size -------------------------------------------------------------- */

static void hold_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGXFSZ);
}

static bool hold_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
}

void cv_sqlite_hold(struct sqlite_hold *hold)
{
	sigset_t set;

	hold_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, &hold->before);
	hold->pending = sigismember(&hold->before, SIGXFSZ) == 1 && hold_pending();
}

void cv_sqlite_let_go(const struct sqlite_hold *hold)
{
	sigset_t set;
	int number, saved = errno;

	hold_set(&set);
	if (!hold->pending && hold_pending())
		sigwait(&set, &number);
	pthread_sigmask(SIG_SETMASK, &hold->before, NULL);
	errno = saved;
}
