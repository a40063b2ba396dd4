/*
 * SQLite files that somebody has changed: values that no convo writes, and bytes turned over. Every
 * operation must end, hand out nothing that the headers do not promise, and say "damaged" of what is.
 */
#include <support/test.h>

#include <stdio.h>
#include <unistd.h>

#include <sqlite3.h>

#include "every.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct convo_key key = {"app", "user", "session"};
static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF};

/* ---- files ------------------------------------------------------------------------------ */

static void db_run(const char *path, const char *sql)
{
	char *text = NULL;
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		must_not_reach("%s: %s", sql, text ? text : "?");
	must(sqlite3_close(db) == SQLITE_OK);
}

static convo_store *file_open(const char *path)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, test_text("sqlite:%s", path), &quiet, &err));
	return store;
}

static void file_say(convo_store *store, const struct convo_key *to, int n)
{
	struct convo_err err;

	for (int i = 1; i <= n; i++) {
		const struct convo_event event = {
			.id = test_text("0191e2a4-7b2c-7abc-8def-%012d", i),
			.message = "{\"role\":\"user\",\"content\":\"h\xc3\xa9llo\"}",
			.turn = "t",
			.model = "m",
			.finish_reason = "stop",
			.error = "none",
			.usage = "{\"n\":1}",
			.state = "{\"a\":[1,2],\"user:a\":1,\"app:a\":2}",
			.extra = "{\"x\":2}"};

		must_pass(convo_store_append(store, to, NULL, &event, 1, NULL, NULL, &err));
	}
}

/* Hold it, and say something that takes two pieces. */
static void file_hold(convo_store *store, const struct convo_key *of)
{
	static char message[5000];
	struct convo_event draft = {.id = "0191e2a4-7b2c-7abc-8def-0123456789ab",
				    .message = message,
				    .turn = "t",
				    .model = "m",
				    .extra = "{\"x\":2}"};
	struct convo_expect expect = {.hold = CONVO_HOLD_TAKE};
	convo_lease *lease = NULL;
	struct convo_err err;

	snprintf(message, sizeof(message), "{\"role\":\"assistant\",\"content\":\"%04500d\"}", 7);
	must_pass(convo_lease_new(&lease, NULL, &err));
	expect.lease = lease;
	must_pass(convo_store_append(store, of, &expect, NULL, 0, NULL, NULL, &err));
	must_pass(convo_store_draft(store, of, lease, &draft, NULL, &err));
	convo_lease_free(lease);
}

/* A file with a live session that is held and a fork of it, one in the trash, one that waits for
 * cleaning, and state. */
static const char *file_make(void)
{
	const struct convo_key gone = {"app", "user", "gone"}, dead = {"app", "user", "dead"};
	const struct convo_fork fork = {.session = "fork", .upto_seq = 2};
	const char *path = test_path(test_dir(), "made.db");
	convo_store *store;
	struct convo_err err;

	/* Small pages: more of the file is structure. */
	db_run(path, "PRAGMA page_size = 512; CREATE TABLE a (b); DROP TABLE a; VACUUM");
	store = file_open(path);
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_pass(convo_store_create(store, &gone, NULL, NULL, NULL, &err));
	must_pass(convo_store_create(store, &dead, NULL, NULL, NULL, &err));
	file_say(store, &key, 6);
	must_pass(convo_store_fork(store, &key, &fork, NULL, NULL, &err));
	file_hold(store, &key);
	file_say(store, &gone, 3);
	file_say(store, &dead, 2);
	must_pass(convo_store_delete(store, &gone, NULL, &err));
	convo_store_close(store);
	db_run(path, "UPDATE convo_sessions SET life = 2, due_us = 1 WHERE session = 'dead'");
	return path;
}

static unsigned char *file_read(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	unsigned char *data;
	long size;

	must(file != NULL);
	must(fseek(file, 0, SEEK_END) == 0);
	size = ftell(file);
	must(size > 0);
	rewind(file);
	data = malloc((size_t)size);
	must(data != NULL);
	*len = fread(data, 1, (size_t)size, file);
	must_equal(size, *len);
	fclose(file);
	return data;
}

static void file_write(const char *path, const unsigned char *data, size_t len)
{
	FILE *file;

	unlink(test_text("%s-wal", path));
	unlink(test_text("%s-shm", path));
	file = fopen(path, "wb");
	must(file != NULL);
	must_equal(len, fwrite(data, 1, len, file));
	must(fclose(file) == 0);
}

/* ---- values ----------------------------------------------------------------------------- */

static const char *const bad_numbers[] = {
	"NULL", "-1", "-9223372036854775808", "9223372036854775807", "'x'", "x'00'", "0.5", NULL};
static const char *const bad_texts[] = {
	"NULL", "x'41'", "CAST(x'ff' AS TEXT)", "CAST(x'c1a1' AS TEXT)", "CAST(x'410042' AS TEXT)",
	NULL};
static const char *const bad_texts_or_null[] = {"x'41'", "CAST(x'eda080' AS TEXT)",
						"CAST(x'410042' AS TEXT)", NULL};
