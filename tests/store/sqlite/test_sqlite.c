/*
 * What is special to the SQLite store: the file, whose it is and who may read it, locks and room
 * that others take, shared flushes, and what is left behind. The contract is in
 * test_sqlite_contract.c.
 */
#include <support/test.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>

#include <base/clock.h>

#define NOBODY 65534
#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

static const struct convo_key key = {"app", "user", "s"};
static const struct convo_store_options quiet = {.clean_interval_ms = -1};

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

/* ---- stores ----------------------------------------------------------------------------- */

static convo_store *store_open(const char *path, const struct convo_store_options *opts)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(
		convo_store_open(&store, test_text("sqlite:%s", path), opts ? opts : &quiet, &err));
	return store;
}

static void store_must_refuse(int code, const char *path, const struct convo_store_options *opts,
			      const char *text)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_fail_with(code, convo_store_open(&store, test_text("sqlite:%s", path), opts, &err));
	must(store == NULL);
	if (!strstr(err.text, text))
		must_not_reach("'%s' does not say '%s'", err.text, text);
}

/* format with its %s replaced by n digits; the caller's to free. */
static char *text_of(const char *format, size_t n)
{
	char *digits = malloc(n + 1), *text = malloc(strlen(format) + n + 1);

	must(digits && text);
	memset(digits, '7', n);
	digits[n] = '\0';
	sprintf(text, format, digits);
	free(digits);
	return text;
}

static int store_say(convo_store *store, const struct convo_key *to, const char *message,
		     struct convo_err *err)
{
	const struct convo_event event = {.message = message};

	return convo_store_append(store, to, NULL, &event, 1, NULL, NULL, err);
}

static void store_say_n(convo_store *store, int n)
{
	struct convo_err err;

	for (int i = 0; i < n; i++)
		must_pass(store_say(store, &key, HELLO, &err));
}

/* How many events a session shows. */
static int64_t store_count(convo_store *store, const struct convo_key *of)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int64_t count;

	must_pass(convo_store_load(&session, store, of, &none, NULL, &err));
	count = convo_session_meta(session)->count;
	convo_session_free(session);
	return count;
}

/* ---- the file from outside -------------------------------------------------------------- */

static sqlite3 *db_open(const char *path)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	return db;
}

static void db_exec(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		must_not_reach("%s: %s", sql, text ? text : "?");
}

static int64_t db_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int64_t value;

	must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
	must(sqlite3_step(stmt) == SQLITE_ROW);
	value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

static void db_run(const char *path, const char *sql)
{
	sqlite3 *db = db_open(path);

	db_exec(db, sql);
	must(sqlite3_close(db) == SQLITE_OK);
}

static int64_t file_number(const char *path, const char *sql)
{
	sqlite3 *db = db_open(path);
	int64_t value = db_number(db, sql);

	must(sqlite3_close(db) == SQLITE_OK);
	return value;
}

static char *file_read(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	char *data;
	long size;

	must(file != NULL);
	must(fseek(file, 0, SEEK_END) == 0);
	size = ftell(file);
	must(size >= 0);
	rewind(file);
	data = malloc((size_t)size + 1);
	must(data != NULL);
	*len = fread(data, 1, (size_t)size, file);
	must_equal(size, *len);
	fclose(file);
	return data;
}

static void file_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");

	must(file != NULL);
	must(fputs(text, file) >= 0);
	must(fclose(file) == 0);
}

static int file_mode(const char *path)
{
	struct stat st;

	must(stat(path, &st) == 0);
	return (int)(st.st_mode & 07777);
}

/* A store refuses the file, and leaves every byte of it as it was. */
static void file_must_be_refused(const char *path, const struct convo_store_options *opts,
				 const char *text)
{
	size_t before_len, after_len;
	char *before = file_read(path, &before_len), *after;

	store_must_refuse(CONVO_E_VERSION, path, opts, text);
	after = file_read(path, &after_len);
	must_equal(before_len, after_len);
	must(memcmp(before, after, before_len) == 0);
	free(before);
	free(after);
}

