/*
 * SQLite, bare: one table, one transaction and one flush for each append. Callers share a connection
 * that writes, behind a lock, and have each their own that reads.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

struct connection {
	sqlite3 *db;
	sqlite3_stmt *begin, *commit, *last, *add, *events;
};

struct raw {
	struct connection read;
};

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct connection writer;
static int writer_users;

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL))
		bench_die("cannot prepare %s: %s", sql, sqlite3_errmsg(db));
	return stmt;
}

static void connect(struct connection *to, const char *url)
{
	static const char setup[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"CREATE TABLE IF NOT EXISTS raw (session TEXT, seq INTEGER, id BLOB, role TEXT, "
		"message TEXT, PRIMARY KEY (session, seq)) WITHOUT ROWID;";
	sqlite3 *db;

	if (sqlite3_open_v2(url + strlen("sqlite:"), &db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
		bench_die("cannot open %s", url);
	sqlite3_busy_timeout(db, 10000);
	if (sqlite3_exec(db, setup, NULL, NULL, NULL))
		bench_die("%s", sqlite3_errmsg(db));
	to->db = db;
	to->begin = prepare(db, "BEGIN IMMEDIATE");
	to->commit = prepare(db, "COMMIT");
	to->last = prepare(db, "SELECT max(seq) FROM raw WHERE session = ?");
	to->add = prepare(db, "INSERT INTO raw VALUES (?, ?, ?, 'user', ?)");
	to->events = prepare(db, "SELECT seq, role, message FROM raw WHERE session = ? "
				 "ORDER BY seq DESC LIMIT ?");
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

static int64_t last(const char *session)
{
	int64_t seq;

	sqlite3_bind_text(writer.last, 1, session, -1, SQLITE_STATIC);
	if (sqlite3_step(writer.last) != SQLITE_ROW)
		bench_die("no row");
	seq = sqlite3_column_int64(writer.last, 0);
	sqlite3_reset(writer.last);
	return seq;
}

static void add(const char *session, int64_t seq, const unsigned char *id, const char *message,
		size_t len)
{
	sqlite3_bind_text(writer.add, 1, session, -1, SQLITE_STATIC);
	sqlite3_bind_int64(writer.add, 2, seq);
	sqlite3_bind_blob(writer.add, 3, id, UUID_BYTES, SQLITE_STATIC);
	sqlite3_bind_text(writer.add, 4, message, (int)len, SQLITE_STATIC);
	run(writer.add);
}

static void sqlite_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			      const char *message, size_t len)
{
	(void)raw;
	pthread_mutex_lock(&write_lock);
	run(writer.begin);
	add(key->session, last(key->session) + 1, id, message, len);
	run(writer.commit);
	pthread_mutex_unlock(&write_lock);
}

static void sqlite_raw_fill(struct raw *raw, const struct convo_key *key, size_t n,
			    const char *message, size_t len)
{
	unsigned char id[UUID_BYTES];
	size_t seq;

	(void)raw;
	run(writer.begin);
	for (seq = 1; seq <= n; seq++) {
		cv_uuid_new(id);
		add(key->session, (int64_t)seq, id, message, len);
	}
	run(writer.commit);
}

static size_t sqlite_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	sqlite3_stmt *stmt = raw->read.events;
	size_t bytes = 0;

	sqlite3_bind_text(stmt, 1, key->session, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, (int64_t)n);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		size_t len = (size_t)sqlite3_column_bytes(stmt, 2);
		char *copy = malloc(len + 1);

		if (!copy)
			bench_die("out of memory");
		memcpy(copy, sqlite3_column_text(stmt, 2), len + 1);
		bytes += len;
		free(copy);
	}
	sqlite3_reset(stmt);
	return bytes;
}

const struct bench_engine bench_sqlite = {
	.name = "sqlite",
	.bare = "one flush an append",
	.open = sqlite_raw_open,
	.close = sqlite_raw_close,
	.append = sqlite_raw_append,
	.load = sqlite_raw_load,
	.fill = sqlite_raw_fill,
};
