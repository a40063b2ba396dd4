/*
 * The PostgreSQL store. What takes one round trip is the call of a function that the migrations have
 * made (append.c, create.c, draft.c, load.c); the rest is shared with the other SQL stores
 * (rare.c). Appends of many threads travel together. Nothing is set on a connection but prepared
 * statements, which are given up where a pooler stands between that loses them.
 */
#include <store/postgres/store.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define PG_CLEAN_ROWS 5000
#define PG_MARKS_US 200000 /* how often sessions are asked for that cannot be heard of */
#define PG_ROUNDS 2        /* of appends at a time: fewer are larger, and cost less each */

/* ---- statements ----------------------------------------------------------------------- */

/* As SQL_LIST of rare.h, with what is ours of a session. */
#define PG_LIST_TEXT(listed, shown)                                                               \
	"SELECT no, life, position, created_us, updated_us, expires_us, deleted_us, purge_us, "   \
	"due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes, generation, session, " \
	"title, (SELECT (extract(epoch FROM h.until - clock_timestamp()) * 1000000)::bigint "     \
	"FROM {p}turns AS h WHERE h.session = t.no), fork_session, fork_generation, fork_seq "    \
	"FROM {p}sessions AS t WHERE app = $1 AND \"user\" = $2 AND " listed                      \
	" AND position <= $3 AND (position < $3 OR no < $4) AND " shown                           \
	" ORDER BY position DESC, no DESC LIMIT $5"

static const struct pg_text {
	const char *sql, *columns;
	bool simple; /* not worth preparing */
} pg_texts[PG_RARE] = {
	[PG_CREATE] = {"SELECT {p}create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", "i",
		       false},
	[PG_FORK] = {"SELECT {p}fork($1, $2, $3, $4, $5, $6, $7, $8, $9)", "i", false},
	[PG_LOAD] = {"SELECT * FROM {p}read($1, $2, $3, $4, $5, $6::integer, $7, $8, $9, $10 <> 0)",
		     "iIIUITTTTTTJJJJ", false},
	[PG_LIST] = {PG_LIST_TEXT("life + 0 = 0", "(expires_us = 0 OR expires_us > $6)"),
		     PG_ROW_PROMISES, false},
	[PG_LIST_TRASH] = {PG_LIST_TEXT("life = 1", "purge_us > $6"), PG_ROW_PROMISES, false},
	[PG_APPEND] = {"SELECT * FROM {p}append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
		       "$13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)",
		       "iIT", false},
	[PG_APPEND_MANY] =
		{"SELECT * FROM {p}append_many($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		 "$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
		 "ii", false},
	[PG_APPEND_HELD] =
		{"SELECT * FROM {p}append_held($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		 "$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, "
		 "$28, $29, $30)",
		 "iITI", false},
	[PG_DRAFT] = {"SELECT * FROM {p}draft($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
		      "$13, $14)",
		      "iI", false},
	[PG_DRAFTS] = {"SELECT * FROM {p}drafts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
		       "$12, $13, $14)",
		       "i", false},
	[PG_MARKS] = {"SELECT * FROM {p}marks($1, $2, $3, $4)", "ii", false},
	[PG_WEIGH] = {"SELECT {p}weigh($1, $2, $3, $4)", "i", false},
	[PG_EAR_SET] = {"SELECT {p}ear_set($1, $2, $3, $4, $5)", "i", false},
	[PG_EAR_STAY] = {"SELECT {p}ear_stay($1, $2)", "i", false},
	[PG_EAR_END] = {"SELECT {p}ear_end($1)", "i", true},
	[PG_CLEAN] = {"SELECT * FROM {p}clean($1, $2)", "ii", false},
	[PG_BEGIN] = {"BEGIN ISOLATION LEVEL READ COMMITTED", NULL, true},
	[PG_HASTE] = {"SELECT set_config('idle_in_transaction_session_timeout', $1, true)", "T",
		      true},
	[PG_COMMIT] = {"COMMIT", NULL, true},
	[PG_ROLLBACK] = {"ROLLBACK", NULL, true},
};

#define PG_LOCK "SELECT pg_advisory_xact_lock(1668183663, hashtext(lower('{p}')))"