/* ---- the file --------------------------------------------------------------------------- */

static void test_file__belongs_to_its_owner_alone(void **state)
{
	const char *dir = test_path(test_dir(), "new");
	const char *path = test_path(dir, "deep/sessions.db");
	mode_t mask = umask(022);
	convo_store *store = store_open(path, NULL);
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_equal(0700, file_mode(dir));
	must_equal(0700, file_mode(test_path(dir, "deep")));
	must_equal(0600, file_mode(path));
	must_equal(0600, file_mode(test_text("%s-wal", path)));
	must_equal(0600, file_mode(test_text("%s-shm", path)));
	convo_store_close(store);
	umask(mask);
}

static void test_file__that_a_link_leads_to_belongs_to_its_owner_alone(void **state)
{
	const char *path = test_path(test_dir(), "behind.db");
	const char *link = test_path(test_dir(), "link.db");
	mode_t mask = umask(022);

	(void)state;
	must(symlink(path, link) == 0);
	convo_store_close(store_open(link, NULL));
	must_equal(0600, file_mode(path));
	umask(mask);
}

static void test_file__is_found_again_after_chdir(void **state)
{
	const char *dir = test_dir();
	char before[4096];
	convo_store *store;
	struct convo_err err;

	(void)state;
	must(getcwd(before, sizeof(before)) != NULL);
	must(chdir(dir) == 0);
	store = store_open("relative.db", NULL);
	must(chdir("/") == 0);
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_equal(0, store_count(store, &key));
	convo_store_close(store);
	must(access(test_path(dir, "relative.db"), F_OK) == 0);
	must(chdir(before) == 0);
}

static void test_file__that_is_no_database_is_refused(void **state)
{
	const char *path = test_path(test_dir(), "notes.txt");

	(void)state;
	file_write(path, "Dear diary, this is not a database at all, and it never will be one.\n");
	file_must_be_refused(path, NULL, "no SQLite database");
}

static void test_file__of_another_program_is_refused(void **state)
{
	const char *path = test_path(test_dir(), "other.db");
	const char *marked = test_path(test_dir(), "marked.db");

	(void)state;
	db_run(path, "CREATE TABLE bookmarks (url)");
	file_must_be_refused(path, NULL, "of another program");
	db_run(marked, "PRAGMA application_id = 7; CREATE TABLE a (b); DROP TABLE a");
	file_must_be_refused(marked, NULL, "of another program");
}

static void test_file__of_a_newer_convo_is_refused(void **state)
{
	const char *path = test_path(test_dir(), "newer.db");

	(void)state;
	convo_store_close(store_open(path, NULL));
	db_run(path, "UPDATE convo_meta SET value = '99' WHERE name = 'schema'");
	file_must_be_refused(path, NULL, "version 99, this convo knows up to 2");
}

static void test_file__with_a_foreign_table_of_our_name_is_refused(void **state)
{
	const struct convo_store_options other = {.prefix = "other_"};
	const char *path = test_path(test_dir(), "mixed.db");

	(void)state;
	convo_store_close(store_open(path, NULL));
	db_run(path, "CREATE TABLE other_events (x)");
	file_must_be_refused(path, &other, "other_");
	db_run(path, "DROP TABLE other_events; CREATE TABLE other_meta (name, value)");
	file_must_be_refused(path, &other, "other_");
	db_run(path, "DROP TABLE other_meta");
	convo_store_close(store_open(path, &other));
	must_equal(2, file_number(path, "SELECT value FROM other_meta"));
}

static void test_file__is_only_checked_if_so_wished(void **state)
{
	const struct convo_store_options check = {.check_schema = true};
	const char *path = test_path(test_dir(), "checked.db");
	struct convo_err err;
	char *schema = NULL;

	(void)state;
	store_must_refuse(CONVO_E_GONE, path, &check, "no such file");
	must(access(path, F_OK) != 0);
	file_write(path, "");
	file_must_be_refused(path, &check, "'convo schema sqlite'");
	/* What an administrator is told to run is what is needed. */
	must_pass(convo_store_schema(&schema, "sqlite", NULL, &err));
	db_run(path, schema);
	free(schema);
	convo_store_close(store_open(path, &check));
}