static const char *const bad_uuids[] = {
	"NULL", "1", "x''", "x'00'", "'0191e2a4-7b2c-7abc-'", "zeroblob(17)", NULL};
static const char *const bad_uuids_or_null[] = {
	"1", "x''", "x'00'", "'0191e2a4-7b2c-7abc-'", "zeroblob(17)", NULL};
static const char *const bad_any_number[] = {"NULL", "'x'", "x'00'", "0.5", NULL};
static const char *const bad_pieces[] = {"NULL",           "1",     "'x'", "x''", "zeroblob(700)",
					 "zeroblob(4000)", "x'00'", NULL};
static const char *const bad_names[] = {
	"NULL", "''", "x'41'", "printf('%.256c', 'x')", "CAST(x'410042' AS TEXT)", NULL};

/* A column, what must not be in it, and the row that is changed. */
static const struct column {
	const char *table, *column;
	const char *const *bad;
	const char *where;
} columns[] = {
	{"sessions", "position", bad_numbers, "session = 'session'"},
	{"sessions", "created_us", bad_numbers, "session = 'session'"},
	{"sessions", "updated_us", bad_numbers, "session = 'session'"},
	{"sessions", "deleted_us", bad_numbers, "session = 'session'"},
	{"sessions", "purge_us", bad_numbers, "session = 'session'"},
	{"sessions", "due_us", bad_numbers, "session = 'session'"},
	{"sessions", "kept_seq", bad_numbers, "session = 'session'"},
	{"sessions", "first_seq", bad_numbers, "session = 'session'"},
	{"sessions", "last_seq", bad_numbers, "session = 'session'"},
	{"sessions", "last_time_ms", bad_numbers, "session = 'session'"},
	{"sessions", "state_bytes", bad_numbers, "session = 'session'"},
	{"sessions", "generation", bad_uuids, "session = 'session'"},
	{"sessions", "title", bad_texts, "session = 'session'"},
	{"sessions", "session", bad_names, "session = 'session'"},
	{"sessions", "deleted_us", bad_numbers, "session = 'gone'"},
	{"sessions", "lease", bad_uuids_or_null, "session = 'session'"},
	{"sessions", "held_us", bad_numbers, "session = 'session'"},
	{"sessions", "held_boot", bad_any_number, "session = 'session'"},
	{"sessions", "draft", bad_uuids_or_null, "session = 'session'"},
	{"sessions", "draft_bytes", bad_numbers, "session = 'session'"},
	{"sessions", "fork_session", &bad_names[1], "session = 'fork'"},
	{"sessions", "fork_generation", bad_uuids, "session = 'fork'"},
	{"sessions", "fork_seq", bad_numbers, "session = 'fork'"},
	{"drafts", "role", bad_texts, "1"},
	{"drafts", "author", bad_texts, "1"},
	{"drafts", "turn", bad_texts_or_null, "1"},
	{"drafts", "model", bad_texts_or_null, "1"},
	{"drafts", "extra", bad_texts_or_null, "1"},
	{"pieces", "bytes", bad_pieces, "piece = 0"},
	{"pieces", "bytes", bad_pieces, "piece = 1"},
	{"events", "seq", bad_numbers, "seq = 4"},
	{"events", "id", bad_uuids, "seq = 4"},
	{"events", "time_ms", bad_numbers, "seq = 4"},
	{"events", "status", bad_numbers, "seq = 4"},
	{"events", "role", bad_texts, "seq = 4"},
	{"events", "author", bad_texts, "seq = 4"},
	{"events", "turn", bad_texts_or_null, "seq = 4"},
	{"events", "model", bad_texts_or_null, "seq = 4"},
	{"events", "finish_reason", bad_texts_or_null, "seq = 4"},
	{"events", "error", bad_texts_or_null, "seq = 4"},
	{"events", "message", bad_texts, "seq = 4"},
	{"events", "usage", bad_texts_or_null, "seq = 4"},
	{"events", "state", bad_texts_or_null, "seq = 4"},
	{"events", "extra", bad_texts_or_null, "seq = 4"},
	{"state", "name", bad_texts, "scope = 1"},
	{"state", "value", bad_texts, "scope = 1"},
	{"state", "value", bad_texts, "scope = 2"},
	{"state", "name", bad_texts, "scope = 4"},
	{"scopes", "state_bytes", bad_numbers, "user = 'user'"},
};

