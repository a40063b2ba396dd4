/*
 * Calls of the SQLite store end in time and when they are canceled (L2), whoever holds the file and
 * whoever shares the round; and what clocks that differ do to the order of sessions (S3).
 */
#include <support/test.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>

#include <base/clock.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

/* Less is promised, and a machine that is busy gets this much; what does not end waits longer. */
#define LATE_US 8000000

static const struct convo_key key = {"app", "user", "s"};

/* ---- stores ----------------------------------------------------------------------------- */

static convo_store *store_open(const char *path)
{
	const struct convo_store_options patient = {.timeout_ms = 60000,
						    .clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, test_text("sqlite:%s", path), &patient, &err));
	return store;
}

static convo_store *store_make(const char *path)
{
	convo_store *store = store_open(path);
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	return store;
}

static int store_say(convo_store *store, const char *message, const struct convo_call *call,
		     struct convo_err *err)
{
	const struct convo_event event = {.message = message};

	return convo_store_append(store, &key, NULL, &event, 1, NULL, call, err);
}

static int64_t store_last_seq(convo_store *store)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int64_t last;

	must_pass(convo_store_load(&session, store, &key, &none, NULL, &err));
	last = convo_session_meta(session)->last_seq;
	convo_session_free(session);
	return last;
}

/* A message of so many bytes; the caller's to free. */
static char *message_of(size_t bytes)
{
	char *message = malloc(bytes + 1);

	must(message != NULL);
	memset(message, ' ', bytes);
	memcpy(message, "{\"role\":\"user\"", 14);
	memcpy(message + bytes - 1, "}", 2);
	return message;
}

/* ---- the file from outside -------------------------------------------------------------- */

static sqlite3 *db_open(const char *path)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	sqlite3_busy_timeout(db, 20000);
	return db;
}

static void db_exec(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		must_not_reach("%s: %s", sql, text ? text : "?");
}

/* ---- every call ------------------------------------------------------------------------- */

static int call_load(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	convo_session *session = NULL;
	int rc = convo_store_load(&session, store, &key, NULL, call, err);

	convo_session_free(session);
	return rc;
}

static int call_list(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count;
	int rc = convo_cursor_new(&cursor, key.app, key.user, CONVO_LIST_LIVE, err);

	if (rc == 0)
		rc = convo_store_list(store, cursor, 10, &count, call, err);
	convo_cursor_free(cursor);
	return rc;
}

static int call_state(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	convo_state *state = NULL;
	int rc = convo_store_state_list(&state, store, &key, 7, call, err);

	convo_state_free(state);
	return rc;
}

static int call_append(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return store_say(store, HELLO, call, err);
}

static int call_create(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	const struct convo_key other = {"app", "user", "other"};

	return convo_store_create(store, &other, NULL, NULL, call, err);
}

static int call_state_set(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	const struct convo_item item = {.name = "a", .json = "1"};

	return convo_store_state_set(store, &key, &item, 1, call, err);
}

static int call_rename(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return convo_store_rename(store, &key, "t", call, err);
}

static int call_delete(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return convo_store_delete(store, &key, call, err);
}

static int call_restore(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return convo_store_restore(store, &key, NULL, call, err);
}

static int call_purge(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return convo_store_purge(store, &key, NULL, call, err);
}

static int call_clean(convo_store *store, const struct convo_call *call, struct convo_err *err)
{
	return convo_store_clean(store, NULL, call, err);
}

static const struct op {
	const char *name;
	int (*run)(convo_store *store, const struct convo_call *call, struct convo_err *err);
	bool writes;
} ops[] = {
	{"load", call_load, false},      {"list", call_list, false},
	{"state", call_state, false},    {"append", call_append, true},
	{"create", call_create, true},   {"state_set", call_state_set, true},
	{"rename", call_rename, true},   {"delete", call_delete, true},
	{"restore", call_restore, true}, {"purge", call_purge, true},
	{"clean", call_clean, true},
};

enum { OPS = sizeof(ops) / sizeof(ops[0]) };

