/*
 * The SQLite store's reads. Readers have connections of their own, pooled, and never wait for the
 * writer (WAL). A file that nobody here may write, with no log beside it, is read as it stands
 * (DB_FROZEN): it is looked at before and after, and if somebody else has written it meanwhile, it is
 * read again.
 */
#include <store/sqlite/store.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>

struct sqlite_reader {
	struct sqlite_store *store;
	struct sqlite_db *db;
	bool frozen;
	struct sqlite_stamp stamp; /* of the frozen file */
	struct sqlite_seen seen;
};

/* One read: `run` sees one moment of the file. */
struct sqlite_read {
	int (*run)(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		   struct convo_err *err);
	const struct convo_key *key;
	struct sqlite_seen *seen; /* of the connection */
	/* load */
	const struct store_window *window;
	struct convo_session *session;
	/* list */
	bool trash;
	const struct store_place *place;
	size_t n;
	struct store_page *page;
	/* owners */
	const struct store_owners_place *from;
	struct store_owners_place last;
	size_t count;
	struct store_owners *owners;
	/* marks */
	const struct convo_key *const *keys;
	uint64_t *marks;
	/* weigh */
	const struct store_weighed *weighed;
	int64_t bytes;
	/* state_list */
	unsigned scopes;
	const struct cv_text *name;
	struct convo_state *state;
};

/* ---- connections ------------------------------------------------------------------------ */

static void reader_disconnect(void *conn)
{
	struct sqlite_reader *reader = conn;
	struct sqlite_hold hold;

	cv_sqlite_hold(&hold);
	cv_sqlite_close(reader->db);
	cv_sqlite_let_go(&hold);
	cv_sqlite_seen_clear(&reader->seen);
	free(reader);
}

static void *reader_connect(struct convo_store *base, const struct store_call *call,
			    struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct sqlite_reader *reader = cv_alloc(1, sizeof(*reader));
	enum sqlite_mode mode = DB_READER;
	struct sqlite_hold hold;
	int rc;

	if (!reader) {
		cv_fail_nomem(err);
		return NULL;
	}
	reader->store = store;
	if (store->file.readonly) {
		reader->frozen = cv_sqlite_file_stamp(&store->file, &reader->stamp);
		mode = reader->frozen ? DB_FROZEN : DB_READER_ONLY;
	}
	cv_sqlite_hold(&hold);
	rc = cv_sqlite_open(&reader->db, &store->plan, mode, call, err);
	cv_sqlite_let_go(&hold);
	if (rc < 0) {
		reader_disconnect(reader);
		return NULL;
	}
	return reader;
}

static bool reader_usable(void *conn)
{
	const struct sqlite_reader *reader = conn;

	if (reader->frozen)
		return cv_sqlite_file_same(&reader->store->file, &reader->stamp);
	return !cv_sqlite_moved(reader->db);
}

const struct pool_driver cv_sqlite_readers = {
	.connect = reader_connect, .disconnect = reader_disconnect, .usable = reader_usable};

static int read_op(struct convo_store *base, void *conn, const struct store_call *call, void *ctx,
		   enum pool_fate *fate, struct convo_err *err)
{
	struct sqlite_reader *reader = conn;
	struct sqlite_read *read = ctx;
	int64_t before = call->work ? cv_sqlite_steps(reader->db) : 0;
	struct sqlite_hold hold;
	int rc;

	cv_sqlite_hold(&hold);
	read->seen = &reader->seen;
	cv_sqlite_for(reader->db, call);
	rc = cv_sqlite_begin(reader->db, false, err);
	if (rc == 0)
		rc = read->run(reader->db, call, read, err);
	/* Nothing was written; this ends the transaction, and cannot fail. */
	cv_sqlite_rollback(reader->db);
	cv_sqlite_let_go(&hold);
	if (call->work)
		store_work_steps(call, cv_sqlite_steps(reader->db) - before);
	if (reader->frozen && !reader_usable(reader)) {
		*fate = POOL_UNSENT;
		return cv_fail(err, CONVO_E_IO, "%s: it changes while it is read", base->where);
	}
	return rc;
}

static int read_run(struct convo_store *base, const struct store_call *call,
		    struct sqlite_read *read, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	return cv_pool_run(store->readers, call, false, read_op, read, err);
}

/* ---- state ------------------------------------------------------------------------------ */

static int state_give(struct sqlite_read *read, enum convo_scope scope, struct cv_text name,
		      struct cv_text value, struct convo_err *err)
{
	if (read->session)
		return cv_session_add_state(read->session, scope, name, value, err);
	return cv_state_add(read->state, scope, name, value, err);
}

