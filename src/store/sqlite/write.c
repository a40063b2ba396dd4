/*
 * The SQLite store's writes. There is one connection that writes; the writes of all threads that
 * wait for it go into one transaction and share its flush (group.h). Each is a job, whose checks
 * come before its first change. One that can fail later has a savepoint, so that it takes back its
 * own changes alone; when the engine itself fails, everything is rolled back, and the jobs of the
 * round are tried one by one. A round ends with the first deadline in it: what is done by then is
 * kept, and who has more time queues again (L2).
 */
#include <store/sqlite/write.h>

#include <base/clock.h>
#include <base/fail.h>

/* ---- one transaction -------------------------------------------------------------------- */

struct round {
	struct sqlite_store *store;
	struct group_job **jobs;
	size_t count;
	int64_t until_us; /* the first deadline of them */
	bool light;       /* none of them needs a flush */
};

static const struct store_call *round_call(const struct round *round, size_t i)
{
	return ((struct sqlite_job *)round->jobs[i])->call;
}

/* Whether one of those that wait was canceled: the others do not wait for it. */
static bool round_canceled(void *ctx)
{
	const struct round *round = ctx;
	size_t i;

	for (i = 0; i < round->count; i++) {
		if (convo_cancel_requested(round_call(round, i)->cancel))
			return true;
	}
	return false;
}

static void round_set_until(struct round *round, size_t from)
{
	size_t i;

	for (i = from; i < round->count; i++) {
		if (round_call(round, i)->deadline_us < round->until_us)
			round->until_us = round_call(round, i)->deadline_us;
	}
}

static bool round_is_light(const struct round *round)
{
	size_t i;

	for (i = 0; i < round->count; i++) {
		if (!((struct sqlite_job *)round->jobs[i])->light)
			return false;
	}
	return true;
}

static bool round_late(const struct round *round)
{
	return cv_clock_mono_us() >= round->until_us;
}

static int round_simple(struct sqlite_db *db, int text, struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, text);

	return cv_sqlite_run(&query, err);
}

static void round_job(struct sqlite_store *store, struct sqlite_job *job)
{
	struct sqlite_db *db = store->writer;
	struct convo_err *err = &job->base.err;
	int64_t before = job->call->work ? cv_sqlite_steps(db) : 0;
	int rc = 0;

	cv_sqlite_for(db, job->call);
	if (job->savepoint)
		rc = round_simple(db, TEXT_SAVEPOINT, err);
	if (rc < 0)
		goto out;
	rc = job->run(store, job, err);
	if (!job->savepoint || cv_sqlite_broken(db))
		goto out;
	if (rc < 0)
		round_simple(db, TEXT_UNDO, NULL);
	if (round_simple(db, TEXT_RELEASE, rc < 0 ? NULL : err) < 0 && rc == 0)
		rc = err->code;
out:
	if (job->call->work)
		store_work_steps(job->call, cv_sqlite_steps(db) - before);
	job->base.rc = rc;
}

/* Leave the jobs from `from` on to another round. */
static void round_put_off(struct round *round, size_t from)
{
	for (; from < round->count; from++)
		((struct sqlite_job *)round->jobs[from])->again = true;
}

/*
 * Do the jobs in one transaction. Who comes while they are being done joins them.
 *
 * @return 0; a negative code when nothing of it was kept, and why is in err; *begun tells whether
 *         it got as far as the first job
 */
static int round_try(struct round *round, bool join, bool *begun, struct convo_err *err)
{
	struct sqlite_store *store = round->store;
	size_t done = 0;
	int rc;

	cv_sqlite_until(store->writer, round->until_us, round_canceled, round);
	*begun = false;
	rc = cv_sqlite_set_flush(store->writer, !round->light, err);
	if (rc == 0)
		rc = cv_sqlite_begin(store->writer, true, err);
	*begun = rc == 0;
	while (rc == 0 && done < round->count && (done == 0 || !round_late(round))) {
		round_job(store, (struct sqlite_job *)round->jobs[done]);
		if (cv_sqlite_broken(store->writer)) {
			*err = round->jobs[done]->err;
			rc = round->jobs[done]->rc;
		}
		if (++done == round->count && join && !round->light) {
			round->count = cv_group_join(store->group, round->jobs, round->count);
			round_set_until(round, done);
		}
	}
	if (rc < 0)
		goto out;
	/* The log may have to wait for readers: with the patience of the least patient. */
	cv_sqlite_until(store->writer, round->until_us, round_canceled, round);
	rc = cv_sqlite_commit(store->writer, err);
	if (rc == 0)
		round_put_off(round, done);
out:
	cv_sqlite_rollback(store->writer);
	return rc;
}

/* ---- rounds ----------------------------------------------------------------------------- */

