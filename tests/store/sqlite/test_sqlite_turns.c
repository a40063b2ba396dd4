/*
 * Leases, drafts and watches where SQLite is special: files of the version before and programs of it
 * that are still at work, the clock of the machine, what drafts cost and leave, and asking for marks.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include <convo/store.h>
#include <convo/watch.h>

#define ID "0191e2a4-7b2c-7abc-8def-00000000000a"

static const struct convo_key key = {"app", "user", "s"};
static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

/* ---- files ------------------------------------------------------------------------------ */

static sqlite3 *db_open(const char *path)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	must(sqlite3_busy_timeout(db, 5000) == SQLITE_OK);
	return db;
}

static void db_run(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		must_not_reach("%s: %s", sql, text ? text : "?");
}

static void file_run(const char *path, const char *sql)
{
	sqlite3 *db = db_open(path);

	db_run(db, sql);
	must(sqlite3_close(db) == SQLITE_OK);
}

static int64_t file_number(const char *path, const char *sql)
{
	sqlite3 *db = db_open(path);
	sqlite3_stmt *stmt = NULL;
	int64_t number;

	must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
	must(sqlite3_step(stmt) == SQLITE_ROW);
	number = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	must(sqlite3_close(db) == SQLITE_OK);
	return number;
}

static int64_t drafts_left(const char *path)
{
	return file_number(path, "SELECT (SELECT count(*) FROM convo_drafts) + "
				 "(SELECT count(*) FROM convo_pieces)");
}

/* An empty file as the version before made it. */
static void file_make_old(const char *path)
{
	static const char last[] = "VALUES ('schema', '1');";
	struct convo_err err;
	char *schema = NULL, *end;

	must_pass(convo_store_schema(&schema, "sqlite", NULL, &err));
	end = strstr(schema, last);
	must(end != NULL);
	end[sizeof(last) - 1] = '\0';
	file_run(path, "PRAGMA journal_mode = WAL");
	file_run(path, schema);
	convo_free(schema);
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

static void store_create(convo_store *store)
{
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
}

static convo_lease *lease_of(void)
{
	const struct convo_lease_options opts = {.ms = 600000};
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, &opts, &err));
	return lease;
}

static int hold(convo_store *store, convo_lease *lease, enum convo_hold what, struct convo_err *err)
{
	const struct convo_expect expect = {.lease = lease, .hold = what};

	return convo_store_append(store, &key, &expect, NULL, 0, NULL, NULL, err);
}

static void draft(convo_store *store, convo_lease *lease, const char *message)
{
	const struct convo_event event = {.id = ID, .message = message};
	struct convo_err err;

	must_pass(convo_store_draft(store, &key, lease, &event, NULL, &err));
}

/* A message that says so many bytes; good until the next one. */
static const char *message_of(size_t len)
{
	static const char head[] = "{\"role\":\"assistant\",\"content\":\"";
	static char message[sizeof(head) + 300000];

	must(len < 300000 - 2);
	memcpy(message, head, sizeof(head) - 1);
	memset(message + sizeof(head) - 1, '7', len);
	memcpy(message + sizeof(head) - 1 + len, "\"}", 3);
	return message;
}

/* The draft says that many bytes; 0: there is none. */
static void must_have_draft(convo_store *store, size_t len)
{
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE, .with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	const struct convo_event *got;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &key, &window, NULL, &err));
	got = convo_session_draft(session);
	must(!got == !len);
	if (got)
		must_equal_str(message_of(len), got->message);
	convo_session_free(session);
}

/* ---- files and programs of the version before ------------------------------------------- */

#define OLD_SESSION                                                                               \
	"INSERT INTO convo_sessions (app, user, session, generation, title, life, position, "     \
	"created_us, updated_us, expires_us, deleted_us, purge_us, due_us, kept_seq, "            \
	"first_seq, last_seq, last_time_ms, state_bytes) "                                        \
	"VALUES ('app', 'user', 's', randomblob(16), 'old', 0, 6, 6, 6, 0, 0, 0, 0, 1, 1, 0, 0, " \
	"0)"
#define OLD_EVENT                                                                               \
	"INSERT INTO convo_events (session, seq, id, time_ms, status, role, author, message) "  \
	"SELECT no, last_seq + 1, randomblob(16), 7, 0, 'user', 'user', '{\"role\":\"user\"}' " \
	"FROM convo_sessions; "                                                                 \
	"UPDATE convo_sessions SET position = 6, updated_us = updated_us + 1, expires_us = 0, " \
	"kept_seq = 1, first_seq = 1, last_seq = last_seq + 1, last_time_ms = 7, state_bytes = 0"