static void test_file__can_be_queried_by_people(void **state)
{
	const char *path = test_path(test_dir(), "query.db");
	convo_store *store = store_open(path, NULL);
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	store_say_n(store, 3);
	convo_store_close(store);
	must_equal(3, file_number(path, "SELECT count(*) FROM convo_sessions s "
					"JOIN convo_events e ON e.session = s.no "
					"WHERE s.session = 's' AND e.seq BETWEEN 1 AND 3 AND "
					"json_extract(e.message, '$.content') = 'hello'"));
}

static void test_url__that_makes_no_sense_is_refused(void **state)
{
	struct convo_err err;
	convo_store *store = NULL;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "sqlite:", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "sqlite://x/y.db", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "sqlite::memory:", NULL, &err));
	store_must_refuse(CONVO_E_VERSION, test_dir(), NULL, "a directory");
	store_must_refuse(CONVO_E_GONE, "/dev/null/x.db", NULL, "is no directory");
}

/* A write that nobody would find again is refused (A7); reads look at what is there now. */
static void test_file__that_was_moved_away_takes_no_writes(void **state)
{
	const char *path = test_path(test_dir(), "here.db"),
		   *away = test_path(test_dir(), "away.db");
	convo_store *store = store_open(path, NULL);
	convo_session *session = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	store_say_n(store, 1);
	must_equal(1, store_count(store, &key));
	must(rename(path, away) == 0);
	must_fail_with(CONVO_E_GONE, store_say(store, &key, HELLO, &err));
	must(!err.maybe);
	must_fail_with(CONVO_E_GONE, convo_store_load(&session, store, &key, NULL, NULL, &err));
	must(rename(away, path) == 0);
	store_say_n(store, 1);
	must_equal(2, store_count(store, &key));
	convo_store_close(store);
}

static void test_file__that_is_a_device_is_left_alone(void **state)
{
	const char *path = test_path(test_dir(), "device");

	(void)state;
	must(symlink("/dev/null", path) == 0);
	store_must_refuse(CONVO_E_VERSION, path, NULL, "no regular file");
	must(access("/dev/null-journal", F_OK) < 0);
}

/* ---- rights ----------------------------------------------------------------------------- */

struct rights {
	const char *readonly_dir, *unreadable, *readonly_file;
};

/* In a process of its own, which gives up being root. */
static void rights_child(void *ctx, int index)
{
	const struct rights *rights = ctx;
	(void)index;
	if (getuid() == 0)
		must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	store_must_refuse(CONVO_E_DENIED, test_text("%s/new.db", rights->readonly_dir), NULL,
			  "cannot make it");
	store_must_refuse(CONVO_E_DENIED, test_text("%s/a/new.db", rights->readonly_dir), NULL,
			  "cannot make its directory");
	store_must_refuse(CONVO_E_DENIED, rights->unreadable, NULL, "no right to read");
}

static void test_rights__that_are_missing_are_named(void **state)
{
	const char *dir = test_dir();
	struct rights rights = {test_path(dir, "ro"), test_path(dir, "unreadable.db"),
				test_path(dir, "ro/file.db")};

	(void)state;
	must(chmod(dir, 0755) == 0);
	must(mkdir(rights.readonly_dir, 0755) == 0);
	convo_store_close(store_open(rights.readonly_file, NULL));
	convo_store_close(store_open(rights.unreadable, NULL));
	must(chmod(rights.unreadable, 0) == 0);
	must(chmod(rights.readonly_file, 0444) == 0);
	must(chmod(rights.readonly_dir, 0555) == 0);
	test_processes(1, rights_child, &rights);
	must(chmod(rights.readonly_dir, 0755) == 0);
	/* Nothing came of it. */
	must(access(test_text("%s/new.db", rights.readonly_dir), F_OK) != 0);
}

