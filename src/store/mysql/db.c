/*
 * Prepared statements on a connection to MySQL or MariaDB; see db.h.
 */
#include <store/mysql/db.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/mysql/driver.h>

#define MY_COLUMNS 32
#define MY_ARGS 20 /* of most statements; those of more take memory */
#define MY_PIECE (512ul << 10)

void cv_my_stop_by(struct my_db *db, const struct pool_stops *stops)
{
	assert(!stops || stops->count <= MY_STOPS);
	db->stops = stops;
}

struct my_number {
	int64_t *value;
	bool *found;
};

static void my_number_row(void *ctx, char **column, unsigned count)
{
	const struct my_number *number = ctx;

	if (!count || !column[0] || *number->found)
		return;
	*number->found = true;
	*number->value = strtoll(column[0], NULL, 10);
}

int cv_my_plain(struct my_db *db, const char *sql, int64_t *value, bool *found,
		const struct store_call *call, enum pool_fate *fate, struct convo_err *err)
{
	struct my_number number = {value, found};

	cv_my_begin(db, call);
	store_work_trip(call);
	return cv_my_ask(db, sql, value ? my_number_row : NULL, &number, fate, err);
}

/* ---- prepared statements -------------------------------------------------------------- */

static int my_failed(struct my_db *db, MYSQL_STMT *stmt, enum pool_fate *fate,
		     struct convo_err *err)
{
	/* What goes wrong between two rows is told by the connection alone. */
	if (!mysql_stmt_errno(stmt))
		return cv_my_plain_failed(db, fate, err);
	return cv_my_refused(db, mysql_stmt_errno(stmt), mysql_stmt_error(stmt), fate, err);
}

static int my_damaged(struct my_db *db, struct convo_err *err)
{
	db->broken = true;
	return cv_my_damaged(db->where, err);
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
		if (err)
			err->maybe = false;
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

static int my_too_big(struct my_db *db, size_t bytes, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_TOOBIG,
		       "%s: %zu bytes are more than its max_allowed_packet of %lld", db->where,
		       bytes, (long long)db->max_packet);
}

/* Whether an argument travels ahead of its statement, which does not fit with it. */
static bool my_is_long(const struct sql_value *arg)
{
	return arg->kind > SQL_INT && arg->text.len > MY_PIECE;
}

/*
 * Send the long arguments of a statement of so many bytes in pieces, ahead of it: what counts against
 * the server's limit is then each of them by itself. There is no answer to a piece. Nothing is sent
 * before all is known to fit: the server would keep it for the next time.
 */
static int my_send_pieces(struct my_db *db, MYSQL_STMT *stmt, const struct my_query *query,
			  size_t bytes, enum pool_fate *fate, struct convo_err *err)
{
	my_bool failed = 0;
	size_t i, at, n;

	for (i = 0; i < query->arg_count; i++) {
		if (!my_is_long(&query->args[i]))
			continue;
		if ((int64_t)query->args[i].text.len > db->max_packet)
			return my_too_big(db, query->args[i].text.len, err);
		bytes -= query->args[i].text.len;
	}
	if ((int64_t)bytes > db->max_packet)
		return my_too_big(db, bytes, err);
	for (i = 0; i < query->arg_count; i++) {
		const struct cv_text text = query->args[i].text;

		for (at = 0; my_is_long(&query->args[i]) && at < text.len; at += n) {
			n = text.len - at < MY_PIECE ? text.len - at : MY_PIECE;
			MY_WAIT(db,
				mysql_stmt_send_long_data_start(&failed, stmt, (unsigned)i,
								text.data + at, n),
				mysql_stmt_send_long_data_cont(&failed, stmt, status));
			if (failed)
				return my_failed(db, stmt, fate, err);
		}
	}
	return 0;
}

static int my_execute(struct my_db *db, MYSQL_STMT *stmt, const struct my_query *query,
		      enum pool_fate *fate, struct convo_err *err)
{
	MYSQL_BIND few[MY_ARGS], *bind = few;
	size_t i, bytes = 1024;
	int failed, rc;

	/* The library reads as many as the server has said that there are. */
	if (mysql_stmt_param_count(stmt) != query->arg_count)
		return my_damaged(db, err);
	if (query->arg_count > MY_ARGS) {
		if (!cv_grow(&db->many, &db->many_room, query->arg_count, sizeof(*bind)))
			return cv_fail_nomem(err);
		bind = db->many;
	}
	for (i = 0; i < query->arg_count; i++) {
		my_bind(&bind[i], &query->args[i]);
		bytes += 16 + (query->args[i].kind > SQL_INT ? query->args[i].text.len : 0);
	}
	if (query->arg_count && mysql_stmt_bind_param(stmt, bind))
		return my_failed(db, stmt, fate, err);
	if ((int64_t)bytes > db->max_packet) {
		rc = my_send_pieces(db, stmt, query, bytes, fate, err);
		if (rc < 0)
			return rc;
	}
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
		return cv_sql_damaged(err, db->where);
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
			return cv_sql_damaged(err, db->where);
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
		if (cv_my_ended(db, (db->call->deadline_us - cv_clock_mono_us() + 999) / 1000))
			return my_failed(db, stmt, fate, err);
		rc = my_result_values(db, &result, stmt, err);
		if (rc)
			return rc;
		rc = cv_sql_check_columns(take->promised, result.value, result.count, db->where,
					  err);
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
	cv_my_begin(db, call);
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

	/* To commit may be refused, because another node's writer was first. */
	if (rc == MY_AGAIN && strcmp(how, "ROLLBACK") != 0) {
		cv_my_end(db, "ROLLBACK", call, &after, &ignored);
		return rc;
	}
	if (rc == 0 && (db->mariadb || cv_my_plain(db, "SET SESSION wait_timeout = DEFAULT", NULL,
						   NULL, call, &after, &ignored) == 0))
		return 0;
	db->broken = true;
	return rc;
}
