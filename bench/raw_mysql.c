/*
 * MySQL, bare: libmariadb and one table, statements prepared. Each caller has a connection of its
 * own. "mysql" inserts and waits; "mybatch" puts many rows into one statement.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>

#include <base/buf.h>
#include <base/url.h>

#define ROWS 100

struct raw {
	MYSQL *my;
	MYSQL_STMT *add, *events;
	long long seq; /* of the session; a caller has one to itself */
	struct cv_buf batch;
	size_t rows; /* of the batch */
};

static MYSQL_STMT *my_prepare(MYSQL *my, const char *sql)
{
	MYSQL_STMT *stmt = mysql_stmt_init(my);

	if (!stmt || mysql_stmt_prepare(stmt, sql, strlen(sql)))
		bench_die("%s", mysql_error(my));
	return stmt;
}

static void my_ask(struct raw *raw, const char *sql, size_t len)
{
	if (mysql_real_query(raw->my, sql, len))
		bench_die("%s", mysql_error(raw->my));
}

static struct raw *my_raw_open(const char *url, int index)
{
	static const char table[] =
		"CREATE TABLE IF NOT EXISTS raw (session VARCHAR(64) CHARACTER SET latin1, seq "
		"BIGINT, "
		"id BINARY(16), role VARCHAR(16), message JSON, PRIMARY KEY (session, seq)) "
		"ENGINE=InnoDB";
	struct raw *raw = bench_alloc(sizeof(*raw));
	unsigned tcp = MYSQL_PROTOCOL_TCP;
	struct cv_url parsed;
	struct convo_err err;

	if (cv_url_parse(&parsed, url, &err) < 0)
		bench_die("%s", err.text);
	raw->my = mysql_init(NULL);
	mysql_options(raw->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(raw->my, MYSQL_OPT_PROTOCOL, &tcp);
	if (!mysql_real_connect(raw->my, parsed.host, parsed.user, parsed.password, parsed.path + 1,
				(unsigned)parsed.port, NULL, 0))
		bench_die("%s", mysql_error(raw->my));
	cv_url_clear(&parsed);
	if (index == 0)
		my_ask(raw, table, sizeof(table) - 1);
	raw->add = my_prepare(raw->my, "INSERT INTO raw VALUES (?, ?, ?, 'user', ?)");
	raw->events = my_prepare(raw->my, "SELECT seq, role, message FROM raw WHERE session = ? "
					  "ORDER BY seq DESC LIMIT ?");
	return raw;
}

static void batch_end(struct raw *raw)
{
	if (raw->rows)
		my_ask(raw, raw->batch.data, raw->batch.len);
	cv_buf_reset(&raw->batch);
	raw->rows = 0;
}

static void my_raw_close(struct raw *raw)
{
	batch_end(raw);
	cv_buf_clear(&raw->batch);
	mysql_stmt_close(raw->add);
	mysql_stmt_close(raw->events);
	mysql_close(raw->my);
	free(raw);
}

static void bind_bytes(MYSQL_BIND *bind, const void *data, size_t len)
{
	bind->buffer_type = MYSQL_TYPE_STRING;
	bind->buffer = (void *)(uintptr_t)data;
	bind->buffer_length = len;
	bind->length_value = len;
	bind->length = &bind->length_value;
}

static void bind_int(MYSQL_BIND *bind, const long long *number)
{
	bind->buffer_type = MYSQL_TYPE_LONGLONG;
	bind->buffer = (void *)(uintptr_t)number;
}

static void my_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			  const char *message, size_t len)
{
	MYSQL_BIND bind[4];

	memset(bind, 0, sizeof(bind));
	raw->seq++;
	bind_bytes(&bind[0], key->session, strlen(key->session));
	bind_int(&bind[1], &raw->seq);
	bind_bytes(&bind[2], id, UUID_BYTES);
	bind_bytes(&bind[3], message, len);
	if (mysql_stmt_bind_param(raw->add, bind) || mysql_stmt_execute(raw->add))
		bench_die("%s", mysql_stmt_error(raw->add));
}

/* Session names and messages of the benchmark hold nothing that must be escaped. */
static void batch_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			     const char *message, size_t len)
{
	char uuid[2 * UUID_BYTES + 1];
	int i;

	for (i = 0; i < UUID_BYTES; i++)
		snprintf(uuid + 2 * i, 3, "%02x", id[i]);
	cv_buf_addf(&raw->batch, "%s('%s', %lld, X'%s', 'user', '",
		    raw->rows ? ", " : "INSERT INTO raw VALUES ", key->session, ++raw->seq, uuid);
	cv_buf_add(&raw->batch, message, len);
	if (cv_buf_adds(&raw->batch, "')") < 0)
		bench_die("out of memory");
	if (++raw->rows == ROWS)
		batch_end(raw);
}

static void my_raw_fill(struct raw *raw, const struct convo_key *key, size_t n, const char *message,
			size_t len)
{
	unsigned char id[UUID_BYTES];

	for (raw->seq = 0; (size_t)raw->seq < n;) {
		cv_uuid_new(id);
		batch_raw_append(raw, key, id, message, len);
	}
	batch_end(raw);
}

static size_t my_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	static _Thread_local char message[65536], role[32];
	unsigned long message_len = 0, role_len = 0;
	long long count = (long long)n, seq;
	MYSQL_BIND in[2], out[3];
	size_t bytes = 0;
	int rc;

	memset(in, 0, sizeof(in));
	memset(out, 0, sizeof(out));
	bind_bytes(&in[0], key->session, strlen(key->session));
	bind_int(&in[1], &count);
	bind_int(&out[0], &seq);
	out[1] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
			      .buffer = role,
			      .buffer_length = sizeof(role),
			      .length = &role_len};
	out[2] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
			      .buffer = message,
			      .buffer_length = sizeof(message),
			      .length = &message_len};
	if (mysql_stmt_bind_param(raw->events, in) || mysql_stmt_bind_result(raw->events, out) ||
	    mysql_stmt_execute(raw->events))
		bench_die("%s", mysql_stmt_error(raw->events));
	while ((rc = mysql_stmt_fetch(raw->events)) == 0)
		bytes += message_len;
	if (rc != MYSQL_NO_DATA)
		bench_die("%s", mysql_stmt_error(raw->events));
	mysql_stmt_free_result(raw->events);
	return bytes;
}

const struct bench_engine bench_mysql = {
	.name = "mysql",
	.bare = "one insert, one select",
	.server = "mysql",
	.open = my_raw_open,
	.close = my_raw_close,
	.append = my_raw_append,
	.load = my_raw_load,
	.fill = my_raw_fill,
};

const struct bench_engine bench_mybatch = {
	.name = "mybatch",
	.bare = "100 rows a statement",
	.server = "mysql",
	.open = my_raw_open,
	.close = my_raw_close,
	.append = batch_raw_append,
	.fill = my_raw_fill,
};
