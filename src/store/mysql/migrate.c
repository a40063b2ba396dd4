/*
 * Bringing the schema up to date (sql/sql.h), over a MySQL connection. Others are shut out by a lock of
 * the server's. A node of Galera keeps that to itself, so there it is a row of {p}meta as well: of two
 * who write it on two nodes one is refused. Its value is a number that its holder raises before each
 * statement. One that stands still is that of a program that has died: another takes the row over, and
 * a holder that was only slow finds it changed and gives up.
 */
#include <store/mysql/db.h>

#include <stdio.h>
#include <time.h>

#include <base/clock.h>
#include <base/fail.h>

#define MIGRATION_LOOK_NS 20000000L /* between two looks at a row that another one holds */
#define MIGRATION_DEAD_US 2000000   /* its holder has raised it for the last time, after so long */

struct my_migration {
	struct my_db *db;
	const struct sql_dialect *dialect;
	const char *prefix;
	const struct store_call *call;
	enum pool_fate *fate;
	int64_t claim; /* the value of our row; 0: it is not ours */
};

static int migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			 struct convo_err *err)
{
	struct my_migration *m = ctx;
	int rc;

	*found = false;
	do
		rc = cv_my_plain(m->db, sql, value, found, m->call, m->fate, err);
	while (rc == MY_AGAIN && cv_clock_mono_us() < m->call->deadline_us);
	if (rc == MY_AGAIN)
		return cv_sql_in_the_way(err, cv_my_where(m->db));
	return rc;
}

static int migration_run(struct my_migration *m, const char *sql, struct convo_err *err)
{
	int64_t value = 0;
	bool found = false;

	return migration_get(m, sql, &value, &found, err);
}

/* ---- the row ---------------------------------------------------------------------------- */

/* Run a statement on the row. @return 1 if it has changed it, 0 if not, or a negative code */
static int claim_change(struct my_migration *m, const char *sql, struct convo_err *err)
{
	int64_t changed = 0;
	bool found = false;
	int rc = migration_run(m, sql, err);

	if (rc == 0)
		rc = migration_get(m, "SELECT ROW_COUNT()", &changed, &found, err);
	return rc < 0 ? rc : changed > 0;
}

/* Put one value in place of another, which only the first of several can. */
static int claim_swap(struct my_migration *m, int64_t from, int64_t to, struct convo_err *err)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "UPDATE %smeta SET value = '%lld' WHERE name = 'migrating' AND value = '%lld'",
		 m->prefix, (long long)to, (long long)from);
	return claim_change(m, sql, err);
}

static int claim_insert(struct my_migration *m, int64_t value, struct convo_err *err)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "INSERT IGNORE INTO %smeta (name, value) VALUES ('migrating', '%lld')", m->prefix,
		 (long long)value);
	return claim_change(m, sql, err);
}

/* The table that has the row is the first that a migration makes. */
static int claim_table(struct my_migration *m, struct convo_err *err)
{
	const char *const *statement = m->dialect->migrations[0].statements;
	struct cv_buf sql = {0};
	int rc = cv_sql_expand(&sql, m->dialect, m->prefix, statement[0], err);

	if (rc == 0)
		rc = migration_run(m, cv_buf_str(&sql), err);
	cv_buf_reset(&sql);
	if (rc == 0)
		rc = cv_sql_expand(&sql, m->dialect, m->prefix, statement[1], err);
	if (rc == 0)
		rc = migration_run(m, cv_buf_str(&sql), err);
	cv_buf_clear(&sql);
	return rc;
}

/* Whether there is time for another look; waits until then. */
static bool claim_wait(const struct my_migration *m)
{
	const struct timespec look = {0, MIGRATION_LOOK_NS};

	nanosleep(&look, NULL);
	return cv_clock_mono_us() < m->call->deadline_us &&
	       !convo_cancel_requested(m->call->cancel);
}

static int64_t claim_number(void)
{
	unsigned char random[UUID_BYTES];
	int64_t number = 1;
	size_t i;

	cv_uuid_random(random);
	for (i = 0; i < 7; i++)
		number = number * 128 + (random[i] & 127);
	return number;
}

