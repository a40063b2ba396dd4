/*
 * State of several scopes as one: locked together, in one order, so that what was set in one step is
 * seen in one (T1, A6).
 */
#ifndef STORE_MEMORY_STEP_H
#define STORE_MEMORY_STEP_H

#include <store/memory/dir.h>

/** A scope that a call reads or writes. */
struct memory_part {
	enum convo_scope scope;
	struct memory_lock *lock; /* NULL: the caller has it already */
	struct state_table *table;
};

struct memory_parts {
	struct memory_part part[3];
	size_t count;
};

/**
 * Lock those of the or-ed scopes that are there. A session is locked by the caller; owners may be
 * NULL. @return 0, CONVO_E_TIMEOUT, CONVO_E_CANCELED
 */
int cv_mem_parts_lock(struct memory_parts *parts, unsigned scopes, struct memory_session *session,
		      struct memory_owner *user, struct memory_owner *app, bool writes,
		      const struct store_call *call, struct convo_err *err);

void cv_mem_parts_unlock(struct memory_parts *parts);

/** Hand every name, or only `name`, to `add`. */
int cv_mem_parts_each(const struct memory_parts *parts, const struct cv_text *name,
		      state_add_fn add, void *into, struct convo_err *err);

/** What one atomic step writes. Owners and session may be NULL where the plan does not touch them. */
struct memory_step {
	const struct store_call *call;
	struct memory_owner *user, *app;
	struct memory_session *session; /* locked for writing, or seen by nobody yet */
	struct state_plan plan;
	struct store_event *events;
	size_t count;
};

/** Events and state, all of it or nothing. */
int cv_mem_step_take(struct memory_step *step, struct convo_err *err);

#endif
