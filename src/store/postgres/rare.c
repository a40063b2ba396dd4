/*
 * The operations that all SQL stores share (sql/rare.h), over a PostgreSQL connection. The steps of
 * a run travel as one pipeline; where more runs follow, BEGIN goes before the first and COMMIT
 * behind the last, in the same round trips.
 */
#include <store/postgres/store.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define TALK_STEPS (64 + 3)
#define TALK_MOST ((size_t)64 << 20) /* of state, or of a page of a list */

struct pg_talk {
	struct sql_conversation base;
	struct pg_store *pg;
	struct pg_db *db;
	struct pg_until until;
	enum pool_fate *fate;
	bool open; /* a transaction is */
};

/* The statements of one run. */
struct talk_run {
	size_t count;
	struct pg_query query[TALK_STEPS];
	struct pg_args args[TALK_STEPS];
};

static struct pg_query *talk_add(struct talk_run *run, const struct pg_store *pg, unsigned number)
{
	struct pg_query *query = &run->query[run->count];

	assert(run->count < TALK_STEPS);
	*query = (struct pg_query){.statement = &pg->statement[number],
				   .args = &run->args[run->count],
				   .most = TALK_MOST};
	run->count++;
	return query;
}

static void talk_bind(struct pg_args *args, const struct sql_value *value)
{
	switch (value->kind) {
	case SQL_INT:
		cv_pg_args_int(args, value->number);
		break;
	case SQL_UUID:
		cv_pg_args_uuid(args, (const unsigned char *)value->text.data);
		break;
	case SQL_JSON:
		cv_pg_args_json(args, value->text);
		break;
	default:
		cv_pg_args_text(args, value->text);
		break;
	}
}

/* Begin a transaction, which the server ends by itself when we are gone without a word: others wait
 * for the rows that it has locked. */
static void talk_begin(struct pg_talk *talk, struct talk_run *run)
{
	struct pg_query *haste;
	char text[24];

	talk_add(run, talk->pg, PG_BEGIN);
	haste = talk_add(run, talk->pg, PG_HASTE);
	snprintf(text, sizeof(text), "%lld", (long long)cv_pg_haste_ms(&talk->until));
	cv_pg_args_text((struct pg_args *)haste->args, cv_text_of(text));
}

static int talk_run(void *ctx, struct sql_step *steps, size_t count, bool more,
		    struct convo_err *err)
{
	struct pg_talk *talk = ctx;
	struct talk_run *run = cv_alloc(1, sizeof(*run));
	size_t first, i, j;
	int rc = 0;

	if (!run)
		return cv_fail_nomem(err);
	if (more && !talk->open)
		talk_begin(talk, run);
	first = run->count;
	for (i = 0; i < count; i++) {
		struct pg_query *query = talk_add(run, talk->pg, PG_RARE + steps[i].text);

		query->row = steps[i].row;
		query->ctx = steps[i].ctx;
		for (j = 0; j < steps[i].count; j++)
			talk_bind(&run->args[first + i], &steps[i].value[j]);
	}
	if (!more && talk->open)
		talk_add(run, talk->pg, PG_COMMIT);
	for (i = 0; i < run->count && rc == 0; i++)
		rc = cv_pg_args_finish(&run->args[i], err);
	if (rc < 0)
		goto out;
	talk->open = talk->open || more;
	store_work_trip(talk->base.call);
	rc = cv_pg_run(talk->db, run->query, run->count, &talk->until, talk->fate, err);
	if (rc == 0 && !more)
		talk->open = false;
	for (i = 0; i < count; i++)
		steps[i].changed = run->query[first + i].count;
out:
	for (i = 0; i < run->count; i++)
		cv_pg_args_clear(&run->args[i]);
	free(run);
	return rc;
}

static void talk_undo(void *ctx)
{
	struct pg_talk *talk = ctx;
	struct pg_query rollback = {.statement = &talk->pg->statement[PG_ROLLBACK]};
	enum pool_fate fate = POOL_KEEP;
	struct convo_err ignored;

	if (!talk->open)
		return;
	talk->open = false;
	/* A transaction that cannot be ended ends with its connection, and nothing was done. */
	if (*talk->fate == POOL_KEEP &&
	    cv_pg_run(talk->db, &rollback, 1, &talk->until, &fate, &ignored) != 0)
		*talk->fate = POOL_UNSENT;
}

int cv_pg_rare(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
	       enum pool_fate *fate, struct convo_err *err)
{
	const struct sql_request *request = ctx;
	struct pg_talk talk = {
		.base = {.store = store, .call = call, .run = talk_run, .undo = talk_undo},
		.pg = cv_pg_of(store),
		.db = conn,
		.until = pg_until_of(call),
		.fate = fate};
	int rc;

	talk.base.ctx = &talk;
	do
		rc = request->run(&talk.base, request, err);
	while (rc == PG_AGAIN && *fate == POOL_KEEP && cv_clock_mono_us() < call->deadline_us);
	if (rc == PG_AGAIN && *fate == POOL_UNSENT) /* on another connection, says the pool */
		return cv_fail(err, CONVO_E_GONE, "%s: connection given up", store->where);
	if (rc == PG_AGAIN)
		rc = cv_sql_in_the_way(err, store->where);
	return rc;
}
