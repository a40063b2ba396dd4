/*
 * Statements on a connection to PostgreSQL; see db.h. What the server sends is checked here, once,
 * before anybody uses it: it may be damaged, and it may lie.
 */
#include <store/postgres/db.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/postgres/pq.h>

#define PG_COLUMNS 24
#define PG_QUERIES 128
#define PG_MOST ((size_t)1 << 20)

void cv_pg_statement_name(struct pg_statement *statement, unsigned number)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	const char *at;

	assert(number < 64);
	for (at = statement->sql; *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	snprintf(statement->name, sizeof(statement->name), "convo_%016llx",
		 (unsigned long long)hash);
	statement->number = number;
}

/* ---- rows ----------------------------------------------------------------------------- */

static int64_t pg_big_endian(const char *data, size_t len)
{
	/* Sign-extends, whatever the width. */
	uint64_t value = len && (unsigned char)data[0] & 0x80 ? UINT64_MAX : 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 8 | (unsigned char)data[i];
	return (int64_t)value;
}

/* Read a column in its type's binary format; false when it does not hold one. */
static bool pg_value(struct sql_value *value, unsigned type, struct cv_text bytes)
{
	size_t size = 0;

	*value = (struct sql_value){.kind = SQL_TEXT, .text = bytes};
	switch (type) {
	case PG_BOOL:
		size = 1;
		break;
	case PG_INT2:
		size = 2;
		break;
	case PG_INT4:
		size = 4;
		break;
	case PG_INT8:
		size = 8;
		break;
	case PG_UUID:
		value->kind = SQL_UUID;
		return bytes.len == UUID_BYTES;
	case PG_JSONB:
		if (!bytes.len || bytes.data[0] != 1) /* the version of the format */
			return false;
		value->kind = SQL_JSON;
		value->text = (struct cv_text){bytes.data + 1, bytes.len - 1};
		break;
	case PG_TEXT:
		break;
	default:
		return false;
	}
	if (size) {
		value->kind = SQL_INT;
		value->number = pg_big_endian(bytes.data, size);
		return bytes.len == size;
	}
	return !memchr(bytes.data, '\0', bytes.len);
}

/* What the columns of a result are; false when nobody could have asked for that. */
static bool pg_types(unsigned type[PG_COLUMNS], const PGresult *res)
{
	int count = pq.nfields(res), i;

	for (i = 0; i < count && i < PG_COLUMNS; i++) {
		type[i] = pq.ftype(res, i);
		if (pq.fformat(res, i) != 1)
			return false;
	}
	return i == count;
}

static int pg_row(const struct pg_db *db, const struct pg_query *query, const PGresult *res,
		  const unsigned type[PG_COLUMNS], int row, struct convo_err *err)
{
	struct sql_value column[PG_COLUMNS];
	int count = pq.nfields(res), i, rc;

	for (i = 0; i < count; i++) {
		struct cv_text bytes;

		column[i].kind = SQL_NULL;
		column[i].text.data = NULL;
		column[i].text.len = 0;
		column[i].number = 0;
		if (pq.getisnull(res, row, i))
			continue;
		bytes = (struct cv_text){pq.getvalue(res, row, i),
					 (size_t)pq.getlength(res, row, i)};
		if (!bytes.data || !pg_value(&column[i], type[i], bytes))
			return cv_sql_damaged(err, db->where);
	}
	rc = cv_sql_check_columns(query->statement->columns, column, (size_t)count, db->where, err);
	return rc < 0 ? rc : query->row(query->ctx, column, err);
}

static int pg_rows(struct pg_db *db, struct pg_query *query, const PGresult *res,
		   struct convo_err *err)
{
	int rows = pq.ntuples(res), row, rc = 0;
	unsigned type[PG_COLUMNS];

	query->count += rows;
	if (!query->row)
		return 0;
	if (!pg_types(type, res))
		return cv_sql_damaged(err, db->where);
	for (row = 0; rc == 0 && row < rows; row++)
		rc = pg_row(db, query, res, type, row, err);
	return rc;
}

