/*
 * Saving drafts: {p}drafts() takes what is new in many; what that does not save, and a lone one,
 * {p}draft(), which tells what became of it.
 */
#include <store/mysql/store.h>

#include <stdlib.h>

#include <base/fail.h>
#include <store/mysql/pack.h>
#include <store/shared/sql/drafts.h>

struct draft_answer {
	bool answered;
	int64_t code, last_seq;
};

static void draft_begin(void *ctx)
{
	((struct draft_answer *)ctx)->answered = false;
}

static int draft_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct draft_answer *answer = ctx;

	(void)err;
	*answer = (struct draft_answer){true, column[0].number, column[1].number};
	return 0;
}

/* What stands beside the message, if all of it is to be written. */
static void draft_fields(struct my_args *args, const struct store_draft *draft)
{
	static const enum event_field fields[] = {FIELD_ROLE, FIELD_AUTHOR, FIELD_TURN, FIELD_MODEL,
						  FIELD_EXTRA};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct cv_text *text = &draft->event.field[fields[i]];

		cv_my_bytes(args, draft->pos ? NULL : text->data, text->len);
	}
}

static int draft_alone(struct convo_store *store, const struct store_call *call,
		       const struct store_draft *draft, struct convo_err *err)
{
	const struct convo_key *key = draft->key;
	const struct cv_text piece = store_draft_piece(draft);
	struct draft_answer answer = {0};
	struct my_query query = {.text = MY_DRAFT,
				 .begin = draft_begin,
				 .take[0] = {"iI", draft_row},
				 .ctx = &answer};
	struct my_args args = {0};
	int rc;

	cv_my_key(&args, key);
	cv_my_int(&args, call->now_us);
	cv_my_bytes(&args, draft->lease, UUID_BYTES);
	cv_my_int(&args, draft->us);
	cv_my_bytes(&args, draft->event.id, UUID_BYTES);
	cv_my_int(&args, (int64_t)draft->pos);
	draft_fields(&args, draft);
	cv_my_bytes(&args, piece.data, piece.len);
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
	if (rc < 0)
		return rc;
	if (answer.answered && answer.code == 0)
		return 0;
	if (answer.code == CONVO_E_NOTFOUND)
		return cv_refuse_notfound(err, key);
	if (answer.code == MY_LEASE_LOST)
		return cv_refuse_lease(err, key, answer.last_seq);
	if (answer.code == MY_DRAFT_THERE && draft->pos)
		return STORE_IN_THE_WAY;
	return cv_my_damaged(store->where, err);
}

/* ---- many ------------------------------------------------------------------------------ */

static int drafts_row(void *ctx, const struct sql_value *column, struct convo_err *err)
{
	struct sql_drafts *answer = ctx;
	size_t i;

	if (column[0].text.len != answer->count)
		return cv_my_damaged(answer->where, err);
	for (i = 0; i < answer->count; i++) {
		if (column[0].text.data[i] == '0')
			answer->draft[i]->rc = 0;
	}
	return 0;
}

static int drafts_together(struct convo_store *store, const struct store_call *call,
			   struct sql_drafts *answer, struct convo_err *err)
{
	struct my_query query = {.text = MY_DRAFTS,
				 .begin = cv_sql_drafts_begin,
				 .take[0] = {"t", drafts_row},
				 .ctx = answer};
	struct my_pack pack = {.data.max = MY_PACK_MAX};
	struct my_args args = {0};
	int rc;

	cv_my_pack_drafts(&pack, answer->draft, answer->count);
	if (pack.rc < 0) {
		rc = cv_buf_fail(err, pack.rc);
		goto out;
	}
	cv_my_int(&args, call->now_us);
	cv_my_buf(&args, &pack.events);
	cv_my_buf(&args, &pack.data);
	rc = cv_my_call(cv_my_of(store), call, true, &query, &args, err);
out:
	cv_my_pack_clear(&pack);
	return rc;
}

/* Whoever locks many rows locks them in one order. */
static int draft_order(const void *a, const void *b)
{
	return cv_sql_key_order((*(struct store_draft *const *)a)->key,
				(*(struct store_draft *const *)b)->key);
}

void cv_my_drafts(struct convo_store *store, const struct store_call *call,
		  struct store_draft **drafts, size_t count)
{
	static const struct sql_drafts_ways ways = {drafts_together, draft_alone, cv_my_append};

	qsort(drafts, count, sizeof(struct store_draft *), draft_order);
	cv_sql_drafts(store, call, &ways, drafts, count);
}
