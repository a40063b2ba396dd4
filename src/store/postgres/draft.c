/*
 * Saving drafts (R2), which waits for no disk: many by one call of {p}drafts(); what that does not save,
 * and a lone one, by {p}draft(). The message grows by pieces.
 */
#include <store/postgres/store.h>

#include <store/postgres/append.h>
#include <store/shared/sql/drafts.h>

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

/* ---- one ------------------------------------------------------------------------------- */

/* A field that stands beside the message goes with its first piece alone. */
static struct cv_text draft_field(const struct store_draft *draft, enum event_field field)
{
	static const struct cv_text none = {0};

	return draft->none || draft->pos ? none : draft->event.field[field];
}

static void draft_args(struct pg_args *args, const struct store_call *call,
		       const struct store_draft *draft)
{
	cv_pg_args_key(args, draft->key);
	cv_pg_args_int(args, call->now_us);
	cv_pg_args_uuid(args, draft->lease);
	cv_pg_args_int(args, draft->us);
	cv_pg_args_uuid(args, draft->event.id);
	cv_pg_args_int(args, (int64_t)draft->pos);
	cv_pg_args_bytes(args, store_draft_piece(draft));
	cv_pg_args_text(args, draft_field(draft, FIELD_ROLE));
	cv_pg_args_text(args, draft_field(draft, FIELD_AUTHOR));
	cv_pg_args_text(args, draft_field(draft, FIELD_TURN));
	cv_pg_args_text(args, draft_field(draft, FIELD_MODEL));
	cv_pg_args_json(args, draft_field(draft, FIELD_EXTRA));
}

static int draft_alone(struct convo_store *store, const struct store_call *call,
		       const struct store_draft *draft, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_drafting drafting = {false, 0, 0};
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[PG_DRAFT],
				 .begin = draft_begin,
				 .row = draft_row,
				 .ctx = &drafting};
	int rc;

	draft_args(&args, call, draft);
	rc = cv_pg_one(pg, call, &query, &args, err);
	if (rc < 0)
		return rc;
	if (!drafting.answered)
		return cv_sql_damaged(err, store->where);
	switch (drafting.code) {
	case 0:
		return 0;
	case CONVO_E_NOTFOUND:
		return cv_refuse_notfound(err, draft->key);
	case PG_CODE_LEASE:
		return cv_refuse_lease(err, draft->key, drafting.last_seq);
	case PG_CODE_IN_THE_WAY:
		return STORE_IN_THE_WAY;
	default:
		return cv_sql_damaged(err, store->where);
	}
}

/* ---- many ------------------------------------------------------------------------------ */

static int drafts_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct sql_drafts *drafts = ctx;
	int64_t place = column[0].number;

	if (place < 1 || (uint64_t)place > drafts->count || !drafts->draft[place - 1]->rc)
		return cv_sql_damaged(err, drafts->where);
	drafts->draft[place - 1]->rc = 0;
	return 0;
}

static void drafts_args_names(struct pg_args *args, const struct sql_drafts *drafts)
{
	size_t i;

	cv_pg_args_array(args, PG_TEXT, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(drafts->draft[i]->key->app));
	cv_pg_args_array(args, PG_TEXT, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(drafts->draft[i]->key->user));
	cv_pg_args_array(args, PG_TEXT, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_bytes(args, PG_TEXT, cv_text_of(drafts->draft[i]->key->session));
}

static void drafts_args(struct pg_args *args, const struct store_call *call,
			const struct sql_drafts *drafts)
{
	static const enum event_field fields[] = {FIELD_ROLE, FIELD_AUTHOR, FIELD_TURN, FIELD_MODEL,
						  FIELD_EXTRA};
	struct store_draft *const *draft = drafts->draft;
	size_t i, j;

	cv_pg_args_int(args, call->now_us);
	drafts_args_names(args, drafts);
	cv_pg_args_array(args, PG_UUID, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_uuid(args, draft[i]->lease);
	cv_pg_args_array(args, PG_INT8, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_int(args, PG_INT8, draft[i]->us);
	cv_pg_args_array(args, PG_UUID, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_uuid(args, draft[i]->none ? NULL : draft[i]->event.id);
	cv_pg_args_array(args, PG_INT8, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_int(args, PG_INT8, (int64_t)draft[i]->pos);
	cv_pg_args_array(args, PG_BYTES, drafts->count);
	for (i = 0; i < drafts->count; i++)
		cv_pg_item_bytes(args, PG_BYTES, store_draft_piece(draft[i]));
	for (j = 0; j < sizeof(fields) / sizeof(fields[0]); j++) {
		enum pg_type type = cv_pg_field_type(fields[j]);

		cv_pg_args_array(args, type, drafts->count);
		for (i = 0; i < drafts->count; i++)
			cv_pg_item_bytes(args, type, draft_field(draft[i], fields[j]));
	}
}

static int drafts_together(struct convo_store *store, const struct store_call *call,
			   struct sql_drafts *drafts, struct convo_err *err)
{
	struct pg_store *pg = cv_pg_of(store);
	struct pg_args args = {0};
	struct pg_query query = {.statement = &pg->statement[PG_DRAFTS],
				 .begin = cv_sql_drafts_begin,
				 .row = drafts_row,
				 .ctx = drafts};

	drafts_args(&args, call, drafts);
	return cv_pg_one(pg, call, &query, &args, err);
}

void cv_pg_drafts(struct convo_store *store, const struct store_call *call,
		  struct store_draft **drafts, size_t count)
{
	static const struct sql_drafts_ways ways = {drafts_together, draft_alone, cv_pg_append};

	cv_sql_drafts(store, call, &ways, drafts, count);
}
