/*
 * A connection to MySQL or MariaDB; see db.h. The library is used in its non-blocking way:
 * each of its calls is started, and continued after every poll() here, which has the caller's
 * deadline. Past it the library is told that time is over and unwinds by itself.
 */
#include <store/mysql/db.h>

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <mysql.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/resolve.h>

#define MY_COLUMNS 32
#define MY_ARGS 16 /* of most statements; those of more take memory */

/* Most that the server may send at once: the largest event, with its names. */
#define MY_PACKET_MAX (64ul << 20)

struct my_db {
	MYSQL *my;
	const struct my_plan *plan;
	MYSQL_STMT *stmt[MY_TEXTS];
	int64_t max_packet;             /* what the server takes */
	const struct store_call *call;  /* that runs */
	const struct pool_stops *stops; /* see cv_my_stop_by() */
	enum { MY_ON, MY_LATE, MY_STOPPED } ended;
	bool broken;       /* not to be used again */
	bool mariadb;      /* not MySQL */
	struct cv_buf row; /* what a row is read into, and what of it was too long for that */
	struct cv_buf more;
	void *many; /* a MYSQL_BIND for each parameter of the largest statement */
	size_t many_room;
};

const struct my_plan *cv_my_plan_of(const struct my_db *db)
{
	return db->plan;
}

/* ---- waiting -------------------------------------------------------------------------- */

void cv_my_stop_by(struct my_db *db, const struct pool_stops *stops)
{
	assert(!stops || stops->count <= MY_STOPS);
	db->stops = stops;
}

static const convo_cancel *my_stop(const struct my_db *db, size_t i)
{
	if (db->stops)
		return i < db->stops->count ? db->stops->cancel[i] : NULL;
	return i ? NULL : db->call->cancel;
}

static bool my_stopped(const struct my_db *db)
{
	size_t i = 0;

	while (my_stop(db, i) && !convo_cancel_requested(my_stop(db, i)))
		i++;
	return my_stop(db, i) != NULL;
}

static bool my_ended(struct my_db *db, int64_t left_ms)
{
	if (db->ended == MY_ON && my_stopped(db))
		db->ended = MY_STOPPED;
	else if (db->ended == MY_ON && left_ms <= 0)
		db->ended = MY_LATE;
	return db->ended != MY_ON;
}

