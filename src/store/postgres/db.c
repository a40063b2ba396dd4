/*
 * Statements on a connection to PostgreSQL; see db.h.
 */
#include <store/postgres/pq.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/fail.h>

#define PG_COLUMNS 24

/* ---- waiting -------------------------------------------------------------------------- */

int cv_pg_poll(const PGconn *pg, short events, int64_t deadline_us)
{
	struct pollfd fd = {.fd = pq.socket(pg), .events = events};
	int n;

	do {
		int64_t left_ms = (deadline_us - cv_clock_mono_us() + 999) / 1000;

		if (left_ms <= 0)
			return 0;
		n = poll(&fd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	return 1;
}

/* ---- errors --------------------------------------------------------------------------- */

static const struct pg_refusal pg_refusals[] = {
	{"CV003", CONVO_E_TOOBIG, false},  /* our own */
	{"40001", PG_AGAIN, false},        /* serialization failure */
	{"40P01", PG_AGAIN, false},        /* deadlock */
	{"42501", CONVO_E_DENIED, false},  /* insufficient privilege */
	{"42P01", CONVO_E_VERSION, false}, /* undefined table, function, column: not our schema */
	{"42883", CONVO_E_VERSION, false}, {"42703", CONVO_E_VERSION, false},
	{"23505", CONVO_E_EXISTS, false},  /* unique violation */
	{"28", CONVO_E_DENIED, false},     /* authentication */
	{"22", CONVO_E_INVALID, false},    /* data */
	{"54", CONVO_E_TOOBIG, false},     /* beyond a limit of the server */
	{"57014", CONVO_E_TIMEOUT, false}, /* a statement_timeout of the administrator's */
	{"55P03", CONVO_E_TIMEOUT, false}, /* or a lock_timeout */
	{"57", CONVO_E_IO, true},          /* shutting down, starting up, crashed */
	{"08", CONVO_E_IO, true},          {"", CONVO_E_IO, false},
};

const struct pg_refusal *cv_pg_refusal_of(const char *state)
{
	const struct pg_refusal *refusal = pg_refusals;

	while (strncmp(state, refusal->state, strlen(refusal->state)) != 0)
		refusal++;
	return refusal;
}

static int pg_timeout(const struct pg_db *db, struct convo_err *err)
{
	return cv_fail_maybe(err, CONVO_E_TIMEOUT, "%s: no answer in time", db->where);
}

/* Fill `err` from an error result. Class 22 repeats the data it does not like, so its text stays
 * out. */
static int pg_refused(struct pg_db *db, const PGresult *res, int64_t *detail, enum pool_fate *fate,
		      struct convo_err *err)
{
	const char *state = pq.resultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = pq.resultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *more = pq.resultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const struct pg_refusal *refusal;

	if (!state)
		state = "08000"; /* from libpq itself */
	refusal = cv_pg_refusal_of(state);
	if (strncmp(state, "22", 2) == 0 || !text)
		text = "the server refused the data";
	if (refusal->lost)
		*fate = POOL_LOST;
	/* A standby, or a primary that has become one: the next connection may find another. */
	if (strcmp(state, "25006") == 0)
		db->stale = true;
	*detail = more ? strtoll(more, NULL, 10) : 0;
	cv_fail(err, refusal->code, "%s: %s", db->where, text);
	return refusal->code;
}

static int pg_lost(struct pg_db *db, enum pool_fate *fate, struct convo_err *err)
{
	*fate = POOL_LOST;
	return cv_fail_maybe(err, CONVO_E_IO, "%s: connection lost", db->where);
}

/* ---- results -------------------------------------------------------------------------- */

/* The next result, or NULL after the last of a statement. */
static int pg_next(struct pg_db *db, int64_t deadline_us, PGresult **res, enum pool_fate *fate,
		   struct convo_err *err)
{
	while (pq.isBusy(db->pg)) {
		int unsent = pq.flush(db->pg);

		if (unsent < 0)
			return pg_lost(db, fate, err);
		if (!cv_pg_poll(db->pg, unsent ? POLLIN | POLLOUT : POLLIN, deadline_us)) {
			*fate = POOL_LOST;
			return pg_timeout(db, err);
		}
		if (!pq.consumeInput(db->pg))
			return pg_lost(db, fate, err);
	}
	*res = pq.getResult(db->pg);
	if (pq.status(db->pg) == CONNECTION_BAD) {
		pq.clear(*res);
		return pg_lost(db, fate, err);
	}
	return 0;
}

static int pg_rows(struct pg_query *query, const PGresult *res, struct convo_err *err)
{
	struct cv_text column[PG_COLUMNS];
	int columns = pq.nfields(res), row, i, rc = 0;

	for (row = 0; rc == 0 && row < pq.ntuples(res); row++) {
		query->count++;
		if (!query->row)
			continue;
		for (i = 0; i < columns && i < PG_COLUMNS; i++) {
			column[i].data =
				pq.getisnull(res, row, i) ? NULL : pq.getvalue(res, row, i);
			column[i].len = (size_t)pq.getlength(res, row, i);
		}
		rc = query->row(query->ctx, column, err);
	}
	return rc;
}

/* Take all results of one statement. `rc` is that of the statements before it: the first failure is
 * the one that is told. */
static int pg_take(struct pg_db *db, struct pg_query *query, int64_t deadline_us, int rc,
		   enum pool_fate *fate, struct convo_err *err)
{
	PGresult *res;
	int lost;

	for (;;) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0)
			return rc ? rc : lost;
		if (!res)
			return rc;
		switch (pq.resultStatus(res)) {
		case PGRES_COMMAND_OK:
			query->count = strtoll(pq.cmdTuples(res), NULL, 10);
			break;
		case PGRES_TUPLES_OK:
		case PGRES_SINGLE_TUPLE:
			if (!rc)
				rc = pg_rows(query, res, err);
			break;
		default: /* refused, or skipped because one before was */
			if (!rc)
				rc = pg_refused(db, res, &query->detail, fate, err);
			break;
		}
		pq.clear(res);
	}
}

