/*
 * SQLite files that can be read and not written, and the words for files that cannot be used at all.
 */
#include <support/test.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>

#define NOBODY 65534
#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

static const struct convo_key key = {"app", "user", "s"};
static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

/* ---- stores ----------------------------------------------------------------------------- */

static convo_store *store_open(const char *path)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err));
	return store;
}

static int store_say(convo_store *store, struct convo_err *err)
{
	const struct convo_event event = {.message = HELLO, .state = "{\"a\":1}"};

	return convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, err);
}

/* A store with a session of n events. */
static convo_store *store_make(const char *path, int n)
{
	convo_store *store = store_open(path);
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	while (n--)
		must_pass(store_say(store, &err));
	return store;
}

static void store_must_show(convo_store *store, size_t n)
{
	convo_session *session = NULL;
	convo_cursor *cursor = NULL;
	char *value = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal(n, convo_session_count(session));
	convo_session_free(session);
	must_pass(convo_cursor_new(&cursor, key.app, key.user, CONVO_LIST_LIVE, &err));
	must_pass(convo_store_list(store, cursor, 10, &count, NULL, &err));
	must_equal(1, count);
	convo_cursor_free(cursor);
	must_pass(convo_store_state_get(&value, store, &key, "a", NULL, &err));
	must_equal_str("1", value);
	convo_free(value);
}