static int pg_not_asked(const struct pg_db *db, enum pool_fate *fate, struct convo_err *err)
{
	*fate = POOL_LOST;
	return cv_fail_maybe(err, CONVO_E_IO, "%s: it answers what was not asked", db->where);
}

/* Take one result of a statement. */
static int pg_result(struct pg_db *db, struct pg_query *query, const PGresult *res,
		     enum pool_fate *fate, struct convo_err *err)
{
	switch (pq.resultStatus(res)) {
	case PGRES_COMMAND_OK:
		query->count = strtoll(pq.cmdTuples((PGresult *)res), NULL, 10);
		return query->row ? cv_sql_damaged(err, db->where) : 0;
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		return pg_rows(db, query, res, err);
	case PGRES_FATAL_ERROR:
	case PGRES_NONFATAL_ERROR:
		return cv_pq_refused(db, res, &query->detail, fate, err);
	case PGRES_PIPELINE_ABORTED: /* one before was refused, and that is told */
		return cv_fail(err, CONVO_E_IO, "%s: it did not try", db->where);
	default:
		return pg_not_asked(db, fate, err);
	}
}

/* ---- pipelines ------------------------------------------------------------------------ */

/* Take all results of one statement. `rc` is that of the statements before it: the first failure is
 * the one that is told. */
static int pg_take(struct pg_db *db, struct pg_query *query, const struct pg_until *until, int rc,
		   enum pool_fate *fate, struct convo_err *err)
{
	PGresult *res;
	int one;

	for (;;) {
		one = cv_pq_next(db, until, query->most ? query->most : PG_MOST, &res, fate,
				 rc ? NULL : err);
		if (one < 0)
			return rc ? rc : one;
		if (!res)
			return rc;
		one = pg_result(db, query, res, fate, rc ? NULL : err);
		pq.clear(res);
		if (!rc)
			rc = one;
		if (*fate != POOL_KEEP)
			return rc;
	}
}

/* The end of a transaction that was carried out. */
static int pg_ended_well(const struct pg_db *db, int rc, enum pool_fate *fate,
			 struct convo_err *err)
{
	if (rc || !db->alone)
		return rc;
	*fate = POOL_LOST; /* what repeats it waits for the standby again */
	return cv_fail_maybe(err, CONVO_E_IO, "%s: it is stored, but not on a standby", db->where);
}

/* Take the end of the pipeline, where the transaction takes effect or does not. */
static int pg_take_end(struct pg_db *db, const struct pg_until *until, int rc, enum pool_fate *fate,
		       struct convo_err *err)
{
	struct pg_query none = {0};
	bool refused = false;
	PGresult *res;
	int one, i;

	/* A commit that is refused says so first; then may come an end, and then that of all. */
	for (i = 0; i < 3; i++) {
		one = cv_pq_next(db, until, PG_MOST, &res, fate, rc ? NULL : err);
		if (one < 0)
			return rc ? rc : one;
		if (pq.resultStatus(res) == PGRES_PIPELINE_SYNC) {
			pq.clear(res);
			return pg_ended_well(db, rc, fate, err);
		}
		if (!res && refused)
			continue;
		if (rc || pq.resultStatus(res) != PGRES_FATAL_ERROR)
			break;
		rc = pg_result(db, &none, res, fate, err);
		refused = true;
		pq.clear(res);
		if (*fate != POOL_KEEP)
			return rc;
	}
	one = res ? pg_result(db, &none, res, fate, rc ? NULL : err)
		  : cv_pq_lost(db, fate, rc ? NULL : err);
	if (one >= 0) /* rows in place of the end: whether it took effect nobody said */
		one = pg_not_asked(db, fate, rc ? NULL : err);
	pq.clear(res);
	*fate = refused ? POOL_UNSENT : POOL_LOST; /* out of step */
	return rc ? rc : one;
}

