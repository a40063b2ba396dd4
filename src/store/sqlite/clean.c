/*
 * Cleaning in the SQLite store: what is due by now, a little of it in each transaction, so that
 * writers get their turns.
 */
#include <store/sqlite/write.h>

#include <base/clock.h>

/* A step removes so many rows at a time, until it has removed enough or taken long enough. */
#define CLEAN_ROWS 50
#define CLEAN_MAX_ROWS 2000
#define CLEAN_US 5000

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
	return rc < 0 ? rc : cv_sqlite_row_cut(db, row, from, row->kept_seq - 1, err);
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
		return cv_sqlite_row_kill(db, row, err);
	}
	if (row->kept_seq < row->first_seq)
		return clean_events(db, row, row->first_seq, err);
	return cv_sqlite_row_set_due(db, row, ends_us, err);
}

/* Find a session that is due. @return 1, 0 when there is none, or a negative code */
static int clean_next(struct sqlite_db *db, struct sqlite_job *job, struct sqlite_row *row,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_FIND_DUE);
	int rc;

	cv_sqlite_bind_int(&query, job->call->now_us);
	rc = cv_sqlite_row_step(&query, row, err);
	if (rc <= 0)
		return rc;
	rc = cv_sqlite_run(&query, err);
	return rc < 0 ? rc : 1;
}

static int clean_run(struct sqlite_store *store, struct sqlite_job *job, struct convo_err *err)
{
	int64_t until_us = cv_clock_mono_us() + CLEAN_US;
	struct sqlite_row row;
	int rows = 0, rc;

	job->removed = 0;
	job->more = false;
	while ((rc = clean_next(store->writer, job, &row, err)) > 0) {
		job->more = rows >= CLEAN_MAX_ROWS || cv_clock_mono_us() >= until_us;
		if (job->more)
			return 0;
		rows += CLEAN_ROWS;
		rc = clean_row(store->writer, job, &row, err);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int cv_sqlite_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		    bool *more, struct convo_err *err)
{
	struct sqlite_job job = {.run = clean_run};
	int rc = cv_sqlite_write(store, call, &job, err);

	*more = rc == 0 && job.more;
	if (rc == 0)
		*removed += job.removed;
	return rc;
}
