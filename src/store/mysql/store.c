/*
 * The MySQL and MariaDB store: opening it, creating sessions, cleaning. An operation is one prepared
 * statement, the call of a procedure that a migration has made (0002.sql and 0004.sql keep the rules of
 * the contract), or in rare.c some statements that all SQL stores share.
 */
#include <store/mysql/store.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/mysql/more.h>
#include <store/mysql/pack.h>
#include <store/shared/wait.h>

#define MY_CLEAN_ROWS 2000
#define MY_MARKS_US 200000
#define MY_ROUNDS 1 /* of appends, at a time: the more gather for the next */

/* ---- statements ----------------------------------------------------------------------- */

/* The newest events up to a seq, as {p}read() finds them, and whether the session, its user or its app
 * have state. The session is found by a unique key, so that the server takes its columns for
 * constants and reads the events in the order of theirs. */
#define MY_GLANCE_TEXT                                                                           \
	"SELECT s.no, s.position, s.created_us, s.updated_us, s.expires_us, s.first_seq, "       \
	"s.last_seq, s.state_bytes, IFNULL((SELECT MAX(o.state_bytes) FROM {p}scopes AS "        \
	"o WHERE o.app = ? AND o.user IN (?, '')), 0) AS shared_bytes, s.generation, "           \
	"s.title, " MY_MORE(                                                                     \
		"m") " AS more, e.seq, e.time_ms, e.id, e.status, {fields}, "                    \
		     "e.exact FROM {p}sessions AS s LEFT JOIN {p}more AS m ON m.session = s.no " \
		     "JOIN {p}events AS e ON e.session = s.no "                                  \
		     "WHERE e.seq <= LEAST(s.last_seq, ?) AND e.seq >= GREATEST(s.first_seq, "   \
		     "IF(? > 0, s.last_seq - ? + 1, 1), LEAST(s.last_seq, ?) - ? + 1) "          \
		     "AND s.app = ? AND s.user = ? AND s.session = ? AND s.live = 1 "            \
		     "AND (s.expires_us = 0 OR s.expires_us > ?) ORDER BY e.seq"

/* Without the hint the server may sort a user's sessions. */
#define MY_LIST_OF                                                                               \
	"SELECT no, life, position, created_us, updated_us, expires_us, deleted_us, "            \
	"purge_us, due_us, kept_seq, first_seq, last_seq, last_time_ms, state_bytes, "           \
	"generation, session, title, (SELECT " MY_MORE(                                          \
		"m") " FROM {p}more AS m "                                                       \
		     "WHERE m.session = s.no) AS more FROM {p}sessions AS s FORCE INDEX (list) " \
		     "WHERE app = ? AND user = ? AND position <= ? AND (position < ? OR no < ?) "
#define MY_IN_ORDER " ORDER BY position DESC, no DESC LIMIT ?"

