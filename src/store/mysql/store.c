/*
 * The MySQL and MariaDB store. An operation is one prepared statement, mostly the call of a
 * procedure that the migration has made: 0001.sql keeps the rules of the contract,
 * db.c talks to the server, and this file carries parameters there and rows back.
 */
#include <store/backend.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/mysql/db.h>
#include <store/mysql/pack.h>

#define MY_CLEAN_ROWS 2000

/* ---- statements ----------------------------------------------------------------------- */

#define THE_LIVE_ONE                                             \
	"app = ? AND user = ? AND session = ? AND live = 1 AND " \
	"(expires_us = 0 OR expires_us > ?)"
#define META                                                                                      \
	"0 AS part, session, title, generation, created_us, updated_us, expires_us, deleted_us, " \
	"first_seq, last_seq, position, no"

enum {
	MY_CREATE,
	MY_LOAD,
	MY_APPEND,
	MY_RENAME,
	MY_LIST,
	MY_LIST_TRASH,
	MY_DELETE,
	MY_RESTORE,
	MY_PURGE,
	MY_STATE_SET,
	MY_STATE_LIST,
	MY_CLEAN,
	MY_TEXT_COUNT
};

static const char *const my_texts[MY_TEXT_COUNT] = {
	[MY_CREATE] = "CALL {p}create(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_LOAD] = "CALL {p}load(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_APPEND] = "CALL {p}append(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_RENAME] = "UPDATE {p}sessions SET title = ?, position = GREATEST(position, ?), "
		      "updated_us = GREATEST(updated_us, ?), "
		      "expires_us = IF(? > 0, ?, expires_us), "
		      "due_us = IF(? > 0 AND (due_us = 0 OR due_us > ?), ?, due_us) "
		      "WHERE " THE_LIVE_ONE,
	[MY_LIST] =
		"SELECT " META " FROM {p}sessions FORCE INDEX (list) WHERE app = ? AND user = ? "
		"AND life = 0 AND position <= ? AND (position < ? OR no < ?) "
		"AND (expires_us = 0 OR expires_us > ?) "
		"ORDER BY position DESC, no DESC LIMIT ?",
	[MY_LIST_TRASH] = "SELECT " META " FROM {p}sessions FORCE INDEX (list) "
			  "WHERE app = ? AND user = ? "
			  "AND life = 1 AND position <= ? AND (position < ? OR no < ?) "
			  "AND purge_us > ? ORDER BY position DESC, no DESC LIMIT ?",
	[MY_DELETE] =
		"UPDATE {p}sessions SET life = ?, position = ?, deleted_us = ?, purge_us = ?, "
		"due_us = ? WHERE " THE_LIVE_ONE,
	[MY_RESTORE] = "CALL {p}restore(?, ?, ?, ?, ?, ?)",
	[MY_PURGE] = ("UPDATE {p}sessions SET life = 2, due_us = 1 WHERE app = ? AND user = ? "
		      "AND session = ? AND life = 1 AND (? IS NULL OR generation = ?)"),
	[MY_STATE_SET] = "CALL {p}state_set(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_STATE_LIST] = "CALL {p}state_list(?, ?, ?, ?, ?, ?)",
	[MY_CLEAN] = "CALL {p}clean(?, ?)",
};

static const struct sql_dialect my_dialect = {
	.scheme = "mysql",
	.quote = '`',
	.migrations = cv_sql_mysql,
	.delimiter = "$$",
	/* {p}meta that is ours but empty is the first step of a migration that was cut short. */
	.count_tables = "SELECT COUNT(*) FROM information_schema.tables "
			"WHERE table_schema = DATABASE() AND (table_name IN ('{p}sessions', "
			"'{p}events', '{p}scopes', '{p}state') "
			"OR (table_name = '{p}meta' AND table_comment <> 'convo'))",
	.count_meta = "SELECT COUNT(*) FROM information_schema.columns "
		      "WHERE table_schema = DATABASE() AND table_name = '{p}meta' "
		      "AND column_name IN ('name', 'value')",
};

/* ---- the store ------------------------------------------------------------------------ */

struct my_store {
	struct convo_store base;
	struct my_plan plan;
	struct store_pool *pool;
	char *sql[MY_TEXT_COUNT];
	const char *texts[MY_TEXT_COUNT];
};

static struct my_store *my_of(struct convo_store *store)
{
	assert(store->be == &cv_backend_mysql);
	return (struct my_store *)store;
}

