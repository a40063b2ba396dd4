/*
 * The state of one scope in memory: a table from name to value, and plans that change several
 * tables all at once or not at all. Knows no locks.
 */
#ifndef STORE_MEMORY_STATE_H
#define STORE_MEMORY_STATE_H

#include <store/backend.h>

#include <base/chain.h>

/** All-zero is a valid empty table. */
struct state_table {
	struct cv_chain names;
	size_t bytes; /* of names and values; what CONVO_MAX_STATE bounds */
};

/** A name and its value. Their bytes never change: a new value is another one of these. */
struct state_value {
	struct cv_share share;  /* first; one use is the table's */
	struct convo_item item; /* as it is handed out, its name with the scope's prefix */
	enum convo_scope scope;
	struct cv_text name; /* without the prefix */
};

/** Hand the names of a table to `add`, or only `name`. */
typedef int (*state_add_fn)(void *into, struct state_value *value, struct convo_err *err);
int cv_table_each(const struct state_table *table, const struct cv_text *name, state_add_fn add,
		  void *into, struct convo_err *err);

void cv_table_clear(struct state_table *table);

/** Changes that have everything they need to be applied. All-zero is an empty one. */
struct state_plan {
	struct state_step *step;
	size_t count;
	unsigned scopes; /* or-ed */
};

/**
 * Make a plan of changes: the last one wins of those with the same name. Those that came with an
 * event that has a seq already are left out; `events` may be NULL. Clear it in any case.
 *
 * @return 0, CONVO_E_NOMEM
 */
int cv_plan_make(struct state_plan *plan, const struct store_change *changes, size_t count,
		 const struct store_event *events, struct convo_err *err);

/** Make a table ready for the plan's changes of a scope: 0, CONVO_E_TOOBIG, CONVO_E_NOMEM. */
int cv_plan_check(const struct state_plan *plan, enum convo_scope scope, struct state_table *table,
		  struct convo_err *err);

/** Apply the plan's changes of a scope, which was checked; cannot fail. */
void cv_plan_apply(struct state_plan *plan, enum convo_scope scope, struct state_table *table);

void cv_plan_clear(struct state_plan *plan);

#endif