static void test_L1_a_file_of_the_version_before_is_brought_up_to_date(void **state)
{
	const char *path = test_path(test_dir(), "old.db");
	const struct convo_store_options check = {.check_schema = true};
	const struct convo_fork to = {.session = "fork"};
	convo_lease *lease = lease_of();
	convo_session *session = NULL;
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	file_make_old(path);
	file_run(path, OLD_SESSION "; " OLD_EVENT);
	must_fail_with(CONVO_E_VERSION,
		       convo_store_open(&store, test_text("sqlite:%s", path), &check, &err));
	must(strstr(err.text, "version 1") != NULL);
	store = store_open(path, NULL);
	must_equal(2, file_number(path, "SELECT value FROM convo_meta"));
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease, message_of(3));
	must_have_draft(store, 3);
	must_pass(hold(store, lease, CONVO_HOLD_END, &err));
	must_pass(convo_store_fork(store, &key, &to, NULL, NULL, &err));
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal_str("old", convo_session_meta(session)->title);
	must_equal(1, convo_session_count(session));
	must_equal_str("", convo_session_meta(session)->fork_session);
	convo_session_free(session);
	convo_store_close(store);
	convo_store_close(store_open(path, &check));
	convo_lease_free(lease);
}

static void test_L1_a_program_of_the_version_before_goes_on(void **state)
{
	const char *path = test_path(test_dir(), "beside.db");
	convo_lease *lease = lease_of();
	convo_store *store;
	struct convo_err err;
	sqlite3 *old;

	(void)state;
	file_make_old(path);
	old = db_open(path);
	db_run(old, OLD_SESSION "; " OLD_EVENT);
	store = store_open(path, NULL);
	db_run(old, OLD_EVENT);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease, message_of(9000));
	db_run(old, OLD_EVENT);
	must_have_draft(store, 9000);
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, &err));
	/* The next session has the number of the one that it removes, and nothing of it. */
	db_run(old, "UPDATE convo_sessions SET life = 2; DELETE FROM convo_events; "
		    "DELETE FROM convo_sessions");
	db_run(old, OLD_SESSION);
	must_equal(0, drafts_left(path));
	must_have_draft(store, 0);
	must_fail_with(CONVO_E_CONFLICT, hold(store, lease, CONVO_HOLD_KEEP, &err));
	must(sqlite3_close(old) == SQLITE_OK);
	convo_store_close(store);
	convo_lease_free(lease);
}

/* ---- the clock -------------------------------------------------------------------------- */

/* Whether another one is refused because the session is held. */
static bool is_held(convo_store *store)
{
	convo_lease *other = lease_of();
	struct convo_err err;
	int rc = hold(store, other, CONVO_HOLD_TAKE, &err);

	must(rc == 0 || rc == CONVO_E_BUSY);
	convo_lease_free(other);
	return rc < 0;
}

static void test_R1_a_lease_from_before_the_machine_was_started_is_over(void **state)
{
	const char *path = test_path(test_dir(), "boot.db");
	convo_store *store = store_open(path, NULL);
	convo_lease *lease = lease_of();
	struct convo_err err;

	(void)state;
	store_create(store);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	must(is_held(store));
	file_run(path, "UPDATE convo_sessions SET held_boot = held_boot + 1");
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, &err)); /* nobody has replaced it (R4) */
	must(is_held(store));
	file_run(path, "UPDATE convo_sessions SET held_boot = held_boot + 1");
	must(!is_held(store));
	/* By a clock that is not this machine's one cannot hold for ever either. */
	file_run(path, "UPDATE convo_sessions SET held_us = held_us + 3600000000");
	must(!is_held(store));
	convo_store_close(store);
	convo_lease_free(lease);
}

/* ---- drafts ----------------------------------------------------------------------------- */

static int64_t log_bytes(const char *path)
{
	struct stat st;

	must(stat(test_text("%s-wal", path), &st) == 0);
	return st.st_size;
}