/* A call of 300 ms on a file of which somebody holds the lock ends then, with nothing done. */
static void op_must_time_out(convo_store *store, const struct op *op)
{
	const struct convo_call call = {.timeout_ms = 300};
	int64_t began_us = cv_clock_mono_us(), took_us;
	struct convo_err err = {0};
	int rc = op->run(store, &call, &err);

	took_us = cv_clock_mono_us() - began_us;
	if (rc != CONVO_E_TIMEOUT || err.maybe)
		must_not_reach("%s: %d: %s", op->name, rc, err.text);
	if (took_us < 290000 || took_us > LATE_US)
		must_not_reach("%s took %lld us", op->name, (long long)took_us);
}

static void test_L2__a_lock_of_another_is_waited_for_no_longer(void **state)
{
	const char *path = test_path(test_dir(), "locked.db");
	convo_store *store = store_make(path);
	sqlite3 *other = db_open(path);

	(void)state;
	db_exec(other, "BEGIN IMMEDIATE");
	for (int i = 0; i < OPS; i++) {
		struct convo_err err;

		if (ops[i].writes)
			op_must_time_out(store, &ops[i]);
		else
			must_pass(ops[i].run(store, NULL, &err));
	}
	db_exec(other, "COMMIT");
	must_equal(0, store_last_seq(store));
	sqlite3_close(other);
	convo_store_close(store);
}

/* ---- readers in the way of the log ------------------------------------------------------- */

#define LOG_APPENDS 11
#define LOG_BYTES 2500000 /* and two such events each time */
/* Whoever has the time waits 300 ms for readers at a log of that size, in naps of 4 ms. */
#define LOG_NAPS 50

/* How often this process has slept, waiting for something. */
static int64_t naps(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_nvcsw;
}

static void test_L2__readers_elsewhere_delay_no_commit_beyond_its_time(void **state)
{
	const struct convo_call hasty = {.timeout_ms = 60};
	const char *path = test_path(test_dir(), "log.db");
	char *message = message_of(LOG_BYTES);
	convo_store *store = store_make(path);
	sqlite3 *other = db_open(path);
	int64_t least = INT64_MAX, took, said = 0;
	const struct convo_event events[] = {{.message = message}, {.message = message}};
	struct convo_err err;

	(void)state;
	db_exec(other, "BEGIN; SELECT count(*) FROM convo_events");
	for (int i = 0; i < LOG_APPENDS; i++) {
		must_pass(convo_store_append(store, &key, NULL, events, 2, NULL, NULL, &err));
		said += 2;
	}
	/* Each of these is large enough for another look at the log. */
	for (int i = 0; i < 5; i++) {
		took = naps();
		if (convo_store_append(store, &key, NULL, events, 2, NULL, &hasty, &err) == 0)
			said += 2;
		took = naps() - took;
		least = took < least ? took : least;
	}
	if (least >= LOG_NAPS)
		must_not_reach("a call of 60 ms slept %lld times", (long long)least);
	db_exec(other, "COMMIT");
	must_equal(said, store_last_seq(store));
	sqlite3_close(other);
	convo_store_close(store);
	free(message);
}

/* ---- canceling -------------------------------------------------------------------------- */

struct canceling {
	convo_store *store;
	const char *path;
	sqlite3 *other;
	const struct op *op;
	convo_cancel *cancel;
	atomic_bool ended;
	atomic_int waiting;
	int64_t asked_us;
};

/* Ask once the call has begun; that it waits by then is likely, and not needed. */
static void cancel_run(void *ctx, int index)
{
	struct canceling *canceling = ctx;
	const struct convo_call call = {.cancel = canceling->cancel};
	struct convo_err err = {0};
	int rc;

	if (index == 1) {
		struct timespec soon = {0, 30000000};

		while (!canceling->waiting)
			sched_yield();
		nanosleep(&soon, NULL);
		canceling->asked_us = cv_clock_mono_us();
		convo_cancel_request(canceling->cancel);
		return;
	}
	canceling->waiting = 1;
	rc = canceling->op->run(canceling->store, &call, &err);
	if (rc != CONVO_E_CANCELED || err.maybe)
		must_not_reach("%s: %d: %s", canceling->op->name, rc, err.text);
	must(cv_clock_mono_us() - canceling->asked_us < LATE_US);
}

