/*
 * Appending to a session of the SQLite store, and the limit of its events.
 */
#include <store/sqlite/write.h>

/* Most events that an append removes. */
#define TRIM_ROWS 2000

/* Give the events that are stored already their seq. @return how many are not, or negative codes */
static int append_find(struct sqlite_db *db, struct store_append *append,
		       const struct sqlite_row *row, struct convo_err *err)
{
	int fresh = 0, rc;
	size_t i;

	for (i = 0; i < append->count; i++) {
		struct store_event *event = &append->events[i];

		event->seq = 0;
		rc = row->last_seq ? cv_sqlite_event_seq(db, row, event->id, &event->seq, err) : 0;
		if (rc < 0)
			return rc;
		fresh += rc == 0;
	}
	return fresh;
}

/* The checks, in the order of backend.h; *fresh is how many events are new. @return as append */
static int append_check(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
			int *fresh, struct convo_err *err)
{
	const struct store_append *append = job->append;
	int rc = cv_sqlite_job_find(store, job, row, err);

	if (rc < 0)
		return rc;
	if (append->generation && memcmp(append->generation, row->generation, UUID_BYTES) != 0)
		return cv_refuse_generation(err, job->key, row->last_seq);
	*fresh = append_find(store->writer, job->append, row, err);
	if (*fresh < 0)
		return *fresh;
	rc = append->hold ? cv_sqlite_held_check(job, row, *fresh > 0, err) : 0;
	if (rc == 0 && *fresh && append->check_seq && append->after_seq != row->last_seq)
		return cv_refuse_conflict(err, job->key, row->last_seq);
	return rc;
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
	size_t i;
	int rc;

	if (row->last_time_ms < now_ms)
		row->last_time_ms = now_ms;
	for (i = 0; i < append->count; i++) {
		struct store_event *event = &append->events[i];

		if (event->seq)
			continue;
		event->seq = ++row->last_seq;
		event->time_ms = row->last_time_ms;
		rc = append_event(db, row, event, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Show the newest `keep` events and store no more. If that is a long way, as for a handle with a
 * small limit in a long session, the next appends and cleaning do the rest.
 */
static int append_trim(struct sqlite_db *db, struct sqlite_row *row, int64_t keep,
		       struct convo_err *err)
{
	int64_t from = row->kept_seq;

	if (row->first_seq < row->last_seq - keep + 1)
		row->first_seq = row->last_seq - keep + 1;
	if (from == row->first_seq)
		return 0;
	row->kept_seq = row->first_seq - from > TRIM_ROWS ? from + TRIM_ROWS : row->first_seq;
	return cv_sqlite_row_cut(db, row, from, row->kept_seq - 1, err);
}

/* Store what is new, and the state that came with it. */
static int append_store(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
			int fresh, struct convo_err *err)
{
	int64_t limit = job->call->event_limit;
	int rc = cv_sqlite_job_change_state(store, job, row, err);

	if (rc < 0)
		return rc;
	rc = append_events(store->writer, job->append, row, job->call->now_ms, err);
	if (rc < 0)
		return rc;
	if (limit)
		rc = append_trim(store->writer, row, limit > fresh ? limit : fresh, err);
	return rc < 0 ? rc : cv_sqlite_row_touch(store->writer, job->call, row, err);
}

static int append_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	const struct store_hold *hold = job->append->hold;
	struct sqlite_row row;
	int fresh = 0, rc = append_check(store, job, &row, &fresh, err);

	if (rc == 0 && fresh)
		rc = append_store(store, job, &row, fresh, err);
	return rc == 0 && hold ? cv_sqlite_held_grant(store->writer, &row, hold, err) : rc;
}

int cv_sqlite_append(struct convo_store *store, const struct store_call *call,
		     const struct convo_key *key, struct store_append *append,
		     struct convo_err *err)
{
	struct sqlite_job job = {.run = append_run,
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
	return cv_sqlite_write(store, call, &job, err);
}
