/*
 * The SQLite store's writes. There is one connection that writes; the writes of all threads that
 * wait for it go into one transaction and share its flush (group.h). Each is a job, whose checks
 * come before its first change. One that can fail later has a savepoint, so that it takes back its
 * own changes alone; when the engine itself fails, everything is rolled back, and the jobs of the
 * round are tried one by one.
 */
#include <store/sqlite/store.h>

#include <base/clock.h>

/* Most rows that an append or a step of cleaning removes. */
#define CUT_ROWS 2000
/* A step of cleaning removes so many rows at a time, until it has taken long enough. */
#define CLEAN_ROWS 50
#define CLEAN_US 5000

struct sqlite_job {
	struct group_job base;
	int (*run)(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err);
	bool savepoint; /* can fail after its first change */
	bool again;     /* its round had no time left, but it has */
	const struct store_call *call;
	const struct convo_key *key;

	const struct store_create *create;
	struct store_append *append;
	struct cv_text title;
	const unsigned char *generation;
	const struct store_change *changes;
	size_t change_count;
	int64_t removed;
	bool more;
};

/* ---- rounds ----------------------------------------------------------------------------- */

static int sqlite_simple(struct sqlite_db *db, int text, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, text);

	return cv_sqlite_run(&query, err);
}

static void round_job(struct sqlite_store *store, struct sqlite_job *job)
{
	struct convo_err *err = &job->base.err;
	int rc = job->savepoint ? sqlite_simple(store->writer, TEXT_SAVEPOINT, err) : 0;

	if (rc == 0)
		rc = job->run(store, job, err);
	if (job->savepoint && !cv_sqlite_broken(store->writer)) {
		if (rc < 0)
			sqlite_simple(store->writer, TEXT_UNDO, NULL);
		if (sqlite_simple(store->writer, TEXT_RELEASE, rc < 0 ? NULL : err) < 0 && rc == 0)
			rc = err->code;
	}
	job->base.rc = rc;
}

/*
 * Do the jobs in one transaction. Who comes while they are being done joins them.
 *
 * @param count how many; raised by those that join, if `join` lets them
 * @return false when nothing of it was kept, and why is in err
 */
static bool round_try(struct sqlite_store *store, struct group_job **jobs, size_t *count, bool join,
		      struct convo_err *err)
{
	struct sqlite_db *db = store->writer;
	size_t done = 0;
	int rc;

	cv_sqlite_until(db, jobs[0]->deadline_us);
	rc = cv_sqlite_begin(db, true, err);
	while (rc == 0 && done < *count) {
		round_job(store, (struct sqlite_job *)jobs[done]);
		if (cv_sqlite_broken(db)) {
			*err = jobs[done]->err;
			rc = jobs[done]->rc;
		}
		if (++done == *count && join)
			*count = cv_group_join(store->group, jobs, *count);
	}
	if (rc == 0)
		rc = cv_sqlite_commit(db, err);
	cv_sqlite_rollback(db);
	return rc == 0;
}

void cv_sqlite_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct sqlite_store *store = ctx;
	struct convo_err err = {0};
	size_t one = 1, i;

	if (round_try(store, jobs, &count, true, &err))
		return;
	for (i = 0; i < count; i++) {
		/* The first waits for the others: who has more time than it asks again (L2). */
		bool late = i > 0 && cv_clock_mono_us() >= jobs[0]->deadline_us;

		((struct sqlite_job *)jobs[i])->again = late;
		if (count > 1 && !late && round_try(store, &jobs[i], &one, false, &err))
			continue;
		jobs[i]->rc = err.code;
		jobs[i]->err = err;
	}
}

