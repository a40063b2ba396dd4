/*
 * Saving drafts (R2): one call of {p}draft(), which waits for no disk. The message grows by pieces.
 */
#include <store/postgres/store.h>

#include <base/fail.h>

struct pg_drafting {
	bool answered;
	int64_t code, last_seq;
};

static void draft_begin(void *ctx)
{
	((struct pg_drafting *)ctx)->answered = false;
}

static int draft_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct pg_drafting *drafting = ctx;

	(void)err;
	drafting->answered = true;
	drafting->code = column[0].number;
	drafting->last_seq = column[1].number;
	return 0;
}

/* What stands beside the message goes with its first piece alone. */
static void draft_args(struct pg_args *args, const struct store_call *call,
		       const struct convo_key *key, const struct store_draft *draft)
{
	static const struct cv_text none[FIELD_COUNT];
	const struct cv_text *message = &draft->event.field[FIELD_MESSAGE];
	const struct cv_text *field = draft->pos ? none : draft->event.field;

	cv_pg_args_key(args, key);
	cv_pg_args_int(args, call->now_us);
	cv_pg_args_uuid(args, draft->lease);
	cv_pg_args_int(args, draft->us);
	cv_pg_args_uuid(args, draft->event.id);
	cv_pg_args_int(args, (int64_t)draft->pos);
	cv_pg_args_bytes(args,
			 (struct cv_text){message->data + draft->pos, message->len - draft->pos});
	cv_pg_args_text(args, field[FIELD_ROLE]);
	cv_pg_args_text(args, field[FIELD_AUTHOR]);
	cv_pg_args_text(args, field[FIELD_TURN]);
	cv_pg_args_text(args, field[FIELD_MODEL]);
	cv_pg_args_json(args, field[FIELD_EXTRA]);
}

int cv_pg_draft(struct convo_store *store, const struct store_call *call,
		const struct convo_key *key, const struct store_draft *draft, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_drafting drafting = {false, 0, 0};
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[PG_DRAFT],
				 .begin = draft_begin,
				 .row = draft_row,
				 .ctx = &drafting};
	int rc;

	draft_args(&args, call, key, draft);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0)
		return rc;
	if (!drafting.answered)
		return cv_sql_damaged(err, store->where);
	switch (drafting.code) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, key);
	case PG_CODE_LEASE:
		return cv_refuse_lease(err, key, drafting.last_seq);
	case PG_CODE_IN_THE_WAY:
		return STORE_IN_THE_WAY;
	default:
		return cv_sql_damaged(err, store->where);
	}
}
