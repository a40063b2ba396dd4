/*
 * Bringing the schema up to date (sql/sql.h), over a MySQL connection.
 */
#include <store/mysql/db.h>

#include <stdio.h>

#include <base/clock.h>
#include <base/fail.h>

struct my_migration {
	struct my_db *db;
	const char *prefix;
	const struct store_call *call;
	enum pool_fate *fate;
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
		return cv_sql_in_the_way(err, cv_my_plan_of(m->db)->where);
	return rc;
}

static int migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	int64_t value;
	bool found;

	return migration_get(ctx, sql, &value, &found, err);
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
		return cv_fail(err, CONVO_E_IO, "%s: cannot lock its schema",
			       cv_my_plan_of(m->db)->where);
	return rc;
}

static int migration_end(void *ctx, int rc, struct convo_err *err)
{
	struct my_migration *m = ctx;
	struct convo_err ignored;
	char sql[200];
	int unlocked;

	if (*m->fate != POOL_KEEP)
		return rc;
	snprintf(sql, sizeof(sql), "DO RELEASE_LOCK(" MY_LOCK ")", m->prefix);
	unlocked = migration_exec(ctx, sql, rc < 0 ? &ignored : err);
	return rc < 0 ? rc : unlocked;
}

int cv_my_migrate(struct my_db *db, const struct sql_dialect *dialect, const char *prefix,
		  bool check, const struct store_call *call, enum pool_fate *fate,
		  struct convo_err *err)
{
	struct my_migration m = {db, prefix, call, fate};
	struct sql_conn conn = {
		.ctx = &m,
		.where = cv_my_plan_of(db)->where,
		.get = migration_get,
		.exec = migration_exec,
		.begin = migration_begin,
		.end = migration_end,
	};

	return cv_sql_migrate(dialect, &conn, prefix, check, err);
}
