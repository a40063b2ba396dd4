/*
 * Appends of many threads travel together, as one pipeline that is one transaction (group.h).
 */
#include <store/postgres/store.h>

#include <assert.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/fail.h>

/* One caller's append. */
struct pg_append {
	struct group_job job;
	const struct convo_key *key;
	int64_t now_us;
	struct store_append *append;
	struct pg_args args;
	/* What came back, believed only once the transaction took effect. */
	int64_t code, last_seq;
};

static void pg_append_events(struct pg_args *args, const struct store_append *append)
{
	size_t i;
	int field;

	cv_pg_args_array(args, PG_UUID, append->count);
	for (i = 0; i < append->count; i++)
		cv_pg_item_bytes(args, PG_UUID,
				 (struct cv_text){(const char *)append->events[i].id, UUID_BYTES});
	cv_pg_args_array(args, PG_INT2, append->count);
	for (i = 0; i < append->count; i++)
		cv_pg_item_int(args, PG_INT2, append->events[i].status);
	for (field = 0; field < FIELD_COUNT; field++) {
		enum pg_type type =
			event_field_is_json((enum event_field)field) ? PG_JSONB : PG_TEXT;

		cv_pg_args_array(args, type, append->count);
		for (i = 0; i < append->count; i++)
			cv_pg_item_bytes(args, type, append->events[i].field[field]);
	}
}

static int pg_append_args(struct pg_append *self, const struct store_call *call,
			  struct convo_err *err)
{
	const struct store_append *append = self->append;
	struct pg_args *args = &self->args;
	size_t i;

	cv_pg_args_key(args, self->key);
	cv_pg_args_int(args, self->now_us);
	cv_pg_args_int(args, call->ttl_us);
	cv_pg_args_int(args, CONVO_MAX_STATE);
	cv_pg_args_int(args, call->event_limit);
	cv_pg_args_uuid(args, append->generation);
	cv_pg_args_int(args, append->check_seq ? append->after_seq : -1);
	pg_append_events(args, append);
	cv_pg_args_array(args, PG_INT4, append->change_count);
	for (i = 0; i < append->change_count; i++)
		cv_pg_item_int(args, PG_INT4, (int64_t)append->changes[i].event);
	cv_pg_args_changes(args, append->changes, append->change_count);
	self->job.weight = args->bytes.len;
	return cv_pg_args_finish(args, err);
}

static int pg_append_row(void *ctx, const struct cv_text *column, struct convo_err *err)
{
	struct pg_append *self = ctx;
	size_t i, count = self->append->count;

	(void)err;
	self->code = cv_pg_int(column[0]);
	self->last_seq = cv_pg_int(column[1]);
	for (i = 0; self->code == 0 && i < count; i++)
		self->append->events[i].seq = column[2].data
						      ? cv_pg_int_at(column[2], i)
						      : self->last_seq - (int64_t)(count - 1 - i);
	return 0;
}

/* What became of an append whose transaction took effect. */
static int pg_append_result(const struct pg_append *self, struct convo_err *err)
{
	switch (self->code) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, self->key);
	case CONVO_E_CONFLICT:
		return cv_refuse_conflict(err, self->key, self->last_seq);
	default:
		return cv_refuse_generation(err, self->key, self->last_seq);
	}
}

static int pg_append_together(struct pg_store *pg, struct group_job **jobs, size_t count,
			      int64_t deadline_us, bool *refused, struct convo_err *err)
{
	struct store_call call = {.deadline_us = deadline_us};
	struct pg_query query[PG_ROUND_JOBS];
	struct pg_work work = {query, count, false};
	size_t i;
	int rc;

	assert(count <= PG_ROUND_JOBS);
	for (i = 0; i < count; i++) {
		struct pg_append *one = (struct pg_append *)jobs[i];

		query[i] = (struct pg_query){.sql = pg->sql[PG_APPEND],
					     .args = &one->args,
					     .row = pg_append_row,
					     .ctx = one};
	}
	rc = cv_pool_run(pg->pool, &call, true, cv_pg_work_op, &work, err);
	*refused = work.refused;
	if (count == 1)
		rc = cv_pg_tell(rc, &query[0], err);
	return rc;
}

static void pg_append_fail(struct group_job *job, const struct convo_err *why)
{
	/* An earlier try may have been carried out. */
	bool maybe = job->err.maybe || why->maybe;

	job->rc = why->code;
	job->err = *why;
	job->err.maybe = maybe;
}

/* Fail all, but let those go on who still have time when others had none. @return how many those
 * are, now at the front of `jobs` */
static size_t pg_append_left(struct group_job **jobs, size_t count, const struct convo_err *why)
{
	int64_t now_us = cv_clock_mono_us();
	size_t i, left = 0;

	for (i = 0; i < count; i++) {
		struct group_job *job = jobs[i];

		pg_append_fail(job, why);
		if (why->code == CONVO_E_TIMEOUT && job->deadline_us > now_us) {
			jobs[i] = jobs[left];
			jobs[left++] = job;
		}
	}
	return left;
}

/* Rounds lock their sessions in one order, so that two of them do not wait for each other. */
static int pg_append_order(const void *a, const void *b)
{
	const struct convo_key *one = (*(struct pg_append *const *)a)->key;
	const struct convo_key *two = (*(struct pg_append *const *)b)->key;
	int order = strcmp(one->app, two->app);

	if (!order)
		order = strcmp(one->user, two->user);
	return order ? order : strcmp(one->session, two->session);
}

void cv_pg_append_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct convo_err why;
	bool refused;
	size_t i;

	qsort(jobs, count, sizeof(struct group_job *), pg_append_order);
	while (count) {
		int64_t deadline_us = INT64_MAX;

		for (i = 0; i < count; i++) {
			if (jobs[i]->deadline_us < deadline_us)
				deadline_us = jobs[i]->deadline_us;
		}
		memset(&why, 0, sizeof(why));
		if (pg_append_together(ctx, jobs, count, deadline_us, &refused, &why) == 0)
			break;
		if (refused && count > 1) {
			/* One of them failed all; each by itself gets what is its own. */
			for (i = 0; i < count; i++)
				cv_pg_append_round(ctx, &jobs[i], 1);
			return;
		}
		count = pg_append_left(jobs, count, &why);
	}
	for (i = 0; i < count; i++)
		jobs[i]->rc = pg_append_result((struct pg_append *)jobs[i], &jobs[i]->err);
}

int cv_pg_append(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, struct store_append *append, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_append self = {.job.deadline_us = call->deadline_us,
				 .key = key,
				 .now_us = call->now_us,
				 .append = append};
	struct group_job *job = &self.job;
	bool shares = false;
	size_t i;
	int rc;

	for (i = 0; i < append->change_count; i++)
		shares = shares || append->changes[i].scope != CONVO_SCOPE_SESSION;
	rc = pg_append_args(&self, call, err);
	if (rc == 0 && shares) {
		/* It locks what sessions share, which must not wait for other sessions. */
		cv_pg_append_round(pg, &job, 1);
		rc = job->rc;
		if (rc < 0 && err)
			*err = job->err;
	} else if (rc == 0) {
		rc = cv_group_run(pg->appends, job, err);
	}
	cv_pg_args_clear(&self.args);
	return rc;
}