static int state_read(struct sqlite_db *db, struct sqlite_read *read, enum convo_scope scope,
		      int64_t owner, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, read->name ? TEXT_STATE_ONE : TEXT_STATE);
	struct cv_text name, value;
	int rc;

	cv_sqlite_bind_int(&query, scope);
	cv_sqlite_bind_int(&query, owner);
	if (read->name)
		cv_sqlite_bind_text(&query, *read->name);
	while ((rc = cv_sqlite_state_step(&query, &name, &value, err)) > 0) {
		rc = state_give(read, scope, name, value, err);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	return rc;
}

static int state_read_shared(struct sqlite_db *db, struct sqlite_read *read, enum convo_scope scope,
			     struct convo_err *err)
{
	int64_t owner, bytes;
	int rc = cv_sqlite_scope(db, scope, read->key, &owner, &bytes, err);

	return rc <= 0 ? rc : state_read(db, read, scope, owner, err);
}

static int state_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		     struct convo_err *err)
{
	struct sqlite_row row;
	int rc = 0;

	cv_state_reset(read->state);
	if (read->scopes & CONVO_SCOPE_SESSION) {
		rc = cv_sqlite_find(db, call, read->key, &row, err);
		if (rc == 0)
			return cv_refuse_notfound(err, read->key);
		if (rc > 0)
			rc = state_read(db, read, CONVO_SCOPE_SESSION, row.no, err);
	}
	if (rc == 0 && read->scopes & CONVO_SCOPE_USER)
		rc = state_read_shared(db, read, CONVO_SCOPE_USER, err);
	if (rc == 0 && read->scopes & CONVO_SCOPE_APP)
		rc = state_read_shared(db, read, CONVO_SCOPE_APP, err);
	return rc;
}

int cv_sqlite_state_list(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, unsigned scopes, const struct cv_text *name,
			 struct convo_state *into, struct convo_err *err)
{
	struct sqlite_read read = {
		.run = state_run, .key = key, .scopes = scopes, .name = name, .state = into};

	return read_run(store, call, &read, err);
}

/* ---- loading ---------------------------------------------------------------------------- */

/* Read the events from seq to seq, of which none may be missing (A1). */
static int load_range(struct sqlite_db *db, struct sqlite_read *read, int64_t no, int64_t from,
		      int64_t to, struct convo_err *err)
{
	struct sqlite_query query;
	struct store_event event;
	int rc;

	if (from > to)
		return 0;
	query = cv_sqlite_query(db, TEXT_EVENTS);
	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, from);
	cv_sqlite_bind_int(&query, to);
	for (; (rc = cv_sqlite_event_step(&query, &event, err)) > 0; from++) {
		rc = event.seq == from ? cv_session_add_event(read->session, &event, err)
				       : cv_sqlite_damaged(db, err);
		if (rc < 0)
			break;
	}
	cv_sqlite_end(&query);
	return rc == 0 && from <= to ? cv_sqlite_damaged(db, err) : rc;
}

static int load_events(struct sqlite_db *db, const struct store_call *call,
		       struct sqlite_read *read, const struct sqlite_row *row,
		       struct convo_err *err)
{
	int64_t first = store_first_shown(call, row->first_seq, row->last_seq);
	int64_t seq = 0, from, to;
	int rc;

	if (read->window->kind == CONVO_WINDOW_AROUND) {
		rc = cv_sqlite_event_seq(db, row, read->window->around, &seq, err);
		if (rc < 0)
			return rc;
		if (rc == 0 || seq < first)
			return cv_refuse_event(err, read->key);
	}
	cv_window_range(read->window, first, row->last_seq, seq, &from, &to);
	return load_range(db, read, row->no, from, to, err);
}

static int load_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		    struct convo_err *err)
{
	struct store_meta meta;
	struct sqlite_row row;
	int rc;

	cv_session_reset(read->session);
	rc = cv_sqlite_find(db, call, read->key, &row, err);
	if (rc == 0)
		return cv_refuse_notfound(err, read->key);
	if (rc < 0)
		return rc;
	meta = cv_sqlite_row_meta(&row);
	rc = cv_session_set_meta(read->session, &meta, err);
	if (rc < 0)
		return rc;
	rc = state_read(db, read, CONVO_SCOPE_SESSION, row.no, err);
	if (rc < 0)
		return rc;
	rc = state_read_shared(db, read, CONVO_SCOPE_USER, err);
	if (rc < 0)
		return rc;
	rc = state_read_shared(db, read, CONVO_SCOPE_APP, err);
	if (rc == 0 && read->window->draft)
		rc = cv_sqlite_held_load(db, &row, read->session, err);
	return rc < 0 ? rc : load_events(db, call, read, &row, err);
}

int cv_sqlite_load(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_window *window,
		   struct convo_session *into, struct convo_err *err)
{
	struct sqlite_read read = {.run = load_run, .key = key, .window = window, .session = into};

