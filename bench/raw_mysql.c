/*
 * MySQL, bare: libmariadb calling the procedures of the store with the same arguments, prepared.
 * Each caller has a connection of its own; the server's group commit is what they share.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>

#include <base/clock.h>
#include <base/url.h>

#define APPEND_ARGS 13
#define LOAD_ARGS 9
#define COLUMNS 16

struct raw {
	MYSQL *my;
	MYSQL_STMT *append, *load;
};

static MYSQL_STMT *my_prepare(MYSQL *my, const char *sql)
{
	MYSQL_STMT *stmt = mysql_stmt_init(my);

	if (!stmt || mysql_stmt_prepare(stmt, sql, strlen(sql)))
		bench_die("%s", mysql_error(my));
	return stmt;
}

static struct raw *my_raw_open(const char *url, int index)
{
	struct raw *raw = bench_alloc(sizeof(*raw));
	unsigned tcp = MYSQL_PROTOCOL_TCP;
	struct cv_url parsed;
	struct convo_err err;

	(void)index;
	if (cv_url_parse(&parsed, url, &err) < 0)
		bench_die("%s", err.text);
	raw->my = mysql_init(NULL);
	mysql_options(raw->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(raw->my, MYSQL_OPT_PROTOCOL, &tcp);
	mysql_options(raw->my, MYSQL_INIT_COMMAND,
		      "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
	if (!mysql_real_connect(raw->my, parsed.host, parsed.user, parsed.password, parsed.path + 1,
				(unsigned)parsed.port, NULL, 0))
		bench_die("%s", mysql_error(raw->my));
	cv_url_clear(&parsed);
	raw->append =
		my_prepare(raw->my, "CALL convo_append(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	raw->load = my_prepare(raw->my, "CALL convo_load(?, ?, ?, ?, ?, ?, ?, ?, ?)");
	return raw;
}

static void my_raw_close(struct raw *raw)
{
	mysql_stmt_close(raw->append);
	mysql_stmt_close(raw->load);
	mysql_close(raw->my);
	free(raw);
}

static void bind_bytes(MYSQL_BIND *bind, const char *data, size_t len)
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

static void bind_key(MYSQL_BIND *bind, const struct convo_key *key)
{
	bind_bytes(&bind[0], key->app, strlen(key->app));
	bind_bytes(&bind[1], key->user, strlen(key->user));
	bind_bytes(&bind[2], key->session, strlen(key->session));
}

/* Read a result to its end. @return bytes of its last column but three, the message */
static size_t my_read(MYSQL_STMT *stmt)
{
	static _Thread_local char room[COLUMNS][4096];
	unsigned columns = mysql_stmt_field_count(stmt), i;
	unsigned long length[COLUMNS] = {0};
	MYSQL_BIND bind[COLUMNS];
	size_t bytes = 0;
	int rc;

	memset(bind, 0, sizeof(bind));
	for (i = 0; i < columns; i++) {
		bind[i].buffer_type = MYSQL_TYPE_STRING;
		bind[i].buffer = room[i];
		bind[i].buffer_length = sizeof(room[i]);
		bind[i].length = &length[i];
	}
	mysql_stmt_bind_result(stmt, bind);
	while ((rc = mysql_stmt_fetch(stmt)) == 0 || rc == MYSQL_DATA_TRUNCATED)
		bytes += columns > 4 ? length[columns - 4] : 0;
	return bytes;
}

static size_t my_run(struct raw *raw, MYSQL_STMT *stmt, MYSQL_BIND *bind)
{
	size_t bytes = 0;

	if (mysql_stmt_bind_param(stmt, bind) || mysql_stmt_execute(stmt))
		bench_die("%s", mysql_stmt_error(stmt));
	do {
		if (mysql_stmt_field_count(stmt))
			bytes = my_read(stmt);
	} while (mysql_stmt_next_result(stmt) == 0);
	if (mysql_errno(raw->my))
		bench_die("%s", mysql_error(raw->my));
	mysql_stmt_free_result(stmt);
	return bytes;
}

static void my_raw_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			  const char *message, size_t len)
{
	static const long long zero, max = 4194304, any = -1;
	long long now = cv_clock_us();
	MYSQL_BIND bind[APPEND_ARGS];
	char event[256], data[4096];
	int n;

	memset(bind, 0, sizeof(bind));
	memcpy(event, id, UUID_BYTES);
	/* role and author, four that are absent, the message, three that are absent */
	n = snprintf(event + UUID_BYTES, sizeof(event) - UUID_BYTES,
		     "0%09d%09d%09d%09d%072d%09d%09zu%054d", 1, 4, 5, 4, 0, 9, len, 0);
	memcpy(data, "useruser", 8);
	memcpy(data + 8, message, len);
	bind_key(bind, key);
	bind_int(&bind[3], &now);
	bind_int(&bind[4], &zero);
	bind_int(&bind[5], &max);
	bind_int(&bind[6], &zero);
	bind[7].buffer_type = MYSQL_TYPE_NULL;
	bind_int(&bind[8], &any);
	bind_bytes(&bind[9], event, UUID_BYTES + (size_t)n);
	bind_int(&bind[10], &zero);
	bind_bytes(&bind[11], "", 0);
	bind_bytes(&bind[12], data, len + 8);
	my_run(raw, raw->append, bind);
}

static size_t my_raw_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	static const long long zero;
	long long now = cv_clock_us(), count = (long long)n;
	MYSQL_BIND bind[LOAD_ARGS];

	memset(bind, 0, sizeof(bind));
	bind_key(bind, key);
	bind_int(&bind[3], &now);
	bind_int(&bind[4], &zero);
	bind_int(&bind[5], &zero);
	bind_int(&bind[6], &count);
	bind_int(&bind[7], &zero);
	bind[8].buffer_type = MYSQL_TYPE_NULL;
	return my_run(raw, raw->load, bind);
}

static const char *my_url(const char *dir)
{
	(void)dir;
	bench_die("MySQL wants -url");
}

const struct bench_engine bench_mysql = {
	.name = "mysql",
	.url = my_url,
	.open = my_raw_open,
	.close = my_raw_close,
	.append = my_raw_append,
	.load = my_raw_load,
};