static void *my_connect(struct convo_store *store, const struct store_call *call,
			struct convo_err *err)
{
	return cv_my_open(&my_of(store)->plan, call->deadline_us, err);
}

static void my_disconnect(void *conn)
{
	cv_my_close(conn);
}

static bool my_usable(void *conn)
{
	return cv_my_usable(conn);
}

static const struct pool_driver my_driver = {
	.connect = my_connect,
	.disconnect = my_disconnect,
	.usable = my_usable,
};

/* ---- running -------------------------------------------------------------------------- */

/* Parameters being listed. */
struct my_args {
	struct my_arg arg[16];
	size_t count;
};

static void my_int(struct my_args *args, int64_t number)
{
	args->arg[args->count++] = (struct my_arg){.kind = MY_INT, .number = number};
}

static void my_bytes(struct my_args *args, const void *data, size_t len)
{
	args->arg[args->count++] =
		(struct my_arg){.kind = data ? MY_BYTES : MY_NULL, .bytes = {data, len}};
}

static void my_buf(struct my_args *args, const struct cv_buf *buf)
{
	my_bytes(args, cv_buf_str(buf), buf->len);
}

static void my_key(struct my_args *args, const struct convo_key *key)
{
	const char *user = key->user ? key->user : "", *session = key->session ? key->session : "";

	my_bytes(args, key->app, strlen(key->app));
	my_bytes(args, user, strlen(user));
	my_bytes(args, session, strlen(session));
}

static int my_run_op(struct convo_store *store, void *conn, const struct store_call *call,
		     void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	int rc;

	do {
		store_work_trip(call);
		rc = cv_my_run(conn, ctx, call->deadline_us, fate, err);
	} while (rc == MY_AGAIN && *fate == POOL_KEEP && cv_clock_mono_us() < call->deadline_us);
	if (rc == MY_AGAIN)
		rc = cv_fail(err, CONVO_E_TIMEOUT, "%s: other transactions were in the way",
			     store->where);
	return rc;
}

/* Run a statement. `repeat` as for cv_pool_run(). */
static int my_run(struct my_store *my, const struct store_call *call, bool repeat,
		  struct my_query *query, const struct my_args *args, struct convo_err *err)
{
	int rc;

	query->args = args->arg;
	query->arg_count = args->count;
	rc = cv_pool_run(my->pool, call, repeat, my_run_op, query, err);
	if (rc == CONVO_E_TOOBIG && query->detail)
		return cv_refuse_state(err, (enum convo_scope)query->detail);
	return rc;
}

/* A row of one number, the code that a procedure answers with. */
static int my_row_code(void *ctx, const struct my_column *column, struct convo_err *err)
{
	int64_t *code = ctx;

	(void)err;
	*code = column[0].number;
	return 0;
}

/* ---- opening -------------------------------------------------------------------------- */

static int my_migrate_op(struct convo_store *store, void *conn, const struct store_call *call,
			 void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	(void)ctx;
	return cv_my_migrate(conn, &my_dialect, store->prefix, store->opts.check_schema,
			     call->deadline_us, fate, err);
}

static int my_expand(struct my_store *my, struct convo_err *err)
{
	int i, rc = 0;

	for (i = 0; rc == 0 && i < MY_TEXT_COUNT; i++) {
		struct cv_buf sql = {0};

		rc = cv_sql_expand(&sql, &my_dialect, my->base.prefix, my_texts[i], err);
		if (rc == 0 && !(my->sql[i] = cv_buf_take(&sql)))
			rc = cv_fail_nomem(err);
		my->texts[i] = my->sql[i];
		cv_buf_clear(&sql);
	}
	return rc;
}

static int my_open(struct convo_store *store, const struct store_call *call,
		   const struct cv_url *url, struct convo_err *err)
{
	struct my_store *my = my_of(store);
	char place[sizeof(store->where) - sizeof("MySQL ()")] = "";
	int rc = cv_my_plan_init(&my->plan, url, place, sizeof(place), err);

	snprintf(store->where, sizeof(store->where), "MySQL (%s)", place);
	my->plan.where = store->where;
	my->plan.texts = my->texts;
	my->plan.create_database = !store->opts.check_schema;
	my->plan.lock_wait_s = (store->opts.timeout_ms + 999) / 1000;
	if (rc == 0)
		rc = my_expand(my, err);
	if (rc == 0)
		rc = cv_pool_new(&my->pool, store, &my_driver, err);
	if (rc == 0)
		rc = cv_pool_run(my->pool, call, true, my_migrate_op, NULL, err);
	/* A database that disappears later was not meant to be made again. */
	my->plan.create_database = false;
	return rc;
}