static const char *const my_texts[MY_RARE] = {
	[MY_CREATE] = "CALL {p}create(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_LOAD] = "CALL {p}read(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_GLANCE] = MY_GLANCE_TEXT,
	[MY_APPEND] = "CALL {p}append(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_HOLD] = "CALL {p}hold(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_DRAFTS] = "CALL {p}drafts(?, ?, ?)",
	[MY_DRAFT] = "CALL {p}draft(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_FORK] = "CALL {p}fork(?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[MY_WEIGH] = "CALL {p}weigh(?)",
	[MY_LIST] = MY_LIST_OF "AND life = 0 AND (expires_us = 0 OR expires_us > ?)" MY_IN_ORDER,
	[MY_LIST_TRASH] = MY_LIST_OF "AND life = 1 AND purge_us > ?" MY_IN_ORDER,
	[MY_CLEAN] = "CALL {p}clean(?, ?)",
};

#define MY_SCOPE_ADD                                                                      \
	"INSERT INTO {p}scopes (app, {user}, state_bytes) VALUES (?, ?, 0) ON DUPLICATE " \
	"KEY UPDATE state_bytes = state_bytes"

static const struct sql_dialect my_dialect = {
	.scheme = "mysql",
	.quote = '`',
	.live = "live = 1",
	.listed = "life = 0",
	.lock = " FOR UPDATE",
	.greatest = "GREATEST",
	.texts =
		{
			[SQL_SCOPE_ADD] = MY_SCOPE_ADD,
			/* Later than before, by whatever clock: it is what a mark knows a write of
			 * state by. */
			[SQL_TOUCH] = "UPDATE {p}sessions SET position = ?, "
				      "updated_us = GREATEST(?, updated_us + 1), expires_us = ?, "
				      "due_us = ?, state_bytes = ? WHERE no = ?",
			/* A value and, unless that is NULL, its text as it was. */
			[SQL_STATE_PUT] =
				"INSERT INTO {p}state (scope, owner, name, value, exact, bytes) "
				"VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
				"value = VALUES(value), exact = VALUES(exact), bytes = "
				"VALUES(bytes)",
			[SQL_STATE_LIST] =
				"SELECT o.scope, t.name, IFNULL(t.exact, t.value) AS value FROM "
				"(SELECT 1 AS scope, no AS owner FROM {p}sessions "
				"WHERE app = ? AND {user} = ? AND session = ? AND {live} "
				"AND (expires_us = 0 OR expires_us > ?) "
				"UNION ALL SELECT 2, no FROM {p}scopes "
				"WHERE app = ? AND {user} = ? "
				"UNION ALL SELECT 4, no FROM {p}scopes "
				"WHERE app = ? AND {user} = '') AS o "
				"LEFT JOIN {p}state AS t ON t.scope = o.scope "
				"AND t.owner = o.owner AND (? IS NULL OR t.name = ?) "
				"WHERE o.scope & ? > 0",
		},
	.migrations = cv_sql_mysql,
	.delimiter = "$$",
	/* {p}meta that is ours but empty is the first step of a migration that was cut short. */
	.count_tables = "SELECT COUNT(*) FROM information_schema.tables "
			"WHERE table_schema = DATABASE() AND (table_name IN ('{p}sessions', "
			"'{p}events', '{p}scopes', '{p}state', '{p}more', '{p}drafts') "
			"OR (table_name = '{p}meta' AND table_comment <> 'convo'))",
	.count_meta = "SELECT COUNT(*) FROM information_schema.columns "
		      "WHERE table_schema = DATABASE() AND table_name = '{p}meta' "
		      "AND column_name IN ('name', 'value')",
};

/* ---- connections ---------------------------------------------------------------------- */

struct my_store *cv_my_of(struct convo_store *store)
{
	assert(store->be == &cv_backend_mysql);
	return (struct my_store *)store;
}

/* Keep the shortest way that a connection had: what the kernel measures has the server's pauses in it. */
static void my_note_trip(struct my_store *my, const struct my_db *db)
{
	int trip_us = (int)cv_wait_trip_us(cv_my_socket(db)), known_us = atomic_load(&my->trip_us);

	if (!known_us || trip_us < known_us)
		atomic_store(&my->trip_us, trip_us);
}

static void *my_connect(struct convo_store *store, const struct store_call *call,
			struct convo_err *err)
{
	struct my_store *my = cv_my_of(store);
	struct my_db *db = cv_my_open(&my->plan, call, err);

	if (db)
		my_note_trip(my, db);
	return db;
}

static void my_disconnect(void *conn)
{
	cv_my_close(conn);
}

static bool my_usable(void *conn)
{
	return cv_my_usable(conn);
}

static bool my_elsewhere(struct convo_store *store)
{
	return cv_my_of(store)->plan.host_count > 1;
}

static int my_socket(const void *conn)
{
	return cv_my_socket(conn);
}

static const struct pool_driver my_driver = {
	.connect = my_connect,
	.disconnect = my_disconnect,
	.usable = my_usable,
	.elsewhere = my_elsewhere,
	.socket = my_socket,
};

/* ---- running -------------------------------------------------------------------------- */

void cv_my_int(struct my_args *args, int64_t number)
{
	args->arg[args->count++] = (struct sql_value){.kind = SQL_INT, .number = number};
}

void cv_my_bytes(struct my_args *args, const void *data, size_t len)
{
	args->arg[args->count++] =
		(struct sql_value){.kind = data ? SQL_TEXT : SQL_NULL, .text = {data, len}};
}

void cv_my_buf(struct my_args *args, const struct cv_buf *buf)
{
	cv_my_bytes(args, cv_buf_str(buf), buf->len);
}

void cv_my_key(struct my_args *args, const struct convo_key *key)
{
	const char *user = key->user ? key->user : "", *session = key->session ? key->session : "";

	cv_my_bytes(args, key->app, strlen(key->app));
	cv_my_bytes(args, user, strlen(user));
	cv_my_bytes(args, session, strlen(session));
}

/* Up to 64 ms, twice as much each time. Addresses of stacks and the clock differ between threads. */
static void my_pause(const struct my_tries *tries, int64_t left_us)
{
	int64_t most_us = INT64_C(1000) << (tries->in_the_way < 6 ? tries->in_the_way : 6);
	uint64_t mix = ((uint64_t)cv_clock_mono_us() ^ (uint64_t)(uintptr_t)tries) *
		       UINT64_C(0x9e3779b97f4a7c15);
	int64_t pause_us = (int64_t)(mix >> 32) % most_us;
	struct timespec ts = {0, (long)(pause_us < left_us ? pause_us : left_us) * 1000};

	nanosleep(&ts, NULL);
}

bool cv_my_again(int rc, struct my_tries *tries, const struct store_call *call, enum pool_fate fate)
{
	int64_t left_us = call->deadline_us - cv_clock_mono_us();

	if (fate != POOL_KEEP || left_us <= 0 || convo_cancel_requested(call->cancel))
		return false;
	/* A name that was taken between two statements: what took it is to be seen now, and may
	 * have been this call itself, before its connection was lost. */
	if (rc == CONVO_E_EXISTS && !tries->exists) {
		tries->exists = true;
		return true;
	}
	if (rc != MY_AGAIN)
		return false;
	if (tries->in_the_way++) /* once more at once: most have gone on by then */
		my_pause(tries, left_us);
	return true;
}

static int my_call_op(struct convo_store *store, void *conn, const struct store_call *call,
		      void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct my_tries tries = {0};
	int rc = cv_my_look_again(conn, call, fate, err);

	if (rc < 0)
		return rc;
	do
		rc = cv_my_run(conn, ctx, call, fate, err);
	while (cv_my_again(rc, &tries, call, *fate));
	return rc == MY_AGAIN ? cv_sql_in_the_way(err, store->where) : rc;
}

int cv_my_query(struct my_store *my, const struct store_call *call, bool repeat,
		struct my_query *query, struct convo_err *err)
{
	int rc = cv_pool_run(my->sql.pool, call, repeat, my_call_op, query, err);

	if (rc == CONVO_E_TOOBIG && query->detail)
		return cv_refuse_state(err, (enum convo_scope)query->detail);
	return rc;
}

int cv_my_call(struct my_store *my, const struct store_call *call, bool repeat,
	       struct my_query *query, const struct my_args *args, struct convo_err *err)
{
	query->args = args->arg;
	query->arg_count = args->count;
	return cv_my_query(my, call, repeat, query, err);
}

/* ---- opening -------------------------------------------------------------------------- */

static int my_migrate_op(struct convo_store *store, void *conn, const struct store_call *call,
			 void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct my_store *my = ctx;

	my->rounds = cv_my_skips(conn);
	return cv_my_migrate(conn, &my_dialect, store->prefix, store->opts.check_schema, call, fate,
			     err);
}

static int my_expand_rows(struct cv_buf *sql, int text, const char *prefix, struct convo_err *err)
{
	struct cv_buf plain = {0};
	int rc = text < MY_MARKS ? cv_my_rows_text(&plain, text - MY_ROWS)
				 : cv_my_mark_text(&plain, text - MY_MARKS);

	rc = rc < 0 ? cv_buf_fail(err, rc)
		    : cv_sql_expand(sql, &my_dialect, prefix, cv_buf_str(&plain), err);
	cv_buf_clear(&plain);
	return rc;
}

static int my_expand(struct my_store *my, int text, struct convo_err *err)
{
	const char *prefix = my->sql.base.prefix;
	struct cv_buf sql = {0};
	int rc;

	if (text < MY_RARE)
		rc = cv_sql_expand(&sql, &my_dialect, prefix, my_texts[text], err);
	else if (text < MY_ROWS)
		rc = cv_sql_text(&sql, &my_dialect, prefix, (enum sql_text)(text - MY_RARE), err);
	else
		rc = my_expand_rows(&sql, text, prefix, err);
	if (rc == 0 && !(my->expanded[text] = cv_buf_take(&sql)))
		rc = cv_fail_nomem(err);
	my->texts[text] = my->expanded[text];
	cv_buf_clear(&sql);
	return rc;
}

static int my_open(struct convo_store *store, const struct store_call *call,
		   const struct cv_url *url, struct convo_err *err)
{
	struct my_store *my = cv_my_of(store);
	char place[sizeof(store->where) - sizeof("MySQL ()")] = "";
	int text, rc = cv_my_plan_init(&my->plan, url, place, sizeof(place), err);

	snprintf(store->where, sizeof(store->where), "MySQL (%s)", place);
	if (rc < 0)
		return rc;
	my->plan.where = store->where;
	my->plan.texts = my->texts;
	my->plan.create_database = !store->opts.check_schema;
	my->plan.lock_wait_s = (store->opts.timeout_ms + 999) / 1000;
	for (text = 0; text < MY_TEXT_COUNT; text++) {
		rc = my_expand(my, text, err);
		if (rc < 0)
			return rc;
	}
	my->sql.op = cv_my_rare;
	rc = cv_pool_new(&my->sql.pool, store, &my_driver, err);
	if (rc < 0)
		return rc;
	rc = cv_group_new(&my->appends, cv_my_round, my, MY_ROUNDS, MY_ROUND_JOBS, MY_ROUND_BYTES,
			  err);
	if (rc < 0)
		return rc;
	rc = cv_pool_run(my->sql.pool, call, true, my_migrate_op, my, err);
	/* A database that disappears later was not meant to be made again. */
	my->plan.create_database = false;
	return rc;
}

static void my_close(struct convo_store *store)
{
	struct my_store *my = cv_my_of(store);
	int i;

	cv_group_free(my->appends);
	cv_pool_free(my->sql.pool);
	cv_my_plan_clear(&my->plan);
	for (i = 0; i < MY_TEXT_COUNT; i++)
		free(my->expanded[i]);
}

static int my_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &my_dialect, prefix, err);
}

