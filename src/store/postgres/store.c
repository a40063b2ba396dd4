/*
 * The PostgreSQL store. An operation is one statement, mostly the call of a function that the
 * migration has made: 0001.sql keeps the rules of the contract, db.c talks
 * to the server, and this file carries parameters there and rows back. Appends of many threads
 * travel together, as one pipeline that is one transaction. Statements are unnamed and nothing is
 * set on a connection, so that PgBouncer may stand between.
 */
#include <store/postgres/store.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define PG_CLEAN_ROWS 5000

/* A window of more events is taken from the connection row by row. */
#define PG_LARGE 1000

#define PG_ROUNDS 4 /* of appends, at a time */

/* ---- statements ----------------------------------------------------------------------- */

#define THE_LIVE_ONE                                                    \
	"app = $1 AND \"user\" = $2 AND session = $3 AND life = 0 AND " \
	"(expires_us = 0 OR expires_us > $4)"
#define META                                                                                 \
	"session, title, generation, ARRAY[created_us, updated_us, expires_us, deleted_us, " \
	"first_seq, last_seq, position, no]"

static const char *const pg_texts[PG_TEXTS] = {
	[PG_CREATE] = "SELECT {p}create($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	[PG_LOAD] = "SELECT * FROM {p}load($1, $2, $3, $4, $5, $6::integer, $7, $8, $9)",
	[PG_APPEND] = "SELECT * FROM {p}append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
		      "$13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)",
	[PG_RENAME] = "UPDATE {p}sessions SET title = $6, position = greatest(position, $4), "
		      "updated_us = greatest(updated_us, $4), "
		      "expires_us = CASE WHEN $5 > 0 THEN $4 + $5 ELSE expires_us END, "
		      "due_us = CASE WHEN $5 > 0 AND (due_us = 0 OR due_us > $4 + $5) "
		      "THEN $4 + $5 ELSE due_us END WHERE " THE_LIVE_ONE,
	[PG_LIST] = "SELECT " META " FROM {p}sessions WHERE app = $1 AND \"user\" = $2 "
		    "AND life = 0 AND (position, no) < ($4, $5) "
		    "AND (expires_us = 0 OR expires_us > $3) "
		    "ORDER BY position DESC, no DESC LIMIT $6",
	[PG_LIST_TRASH] = "SELECT " META " FROM {p}sessions WHERE app = $1 AND \"user\" = $2 "
			  "AND life = 1 AND (position, no) < ($4, $5) AND purge_us > $3 "
			  "ORDER BY position DESC, no DESC LIMIT $6",
	[PG_DELETE] = "UPDATE {p}sessions SET life = CASE WHEN $5 > 0 THEN 1 ELSE 2 END, "
		      "position = $4, deleted_us = $4, purge_us = $4 + $5, "
		      "due_us = CASE WHEN $5 > 0 THEN $4 + $5 ELSE 1 END WHERE " THE_LIVE_ONE,
	[PG_RESTORE] = "SELECT {p}restore($1, $2, $3, $4, $5, $6)",
	[PG_PURGE] = "UPDATE {p}sessions SET life = 2, due_us = 1 WHERE app = $1 AND \"user\" = $2 "
		     "AND session = $3 AND life = 1 AND ($4 IS NULL OR generation = $4)",
	[PG_STATE_SET] = "SELECT {p}state_set($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	[PG_STATE_LIST] = "SELECT * FROM {p}state_list($1, $2, $3, $4, $5::integer, $6)",
	[PG_CLEAN] = "SELECT * FROM {p}clean($1, $2)",
	[PG_LOCK] = "SELECT pg_advisory_xact_lock(1668183663, hashtext(lower('{p}')))",
};

static const struct sql_dialect pg_dialect = {
	.scheme = "postgres",
	.quote = '"',
	.migrations = cv_sql_postgres,
	/* Opening a catalog is what makes a session hear of tables that others made while it waited
	 * for the lock; to_regclass() alone would answer from its cache. */
	.count_tables = "SELECT count(*) FROM pg_class WHERE oid IN (to_regclass('{p}meta'), "
			"to_regclass('{p}sessions'), to_regclass('{p}events'), "
			"to_regclass('{p}scopes'), to_regclass('{p}state'))",
	.count_meta = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('{p}meta') "
		      "AND attname IN ('name', 'value') AND NOT attisdropped",
};

/* ---- the store ------------------------------------------------------------------------ */

struct pg_store *cv_pg_of(struct convo_store *store)
{
	assert(store->be == &cv_backend_postgres);
	return (struct pg_store *)store;
}