static void my_close(struct convo_store *store)
{
	struct my_store *my = my_of(store);
	int i;

	cv_pool_free(my->pool);
	cv_my_plan_clear(&my->plan);
	for (i = 0; i < MY_TEXT_COUNT; i++)
		free(my->sql[i]);
}

static int my_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &my_dialect, prefix, err);
}

/* ---- creating and loading ------------------------------------------------------------- */

static int my_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err)
{
	struct my_store *my = my_of(store);
	int64_t code = 0;
	struct my_query query = {.text = MY_CREATE, .row = my_row_code, .ctx = &code};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_changes(&pack, create->changes, create->change_count);
	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, call->ttl_us);
	my_int(&args, CONVO_MAX_STATE);
	my_bytes(&args, create->generation, UUID_BYTES);
	my_bytes(&args, create->title.data ? create->title.data : "", create->title.len);
	my_int(&args, pack.scopes);
	my_buf(&args, &pack.changes);
	my_buf(&args, &pack.data);
	/* Its generation tells a repeat from another creator. */
	rc = pack.rc < 0 ? cv_buf_fail(err, pack.rc) : my_run(my, call, true, &query, &args, err);
	cv_my_pack_clear(&pack);
	if (rc == CONVO_E_EXISTS || (rc == 0 && code < 0))
		return cv_refuse_exists(err, key);
	return rc;
}

/* The columns of a session, which {p}load() and the lists share. */
static void my_row_meta(struct store_meta *meta, const struct my_column *column)
{
	*meta = (struct store_meta){
		.session = column[1].bytes,
		.title = column[2].bytes,
		.created_us = column[4].number,
		.updated_us = column[5].number,
		.expires_us = column[6].number,
		.deleted_us = column[7].number,
		.first_seq = column[8].number,
		.last_seq = column[9].number,
		.position = column[10].number,
		.number = column[11].number,
	};
	if (column[3].bytes.len == UUID_BYTES)
		memcpy(meta->generation, column[3].bytes.data, UUID_BYTES);
}

struct my_load {
	struct convo_session *into;
	bool found;
};

static void my_load_begin(void *ctx)
{
	struct my_load *load = ctx;

	load->found = false;
	cv_session_reset(load->into);
}

static int my_load_event(struct my_load *load, const struct my_column *column,
			 struct convo_err *err)
{
	struct store_event event = {.seq = column[1].number,
				    .time_ms = column[2].number,
				    .status = (int)column[4].number};
	int i;

	if (column[3].bytes.len == UUID_BYTES)
		memcpy(event.id, column[3].bytes.data, UUID_BYTES);
	for (i = 0; i < FIELD_COUNT; i++)
		event.field[i] = column[5 + i].bytes;
	return cv_session_add_event(load->into, &event, err);
}

static int my_load_row(void *ctx, const struct my_column *column, struct convo_err *err)
{
	struct my_load *load = ctx;
	struct store_meta meta;

	switch (column[0].number) {
	case 0:
		my_row_meta(&meta, column);
		load->found = true;
		return cv_session_set_meta(load->into, &meta, err);
	case 1:
		return cv_session_add_state(load->into, (enum convo_scope)column[1].number,
					    column[2].bytes, column[3].bytes, err);
	default:
		return my_load_event(load, column, err);
	}
}

static int my_load(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_window *window,
		   struct convo_session *into, struct convo_err *err)
{
	struct my_load load = {into, false};
	struct my_query query = {
		.text = MY_LOAD, .begin = my_load_begin, .row = my_load_row, .ctx = &load};
	struct my_args args = {0};
	int rc;

	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, call->event_limit);
	my_int(&args, window->kind);
	my_int(&args, window->n);
	my_int(&args, window->seq);
	my_bytes(&args, window->kind == CONVO_WINDOW_AROUND ? window->around : NULL, UUID_BYTES);
	rc = my_run(my_of(store), call, true, &query, &args, err);
	return rc == 0 && !load.found ? cv_refuse_notfound(err, key) : rc;
}

/* ---- appending ------------------------------------------------------------------------ */