static int sqlite_write(struct convo_store *base, const struct store_call *call,
			struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	struct convo_err why = {0};
	int rc;

	job->call = call;
	job->base.deadline_us = call->deadline_us;
	do {
		job->again = false;
		rc = cv_group_run(store->group, &job->base, &why);
	} while (job->again && cv_clock_mono_us() < call->deadline_us);
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/* ---- rows of sessions ------------------------------------------------------------------- */

/* Find the session a job is about, or refuse. */
static int job_find(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
		    struct convo_err *err)
{
	int rc = cv_sqlite_find(store->writer, job->call, job->key, row, err);

	if (rc == 0)
		return cv_refuse_notfound(err, job->key);
	return rc < 0 ? rc : 0;
}

static int row_set_due(struct sqlite_db *db, struct sqlite_row *row, int64_t due_us,
		       struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_DUE);

	row->due_us = due_us;
	cv_sqlite_bind_int(&query, due_us);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

/* Write what an append changes: everything but the life and what stays the same for ever. */
static int row_touch(struct sqlite_store *store, const struct store_call *call,
		     struct sqlite_row *row, struct convo_err *err)
{
	int64_t due_us;
	struct sqlite_query query = cv_sqlite_query(store->writer, TEXT_TOUCH);
	int rc;

	row->position = call->now_us;
	if (row->updated_us < call->now_us)
		row->updated_us = call->now_us;
	row->expires_us = store_call_expires(call, row->expires_us);
	cv_sqlite_bind_int(&query, row->position);
	cv_sqlite_bind_int(&query, row->updated_us);
	cv_sqlite_bind_int(&query, row->expires_us);
	cv_sqlite_bind_int(&query, row->kept_seq);
	cv_sqlite_bind_int(&query, row->first_seq);
	cv_sqlite_bind_int(&query, row->last_seq);
	cv_sqlite_bind_int(&query, row->last_time_ms);
	cv_sqlite_bind_int(&query, row->state_bytes);
	cv_sqlite_bind_int(&query, row->no);
	rc = cv_sqlite_run(&query, err);
	/* due_us has an index. It only has to be early enough: cleaning moves it on. */
	due_us = row->kept_seq < row->first_seq ? 1 : row->expires_us;
	if (rc == 0 && due_us && (!row->due_us || due_us < row->due_us))
		rc = row_set_due(store->writer, row, due_us, err);
	return rc;
}

/* Write what begins and ends a life. */
static int row_set_life(struct sqlite_db *db, const struct sqlite_row *row, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_LIFE);

	cv_sqlite_bind_int(&query, row->life);
	cv_sqlite_bind_int(&query, row->position);
	cv_sqlite_bind_int(&query, row->updated_us);
	cv_sqlite_bind_int(&query, row->expires_us);
	cv_sqlite_bind_int(&query, row->deleted_us);
	cv_sqlite_bind_int(&query, row->purge_us);
	cv_sqlite_bind_int(&query, row->due_us);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

/* End a session for good; its parts are left to cleaning. */
static int row_kill(struct sqlite_db *db, struct sqlite_row *row, struct convo_err *err)
{
	row->life = LIFE_DEAD;
	row->due_us = 1;
	return row_set_life(db, row, err);
}

/* Refuse if a live session has the name; one that has expired makes way. */
static int job_take_name(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_row row;
	int rc = cv_sqlite_find(store->writer, job->call, job->key, &row, err);

	if (rc > 0)
		return cv_refuse_exists(err, job->key);
	if (rc == 0 && row.no)
		rc = row_kill(store->writer, &row, err);
	return rc;
}

/* ---- state ------------------------------------------------------------------------------ */

/* A scope while changes are applied to it. */
struct scope_change {
	bool known;
	int64_t owner; /* 0: not there yet */
	int64_t bytes;
};

enum { SCOPES = CONVO_SCOPE_APP + 1 };

/* Find the owner of user or app state; make it if it is to have some. */
static int scope_find(struct sqlite_store *store, struct sqlite_job *job,
		      const struct store_change *change, struct scope_change *of,
		      struct convo_err *err)
{
	struct sqlite_query query;
	int rc = 0;

	if (!of->known)
		rc = cv_sqlite_scope(store->writer, change->scope, job->key, &of->owner, &of->bytes,
				     err);
	if (rc < 0)
		return rc;
	of->known = true;
	if (of->owner || !change->value.data)
		return 0;
	query = cv_sqlite_query(store->writer, TEXT_SCOPE_ADD);
	cv_sqlite_bind_text(&query, cv_text_of(job->key->app));
	cv_sqlite_bind_text(&query,
			    cv_text_of(change->scope == CONVO_SCOPE_USER ? job->key->user : ""));
	rc = cv_sqlite_run(&query, err);
	of->owner = cv_sqlite_last_no(store->writer);
	return rc;
}

/* What a name counts now against the limit of its scope. */
static int state_bytes(struct sqlite_db *db, const struct store_change *change, int64_t owner,
		       int64_t *bytes, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_STATE_ONE);
	int rc;

	*bytes = 0;
	cv_sqlite_bind_int(&query, change->scope);
	cv_sqlite_bind_int(&query, owner);
	cv_sqlite_bind_text(&query, change->name);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc;
	*bytes = (int64_t)cv_sqlite_text(&query).len;
	*bytes += (int64_t)cv_sqlite_text(&query).len;
	return cv_sqlite_run(&query, err);
}