/* What is wrong only beside another column, or ends a life for ever if it is believed. */
static const char *const changes[] = {
	"UPDATE convo_sessions SET expires_us = 9223372036854775807 WHERE session = 'session'",
	"UPDATE convo_sessions SET kept_seq = 3 WHERE session = 'session'",
	"UPDATE convo_sessions SET first_seq = 8 WHERE session = 'session'",
	"UPDATE convo_sessions SET last_seq = 7 WHERE session = 'session'",
	"UPDATE convo_sessions SET last_seq = 4503599627370496 WHERE session = 'session'",
	("UPDATE convo_sessions SET last_seq = 9223372036854775806, first_seq = "
	 "9223372036854775807, kept_seq = 9223372036854775807 WHERE session = 'session'"),
	"UPDATE convo_events SET status = 3 WHERE seq = 4",
	"DELETE FROM convo_events WHERE seq = 4",
	"DELETE FROM convo_events WHERE seq = 6",
	"UPDATE convo_events SET seq = 44 WHERE seq = 4",
	"UPDATE convo_sessions SET draft_bytes = draft_bytes - 1 WHERE session = 'session'",
	"UPDATE convo_sessions SET draft_bytes = draft_bytes + 1 WHERE session = 'session'",
	"UPDATE convo_sessions SET draft_bytes = 0 WHERE session = 'session'",
	"UPDATE convo_pieces SET bytes = CAST(replace(bytes, '7', x'ff') AS BLOB)",
	"DELETE FROM convo_pieces WHERE piece = 0",
	"DELETE FROM convo_pieces",
	"DELETE FROM convo_drafts",
};

/* Without the constraints that keep people from it; bytes that change do not ask. */
static void file_loosen(const char *path)
{
	db_run(path, "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, "
		     "' NOT NULL', '') WHERE type = 'table' AND name <> 'convo_meta'");
}

static void damage_must_be_told(const char *path, const char *change)
{
	convo_store *store;
	struct convo_err err = {0};

	db_run(path, change);
	store = file_open(path);
	if (every_read(store, &key, &err) != CONVO_E_IO || !strstr(err.text, "damaged"))
		must_not_reach("%s: %d: %s", change, err.code, err.text);
	every_write(store, &key);
	every_read(store, &key, &err);
	convo_store_close(store);
}

static void test_damage__of_any_value_is_told(void **state)
{
	const char *made = file_make(), *path = test_path(test_dir(), "value.db");
	unsigned char *whole;
	size_t len, i, j;

	(void)state;
	file_loosen(made);
	whole = file_read(made, &len);
	for (i = 0; i < COUNT(columns); i++) {
		for (j = 0; columns[i].bad[j]; j++) {
			file_write(path, whole, len);
			damage_must_be_told(path, test_text("UPDATE convo_%s SET %s = %s WHERE %s",
							    columns[i].table, columns[i].column,
							    columns[i].bad[j], columns[i].where));
		}
	}
	for (i = 0; i < COUNT(changes); i++) {
		file_write(path, whole, len);
		damage_must_be_told(path, changes[i]);
	}
	free(whole);
}

/* The ends of what is allowed are not damage, and nothing overflows there. */
static void test_damage__is_not_what_is_merely_large(void **state)
{
	const char *path = file_make();
	convo_store *store;
	struct convo_err err;

	(void)state;
	db_run(path, "UPDATE convo_sessions SET position = 1152921504606846976, created_us = "
		     "1152921504606846976, updated_us = 1152921504606846976, expires_us = "
		     "1152921504606846976, due_us = 1152921504606846976 "
		     "WHERE session = 'session'");
	store = file_open(path);
	must_equal(0, every_read(store, &key, &err));
	every_write(store, &key);
	must_equal(0, every_read(store, &key, &err));
	convo_store_close(store);
}

/* ---- bytes ------------------------------------------------------------------------------ */

#define MUTATIONS 400

/* Turn over some bytes, nearby or anywhere, or tear a piece out. */
static void bytes_change(unsigned char *data, size_t len, struct test_rng *rng)
{
	size_t at = test_rng_below(rng, len), n = 1 + test_rng_below(rng, 8), i;

	switch (test_rng_below(rng, 4)) {
	case 0:
		data[at] ^= (unsigned char)(1u << test_rng_below(rng, 8));
		break;
	case 1:
		for (i = 0; i < n; i++)
			data[test_rng_below(rng, len)] = (unsigned char)test_rng_next(rng);
		break;
	case 2:
		for (i = 0; i < n && at + i < len; i++)
			data[at + i] = (unsigned char)test_rng_next(rng);
		break;
	default:
		at -= at % 512;
		n = test_rng_below(rng, 512);
		for (i = n; i < 512 && at + i < len; i++)
			data[at + i] = i % 2 ? 0xff : 0;
	}
}

static void test_damage__of_any_byte_is_survived(void **state)
{
	const char *made = file_make(), *path = test_path(test_dir(), "bytes.db");
	const char *url = test_text("sqlite:%s", path);
	unsigned char *whole, *changed;
	struct test_rng rng;
	size_t len;

	(void)state;
	test_rng_init(&rng);
	whole = file_read(made, &len);
	changed = malloc(len);
	must(changed != NULL);
	for (int i = 0; i < MUTATIONS; i++) {
		memcpy(changed, whole, len);
		for (size_t n = test_rng_below(&rng, 3) + 1; n; n--)
			bytes_change(changed, len, &rng);
		file_write(path, changed, i % 10 ? len : test_rng_below(&rng, len));
		every_operation(url, &key);
	}
	free(changed);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest damage[] = {
		cmocka_unit_test(test_damage__of_any_value_is_told),
		cmocka_unit_test(test_damage__is_not_what_is_merely_large),
		cmocka_unit_test(test_damage__of_any_byte_is_survived),
	};

	return TEST_RUN(damage);
}
