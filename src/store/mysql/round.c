/*
 * A round of appends; see round.h. The sessions are locked and read, what becomes of each append is
 * decided here by the rules that {p}append() of 0002.sql has, and the rows are written.
 *
 * Whoever expects another last event may be repeating what was stored (A2), and so may whoever brings
 * an id that is taken: these are left to {p}append(), which looks.
 */
#include <store/mysql/round.h>

#include <assert.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/mysql/exact.h>
#include <store/mysql/store.h>

#define ROUND_CUT_MOST 10000 /* events beyond those of the limit, as in 0002.sql */

struct round_session {
	struct sql_row row; /* as it was found */
	unsigned char generation[UUID_BYTES];
	bool odd; /* it is not as we write rows */

	/* What changes in it. */
	struct round_change {
		int64_t count, ttl_us, limit;
		int64_t keep; /* events that the limit leaves; 0: no limit */
	} change;
	bool moved; /* it is written */
};

struct my_round {
	struct my_store *my;
	struct my_append *job[MY_ROUND_JOBS]; /* in the order of their keys */
	size_t count;
	struct group_job **taken; /* as the group has them, those that go alone as well */
	size_t taken_count;
	const convo_cancel *cancel[MY_ROUND_JOBS];
	struct pool_stops stops;
	struct store_call
		call; /* has the newest of their moments and the first of their deadlines */
	bool lost;    /* it may have been carried out */

	struct my_db *db;
	enum pool_fate *fate;
	struct round_session session[MY_ROUND_JOBS];
	size_t sessions;
	struct sql_value *args;
	size_t arg_count, arg_room;
};

/* ---- statements -------------------------------------------------------------------------- */

/* Make room for so many values, and forget those before. */
static int round_args(struct my_round *round, size_t count, struct convo_err *err)
{
	void *args = round->args;

	round->arg_count = 0;
	if (!cv_grow(&args, &round->arg_room, count, sizeof(*round->args)))
		return cv_fail_nomem(err);
	round->args = args;
	return 0;
}

static void round_int(struct my_round *round, int64_t number)
{
	round->args[round->arg_count++] = (struct sql_value){.kind = SQL_INT, .number = number};
}

static void round_bytes(struct my_round *round, const void *data, size_t len)
{
	round->args[round->arg_count++] =
		(struct sql_value){.kind = data ? SQL_TEXT : SQL_NULL, .text = {data, len}};
}

static int round_run(struct my_round *round, enum my_rows kind, size_t size, struct my_take take,
		     struct convo_err *err)
{
	struct my_query query = {.text = (size_t)MY_ROWS + kind * MY_ROWS_SIZES + size,
				 .args = round->args,
				 .arg_count = round->arg_count,
				 .take[0] = take,
				 .ctx = round};

	return cv_my_run(round->db, &query, &round->call, round->fate, err);
}

/* ---- finding ----------------------------------------------------------------------------- */

static int round_compare(const void *a, const void *b)
{
	return cv_sql_key_order((*(struct my_append *const *)a)->key,
				(*(struct my_append *const *)b)->key);
}

static bool round_is(struct cv_text name, const char *key)
{
	return name.len == strlen(key) && memcmp(name.data, key, name.len) == 0;
}

/* A session's row: give it to the jobs that it is for, which are neighbours. */
static int round_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct my_round *round = ctx;
	struct round_session *session = &round->session[round->sessions];
	size_t i;

	(void)err;
	if (round->sessions == round->count)
		return 0;
	memset(session, 0, sizeof(*session));
	memcpy(session->generation, column[3].text.data, UUID_BYTES);
	session->row.no = column[4].number;
	session->row.expires_us = column[5].number;
	session->row.kept_seq = column[6].number;
	session->row.first_seq = column[7].number;
	session->row.last_seq = column[8].number;
	session->row.last_time_ms = column[9].number;
	session->odd = cv_sql_row_check(&session->row, round->my->sql.base.where, NULL) < 0;
	for (i = 0; i < round->count; i++) {
		const struct convo_key *key = round->job[i]->key;

		if (round_is(column[2].text, key->session) && round_is(column[1].text, key->user) &&
		    round_is(column[0].text, key->app))
			round->job[i]->session = session;
	}
	round->sessions++;
	return 0;
}

