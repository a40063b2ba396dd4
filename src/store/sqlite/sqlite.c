/*
 * The SQLite store: opening and closing. What reads is in read.c, what writes in write.c and the files
 * it names; db.h talks to SQLite, file.c looks at the file.
 */
#include <store/sqlite/write.h>

#include <stdio.h>

#include <base/fail.h>

enum { FILE_EMPTY, FILE_OURS, FILE_OTHERS };

/* The number, "cnvo", stands in the header of every file of ours: see 0001.sql. */
#define SQL_IDENTIFY                                                                   \
	"SELECT CASE WHEN application_id = 1668183663 THEN 1 "                         \
	"WHEN application_id = 0 AND NOT EXISTS (SELECT 1 FROM sqlite_master) THEN 0 " \
	"ELSE 2 END FROM pragma_application_id"

#define MARKS_US 200000
#define ROUND_JOBS 256
#define ROUND_BYTES ((size_t)8 << 20)

static const struct sql_dialect sqlite_dialect = {
	.scheme = "sqlite",
	.quote = '"',
	.migrations = cv_sql_sqlite,
	.count_tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('{p}meta', "
			"'{p}sessions', '{p}events', '{p}scopes', '{p}state', '{p}drafts', "
			"'{p}pieces')",
	.count_meta = "SELECT count(*) FROM pragma_table_info('{p}meta') "
		      "WHERE name IN ('name', 'value')",
};

/* ---- the schema ------------------------------------------------------------------------- */

/* Refuse what another program made, before anything is changed. One statement sees one moment. */
static int sqlite_identify(struct sqlite_store *store, bool *empty, struct convo_err *err)
{
	int64_t made_by = FILE_OTHERS;
	bool found;
	int rc = cv_sqlite_get(store->writer, SQL_IDENTIFY, &made_by, &found, err);

	if (rc < 0)
		return rc;
	if (made_by == FILE_OTHERS)
		return cv_fail(err, CONVO_E_VERSION,
			       "%s: a database of another program, not of convo",
			       store->file.where);
	*empty = made_by == FILE_EMPTY;
	return 0;
}

static int migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			 struct convo_err *err)
{
	const struct sqlite_store *store = ctx;

	return cv_sqlite_get(store->writer, sql, value, found, err);
}

static int migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	const struct sqlite_store *store = ctx;

	return cv_sqlite_exec(store->writer, sql, err);
}

static int migration_begin(void *ctx, struct convo_err *err)
{
	const struct sqlite_store *store = ctx;

	return cv_sqlite_begin(store->writer, !store->file.readonly, err);
}

static int migration_end(void *ctx, int rc, struct convo_err *err)
{
	const struct sqlite_store *store = ctx;

	if (rc == 0)
		rc = cv_sqlite_commit(store->writer, err);
	cv_sqlite_rollback(store->writer);
	return rc;
}

/* Check the file, and bring it up to date unless it is only to be checked. */
static int sqlite_make_ready(struct sqlite_store *store, struct convo_err *err)
{
	const struct sql_conn conn = {
		.ctx = store,
		.where = store->file.where,
		.get = migration_get,
		.exec = migration_exec,
		.begin = migration_begin,
		.end = migration_end,
	};
	bool check = store->base.opts.check_schema || store->file.readonly;
	bool empty = false;
	int rc = sqlite_identify(store, &empty, err);

	if (rc >= 0 && !store->file.readonly && !(check && empty))
		rc = cv_sqlite_use_wal(store->writer, err);
	if (rc < 0)
		return rc;
	return cv_sql_migrate(&sqlite_dialect, &conn, store->base.prefix, check, err);
}

static int sqlite_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &sqlite_dialect, prefix, err);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* How a connection is made that shows what is in the file, and writes if that is possible. */
static enum sqlite_mode sqlite_first_mode(const struct sqlite_store *store)
{
	struct sqlite_stamp stamp;

	if (!store->file.readonly)
		return DB_WRITER;
	return cv_sqlite_file_stamp(&store->file, &stamp) ? DB_FROZEN : DB_READER_ONLY;
}

static int sqlite_open_file(struct sqlite_store *store, const struct store_call *call,
			    struct convo_err *err)
{
	int rc = cv_sqlite_open(&store->writer, &store->plan, sqlite_first_mode(store), call, err);

	if (rc < 0)
		return rc;
	rc = sqlite_make_ready(store, err);
	/* The call ends, and what it was bounded by. */
	cv_sqlite_until(store->writer, INT64_MAX, NULL, NULL);
	if (rc < 0 || !store->file.readonly)
		return rc;
	cv_sqlite_close(store->writer);
	store->writer = NULL;
	return 0;
}

static int sqlite_open(struct convo_store *base, const struct store_call *call,
		       const struct cv_url *url, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct sqlite_hold hold;
	int rc;

	cv_sqlite_hold(&hold);
	rc = cv_sqlite_file_find(&store->file, url, !base->opts.check_schema, err);
	if (rc < 0)
		goto out;
	snprintf(base->where, sizeof(base->where), "SQLite (%s)", url->path);
	store->plan = (struct sqlite_plan){store->file.path, store->file.where, &sqlite_dialect,
					   base->prefix,     cv_sqlite_texts,   TEXT_COUNT};
	rc = sqlite_open_file(store, call, err);
	if (rc < 0)
		goto out;
	rc = cv_group_new(&store->group, cv_sqlite_round, store, 1, ROUND_JOBS, ROUND_BYTES, err);
	if (rc < 0)
		goto out;
	rc = cv_pool_new(&store->readers, base, &cv_sqlite_readers, err);
out:
	cv_sqlite_let_go(&hold);
	return rc;
}

static void sqlite_close(struct convo_store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct sqlite_hold hold;

	cv_sqlite_hold(&hold);
	cv_group_free(store->group);
	cv_pool_free(store->readers);
	/* The last connection to a file writes its log back. */
	cv_sqlite_close(store->writer);
	cv_sqlite_let_go(&hold);
	cv_sqlite_file_clear(&store->file);
}

const struct cv_backend cv_backend_sqlite = {
	.scheme = "sqlite",
	.title = "SQLite",
	.size = sizeof(struct sqlite_store),
	.default_prefix = "convo_",
	.open = sqlite_open,
	.close = sqlite_close,
	.create = cv_sqlite_create,
	.load = cv_sqlite_load,
	.append = cv_sqlite_append,
	.drafts = cv_sqlite_drafts,
	.fork = cv_sqlite_fork,
	.marks = cv_sqlite_marks,
	.marks_us = MARKS_US,
	.weigh = cv_sqlite_weigh,
	.rename = cv_sqlite_rename,
	.list = cv_sqlite_list,
	.owners = cv_sqlite_owners,
	.delete = cv_sqlite_delete,
	.restore = cv_sqlite_restore,
	.purge = cv_sqlite_purge,
	.state_set = cv_sqlite_state_set,
	.state_list = cv_sqlite_state_list,
	.clean = cv_sqlite_clean,
	.schema = sqlite_schema,
};
