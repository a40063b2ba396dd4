/*
 * Saving the drafts of many turns: in one call, and by themselves those that the call has not saved.
 */
#ifndef STORE_SHARED_SQL_DRAFTS_H
#define STORE_SHARED_SQL_DRAFTS_H

#include <store/backend.h>

/** Those of one call. */
struct sql_drafts {
	const char *where; /* for messages */
	struct store_draft **draft;
	size_t count;
};

/** How an engine saves them; each function returns 0 or a negative code, with the cause in `err`. */
struct sql_drafts_ways {
	/* Several; sets the rc of those that were saved to 0. What it leaves goes alone. */
	int (*together)(struct convo_store *store, const struct store_call *call,
			struct sql_drafts *drafts, struct convo_err *err);
	int (*alone)(struct convo_store *store, const struct store_call *call,
		     const struct store_draft *draft, struct convo_err *err);
	/* Prolongs a lease that has no draft. */
	int (*append)(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *key, struct store_append *append,
		      struct convo_err *err);
};

/** Before each try of a call for several: none of them is saved yet. `drafts` is a struct sql_drafts. */
void cv_sql_drafts_begin(void *drafts);

/** Save them, and set the rc and err of each. */
void cv_sql_drafts(struct convo_store *store, const struct store_call *call,
		   const struct sql_drafts_ways *ways, struct store_draft **draft, size_t count);

#endif