static void cancel_open(void *ctx, int index)
{
	struct canceling *canceling = ctx;
	const struct convo_store_options opts = {.timeout_ms = 60000, .cancel = canceling->cancel};
	convo_store *store = NULL;
	struct convo_err err;

	if (index == 1) {
		cancel_run(ctx, index);
		return;
	}
	canceling->waiting = 1;
	must_fail_with(CONVO_E_CANCELED,
		       convo_store_open(&store, test_text("sqlite:%s", canceling->path), &opts,
					&err));
	must(cv_clock_mono_us() - canceling->asked_us < LATE_US);
}

static void test_L2__a_file_that_another_has_to_itself_is_waited_for_no_longer(void **state)
{
	const struct convo_store_options hasty = {.timeout_ms = 300,
						  .clean_interval_ms = CONVO_OFF};
	const char *path = test_path(test_dir(), "exclusive.db");
	struct canceling canceling = {.path = path};
	convo_store *store;
	sqlite3 *other;
	struct convo_err err;

	(void)state;
	convo_store_close(store_make(path));
	other = db_open(path);
	db_exec(other, "PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; "
		       "BEGIN EXCLUSIVE");
	store = NULL;
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_open(&store, test_text("sqlite:%s", path), &hasty, &err));
	must_pass(convo_cancel_new(&canceling.cancel, &err));
	test_threads(2, cancel_open, &canceling);
	convo_cancel_free(canceling.cancel);
	db_exec(other, "COMMIT");
	sqlite3_close(other);
	store = store_open(path);
	must_equal(0, store_last_seq(store));
	convo_store_close(store);
}

static void op_must_be_canceled(convo_store *store, const struct op *op)
{
	struct canceling canceling = {.store = store, .op = op};
	struct convo_err err;

	must_pass(convo_cancel_new(&canceling.cancel, &err));
	test_threads(2, cancel_run, &canceling);
	convo_cancel_free(canceling.cancel);
}

static void test_L2__a_cancel_ends_the_wait_for_a_lock(void **state)
{
	const char *path = test_path(test_dir(), "cancel.db");
	convo_store *store = store_make(path);
	sqlite3 *other = db_open(path);

	(void)state;
	db_exec(other, "BEGIN IMMEDIATE");
	for (int i = 0; i < OPS; i++) {
		if (ops[i].writes)
			op_must_be_canceled(store, &ops[i]);
	}
	db_exec(other, "COMMIT");
	must_equal(0, store_last_seq(store));
	sqlite3_close(other);
	convo_store_close(store);
}

/*
 * A process that stops while it writes the header of the log's index leaves it torn, and the lock
 * taken. SQLite tries again by itself then, for ten seconds, and asks nobody.
 */
static void test_L2__an_index_that_is_being_written_is_waited_for_no_longer(void **state)
{
	const char *path = test_path(test_dir(), "torn.db");
	convo_store *store = store_make(path);
	sqlite3 *other = db_open(path);
	unsigned char *index, saved;
	int fd = open(test_text("%s-shm", path), O_RDWR);

	(void)state;
	must(fd >= 0);
	index = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(index != MAP_FAILED);
	db_exec(other, "BEGIN IMMEDIATE");
	/* Two copies, with a counter that every change raises: they differ, halfway. */
	saved = index[8];
	index[8] ^= 0xff;
	for (int i = 0; i < OPS; i++) {
		op_must_time_out(store, &ops[i]);
		op_must_be_canceled(store, &ops[i]);
	}
	index[8] = saved;
	db_exec(other, "COMMIT");
	must_equal(0, store_last_seq(store));
	munmap(index, 4096);
	/* Closing it drops the locks that this process has on it: last of all. */
	sqlite3_close(other);
	convo_store_close(store);
	close(fd);
}