/* ---- room ------------------------------------------------------------------------------- */

/* Append until the disk is full; then everything acknowledged is there, and nothing else. */
static void room_fill(const char *path, void (*make_room)(void *ctx), void *ctx)
{
	convo_store *store = store_open(path, NULL);
	char *text = text_of("{\"role\":\"user\",\"content\":\"%s\"}", 30000);
	struct convo_err err;
	int64_t said = 0;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	while (said < 1000 && store_say(store, &key, text, &err) == 0)
		said++;
	must(said > 3 && said < 1000);
	must_equal(CONVO_E_FULL, err.code);
	must(!err.maybe);
	if (!strstr(err.text, "the disk is full"))
		must_not_reach("'%s' does not say that the disk is full", err.text);
	must_fail_with(CONVO_E_FULL, store_say(store, &key, text, &err));
	must_equal(said, store_count(store, &key));
	make_room(ctx);
	must_pass(store_say(store, &key, text, &err));
	must_equal(said + 1, store_count(store, &key));
	convo_store_close(store);
	must_equal(said + 1, file_number(path, "SELECT count(*) FROM convo_events"));
	must_equal(1, file_number(path, "SELECT integrity_check = 'ok' "
					"FROM pragma_integrity_check"));
	free(text);
}

static void limit_size(rlim_t bytes)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void room_by_limit(void *ctx)
{
	(void)ctx;
	limit_size(RLIM_INFINITY);
}

static void room_limit_child(void *ctx, int index)
{
	(void)index;
	limit_size(4096);
	store_must_refuse(CONVO_E_FULL, test_text("%s.small", (const char *)ctx), &quiet,
			  "the disk is full");
	limit_size(RLIM_INFINITY);
	convo_store_close(store_open(test_text("%s.small", (const char *)ctx), NULL));
	limit_size(500000);
	room_fill(ctx, room_by_limit, NULL);
}

/* The signal that the system sends with it must not end the program. */
static void test_room__a_file_that_cannot_grow_loses_nothing(void **state)
{
	const char *path = test_path(test_dir(), "limited.db");

	(void)state;
	test_processes(1, room_limit_child, (void *)path);
}

static void room_by_removal(void *ctx)
{
	must(unlink(ctx) == 0);
}

static void test_room__a_full_disk_loses_nothing(void **state)
{
	const char *dir = test_dir(), *ballast = test_path(dir, "ballast");
	char *bytes;

	(void)state;
	if (mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700") != 0)
		test_skip("needs the right to mount a small file system");
	bytes = text_of("%s", 1000000);
	file_write(ballast, bytes);
	free(bytes);
	room_fill(test_path(dir, "full.db"), room_by_removal, (void *)ballast);
	must(umount(dir) == 0);
}

/* ---- locks of others -------------------------------------------------------------------- */

static void test_lock__of_another_process_is_waited_for(void **state)
{
	const struct convo_store_options hasty = {.timeout_ms = 200, .clean_interval_ms = -1};
	const char *path = test_path(test_dir(), "locked.db");
	convo_store *store = store_open(path, &hasty);
	sqlite3 *other = db_open(path);
	struct convo_err err;
	int64_t began_us;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	db_exec(other, "BEGIN IMMEDIATE");
	began_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT, store_say(store, &key, HELLO, &err));
	must(!err.maybe);
	began_us = cv_clock_mono_us() - began_us;
	must(began_us >= 190000 && began_us < 1000000);
	/* Who reads waits for nobody. */
	must_equal(0, store_count(store, &key));
	db_exec(other, "COMMIT");
	must_pass(store_say(store, &key, HELLO, &err));
	must_equal(1, store_count(store, &key));
	sqlite3_close(other);
	convo_store_close(store);
}

/* ---- rounds ----------------------------------------------------------------------------- */

#define WRITERS 8