/* Whether a statement is to be prepared on this connection before it is run. */
static bool pg_prepares(const struct pg_db *db, const struct pg_statement *statement)
{
	return *statement->name && !(db->prepared >> statement->number & 1) &&
	       !atomic_load(&db->shared->unprepared);
}

static int pg_send(struct pg_db *db, const struct pg_query *query, bool *prepares)
{
	static const struct pg_args none;
	const struct pg_args *args = query->args ? query->args : &none;
	const struct pg_statement *statement = query->statement;

	*prepares = pg_prepares(db, statement);
	if (*prepares &&
	    !pq.sendPrepare(db->pg, statement->name, statement->sql, args->count, args->type))
		return 0;
	if (*statement->name && !atomic_load(&db->shared->unprepared))
		return pq.sendQueryPrepared(db->pg, statement->name, args->count, args->value,
					    args->length, args->format, 1);
	return pq.sendQueryParams(db->pg, statement->sql, args->count, args->type, args->value,
				  args->length, args->format, 1);
}

/* Take what a statement has to say, and before it that it is prepared. */
static int pg_take_query(struct pg_db *db, struct pg_query *query, bool prepares,
			 const struct pg_until *until, int rc, enum pool_fate *fate,
			 struct convo_err *err)
{
	struct pg_query preparing = {0};

	if (prepares) {
		rc = pg_take(db, &preparing, until, rc, fate, err);
		if (*fate != POOL_KEEP)
			return rc;
		if (rc == 0)
			db->prepared |= UINT64_C(1) << query->statement->number;
	}
	if (query->large)
		pq.setSingleRowMode(db->pg);
	return pg_take(db, query, until, rc, fate, err);
}

int cv_pg_run(struct pg_db *db, struct pg_query *queries, size_t count,
	      const struct pg_until *until, enum pool_fate *fate, struct convo_err *err)
{
	bool prepares[PG_QUERIES];
	int ok = pq.enterPipelineMode(db->pg), rc = 0;
	size_t i;

	assert(count <= PG_QUERIES);
	for (i = 0; ok && i < count; i++) {
		queries[i].count = queries[i].detail = 0;
		if (queries[i].begin)
			queries[i].begin(queries[i].ctx);
		ok = pg_send(db, &queries[i], &prepares[i]);
	}
	/* Before its end has been sent, nothing of a pipeline can take effect. */
	if (!ok || !pq.pipelineSync(db->pg)) {
		*fate = POOL_UNSENT;
		return cv_fail(err, CONVO_E_GONE, "%s: cannot send", db->where);
	}
	for (i = 0; *fate == POOL_KEEP && i < count; i++)
		rc = pg_take_query(db, &queries[i], prepares[i], until, rc, fate, err);
	if (*fate == POOL_KEEP)
		rc = pg_take_end(db, until, rc, fate, err);
	return rc;
}

/* ---- plain statements ----------------------------------------------------------------- */

/* A number as text, and nothing else. */
static bool pg_number(int64_t *value, const PGresult *res)
{
	char *end;

	if (pq.nfields(res) < 1 || pq.getisnull(res, 0, 0) || !pq.getvalue(res, 0, 0))
		return false;
	errno = 0;
	*value = strtoll(pq.getvalue(res, 0, 0), &end, 10);
	return errno == 0 && end != pq.getvalue(res, 0, 0) && !*end;
}

static int pg_plain_result(struct pg_db *db, const PGresult *res, int64_t *value, bool *found,
			   char state[6], enum pool_fate *fate, struct convo_err *err)
{
	const char *s;
	int64_t detail;

	switch (pq.resultStatus(res)) {
	case PGRES_EMPTY_QUERY: /* a comment between two statements of a migration */
	case PGRES_COMMAND_OK:
		return 0;
	case PGRES_TUPLES_OK:
		if (!value || pq.ntuples(res) == 0)
			return 0;
		*found = pg_number(value, res);
		return *found ? 0 : cv_sql_damaged(err, db->where);
	case PGRES_FATAL_ERROR:
	case PGRES_NONFATAL_ERROR:
		s = pq.resultErrorField(res, PG_DIAG_SQLSTATE);
		snprintf(state, 6, "%s", s ? s : "");
		return cv_pq_refused(db, res, &detail, fate, err);
	default:
		*fate = POOL_LOST;
		return cv_fail(err, CONVO_E_IO, "%s: it answers what was not asked", db->where);
	}
}