/* Whatever would write says that it cannot, and why. */
static void store_must_not_write(convo_store *store)
{
	const struct convo_key other = {"app", "user", "other"};
	const struct convo_item item = {.name = "user:a", .json = "1"};
	struct convo_err err;

	must_fail_with(CONVO_E_READONLY, store_say(store, &err));
	if (!strstr(err.text, "read-only") || !strstr(err.text, ".db"))
		must_not_reach("'%s' names no file or no cause", err.text);
	must(!err.maybe);
	must_fail_with(CONVO_E_READONLY, convo_store_create(store, &other, NULL, NULL, NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_rename(store, &key, "t", NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_state_set(store, &key, &item, 1, NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_delete(store, &key, NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_restore(store, &key, NULL, NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_purge(store, &key, NULL, NULL, &err));
	must_fail_with(CONVO_E_READONLY, convo_store_clean(store, NULL, NULL, &err));
}

/* ---- a child without rights ------------------------------------------------------------- */

/* Two processes that take turns: each waits for the other's byte. */
struct turns {
	int to[2], from[2];
	const char *path;
};

static void turn_give(int fd)
{
	must(write(fd, "", 1) == 1);
}

static void turn_take(int fd)
{
	char byte;

	must(read(fd, &byte, 1) == 1);
}

static void be_nobody(void)
{
	if (getuid() == 0)
		must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static const char *shared_dir(void)
{
	const char *dir = test_dir();

	must(chmod(dir, 0755) == 0);
	return dir;
}

static void frozen_child(void *ctx, int index)
{
	convo_store *store;

	(void)index;
	be_nobody();
	store = store_open(ctx);
	store_must_show(store, 3);
	store_must_not_write(store);
	store_must_show(store, 3);
	convo_store_close(store);
}

static void test_readonly__a_file_in_a_directory_of_others_can_be_read(void **state)
{
	const char *dir = test_path(shared_dir(), "ro"), *path = test_path(dir, "odd ?#%41.db");
	const char *url = test_path(dir, "odd %3F%23%2541.db");

	(void)state;
	must(mkdir(dir, 0755) == 0);
	convo_store_close(store_make(url, 3));
	must(chmod(path, 0444) == 0 && chmod(dir, 0555) == 0);
	test_processes(1, frozen_child, (void *)url);
	must(access(test_text("%s-wal", path), F_OK) < 0);
	must(access(test_text("%s-shm", path), F_OK) < 0);
	/* A directory that can be written, but not by making the file's log ours. */
	must(chmod(dir, 0777) == 0);
	test_processes(1, frozen_child, (void *)url);
	must(access(test_text("%s-wal", path), F_OK) < 0);
	/* And a file that can be, in a directory where no log can be made. */
	must(chmod(path, 0666) == 0 && chmod(dir, 0555) == 0);
	test_processes(1, frozen_child, (void *)url);
	must(chmod(dir, 0755) == 0);
}

static void turns_run(void *ctx, int index)
{
	struct turns *turns = ctx;
	convo_store *store;
	struct convo_err err;

	if (index == 0) {
		turn_take(turns->to[0]); /* it has the file open as it stands */
		store = store_open(turns->path);
		must_pass(store_say(store, &err));
		turn_give(turns->from[1]); /* ... which has a log now */
		turn_take(turns->to[0]);
		must_pass(store_say(store, &err));
		convo_store_close(store);
		turn_give(turns->from[1]); /* ... and not any more */
		return;
	}
	be_nobody();
	store = store_open(turns->path);
	store_must_show(store, 3);
	turn_give(turns->to[1]);
	turn_take(turns->from[0]);
	store_must_show(store, 4);
	store_must_not_write(store);
	turn_give(turns->to[1]);
	turn_take(turns->from[0]);
	store_must_show(store, 5);
	convo_store_close(store);
}

static void test_readonly__what_others_write_shows(void **state)
{
	const char *dir = test_path(shared_dir(), "live"), *path = test_path(dir, "live.db");
	struct turns turns = {.path = path};

	(void)state;
	if (getuid() != 0)
		test_skip("needs another user");
	must(mkdir(dir, 0755) == 0);
	convo_store_close(store_make(path, 3));
	must(chmod(path, 0644) == 0);
	must(pipe(turns.to) == 0 && pipe(turns.from) == 0);
	test_processes(2, turns_run, &turns);
	close(turns.to[0]);
	close(turns.to[1]);
	close(turns.from[0]);
	close(turns.from[1]);
}

static void test_readonly__a_file_system_can_be_read(void **state)
{
	const char *dir = test_dir(), *path = test_path(dir, "mounted.db");
	convo_store *store;
	struct convo_err err;

	(void)state;
	if (mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700") != 0)
		test_skip("needs the right to mount a small file system");
	convo_store_close(store_make(path, 3));
	must(mount("tmpfs", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
	store = store_open(path);
	store_must_show(store, 3);
	store_must_not_write(store);
	convo_store_close(store);
	store = NULL;
	must_fail_with(CONVO_E_READONLY,
		       convo_store_open(&store, test_text("sqlite:%s/new.db", dir), &quiet, &err));
	must(umount(dir) == 0);
}

static void crash_child(void *ctx, int index)
{
	const struct turns *turns = ctx;
	struct convo_err err;

	(void)index;
	must_pass(store_say(store_open(turns->path), &err));
	_exit(0); /* leaves its log, and what is in it is nowhere else */
}

static void log_child(void *ctx, int index)
{
	const char *path = ctx;
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	(void)index;
	be_nobody();
	/* Never what is older than the log, as if it were all. */
	rc = convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err);
	if (rc < 0) {
		must_equal(CONVO_E_DENIED, rc);
		if (!strstr(err.text, "-wal"))
			must_not_reach("'%s' does not name the log", err.text);
		return;
	}
	store_must_show(store, 4);
	convo_store_close(store);
}

static void test_readonly__a_log_that_was_left_is_not_forgotten(void **state)
{
	const char *dir = test_path(shared_dir(), "left"), *path = test_path(dir, "left.db");
	struct turns turns = {.path = path};

	(void)state;
	must(mkdir(dir, 0755) == 0);
	convo_store_close(store_make(path, 3));
	test_processes(1, crash_child, &turns);
	must(chmod(path, 0444) == 0);
	must(chmod(test_text("%s-wal", path), 0444) == 0);
	must(chmod(test_text("%s-shm", path), 0444) == 0);
	must(chmod(dir, 0555) == 0);
	test_processes(1, log_child, (void *)path);
	/* The log without its index, as in a copy. */
	must(chmod(dir, 0755) == 0);
	must(unlink(test_text("%s-shm", path)) == 0);
	must(chmod(dir, 0555) == 0);
	test_processes(1, log_child, (void *)path);
	must(chmod(dir, 0755) == 0);
}

/* ---- words ------------------------------------------------------------------------------ */

static void text_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");

	must(file != NULL);
	must(fputs(text, file) >= 0);
	must(fclose(file) == 0);
}

static void db_make(const char *path, const char *sql)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	must(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
	must(sqlite3_close(db) == SQLITE_OK);
}

static void words_run(void *ctx, int index)
{
	const char *dir = ctx;
	const struct {
		const char *path;
		int code;
		const char *says;
	} words[] = {
		{"/etc/passwd", CONVO_E_VERSION, "no SQLite database"},
		{test_path(dir, "text"), CONVO_E_VERSION, "no SQLite database"},
		{test_path(dir, "short"), CONVO_E_VERSION, "no SQLite database"},
		{test_path(dir, "other.db"), CONVO_E_VERSION, "another program"},
		{dir, CONVO_E_VERSION, "a directory"},
		{"/dev/null", CONVO_E_VERSION, "no regular file"},
		{test_path(dir, "text/x.db"), CONVO_E_GONE, "no directory"},
		{"/proc/x.db", CONVO_E_DENIED, "nothing can be made"},
		{"/proc/x/y.db", CONVO_E_DENIED, "nothing can be made"},
		{test_path(dir, "secret.db"), CONVO_E_DENIED, "no right to read"},
		{test_path(dir, "new.db"), CONVO_E_DENIED, "no right to write"},
		{test_path(dir, "a/new.db"), CONVO_E_DENIED, "its directory"},
	};

	(void)index;
	be_nobody();
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *name = words[i].path;
		convo_store *store = NULL;
		struct convo_err err;

		must_fail_with(words[i].code, convo_store_open(&store, test_text("sqlite:%s", name),
							       &quiet, &err));
		if (!strstr(err.text, name) || !strstr(err.text, words[i].says))
			must_not_reach("%s: '%s' does not say '%s'", name, err.text, words[i].says);
		/* These are for servers. */
		must(!strstr(err.text, "running") && !strstr(err.text, "reachable"));
	}
}

static void test_words__name_the_file_and_the_cause(void **state)
{
	const char *dir = shared_dir();

	(void)state;
	text_write(test_path(dir, "text"), "Dear diary, this is not a database at all, and never "
					   "will be. Nor is it short, for a line.\n");
	text_write(test_path(dir, "short"), "x");
	db_make(test_path(dir, "other.db"), "CREATE TABLE bookmarks (url)");
	db_make(test_path(dir, "secret.db"), "CREATE TABLE bookmarks (url)");
	must(chmod(test_path(dir, "secret.db"), 0) == 0);
	must(chmod(dir, 0555) == 0);
	test_processes(1, words_run, (void *)dir);
	must(chmod(dir, 0755) == 0);
}

/* The cause is not cut off behind a path that fills the line. */
static void test_words__have_room_after_a_long_path(void **state)
{
	char *name = malloc(4000);
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must(name != NULL);
	for (int i = 0; i < 3998; i++)
		name[i] = i % 200 ? 'x' : '/';
	memcpy(name + 3990, "last.db", 8);
	must_fail_with(CONVO_E_DENIED,
		       convo_store_open(&store, test_text("sqlite:/proc/%s", name), &quiet, &err));
	if (!strstr(err.text, "last.db") || !strstr(err.text, "nothing can be made"))
		must_not_reach("'%s' does not say why", err.text);
	free(name);
}

int main(void)
{
	const struct CMUnitTest rights[] = {
		cmocka_unit_test(test_readonly__a_file_in_a_directory_of_others_can_be_read),
		cmocka_unit_test(test_readonly__what_others_write_shows),
		cmocka_unit_test(test_readonly__a_file_system_can_be_read),
		cmocka_unit_test(test_readonly__a_log_that_was_left_is_not_forgotten),
		cmocka_unit_test(test_words__name_the_file_and_the_cause),
		cmocka_unit_test(test_words__have_room_after_a_long_path),
	};

	return TEST_RUN(rights);
}