struct crowd {
	convo_store *store;
	sqlite3 *other; /* holds the lock until all have queued up */
	char *too_big;
};

/* How many transactions the log of a file holds: its frames that end one name a size. */
static int log_commits(const char *path)
{
	size_t len, at, page;
	char *data = file_read(test_text("%s-wal", path), &len);
	const unsigned char *log = (unsigned char *)data;
	int commits = 0;

	must(len > 32);
	page = (size_t)log[8] << 24 | (size_t)log[9] << 16 | (size_t)log[10] << 8 | log[11];
	for (at = 32; at + 24 + page <= len; at += 24 + page) {
		/* Frames of an earlier turn of the log have another salt. */
		if (memcmp(log + at + 8, log + 16, 8) == 0 && memcmp(log + at + 4, "\0\0\0", 4))
			commits++;
	}
	free(data);
	return commits;
}

static void crowd_leave(struct crowd *crowd)
{
	nap_ms(100);
	db_exec(crowd->other, "COMMIT");
}

static void crowd_say(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	struct convo_err err;

	if (index == WRITERS) {
		crowd_leave(crowd);
		return;
	}
	must_pass(store_say(crowd->store, &key, HELLO, &err));
}

static void test_round__many_appends_share_a_flush(void **state)
{
	const char *path = test_path(test_dir(), "crowd.db");
	struct crowd crowd = {store_open(path, NULL), db_open(path), NULL};
	struct convo_err err;
	int before;

	(void)state;
	must_pass(convo_store_create(crowd.store, &key, NULL, NULL, NULL, &err));
	before = log_commits(path);
	db_exec(crowd.other, "BEGIN IMMEDIATE");
	test_threads(WRITERS + 1, crowd_say, &crowd);
	must_equal(WRITERS, store_count(crowd.store, &key));
	/* One leads, alone, and waits for the lock; those that come meanwhile join it. */
	must_equal(1, log_commits(path) - before);
	sqlite3_close(crowd.other);
	convo_store_close(crowd.store);
}

static void crowd_quarrel(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_event plain = {.message = HELLO};
	const struct convo_event big = {.message = HELLO, .state = crowd->too_big};
	const struct convo_key absent = {"app", "user", "absent"};
	const struct convo_expect stale = {.check_seq = true, .after_seq = 4000};
	struct convo_err err;

	if (index == WRITERS)
		crowd_leave(crowd);
	else if (index % 4 == 0)
		must_fail_with(CONVO_E_CONFLICT, convo_store_append(crowd->store, &key, &stale,
								    &plain, 1, NULL, NULL, &err));
	else if (index % 4 == 1)
		must_fail_with(CONVO_E_TOOBIG, convo_store_append(crowd->store, &key, NULL, &big, 1,
								  NULL, NULL, &err));
	else if (index % 4 == 2)
		must_fail_with(CONVO_E_NOTFOUND, store_say(crowd->store, &absent, HELLO, &err));
	else
		must_pass(store_say(crowd->store, &key, HELLO, &err));
}

static void test_round__one_that_fails_does_not_hurt_the_others(void **state)
{
	const char *path = test_path(test_dir(), "quarrel.db");
	struct crowd crowd = {store_open(path, NULL), db_open(path), NULL};
	char *kept = text_of("\"%s\"", 1000000);
	const struct convo_item full[] = {
		{"a", kept, 0}, {"b", kept, 0}, {"c", kept, 0}, {"d", kept, 0}};
	const struct convo_create create = {.state = full, .state_count = 4};
	struct convo_err err;

	(void)state;
	crowd.too_big = text_of("{\"x\":1,\"y\":\"%s\"}", 400000);
	must_pass(convo_store_create(crowd.store, &key, &create, NULL, NULL, &err));
	db_exec(crowd.other, "BEGIN IMMEDIATE");
	test_threads(WRITERS + 1, crowd_quarrel, &crowd);
	must_equal(WRITERS / 4, store_count(crowd.store, &key));
	must_equal(4, db_number(crowd.other, "SELECT count(*) FROM convo_state"));
	free(crowd.too_big);
	free(kept);
	sqlite3_close(crowd.other);
	convo_store_close(crowd.store);
}

