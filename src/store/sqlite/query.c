/*
 * Statements that are prepared once and run often, and what is in their rows.
 */
#include <store/sqlite/driver.h>

#include <errno.h>

#include <base/utf8.h>

static int sqlite_prepare(struct sqlite_db *db, int number)
{
	const struct sqlite_plan *plan = db->plan;
	struct cv_buf sql = {0};
	int rc = SQLITE_NOMEM;

	if (cv_sql_expand(&sql, plan->dialect, plan->prefix, plan->texts[number], NULL) == 0)
		rc = sqlite3_prepare_v3(db->handle, sql.data, (int)sql.len,
					SQLITE_PREPARE_PERSISTENT, &db->stmt[number], NULL);
	cv_buf_clear(&sql);
	return rc;
}

struct sqlite_query cv_sqlite_query(struct sqlite_db *db, int number)
{
	struct sqlite_query query = {.db = db};

	if (!db->stmt[number])
		query.rc = sqlite_prepare(db, number);
	query.stmt = db->stmt[number];
	return query;
}

static void query_note(struct sqlite_query *query, int rc)
{
	if (query->rc == SQLITE_OK)
		query->rc = rc;
}

void cv_sqlite_bind_int(struct sqlite_query *query, int64_t value)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_int64(query->stmt, ++query->params, value));
}

void cv_sqlite_bind_text(struct sqlite_query *query, struct cv_text value)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_text(query->stmt, ++query->params, value.data,
						    (int)value.len, SQLITE_STATIC));
}

void cv_sqlite_bind_blob(struct sqlite_query *query, const void *data, size_t len)
{
	if (query->stmt)
		query_note(query, sqlite3_bind_blob(query->stmt, ++query->params, data, (int)len,
						    SQLITE_STATIC));
}

void cv_sqlite_bind_uuid(struct sqlite_query *query, const unsigned char *uuid)
{
	cv_sqlite_bind_blob(query, uuid, UUID_BYTES);
}

void cv_sqlite_end(struct sqlite_query *query)
{
	sqlite3_reset(query->stmt);
	if (query->stmt)
		query->db->steps += sqlite3_stmt_status(query->stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
}

int64_t cv_sqlite_steps(struct sqlite_db *db)
{
	int hits = 0, misses = 0, most;

	sqlite3_db_status(db->handle, SQLITE_DBSTATUS_CACHE_HIT, &hits, &most, 0);
	sqlite3_db_status(db->handle, SQLITE_DBSTATUS_CACHE_MISS, &misses, &most, 0);
	return db->steps + hits + misses;
}

int cv_sqlite_step(struct sqlite_query *query, struct convo_err *err)
{
	int rc = query->rc;

	query->columns = 0;
	errno = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(query->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	rc = rc == SQLITE_DONE ? 0 : cv_sqlite_fail(query->db, rc, err);
	cv_sqlite_end(query);
	return rc;
}

int cv_sqlite_run(struct sqlite_query *query, struct convo_err *err)
{
	int rc;

	do
		rc = cv_sqlite_step(query, err);
	while (rc > 0);
	return rc;
}

int64_t cv_sqlite_int(struct sqlite_query *query, int64_t min, int64_t max)
{
	int column = query->columns++;
	int64_t value = sqlite3_column_int64(query->stmt, column);

	if (sqlite3_column_type(query->stmt, column) == SQLITE_INTEGER && value >= min &&
	    value <= max)
		return value;
	query->damaged = true;
	return min;
}

struct cv_text cv_sqlite_text_or_null(struct sqlite_query *query, size_t max)
{
	int column = query->columns++, type = sqlite3_column_type(query->stmt, column);
	struct cv_text text = {0};

	if (type != SQLITE_TEXT) {
		query->damaged = query->damaged || type != SQLITE_NULL;
		return text;
	}
	text.data = (const char *)sqlite3_column_text(query->stmt, column);
	text.len = (size_t)sqlite3_column_bytes(query->stmt, column);
	if (!text.data)
		query_note(query, SQLITE_NOMEM);
	else if (text.len > max || memchr(text.data, '\0', text.len) ||
		 !cv_utf8_valid(text.data, text.len))
		query->damaged = true;
	return text;
}

struct cv_text cv_sqlite_text(struct sqlite_query *query, size_t min, size_t max)
{
	struct cv_text text = cv_sqlite_text_or_null(query, max);

	if (!text.data || text.len < min)
		query->damaged = true;
	return text;
}

void cv_sqlite_uuid(struct sqlite_query *query, unsigned char out[UUID_BYTES])
{
	int column = query->columns++;
	const void *blob = sqlite3_column_blob(query->stmt, column);

	memset(out, 0, UUID_BYTES);
	if (blob && sqlite3_column_type(query->stmt, column) == SQLITE_BLOB &&
	    sqlite3_column_bytes(query->stmt, column) == UUID_BYTES)
		memcpy(out, blob, UUID_BYTES);
	else
		query->damaged = true;
}

bool cv_sqlite_uuid_or_null(struct sqlite_query *query, unsigned char out[UUID_BYTES])
{
	if (sqlite3_column_type(query->stmt, query->columns) != SQLITE_NULL) {
		cv_sqlite_uuid(query, out);
		return true;
	}
	query->columns++;
	memset(out, 0, UUID_BYTES);
	return false;
}

struct cv_text cv_sqlite_blob(struct sqlite_query *query, size_t max)
{
	int column = query->columns++;
	struct cv_text blob = {0};

	if (sqlite3_column_type(query->stmt, column) != SQLITE_BLOB) {
		query->damaged = true;
		return blob;
	}
	blob.data = sqlite3_column_blob(query->stmt, column);
	blob.len = (size_t)sqlite3_column_bytes(query->stmt, column);
	if (!blob.data && blob.len)
		query_note(query, SQLITE_NOMEM);
	if (blob.len > max)
		query->damaged = true;
	return blob;
}

int cv_sqlite_row(struct sqlite_query *query, struct convo_err *err)
{
	int rc;

	if (query->rc == SQLITE_OK && !query->damaged)
		return 0;
	rc = query->rc == SQLITE_OK ? cv_sqlite_damaged(query->db, err)
				    : cv_sqlite_fail(query->db, query->rc, err);
	cv_sqlite_end(query);
	return rc;
}

int64_t cv_sqlite_changes(const struct sqlite_db *db)
{
	return sqlite3_changes(db->handle);
}

int64_t cv_sqlite_last_no(const struct sqlite_db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