static void test_R2_a_draft_costs_what_is_new_in_it(void **state)
{
	const char *path = test_path(test_dir(), "grows.db");
	convo_store *store = store_open(path, NULL);
	convo_lease *lease = lease_of();
	struct convo_err err;
	int64_t before;

	(void)state;
	store_create(store);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease, message_of(200000));
	before = log_bytes(path);
	for (size_t i = 1; i <= 20; i++)
		draft(store, lease, message_of(200000 + 100 * i));
	must(log_bytes(path) - before < 20 * 6 * 4200);
	must_have_draft(store, 202000);
	draft(store, lease, message_of(3799));
	must_have_draft(store, 3799);
	must_equal(2, file_number(path, "SELECT count(*) FROM convo_pieces"));
	convo_store_close(store);
	convo_lease_free(lease);
}

static void test_T4_nothing_is_left_of_drafts(void **state)
{
	const struct convo_store_options gone = {.trash_ms = CONVO_OFF,
						 .clean_interval_ms = CONVO_OFF};
	const char *path = test_path(test_dir(), "left.db");
	convo_store *store = store_open(path, NULL), *other;
	convo_lease *lease = lease_of(), *next = lease_of();
	struct convo_err err;

	(void)state;
	store_create(store);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, &err));
	draft(store, lease, message_of(10000));
	must_equal(4, drafts_left(path));
	must_pass(hold(store, lease, CONVO_HOLD_END, &err));
	must_equal(0, drafts_left(path));
	must_pass(hold(store, next, CONVO_HOLD_TAKE, &err));
	draft(store, next, message_of(10000));
	must_pass(hold(store, lease, CONVO_HOLD_FORCE, &err)); /* stores it as an event (R5) */
	must_equal(0, drafts_left(path));
	draft(store, lease, message_of(10000));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_equal(4, drafts_left(path)); /* in the trash */
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	must_have_draft(store, 10000);
	other = store_open(path, &gone);
	must_pass(convo_store_delete(other, &key, NULL, &err));
	must_pass(convo_store_clean(other, NULL, NULL, &err));
	must_equal(0, file_number(path, "SELECT count(*) FROM convo_sessions"));
	must_equal(0, drafts_left(path));
	convo_store_close(other);
	convo_store_close(store);
	convo_lease_free(lease);
	convo_lease_free(next);
}

/* ---- watching --------------------------------------------------------------------------- */

struct polls {
	atomic_int count;
	_Atomic int64_t steps; /* of the last one */
};

static void polls_hear(void *ctx, const struct convo_trace_call *call)
{
	struct polls *polls = ctx;

	if (strcmp(call->op, "marks") != 0)
		return;
	must_equal(0, call->code);
	atomic_store(&polls->steps, call->steps);
	atomic_fetch_add(&polls->count, 1);
}

/* The steps of a poll that has begun after this. */
static int64_t polls_next(struct polls *polls)
{
	struct timespec ts = {.tv_nsec = 10000000};
	int from = atomic_load(&polls->count);

	while (atomic_load(&polls->count) < from + 2)
		nanosleep(&ts, NULL);
	return atomic_load(&polls->steps);
}