static void crowd_break(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_key damaged = {"app", "user", "damaged"};
	struct convo_err err;

	if (index == WRITERS)
		crowd_leave(crowd);
	else if (index % 2 == 0)
		must_fail_with(CONVO_E_IO, store_say(crowd->store, &damaged, HELLO, &err));
	else
		must_pass(store_say(crowd->store, &key, HELLO, &err));
}

/* Where nothing of a round can be kept, each of it is tried alone. */
static void test_round__one_that_breaks_it_does_not_hurt_the_others(void **state)
{
	const char *path = test_path(test_dir(), "break.db");
	struct crowd crowd = {store_open(path, NULL), db_open(path), NULL};
	const struct convo_key damaged = {"app", "user", "damaged"};
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(crowd.store, &key, NULL, NULL, NULL, &err));
	must_pass(convo_store_create(crowd.store, &damaged, NULL, NULL, NULL, &err));
	db_exec(crowd.other, "UPDATE convo_sessions SET last_seq = -1 WHERE session = 'damaged'; "
			     "BEGIN IMMEDIATE");
	test_threads(WRITERS + 1, crowd_break, &crowd);
	must_equal(WRITERS / 2, store_count(crowd.store, &key));
	sqlite3_close(crowd.other);
	convo_store_close(crowd.store);
}

/* ---- descriptors ------------------------------------------------------------------------ */

static void limit_descriptors(rlim_t most)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = most;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void descriptors_child(void *ctx, int index)
{
	convo_store *store = store_open(ctx, NULL);
	convo_session *session = NULL;
	struct convo_err err;
	int next = dup(0);

	(void)index;
	must(next >= 0 && close(next) == 0);
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	limit_descriptors((rlim_t)next);
	must_fail_with(CONVO_E_IO, convo_store_load(&session, store, &key, NULL, NULL, &err));
	if (!strstr(err.text, "too many open files"))
		must_not_reach("'%s' does not say why", err.text);
	limit_descriptors((rlim_t)next + 10);
	must_equal(0, store_count(store, &key));
	convo_store_close(store);
}

static void test_descriptors__that_are_used_up_are_named(void **state)
{
	const char *path = test_path(test_dir(), "many.db");

	(void)state;
	test_processes(1, descriptors_child, (void *)path);
}

/* ---- what is left behind ---------------------------------------------------------------- */

static void test_limit__in_a_long_session_is_reached_in_bounded_steps(void **state)
{
	const struct convo_store_options small = {.event_limit = 10, .clean_interval_ms = -1};
	const char *path = test_path(test_dir(), "long.db");
	convo_store *store = store_open(path, NULL);
	struct convo_event events[1000];
	struct convo_err err;
	int64_t kept;

	(void)state;
	for (int i = 0; i < 1000; i++)
		events[i] = (struct convo_event){.message = "{\"role\":\"user\"}"};
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	for (int i = 0; i < 7; i++)
		must_pass(convo_store_append(store, &key, NULL, events, 1000, NULL, NULL, &err));
	convo_store_close(store);
	store = store_open(path, &small);
	store_say_n(store, 1);
	must_equal(10, store_count(store, &key));
	kept = file_number(path, "SELECT count(*) FROM convo_events");
	must(kept > 10 && kept < 7000);
	store_say_n(store, 1);
	must(file_number(path, "SELECT count(*) FROM convo_events") < kept);
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	must_equal(10, file_number(path, "SELECT count(*) FROM convo_events"));
	must_equal(0, file_number(path, "SELECT max(due_us) FROM convo_sessions"));
	convo_store_close(store);
}