static void *pg_connect(struct convo_store *store, int64_t deadline_us, struct convo_err *err)
{
	return cv_pg_open(&cv_pg_of(store)->plan, deadline_us, err);
}

static void pg_disconnect(void *conn)
{
	cv_pg_close(conn);
}

static bool pg_usable(void *conn)
{
	return cv_pg_usable(conn);
}

static const struct pool_driver pg_driver = {
	.connect = pg_connect,
	.disconnect = pg_disconnect,
	.usable = pg_usable,
};

/* ---- running -------------------------------------------------------------------------- */

int cv_pg_work_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		  enum pool_fate *fate, struct convo_err *err)
{
	struct pg_work *work = ctx;
	int rc;

	do
		rc = cv_pg_run(conn, work->query, work->count, call->deadline_us, fate, err);
	while (rc == PG_AGAIN && *fate == POOL_KEEP && cv_clock_mono_us() < call->deadline_us);
	if (rc == PG_AGAIN)
		rc = cv_fail(err, CONVO_E_TIMEOUT, "%s: other transactions were in the way",
			     store->where);
	work->refused = rc < 0 && *fate == POOL_KEEP;
	return rc;
}

/* Run one statement. `repeat` as for cv_pool_run(). */
static int pg_run(struct pg_store *pg, const struct store_call *call, bool repeat,
		  struct pg_query *query, struct pg_args *args, struct convo_err *err)
{
	struct pg_work work = {query, 1, false};
	int rc = cv_pg_args_finish(args, err);

	query->args = args;
	if (rc == 0)
		rc = cv_pool_run(pg->pool, call, repeat, cv_pg_work_op, &work, err);
	cv_pg_args_clear(args);
	return rc;
}

void cv_pg_args_key(struct pg_args *args, const struct convo_key *key)
{
	cv_pg_args_text(args, cv_text_of(key->app));
	cv_pg_args_text(args, cv_text_of(key->user ? key->user : ""));
	cv_pg_args_text(args, cv_text_of(key->session ? key->session : ""));
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

/* A row of one number, the code that a function of ours returns. */
static int pg_row_int(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	int64_t *value = ctx;

	(void)err;
	*value = cv_pg_int(column[0]);
	return 0;
}

/* ---- opening -------------------------------------------------------------------------- */

static int pg_migrate_op(struct convo_store *store, void *conn, const struct store_call *call,
			 void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	(void)ctx;
	return cv_pg_migrate(conn, &pg_dialect, cv_pg_of(store)->sql[PG_LOCK], store->prefix,
			     store->opts.check_schema, call->deadline_us, fate, err);
}

static int pg_expand(struct pg_store *pg, struct convo_err *err)
{
	int i, rc = 0;

	for (i = 0; rc == 0 && i < PG_TEXTS; i++) {
		struct cv_buf sql = {0};

		rc = cv_sql_expand(&sql, &pg_dialect, pg->base.prefix, pg_texts[i], err);
		if (rc == 0 && !(pg->sql[i] = cv_buf_take(&sql)))
			rc = cv_fail_nomem(err);
		cv_buf_clear(&sql);
	}
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
	if (rc == 0)
		rc = pg_expand(pg, err);
	if (rc == 0)
		rc = cv_pool_new(&pg->pool, store, &pg_driver, err);
	if (rc == 0)
		rc = cv_group_new(&pg->appends, cv_pg_append_round, pg,
				  rounds < PG_ROUNDS ? rounds : PG_ROUNDS, PG_ROUND_JOBS,
				  PG_ROUND_BYTES, err);
	if (rc == 0)
		rc = cv_pool_run(pg->pool, call, true, pg_migrate_op, NULL, err);
	/* A database that disappears later was not meant to be made again. */
	pg->plan.create_database = false;
	return rc;
}

static void pg_close(struct convo_store *store)
{
	struct pg_store *pg = cv_pg_of(store);
	int i;

	cv_group_free(pg->appends);
	cv_pool_free(pg->pool);
	cv_pg_plan_clear(&pg->plan);
	for (i = 0; i < PG_TEXTS; i++)
		free(pg->sql[i]);
}

static int pg_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &pg_dialect, prefix, err);
}

/* ---- creating and loading ------------------------------------------------------------- */

static int pg_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_args args = {0};
	int64_t code = 0;
	struct pg_query query = {.sql = pg->sql[PG_CREATE], .row = pg_row_int, .ctx = &code};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_int(&args, CONVO_MAX_STATE);
	cv_pg_args_uuid(&args, create->generation);
	cv_pg_args_text(&args, create->title);
	cv_pg_args_changes(&args, create->changes, create->change_count);
	/* Its generation tells a repeat from another creator. */
	rc = pg_run(pg, call, true, &query, &args, err);
	if (rc == 0 && code < 0)
		return cv_refuse_exists(err, key);
	return cv_pg_tell(rc, &query, err);
}