struct my_append {
	struct store_append *append;
	int64_t code, last_seq;
};

static int my_append_row(void *ctx, const struct my_column *column, struct convo_err *err)
{
	struct my_append *self = ctx;
	const char *seqs = column[2].bytes.data;
	size_t i;

	(void)err;
	self->code = column[0].number;
	self->last_seq = column[1].number;
	for (i = 0; self->code == 0 && seqs && i < self->append->count; i++) {
		char *end;

		self->append->events[i].seq = strtoll(seqs, &end, 10);
		seqs = *end ? end + 1 : end;
	}
	return 0;
}

static int my_append(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct store_append *append,
		     struct convo_err *err)
{
	struct my_store *my = my_of(store);
	struct my_append self = {.append = append};
	struct my_query query = {.text = MY_APPEND, .row = my_append_row, .ctx = &self};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_events(&pack, append->events, append->count);
	cv_my_pack_changes(&pack, append->changes, append->change_count);
	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, call->ttl_us);
	my_int(&args, CONVO_MAX_STATE);
	my_int(&args, call->event_limit);
	my_bytes(&args, append->generation, UUID_BYTES);
	my_int(&args, append->check_seq ? append->after_seq : -1);
	my_buf(&args, &pack.events);
	my_int(&args, pack.scopes);
	my_buf(&args, &pack.changes);
	my_buf(&args, &pack.data);
	rc = pack.rc < 0 ? cv_buf_fail(err, pack.rc) : my_run(my, call, true, &query, &args, err);
	cv_my_pack_clear(&pack);
	if (rc < 0 || self.code == 0)
		return rc;
	if (self.code == CONVO_E_NOTFOUND)
		return cv_refuse_notfound(err, key);
	return self.code == CONVO_E_CONFLICT ? cv_refuse_conflict(err, key, self.last_seq)
					     : cv_refuse_generation(err, key, self.last_seq);
}

/* ---- other writes --------------------------------------------------------------------- */

static int my_rename(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct my_store *my = my_of(store);
	struct my_query query = {.text = MY_RENAME};
	int64_t ttl_us = call->ttl_us, expires_us = call->now_us + ttl_us;
	struct my_args args = {0};
	int rc;

	my_bytes(&args, title.data ? title.data : "", title.len);
	my_int(&args, call->now_us);
	my_int(&args, call->now_us);
	my_int(&args, ttl_us);
	my_int(&args, expires_us);
	my_int(&args, ttl_us);
	my_int(&args, expires_us);
	my_int(&args, expires_us);
	my_key(&args, key);
	my_int(&args, call->now_us);
	rc = my_run(my, call, false, &query, &args, err);
	return rc == 0 && query.changed == 0 ? cv_refuse_notfound(err, key) : rc;
}

struct my_clean {
	int64_t removed;
	bool more;
};

static int my_clean_row(void *ctx, const struct my_column *column, struct convo_err *err)
{
	struct my_clean *clean = ctx;

	(void)err;
	clean->removed = column[0].number;
	clean->more = column[1].number;
	return 0;
}

static int my_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err)
{
	struct my_clean clean = {0, false};
	struct my_query query = {.text = MY_CLEAN, .row = my_clean_row, .ctx = &clean};
	struct my_args args = {0};
	int rc;

	my_int(&args, call->now_us);
	my_int(&args, MY_CLEAN_ROWS);
	rc = my_run(my_of(store), call, true, &query, &args, err);
	if (rc == 0) {
		*removed += clean.removed;
		*more = clean.more;
	}
	return rc;
}

static int my_delete(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct convo_err *err)
{
	struct my_query query = {.text = MY_DELETE};
	int64_t trash_us = call->trash_us, purge_us = call->now_us + trash_us;
	struct my_args args = {0};
	int rc;

	my_int(&args, trash_us ? 1 : 2);
	my_int(&args, call->now_us);
	my_int(&args, call->now_us);
	my_int(&args, purge_us);
	my_int(&args, trash_us ? purge_us : 1);
	my_key(&args, key);
	my_int(&args, call->now_us);
	rc = my_run(my_of(store), call, false, &query, &args, err);
	return rc;
}