static void test_clean__leaves_nothing_of_a_session(void **state)
{
	const struct convo_store_options gone = {.trash_ms = -1, .clean_interval_ms = -1};
	const struct convo_item items[] = {{"a", "1", 0}, {"b", "2", 0}};
	const struct convo_create create = {.state = items, .state_count = 2};
	const char *path = test_path(test_dir(), "clean.db");
	convo_store *store = store_open(path, &gone);
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, &create, NULL, NULL, &err));
	store_say_n(store, 120);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	/* The name is free at once, though the parts of its last life are still there. */
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_equal(0, store_count(store, &key));
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	must_equal(0, file_number(path, "SELECT count(*) FROM convo_events"));
	must_equal(0, file_number(path, "SELECT count(*) FROM convo_state"));
	must_equal(1, file_number(path, "SELECT count(*) FROM convo_sessions"));
	convo_store_close(store);
}

/* ---- opening ---------------------------------------------------------------------------- */

static void open_child(void *ctx, int index)
{
	const struct convo_key own = {"app", "user", test_text("s%d", index)};
	struct convo_err err;

	for (int i = 0; i < 5; i++) {
		convo_store *store = store_open(ctx, NULL);

		if (i == 0)
			must_pass(convo_store_create(store, &own, NULL, NULL, NULL, &err));
		must_pass(store_say(store, &own, HELLO, &err));
		convo_store_close(store);
	}
}

static void test_open__of_an_empty_file_by_16_processes_at_once(void **state)
{
	const char *path = test_path(test_dir(), "race/sessions.db");

	(void)state;
	test_processes(16, open_child, (void *)path);
	must_equal(16, file_number(path, "SELECT count(*) FROM convo_sessions"));
	must_equal(80, file_number(path, "SELECT count(*) FROM convo_events"));
	must_equal(1, file_number(path, "SELECT count(*) FROM convo_meta"));
}

static void test_open__of_an_empty_file_by_16_threads_at_once(void **state)
{
	const char *path = test_path(test_dir(), "race/sessions.db");

	(void)state;
	test_threads(16, open_child, (void *)path);
	must_equal(80, file_number(path, "SELECT count(*) FROM convo_events"));
}

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		cmocka_unit_test(test_file__belongs_to_its_owner_alone),
		cmocka_unit_test(test_file__that_a_link_leads_to_belongs_to_its_owner_alone),
		cmocka_unit_test(test_file__that_is_a_device_is_left_alone),
		cmocka_unit_test(test_file__that_was_moved_away_takes_no_writes),
		cmocka_unit_test(test_file__is_found_again_after_chdir),
		cmocka_unit_test(test_file__that_is_no_database_is_refused),
		cmocka_unit_test(test_file__of_another_program_is_refused),
		cmocka_unit_test(test_file__of_a_newer_convo_is_refused),
		cmocka_unit_test(test_file__with_a_foreign_table_of_our_name_is_refused),
		cmocka_unit_test(test_file__is_only_checked_if_so_wished),
		cmocka_unit_test(test_file__can_be_queried_by_people),
		cmocka_unit_test(test_url__that_makes_no_sense_is_refused),
		cmocka_unit_test(test_rights__that_are_missing_are_named),
		cmocka_unit_test(test_room__a_file_that_cannot_grow_loses_nothing),
		cmocka_unit_test(test_room__a_full_disk_loses_nothing),
		cmocka_unit_test(test_lock__of_another_process_is_waited_for),
		cmocka_unit_test(test_round__many_appends_share_a_flush),
		cmocka_unit_test(test_round__one_that_fails_does_not_hurt_the_others),
		cmocka_unit_test(test_round__one_that_breaks_it_does_not_hurt_the_others),
		cmocka_unit_test(test_descriptors__that_are_used_up_are_named),
		cmocka_unit_test(test_limit__in_a_long_session_is_reached_in_bounded_steps),
		cmocka_unit_test(test_clean__leaves_nothing_of_a_session),
		cmocka_unit_test(test_open__of_an_empty_file_by_16_processes_at_once),
		cmocka_unit_test(test_open__of_an_empty_file_by_16_threads_at_once),
	};

	return TEST_RUN(sqlite);
}