/* ---- creating -------------------------------------------------------------------------- */

static int my_create_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	int64_t *code = ctx;

	(void)err;
	*code = column[0].number;
	return 0;
}

static int my_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err)
{
	int64_t code = 1; /* no answer */
	struct my_query query = {.text = MY_CREATE, .take[0] = {"i", my_create_row}, .ctx = &code};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_changes(&pack, create->changes, create->change_count);
	if (pack.rc < 0) {
		rc = cv_buf_fail(err, pack.rc);
		goto out;
	}
	cv_my_key(&args, key);
	cv_my_int(&args, call->now_us);
	cv_my_int(&args, call->ttl_us);
	cv_my_int(&args, CONVO_MAX_STATE);
	cv_my_bytes(&args, create->generation, UUID_BYTES);
	cv_my_bytes(&args, create->title.data ? create->title.data : "", create->title.len);
	cv_my_int(&args, pack.scopes);
	cv_my_buf(&args, &pack.changes);
	cv_my_buf(&args, &pack.data);
	/* Its generation tells a repeat from another creator. */
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc == CONVO_E_EXISTS || (rc == 0 && code < 0))
		rc = cv_refuse_exists(err, key);
	else if (rc == 0 && code)
		rc = cv_my_damaged(store->where, err);
out:
	cv_my_pack_clear(&pack);
	return rc;
}