/* Wait for what the library wants. @return what to tell it */
static int my_wait(struct my_db *db, int status)
{
	struct pollfd fd[1 + MY_STOPS] = {{.fd = mysql_get_socket(db->my)}};
	nfds_t count = 1;
	int64_t left_ms;
	int n;

	if (status & MYSQL_WAIT_READ)
		fd[0].events |= POLLIN;
	if (status & MYSQL_WAIT_WRITE)
		fd[0].events |= POLLOUT;
	if (status & MYSQL_WAIT_EXCEPT)
		fd[0].events |= POLLPRI;
	for (; my_stop(db, count - 1); count++)
		fd[count] = (struct pollfd){.fd = convo_cancel_fd(my_stop(db, count - 1)),
					    .events = POLLIN};
	do {
		left_ms = (db->call->deadline_us - cv_clock_mono_us() + 999) / 1000;
		if (my_ended(db, left_ms))
			return MYSQL_WAIT_TIMEOUT;
		n = poll(fd, count, left_ms > 60000 ? 60000 : (int)left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR) || !fd[0].revents);
	/* An error of the socket is for the library to find. */
	if (fd[0].revents & (POLLERR | POLLHUP | POLLNVAL))
		return status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT);
	return (fd[0].revents & POLLIN ? MYSQL_WAIT_READ : 0) |
	       (fd[0].revents & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
	       (fd[0].revents & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

/* Run a call of the library to its end: MY_WAIT(db, f_start(...), f_cont(..., status)). */
#define MY_WAIT(db, start, cont)                        \
	do {                                            \
		int status = (start);                   \
		while (status) {                        \
			status = my_wait((db), status); \
			status = (cont);                \
		}                                       \
	} while (0)

static void my_begin(struct my_db *db, const struct store_call *call)
{
	db->call = call;
	db->ended = MY_ON;
}

/* ---- errors --------------------------------------------------------------------------- */

/* Fill `err` for the error that the library has told. */
static int my_refused(struct my_db *db, unsigned number, const char *text, enum pool_fate *fate,
		      struct convo_err *err)
{
	enum my_how how = cv_my_how(number, text);

	if (db->ended != MY_ON || how == MY_GONE)
		*fate = POOL_LOST;
	if (*fate != POOL_KEEP || how == MY_STALE)
		db->broken = true;
	if (db->ended == MY_LATE)
		return cv_fail_maybe(err, CONVO_E_TIMEOUT, "%s: no answer in time",
				     db->plan->where);
	if (db->ended == MY_STOPPED)
		return cv_fail_maybe(err, CONVO_E_CANCELED, "%s: canceled", db->plan->where);
	return cv_my_refuse(db->plan, number, text, true, err);
}

/* ---- plain statements ----------------------------------------------------------------- */

static int my_plain_failed(struct my_db *db, enum pool_fate *fate, struct convo_err *err)
{
	return my_refused(db, mysql_errno(db->my), mysql_error(db->my), fate, err);
}

/* Run a statement without parameters, for setting up and for migrations. The first column of the
 * first row is read as a number. */
static int my_ask(struct my_db *db, const char *sql, int64_t *value, bool *found,
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
	if (value && row && mysql_num_fields(res) && row[0]) {
		*found = true;
		*value = strtoll(row[0], NULL, 10);
	}
	mysql_free_result(res);
	return 0;
}

int cv_my_plain(struct my_db *db, const char *sql, int64_t *value, bool *found,
		const struct store_call *call, enum pool_fate *fate, struct convo_err *err)
{
	my_begin(db, call);
	store_work_trip(call);
	return my_ask(db, sql, value, found, fate, err);
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
	const my_bool tls = plan->tls, verify = plan->verify;
	const unsigned off = 0, tcp = MYSQL_PROTOCOL_TCP;
	const unsigned long most = MY_PACKET_MAX;
	int bad = mysql_options(db->my, MYSQL_OPT_NONBLOCK, NULL);

	bad |= mysql_options(db->my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	bad |= mysql_options(db->my, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
	/* A server must not be able to ask for files. */
	bad |= mysql_options(db->my, MYSQL_OPT_LOCAL_INFILE, &off);
	/* The library would take "localhost" for a socket that nobody has named. */
	if (!plan->socket)
		bad |= mysql_options(db->my, MYSQL_OPT_PROTOCOL, &tcp);
	if (plan->tls)
		bad |= mysql_ssl_set(db->my, plan->key, plan->cert, plan->ca, NULL, NULL);
	/* Both are said always: what they are without that depends on the version. */
	bad |= mysql_options(db->my, MYSQL_OPT_SSL_ENFORCE, &tls);
	bad |= mysql_options(db->my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	return bad ? cv_fail_nomem(err) : 0;
}

/* CLIENT_FOUND_ROWS: rows count as changed that already were as they are to be. */
static int my_connect(struct my_db *db, const char *address, const char *database, unsigned *number,
		      struct convo_err *err)
{
	const struct my_plan *plan = db->plan;
	MYSQL *ret = NULL;
	int status =
		mysql_real_connect_start(&ret, db->my, address, plan->user, plan->password,
					 database, plan->port, plan->socket, CLIENT_FOUND_ROWS);

	while (status) {
		/* The socket does not exist before the first start has returned. */
		status = my_wait(db, status);
		status = mysql_real_connect_cont(&ret, db->my, status);
	}
	if (ret)
		return 0;
	*number = mysql_errno(db->my);
	if (db->ended == MY_LATE)
		return cv_fail(err, CONVO_E_TIMEOUT, "%s: cannot connect in time", plan->where);
	if (db->ended == MY_STOPPED)
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", plan->where);
	return cv_my_refuse(plan, *number, mysql_error(db->my), false, err);
}

/* What our statements rely on, whatever the server's defaults are. */
static int my_set_up(struct my_db *db, struct convo_err *err)
{
	const long long wait_s = db->plan->lock_wait_s;
	enum pool_fate fate = POOL_KEEP;
	bool found = false;
	char sql[320];
	int rc;

	db->mariadb = strstr(mysql_get_server_info(db->my), "MariaDB") != NULL;
	snprintf(sql, sizeof(sql),
		 "SET SESSION autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = "
		 "%lld, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		 wait_s);
	if (db->mariadb)
		snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql),
			 ", idle_transaction_timeout = %lld", wait_s + 1);
	rc = my_ask(db, sql, NULL, NULL, &fate, err);
	if (rc)
		return rc;
	rc = my_ask(db, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", NULL, NULL, &fate,
		    err);
	if (rc)
		return rc;
	return my_ask(db, "SELECT @@max_allowed_packet", &db->max_packet, &found, &fate, err);
}

/* Connect to an address, NULL for the socket, and set up; `number` is the server's error. */
static struct my_db *my_open(const struct my_plan *plan, const char *address, const char *database,
			     const struct store_call *call, unsigned *number, struct convo_err *err)
{
	struct my_db *db = my_new(plan, err);

	*number = 0;
	if (!db)
		return NULL;
	my_begin(db, call);
	if (my_set_options(db, err) != 0)
		goto fail;
	if (my_connect(db, address, database, number, err) != 0)
		goto fail;
	if (my_set_up(db, err) != 0)
		goto fail;
	return db;
fail:
	db->broken = true;
	cv_my_close(db);
	return NULL;
}

/* A share of the time that is left, for one of several addresses. */
static struct store_call my_share(const struct store_call *call, const struct addrinfo *address)
{
	struct store_call share = *call;
	int64_t now_us = cv_clock_mono_us(), left = 0;

	for (; address; address = address->ai_next)
		left++;
	if (call->deadline_us > now_us)
		share.deadline_us = now_us + (call->deadline_us - now_us) / left;
	return share;
}

/*
 * Connect to the first of the host's addresses that can be connected to. With a certificate to be
 * verified it is the library that goes through them: the name is looked up here first, so that a
 * name server which is silent costs the timeout and no more.
 */
static struct my_db *my_open_any(const struct my_plan *plan, const char *database,
				 const struct store_call *call, unsigned *number,
				 struct convo_err *err)
{
	struct addrinfo *list = NULL, *at;
	struct my_db *db = NULL;
	struct convo_err why;
	int rc;

	if (plan->socket)
		return my_open(plan, NULL, database, call, number, err);
	*number = 0;
	rc = cv_resolve(&list, plan->host, (int)plan->port, call->deadline_us, &why);
	if (rc < 0) {
		cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s", plan->where, why.text);
		return NULL;
	}
	if (plan->verify) { /* a certificate is compared with what the library is given */
		db = my_open(plan, plan->host, database, call, number, err);
		goto out;
	}
	why.code = CONVO_E_GONE;
	for (at = list; at && !db && why.code == CONVO_E_GONE; at = at->ai_next) {
		struct store_call share = my_share(call, at);
		char address[NI_MAXHOST];

		if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) == 0)
			db = my_open(plan, address, database, &share, number, &why);
		if (!db && why.code == CONVO_E_TIMEOUT && at->ai_next)
			why.code = CONVO_E_GONE;
	}
	if (!db && err)
		*err = why;
out:
	freeaddrinfo(list);
	return db;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it. Somebody else may do so at the same moment. */
static int my_create_database(const struct my_plan *plan, const struct store_call *call,
			      struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	const char *p = plan->database;
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open_any(plan, NULL, call, &number, &why);
	int rc;

	if (!db)
		return cv_fail(err, why.code, "%s", why.text);
	rc = cv_buf_adds(&sql, "CREATE DATABASE IF NOT EXISTS `");
	for (; rc == 0 && *p; p++)
		rc = cv_buf_addf(&sql, *p == '`' ? "`%c" : "%c", *p);
	if (rc == 0)
		rc = cv_buf_adds(&sql, "` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
	if (rc < 0)
		cv_buf_fail(err, rc);
	else
		rc = cv_my_plain(db, sql.data, NULL, NULL, call, &fate, err);
	cv_buf_clear(&sql);
	cv_my_close(db);
	return rc;
}

struct my_db *cv_my_open(const struct my_plan *plan, const struct store_call *call,
			 struct convo_err *err)
{
	struct convo_err why;
	unsigned number;
	struct my_db *db = my_open_any(plan, plan->database, call, &number, &why);

	/* 1049: it is missing. 1044: it is, or this user may not know. */
	if (!db && number == 1049 && plan->create_database) {
		if (my_create_database(plan, call, err) != 0)
			return NULL;
		return my_open_any(plan, plan->database, call, &number, err);
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
	cv_buf_clear(&db->more);
	free(db->many);
	free(db);
}

bool cv_my_usable(const struct my_db *db)
{
	struct pollfd fd = {.fd = mysql_get_socket(db->my), .events = POLLIN};

	/* An idle server says nothing; what there is to read is its farewell. */
	return !db->broken && fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

bool cv_my_skips(const struct my_db *db)
{
	return db->mariadb || mysql_get_server_version(db->my) >= 80001;
}

/* ---- prepared statements -------------------------------------------------------------- */

static int my_failed(struct my_db *db, MYSQL_STMT *stmt, enum pool_fate *fate,
		     struct convo_err *err)
{
	/* What goes wrong between two rows is told by the connection alone. */
	if (!mysql_stmt_errno(stmt))
		return my_plain_failed(db, fate, err);
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
		shutdown(mysql_get_socket(db->my), SHUT_RDWR);
	}
	mysql_stmt_close(stmt);
	return rc;
}

static void my_bind(MYSQL_BIND *bind, const struct sql_value *arg)
{
	memset(bind, 0, sizeof(*bind));
	switch (arg->kind) {
	case SQL_NULL:
		bind->buffer_type = MYSQL_TYPE_NULL;
		break;
	case SQL_INT:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		bind->buffer = (void *)(uintptr_t)&arg->number;
		break;
	default:
		/* As a string: JSON columns of MySQL refuse what is marked as binary. */
		bind->buffer_type = MYSQL_TYPE_STRING;
		bind->buffer = (void *)(uintptr_t)arg->text.data;
		bind->buffer_length = arg->text.len; /* its length, where no other is named */
		break;
	}
}

static int my_execute(struct my_db *db, MYSQL_STMT *stmt, const struct my_query *query,
		      enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_BIND few[MY_ARGS], *bind = few;
	size_t i, bytes = 1024;
	int failed;

	if (query->arg_count > MY_ARGS) {
		if (!cv_grow(&db->many, &db->many_room, query->arg_count, sizeof(*bind)))
			return cv_fail_nomem(err);
		bind = db->many;
	}
	for (i = 0; i < query->arg_count; i++) {
		my_bind(&bind[i], &query->args[i]);
		bytes += 16 + (query->args[i].kind > SQL_INT ? query->args[i].text.len : 0);
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
	struct sql_value value[MY_COLUMNS];
	unsigned long length[MY_COLUMNS], room[MY_COLUMNS]; /* room 0: a number */
	my_bool null[MY_COLUMNS];
	unsigned count;
	bool longer; /* a text was longer than its room, which has grown since */
};

#define MY_ROOM 256ul       /* for a text, at first */
#define MY_ROOM_LONG 1024ul /* for one of a type that is meant for long ones */
#define MY_ROOM_MAX (64ul << 10)

static bool my_is_number(enum enum_field_types type)
{
	return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_LONG ||
	       type == MYSQL_TYPE_INT24 || type == MYSQL_TYPE_LONGLONG ||
	       type == MYSQL_TYPE_NEWDECIMAL;
}

static bool my_is_text(enum enum_field_types type)
{
	return type == MYSQL_TYPE_VAR_STRING || type == MYSQL_TYPE_STRING ||
	       type == MYSQL_TYPE_VARCHAR || type == MYSQL_TYPE_TINY_BLOB ||
	       type == MYSQL_TYPE_MEDIUM_BLOB || type == MYSQL_TYPE_LONG_BLOB ||
	       type == MYSQL_TYPE_BLOB || type == MYSQL_TYPE_JSON || type == MYSQL_TYPE_NULL;
}

/* A server that says something else than was asked for. */
static int my_damaged(struct my_db *db, struct convo_err *err)
{
	db->broken = true;
	return cv_my_damaged(db->plan->where, err);
}

/* Give each text its room. */
static int my_result_bind(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			  enum pool_fate *fate, struct convo_err *err)
{
	size_t need = 1;
	unsigned i;
	char *at;

	for (i = 0; i < result->count; i++)
		need += result->room[i];
	cv_buf_reset(&db->row);
	at = cv_buf_room(&db->row, need);
	if (!at)
		return cv_fail_nomem(err);
	for (i = 0; i < result->count; i++) {
		MYSQL_BIND *bind = &result->bind[i];

		bind->is_null = &result->null[i];
		bind->length = &result->length[i];
		bind->buffer_type = result->room[i] ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONGLONG;
		bind->buffer = result->room[i] ? (void *)at : &result->value[i].number;
		bind->buffer_length = result->room[i];
		at += result->room[i];
	}
	result->longer = false;
	return mysql_stmt_bind_result(stmt, result->bind) ? my_failed(db, stmt, fate, err) : 0;
}

static int my_result_init(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			  enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_FIELD *field = mariadb_stmt_fetch_fields(stmt);
	unsigned i;

	memset(result, 0, sizeof(*result));
	result->count = mysql_stmt_field_count(stmt);
	if (result->count > MY_COLUMNS || !field)
		return my_damaged(db, err);
	for (i = 0; i < result->count; i++) {
		bool is_long =
			field[i].type >= MYSQL_TYPE_TINY_BLOB && field[i].type <= MYSQL_TYPE_BLOB;

		if (my_is_text(field[i].type))
			result->room[i] = is_long || field[i].type == MYSQL_TYPE_JSON ? MY_ROOM_LONG
										      : MY_ROOM;
		else if (!my_is_number(field[i].type))
			return my_damaged(db, err);
	}
	return my_result_bind(db, result, stmt, fate, err);
}

/* Read what of a row had no room, and make more for the next. */
static int my_result_more(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			  struct convo_err *err)
{
	size_t need = 0;
	unsigned i;
	char *at;

	for (i = 0; i < result->count; i++) {
		if (result->room[i] && !result->null[i] && result->length[i] > result->room[i])
			need += result->length[i];
	}
	if (need > MY_PACKET_MAX)
		return cv_sql_damaged(err, db->plan->where);
	cv_buf_reset(&db->more);
	at = cv_buf_room(&db->more, need + 1);
	if (!at)
		return cv_fail_nomem(err);
	for (i = 0; i < result->count; i++) {
		MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_STRING};

		if (!result->room[i] || result->null[i] || result->length[i] <= result->room[i])
			continue;
		bind.buffer = at;
		bind.buffer_length = result->length[i];
		bind.length = &bind.length_value;
		if (mysql_stmt_fetch_column(stmt, &bind, i, 0))
			return cv_sql_damaged(err, db->plan->where);
		result->value[i].text.data = at;
		at += result->length[i];
		result->room[i] = result->length[i] + result->length[i] / 2;
		if (result->room[i] > MY_ROOM_MAX)
			result->room[i] = MY_ROOM_MAX;
	}
	return 0;
}

/* Make values of the row that was fetched. */
static int my_result_values(struct my_db *db, struct my_result *result, MYSQL_STMT *stmt,
			    struct convo_err *err)
{
	unsigned i;

	for (i = 0; i < result->count; i++) {
		struct sql_value *value = &result->value[i];

		value->kind = result->null[i] ? SQL_NULL : result->room[i] ? SQL_TEXT : SQL_INT;
		value->text = (struct cv_text){NULL, 0};
		if (value->kind == SQL_NULL)
			value->number = 0;
		if (value->kind != SQL_TEXT)
			continue;
		value->text = (struct cv_text){result->bind[i].buffer, result->length[i]};
		result->longer = result->longer || result->length[i] > result->room[i];
	}
	return result->longer ? my_result_more(db, result, stmt, err) : 0;
}

/* Take all rows of one result. */
static int my_take_rows(struct my_db *db, MYSQL_STMT *stmt, const struct my_take *take, void *ctx,
			enum pool_fate *fate, struct convo_err *err)
{
	struct my_result result;
	int fetched, rc = my_result_init(db, &result, stmt, fate, err);

	if (rc)
		return rc;
	for (;;) {
		MY_WAIT(db, mysql_stmt_fetch_start(&fetched, stmt),
			mysql_stmt_fetch_cont(&fetched, stmt, status));
		if (fetched == MYSQL_NO_DATA)
			return 0;
		if (fetched != 0 && fetched != MYSQL_DATA_TRUNCATED)
			return my_failed(db, stmt, fate, err);
		/* Rows that never end are never waited for. */
		if (my_ended(db, (db->call->deadline_us - cv_clock_mono_us() + 999) / 1000))
			return my_failed(db, stmt, fate, err);
		rc = my_result_values(db, &result, stmt, err);
		if (rc)
			return rc;
		rc = cv_sql_check_columns(take->promised, result.value, result.count,
					  db->plan->where, err);
		if (rc)
			return rc;
		rc = take->row(ctx, result.value, err);
		if (rc)
			return rc;
		if (result.longer)
			rc = my_result_bind(db, &result, stmt, fate, err);
		if (rc)
			return rc;
	}
}

static int my_take_all(struct my_db *db, MYSQL_STMT *stmt, struct my_query *query,
		       enum pool_fate *fate, struct convo_err *err)
{
	size_t result = 0;
	int more, rc = 0;

	query->changed = (int64_t)mysql_stmt_affected_rows(stmt);
	for (;;) {
		if (mysql_stmt_field_count(stmt)) {
			if (result == MY_TAKES || !query->take[result].row)
				return my_damaged(db, err);
			rc = my_take_rows(db, stmt, &query->take[result++], query->ctx, fate, err);
		}
		if (rc || !mysql_stmt_more_results(stmt))
			return rc;
		MY_WAIT(db, mysql_stmt_next_result_start(&more, stmt),
			mysql_stmt_next_result_cont(&more, stmt, status));
		if (more > 0)
			return my_failed(db, stmt, fate, err);
		if (more < 0)
			return 0;
	}
}

int cv_my_run(struct my_db *db, struct my_query *query, const struct store_call *call,
	      enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_STMT *stmt;
	int rc;

	query->changed = query->detail = 0;
	if (query->begin)
		query->begin(query->ctx);
	my_begin(db, call);
	store_work_trip(call);
	rc = my_prepare(db, query->text, fate, err);
	if (rc)
		return rc;
	stmt = db->stmt[query->text];
	rc = my_execute(db, stmt, query, fate, err);
	if (rc == CONVO_E_TOOBIG && mysql_stmt_errno(stmt) == 1644)
		query->detail = strtoll(mysql_stmt_error(stmt), NULL, 10);
	if (rc == 0) {
		rc = my_take_all(db, stmt, query, fate, err);
		/* What follows rows that could not be taken is not worth reading. */
		db->broken = db->broken || rc;
	}
	if (*fate == POOL_KEEP && !db->broken)
		mysql_stmt_free_result(stmt);
	return rc;
}

/* ---- transactions of several statements ------------------------------------------------- */

/* MariaDB has a limit of its own for them, which is set on every connection. */
int cv_my_start(struct my_db *db, const struct store_call *call, enum pool_fate *fate,
		struct convo_err *err)
{
	char sql[64];
	int rc;

	if (!db->mariadb) {
		snprintf(sql, sizeof(sql), "SET SESSION wait_timeout = %lld",
			 (long long)db->plan->lock_wait_s + 1);
		rc = cv_my_plain(db, sql, NULL, NULL, call, fate, err);
		if (rc)
			return rc;
	}
	return cv_my_plain(db, "START TRANSACTION", NULL, NULL, call, fate, err);
}

int cv_my_end(struct my_db *db, const char *how, const struct store_call *call,
	      enum pool_fate *fate, struct convo_err *err)
{
	enum pool_fate after = POOL_KEEP;
	struct convo_err ignored;
	int rc = cv_my_plain(db, how, NULL, NULL, call, fate, err);

	if (rc == 0 && (db->mariadb || cv_my_plain(db, "SET SESSION wait_timeout = DEFAULT", NULL,
						   NULL, call, &after, &ignored) == 0))
		return 0;
	db->broken = true;
	return rc;
}