/* ---- a round of several ----------------------------------------------------------------- */

/* Three of these fill a round: the patient come first, one of them is left over for the next. */
#define HEAVY 2500000
#define PATIENT 4

struct sharing {
	convo_store *store;
	sqlite3 *other;
	char *message;
	struct convo_call call; /* of the one that does not wait for the others */
	atomic_int begun, over;
};

static int sharing_insist(void *ctx, int tries)
{
	(void)ctx;
	(void)tries;
	return 1; /* at once: it is to come between two rounds */
}

static void sharing_await(const atomic_int *count, int n)
{
	struct timespec soon = {0, 100000000};

	do
		nanosleep(&soon, NULL);
	while (*count < n);
}

/* The lock is free for one round, then held until those who cannot wait have ended. */
static void sharing_hold(struct sharing *sharing)
{
	struct timespec moment = {0, 1000000};

	sharing_await(&sharing->begun, PATIENT + 1);
	sqlite3_busy_timeout(sharing->other, 0);
	db_exec(sharing->other, "COMMIT");
	while (sqlite3_exec(sharing->other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
		db_exec(sharing->other, "COMMIT");
		nanosleep(&moment, NULL);
	}
	sqlite3_busy_handler(sharing->other, sharing_insist, NULL);
	db_exec(sharing->other, "BEGIN IMMEDIATE");
	convo_cancel_request(sharing->call.cancel);
	sharing_await(&sharing->over, 1);
	db_exec(sharing->other, "COMMIT");
}

/* Some that have time, then one that has little, or is canceled. */
static void sharing_run(void *ctx, int index)
{
	struct sharing *sharing = ctx;
	struct convo_err err = {0};
	int64_t began_us;
	int rc;

	if (index == 0) {
		sharing_hold(sharing);
		return;
	}
	if (index > 1) {
		sharing->begun++;
		must_pass(store_say(sharing->store, sharing->message, NULL, &err));
		return;
	}
	sharing_await(&sharing->begun, PATIENT);
	sharing->begun++;
	began_us = cv_clock_mono_us();
	rc = store_say(sharing->store, sharing->message, &sharing->call, &err);
	sharing->over++;
	must(cv_clock_mono_us() - began_us < LATE_US);
	must(rc == 0 || rc == (sharing->call.cancel ? CONVO_E_CANCELED : CONVO_E_TIMEOUT));
	must(!err.maybe);
}

static void sharing_test(const char *path, struct convo_call call)
{
	struct sharing sharing = {.store = store_make(path),
				  .other = db_open(path),
				  .message = message_of(HEAVY),
				  .call = call};
	int64_t said;

	db_exec(sharing.other, "BEGIN IMMEDIATE");
	test_threads(PATIENT + 2, sharing_run, &sharing);
	said = store_last_seq(sharing.store);
	must(said == PATIENT || said == PATIENT + 1);
	sqlite3_close(sharing.other);
	convo_store_close(sharing.store);
	free(sharing.message);
}

static void test_L2__a_round_keeps_nobody_beyond_its_deadline(void **state)
{
	const struct convo_call hasty = {.timeout_ms = 1500};

	(void)state;
	sharing_test(test_path(test_dir(), "hasty.db"), hasty);
}

static void test_L2__a_round_keeps_nobody_who_is_canceled(void **state)
{
	struct convo_call fickle = {0};
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&fickle.cancel, &err));
	sharing_test(test_path(test_dir(), "fickle.db"), fickle);
	convo_cancel_free(fickle.cancel);
}

/* One leads and waits for the lock; one queues behind it and is canceled there, before it is free. */
static void queue_run(void *ctx, int index)
{
	struct canceling *canceling = ctx;
	struct timespec soon = {0, 10000000};
	struct convo_err err;

	if (index == 0) {
		nanosleep(&soon, NULL); /* behind the other, if it is as it mostly is */
		cancel_run(canceling, index);
		canceling->ended = true;
	} else if (index == 1) {
		cancel_run(canceling, index);
		while (!canceling->ended)
			nanosleep(&soon, NULL);
		db_exec(canceling->other, "COMMIT");
	} else {
		must_pass(store_say(canceling->store, HELLO, NULL, &err));
	}
}