/* Lock the sessions, but those that others have locked: a round waits for nobody, so that nobody's
 * lock stops the others of it, and rounds cannot stop each other. */
static int round_find(struct my_round *round, struct convo_err *err)
{
	size_t size = cv_my_rows_size(round->count), rows = cv_my_rows[size], i;
	int rc = round_args(round, rows * MY_FIND_ARGS, err);

	if (rc < 0)
		return rc;
	for (i = 0; i < rows; i++) {
		const struct convo_key *key =
			round->job[i < round->count ? i : round->count - 1]->key;

		round_bytes(round, key->app, strlen(key->app));
		round_bytes(round, key->user, strlen(key->user));
		round_bytes(round, key->session, strlen(key->session));
	}
	return round_run(round, MY_ROWS_FIND, size, (struct my_take){MY_FOUND, round_row}, err);
}

/* ---- deciding ---------------------------------------------------------------------------- */

/* Number the events of a job behind those of its session. */
static void round_count(struct my_round *round, struct my_append *job)
{
	const struct round_change *before = &job->session->change;
	struct round_change change = {.count = (int64_t)job->append->count,
				      .ttl_us = job->call->ttl_us,
				      .limit = job->call->event_limit};
	const int64_t time_ms = job->session->row.last_time_ms;

	/* Nothing that came with an append goes with it. */
	if (change.limit)
		change.keep = change.limit > change.count ? change.limit : change.count;
	if (before->count && (before->ttl_us != change.ttl_us || before->limit != change.limit)) {
		job->alone = true;
		return;
	}
	job->adds = true;
	job->first_seq = job->session->row.last_seq + before->count + 1;
	job->time_ms = time_ms > round->call.now_ms ? time_ms : round->call.now_ms;
	change.count += before->count;
	job->session->change = change;
}

static void round_decide(struct my_round *round, struct my_append *job)
{
	const struct round_session *session = job->session;
	const struct store_append *append = job->append;
	const int64_t expires_us = session ? session->row.expires_us : 0;
	struct convo_err *err = &job->job.err;
	int64_t last_seq;

	/* Absent, or somebody else has locked it. */
	if (!session || session->odd) {
		job->alone = true;
		return;
	}
	if (expires_us && expires_us <= round->call.now_us) {
		job->job.rc = cv_refuse_notfound(err, job->key);
		return;
	}
	last_seq = session->row.last_seq + session->change.count;
	if (append->generation && memcmp(append->generation, session->generation, UUID_BYTES) != 0)
		job->job.rc = cv_refuse_generation(err, job->key, last_seq);
	else if (append->check_seq && append->after_seq != last_seq)
		job->alone = true;
	else
		round_count(round, job);
}

/* ---- writing ----------------------------------------------------------------------------- */

static void round_event(struct my_round *round, const struct my_append *job, size_t i)
{
	const struct store_event *event = &job->append->events[i];
	int field;

	round_int(round, job->session->row.no);
	round_int(round, job->first_seq + (int64_t)i);
	round_bytes(round, event->id, UUID_BYTES);
	round_int(round, job->time_ms);
	round_int(round, event->status);
	for (field = 0; field < FIELD_COUNT; field++)
		round_bytes(round, event->field[field].data, event->field[field].len);
}

