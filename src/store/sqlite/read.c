/*
 * The SQLite store: opening, and what reads. Readers have connections of their own, pooled, and
 * never wait for the writer (WAL); write.c writes, db.c talks to SQLite.
 */
#include <store/sqlite/store.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/alloc.h>

enum { FILE_EMPTY, FILE_OURS, FILE_OTHERS };

/* The number, "cnvo", stands in the header of every file of ours: see 0001.sql. */
#define SQL_IDENTIFY                                                                   \
	"SELECT CASE WHEN application_id = 1668183663 THEN 1 "                         \
	"WHEN application_id = 0 AND NOT EXISTS (SELECT 1 FROM sqlite_master) THEN 0 " \
	"ELSE 2 END FROM pragma_application_id"

#define ROUND_JOBS 256
#define ROUND_BYTES ((size_t)8 << 20)

static const struct sql_dialect sqlite_dialect = {
	.scheme = "sqlite",
	.quote = '"',
	.migrations = cv_sql_sqlite,
	.count_tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('{p}meta', "
			"'{p}sessions', '{p}events', '{p}scopes', '{p}state')",
	.count_meta = "SELECT count(*) FROM pragma_table_info('{p}meta') "
		      "WHERE name IN ('name', 'value')",
};

/* ---- the file --------------------------------------------------------------------------- */

static int file_fail(struct sqlite_store *store, const char *what, int number,
		     struct convo_err *err)
{
	char reason[80] = "";

	strerror_r(number, reason, sizeof(reason));
	return cv_fail(err,
		       number == EACCES || number == EPERM || number == EROFS ? CONVO_E_DENIED
									      : CONVO_E_IO,
		       "%s: %s: %s", store->base.where, what, reason);
}

/* Make the directories that are missing above the file. */
static int file_make_parents(struct sqlite_store *store, struct convo_err *err)
{
	char *slash = store->path;
	struct stat st;
	int number = 0;

	while (!number && (slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (mkdir(store->path, 0700) < 0)
			number = errno;
		if (number && stat(store->path, &st) == 0)
			number = 0;
		*slash = '/';
	}
	return number ? file_fail(store, "cannot make its directory", number, err) : 0;
}

/* A device is no place for sessions: SQLite would take it, and leave a journal beside it. */
static int file_check(struct sqlite_store *store, struct convo_err *err)
{
	struct stat st;

	if (stat(store->path, &st) == 0 && !S_ISREG(st.st_mode))
		return cv_fail(err, CONVO_E_IO, "%s: cannot open: it is no regular file",
			       store->base.where);
	return 0;
}

/* Make the file, readable by its owner only. */
static int file_make(struct sqlite_store *store, struct convo_err *err)
{
	/* Closing a descriptor of a file drops all locks this process has on it. So it is opened
	 * only if it is new, and while no other thread can take it for one that is there. */
	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	int fd, rc = 0;

	pthread_mutex_lock(&making);
	fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* A link to what is not there yet exists to O_EXCL. */
	if (fd < 0 && errno == EEXIST && access(store->path, F_OK) < 0)
		fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	else if (errno != EEXIST)
		rc = file_fail(store, "cannot make it", errno, err);
	else
		rc = file_check(store, err);
	pthread_mutex_unlock(&making);
	return rc;
}

static int file_path(struct sqlite_store *store, const struct cv_url *url, struct convo_err *err)
{
	if (url->host && *url->host)
		return cv_fail(err, CONVO_E_INVALID,
			       "write sqlite:relative/path or sqlite:///absolute/path");
	if (!url->path || !*url->path)
		return cv_fail(err, CONVO_E_INVALID, "the sqlite URL names no file");
	if (strcmp(url->path, ":memory:") == 0)
		return cv_fail(err, CONVO_E_INVALID,
			       "sqlite keeps sessions in a file; for memory alone use memory:");
	store->path = cv_memdup(url->path, strlen(url->path));
	return store->path ? 0 : cv_fail_nomem(err);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Refuse what another program made, before anything is changed. One statement sees one moment. */
static int sqlite_identify(struct sqlite_store *store, bool *empty, struct convo_err *err)
{
	int64_t made_by = FILE_OTHERS;
	bool found;
	int rc;

	rc = cv_sqlite_get(store->writer, SQL_IDENTIFY, &made_by, &found, err);
	if (rc == 0 && made_by == FILE_OTHERS)
		rc = cv_fail(err, CONVO_E_VERSION, "%s: not a database of convo",
			     store->base.where);
	*empty = made_by == FILE_EMPTY;
	return rc;
}

static int migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			 struct convo_err *err)
{
	return cv_sqlite_get(ctx, sql, value, found, err);
}

static int migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	return cv_sqlite_exec(ctx, sql, err);
}

static int migration_begin(void *ctx, struct convo_err *err)
{
	return cv_sqlite_begin(ctx, true, err);
}

static int migration_end(void *ctx, int rc, struct convo_err *err)
{
	if (rc == 0)
		rc = cv_sqlite_commit(ctx, err);
	cv_sqlite_rollback(ctx);
	return rc;
}

/* Check the file, and bring it up to date. */
static int sqlite_make_ready(struct sqlite_store *store, struct convo_err *err)
{
	const struct sql_conn conn = {store->writer,  store->base.where, migration_get,
				      migration_exec, migration_begin,   migration_end};
	bool check = store->base.opts.check_schema;
	bool empty;
	int rc = sqlite_identify(store, &empty, err);

	if (rc == 0 && !(check && empty))
		rc = cv_sqlite_use_wal(store->writer, err);
	if (rc == 0)
		rc = cv_sql_migrate(&sqlite_dialect, &conn, store->base.prefix, check, err);
	return rc;
}

static void *reader_connect(struct convo_store *base, int64_t deadline_us, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct sqlite_db *db = NULL;

	cv_sqlite_open(&db, &store->plan, true, deadline_us, err);
	return db;
}

static void reader_disconnect(void *conn)
{
	cv_sqlite_close(conn);
}

static bool reader_usable(void *conn)
{
	(void)conn;
	return true;
}

static const struct pool_driver reader_driver = {reader_connect, reader_disconnect, reader_usable};

/* The readers open the file later, wherever the program has gone by then. */
static int sqlite_fix_path(struct sqlite_store *store, struct convo_err *err)
{
	const char *path = cv_sqlite_path(store->writer);
	char *fixed = cv_memdup(path, strlen(path));

	if (!fixed)
		return cv_fail_nomem(err);
	free(store->path);
	store->path = fixed;
	store->plan.path = fixed;
	return 0;
}

static int sqlite_open(struct convo_store *base, const struct store_call *call,
		       const struct cv_url *url, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int rc = file_path(store, url, err);

	if (rc < 0)
		return rc;
	snprintf(base->where, sizeof(base->where), "SQLite (%s)", store->path);
	store->plan = (struct sqlite_plan){store->path,  base->where,     &sqlite_dialect,
					   base->prefix, cv_sqlite_texts, TEXT_COUNT};
	if (!base->opts.check_schema)
		rc = file_make_parents(store, err);
	if (rc == 0 && !base->opts.check_schema)
		rc = file_make(store, err);
	if (rc == 0)
		rc = cv_sqlite_open(&store->writer, &store->plan, false, call->deadline_us, err);
	if (rc == 0)
		rc = sqlite_fix_path(store, err);
	if (rc == 0)
		rc = sqlite_make_ready(store, err);
	if (rc == 0)
		rc = cv_group_new(&store->group, cv_sqlite_round, store, 1, ROUND_JOBS, ROUND_BYTES,
				  err);
	if (rc == 0)
		rc = cv_pool_new(&store->readers, base, &reader_driver, err);
	return rc;
}

static void sqlite_close(struct convo_store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	cv_group_free(store->group);
	cv_pool_free(store->readers);
	cv_sqlite_close(store->writer);
	free(store->path);
}

static int sqlite_schema(struct cv_buf *out, const char *prefix, struct convo_err *err)
{
	return cv_sql_schema(out, &sqlite_dialect, prefix, err);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* One read: `run` sees one moment of the file. */
struct sqlite_read {
	int (*run)(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		   struct convo_err *err);
	const struct convo_store *store;
	const struct convo_key *key;
	/* load */
	const struct store_window *window;
	struct convo_session *session;
	/* list */
	bool trash;
	const struct store_place *place;
	size_t n;
	struct store_page *page;
	/* state_list */
	unsigned scopes;
	const struct cv_text *name;
	struct convo_state *state;
};

static int sqlite_read_op(struct convo_store *base, void *conn, const struct store_call *call,
			  void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct sqlite_db *db = conn;
	struct sqlite_read *read = ctx;
	int rc;

	(void)base;
	(void)fate; /* a file is not lost like a server */
	cv_sqlite_until(db, call->deadline_us);
	rc = cv_sqlite_begin(db, false, err);
	if (rc == 0)
		rc = read->run(db, call, read, err);
	/* Nothing was written; this ends the transaction, and cannot fail. */
	cv_sqlite_rollback(db);
	return rc;
}

static int sqlite_read(struct convo_store *base, const struct store_call *call,
		       struct sqlite_read *read, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	read->store = base;
	return cv_pool_run(store->readers, call, false, sqlite_read_op, read, err);
}

/* ---- state ------------------------------------------------------------------------------ */

static int sqlite_give_state(struct sqlite_read *read, enum convo_scope scope, struct cv_text name,
			     struct cv_text value, struct convo_err *err)
{
	if (read->session)
		return cv_session_add_state(read->session, scope, name, value, err);
	return cv_state_add(read->state, scope, name, value, err);
}

static int sqlite_read_owned(struct sqlite_db *db, struct sqlite_read *read, enum convo_scope scope,
			     int64_t owner, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, read->name ? TEXT_STATE_ONE : TEXT_STATE);
	int rc;

	cv_sqlite_bind_int(&query, scope);
	cv_sqlite_bind_int(&query, owner);
	if (read->name)
		cv_sqlite_bind_text(&query, *read->name);
	while ((rc = cv_sqlite_step(&query, err)) > 0) {
		struct cv_text name = cv_sqlite_text(&query);
		struct cv_text value = cv_sqlite_text(&query);

		rc = sqlite_give_state(read, scope, name, value, err);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	return rc;
}

static int sqlite_read_shared(struct sqlite_db *db, struct sqlite_read *read,
			      enum convo_scope scope, struct convo_err *err)
{
	int64_t owner, bytes;
	int rc = cv_sqlite_scope(db, scope, read->key, &owner, &bytes, err);

	return rc <= 0 ? rc : sqlite_read_owned(db, read, scope, owner, err);
}

static int sqlite_run_state(struct sqlite_db *db, const struct store_call *call,
			    struct sqlite_read *read, struct convo_err *err)
{
	struct sqlite_row row;
	int rc = 0;

	cv_state_reset(read->state);
	if (read->scopes & CONVO_SCOPE_SESSION) {
		rc = cv_sqlite_find(db, call, read->key, &row, err);
		if (rc == 0)
			rc = cv_refuse_notfound(err, read->key);
		if (rc > 0)
			rc = sqlite_read_owned(db, read, CONVO_SCOPE_SESSION, row.no, err);
	}
	if (rc == 0 && (read->scopes & CONVO_SCOPE_USER))
		rc = sqlite_read_shared(db, read, CONVO_SCOPE_USER, err);
	if (rc == 0 && (read->scopes & CONVO_SCOPE_APP))
		rc = sqlite_read_shared(db, read, CONVO_SCOPE_APP, err);
	return rc;
}

static int sqlite_state_list(struct convo_store *store, const struct store_call *call,
			     const struct convo_key *key, unsigned scopes,
			     const struct cv_text *name, struct convo_state *into,
			     struct convo_err *err)
{
	struct sqlite_read read = {
		.run = sqlite_run_state, .key = key, .scopes = scopes, .name = name, .state = into};

	return sqlite_read(store, call, &read, err);
}

/* ---- loading ---------------------------------------------------------------------------- */

static int sqlite_read_event(struct sqlite_query *query, struct convo_session *into,
			     struct convo_err *err)
{
	struct store_event event;
	int field;

	event.seq = cv_sqlite_int(query);
	cv_sqlite_uuid(query, event.id);
	event.time_ms = cv_sqlite_int(query);
	event.status = (int)cv_sqlite_int(query);
	for (field = 0; field < FIELD_COUNT; field++)
		event.field[field] = cv_sqlite_text(query);
	return cv_session_add_event(into, &event, err);
}

/* Read the events from seq to seq. */
static int sqlite_read_events(struct sqlite_db *db, struct sqlite_read *read, int64_t no,
			      int64_t from, int64_t to, struct convo_err *err)
{
	struct sqlite_query query;
	int rc;

	if (from > to)
		return 0;
	query = cv_sqlite_query(db, TEXT_EVENTS);
	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, from);
	cv_sqlite_bind_int(&query, to);
	while ((rc = cv_sqlite_step(&query, err)) > 0) {
		rc = sqlite_read_event(&query, read->session, err);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	return rc;
}

static int sqlite_load_events(struct sqlite_db *db, const struct store_call *call,
			      struct sqlite_read *read, const struct sqlite_row *row,
			      struct convo_err *err)
{
	int64_t first = store_first_shown(call, row->first_seq, row->last_seq);
	int64_t seq = 0, from, to;
	int rc;

	if (read->window->kind == CONVO_WINDOW_AROUND) {
		rc = cv_sqlite_event_seq(db, row->no, read->window->around, &seq, err);
		if (rc < 0)
			return rc;
		if (rc == 0 || seq < first)
			return cv_refuse_event(err, read->key);
	}
	cv_window_range(read->window, first, row->last_seq, seq, &from, &to);
	return sqlite_read_events(db, read, row->no, from, to, err);
}

static int sqlite_run_load(struct sqlite_db *db, const struct store_call *call,
			   struct sqlite_read *read, struct convo_err *err)
{
	struct store_meta meta;
	struct sqlite_row row;
	int rc;

	cv_session_reset(read->session);
	rc = cv_sqlite_find(db, call, read->key, &row, err);
	if (rc == 0)
		rc = cv_refuse_notfound(err, read->key);
	if (rc < 0)
		return rc;
	meta = cv_sqlite_row_meta(&row);
	rc = cv_session_set_meta(read->session, &meta, err);
	if (rc == 0)
		rc = sqlite_read_owned(db, read, CONVO_SCOPE_SESSION, row.no, err);
	if (rc == 0)
		rc = sqlite_read_shared(db, read, CONVO_SCOPE_USER, err);
	if (rc == 0)
		rc = sqlite_read_shared(db, read, CONVO_SCOPE_APP, err);
	if (rc == 0)
		rc = sqlite_load_events(db, call, read, &row, err);
	return rc;
}

static int sqlite_load(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const struct store_window *window,
		       struct convo_session *into, struct convo_err *err)
{
	struct sqlite_read read = {
		.run = sqlite_run_load, .key = key, .window = window, .session = into};

	return sqlite_read(store, call, &read, err);
}

/* ---- lists ------------------------------------------------------------------------------ */

static int sqlite_run_list(struct sqlite_db *db, const struct store_call *call,
			   struct sqlite_read *read, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, read->trash ? TEXT_LIST_TRASH : TEXT_LIST);
	struct store_meta meta;
	struct sqlite_row row;
	int rc;

	cv_page_reset(read->page);
	cv_sqlite_bind_text(&query, cv_text_of(read->key->app));
	cv_sqlite_bind_text(&query, cv_text_of(read->key->user));
	cv_sqlite_bind_int(&query, read->place->position);
	cv_sqlite_bind_int(&query, read->place->number);
	cv_sqlite_bind_int(&query, call->now_us);
	cv_sqlite_bind_int(&query, (int64_t)read->n);
	while ((rc = cv_sqlite_row_step(&query, &row, err)) > 0) {
		meta = cv_sqlite_row_meta(&row);
		rc = cv_page_add(read->page, &meta, err);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	return rc;
}

static int sqlite_list(struct convo_store *store, const struct store_call *call, const char *app,
		       const char *user, bool trash, const struct store_place *place, size_t n,
		       struct store_page *into, struct convo_err *err)
{
	const struct convo_key key = {.app = app, .user = user};
	struct sqlite_read read = {.run = sqlite_run_list,
				   .key = &key,
				   .trash = trash,
				   .place = place,
				   .n = n,
				   .page = into};

	return sqlite_read(store, call, &read, err);
}

const struct cv_backend cv_backend_sqlite = {
	.scheme = "sqlite",
	.title = "SQLite",
	.size = sizeof(struct sqlite_store),
	.default_prefix = "convo_",
	.open = sqlite_open,
	.close = sqlite_close,
	.create = cv_sqlite_create,
	.load = sqlite_load,
	.append = cv_sqlite_append,
	.rename = cv_sqlite_rename,
	.list = sqlite_list,
	.delete = cv_sqlite_delete,
	.restore = cv_sqlite_restore,
	.purge = cv_sqlite_purge,
	.state_set = cv_sqlite_state_set,
	.state_list = sqlite_state_list,
	.clean = cv_sqlite_clean,
	.schema = sqlite_schema,
};