/* What is done to a session is told to those who watch it. The rows count as those that were changed. */
#define PG_TOLD(update)                                          \
	"WITH u AS (" update " RETURNING app, {user}, session) " \
	"SELECT {p}tell(app, {user}, session) FROM u"
#define PG_LIVE_ONE                                                    \
	"WHERE app = ? AND {user} = ? AND session = ? AND {live} AND " \
	"(expires_us = 0 OR expires_us > ?)"

static const struct sql_dialect pg_dialect = {
	.scheme = "postgres",
	.quote = '"',
	.numbered = true,
	.live = "life = 0",
	.listed = "life + 0 = 0",
	.lock = " FOR UPDATE",
	.greatest = "greatest",
	.texts = {[SQL_RENAME] = PG_TOLD(
			  "UPDATE {p}sessions SET title = ?, position = greatest(position, ?), "
			  "updated_us = greatest(updated_us, ?), due_us = CASE WHEN ? > 0 AND "
			  "(due_us = 0 OR due_us > ?) THEN ? ELSE due_us END, "
			  "expires_us = CASE WHEN ? > 0 THEN ? ELSE expires_us END " PG_LIVE_ONE),
		  [SQL_DELETE] = PG_TOLD(
			  "UPDATE {p}sessions SET life = ?, position = greatest(position, ?), "
			  "deleted_us = ?, purge_us = ?, due_us = ? " PG_LIVE_ONE),
		  [SQL_LIFE] = PG_TOLD(
			  "UPDATE {p}sessions SET life = ?, position = ?, updated_us = ?, "
			  "expires_us = ?, deleted_us = ?, purge_us = ?, due_us = ? WHERE no = ?"),
		  [SQL_TOUCH] = PG_TOLD(
			  "UPDATE {p}sessions SET position = ?, updated_us = ?, expires_us = ?, "
			  "due_us = ?, state_bytes = ? WHERE no = ?")},
	.migrations = cv_sql_postgres,
	/* Opening a catalog is what makes a session hear of tables that others made while it waited
	 * for the lock; to_regclass() alone would answer from its cache. */
	.count_tables = "SELECT count(*) FROM pg_class WHERE oid IN (to_regclass('{p}meta'), "
			"to_regclass('{p}sessions'), to_regclass('{p}events'), "
			"to_regclass('{p}scopes'), to_regclass('{p}state'))",
	.count_meta = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('{p}meta') "
		      "AND attname IN ('name', 'value') AND NOT attisdropped",
	.count_hidden = "SELECT count(*) FROM pg_class WHERE oid = to_regclass('{p}meta') "
			"AND row_security_active(oid)",
};

/* ---- the store ------------------------------------------------------------------------ */

struct pg_store *cv_pg_of(struct convo_store *store)
{
	assert(store->be == &cv_backend_postgres);
	return (struct pg_store *)store;
}

static void *pg_connect(struct convo_store *store, const struct store_call *call,
			struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	const struct pg_until until = pg_until_of(call);

	return cv_pg_open(&pg->plan, &until, &pg->shared, err);
}

static void pg_disconnect(void *conn)
{
	cv_pg_close(conn);
}

static bool pg_usable(void *conn)
{
	return cv_pg_usable(conn);
}

static bool pg_elsewhere(struct convo_store *store)
{
	return cv_pg_of(store)->plan.host_count > 1;
}

static int pg_socket(const void *conn)
{
	return cv_pg_socket(conn);
}

static const struct pool_driver pg_driver = {
	.connect = pg_connect,
	.disconnect = pg_disconnect,
	.usable = pg_usable,
	.elsewhere = pg_elsewhere,
	.socket = pg_socket,
};

/* ---- running -------------------------------------------------------------------------- */

static int pg_work_op(struct convo_store *store, void *conn, const struct store_call *call,
		      void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct pg_work *work = ctx;
	const struct pg_until until = {call->deadline_us, work->stops.cancel, work->stops.count,
				       call->patience};
	int rc;

	do {
		store_work_trip(call);
		rc = cv_pg_run(conn, work->query, work->count, &until, fate, err);
	} while (rc == PG_AGAIN && *fate == POOL_KEEP && cv_clock_mono_us() < call->deadline_us);
	if (rc == PG_AGAIN && *fate == POOL_UNSENT) /* on another connection, says the pool */
		rc = cv_fail(err, CONVO_E_GONE, "%s: connection given up", store->where);
	else if (rc == PG_AGAIN)
		rc = cv_sql_in_the_way(err, store->where);
	work->refused = rc < 0 && *fate == POOL_KEEP;
	return rc;
}

