/*
 * A connection to MySQL or MariaDB; see mysql_db.h. The library is used in its non-blocking way:
 * each of its calls is started, and continued after every poll() here, which has the caller's
 * deadline. Past it the library is told that time is over and unwinds by itself.
 */
#include <store/mysql/db.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <mysql.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define MY_COLUMNS 24
#define MY_ARGS 16

/* A row of at most the largest event, with its names. */
#define MY_ROW_MAX (64u << 20)

struct my_db {
	MYSQL *my;
	const struct my_plan *plan;
	MYSQL_STMT *stmt[MY_TEXTS];
	int64_t max_packet;  /* what the server takes */
	int64_t deadline_us; /* of the call that runs */
	bool late;           /* it has passed */
	bool broken;         /* not to be used again */
	struct cv_buf row;
};

/* ---- waiting -------------------------------------------------------------------------- */

/* Wait for what the library wants. @return what to tell it */
static int my_wait(struct my_db *db, int status)
{
	struct pollfd fd = {.fd = mysql_get_socket(db->my)};
	int64_t left_ms;
	int n;

	if (status & MYSQL_WAIT_READ)
		fd.events |= POLLIN;
	if (status & MYSQL_WAIT_WRITE)
		fd.events |= POLLOUT;
	if (status & MYSQL_WAIT_EXCEPT)
		fd.events |= POLLPRI;
	do {
		left_ms = (db->deadline_us - cv_clock_mono_us() + 999) / 1000;
		if (db->late || left_ms <= 0) {
			db->late = true;
			return MYSQL_WAIT_TIMEOUT;
		}
		n = poll(&fd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	/* An error of the socket is for the library to find. */
	if (fd.revents & (POLLERR | POLLHUP | POLLNVAL))
		return status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT);
	return (fd.revents & POLLIN ? MYSQL_WAIT_READ : 0) |
	       (fd.revents & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
	       (fd.revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

/* Run a call of the library to its end: my_wait_for(db, status = f_start(...), f_cont(...)). */
#define MY_WAIT(db, start, cont)                        \
	do {                                            \
		int status = (start);                   \
		while (status) {                        \
			status = my_wait((db), status); \
			status = (cont);                \
		}                                       \
	} while (0)

static void my_begin(struct my_db *db, int64_t deadline_us)
{
	db->deadline_us = deadline_us;
	db->late = false;
}

/* ---- errors --------------------------------------------------------------------------- */

/* What the caller can do about a refusal. */
static const struct my_refusal {
	unsigned number;
	int code;
	enum { MY_SAYS, MY_HUSHED, MY_STALE, MY_GONE } how;
} my_refusals[] = {
	/* MY_HUSHED: the server's text may repeat the data. MY_STALE: it still answers, but another
	 * connection may find a better server. MY_GONE: the connection is lost. */
	{1205, MY_AGAIN, MY_SAYS}, /* lock wait */
	{1213, MY_AGAIN, MY_SAYS}, /* deadlock, or the other writer of a cluster */
	{1020, MY_AGAIN, MY_SAYS}, /* the row has changed since */
	{1615, MY_AGAIN, MY_SAYS}, /* to be prepared again */
	{1062, CONVO_E_EXISTS, MY_HUSHED},
	{1644, CONVO_E_TOOBIG, MY_HUSHED}, /* raised by our procedures */
	{1153, CONVO_E_TOOBIG, MY_GONE},   /* max_allowed_packet */
	{1301, CONVO_E_TOOBIG, MY_SAYS},   /* the same, of a result within the server */
	{1406, CONVO_E_TOOBIG, MY_HUSHED},
	{1118, CONVO_E_TOOBIG, MY_SAYS},
	{1044, CONVO_E_DENIED, MY_SAYS},
	{1045, CONVO_E_DENIED, MY_SAYS},
	{1142, CONVO_E_DENIED, MY_SAYS},
	{1143, CONVO_E_DENIED, MY_SAYS},
	{1227, CONVO_E_DENIED, MY_SAYS},
	{1370, CONVO_E_DENIED, MY_SAYS},
	{1698, CONVO_E_DENIED, MY_SAYS},
	{1820, CONVO_E_DENIED, MY_SAYS},
	{1862, CONVO_E_DENIED, MY_SAYS},
	{3118, CONVO_E_DENIED, MY_SAYS},
	{4151, CONVO_E_DENIED, MY_SAYS},
	{2059, CONVO_E_DENIED, MY_SAYS},  /* an authentication plugin that we lack */
	{1054, CONVO_E_VERSION, MY_SAYS}, /* no such column, table, procedure: not our schema */
	{1146, CONVO_E_VERSION, MY_SAYS},
	{1305, CONVO_E_VERSION, MY_SAYS},
	{1318, CONVO_E_VERSION, MY_SAYS},
	{1366, CONVO_E_INVALID, MY_HUSHED},
	{3140, CONVO_E_INVALID, MY_HUSHED}, /* not JSON, says MySQL; and MariaDB */
	{4025, CONVO_E_INVALID, MY_HUSHED},
	{1969, CONVO_E_TIMEOUT, MY_SAYS}, /* a limit of the administrator's */
	{3024, CONVO_E_TIMEOUT, MY_SAYS},
	{1290, CONVO_E_IO, MY_STALE}, /* read-only */
	{1792, CONVO_E_IO, MY_STALE},
	{1836, CONVO_E_IO, MY_STALE},
	{1047, CONVO_E_IO, MY_STALE}, /* a node that has lost its cluster */
	{1053, CONVO_E_IO, MY_GONE},  /* shutting down */
	{1158, CONVO_E_IO, MY_GONE},
	{1159, CONVO_E_IO, MY_GONE},
	{1160, CONVO_E_IO, MY_GONE},
	{1161, CONVO_E_IO, MY_GONE},
	{1317, CONVO_E_IO, MY_GONE}, /* interrupted */
	{1243, CONVO_E_IO, MY_GONE}, /* a statement that a proxy has lost */
	{1927, CONVO_E_IO, MY_GONE}, /* killed */
	{2000, CONVO_E_IO, MY_GONE},
	{2006, CONVO_E_IO, MY_GONE},
	{2008, CONVO_E_NOMEM, MY_GONE},
	{2012, CONVO_E_IO, MY_GONE},
	{2013, CONVO_E_IO, MY_GONE},
	{2014, CONVO_E_IO, MY_GONE},
	{2020, CONVO_E_TOOBIG, MY_GONE},
	{2026, CONVO_E_IO, MY_GONE}, /* TLS */
	{2027, CONVO_E_IO, MY_GONE},
	{2055, CONVO_E_IO, MY_GONE},
	{0, CONVO_E_IO, MY_SAYS},
};

static const struct my_refusal *my_refusal_of(unsigned number)
{
	const struct my_refusal *refusal = my_refusals;

	while (refusal->number && refusal->number != number)
		refusal++;
	return refusal;
}

/* Fill `err` for the error that the library has told. */
static int my_refused(struct my_db *db, unsigned number, const char *text, enum pool_fate *fate,
		      struct convo_err *err)
{
	const struct my_refusal *refusal = my_refusal_of(number);

	if (db->late || refusal->how == MY_GONE)
		*fate = POOL_LOST;
	if (refusal->how == MY_STALE)
		db->broken = true;
	if (db->late)
		return cv_fail_maybe(err, CONVO_E_TIMEOUT, "%s: no answer in time",
				     db->plan->where);
	if (refusal->how == MY_HUSHED)
		text = "the server refused the data";
	if (refusal->how == MY_GONE && refusal->code == CONVO_E_IO)
		return cv_fail_maybe(err, CONVO_E_IO, "%s: connection lost (%s)", db->plan->where,
				     text);
	cv_fail(err, refusal->code, "%s: %s", db->plan->where, text);
	return refusal->code;
}

/* ---- plain statements ----------------------------------------------------------------- */

static int my_plain_failed(struct my_db *db, enum pool_fate *fate, struct convo_err *err)
{
	return my_refused(db, mysql_errno(db->my), mysql_error(db->my), fate, err);
}

/* Run a statement without parameters, for setting up and for migrations. The first column of the
 * first row is read as a number. */
static int my_plain(struct my_db *db, const char *sql, int64_t *value, bool *found,
		    enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_RES *res = NULL;
	MYSQL_ROW row;
	int failed;

	MY_WAIT(db, mysql_real_query_start(&failed, db->my, sql, strlen(sql)),
		mysql_real_query_cont(&failed, db->my, status));
	if (failed)
		return my_plain_failed(db, fate, err);
	MY_WAIT(db, mysql_store_result_start(&res, db->my),
		mysql_store_result_cont(&res, db->my, status));
	if (!res)
		return mysql_errno(db->my) ? my_plain_failed(db, fate, err) : 0;
	row = mysql_fetch_row(res);
	if (value && row && row[0]) {
		*found = true;
		*value = strtoll(row[0], NULL, 10);
	}
	mysql_free_result(res);
	return 0;
}

/* ---- connecting ----------------------------------------------------------------------- */

static void my_library_init(void)
{
	mysql_library_init(0, NULL, NULL);
}

static struct my_db *my_new(const struct my_plan *plan, struct convo_err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct my_db *db = cv_alloc(1, sizeof(*db));

	pthread_once(&once, my_library_init);
	if (db) {
		db->plan = plan;
		db->row.max = MY_ROW_MAX;
		db->my = mysql_init(NULL);
	}
	if (db && db->my)
		return db;
	free(db);
	cv_fail_nomem(err);
	return NULL;
}

static int my_set_options(struct my_db *db, struct convo_err *err)
{
	const struct my_plan *plan = db->plan;
	const my_bool on = 1;
	const unsigned off = 0, tcp = MYSQL_PROTOCOL_TCP;
	int bad = mysql_options(db->my, MYSQL_OPT_NONBLOCK, NULL);

	bad |= mysql_options(db->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	/* A server must not be able to ask for files. */
	bad |= mysql_options(db->my, MYSQL_OPT_LOCAL_INFILE, &off);
	/* The library would take "localhost" for a socket that nobody has named. */
	if (!plan->socket)
		bad |= mysql_options(db->my, MYSQL_OPT_PROTOCOL, &tcp);
	if (plan->tls) {
		bad |= mysql_options(db->my, MYSQL_OPT_SSL_ENFORCE, &on);
		bad |= mysql_ssl_set(db->my, plan->key, plan->cert, plan->ca, NULL, NULL);
		if (plan->verify)
			bad |= mysql_options(db->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
	}
	return bad ? cv_fail_nomem(err) : 0;
}

static int my_connect(struct my_db *db, const char *database, unsigned *number,
		      struct convo_err *err)
{
	const struct my_plan *plan = db->plan;
	enum pool_fate fate;
	MYSQL *ret = NULL;
	int rc;

	/* The socket does not exist before the first start has returned. */
	MY_WAIT(db,
		mysql_real_connect_start(&ret, db->my, plan->host, plan->user, plan->password,
					 database, plan->port, plan->socket, 0),
		mysql_real_connect_cont(&ret, db->my, status));
	if (ret)
		return 0;
	*number = mysql_errno(db->my);
	if (db->late)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: cannot connect in time", plan->where);
	rc = my_refused(db, *number, mysql_error(db->my), &fate, err);
	if (rc == CONVO_E_IO)
		cv_fail(err, rc, "%s: %s", plan->where, mysql_error(db->my));
	return rc;
}

/* What our statements rely on, whatever the server's defaults are. */
static int my_set_up(struct my_db *db, struct convo_err *err)
{
	enum pool_fate fate;
	bool found = false;
	char sql[256];
	int rc;

	snprintf(sql, sizeof(sql),
		 "SET SESSION autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = "
		 "%lld, "
		 "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		 (long long)db->plan->lock_wait_s);
	rc = my_plain(db, sql, NULL, NULL, &fate, err);
	if (rc == 0)
		rc = my_plain(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", NULL,
			      NULL, &fate, err);
	if (rc == 0)
		rc = my_plain(db, "SELECT @@max_allowed_packet", &db->max_packet, &found, &fate,
			      err);
	return rc;
}

/* Connect and set up; `number` is the server's error. */
static struct my_db *my_open(const struct my_plan *plan, const char *database, int64_t deadline_us,
			     unsigned *number, struct convo_err *err)
{
	struct my_db *db = my_new(plan, err);
	int rc;

	*number = 0;
	if (!db)
		return NULL;
	my_begin(db, deadline_us);
	rc = my_set_options(db, err);
	if (rc == 0)
		rc = my_connect(db, database, number, err);
	if (rc == 0)
		rc = my_set_up(db, err);
	if (rc == 0)
		return db;
	db->broken = true;
	cv_my_close(db);
	return NULL;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it. Somebody else may do so at the same moment. */
static int my_create_database(const struct my_plan *plan, int64_t deadline_us,
			      struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	const char *p = plan->database;
	unsigned number;
	struct my_db *db = my_open(plan, NULL, deadline_us, &number, err);
	int rc;

	if (!db)
		return CONVO_E_IO;
	rc = cv_buf_adds(&sql, "CREATE DATABASE IF NOT EXISTS `");
	for (; rc == 0 && *p; p++)
		rc = cv_buf_addf(&sql, *p == '`' ? "`%c" : "%c", *p);
	if (rc == 0)
		rc = cv_buf_adds(&sql, "` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
	if (rc < 0)
		cv_buf_fail(err, rc);
	else
		rc = my_plain(db, sql.data, NULL, NULL, &fate, err);
	cv_buf_clear(&sql);
	cv_my_close(db);
	return rc;
}

struct my_db *cv_my_open(const struct my_plan *plan, int64_t deadline_us, struct convo_err *err)
{
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open(plan, plan->database, deadline_us, &number, &why);

	/* 1049: it is missing. 1044: it is, or this user may not know. */
	if (!db && number == 1049 && plan->create_database) {
		if (my_create_database(plan, deadline_us, err) < 0)
			return NULL;
		return my_open(plan, plan->database, deadline_us, &number, err);
	}
	if (!db && err)
		*err = why;
	return db;
}

void cv_my_close(struct my_db *db)
{
	size_t i;

	if (!db)
		return;
	/* The library says goodbye, and must not wait for anybody to take it. */
	if (db->broken && mysql_get_socket(db->my) >= 0)
		shutdown(mysql_get_socket(db->my), SHUT_RDWR);
	for (i = 0; i < MY_TEXTS; i++) {
		if (db->stmt[i])
			mysql_stmt_close(db->stmt[i]);
	}
	mysql_close(db->my);
	cv_buf_clear(&db->row);
	free(db);
}

bool cv_my_usable(const struct my_db *db)
{
	struct pollfd fd = {.fd = mysql_get_socket(db->my), .events = POLLIN};

	/* An idle server says nothing; what there is to read is its farewell. */
	return !db->broken && fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

/* ---- prepared statements -------------------------------------------------------------- */

static int my_failed(struct my_db *db, MYSQL_STMT *stmt, enum pool_fate *fate,
		     struct convo_err *err)
{
	return my_refused(db, mysql_stmt_errno(stmt), mysql_stmt_error(stmt), fate, err);
}

static int my_prepare(struct my_db *db, size_t text, enum pool_fate *fate, struct convo_err *err)
{
	const char *sql = db->plan->texts[text];
	MYSQL_STMT *stmt;
	int failed, rc = 0;

	if (db->stmt[text])
		return 0;
	stmt = mysql_stmt_init(db->my);
	if (!stmt)
		return cv_fail_nomem(err);
	MY_WAIT(db, mysql_stmt_prepare_start(&failed, stmt, sql, strlen(sql)),
		mysql_stmt_prepare_cont(&failed, stmt, status));
	if (!failed) {
		db->stmt[text] = stmt;
		return 0;
	}
	rc = my_failed(db, stmt, fate, err);
	/* Whatever happened, nothing has been carried out. */
	if (*fate == POOL_LOST) {
		*fate = POOL_UNSENT;
		db->broken = true;
		shutdown(mysql_get_socket(db->my), SHUT_RDWR);
	}
	mysql_stmt_close(stmt);
	return rc;
}

static void my_bind(MYSQL_BIND *bind, unsigned long *length, const struct my_arg *arg)
{
	memset(bind, 0, sizeof(*bind));
	switch (arg->kind) {
	case MY_NULL:
		bind->buffer_type = MYSQL_TYPE_NULL;
		break;
	case MY_INT:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->buffer = (void *)(uintptr_t)&arg->number;
		break;
	case MY_BYTES:
		/* As a string: JSON columns of MySQL refuse what is marked as binary. */
		bind->buffer_type = MYSQL_TYPE_STRING;
		bind->buffer = (void *)(uintptr_t)arg->bytes.data;
		*length = arg->bytes.len;
		bind->buffer_length = *length;
		bind->length = length;
		break;
	}
}

static int my_execute(struct my_db *db, MYSQL_STMT *stmt, const struct my_query *query,
		      enum pool_fate *fate, struct convo_err *err)
{
	unsigned long length[MY_ARGS];
	MYSQL_BIND bind[MY_ARGS];
	size_t i, bytes = 1024;
	int failed;

	for (i = 0; i < query->arg_count; i++) {
		my_bind(&bind[i], &length[i], &query->args[i]);
		bytes += 16 + query->args[i].bytes.len;
	}
	if ((int64_t)bytes > db->max_packet)
		return cv_fail(err, CONVO_E_TOOBIG,
			       "%s: %zu bytes are more than its max_allowed_packet of %lld",
			       db->plan->where, bytes, (long long)db->max_packet);
	if (query->arg_count && mysql_stmt_bind_param(stmt, bind))
		return my_failed(db, stmt, fate, err);
	MY_WAIT(db, mysql_stmt_execute_start(&failed, stmt),
		mysql_stmt_execute_cont(&failed, stmt, status));
	return failed ? my_failed(db, stmt, fate, err) : 0;
}

/* What a result is read into. */
struct my_result {
	MYSQL_BIND bind[MY_COLUMNS];
	struct my_column column[MY_COLUMNS];
	unsigned long length[MY_COLUMNS];
	my_bool null[MY_COLUMNS];
	unsigned count;
};

static bool my_is_number(enum enum_field_types type)
{
	return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_LONG ||
	       type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONGLONG ||
	       type == MYSQL_TYPE_NEWDECIMAL || type == MYSQL_TYPE_NULL;
}

/* Numbers are read with the row; of bytes only their length, and they themselves once there is
 * room for them. */
static int my_result_init(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			  enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_FIELD *field = mariadb_stmt_fetch_fields(stmt);
	unsigned i;

	memset(result, 0, sizeof(*result));
	result->count = mysql_stmt_field_count(stmt);
	if (result->count > MY_COLUMNS || !field) {
		*fate = POOL_LOST;
		return cv_fail(err, CONVO_E_VERSION, "%s: its schema is not convo's",
			       db->plan->where);
	}
	for (i = 0; i < result->count; i++) {
		MYSQL_BIND *bind = &result->bind[i];

		bind->is_null = &result->null[i];
		bind->length = &result->length[i];
		bind->buffer_type = MYSQL_TYPE_STRING;
		if (my_is_number(field[i].type)) {
			bind->buffer_type = MYSQL_TYPE_LONGLONG;
			bind->buffer = &result->column[i].number;
		}
	}
	return mysql_stmt_bind_result(stmt, result->bind) ? my_failed(db, stmt, fate, err) : 0;
}

/* Read the bytes of the row that was fetched. */
static int my_result_bytes(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			   struct convo_err *err)
{
	size_t need = 0;
	unsigned i;
	char *at;

	for (i = 0; i < result->count; i++) {
		result->column[i].bytes = (struct cv_text){0};
		if (result->null[i])
			result->column[i].number = 0;
		else if (result->bind[i].buffer_type == MYSQL_TYPE_STRING)
			need += result->length[i] + 1;
	}
	cv_buf_reset(&db->row);
	at = cv_buf_room(&db->row, need);
	if (need && !at)
		return cv_fail_nomem(err);
	for (i = 0; i < result->count; i++) {
		MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_STRING};

		if (result->null[i] || result->bind[i].buffer_type != MYSQL_TYPE_STRING)
			continue;
		bind.buffer = at;
		bind.buffer_length = result->length[i] + 1;
		bind.length = &bind.length_value;
		if (mysql_stmt_fetch_column(stmt, &bind, i, 0))
			return cv_fail(err, CONVO_E_IO, "%s: cannot read a row", db->plan->where);
		result->column[i].bytes = (struct cv_text){at, result->length[i]};
		at += result->length[i] + 1;
	}
	return 0;
}

/* Take all rows of one result. `rc` is that of the results before it: after a failure the rest is
 * read and forgotten. */
static int my_take(struct my_db *db, MYSQL_STMT *stmt, struct my_query *query, int rc,
		   enum pool_fate *fate, struct convo_err *err)
{
	struct my_result result;
	int fetched, failed = my_result_init(db, &result, stmt, fate, rc ? NULL : err);

	if (failed)
		return rc ? rc : failed;
	for (;;) {
		MY_WAIT(db, mysql_stmt_fetch_start(&fetched, stmt),
			mysql_stmt_fetch_cont(&fetched, stmt, status));
		if (fetched == MYSQL_NO_DATA)
			return rc;
		if (fetched != 0 && fetched != MYSQL_DATA_TRUNCATED) {
			failed = my_failed(db, stmt, fate, rc ? NULL : err);
			return rc ? rc : failed;
		}
		if (rc == 0 && query->row)
			rc = my_result_bytes(db, &result, stmt, err);
		if (rc == 0 && query->row)
			rc = query->row(query->ctx, result.column, err);
	}
}

static int my_take_all(struct my_db *db, MYSQL_STMT *stmt, struct my_query *query,
		       enum pool_fate *fate, struct convo_err *err)
{
	int more, rc = 0;

	query->changed = (int64_t)mysql_stmt_affected_rows(stmt);
	for (;;) {
		if (mysql_stmt_field_count(stmt))
			rc = my_take(db, stmt, query, rc, fate, err);
		if (*fate != POOL_KEEP || !mysql_stmt_more_results(stmt))
			return rc;
		MY_WAIT(db, mysql_stmt_next_result_start(&more, stmt),
			mysql_stmt_next_result_cont(&more, stmt, status));
		if (more > 0) {
			more = my_failed(db, stmt, fate, rc ? NULL : err);
			return rc ? rc : more;
		}
		if (more < 0)
			return rc;
	}
}

int cv_my_run(struct my_db *db, struct my_query *query, int64_t deadline_us, enum pool_fate *fate,
	      struct convo_err *err)
{
	MYSQL_STMT *stmt;
	int rc;

	query->changed = query->detail = 0;
	if (query->begin)
		query->begin(query->ctx);
	my_begin(db, deadline_us);
	rc = my_prepare(db, query->text, fate, err);
	if (rc)
		return rc;
	stmt = db->stmt[query->text];
	rc = my_execute(db, stmt, query, fate, err);
	if (rc == CONVO_E_TOOBIG && mysql_stmt_errno(stmt) == 1644)
		query->detail = strtoll(mysql_stmt_error(stmt), NULL, 10);
	if (rc == 0)
		rc = my_take_all(db, stmt, query, fate, err);
	if (*fate == POOL_KEEP)
		mysql_stmt_free_result(stmt);
	else
		db->broken = true;
	return rc;
}

/* ---- migrations ----------------------------------------------------------------------- */

struct my_migration {
	struct my_db *db;
	const char *prefix;
	int64_t deadline_us;
	enum pool_fate *fate;
};

static int my_migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			    struct convo_err *err)
{
	struct my_migration *m = ctx;

	*found = false;
	return my_plain(m->db, sql, value, found, m->fate, err);
}

static int my_migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	struct my_migration *m = ctx;
	int rc;

	do
		rc = my_plain(m->db, sql, NULL, NULL, m->fate, err);
	while (rc == MY_AGAIN && cv_clock_mono_us() < m->deadline_us);
	return rc == MY_AGAIN ? CONVO_E_TIMEOUT : rc;
}

#define MY_LOCK "CONCAT('convo_', MD5(CONCAT(DATABASE(), '.%s')))"

static int my_migration_begin(void *ctx, struct convo_err *err)
{
	struct my_migration *m = ctx;
	int64_t got = 0;
	bool found;
	char sql[160];
	int rc;

	snprintf(sql, sizeof(sql), "SELECT GET_LOCK(" MY_LOCK ", 3600)", m->prefix);
	rc = my_migration_get(ctx, sql, &got, &found, err);
	if (rc == 0 && got != 1)
		rc = cv_fail(err, CONVO_E_IO, "%s: cannot lock its schema", m->db->plan->where);
	return rc;
}

static int my_migration_end(void *ctx, int rc, struct convo_err *err)
{
	struct my_migration *m = ctx;
	struct convo_err ignored;
	char sql[160];
	int unlocked;

	if (*m->fate != POOL_KEEP)
		return rc;
	snprintf(sql, sizeof(sql), "DO RELEASE_LOCK(" MY_LOCK ")", m->prefix);
	unlocked = my_migration_exec(ctx, sql, rc < 0 ? &ignored : err);
	return rc < 0 ? rc : unlocked;
}

int cv_my_migrate(struct my_db *db, const struct sql_dialect *dialect, const char *prefix,
		  bool check, int64_t deadline_us, enum pool_fate *fate, struct convo_err *err)
{
	struct my_migration m = {db, prefix, deadline_us, fate};
	struct sql_conn conn = {
		.ctx = &m,
		.where = db->plan->where,
		.get = my_migration_get,
		.exec = my_migration_exec,
		.begin = my_migration_begin,
		.end = my_migration_end,
	};
	int rc;

	my_begin(db, deadline_us);
	rc = cv_sql_migrate(dialect, &conn, prefix, check, err);
	if (*fate != POOL_KEEP)
		db->broken = true;
	return rc;
}
