/*
 * Appends of many threads travel together, as one pipeline that is one transaction (group.h).
 */
#include <store/postgres/append.h>

#include <assert.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/fail.h>

enum pg_type cv_pg_field_type(enum event_field field)
{
	return event_field_is_json(field) ? PG_JSONB : PG_TEXT;
}

static void append_args_hold(struct pg_args *args, const struct store_hold *hold)
{
	if (!hold)
		return;
	cv_pg_args_int(args, hold->what);
	cv_pg_args_uuid(args, hold->lease);
	cv_pg_args_int(args, hold->us);
	cv_pg_args_uuid(args, hold->settles ? hold->draft : NULL);
	cv_pg_args_int(args, hold->draft_len);
}

static int append_args(struct pg_append *self, struct convo_err *err)
{
	const struct store_append *append = self->append;
	struct pg_args *args = &self->args;
	size_t i;
	int field;

	append_args_hold(args, append->hold);
	cv_pg_args_key(args, self->key);
	cv_pg_args_int(args, self->call->now_us);
	cv_pg_args_int(args, self->call->ttl_us);
	cv_pg_args_int(args, CONVO_MAX_STATE);
	cv_pg_args_int(args, self->call->event_limit);
	cv_pg_args_uuid(args, append->generation);
	cv_pg_args_int(args, append->check_seq ? append->after_seq : -1);
	cv_pg_args_array(args, PG_UUID, append->count);
	for (i = 0; i < append->count; i++)
		cv_pg_item_bytes(args, PG_UUID,
				 (struct cv_text){(const char *)append->events[i].id, UUID_BYTES});
	cv_pg_args_array(args, PG_INT2, append->count);
	for (i = 0; i < append->count; i++)
		cv_pg_item_int(args, PG_INT2, append->events[i].status);
	for (field = 0; field < FIELD_COUNT; field++) {
		enum pg_type type = cv_pg_field_type((enum event_field)field);

		cv_pg_args_array(args, type, append->count);
		for (i = 0; i < append->count; i++)
			cv_pg_item_bytes(args, type, append->events[i].field[field]);
	}
	cv_pg_args_array(args, PG_INT4, append->change_count);
	for (i = 0; i < append->change_count; i++)
		cv_pg_item_int(args, PG_INT4, (int64_t)append->changes[i].event);
	cv_pg_args_changes(args, append->changes, append->change_count);
	return cv_pg_args_finish(args, err);
}

/* ---- what comes back -------------------------------------------------------------------- */

static void append_begin(void *ctx)
{
	((struct pg_append *)ctx)->answered = false;
}

/* Read the seqs of all events, with a blank between them, as there are where some were stored
 * already. */
static bool append_seqs(const struct pg_append *self, struct cv_text text)
{
	const char *at = text.data, *stop = text.data + text.len;
	size_t i, count = self->append->count;

	for (i = 0; i < count; i++) {
		int64_t seq = 0;

		for (; at < stop && *at >= '0' && *at <= '9' && seq <= STORE_SEQ_MAX; at++)
			seq = seq * 10 + (*at - '0');
		if (seq < 1 || seq > STORE_SEQ_MAX ||
		    (i + 1 < count && (at == stop || *at++ != ' ')))
			return false;
		self->append->events[i].seq = seq;
	}
	return at == stop;
}

int cv_pg_append_number(const struct pg_append *self, struct convo_err *err)
{
	size_t i, count = self->append->count;

	if (self->last_seq < (int64_t)count || self->last_seq > STORE_SEQ_MAX)
		return cv_sql_damaged(err, self->where);
	for (i = 0; i < count; i++)
		self->append->events[i].seq = self->last_seq - (int64_t)(count - 1 - i);
	return 0;
}