static int state_change(struct sqlite_db *db, const struct store_change *change,
			struct scope_change *of, struct convo_err *err)
{
	struct sqlite_query query;
	int64_t before;
	int rc;

	if (!of->owner)
		return 0; /* it has no state to remove */
	rc = state_bytes(db, change, of->owner, &before, err);
	if (rc < 0)
		return rc;
	query = cv_sqlite_query(db, change->value.data ? TEXT_STATE_PUT : TEXT_STATE_DROP);
	cv_sqlite_bind_int(&query, change->scope);
	cv_sqlite_bind_int(&query, of->owner);
	cv_sqlite_bind_text(&query, change->name);
	if (change->value.data)
		cv_sqlite_bind_text(&query, change->value);
	of->bytes += (int64_t)store_change_bytes(change) - before;
	return cv_sqlite_run(&query, err);
}

/* Note the size of a scope that was changed, unless it has become too large. */
static int scope_finish(struct sqlite_store *store, enum convo_scope scope,
			const struct scope_change *of, struct convo_err *err)
{
	struct sqlite_query query;

	if (of->bytes > (int64_t)CONVO_MAX_STATE)
		return cv_refuse_state(err, scope);
	if (scope == CONVO_SCOPE_SESSION)
		return 0; /* goes with its row */
	query = cv_sqlite_query(store->writer, TEXT_SCOPE_BYTES);
	cv_sqlite_bind_int(&query, of->bytes);
	cv_sqlite_bind_int(&query, of->owner);
	return cv_sqlite_run(&query, err);
}

/*
 * Apply a job's changes, but not those of events that are stored already. The session's row, if
 * there is one, is still to be written.
 */
static int job_change_state(struct sqlite_store *store, struct sqlite_job *job,
			    struct sqlite_row *row, struct convo_err *err)
{
	struct scope_change scopes[SCOPES] = {{0}};
	struct scope_change *own = &scopes[CONVO_SCOPE_SESSION];
	int scope, rc = 0;
	size_t i;

	if (row)
		*own = (struct scope_change){true, row->no, row->state_bytes};
	for (i = 0; rc == 0 && i < job->change_count; i++) {
		const struct store_change *change = &job->changes[i];

		if (job->append && job->append->events[change->event].seq)
			continue;
		if (change->scope != CONVO_SCOPE_SESSION)
			rc = scope_find(store, job, change, &scopes[change->scope], err);
		if (rc == 0)
			rc = state_change(store->writer, change, &scopes[change->scope], err);
	}
	for (scope = 0; rc == 0 && scope < SCOPES; scope++) {
		if (scopes[scope].owner)
			rc = scope_finish(store, (enum convo_scope)scope, &scopes[scope], err);
	}
	if (row)
		row->state_bytes = own->bytes;
	return rc;
}

static int run_state_set(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_row row;
	bool own = false;
	int rc = 0;
	size_t i;

	for (i = 0; i < job->change_count; i++)
		own = own || job->changes[i].scope == CONVO_SCOPE_SESSION;
	if (own)
		rc = job_find(store, job, &row, err);
	if (rc == 0)
		rc = job_change_state(store, job, own ? &row : NULL, err);
	if (rc == 0 && own)
		rc = row_touch(store, job->call, &row, err);
	return rc;
}

int cv_sqlite_state_set(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_change *changes,
			size_t count, struct convo_err *err)
{
	struct sqlite_job job = {.run = run_state_set,
				 .savepoint = true,
				 .key = key,
				 .changes = changes,
				 .change_count = count};
	size_t i;

	for (i = 0; i < count; i++)
		job.base.weight += changes[i].value.len;
	return sqlite_write(store, call, &job, err);
}

/* ---- appending -------------------------------------------------------------------------- */

/* Give the events that are stored already their seq. @return how many are not, or negative codes */
static int append_find(struct sqlite_db *db, struct store_append *append,
		       const struct sqlite_row *row, struct convo_err *err)
{
	int fresh = 0, rc;
	size_t i;

	for (i = 0; i < append->count; i++) {
		struct store_event *event = &append->events[i];

		event->seq = 0;
		rc = row->last_seq ? cv_sqlite_event_seq(db, row->no, event->id, &event->seq, err)
				   : 0;
		if (rc < 0)
			return rc;
		fresh += rc == 0;
	}
	return fresh;
}

