/*
 * A disk that fails under the SQLite store: every operation is tried with its first, second, third ...
 * access to a file failing, alone or with all that come after it. Then the machine goes down, so to
 * speak: what another process finds in the files must be what the call has said (A7, A8), and
 * the store that has seen the failure must go on working.
 *
 * SQLite reaches the files by a view of the system (VFS) that stands in front of the real one here.
 */
#include <support/test.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>

#include <base/buf.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct convo_key key = {"app", "user", "session"};
static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

/* ---- the disk --------------------------------------------------------------------------- */

enum kind {
	FAULT_IO,   /* it cannot be read or written */
	FAULT_ROOM, /* it is full */
	FAULT_TORN, /* half of what is written arrives */
	FAULT_KINDS
};

static struct {
	pthread_mutex_t lock; /* guards what follows */
	size_t left;          /* accesses until the fault; 0: none is to come */
	enum kind kind;
	bool lasting; /* all that come after it fail, too */
	bool hit;
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void fault_arm(size_t n, enum kind kind, bool lasting)
{
	pthread_mutex_lock(&fault.lock);
	fault.left = n;
	fault.kind = kind;
	fault.lasting = lasting;
	fault.hit = false;
	pthread_mutex_unlock(&fault.lock);
}

/* @return whether there was one */
static bool fault_end(void)
{
	bool hit;

	pthread_mutex_lock(&fault.lock);
	fault.left = 0;
	hit = fault.hit;
	pthread_mutex_unlock(&fault.lock);
	return hit;
}

static bool fault_now(void)
{
	bool now = false;

	pthread_mutex_lock(&fault.lock);
	if (fault.left && --fault.left == 0) {
		now = true;
		fault.hit = true;
		fault.left = fault.lasting;
	}
	pthread_mutex_unlock(&fault.lock);
	if (now)
		errno = fault.kind == FAULT_ROOM ? ENOSPC : EIO;
	return now;
}

/* ---- the view --------------------------------------------------------------------------- */

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fault_file *)file)->real;
}

static int file_close(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	if (fault_now())
		return SQLITE_IOERR_READ;
	return real_of(file)->pMethods->xRead(real_of(file), data, len, at);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	const sqlite3_io_methods *real = real_of(file)->pMethods;

	if (!fault_now())
		return real->xWrite(real_of(file), data, len, at);
	if (fault.kind == FAULT_TORN && len > 1)
		real->xWrite(real_of(file), data, len / 2, at);
	errno = fault.kind == FAULT_ROOM ? ENOSPC : EIO;
	return fault.kind == FAULT_ROOM ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fault_now())
		return SQLITE_IOERR_TRUNCATE;
	return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	if (fault_now())
		return SQLITE_IOERR_FSYNC;
	return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int how)
{
	return real_of(file)->pMethods->xLock(real_of(file), how);
}

static int file_unlock(sqlite3_file *file, int how)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), how);
}

static int file_check_lock(sqlite3_file *file, int *locked)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), locked);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	return real_of(file)->pMethods->xFileControl(real_of(file), op, arg);
}

static int file_sector(sqlite3_file *file)
{
	return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_device(sqlite3_file *file)
{
	return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **at)
{
	if (fault_now())
		return SQLITE_IOERR_SHMMAP;
	return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, at);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int remove)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_device,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got)
{
	struct fault_file *ours = (struct fault_file *)file;
	int rc;

	(void)vfs;
	ours->base.pMethods = NULL;
	ours->real = (sqlite3_file *)(ours + 1);
	rc = real_vfs->xOpen(real_vfs, name, ours->real, flags, got);
	if (ours->real->pMethods)
		ours->base.pMethods = &file_methods;
	return rc;
}

static void vfs_register(void)
{
	static sqlite3_vfs ours;

	real_vfs = sqlite3_vfs_find(NULL);
	ours = *real_vfs;
	ours.zName = "faulty";
	ours.szOsFile = (int)sizeof(struct fault_file) + real_vfs->szOsFile;
	ours.xOpen = vfs_open;
	must(sqlite3_vfs_register(&ours, 1) == SQLITE_OK);
}