static int append_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_append *self = ctx;

	self->code = column[0].number;
	self->last_seq = column[1].number;
	self->left_us = self->append->hold ? column[3].number : 0;
	self->answered = true;
	if (self->code != 0)
		return 0;
	if (column[2].kind == SQL_TEXT)
		return append_seqs(self, column[2].text) ? 0 : cv_sql_damaged(err, self->where);
	return cv_pg_append_number(self, err);
}

/* What became of an append whose transaction took effect. */
static int append_result(const struct pg_append *self, struct convo_err *err)
{
	if (!self->answered)
		return cv_sql_damaged(err, self->where);
	switch (self->code) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, self->key);
	case CONVO_E_CONFLICT:
		return cv_refuse_conflict(err, self->key, self->last_seq);
	case CONVO_E_IO:
		return cv_sql_damaged(err, self->where);
	case PG_CODE_LEASE:
		return cv_refuse_lease(err, self->key, self->last_seq);
	case PG_CODE_BUSY:
		return cv_refuse_busy(err, self->key, self->last_seq, self->left_us);
	case PG_CODE_IN_THE_WAY:
		return STORE_IN_THE_WAY;
	default:
		return cv_refuse_generation(err, self->key, self->last_seq);
	}
}

/* ---- rounds ----------------------------------------------------------------------------- */

/* What a round sends. */
struct pg_round {
	struct pg_query query[PG_ROUND_JOBS];
	const convo_cancel *cancel[PG_ROUND_JOBS];
	struct pg_many many; /* of no jobs: each is a statement of its own */
	bool refused;        /* set: by the server, which still answers */
};

/* A statement for each job, or one for all. @return how many, or a negative code */
static int round_make(struct pg_store *pg, struct pg_round *round, struct group_job **jobs,
		      size_t count, struct convo_err *err)
{
	size_t i;
	int rc;

	if (cv_pg_many_can(jobs, count)) {
		round->many = (struct pg_many){.jobs = jobs, .count = count};
		rc = cv_pg_many(pg, &round->many, &round->query[0], err);
		return rc < 0 ? rc : 1;
	}
	for (i = 0; i < count; i++) {
		struct pg_append *one = (struct pg_append *)jobs[i];

		rc = one->args.count ? 0 : append_args(one, err);
		if (rc < 0)
			return rc;
		round->query[i] = (struct pg_query){
			.statement = &pg->statement[one->append->hold ? PG_APPEND_HELD : PG_APPEND],
			.args = &one->args,
			.begin = append_begin,
			.row = append_row,
			.ctx = one};
	}
	return (int)count;
}

/* What a round has cost is the first one's, and that a try of it was lost everybody's. */
static void append_counted(struct group_job **jobs, size_t count, const struct store_work *counted)
{
	const struct store_call *first = ((struct pg_append *)jobs[0])->call;
	size_t i;

	if (first->work)
		*first->work = *counted;
	for (i = 0; i < count && counted->lost; i++)
		store_work_lost(((struct pg_append *)jobs[i])->call);
}

/* Run the jobs as one transaction, until the first of their deadlines and cancels. */
static int append_together(struct pg_store *pg, struct pg_round *round, struct group_job **jobs,
			   size_t count, struct convo_err *err)
{
	struct store_call call = *((struct pg_append *)jobs[0])->call;
	struct store_work counted = call.work ? *call.work : (struct store_work){0};
	struct pg_work work = {.query = round->query, .stops = {round->cancel, 0}};
	int rc = round_make(pg, round, jobs, count, err);
	size_t i;

	round->refused = false;
	if (rc < 0)
		goto out;
	work.count = (size_t)rc;
	call.work = &counted;
	for (i = 0; i < count; i++) {
		const struct store_call *one = ((struct pg_append *)jobs[i])->call;

		if (one->deadline_us < call.deadline_us)
			call.deadline_us = one->deadline_us;
		if (one->cancel)
			round->cancel[work.stops.count++] = one->cancel;
	}
	rc = cv_pg_work(pg, &call, &work, err);
	round->refused = work.refused;
	append_counted(jobs, count, &counted);
	if (count == 1)
		rc = cv_pg_tell(rc, &round->query[0], err);
out:
	cv_pg_args_clear(&round->many.args);
	return rc;
}