static int my_restore(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const unsigned char *generation,
		      struct convo_err *err)
{
	struct my_store *my = my_of(store);
	int64_t code = 0;
	struct my_query query = {.text = MY_RESTORE, .row = my_row_code, .ctx = &code};
	struct my_args args = {0};
	int rc;

	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, call->ttl_us);
	my_bytes(&args, generation, UUID_BYTES);
	rc = my_run(my, call, false, &query, &args, err);
	if (rc == CONVO_E_EXISTS || (rc == 0 && code == CONVO_E_EXISTS))
		return cv_refuse_exists(err, key);
	if (rc == 0 && code < 0)
		return cv_refuse_trash(err, key);
	return rc;
}

static int my_purge(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const unsigned char *generation,
		    struct convo_err *err)
{
	struct my_query query = {.text = MY_PURGE};
	struct my_args args = {0};
	int rc;

	my_key(&args, key);
	my_bytes(&args, generation, UUID_BYTES);
	my_bytes(&args, generation, UUID_BYTES);
	rc = my_run(my_of(store), call, false, &query, &args, err);
	return rc;
}

/* ---- lists and state ------------------------------------------------------------------ */

static int my_list_row(void *ctx, const struct my_column *column, struct convo_err *err)
{
	struct store_meta meta;

	my_row_meta(&meta, column);
	return cv_page_add(ctx, &meta, err);
}

static void my_list_begin(void *ctx)
{
	cv_page_reset(ctx);
}

static int my_list(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, bool trash, const struct store_place *place, size_t n,
		   struct store_page *into, struct convo_err *err)
{
	struct my_query query = {.text = trash ? MY_LIST_TRASH : MY_LIST,
				 .begin = my_list_begin,
				 .row = my_list_row,
				 .ctx = into};
	struct my_args args = {0};

	my_bytes(&args, app, strlen(app));
	my_bytes(&args, user, strlen(user));
	my_int(&args, place->position);
	my_int(&args, place->position);
	my_int(&args, place->number);
	my_int(&args, call->now_us);
	my_int(&args, (int64_t)n);
	return my_run(my_of(store), call, true, &query, &args, err);
}

static int my_state_set(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_change *changes,
			size_t count, struct convo_err *err)
{
	struct my_store *my = my_of(store);
	int64_t code = 0;
	struct my_query query = {.text = MY_STATE_SET, .row = my_row_code, .ctx = &code};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_changes(&pack, changes, count);
	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, call->ttl_us);
	my_int(&args, CONVO_MAX_STATE);
	my_int(&args, pack.scopes);
	my_buf(&args, &pack.changes);
	my_buf(&args, &pack.data);
	rc = pack.rc < 0 ? cv_buf_fail(err, pack.rc) : my_run(my, call, false, &query, &args, err);
	cv_my_pack_clear(&pack);
	return rc == 0 && code < 0 ? cv_refuse_notfound(err, key) : rc;
}

struct my_state {
	struct convo_state *into;
	bool found;
};

static void my_state_begin(void *ctx)
{
	struct my_state *state = ctx;

	state->found = false;
	cv_state_reset(state->into);
}

static int my_state_row(void *ctx, const struct my_column *column, struct convo_err *err)
{
	struct my_state *state = ctx;

	if (column[0].number)
		return cv_state_add(state->into, (enum convo_scope)column[0].number,
				    column[1].bytes, column[2].bytes, err);
	state->found = true;
	return 0;
}

static int my_state_list(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			 struct convo_state *into, struct convo_err *err)
{
	struct my_state state = {into, false};
	struct my_query query = {
		.text = MY_STATE_LIST, .begin = my_state_begin, .row = my_state_row, .ctx = &state};
	struct my_args args = {0};
	int rc;

	my_key(&args, key);
	my_int(&args, call->now_us);
	my_int(&args, scopes);
	my_bytes(&args, name ? name->data : NULL, name ? name->len : 0);
	rc = my_run(my_of(store), call, true, &query, &args, err);
	return rc == 0 && !state.found ? cv_refuse_notfound(err, key) : rc;
}

const struct cv_backend cv_backend_mysql = {
	.scheme = "mysql",
	.params = cv_my_params,
	.title = "MySQL",
	.size = sizeof(struct my_store),
	.default_prefix = "convo_",
	.open = my_open,
	.close = my_close,
	.create = my_create,
	.load = my_load,
	.append = my_append,
	.rename = my_rename,
	.list = my_list,
	.delete = my_delete,
	.restore = my_restore,
	.purge = my_purge,
	.state_set = my_state_set,
	.state_list = my_state_list,
	.clean = my_clean,
	.schema = my_schema,
};