/* Rows cannot be repeated here: 37 take the statements for 32, 4 and 1. */
static int round_add(struct my_round *round, struct convo_err *err)
{
	size_t left = 0, size = MY_ROWS_SIZES - 1, job, event = 0, row;
	int rc;

	for (job = 0; job < round->count; job++)
		left += round->job[job]->adds ? round->job[job]->append->count : 0;
	for (job = 0; left; left -= cv_my_rows[size]) {
		while (cv_my_rows[size] > left)
			size--;
		rc = round_args(round, cv_my_rows[size] * MY_ADD_ARGS, err);
		if (rc < 0)
			return rc;
		for (row = 0; row < cv_my_rows[size]; row++) {
			while (!round->job[job]->adds || event == round->job[job]->append->count) {
				job++;
				event = 0;
			}
			round_event(round, round->job[job], event++);
		}
		rc = round_run(round, MY_ROWS_ADD, size, (struct my_take){0}, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* The first of a session's events that stays. A session that was kept without a limit is cut by and
 * by; the statement of MY_ROWS_MOVE says the same. */
static int64_t round_kept(const struct round_session *session)
{
	const struct round_change *change = &session->change;
	int64_t most = session->row.kept_seq + change->count + ROUND_CUT_MOST;
	int64_t first = session->row.last_seq + change->count - change->keep + 1;

	if (!change->keep)
		return session->row.kept_seq;
	if (first < session->row.first_seq)
		first = session->row.first_seq;
	return first < most ? first : most;
}

/* Remove what is beyond the limits. */
static int round_cut(struct my_round *round, struct convo_err *err)
{
	const struct round_session *session[MY_ROUND_JOBS];
	size_t count = 0, size, i;
	int rc;

	for (i = 0; i < round->sessions; i++) {
		if (round_kept(&round->session[i]) > round->session[i].row.kept_seq)
			session[count++] = &round->session[i];
	}
	if (!count)
		return 0;
	size = cv_my_rows_size(count);
	rc = round_args(round, cv_my_rows[size] * MY_CUT_ARGS, err);
	if (rc < 0)
		return rc;
	for (i = 0; i < cv_my_rows[size]; i++) {
		const struct round_session *one = session[i < count ? i : count - 1];

		round_int(round, one->row.no);
		round_int(round, one->row.kept_seq);
		round_int(round, round_kept(one));
	}
	return round_run(round, MY_ROWS_CUT, size, (struct my_take){0}, err);
}

static void round_move_args(struct my_round *round, const struct round_change *change)
{
	const int64_t expires_us = change->ttl_us ? round->call.now_us + change->ttl_us : 0;
	const int64_t args[MY_MOVE_ARGS] = {/* position, updated_us */ round->call.now_us,
					    round->call.now_us,
					    /* due_us, expires_us */ expires_us,
					    expires_us,
					    expires_us,
					    expires_us,
					    expires_us,
					    /* kept_seq */ change->keep,
					    change->count,
					    change->keep,
					    change->count + ROUND_CUT_MOST,
					    /* first_seq */ change->keep,
					    change->count,
					    change->keep,
					    /* last_seq, last_time_ms */ change->count,
					    round->call.now_ms};
	size_t i;

	for (i = 0; i < MY_MOVE_ARGS; i++)
		round_int(round, args[i]);
}

/* Write the rows of the sessions that change as this one does. */
static int round_move_like(struct my_round *round, const struct round_change *change,
			   struct convo_err *err)
{
	const struct round_session *session[MY_ROUND_JOBS];
	size_t count = 0, size, i;
	int rc;

	for (i = 0; i < round->sessions; i++) {
		struct round_session *one = &round->session[i];

		if (one->moved || one->change.count != change->count ||
		    one->change.ttl_us != change->ttl_us || one->change.keep != change->keep)
			continue;
		one->moved = true;
		session[count++] = one;
	}
	size = cv_my_rows_size(count);
	rc = round_args(round, MY_MOVE_ARGS + cv_my_rows[size], err);
	if (rc < 0)
		return rc;
	round_move_args(round, change);
	for (i = 0; i < cv_my_rows[size]; i++)
		round_int(round, session[i < count ? i : count - 1]->row.no);
	return round_run(round, MY_ROWS_MOVE, size, (struct my_take){0}, err);
}

static int round_move(struct my_round *round, struct convo_err *err)
{
	size_t i;
	int rc;

	for (i = 0; i < round->sessions; i++) {
		const struct round_session *session = &round->session[i];

		if (session->moved || !session->change.count)
			continue;
		rc = round_move_like(round, &session->change, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- the round --------------------------------------------------------------------------- */

/* Whether the JSON types keep all that an append brings. */
static bool round_takes(const struct store_append *append)
{
	size_t i;
	int field;

	for (i = 0; i < append->count; i++) {
		for (field = FIELD_MESSAGE; field < FIELD_COUNT; field++) {
			const struct cv_text json = append->events[i].field[field];

			if (json.data && cv_my_exact(json) != MY_EXACT_KEPT)
				return false;
		}
	}
	return true;
}

/* Take jobs into the round, but those that have to go alone. It ends with the first deadline or cancel
 * of them. */
static void round_take(struct my_round *round, size_t count)
{
	for (; round->taken_count < count; round->taken_count++) {
		struct my_append *job = (struct my_append *)round->taken[round->taken_count];
		const struct store_call *call = job->call;

		job->job.rc = 0;
		job->alone = !round_takes(job->append);
		if (job->alone)
			continue;
		round->job[round->count++] = job;
		if (!round->call.deadline_us || call->deadline_us < round->call.deadline_us)
			round->call.deadline_us = call->deadline_us;
		if (call->now_us > round->call.now_us) {
			round->call.now_us = call->now_us;
			round->call.now_ms = call->now_ms;
		}
		if (call->cancel)
			round->cancel[round->stops.count++] = call->cancel;
	}
	qsort(round->job, round->count, sizeof(round->job[0]), round_compare);
}

static int round_try(struct my_round *round, bool *ending, struct convo_err *err)
{
	size_t i;
	int rc = cv_my_start(round->db, &round->call, round->fate, err);

	if (rc)
		return rc;
	/* Those whose round ended as this one began are back by now. */
	round_take(round, cv_group_join(round->my->appends, round->taken, round->taken_count));
	rc = round_find(round, err);
	if (rc)
		return rc;
	for (i = 0; i < round->count; i++)
		round_decide(round, round->job[i]);
	rc = round_add(round, err);
	if (rc)
		return rc;
	rc = round_cut(round, err);
	if (rc)
		return rc;
	rc = round_move(round, err);
	if (rc)
		return rc;
	*ending = true;
	return cv_my_end(round->db, "COMMIT", &round->call, round->fate, err);
}

/* After a failure. What was not to be committed was not done. A connection that is lost is no reason
 * for the pool to try again: each job will. */
static int round_undo(struct my_round *round, bool ending, int rc, struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct convo_err ignored;

	round->lost = ending && rc != MY_AGAIN; /* which is a no */
	if (!ending && *round->fate == POOL_KEEP &&
	    (!cv_my_usable(round->db) ||
	     cv_my_end(round->db, "ROLLBACK", &round->call, &fate, &ignored) != 0))
		*round->fate = POOL_UNSENT;
	if (!ending && *round->fate == POOL_LOST)
		*round->fate = POOL_UNSENT;
	if (rc == CONVO_E_TIMEOUT || rc == CONVO_E_CANCELED)
		err->maybe = ending;
	else
		rc = cv_sql_in_the_way(err, round->my->sql.base.where);
	return rc;
}

static int round_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		    enum pool_fate *fate, struct convo_err *err)
{
	struct my_round *round = ctx;
	bool ending = false;
	int rc;

	(void)store;
	(void)call; /* the round's, before others joined */
	round->db = conn;
	round->fate = fate;
	cv_my_stop_by(round->db, &round->stops);
	rc = round_try(round, &ending, err);
	if (rc)
		rc = round_undo(round, ending, rc, err);
	cv_my_stop_by(round->db, NULL);
	return rc;
}

/* Tell a job what has become of it. */
static void round_tell(const struct my_round *round, struct my_append *job, int rc,
		       const struct convo_err *why)
{
	size_t i;

	if (rc == 0) {
		for (i = 0; job->adds && i < job->append->count; i++)
			job->append->events[i].seq = job->first_seq + (int64_t)i;
		return;
	}
	job->job.rc = 0;
	job->alone = true;
	job->maybe = round->lost;
	if (round->lost)
		store_work_lost(job->call);
	/* Its own end is the round's. */
	if ((rc == CONVO_E_CANCELED && convo_cancel_requested(job->call->cancel)) ||
	    (rc == CONVO_E_TIMEOUT && job->call->deadline_us <= cv_clock_mono_us())) {
		job->alone = false;
		job->job.rc = rc;
		job->job.err = *why;
	}
}

/* A round that fails leaves it to each caller to try by itself, in its own thread and time: nothing
 * that one of them has brought can hurt the others. */
void cv_my_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct my_round round = {.my = ctx, .taken = jobs, .stops.cancel = round.cancel};
	struct convo_err why;
	size_t i;
	int rc = 0;

	round.call.work = ((struct my_append *)jobs[0])->call->work;
	round_take(&round, count);
	round.call.patience = cv_pool_patience(round.my->sql.pool, round.call.deadline_us);
	if (round.count)
		rc = cv_pool_run_for(round.my->sql.pool, &round.call, &round.stops, POOL_CALLERS,
				     round_op, &round, &why);
	for (i = 0; i < round.count; i++)
		round_tell(&round, round.job[i], rc, &why);
	free(round.args);
}
