/*
 * What is asked of many sessions at once: their marks (W1), their weights (E2).
 */
#include <store/postgres/store.h>

struct pg_marking {
	const char *where;
	uint64_t *marks;
	size_t count;
};

static void marks_begin(void *ctx)
{
	struct pg_marking *marking = ctx;

	memset(marking->marks, 0, marking->count * sizeof(*marking->marks));
}

static int marks_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_marking *marking = ctx;
	int64_t place = column[0].number;

	if (place < 1 || (uint64_t)place > marking->count)
		return cv_sql_damaged(err, marking->where);
	marking->marks[place - 1] = column[1].number ? (uint64_t)column[1].number : 1;
	return 0;
}

int cv_pg_marks(struct convo_store *store, const struct store_call *call,
		const struct convo_key *const *keys, size_t count, uint64_t *marks,
		struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_marking marking = {store->where, marks, count};
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[PG_MARKS],
				 .begin = marks_begin,
				 .row = marks_row,
				 .ctx = &marking};

	cv_pg_args_int(&args, call->now_us);
	cv_pg_args_keys(&args, keys, count);
	return cv_pg_one(pg, call, &query, &args, err);
}

static int weigh_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	(void)err;
	*(int64_t *)ctx = column[0].number;
	return 0;
}

/* A session's number and generation tell it from all others, whosever it is. */
int cv_pg_weigh(struct convo_store *store, const struct store_call *call, const char *app,
		const char *user, const struct store_weighed *sessions, size_t count,
		int64_t *bytes, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_args args = {0};
	int64_t weight = -1;
	struct pg_query query = {
		.statement = &pg->statement[PG_WEIGH], .row = weigh_row, .ctx = &weight};
	size_t i;
	int rc;

	(void)app;
	(void)user;
	cv_pg_args_array(&args, PG_INT8, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(&args, PG_INT8, sessions[i].number);
	cv_pg_args_array(&args, PG_UUID, count);
	for (i = 0; i < count; i++)
		cv_pg_item_bytes(&args, PG_UUID,
				 (struct cv_text){(const char *)sessions[i].generation,
						  UUID_BYTES});
	cv_pg_args_array(&args, PG_INT8, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(&args, PG_INT8, sessions[i].first_seq);
	cv_pg_args_array(&args, PG_INT8, count);
	for (i = 0; i < count; i++)
		cv_pg_item_int(&args, PG_INT8, sessions[i].last_seq);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0)
		return rc;
	if (weight < 0)
		return cv_sql_damaged(err, store->where);
	*bytes += weight;
	return 0;
}
