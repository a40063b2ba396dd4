/*
 * Forks in the SQLite store (S6): rows are copied within the file, in one transaction.
 */
#include <store/sqlite/write.h>

/* The time of the last event that the fork has, so that those behind it are not earlier (A1). */
static int fork_time(struct sqlite_db *db, const struct sqlite_row *source, int64_t seq,
		     int64_t *time_ms, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENT_TIME);
	int rc;

	cv_sqlite_bind_int(&query, source->no);
	cv_sqlite_bind_int(&query, seq);
	rc = cv_sqlite_step(&query, err);
	if (rc <= 0)
		return rc < 0 ? rc : cv_sqlite_damaged(db, err);
	*time_ms = cv_sqlite_int(&query, 0, source->last_time_ms);
	rc = cv_sqlite_row(&query, err);
	if (rc == 0)
		cv_sqlite_end(&query);
	return rc;
}

/* Add the row of the fork. *no is its number. */
static int fork_row(struct sqlite_db *db, const struct sqlite_job *job,
		    const struct sqlite_row *source, const struct sqlite_row *made, int64_t *no,
		    struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_FORK);
	const struct convo_key to = {job->key->app, job->key->user, job->fork->session};
	int rc;

	cv_sqlite_bind_name(&query, &to);
	cv_sqlite_bind_uuid(&query, job->fork->generation);
	cv_sqlite_bind_text(&query, (struct cv_text){source->title, source->title_len});
	cv_sqlite_bind_int(&query, job->call->now_us);
	cv_sqlite_bind_int(&query, store_call_expires(job->call, 0));
	cv_sqlite_bind_int(&query, made->first_seq);
	cv_sqlite_bind_int(&query, made->last_seq);
	cv_sqlite_bind_int(&query, made->last_time_ms);
	cv_sqlite_bind_int(&query, source->state_bytes);
	cv_sqlite_bind_text(&query, (struct cv_text){source->session, source->session_len});
	cv_sqlite_bind_uuid(&query, source->generation);
	rc = cv_sqlite_run(&query, err);
	*no = cv_sqlite_last_no(db);
	return rc;
}

static int fork_events(struct sqlite_db *db, const struct sqlite_row *source,
		       const struct sqlite_row *made, int64_t no, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENTS_FORK);
	int rc;

	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, source->no);
	cv_sqlite_bind_int(&query, made->first_seq);
	cv_sqlite_bind_int(&query, made->last_seq);
	rc = cv_sqlite_run(&query, err);
	if (rc == 0 && cv_sqlite_changes(db) != made->last_seq - made->first_seq + 1)
		rc = cv_sqlite_damaged(db, err);
	return rc;
}

static int fork_state(struct sqlite_db *db, const struct sqlite_row *source, int64_t no,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_STATE_FORK);

	cv_sqlite_bind_int(&query, no);
	cv_sqlite_bind_int(&query, source->no);
	return cv_sqlite_run(&query, err);
}

/* What of the source the fork shows: from first_seq to last_seq. */
static int fork_range(struct sqlite_db *db, const struct sqlite_job *job,
		      const struct sqlite_row *source, struct sqlite_row *made,
		      struct convo_err *err)
{
	int64_t first = store_first_shown(job->call, source->first_seq, source->last_seq);
	int64_t last = source->last_seq;

	if (job->fork->upto_seq < last)
		last = job->fork->upto_seq;
	*made = (struct sqlite_row){.first_seq = first <= last ? first : last + 1,
				    .last_seq = last};
	return first <= last ? fork_time(db, source, last, &made->last_time_ms, err) : 0;
}

static int fork_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	const struct convo_key to = {job->key->app, job->key->user, job->fork->session};
	struct sqlite_db *db = store->writer;
	struct sqlite_row source, made;
	int64_t no;
	int rc = cv_sqlite_job_find(store, job, &source, err);

	if (rc < 0)
		return rc;
	rc = fork_range(db, job, &source, &made, err);
	if (rc == 0)
		rc = cv_sqlite_take_name(store, job->call, &to, err);
	if (rc == 0)
		rc = fork_row(db, job, &source, &made, &no, err);
	if (rc == 0 && made.first_seq <= made.last_seq)
		rc = fork_events(db, &source, &made, no, err);
	return rc == 0 ? fork_state(db, &source, no, err) : rc;
}

int cv_sqlite_fork(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const struct store_fork *fork,
		   struct convo_err *err)
{
	struct sqlite_job job = {.run = fork_run, .key = key, .fork = fork};

	return cv_sqlite_write(store, call, &job, err);
}