/* ---- what a store holds ----------------------------------------------------------------- */

static convo_store *store_open(const char *path)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err));
	return store;
}

static void note_session(struct cv_buf *out, convo_store *store, const char *id)
{
	const struct convo_key one = {key.app, key.user, id};
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &one, &window, NULL, &err));
	if (convo_session_meta(session)->held_ms)
		cv_buf_adds(out, " held");
	if (convo_session_draft(session))
		cv_buf_addf(out, " %s", convo_session_draft(session)->message);
	for (size_t i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		cv_buf_addf(out, " %lld=%s %zu", (long long)event->seq, event->id,
			    event->message_len);
	}
	for (size_t i = 0; i < convo_session_state_count(session); i++) {
		const struct convo_item *item = convo_session_state_at(session, i);

		cv_buf_addf(out, " %s=%s", item->name, item->json);
	}
	convo_session_free(session);
}

/* All that does not depend on when it was done, and whether the file is whole. */
static char *note_store(convo_store *store)
{
	struct cv_buf out = {0};
	struct convo_err err;
	size_t count;

	for (int trash = 0; trash < 2; trash++) {
		convo_cursor *cursor = NULL;

		must_pass(convo_cursor_new(&cursor, key.app, key.user,
					   trash ? CONVO_LIST_TRASH : CONVO_LIST_LIVE, &err));
		must_pass(convo_store_list(store, cursor, 100, &count, NULL, &err));
		for (size_t i = 0; i < count; i++) {
			const struct convo_meta *meta = convo_cursor_meta(cursor, i);

			cv_buf_addf(&out, "%s '%s' %d", meta->session, meta->title, trash);
			if (!trash)
				note_session(&out, store, meta->session);
			cv_buf_addc(&out, '\n');
		}
		convo_cursor_free(cursor);
	}
	return cv_buf_take(&out);
}

static void file_copy(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out;
	char data[65536];
	size_t len;

	unlink(to);
	if (!in)
		return;
	out = fopen(to, "wb");
	must(out != NULL);
	while ((len = fread(data, 1, sizeof(data), in)) > 0)
		must_equal(len, fwrite(data, 1, len, out));
	must(fclose(out) == 0);
	fclose(in);
}

/* What is found after a crash: in the file and its log. */
static char *note_after_crash(const char *path)
{
	const char *copy = test_text("%s.copy", path);
	convo_store *store;
	char *note;

	file_copy(path, copy);
	file_copy(test_text("%s-wal", path), test_text("%s-wal", copy));
	unlink(test_text("%s-shm", copy));
	store = store_open(copy);
	note = note_store(store);
	convo_store_close(store);
	return note;
}

/* ---- operations ------------------------------------------------------------------------- */

#define ID(n) "0191e2a4-7b2c-7abc-8def-0000000000" n

/* Done again, it was done already. */
static int again(int rc, const struct convo_err *why, struct convo_err *err)
{
	if (rc >= 0 || rc == CONVO_E_EXISTS)
		return 0;
	*err = *why;
	return rc;
}

static int op_create(convo_store *store, struct convo_err *err)
{
	const struct convo_key other = {key.app, key.user, "other"};
	const struct convo_item item = {.name = "a", .json = "1"};
	const struct convo_create create = {.title = "t", .state = &item, .state_count = 1};
	struct convo_err why = {0};

	return again(convo_store_create(store, &other, &create, NULL, NULL, &why), &why, err);
}

static int op_append(convo_store *store, struct convo_err *err)
{
	const struct convo_event events[] = {{.id = ID("10"),
					      .message = "{\"role\":\"user\"}",
					      .state = "{\"a\":2,\"app:b\":3}"},
					     {.id = ID("11"), .message = "{\"role\":\"user\"}"}};

	return convo_store_append(store, &key, NULL, events, 2, NULL, NULL, err);
}

static int op_state_set(convo_store *store, struct convo_err *err)
{
	const struct convo_item items[] = {{.name = "a", .json = NULL},
					   {.name = "user:c", .json = "1"}};

	return convo_store_state_set(store, &key, items, 2, NULL, err);
}