/* Take the end of the pipeline, where the transaction takes effect or does not. */
static int pg_take_end(struct pg_db *db, int64_t deadline_us, int rc, enum pool_fate *fate,
		       struct convo_err *err)
{
	ExecStatusType status = PGRES_COMMAND_OK;
	PGresult *res;
	int64_t detail;
	int lost;

	while (status != PGRES_PIPELINE_SYNC) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0)
			return rc ? rc : lost;
		status = pq.resultStatus(res);
		if (res && status != PGRES_PIPELINE_SYNC && !rc)
			rc = pg_refused(db, res, &detail, fate, err);
		pq.clear(res);
	}
	return rc;
}

static int pg_send(struct pg_db *db, const struct pg_query *query)
{
	static const struct pg_args none;
	const struct pg_args *args = query->args ? query->args : &none;

	return pq.sendQueryParams(db->pg, query->sql, args->count, args->type, args->value,
				  args->length, args->format, 1);
}

int cv_pg_run(struct pg_db *db, struct pg_query *queries, size_t count, int64_t deadline_us,
	      enum pool_fate *fate, struct convo_err *err)
{
	int ok = pq.enterPipelineMode(db->pg), rc = 0;
	size_t i;

	for (i = 0; ok && i < count; i++) {
		queries[i].count = queries[i].detail = 0;
		if (queries[i].begin)
			queries[i].begin(queries[i].ctx);
		ok = pg_send(db, &queries[i]);
	}
	/* Before its end has been sent, nothing of a pipeline can take effect. */
	if (!ok || !pq.pipelineSync(db->pg)) {
		*fate = POOL_UNSENT;
		return cv_fail(err, CONVO_E_IO, "%s: cannot send", db->where);
	}
	if (count == 1 && queries->large)
		pq.setSingleRowMode(db->pg);
	for (i = 0; *fate == POOL_KEEP && i < count; i++)
		rc = pg_take(db, &queries[i], deadline_us, rc, fate, err);
	if (*fate == POOL_KEEP)
		rc = pg_take_end(db, deadline_us, rc, fate, err);
	return rc;
}

/* ---- plain statements ----------------------------------------------------------------- */

int cv_pg_plain(struct pg_db *db, const char *sql, int64_t deadline_us, int64_t *value, bool *found,
		char state[6], enum pool_fate *fate, struct convo_err *err)
{
	int64_t detail;
	PGresult *res;
	int rc = 0, lost;

	state[0] = '\0';
	if (!pq.sendQuery(db->pg, sql))
		return pg_lost(db, fate, err);
	for (;;) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0 || !res)
			return rc ? rc : lost;
		if (pq.resultStatus(res) == PGRES_FATAL_ERROR && !rc) {
			const char *s = pq.resultErrorField(res, PG_DIAG_SQLSTATE);

			snprintf(state, 6, "%s", s ? s : "");
			rc = pg_refused(db, res, &detail, fate, err);
		} else if (value && pq.ntuples(res) > 0) {
			*found = true;
			*value = strtoll(pq.getvalue(res, 0, 0), NULL, 10);
		}
		pq.clear(res);
	}
}

/* ---- migrations ----------------------------------------------------------------------- */

struct pg_migration {
	struct pg_db *db;
	const char *lock;
	int64_t deadline_us;
	enum pool_fate *fate;
};

static int pg_migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			    struct convo_err *err)
{
	struct pg_migration *m = ctx;
	char state[6];

	*found = false;
	return cv_pg_plain(m->db, sql, m->deadline_us, value, found, state, m->fate, err);
}

static int pg_migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	char state[6];

	return cv_pg_plain(m->db, sql, m->deadline_us, NULL, NULL, state, m->fate, err);
}

static int pg_migration_begin(void *ctx, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	/* Others' tables must show once the lock is ours, whatever the server's default is. */
	int rc = pg_migration_exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED", err);

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
		  const char *prefix, bool check, int64_t deadline_us, enum pool_fate *fate,
		  struct convo_err *err)
{
	struct pg_migration m = {db, lock, deadline_us, fate};
	struct sql_conn conn = {
		.ctx = &m,
		.where = db->where,
		.get = pg_migration_get,
		.exec = pg_migration_exec,
		.begin = pg_migration_begin,
		.end = pg_migration_end,
	};

	return cv_sql_migrate(dialect, &conn, prefix, check, err);
}

/* ---- columns -------------------------------------------------------------------------- */

static int64_t pg_big_endian(const char *data, size_t len)
{
	/* Sign-extends, whatever the width. */
	uint64_t value = len && (unsigned char)data[0] & 0x80 ? UINT64_MAX : 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 8 | (unsigned char)data[i];
	return (int64_t)value;
}

int64_t cv_pg_int(struct cv_text column)
{
	return column.data ? pg_big_endian(column.data, column.len) : 0;
}

int64_t cv_pg_int_at(struct cv_text column, size_t n)
{
	size_t at = 20 + n * 12 + 4; /* after the header, and the length of each element */

	return column.data && at + 8 <= column.len ? pg_big_endian(column.data + at, 8) : 0;
}

struct cv_text cv_pg_json(struct cv_text column)
{
	if (column.data) {
		column.data++; /* the version of the format */
		column.len--;
	}
	return column;
}