	return read_run(store, call, &read, err);
}

/* ---- lists ------------------------------------------------------------------------------ */

static int list_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		    struct convo_err *err)
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

int cv_sqlite_list(struct convo_store *store, const struct store_call *call, const char *app,
		   const char *user, bool trash, const struct store_place *place, size_t n,
		   struct store_page *into, struct convo_err *err)
{
	const struct convo_key key = {.app = app, .user = user};
	struct sqlite_read read = {
		.run = list_run, .key = &key, .trash = trash, .place = place, .n = n, .page = into};

	return read_run(store, call, &read, err);
}

static void owner_copy(char out[CONVO_MAX_NAME + 1], struct cv_text text)
{
	if (text.len)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

static int owners_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		      struct convo_err *err)
{
	struct sqlite_query query =
		cv_sqlite_query(db, read->trash ? TEXT_OWNERS_TRASH : TEXT_OWNERS);
	const struct store_owners_place *from = read->from;
	const char *app = read->key->app;
	int rc;

	(void)call;
	cv_owners_reset(read->owners);
	read->last = *from;
	read->count = 0;
	cv_sqlite_bind_text(&query, cv_text_of(app ? app : from->app));
	cv_sqlite_bind_text(&query, cv_text_of(from->user));
	cv_sqlite_bind_int(&query, app ? 0 : 1);
	cv_sqlite_bind_int(&query, (int64_t)read->n);
	while ((rc = cv_sqlite_step(&query, err)) > 0) {
		struct cv_text of_app = cv_sqlite_text(&query, 1, CONVO_MAX_NAME);
		struct cv_text user = cv_sqlite_text(&query, 1, CONVO_MAX_NAME);

		rc = cv_sqlite_row(&query, err);
		if (rc == 0)
			rc = cv_owners_add(read->owners, of_app, user, err);
		if (rc < 0)
			break;
		owner_copy(read->last.app, of_app);
		owner_copy(read->last.user, user);
		read->count++;
	}
	cv_sqlite_end(&query);
	return rc;
}

int cv_sqlite_owners(struct convo_store *store, const struct store_call *call, const char *app,
		     bool trash, size_t n, struct store_owners_place *place,
		     struct store_owners *into, bool *more, struct convo_err *err)
{
	const struct convo_key key = {.app = app};
	struct sqlite_read read = {.run = owners_run,
				   .key = &key,
				   .trash = trash,
				   .from = place,
				   .n = n,
				   .owners = into};
	int rc = read_run(store, call, &read, err);

	if (rc < 0)
		return rc;
	*place = read.last;
	*more = read.count == n;
	return 0;
}

/* ---- watching and counting --------------------------------------------------------------- */

static int marks_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		     struct convo_err *err)
{
	int rc = cv_sqlite_seen_check(db, read->seen, err);
	size_t i;

	for (i = 0; rc == 0 && i < read->n; i++)
		rc = cv_sqlite_seen_mark(db, read->seen, call, read->keys[i], &read->marks[i], err);
	return rc;
}

int cv_sqlite_marks(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *const *keys, size_t count, uint64_t *marks,
		    struct convo_err *err)
{
	struct sqlite_read read = {.run = marks_run, .keys = keys, .n = count, .marks = marks};

	return read_run(store, call, &read, err);
}

static int weigh_one(struct sqlite_db *db, const struct store_call *call,
		     const struct store_weighed *session, int64_t *bytes, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_WEIGH);
	int rc;

	cv_sqlite_bind_int(&query, session->first_seq);
	cv_sqlite_bind_int(&query, session->last_seq);
	cv_sqlite_bind_int(&query, session->number);
	cv_sqlite_bind_uuid(&query, session->generation);
	cv_sqlite_bind_int(&query, call->now_us);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc;
	*bytes += cv_sqlite_int(&query, 0, INT64_MAX);
	cv_sqlite_end(&query);
	return 0;
}

static int weigh_run(struct sqlite_db *db, const struct store_call *call, struct sqlite_read *read,
		     struct convo_err *err)
{
	int rc = 0;
	size_t i;

	read->bytes = 0;
	for (i = 0; rc == 0 && i < read->n; i++)
		rc = weigh_one(db, call, &read->weighed[i], &read->bytes, err);
	return rc;
}

int cv_sqlite_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		    const char *user, const struct store_weighed *sessions, size_t count,
		    int64_t *bytes, struct convo_err *err)
{
	struct sqlite_read read = {.run = weigh_run, .weighed = sessions, .n = count};
	int rc = read_run(store, call, &read, err);

	(void)app;
	(void)user;
	if (rc == 0)
		*bytes += read.bytes;
	return rc;
}