static int op_rename(convo_store *store, struct convo_err *err)
{
	return convo_store_rename(store, &key, "another title", NULL, err);
}

static int op_delete(convo_store *store, struct convo_err *err)
{
	return convo_store_delete(store, &key, NULL, err);
}

static int op_restore(convo_store *store, struct convo_err *err)
{
	const struct convo_key gone = {key.app, key.user, "gone"};
	struct convo_err why = {0};

	return again(convo_store_restore(store, &gone, NULL, NULL, &why), &why, err);
}

static convo_lease *lease;

static int op_take(convo_store *store, struct convo_err *err)
{
	const struct convo_key free_one = {key.app, key.user, "free"};
	const struct convo_event event = {.id = ID("13"), .message = "{\"role\":\"user\"}"};
	const struct convo_expect expect = {.lease = lease, .hold = CONVO_HOLD_TAKE};

	return convo_store_append(store, &free_one, &expect, &event, 1, NULL, NULL, err);
}

static int op_draft(convo_store *store, struct convo_err *err)
{
	const struct convo_event draft = {
		.id = ID("14"), .message = "{\"role\":\"assistant\",\"content\":\"more\"}"};

	return convo_store_draft(store, &key, lease, &draft, NULL, err);
}

static int op_end(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.id = ID("14"), .message = "{\"role\":\"assistant\"}"};
	const struct convo_expect expect = {.lease = lease, .hold = CONVO_HOLD_END};

	return convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, err);
}

static int op_fork(convo_store *store, struct convo_err *err)
{
	const struct convo_fork fork = {.session = "fork"};
	struct convo_err why = {0};

	return again(convo_store_fork(store, &key, &fork, NULL, NULL, &why), &why, err);
}

static int op_load(convo_store *store, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, NULL, err);

	convo_session_free(session);
	return rc;
}

/* More than the log holds before it is written back. */
static int op_append_much(convo_store *store, struct convo_err *err)
{
	static char message[4000000];
	struct convo_event event = {.id = ID("12"), .message = message};

	memset(message, ' ', sizeof(message) - 2);
	memcpy(message, "{\"role\":\"user\"", 14);
	message[sizeof(message) - 2] = '}';
	return convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, err);
}

static const struct op {
	const char *name;
	int (*run)(convo_store *store, struct convo_err *err);
	size_t step; /* every so many accesses */
} ops[] = {
	{"create", op_create, 1}, {"append", op_append, 1}, {"state_set", op_state_set, 1},
	{"rename", op_rename, 1}, {"delete", op_delete, 1}, {"restore", op_restore, 1},
	{"take", op_take, 1},     {"draft", op_draft, 1},   {"end", op_end, 1},
	{"fork", op_fork, 1},     {"load", op_load, 1},     {"much", op_append_much, 397},
};

/* A file with something in it. */
static const char *file_make(void)
{
	const struct convo_key gone = {key.app, key.user, "gone"};
	const struct convo_key free_one = {key.app, key.user, "free"};
	const struct convo_lease_options longest = {.ms = 600000};
	const struct convo_event draft = {.id = ID("14"), .message = "{\"role\":\"assistant\"}"};
	const struct convo_event event = {
		.id = ID("01"), .message = "{\"role\":\"user\"}", .state = "{\"a\":1}"};
	const char *path = test_path(test_dir(), "made.db");
	convo_store *store = store_open(path);
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_pass(convo_lease_new(&lease, &longest, &err));
	must_pass(convo_store_append(
		store, &key, &(struct convo_expect){.lease = lease, .hold = CONVO_HOLD_TAKE},
		&event, 1, NULL, NULL, &err));
	must_pass(convo_store_draft(store, &key, lease, &draft, NULL, &err));
	must_pass(convo_store_create(store, &free_one, NULL, NULL, NULL, &err));
	must_pass(convo_store_create(store, &gone, NULL, NULL, NULL, &err));
	must_pass(convo_store_delete(store, &gone, NULL, &err));
	convo_store_close(store);
	return path;
}