static void pg_row_meta(struct store_meta *meta, struct cv_text generation, struct cv_text numbers)
{
	if (generation.len == UUID_BYTES)
		memcpy(meta->generation, generation.data, UUID_BYTES);
	meta->created_us = cv_pg_int_at(numbers, 0);
	meta->updated_us = cv_pg_int_at(numbers, 1);
	meta->expires_us = cv_pg_int_at(numbers, 2);
	meta->deleted_us = cv_pg_int_at(numbers, 3);
	meta->first_seq = cv_pg_int_at(numbers, 4);
	meta->last_seq = cv_pg_int_at(numbers, 5);
	meta->position = cv_pg_int_at(numbers, 6);
	meta->number = cv_pg_int_at(numbers, 7);
}

/* The columns of {p}load(). */
enum { LOAD_PART, LOAD_NUMBERS, LOAD_SEQ, LOAD_TIME, LOAD_ID, LOAD_STATUS, LOAD_FIELDS };

struct pg_load {
	struct convo_session *into;
	const struct convo_key *key;
	bool found;
};

static void pg_load_begin(void *ctx)
{
	struct pg_load *load = ctx;

	load->found = false;
	cv_session_reset(load->into);
}

static int pg_load_meta(struct pg_load *load, const struct cv_text *column, struct convo_err *err)
{
	struct store_meta meta = {.session = cv_text_of(load->key->session),
				  .title = column[LOAD_FIELDS + FIELD_AUTHOR]};

	pg_row_meta(&meta, column[LOAD_ID], column[LOAD_NUMBERS]);
	load->found = true;
	return cv_session_set_meta(load->into, &meta, err);
}

static int pg_load_event(struct pg_load *load, const struct cv_text *column, struct convo_err *err)
{
	struct store_event event = {
		.seq = cv_pg_int(column[LOAD_SEQ]),
		.time_ms = cv_pg_int(column[LOAD_TIME]),
		.status = (int)cv_pg_int(column[LOAD_STATUS]),
	};
	int i;

	if (column[LOAD_ID].len == UUID_BYTES)
		memcpy(event.id, column[LOAD_ID].data, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++) {
		event.field[i] = column[LOAD_FIELDS + i];
		if (event_field_is_json((enum event_field)i))
			event.field[i] = cv_pg_json(event.field[i]);
	}
	return cv_session_add_event(load->into, &event, err);
}

static int pg_load_row(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	struct pg_load *load = ctx;

	switch (cv_pg_int(column[LOAD_PART])) {
	case 0:
		return pg_load_meta(load, column, err);
	case 1:
		return cv_session_add_state(load->into,
					    (enum convo_scope)cv_pg_int(column[LOAD_STATUS]),
					    column[LOAD_FIELDS + FIELD_AUTHOR],
					    cv_pg_json(column[LOAD_FIELDS + FIELD_MESSAGE]), err);
	default:
		return pg_load_event(load, column, err);
	}
}

static int pg_load(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_window *window,
		   struct convo_session *into, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_load load = {into, key, false};
	struct pg_query query = {
		.sql = pg->sql[PG_LOAD],
		.begin = pg_load_begin,
		.row = pg_load_row,
		.ctx = &load,
		.large = window->n > PG_LARGE,
	};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->event_limit);
	cv_pg_args_int(&args, window->kind);
	cv_pg_args_int(&args, window->n);
	cv_pg_args_int(&args, window->seq);
	cv_pg_args_uuid(&args, window->kind == CONVO_WINDOW_AROUND ? window->around : NULL);
	rc = pg_run(pg, call, true, &query, &args, err);
	return rc == 0 && !load.found ? cv_refuse_notfound(err, key) : rc;
}

/* ---- other writes --------------------------------------------------------------------- */

static int pg_rename(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_query query = {.sql = pg->sql[PG_RENAME]};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_text(&args, title);
	rc = pg_run(pg, call, false, &query, &args, err);
	return rc == 0 && query.count == 0 ? cv_refuse_notfound(err, key) : rc;
}

struct pg_clean {
	int64_t removed;
	bool more;
};

static int pg_clean_row(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	struct pg_clean *clean = ctx;

	(void)err;
	clean->removed = cv_pg_int(column[0]);
	clean->more = column[1].len && column[1].data[0];
	return 0;
}