/* ---- cleaning -------------------------------------------------------------------------- */

struct my_clean {
	int64_t removed;
	bool more;
};

static int my_clean_row(void *ctx, const struct sql_value *column, struct convo_err *err)
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
	struct my_query query = {.text = MY_CLEAN, .take[0] = {"ii", my_clean_row}, .ctx = &clean};
	struct my_args args = {0};
	int rc;

	cv_my_int(&args, call->now_us);
	cv_my_int(&args, MY_CLEAN_ROWS);
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc < 0)
		return rc;
	if (clean.removed > 0 && clean.removed <= MY_CLEAN_ROWS)
		*removed += clean.removed;
	*more = clean.more;
	return 0;
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
	.load = cv_my_load,
	.append = cv_my_append,
	.drafts = cv_my_drafts,
	.fork = cv_my_fork,
	.marks = cv_my_marks,
	.marks_us = MY_MARKS_US,
	.weigh = cv_my_weigh,
	.rename = cv_sql_store_rename,
	.list = cv_my_list,
	.owners = cv_sql_store_owners,
	.delete = cv_sql_store_delete,
	.restore = cv_sql_store_restore,
	.purge = cv_sql_store_purge,
	.state_set = cv_sql_store_state_set,
	.state_list = cv_sql_store_state_list,
	.clean = my_clean,
	.schema = my_schema,
};
