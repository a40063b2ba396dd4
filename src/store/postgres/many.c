/*
 * Appends to many sessions as one statement, append_many() of 0003.sql.
 */
#include <store/postgres/append.h>

#include <assert.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/fail.h>

/* The events of all jobs, one after the other. */
struct many_events {
	struct {
		const struct store_event *event;
		int64_t job, nth; /* from 1 */
	} * item;
	size_t count;
};

static const struct pg_append *many_one(const struct group_job *job)
{
	return (const struct pg_append *)job;
}

bool cv_pg_many_can(struct group_job *const *jobs, size_t count)
{
	const struct store_call *call = many_one(jobs[0])->call;
	size_t i;

	for (i = 0; i < count; i++) {
		const struct pg_append *one = many_one(jobs[i]);

		if (one->append->hold || one->append->change_count ||
		    one->call->ttl_us != call->ttl_us ||
		    one->call->event_limit != call->event_limit)
			return false;
		/* Of two appends to one session the second has to see what the first did. */
		if (i && cv_sql_key_order(one->key, many_one(jobs[i - 1])->key) == 0)
			return false;
	}
	return count > 1;
}

static int many_events(struct many_events *events, struct group_job *const *jobs, size_t count)
{
	size_t i, j;

	for (i = 0; i < count; i++)
		events->count += many_one(jobs[i])->append->count;
	events->item = cv_alloc(events->count, sizeof(*events->item));
	if (!events->item)
		return CONVO_E_NOMEM;
	events->count = 0;
	for (i = 0; i < count; i++) {
		const struct store_append *append = many_one(jobs[i])->append;

		for (j = 0; j < append->count; j++) {
			events->item[events->count].event = &append->events[j];
			events->item[events->count].job = (int64_t)i + 1;
			events->item[events->count].nth = (int64_t)j + 1;
			events->count++;
		}
	}
	return 0;
}

/* ---- what is asked ---------------------------------------------------------------------- */

static void args_sessions(struct pg_args *args, struct group_job *const *jobs, size_t count)
{
	size_t i;

	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(many_one(jobs[i])->key->app));
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(many_one(jobs[i])->key->user));
	cv_pg_args_array(args, PG_TEXT, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(many_one(jobs[i])->key->session));
	cv_pg_args_array(args, PG_INT8, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(args, PG_INT8, many_one(jobs[i])->call->now_us);
	cv_pg_args_array(args, PG_UUID, count);
	for (i = 0; i < count; i++)
		cv_pg_item_uuid(args, many_one(jobs[i])->append->generation);
	cv_pg_args_array(args, PG_INT8, count);
	for (i = 0; i < count; i++) {
		const struct store_append *append = many_one(jobs[i])->append;

		cv_pg_item_int(args, PG_INT8, append->check_seq ? append->after_seq : -1);
	}
	cv_pg_args_array(args, PG_INT8, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(args, PG_INT8, (int64_t)many_one(jobs[i])->append->count);
}

static void args_events(struct pg_args *args, const struct many_events *events)
{
	size_t i;
	int field;

	cv_pg_args_array(args, PG_INT8, events->count);
	for (i = 0; i < events->count; i++)
		cv_pg_item_int(args, PG_INT8, events->item[i].job);
	cv_pg_args_array(args, PG_INT8, events->count);
	for (i = 0; i < events->count; i++)
		cv_pg_item_int(args, PG_INT8, events->item[i].nth);
	cv_pg_args_array(args, PG_UUID, events->count);
	for (i = 0; i < events->count; i++)
		cv_pg_item_uuid(args, events->item[i].event->id);
	cv_pg_args_array(args, PG_INT2, events->count);
	for (i = 0; i < events->count; i++)
		cv_pg_item_int(args, PG_INT2, events->item[i].event->status);
	for (field = 0; field < FIELD_COUNT; field++) {
		enum pg_type type = cv_pg_field_type((enum event_field)field);

		cv_pg_args_array(args, type, events->count);
		for (i = 0; i < events->count; i++)
			cv_pg_item_bytes(args, type, events->item[i].event->field[field]);
	}
}

/* ---- what comes back -------------------------------------------------------------------- */

static void many_begin(void *ctx)
{
	struct pg_many *many = ctx;
	size_t i;

	for (i = 0; i < many->count; i++)
		((struct pg_append *)many->jobs[i])->answered = false;
}

static int many_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_many *many = ctx;
	int64_t job = column[0].number;
	struct pg_append *one;

	if (job < 1 || (uint64_t)job > many->count)
		return cv_sql_damaged(err, many->where);
	one = (struct pg_append *)many->jobs[job - 1];
	if (one->answered)
		return cv_sql_damaged(err, many->where);
	one->answered = true;
	one->code = 0;
	one->last_seq = column[1].number;
	return cv_pg_append_number(one, err);
}

int cv_pg_many(struct pg_store *pg, struct pg_many *many, struct pg_query *query,
	       struct convo_err *err)
{
	const struct store_call *call = many_one(many->jobs[0])->call;
	struct many_events events = {0};
	int rc = many_events(&events, many->jobs, many->count);

	if (rc < 0)
		return cv_fail_nomem(err);
	many->where = pg->sql.base.where;
	cv_pg_args_int(&many->args, call->ttl_us);
	cv_pg_args_int(&many->args, call->event_limit);
	args_sessions(&many->args, many->jobs, many->count);
	args_events(&many->args, &events);
	free(events.item);
	*query = (struct pg_query){.statement = &pg->statement[PG_APPEND_MANY],
				   .args = &many->args,
				   .begin = many_begin,
				   .row = many_row,
				   .ctx = many};
	return cv_pg_args_finish(&many->args, err);
}
