/*
 * SQLite, bare: the statements of the store, one transaction and one flush for each append. Callers
 * share a connection that writes, behind a lock, and have each their own that reads.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include <base/clock.h>
#include <store/sqlite/store.h>

struct connection {
	sqlite3 *db;
	sqlite3_stmt *begin, *begin_write, *commit;
	sqlite3_stmt *find, *state, *scope, *events, *event_seq, *event_add, *touch;
};

struct raw {
	struct connection read;
};

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct connection writer;
static int writer_users;

static const char *sqlite_url(const char *dir)
{
	static char url[512];

	snprintf(url, sizeof(url), "sqlite:%s/bench.db", dir);
	return url;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	static const struct sql_dialect dialect = {.quote = '"'};
	struct cv_buf sql = {0};
	sqlite3_stmt *stmt = NULL;

	if (cv_sql_expand(&sql, &dialect, "convo_", text, NULL) < 0 ||
	    sqlite3_prepare_v3(db, sql.data, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL))
		bench_die("cannot prepare %s: %s", text, sqlite3_errmsg(db));
	cv_buf_clear(&sql);
	return stmt;
}

static void connect(struct connection *to, const char *url)
{
	sqlite3 *db;

	if (sqlite3_open_v2(url + strlen("sqlite:"), &db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ||
	    sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL))
		bench_die("cannot open %s", url);
	sqlite3_busy_timeout(db, 10000);
	to->db = db;
	to->begin = prepare(db, "BEGIN");
	to->begin_write = prepare(db, "BEGIN IMMEDIATE");
	to->commit = prepare(db, "COMMIT");
	to->find = prepare(db, cv_sqlite_texts[TEXT_FIND]);
	to->state = prepare(db, cv_sqlite_texts[TEXT_STATE]);
	to->scope = prepare(db, cv_sqlite_texts[TEXT_SCOPE]);
	to->events = prepare(db, cv_sqlite_texts[TEXT_EVENTS]);
	to->event_seq = prepare(db, cv_sqlite_texts[TEXT_EVENT_SEQ]);
	to->event_add = prepare(db, cv_sqlite_texts[TEXT_EVENT_ADD]);
	to->touch = prepare(db, cv_sqlite_texts[TEXT_TOUCH]);
}

static void disconnect(struct connection *from)
{
	sqlite3_stmt *stmt;

	while ((stmt = sqlite3_next_stmt(from->db, NULL)))
		sqlite3_finalize(stmt);
	sqlite3_close(from->db);
}

static struct raw *sqlite_raw_open(const char *url, int index)
{
	struct raw *raw = bench_alloc(sizeof(*raw));

	(void)index;
	connect(&raw->read, url);
	pthread_mutex_lock(&write_lock);
	if (!writer_users++)
		connect(&writer, url);
	pthread_mutex_unlock(&write_lock);
	return raw;
}

static void sqlite_raw_close(struct raw *raw)
{
	disconnect(&raw->read);
	pthread_mutex_lock(&write_lock);
	if (!--writer_users)
		disconnect(&writer);
	pthread_mutex_unlock(&write_lock);
	free(raw);
}

static void run(sqlite3_stmt *stmt)
{
	if (sqlite3_step(stmt) != SQLITE_DONE)
		bench_die("%s: %s", sqlite3_sql(stmt), sqlite3_errmsg(sqlite3_db_handle(stmt)));
	sqlite3_reset(stmt);
}

/* What is needed of a session's row: no, kept_seq, first_seq, last_seq. */
static void find(struct connection *conn, const struct convo_key *key, int64_t out[4])
{
	sqlite3_bind_text(conn->find, 1, key->app, -1, SQLITE_STATIC);
	sqlite3_bind_text(conn->find, 2, key->user, -1, SQLITE_STATIC);
	sqlite3_bind_text(conn->find, 3, key->session, -1, SQLITE_STATIC);
	if (sqlite3_step(conn->find) != SQLITE_ROW)
		bench_die("session %s is absent", key->session);
	out[0] = sqlite3_column_int64(conn->find, 0);
	out[1] = sqlite3_column_int64(conn->find, 9);
	out[2] = sqlite3_column_int64(conn->find, 10);
	out[3] = sqlite3_column_int64(conn->find, 11);
	sqlite3_reset(conn->find);
}