/* Whether a job has to end now: the code, or 0. Its error is that of the round if it tells why. */
static int job_over(struct sqlite_store *store, struct sqlite_job *job, const struct convo_err *why)
{
	int code = convo_cancel_requested(job->call->cancel) ? CONVO_E_CANCELED : 0;

	if (!code && cv_clock_mono_us() >= job->call->deadline_us)
		code = CONVO_E_TIMEOUT;
	if (code && why->code == code)
		job->base.err = *why;
	else if (code == CONVO_E_CANCELED)
		cv_fail(&job->base.err, code, "%s: canceled", store->base.where);
	else if (code)
		cv_fail(&job->base.err, code, "%s: not done in time", store->base.where);
	if (code)
		job->base.rc = code;
	return code;
}

/* Whether a failure is for want of time or patience, which is not the same for all jobs. */
static bool is_stop(const struct convo_err *err)
{
	return err->code == CONVO_E_TIMEOUT || err->code == CONVO_E_CANCELED;
}

/* Try a job alone, after it failed with the others: because of one of them, maybe. */
static void round_alone(const struct round *round, size_t i)
{
	struct sqlite_job *job = (struct sqlite_job *)round->jobs[i];
	struct round alone = {round->store, &round->jobs[i], 1, round->until_us, round->light};
	struct convo_err err = {0};
	bool begun;

	if (round_try(&alone, false, &begun, &err) == 0 || job_over(round->store, job, &err))
		return;
	job->again = is_stop(&err);
	job->base.rc = err.code;
	job->base.err = err;
}

void cv_sqlite_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct round round = {ctx, jobs, count, INT64_MAX, false};
	struct convo_err err = {0};
	struct sqlite_hold hold;
	bool begun, retry;
	size_t i;

	round_set_until(&round, 0);
	round.light = round_is_light(&round);
	cv_sqlite_hold(&hold);
	/* What is written to a file that nobody finds any more is lost (A7). */
	begun = false;
	if (cv_sqlite_moved(round.store->writer))
		cv_fail(&err, CONVO_E_GONE,
			"%s: the file was removed or replaced; put it back, or open it again",
			round.store->file.where);
	else if (round_try(&round, true, &begun, &err) == 0)
		goto out;
	/* What may be there all the same after a crash must not be followed by something else. */
	retry = begun && !err.maybe && round.count > 1;
	for (i = 0; i < round.count; i++) {
		struct sqlite_job *job = (struct sqlite_job *)jobs[i];

		if (job_over(round.store, job, &err))
			continue;
		if (retry && !round_late(&round)) {
			round_alone(&round, i);
			continue;
		}
		job->again = retry || is_stop(&err);
		job->base.rc = err.code;
		job->base.err = err;
	}
out:
	cv_sqlite_let_go(&hold);
}

int cv_sqlite_write(struct convo_store *base, const struct store_call *call, struct sqlite_job *job,
		    struct convo_err *err)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	struct convo_err why = {0};
	int rc;

	if (!store->writer)
		return cv_fail(err, CONVO_E_READONLY,
			       "%s: read-only: no right to write the file or its directory",
			       store->file.where);
	job->call = call;
	job->base.deadline_us = call->deadline_us;
	job->base.cancel = call->cancel;
	do {
		job->again = false;
		rc = cv_group_run(store->group, &job->base, &why);
	} while (job->again && !job_over(store, job, &why));
	if (job->again) {
		rc = job->base.rc;
		why = job->base.err;
	}
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/* ---- rows of sessions ------------------------------------------------------------------- */

int cv_sqlite_job_find(struct sqlite_store *store, struct sqlite_job *job, struct sqlite_row *row,
		       struct convo_err *err)
{
	int rc = cv_sqlite_find(store->writer, job->call, job->key, row, err);

	if (rc == 0)
		return cv_refuse_notfound(err, job->key);
	return rc < 0 ? rc : 0;
}

int cv_sqlite_row_set_due(struct sqlite_db *db, struct sqlite_row *row, int64_t due_us,
			  struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_DUE);

	row->due_us = due_us;
	cv_sqlite_bind_int(&query, due_us);
	cv_sqlite_bind_int(&query, row->no);
	return cv_sqlite_run(&query, err);
}

int cv_sqlite_row_touch(struct sqlite_db *db, const struct store_call *call, struct sqlite_row *row,
			struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_TOUCH);
	int64_t due_us;
	int rc;

	/* The clock of another writer may be ahead of ours: nothing goes back. */
	if (row->position < call->now_us)
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
	if (rc < 0)
		return rc;
	/* due_us has an index. It only has to be early enough: cleaning moves it on. */
	due_us = row->kept_seq < row->first_seq ? 1 : row->expires_us;
	if (!due_us || (row->due_us && row->due_us <= due_us))
		return 0;
	return cv_sqlite_row_set_due(db, row, due_us, err);
}

int cv_sqlite_row_cut(struct sqlite_db *db, const struct sqlite_row *row, int64_t from, int64_t to,
		      struct convo_err *err)
{
	struct sqlite_query query = cv_sqlite_query(db, TEXT_EVENTS_CUT);

	cv_sqlite_bind_int(&query, row->no);
	cv_sqlite_bind_int(&query, from);
	cv_sqlite_bind_int(&query, to);
	return cv_sqlite_run(&query, err);
}