/* A fresh copy of the file, open, with a connection that reads and one that writes. */
static convo_store *store_fresh(const char *made, const char *path)
{
	convo_store *store;

	unlink(test_text("%s-wal", path));
	unlink(test_text("%s-shm", path));
	file_copy(made, path);
	store = store_open(path);
	free(note_store(store));
	return store;
}

static void op_check(const struct op *op, size_t n, int rc, const struct convo_err *err,
		     const char *path, const char *before, const char *done)
{
	char *after = note_after_crash(path);
	bool kept = strcmp(after, done) == 0;

	must(rc == 0 || rc == err->code);
	if (rc != 0 && rc != CONVO_E_IO && rc != CONVO_E_FULL)
		must_not_reach("%s, access %zu: %d: %s", op->name, n, rc, err->text);
	if (rc == 0 && !kept)
		must_not_reach("%s, access %zu, has succeeded and is lost: %s", op->name, n, after);
	if (rc < 0 && !err->maybe && strcmp(after, before) != 0)
		must_not_reach("%s, access %zu, failed (%s), and left %s", op->name, n, err->text,
			       after);
	if (!kept && strcmp(after, before) != 0)
		must_not_reach("%s, access %zu, left a half: %s", op->name, n, after);
	free(after);
}

/* @return how many faults there were */
static size_t op_try(const struct op *op, enum kind kind, bool lasting, const char *made)
{
	const char *path = test_path(test_dir(), "faulty.db");
	convo_store *store = store_fresh(made, path);
	char *before = note_store(store), *done, *now;
	struct convo_err err = {0};
	bool hit = true;
	size_t n;

	must_pass(op->run(store, &err));
	done = note_store(store);
	convo_store_close(store);
	for (n = 1; hit; n += op->step) {
		int rc;

		store = store_fresh(made, path);
		fault_arm(n, kind, lasting);
		memset(&err, 0, sizeof(err));
		rc = op->run(store, &err);
		hit = fault_end();
		op_check(op, n, rc, &err, path, before, done);
		/* The disk works again, and so does the store. */
		must_pass(op->run(store, &err));
		now = note_store(store);
		must_equal_str(done, now);
		free(now);
		convo_store_close(store);
	}
	free(before);
	free(done);
	return n / op->step - 1;
}

static void test_A8__a_disk_that_fails_anywhere_is_told_of(void **state)
{
	const char *made = file_make();
	size_t faults = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(ops); i++) {
		for (int kind = 0; kind < FAULT_KINDS; kind++) {
			faults += op_try(&ops[i], (enum kind)kind, false, made);
			faults += op_try(&ops[i], (enum kind)kind, true, made);
		}
	}
	test_say("%zu faults", faults);
	must(faults > 200);
	convo_lease_free(lease);
}

static void test_L1__a_disk_that_fails_while_it_is_opened_leaves_no_half(void **state)
{
	const char *path = test_path(test_dir(), "opened.db");
	bool hit = true;
	size_t n, i;

	(void)state;
	for (n = 1; hit; n++) {
		convo_store *store = NULL;
		struct convo_err err = {0};
		int rc;

		unlink(path);
		for (i = 0; i < 3; i++)
			unlink(test_text("%s-%s", path,
					 (const char *[]){"wal", "shm", "journal"}[i]));
		fault_arm(n, n % 2 ? FAULT_IO : FAULT_TORN, n % 3 == 0);
		rc = convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err);
		hit = fault_end();
		must((rc == 0) == (store != NULL));
		if (rc < 0)
			must_equal(CONVO_E_IO, rc);
		convo_store_close(store);
		store = store_open(path);
		must_pass(op_create(store, &err));
		convo_store_close(store);
	}
	must(n > 20);
}

int main(void)
{
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(test_A8__a_disk_that_fails_anywhere_is_told_of),
		cmocka_unit_test(test_L1__a_disk_that_fails_while_it_is_opened_leaves_no_half),
	};

	vfs_register();
	return TEST_RUN(faults);
}