static void add(struct connection *conn, int64_t no, int64_t seq, const unsigned char *id,
		const char *message, size_t len, int64_t now_us)
{
	sqlite3_bind_blob(conn->event_seq, 1, id, UUID_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(conn->event_seq, 2, no);
	run(conn->event_seq);
	sqlite3_bind_int64(conn->event_add, 1, no);
	sqlite3_bind_int64(conn->event_add, 2, seq);
	sqlite3_bind_blob(conn->event_add, 3, id, UUID_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(conn->event_add, 4, now_us / 1000);
	sqlite3_bind_int64(conn->event_add, 5, 0);
	sqlite3_bind_text(conn->event_add, 6 + FIELD_ROLE, "user", -1, SQLITE_STATIC);
	sqlite3_bind_text(conn->event_add, 6 + FIELD_AUTHOR, "user", -1, SQLITE_STATIC);
	sqlite3_bind_text(conn->event_add, 6 + FIELD_MESSAGE, message, (int)len, SQLITE_STATIC);
	run(conn->event_add);
}

static void sqlite_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			      const char *message, size_t len)
{
	int64_t now_us, row[4];
	int i = 0;

	(void)raw;
	pthread_mutex_lock(&write_lock);
	now_us = cv_clock_us();
	run(writer.begin_write);
	find(&writer, key, row);
	add(&writer, row[0], row[3] + 1, id, message, len, now_us);
	sqlite3_bind_int64(writer.touch, ++i, now_us);
	sqlite3_bind_int64(writer.touch, ++i, now_us);
	sqlite3_bind_int64(writer.touch, ++i, 0);
	sqlite3_bind_int64(writer.touch, ++i, row[1]);
	sqlite3_bind_int64(writer.touch, ++i, row[2]);
	sqlite3_bind_int64(writer.touch, ++i, row[3] + 1);
	sqlite3_bind_int64(writer.touch, ++i, now_us / 1000);
	sqlite3_bind_int64(writer.touch, ++i, 0);
	sqlite3_bind_int64(writer.touch, ++i, row[0]);
	run(writer.touch);
	run(writer.commit);
	pthread_mutex_unlock(&write_lock);
}

static void read_state(struct connection *conn, int scope, int64_t owner)
{
	sqlite3_bind_int(conn->state, 1, scope);
	sqlite3_bind_int64(conn->state, 2, owner);
	run(conn->state);
}

static void read_scope(struct connection *conn, const char *app, const char *user)
{
	sqlite3_bind_text(conn->scope, 1, app, -1, SQLITE_STATIC);
	sqlite3_bind_text(conn->scope, 2, user, -1, SQLITE_STATIC);
	run(conn->scope);
}

static size_t read_row(sqlite3_stmt *stmt)
{
	size_t bytes = 0;
	int i;

	for (i = 4; i < 4 + FIELD_COUNT; i++) {
		const unsigned char *text = sqlite3_column_text(stmt, i);
		size_t len = (size_t)sqlite3_column_bytes(stmt, i);
		char *copy;

		if (!text)
			continue;
		copy = bench_alloc(len + 1);
		memcpy(copy, text, len + 1);
		bytes += len;
		free(copy);
	}
	return bytes;
}

static size_t sqlite_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	struct connection *conn = &raw->read;
	size_t bytes = 0;
	int64_t row[4];

	run(conn->begin);
	find(conn, key, row);
	read_state(conn, CONVO_SCOPE_SESSION, row[0]);
	read_scope(conn, key->app, key->user);
	read_scope(conn, key->app, "");
	sqlite3_bind_int64(conn->events, 1, row[0]);
	sqlite3_bind_int64(conn->events, 2, row[3] - (int64_t)n + 1);
	sqlite3_bind_int64(conn->events, 3, row[3]);
	while (sqlite3_step(conn->events) == SQLITE_ROW)
		bytes += read_row(conn->events);
	sqlite3_reset(conn->events);
	run(conn->commit);
	return bytes;
}

const struct bench_engine bench_sqlite = {
	.name = "sqlite",
	.url = sqlite_url,
	.open = sqlite_raw_open,
	.close = sqlite_raw_close,
	.append = sqlite_raw_append,
	.load = sqlite_raw_load,
};