/* Whether a job may try again although its round failed: another's time was up, or it was
 * canceled. */
static bool append_goes_on(const struct group_job *job, int code)
{
	const struct store_call *call = ((const struct pg_append *)job)->call;

	if (code != CONVO_E_TIMEOUT && code != CONVO_E_CANCELED)
		return false;
	return call->deadline_us > cv_clock_mono_us() && !convo_cancel_requested(call->cancel);
}

/* Whether a failure is about what one of the jobs holds, not about the server. A refusal may have come
 * before the connection was lost; only IO says one or the other. */
static bool append_is_own(int code, bool refused)
{
	return code == CONVO_E_TOOBIG || code == CONVO_E_INVALID || code == CONVO_E_EXISTS ||
	       (code == CONVO_E_IO && refused);
}

static int append_order(const void *a, const void *b)
{
	return cv_sql_key_order((*(struct pg_append *const *)a)->key,
				(*(struct pg_append *const *)b)->key);
}

/* Tell the jobs of a round that failed. None of them waits for what others may still try: each does that
 * by itself, in its own time. */
static void append_failed(struct group_job **jobs, size_t count, bool refused,
			  const struct convo_err *why)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct pg_append *one = (struct pg_append *)jobs[i];

		one->job.rc = why->code;
		one->job.err = *why;
		one->unknown = one->unknown || why->maybe;
		if (append_is_own(why->code, refused))
			one->alone = count > 1;
		else if (!refused)
			one->again = append_goes_on(jobs[i], why->code);
	}
}

void cv_pg_append_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct pg_round round = {.refused = false};
	struct convo_err why = {0};
	size_t i;

	assert(count <= PG_ROUND_JOBS);
	qsort(jobs, count, sizeof(struct group_job *), append_order);
	if (append_together(ctx, &round, jobs, count, &why) < 0) {
		append_failed(jobs, count, round.refused, &why);
		return;
	}
	for (i = 0; i < count; i++) {
		struct pg_append *one = (struct pg_append *)jobs[i];

		if (round.many.count && !one->answered)
			one->alone = true;
		else
			jobs[i]->rc = append_result(one, &jobs[i]->err);
	}
}

/* About what it takes in a round. */
static size_t append_weight(const struct store_append *append)
{
	size_t i, bytes = 0;
	int field;

	for (i = 0; i < append->count; i++) {
		for (field = 0; field < FIELD_COUNT; field++)
			bytes += append->events[i].field[field].len + 8;
	}
	for (i = 0; i < append->change_count; i++)
		bytes += append->changes[i].name.len + append->changes[i].value.len + 16;
	return bytes;
}

int cv_pg_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_append self = {.job.weight = append_weight(append),
				 .job.deadline_us = call->deadline_us,
				 .job.cancel = call->cancel,
				 .key = key,
				 .call = call,
				 .append = append,
				 .where = store->where};
	struct group_job *job = &self.job;
	size_t i;
	int rc;

	/* What locks what sessions share must not wait for other sessions. */
	for (i = 0; i < append->change_count; i++)
		self.alone = self.alone || append->changes[i].scope != CONVO_SCOPE_SESSION;
	do {
		bool alone = self.alone;

		self.again = self.alone = false;
		if (alone)
			cv_pg_append_round(pg, &job, 1);
		else
			(void)cv_group_run(append->hold ? pg->holds : pg->appends, job, NULL);
	} while (self.again || self.alone);
	rc = job->rc;
	if (rc < 0 && self.unknown)
		rc = cv_pool_undecide(&job->err);
	if (rc < 0 && err)
		*err = job->err;
	cv_pg_args_clear(&self.args);
	return rc;
}
