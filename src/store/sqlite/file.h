/*
 * The file of an SQLite store, seen from outside of SQLite: making it, the right to write it, whether
 * it has changed, and the limit of its size.
 */
#ifndef STORE_SQLITE_FILE_H
#define STORE_SQLITE_FILE_H

#include <signal.h>
#include <sys/stat.h>

#include <store/backend.h>

struct sqlite_file {
	char *path;      /* absolute; NULL until it is found */
	bool readonly;   /* this process has no right to write it */
	char where[140]; /* for messages: "SQLite (path)", of a long path the end */
};

/**
 * Find the file that a URL names, and make it, with the directories above it, unless it is only to
 * be looked at.
 *
 * @return 0, CONVO_E_INVALID for a URL that names none, CONVO_E_VERSION for a directory or device,
 *         CONVO_E_GONE, CONVO_E_DENIED, CONVO_E_READONLY, CONVO_E_FULL, CONVO_E_IO, CONVO_E_NOMEM
 */
int cv_sqlite_file_find(struct sqlite_file *file, const struct cv_url *url, bool make,
			struct convo_err *err);
void cv_sqlite_file_clear(struct sqlite_file *file);

/** What a file that nobody writes looks like from outside. */
struct sqlite_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

/** Take it. @return false when the file has a log beside it, or is gone: somebody may write it */
bool cv_sqlite_file_stamp(const struct sqlite_file *file, struct sqlite_stamp *stamp);

/** Whether it is still the same. */
bool cv_sqlite_file_same(const struct sqlite_file *file, const struct sqlite_stamp *stamp);

/**
 * A file that reaches the limit of its size (RLIMIT_FSIZE) is a full disk to us. The system also
 * sends SIGXFSZ to the thread that writes, which ends the program unless it is looked after: hold
 * it back in this thread while SQLite is at work, and drop what has come of it.
 */
struct sqlite_hold {
	sigset_t before;
	bool pending; /* one had come before, which is not ours */
};

void cv_sqlite_hold(struct sqlite_hold *hold);
void cv_sqlite_let_go(const struct sqlite_hold *hold);

#endif