static void test_L2__a_cancel_ends_the_wait_for_writes_of_other_threads(void **state)
{
	const char *path = test_path(test_dir(), "queue.db");
	struct canceling canceling = {
		.store = store_make(path), .other = db_open(path), .op = &ops[3]};
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&canceling.cancel, &err));
	db_exec(canceling.other, "BEGIN IMMEDIATE");
	test_threads(3, queue_run, &canceling);
	must_equal(1, store_last_seq(canceling.store));
	convo_cancel_free(canceling.cancel);
	sqlite3_close(canceling.other);
	convo_store_close(canceling.store);
}

/* ---- clocks ----------------------------------------------------------------------------- */

#define MINUTES_US (INT64_C(5) * 60 * 1000000)

/* The newest first: the session, and when it was written to. */
static struct convo_meta list_first(convo_store *store, const char *user)
{
	static char name[256];
	convo_cursor *cursor = NULL;
	struct convo_meta meta;
	struct convo_err err;
	size_t count;

	must_pass(convo_cursor_new(&cursor, key.app, user, CONVO_LIST_LIVE, &err));
	must_pass(convo_store_list(store, cursor, 1, &count, NULL, &err));
	must_equal(1, count);
	meta = *convo_cursor_meta(cursor, 0);
	snprintf(name, sizeof(name), "%s", meta.session);
	meta.session = name;
	convo_cursor_free(cursor);
	return meta;
}

/* A process whose clock is ahead, then one whose clock is behind. */
static void clock_ahead(void *ctx, int index)
{
	convo_store *store;
	struct convo_err err;

	(void)index;
	cv_clock_shift_us(MINUTES_US);
	store = store_open(ctx);
	must_pass(store_say(store, HELLO, NULL, &err));
	convo_store_close(store);
}

static void clock_behind(void *ctx, int index)
{
	struct convo_meta before, after;
	convo_store *store;
	struct convo_err err;

	(void)index;
	store = store_open(ctx);
	before = list_first(store, key.user);
	must_equal_str("s", before.session);
	must_pass(store_say(store, HELLO, NULL, &err));
	after = list_first(store, key.user);
	must_equal_str("s", after.session);
	must(after.updated_ms >= before.updated_ms);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	after = list_first(store, key.user);
	must_equal_str("s", after.session);
	must(after.updated_ms >= before.updated_ms);
	convo_store_close(store);
}

static void test_S3__a_clock_that_is_behind_moves_nothing_back(void **state)
{
	const struct convo_key other = {"app", "user", "other"};
	const char *path = test_path(test_dir(), "clocks.db");
	convo_store *store = store_make(path);
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &other, NULL, NULL, NULL, &err));
	must_equal_str("other", list_first(store, key.user).session);
	convo_store_close(store);
	test_processes(1, clock_ahead, (void *)path);
	test_processes(1, clock_behind, (void *)path);
}

int main(void)
{
	const struct CMUnitTest ends[] = {
		cmocka_unit_test(test_L2__a_lock_of_another_is_waited_for_no_longer),
		cmocka_unit_test(
			test_L2__a_file_that_another_has_to_itself_is_waited_for_no_longer),
		cmocka_unit_test(test_L2__an_index_that_is_being_written_is_waited_for_no_longer),
		cmocka_unit_test(test_L2__readers_elsewhere_delay_no_commit_beyond_its_time),
		cmocka_unit_test(test_L2__a_cancel_ends_the_wait_for_a_lock),
		cmocka_unit_test(test_L2__a_round_keeps_nobody_beyond_its_deadline),
		cmocka_unit_test(test_L2__a_round_keeps_nobody_who_is_canceled),
		cmocka_unit_test(test_L2__a_cancel_ends_the_wait_for_writes_of_other_threads),
		cmocka_unit_test(test_S3__a_clock_that_is_behind_moves_nothing_back),
	};

	return TEST_RUN(ends);
}