int cv_pg_plain(struct pg_db *db, const char *sql, const struct pg_until *until, int64_t *value,
		bool *found, char state[6], enum pool_fate *fate, struct convo_err *err)
{
	PGresult *res;
	int rc = 0, one;

	state[0] = '\0';
	if (!pq.sendQuery(db->pg, sql))
		return cv_pq_lost(db, fate, err);
	for (;;) {
		one = cv_pq_next(db, until, PG_MOST, &res, fate, rc ? NULL : err);
		if (one < 0 || !res)
			return rc ? rc : one;
		one = pg_plain_result(db, res, value, found, state, fate, rc ? NULL : err);
		pq.clear(res);
		if (!rc)
			rc = one;
		if (*fate != POOL_KEEP)
			return rc;
	}
}

/* ---- migrations ----------------------------------------------------------------------- */

struct pg_migration {
	struct pg_db *db;
	const char *lock;
	const struct pg_until *until;
	enum pool_fate *fate;
	bool again; /* set: others were in the way */
};

static int migration_plain(struct pg_migration *m, const char *sql, int64_t *value, bool *found,
			   struct convo_err *err)
{
	char state[6];
	int rc = cv_pg_plain(m->db, sql, m->until, value, found, state, m->fate, err);

	m->again = m->again || rc == PG_AGAIN;
	return rc == PG_AGAIN ? cv_sql_in_the_way(err, m->db->where) : rc;
}

static int pg_migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			    struct convo_err *err)
{
	*found = false;
	return migration_plain(ctx, sql, value, found, err);
}

static int pg_migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	return migration_plain(ctx, sql, NULL, NULL, err);
}

static int pg_migration_begin(void *ctx, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	char begin[320];
	int rc;

	/* Others' tables must show once the lock is ours, whatever the server's default is. The
	 * deadline bounds it, and not what an administrator means for short statements; but nobody
	 * shall wait for one who went away with the lock. */
	snprintf(begin, sizeof(begin),
		 "BEGIN ISOLATION LEVEL READ COMMITTED; "
		 "SELECT set_config('statement_timeout', '0', true), "
		 "set_config('lock_timeout', '0', true), "
		 "set_config('idle_in_transaction_session_timeout', '%lld', true)",
		 (long long)cv_pg_haste_ms(m->until));
	rc = pg_migration_exec(ctx, begin, err);
	return rc < 0 ? rc : pg_migration_exec(ctx, m->lock, err);
}

static int pg_migration_end(void *ctx, int rc, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	struct convo_err ignored;

	if (rc >= 0)
		return pg_migration_exec(ctx, "COMMIT", err);
	if (*m->fate == POOL_KEEP && pg_migration_exec(ctx, "ROLLBACK", &ignored) < 0)
		*m->fate = POOL_LOST;
	return rc;
}

int cv_pg_migrate(struct pg_db *db, const struct sql_dialect *dialect, const char *lock,
		  const char *prefix, bool check, const struct pg_until *until,
		  enum pool_fate *fate, struct convo_err *err)
{
	struct pg_migration m = {db, lock, until, fate, false};
	struct sql_conn conn = {
		.ctx = &m,
		.where = db->where,
		.get = pg_migration_get,
		.exec = pg_migration_exec,
		.begin = pg_migration_begin,
		.end = pg_migration_end,
	};
	int rc;

	do {
		m.again = false;
		rc = cv_sql_migrate(dialect, &conn, prefix, check, err);
	} while (rc < 0 && m.again && *fate == POOL_KEEP &&
		 cv_clock_mono_us() < until->deadline_us);
	return rc;
}