static void test_W2_asking_costs_a_look_while_nobody_writes(void **state)
{
	enum { MANY = 400 };
	const char *path = test_path(test_dir(), "watched.db");
	struct polls polls = {0};
	const struct convo_trace trace = {.on_call = polls_hear, .ctx = &polls};
	const struct convo_store_options traced = {.clean_interval_ms = CONVO_OFF, .trace = &trace};
	convo_store *store = store_open(path, &traced), *other = store_open(path, NULL);
	convo_watch *watch = NULL;
	struct convo_err err;
	int64_t steps;

	(void)state;
	must_pass(convo_watch_new(&watch, store, &err));
	for (int i = 0; i < MANY; i++) {
		const struct convo_key one = {"app", "user", test_text("s%d", i)};

		must_pass(convo_store_create(other, &one, NULL, NULL, NULL, &err));
		must_pass(convo_watch_add(watch, &one, NULL, &err));
	}
	polls_next(&polls);
	must(polls_next(&polls) < 100);
	store_create(other);
	while ((steps = polls_next(&polls)) < MANY && steps >= 100)
		;
	must(polls_next(&polls) < 100);
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* Hear of it until there is no news for a while. @return how often */
static int hear_out(convo_watch *watch)
{
	const struct convo_call soon = {.timeout_ms = 1500};
	struct convo_err err;
	int heard = 0;

	while (convo_watch_next(watch, NULL, NULL, &soon, &err) == 0)
		heard++;
	must_equal(CONVO_E_TIMEOUT, err.code);
	return heard;
}

static void test_W3_another_file_at_the_path_is_news(void **state)
{
	const char *path = test_path(test_dir(), "here.db"),
		   *copy = test_path(test_dir(), "new.db");
	convo_store *store = store_open(path, NULL), *other;
	convo_watch *watch = NULL;
	struct convo_err err;

	(void)state;
	store_create(store);
	other = store_open(copy, NULL);
	store_create(other);
	convo_store_close(other);
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	hear_out(watch);
	must_equal(0, hear_out(watch));
	unlink(test_text("%s-wal", path));
	unlink(test_text("%s-shm", path));
	must(rename(copy, path) == 0);
	must_equal(1, hear_out(watch));
	other = store_open(path, NULL);
	must_pass(convo_store_rename(other, &key, "title", NULL, &err));
	must(hear_out(watch) > 0);
	convo_store_close(other);
	convo_watch_free(watch);
	convo_store_close(store);
}

static void test_W1_a_damaged_session_keeps_no_other_from_being_heard(void **state)
{
	const char *path = test_path(test_dir(), "damaged.db");
	const struct convo_key bad = {"app", "user", "bad"};
	convo_store *store = store_open(path, NULL), *other = store_open(path, NULL);
	convo_watch *watch = NULL;
	struct convo_err err;

	(void)state;
	store_create(store);
	must_pass(convo_store_create(store, &bad, NULL, NULL, NULL, &err));
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	must_pass(convo_watch_add(watch, &bad, NULL, &err));
	file_run(path, "UPDATE convo_sessions SET changes = 'x' WHERE session = 'bad'");
	hear_out(watch);
	must_equal(0, hear_out(watch));
	must_pass(convo_store_rename(other, &key, "title", NULL, &err));
	must_equal(2, hear_out(watch)); /* what becomes of the other one nobody can tell */
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* A program with a late clock changes neither the times nor the seqs of a session. */
static void test_W1_what_a_program_with_a_late_clock_writes_is_heard(void **state)
{
	const char *path = test_path(test_dir(), "late.db");
	const struct convo_item item = {.name = "a", .json = "1"};
	convo_store *store = store_open(path, NULL), *other = store_open(path, NULL);
	convo_lease *lease = lease_of();
	convo_watch *watch = NULL;
	struct convo_err err;

	(void)state;
	store_create(store);
	must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
	file_run(path, "UPDATE convo_sessions SET updated_us = updated_us + 3600000000, "
		       "position = position + 3600000000");
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	hear_out(watch);
	must_pass(convo_store_state_set(other, &key, &item, 1, NULL, &err));
	must_equal(1, hear_out(watch));
	must_pass(convo_store_rename(other, &key, "title", NULL, &err));
	must_equal(1, hear_out(watch));
	must_pass(hold(other, lease, CONVO_HOLD_TAKE, &err));
	must_equal(1, hear_out(watch));
	draft(other, lease, message_of(5));
	must_equal(1, hear_out(watch));
	draft(other, lease, "{\"role\":\"assistant\",\"content\":\"66666\"}");
	must_equal(1, hear_out(watch));
	must_pass(hold(other, lease, CONVO_HOLD_KEEP, &err)); /* prolongs it: no news */
	must_equal(0, hear_out(watch));
	must_pass(hold(other, lease, CONVO_HOLD_END, &err));
	must_equal(1, hear_out(watch));
	must_pass(convo_store_delete(other, &key, NULL, &err));
	must_pass(convo_store_restore(other, &key, NULL, NULL, &err));
	must(hear_out(watch) > 0);
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
	convo_lease_free(lease);
}

int main(void)
{
	const struct CMUnitTest turns[] = {
		cmocka_unit_test(test_L1_a_file_of_the_version_before_is_brought_up_to_date),
		cmocka_unit_test(test_L1_a_program_of_the_version_before_goes_on),
		cmocka_unit_test(test_R1_a_lease_from_before_the_machine_was_started_is_over),
		cmocka_unit_test(test_R2_a_draft_costs_what_is_new_in_it),
		cmocka_unit_test(test_T4_nothing_is_left_of_drafts),
		cmocka_unit_test(test_W1_a_damaged_session_keeps_no_other_from_being_heard),
		cmocka_unit_test(test_W1_what_a_program_with_a_late_clock_writes_is_heard),
		cmocka_unit_test(test_W2_asking_costs_a_look_while_nobody_writes),
		cmocka_unit_test(test_W3_another_file_at_the_path_is_news),
	};

	return TEST_RUN(turns);
}