static int append_event(struct sqlite_db *db, const struct sqlite_row *row,
			const struct store_event *event, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENT_ADD);
	int field;

	cv_sqlite_bind_int(&query, row->no);
	cv_sqlite_bind_int(&query, event->seq);
	cv_sqlite_bind_uuid(&query, event->id);
	cv_sqlite_bind_int(&query, event->time_ms);
	cv_sqlite_bind_int(&query, event->status);
	for (field = 0; field < FIELD_COUNT; field++)
		cv_sqlite_bind_text(&query, event->field[field]);
	return cv_sqlite_run(&query, err);
}

/* Number and store the events that are new. */
static int append_events(struct sqlite_db *db, struct store_append *append, struct sqlite_row *row,
			 int64_t now_ms, struct convo_err *err)
{
	int rc = 0;
	size_t i;

	if (row->last_time_ms < now_ms)
		row->last_time_ms = now_ms;
	for (i = 0; rc == 0 && i < append->count; i++) {
		struct store_event *event = &append->events[i];

		if (event->seq)
			continue;
		event->seq = ++row->last_seq;
		event->time_ms = row->last_time_ms;
		rc = append_event(db, row, event, err);
	}
	return rc;
}

/* Delete the events from seq to seq. */
static int row_cut(struct sqlite_db *db, const struct sqlite_row *row, int64_t from, int64_t to,
		   struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENTS_CUT);

	cv_sqlite_bind_int(&query, row->no);
	cv_sqlite_bind_int(&query, from);
	cv_sqlite_bind_int(&query, to);
	return cv_sqlite_run(&query, err);
}

/*
 * Show the newest `keep` events and store no more. If that is a long way, as for a handle with a
 * small limit in a long session, the next appends and cleaning do the rest.
 */
static int row_trim(struct sqlite_db *db, struct sqlite_row *row, int64_t keep,
		    struct convo_err *err)
{
	int64_t from = row->kept_seq;

	if (row->first_seq < row->last_seq - keep + 1)
		row->first_seq = row->last_seq - keep + 1;
	if (from == row->first_seq)
		return 0;
	row->kept_seq = row->first_seq - from > CUT_ROWS ? from + CUT_ROWS : row->first_seq;
	return row_cut(db, row, from, row->kept_seq - 1, err);
}

/* The checks, in the order of backend.h. @return how many events are new, or a negative code */
static int append_check(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
			struct convo_err *err)
{
	const struct store_append *append = job->append;
	int fresh, rc = job_find(store, job, row, err);

	if (rc < 0)
		return rc;
	if (append->generation && memcmp(append->generation, row->generation, UUID_BYTES) != 0)
		return cv_refuse_generation(err, job->key, row->last_seq);
	fresh = append_find(store->writer, job->append, row, err);
	if (fresh <= 0)
		return fresh;
	if (append->check_seq && append->after_seq != row->last_seq)
		return cv_refuse_conflict(err, job->key, row->last_seq);
	return fresh;
}

static int run_append(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	int64_t limit = job->call->event_limit;
	struct sqlite_row row;
	int fresh = append_check(store, job, &row, err), rc;

	if (fresh <= 0)
		return fresh;
	rc = job_change_state(store, job, &row, err);
	if (rc == 0)
		rc = append_events(store->writer, job->append, &row, job->call->now_ms, err);
	if (rc == 0 && limit)
		rc = row_trim(store->writer, &row, limit > fresh ? limit : fresh, err);
	if (rc == 0)
		rc = row_touch(store, job->call, &row, err);
	return rc;
}

int cv_sqlite_append(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct store_append *append,
		     struct convo_err *err)
{
	struct sqlite_job job = {.run = run_append,
				 .savepoint = append->change_count > 0,
				 .key = key,
				 .append = append,
				 .changes = append->changes,
				 .change_count = append->change_count};
	size_t i;
	int field;

	for (i = 0; i < append->count; i++) {
		for (field = 0; field < FIELD_COUNT; field++)
			job.base.weight += append->events[i].field[field].len;
	}
	return sqlite_write(store, call, &job, err);
}