int cv_pg_work(struct pg_store *pg, const struct store_call *call, struct pg_work *work,
	       struct convo_err *err)
{
	return cv_pool_run_for(pg->sql.pool, call, &work->stops, POOL_HARMLESS, pg_work_op, work,
			       err);
}

int cv_pg_one(struct pg_store *pg, const struct store_call *call, struct pg_query *query,
	      struct pg_args *args, struct convo_err *err)
{
	struct pg_work work = {
		.query = query, .count = 1, .stops = {&call->cancel, call->cancel ? 1 : 0}};
	int rc = cv_pg_args_finish(args, err);

	query->args = args;
	if (rc < 0)
		goto out;
	rc = cv_pg_work(pg, call, &work, err);
out:
	cv_pg_args_clear(args);
	return rc;
}

void cv_pg_args_key(struct pg_args *args, const struct convo_key *key)
{
	cv_pg_args_text(args, cv_text_of(key->app));
	cv_pg_args_text(args, cv_text_of(key->user ? key->user : ""));
	cv_pg_args_text(args, cv_text_of(key->session ? key->session : ""));
}

void cv_pg_args_keys(struct pg_args *args, const struct convo_key *const *keys, size_t count)
{
	size_t i;

	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(keys[i]->app));
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(keys[i]->user));
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(keys[i]->session));
}

/* The scopes, names and values of changes. */
void cv_pg_args_changes(struct pg_args *args, const struct store_change *changes, size_t count)
{
	size_t i;

	cv_pg_args_array(args, PG_INT2, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(args, PG_INT2, changes[i].scope);
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, changes[i].name);
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, changes[i].value);
}

/* Say which scope is full; other codes have said it all. */
int cv_pg_tell(int rc, const struct pg_query *query, struct convo_err *err)
{
	if (rc == CONVO_E_TOOBIG && query->detail)
		return cv_refuse_state(err, (enum convo_scope)query->detail);
	return rc;
}

/* ---- opening -------------------------------------------------------------------------- */

static int pg_migrate_op(struct convo_store *store, void *conn, const struct store_call *call,
			 void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	const struct pg_until until = pg_until_of(call);

	(void)ctx;
	return cv_pg_migrate(conn, &pg_dialect, cv_pg_of(store)->lock, store->prefix,
			     store->opts.check_schema, &until, fate, err);
}

/* Make one statement ready; those of rare.h follow our own. */
static int pg_statement(struct pg_store *pg, unsigned i, struct convo_err *err)
{
	struct pg_statement *statement = &pg->statement[i];
	const char *prefix = pg->sql.base.prefix;
	struct cv_buf sql = {0};
	int rc;

	if (i < PG_RARE) {
		statement->columns = pg_texts[i].columns;
		rc = cv_sql_expand(&sql, &pg_dialect, prefix, pg_texts[i].sql, err);
	} else {
		statement->columns = cv_sql_columns[i - PG_RARE];
		rc = cv_sql_text(&sql, &pg_dialect, prefix, (enum sql_text)(i - PG_RARE), err);
	}
	if (rc < 0)
		goto out;
	statement->sql = cv_buf_take(&sql);
	if (!statement->sql)
		rc = cv_fail_nomem(err);
	else if (i >= PG_RARE || !pg_texts[i].simple)
		cv_pg_statement_name(statement, i);
out:
	cv_buf_clear(&sql);
	return rc;
}

static int pg_statements(struct pg_store *pg, struct convo_err *err)
{
	struct cv_buf lock = {0};
	unsigned i;
	int rc = cv_sql_expand(&lock, &pg_dialect, pg->sql.base.prefix, PG_LOCK, err);

	if (rc < 0)
		goto out;
	pg->lock = cv_buf_take(&lock);
	if (!pg->lock)
		rc = cv_fail_nomem(err);
	for (i = 0; rc >= 0 && i < PG_STATEMENTS; i++)
		rc = pg_statement(pg, i, err);
out:
	cv_buf_clear(&lock);
	return rc;
}

