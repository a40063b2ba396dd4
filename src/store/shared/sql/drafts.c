/*
 * Saving the drafts of many turns; see drafts.h.
 */
#include <store/shared/sql/drafts.h>

void cv_sql_drafts_begin(void *drafts)
{
	const struct sql_drafts *many = drafts;
	size_t i;

	for (i = 0; i < many->count; i++)
		many->draft[i]->rc = STORE_IN_THE_WAY;
}

static int draft_save(struct convo_store *store, const struct store_call *call,
		      const struct sql_drafts_ways *ways, struct store_draft *draft)
{
	const struct store_hold hold = store_draft_hold(draft);
	struct store_append append = {.hold = &hold};

	if (draft->none)
		return ways->append(store, call, draft->key, &append, &draft->err);
	return ways->alone(store, call, draft, &draft->err);
}

void cv_sql_drafts(struct convo_store *store, const struct store_call *call,
		   const struct sql_drafts_ways *ways, struct store_draft **draft, size_t count)
{
	struct sql_drafts many = {store->where, draft, count};
	struct convo_err why = {0};
	int rc = 0;
	size_t i;

	cv_sql_drafts_begin(&many);
	if (count > 1)
		rc = ways->together(store, call, &many, &why);
	for (i = 0; i < count; i++) {
		if (rc < 0) {
			draft[i]->rc = rc;
			draft[i]->err = why;
		} else if (draft[i]->rc) {
			draft[i]->rc = draft_save(store, call, ways, draft[i]);
		}
	}
}