/* ---- lives ------------------------------------------------------------------------------ */

static int create_row(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(store->writer, TEXT_CREATE);
	int64_t now_us = job->call->now_us;
	int rc;

	*row = (struct sqlite_row){
		.updated_us = now_us,
		.expires_us = store_call_expires(job->call, 0),
		.kept_seq = 1,
		.first_seq = 1,
	};
	row->due_us = row->expires_us;
	cv_sqlite_bind_text(&query, cv_text_of(job->key->app));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->user));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->session));
	cv_sqlite_bind_uuid(&query, job->create->generation);
	cv_sqlite_bind_text(&query, job->create->title);
	cv_sqlite_bind_int(&query, now_us);
	cv_sqlite_bind_int(&query, row->expires_us);
	rc = cv_sqlite_run(&query, err);
	row->no = cv_sqlite_last_no(store->writer);
	return rc;
}

static int run_create(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_row row;
	int rc = job_take_name(store, job, err);

	if (rc == 0)
		rc = create_row(store, job, &row, err);
	if (rc == 0 && job->change_count) {
		rc = job_change_state(store, job, &row, err);
		if (rc == 0)
			rc = row_touch(store, job->call, &row, err);
	}
	return rc;
}

int cv_sqlite_create(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, const struct store_create *create,
		     struct convo_err *err)
{
	struct sqlite_job job = {.run = run_create,
				 .savepoint = create->change_count > 0,
				 .key = key,
				 .create = create,
				 .changes = create->changes,
				 .change_count = create->change_count};
	size_t i;

	for (i = 0; i < create->change_count; i++)
		job.base.weight += create->changes[i].value.len;
	return sqlite_write(store, call, &job, err);
}

static int run_rename(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_query query;
	struct sqlite_row row;
	int rc = job_find(store, job, &row, err);

	if (rc < 0)
		return rc;
	query = cv_sqlite_query(store->writer, TEXT_TITLE);
	cv_sqlite_bind_text(&query, job->title);
	cv_sqlite_bind_int(&query, row.no);
	rc = cv_sqlite_run(&query, err);
	return rc < 0 ? rc : row_touch(store, job->call, &row, err);
}

int cv_sqlite_rename(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct sqlite_job job = {.run = run_rename, .key = key, .title = title};

	return sqlite_write(store, call, &job, err);
}

static int run_delete(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	int64_t now_us = job->call->now_us;
	struct sqlite_row row;
	int rc = cv_sqlite_find(store->writer, job->call, job->key, &row, err);

	if (rc <= 0)
		return rc;
	if (!job->call->trash_us)
		return row_kill(store->writer, &row, err);
	row.life = LIFE_TRASH;
	row.position = row.deleted_us = now_us;
	row.purge_us = row.due_us = now_us + job->call->trash_us;
	return row_set_life(store->writer, &row, err);
}

int cv_sqlite_delete(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct convo_err *err)
{
	struct sqlite_job job = {.run = run_delete, .key = key};

	return sqlite_write(store, call, &job, err);
}

static int restore_find(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
			struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(
		store->writer, job->generation ? TEXT_FIND_TRASH_LIFE : TEXT_FIND_TRASH);
	int rc;

	cv_sqlite_bind_text(&query, cv_text_of(job->key->app));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->user));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->session));
	cv_sqlite_bind_int(&query, job->call->now_us);
	if (job->generation)
		cv_sqlite_bind_uuid(&query, job->generation);
	rc = cv_sqlite_row_step(&query, row, err);
	if (rc > 0)
		rc = cv_sqlite_run(&query, err);
	else if (rc == 0)
		rc = cv_refuse_trash(err, job->key);
	return rc;
}

static int run_restore(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	int64_t now_us = job->call->now_us;
	struct sqlite_row row = {0};
	int rc = job_take_name(store, job, err);

	if (rc == 0)
		rc = restore_find(store, job, &row, err);
	if (rc < 0)
		return rc;
	if (job->call->ttl_us)
		row.expires_us = now_us + job->call->ttl_us;
	else if (row.expires_us)
		row.expires_us += now_us - row.deleted_us;
	row.life = LIFE_LIVE;
	row.position = now_us;
	row.updated_us = row.updated_us > now_us ? row.updated_us : now_us;
	row.deleted_us = row.purge_us = 0;
	row.due_us = row.kept_seq < row.first_seq ? 1 : row.expires_us;
	return row_set_life(store->writer, &row, err);
}