static int migration_claim(void *ctx, struct convo_err *err)
{
	struct my_migration *m = ctx;
	int64_t mine = claim_number(), value = 0, seen = 0, since_us = cv_clock_mono_us();
	char sql[100];
	bool found;
	int rc = claim_table(m, err);

	snprintf(sql, sizeof(sql), "SELECT value FROM %smeta WHERE name = 'migrating'", m->prefix);
	while (rc == 0) {
		rc = migration_get(m, sql, &value, &found, err);
		if (rc < 0)
			return rc;
		if (!found) {
			rc = claim_insert(m, mine, err);
		} else if (value != seen) {
			seen = value;
			since_us = cv_clock_mono_us();
		} else if (cv_clock_mono_us() - since_us >= MIGRATION_DEAD_US) {
			rc = claim_swap(m, seen, mine, err);
		}
		if (rc == 0 && found && !claim_wait(m))
			rc = cv_fail(err, CONVO_E_TIMEOUT,
				     "%s: another program makes its schema ready",
				     cv_my_where(m->db));
	}
	if (rc > 0)
		m->claim = mine;
	return rc < 0 ? rc : 0;
}

/* Keep it. */
static int claim_raise(struct my_migration *m, struct convo_err *err)
{
	int rc = claim_swap(m, m->claim, m->claim + 1, err);

	if (rc > 0) {
		m->claim++;
		return 0;
	}
	if (rc < 0)
		return rc;
	m->claim = 0;
	*m->fate = POOL_UNSENT; /* begin again, says the pool */
	return cv_fail(err, CONVO_E_GONE, "%s: another program makes its schema ready",
		       cv_my_where(m->db));
}

/* ---- what sql.h asks for ---------------------------------------------------------------- */

static int migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	struct my_migration *m = ctx;
	int rc = m->claim ? claim_raise(m, err) : 0;

	return rc < 0 ? rc : migration_run(m, sql, err);
}

/* The name of a lock has at most 64 characters. Every server has this function; not MD5(). */
#define MY_LOCK "CONCAT('convo_', LEFT(SHA2(CONCAT(DATABASE(), '.%s'), 256), 40))"

static int migration_begin(void *ctx, struct convo_err *err)
{
	struct my_migration *m = ctx;
	int64_t got = 0;
	bool found;
	char sql[200];
	int rc;

	snprintf(sql, sizeof(sql), "SELECT GET_LOCK(" MY_LOCK ", 3600)", m->prefix);
	rc = migration_get(ctx, sql, &got, &found, err);
	if (rc == 0 && got != 1)
		return cv_fail(err, CONVO_E_IO, "%s: cannot lock its schema", cv_my_where(m->db));
	return rc;
}

static int migration_end(void *ctx, int rc, struct convo_err *err)
{
	struct my_migration *m = ctx;
	struct convo_err ignored;
	char sql[200];
	int unlocked = 0;

	if (*m->fate != POOL_KEEP)
		return rc;
	if (m->claim) {
		snprintf(sql, sizeof(sql),
			 "DELETE FROM %smeta WHERE name = 'migrating' AND value = '%lld'",
			 m->prefix, (long long)m->claim);
		unlocked = migration_run(m, sql, rc < 0 ? &ignored : err);
	}
	snprintf(sql, sizeof(sql), "DO RELEASE_LOCK(" MY_LOCK ")", m->prefix);
	if (unlocked == 0)
		unlocked = migration_run(m, sql, rc < 0 ? &ignored : err);
	return rc < 0 ? rc : unlocked;
}

int cv_my_migrate(struct my_db *db, const struct sql_dialect *dialect, const char *prefix,
		  bool check, const struct store_call *call, enum pool_fate *fate,
		  struct convo_err *err)
{
	struct my_migration m = {
		.db = db, .dialect = dialect, .prefix = prefix, .call = call, .fate = fate};
	struct sql_conn conn = {
		.ctx = &m,
		.where = cv_my_where(db),
		.get = migration_get,
		.exec = migration_exec,
		.begin = migration_begin,
		.end = migration_end,
		.claim = cv_my_is_galera(db) ? migration_claim : NULL,
	};

	return cv_sql_migrate(dialect, &conn, prefix, check, err);
}