static int pg_open(struct convo_store *store, const struct store_call *call,
		   const struct cv_url *url, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	char place[sizeof(store->where) - sizeof("PostgreSQL ()")] = "";
	/* Half of the connections are left to others. */
	int rounds = (store->opts.max_connections + 1) / 2;
	int rc = cv_pg_plan_init(&pg->plan, url, place, sizeof(place), err);

	snprintf(store->where, sizeof(store->where), "PostgreSQL (%s)", place);
	pg->plan.where = store->where;
	pg->plan.create_database = !store->opts.check_schema;
	if (rc < 0)
		return rc;
	rc = pg_statements(pg, err);
	if (rc < 0)
		return rc;
	pg->sql.op = cv_pg_rare;
	rc = cv_pool_new(&pg->sql.pool, store, &pg_driver, err);
	if (rc < 0)
		return rc;
	rc = cv_group_new(&pg->appends, cv_pg_append_round, pg,
			  rounds < PG_ROUNDS ? rounds : PG_ROUNDS, PG_ROUND_JOBS, PG_ROUND_BYTES,
			  err);
	if (rc < 0)
		return rc;
	rc = cv_group_new(&pg->holds, cv_pg_append_round, pg, 1, PG_ROUND_JOBS, PG_ROUND_BYTES,
			  err);
	if (rc < 0)
		return rc;
	rc = cv_pool_run(pg->sql.pool, call, true, pg_migrate_op, NULL, err);
	/* A database that disappears later was not meant to be made again. */
	pg->plan.create_database = false;
	return rc;
}

static void pg_close(struct convo_store *store)
{
	struct pg_store *pg = cv_pg_of(store);
	unsigned i;

	cv_group_free(pg->appends);
	cv_group_free(pg->holds);
	cv_pool_free(pg->sql.pool);
	cv_pg_plan_clear(&pg->plan);
	free(pg->lock);
	for (i = 0; i < PG_STATEMENTS; i++)
		free(pg->statement[i].sql);
}

static int pg_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &pg_dialect, prefix, err);
}

/* ---- cleaning ------------------------------------------------------------------------- */

struct pg_clean {
	int64_t removed;
	bool more;
};

static int pg_clean_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_clean *clean = ctx;

	(void)err;
	clean->removed = column[0].number;
	clean->more = column[1].number != 0;
	return 0;
}

static int pg_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_clean clean = {0, false};
	struct pg_args args = {0};
	struct pg_query query = {
		.statement = &pg->statement[PG_CLEAN], .row = pg_clean_row, .ctx = &clean};
	int rc;

	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, PG_CLEAN_ROWS);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0)
		return rc;
	if (clean.removed < 0 || clean.removed > PG_CLEAN_ROWS)
		return cv_sql_damaged(err, store->where);
	*removed += clean.removed;
	*more = clean.more;
	return 0;
}

const struct cv_backend cv_backend_postgres = {
	.scheme = "postgres",
	.params = cv_pg_params,
	.title = "PostgreSQL",
	.size = sizeof(struct pg_store),
	.default_prefix = "convo_",
	.open = pg_open,
	.close = pg_close,
	.create = cv_pg_create,
	.fork = cv_pg_fork,
	.load = cv_pg_load,
	.append = cv_pg_append,
	.drafts = cv_pg_drafts,
	.marks = cv_pg_marks,
	.marks_us = PG_MARKS_US,
	.ear_open = cv_pg_ear_open,
	.ear_set = cv_pg_ear_set,
	.ear_wait = cv_pg_ear_wait,
	.ear_close = cv_pg_ear_close,
	.weigh = cv_pg_weigh,
	.rename = cv_sql_store_rename,
	.list = cv_pg_list,
	.owners = cv_sql_store_owners,
	.delete = cv_sql_store_delete,
	.restore = cv_sql_store_restore,
	.purge = cv_sql_store_purge,
	.state_set = cv_sql_store_state_set,
	.state_list = cv_sql_store_state_list,
	.clean = pg_clean,
	.schema = pg_schema,
};