int cv_sqlite_restore(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, const unsigned char *generation,
		      struct convo_err *err)
{
	struct sqlite_job job = {
		.run = run_restore, .savepoint = true, .key = key, .generation = generation};

	return sqlite_write(store, call, &job, err);
}

static int run_purge(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	struct sqlite_query query =
		cv_sqlite_query(store->writer, job->generation ? TEXT_PURGE_LIFE : TEXT_PURGE);

	cv_sqlite_bind_text(&query, cv_text_of(job->key->app));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->user));
	cv_sqlite_bind_text(&query, cv_text_of(job->key->session));
	if (job->generation)
		cv_sqlite_bind_uuid(&query, job->generation);
	return cv_sqlite_run(&query, err);
}

int cv_sqlite_purge(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, const unsigned char *generation,
		    struct convo_err *err)
{
	struct sqlite_job job = {.run = run_purge, .key = key, .generation = generation};

	return sqlite_write(store, call, &job, err);
}

/* ---- cleaning --------------------------------------------------------------------------- */

/* Delete some events that the session does not keep. */
static int clean_events(struct sqlite_db *db, struct sqlite_row *row, int64_t end,
			struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_KEPT);
	int64_t from = row->kept_seq;
	int rc;

	row->kept_seq = end - from > CLEAN_ROWS ? from + CLEAN_ROWS : end;
	cv_sqlite_bind_int(&query, row->kept_seq);
	cv_sqlite_bind_int(&query, row->no);
	rc = cv_sqlite_run(&query, err);
	return rc < 0 ? rc : row_cut(db, row, from, row->kept_seq - 1, err);
}

/* Remove some of a dead session, or the last of it. */
static int clean_dead(struct sqlite_db *db, struct sqlite_row *row, struct convo_err *err)
{
	struct sqlite_query query;
	int rc;

	if (row->kept_seq <= row->last_seq)
		return clean_events(db, row, row->last_seq + 1, err);
	query = cv_sqlite_query(db, TEXT_STATE_CUT);
	cv_sqlite_bind_int(&query, row->no);
	cv_sqlite_bind_int(&query, CLEAN_ROWS);
	rc = cv_sqlite_run(&query, err);
	if (rc < 0 || cv_sqlite_changes(db) == CLEAN_ROWS)
		return rc;
	query = cv_sqlite_query(db, TEXT_REMOVE);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

/* Do a little for a session that is due. */
static int clean_row(struct sqlite_db *db, struct sqlite_job *job, struct sqlite_row *row,
		     struct convo_err *err)
{
	int64_t ends_us = row->life == LIFE_TRASH ? row->purge_us : row->expires_us;

	if (row->life == LIFE_DEAD)
		return clean_dead(db, row, err);
	if (ends_us && ends_us <= job->call->now_us) {
		job->removed++;
		return row_kill(db, row, err);
	}
	if (row->kept_seq < row->first_seq)
		return clean_events(db, row, row->first_seq, err);
	return row_set_due(db, row, ends_us, err);
}

/* @return 1 when something was due, 0, or a negative code */
static int clean_next(struct sqlite_db *db, struct sqlite_job *job, bool look,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_FIND_DUE);
	struct sqlite_row row;
	int rc;

	cv_sqlite_bind_int(&query, job->call->now_us);
	rc = cv_sqlite_row_step(&query, &row, err);
	if (rc > 0) {
		rc = cv_sqlite_run(&query, err);
		if (rc == 0 && !look)
			rc = clean_row(db, job, &row, err);
		return rc < 0 ? rc : 1;
	}
	return rc;
}

static int run_clean(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	int64_t until_us = cv_clock_mono_us() + CLEAN_US;
	int rows = 0, rc;

	job->removed = 0;
	do
		rc = clean_next(store->writer, job, false, err);
	while (rc > 0 && (rows += CLEAN_ROWS) < CUT_ROWS && cv_clock_mono_us() < until_us);
	if (rc > 0)
		rc = clean_next(store->writer, job, true, err);
	job->more = rc > 0;
	return rc < 0 ? rc : 0;
}

int cv_sqlite_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err)
{
	struct sqlite_job job = {.run = run_clean};
	int rc = sqlite_write(store, call, &job, err);

	*more = job.more;
	if (rc == 0)
		*removed += job.removed;
	return rc;
}