static int pg_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_clean clean = {0, false};
	struct pg_query query = {.sql = pg->sql[PG_CLEAN], .row = pg_clean_row, .ctx = &clean};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, PG_CLEAN_ROWS);
	rc = pg_run(pg, call, true, &query, &args, err);
	if (rc == 0) {
		*removed += clean.removed;
		*more = clean.more;
	}
	return rc;
}

static int pg_delete(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_query query = {.sql = pg->sql[PG_DELETE]};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->trash_us);
	rc = pg_run(pg, call, false, &query, &args, err);
	return rc;
}

static int pg_restore(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const unsigned char *generation,
		      struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	int64_t code = 0;
	struct pg_query query = {.sql = pg->sql[PG_RESTORE], .row = pg_row_int, .ctx = &code};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_uuid(&args, generation);
	rc = pg_run(pg, call, false, &query, &args, err);
	if (rc == 0 && code == CONVO_E_EXISTS)
		return cv_refuse_exists(err, key);
	if (rc == 0 && code < 0)
		return cv_refuse_trash(err, key);
	return rc;
}

static int pg_purge(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const unsigned char *generation,
		    struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_query query = {.sql = pg->sql[PG_PURGE]};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_uuid(&args, generation);
	rc = pg_run(pg, call, false, &query, &args, err);
	return rc;
}

/* ---- lists and state ------------------------------------------------------------------ */

static int pg_list_row(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	struct store_meta meta = {.session = column[0], .title = column[1]};

	pg_row_meta(&meta, column[2], column[3]);
	return cv_page_add(ctx, &meta, err);
}

static void pg_list_begin(void *ctx)
{
	cv_page_reset(ctx);
}

static int pg_list(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, bool trash, const struct store_place *place, size_t n,
		   struct store_page *into, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_query query = {
		.sql = pg->sql[trash ? PG_LIST_TRASH : PG_LIST],
		.begin = pg_list_begin,
		.row = pg_list_row,
		.ctx = into,
	};
	struct pg_args args = {0};

	cv_pg_args_text(&args, cv_text_of(app));
	cv_pg_args_text(&args, cv_text_of(user));
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, place->position);
	cv_pg_args_int(&args, place->number);
	cv_pg_args_int(&args, (int64_t)n);
	return pg_run(pg, call, true, &query, &args, err);
}

static int pg_state_set(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_change *changes,
			size_t count, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	int64_t code = 0;
	struct pg_query query = {.sql = pg->sql[PG_STATE_SET], .row = pg_row_int, .ctx = &code};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, call->ttl_us);
	cv_pg_args_int(&args, CONVO_MAX_STATE);
	cv_pg_args_changes(&args, changes, count);
	rc = pg_run(pg, call, false, &query, &args, err);
	if (rc == 0 && code < 0)
		return cv_refuse_notfound(err, key);
	return cv_pg_tell(rc, &query, err);
}

struct pg_state {
	struct convo_state *into;
	bool found;
};

static void pg_state_begin(void *ctx)
{
	struct pg_state *state = ctx;

	state->found = false;
	cv_state_reset(state->into);
}

static int pg_state_row(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	struct pg_state *state = ctx;
	int64_t scope = cv_pg_int(column[0]);

	if (scope)
		return cv_state_add(state->into, (enum convo_scope)scope, column[1],
				    cv_pg_json(column[2]), err);
	state->found = true;
	return 0;
}

static int pg_state_list(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			 struct convo_state *into, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_state state = {into, false};
	struct pg_query query = {.sql = pg->sql[PG_STATE_LIST],
				 .begin = pg_state_begin,
				 .row = pg_state_row,
				 .ctx = &state};
	struct pg_args args = {0};
	int rc;

	cv_pg_args_key(&args, key);
	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_int(&args, scopes);
	cv_pg_args_text(&args, name ? *name : (struct cv_text){0});
	rc = pg_run(pg, call, true, &query, &args, err);
	return rc == 0 && !state.found ? cv_refuse_notfound(err, key) : rc;
}

const struct cv_backend cv_backend_postgres = {
	.scheme = "postgres",
	.params = cv_pg_params,
	.title = "PostgreSQL",
	.size = sizeof(struct pg_store),
	.default_prefix = "convo_",
	.open = pg_open,
	.close = pg_close,
	.create = pg_create,
	.load = pg_load,
	.append = cv_pg_append,
	.rename = pg_rename,
	.list = pg_list,
	.delete = pg_delete,
	.restore = pg_restore,
	.purge = pg_purge,
	.state_set = pg_state_set,
	.state_list = pg_state_list,
	.clean = pg_clean,
	.schema = pg_schema,
};
