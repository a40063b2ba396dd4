/*
 * Steps over several scopes; see step.h.
 */
#include <store/memory/step.h>

#include <base/fail.h>

int cv_mem_parts_lock(struct memory_parts *parts, unsigned scopes, struct memory_session *session,
		      struct memory_owner *user, struct memory_owner *app, bool writes,
		      const struct store_call *call, struct convo_err *err)
{
	struct memory_part *part = parts->part;
	size_t i, n = 0;
	int rc = 0;

	if (scopes & CONVO_SCOPE_SESSION && session)
		part[n++] = (struct memory_part){CONVO_SCOPE_SESSION, NULL, &session->state};
	if (scopes & CONVO_SCOPE_USER && user)
		part[n++] = (struct memory_part){CONVO_SCOPE_USER, &user->state_lock, &user->state};
	if (scopes & CONVO_SCOPE_APP && app)
		part[n++] = (struct memory_part){CONVO_SCOPE_APP, &app->state_lock, &app->state};
	for (i = 0; i < n; i++) {
		if (part[i].lock)
			rc = writes ? cv_mem_lock_write(part[i].lock, call, err)
				    : cv_mem_lock_read(part[i].lock, call, err);
		if (rc < 0)
			break;
	}
	parts->count = i;
	if (rc < 0)
		cv_mem_parts_unlock(parts);
	return rc;
}

void cv_mem_parts_unlock(struct memory_parts *parts)
{
	while (parts->count) {
		struct memory_part *part = &parts->part[--parts->count];

		if (part->lock)
			cv_mem_unlock(part->lock);
	}
}

int cv_mem_parts_each(const struct memory_parts *parts, const struct cv_text *name,
		      state_add_fn add, void *into, struct convo_err *err)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc >= 0 && i < parts->count; i++)
		rc = cv_table_each(parts->part[i].table, name, add, into, err);
	return rc;
}

int cv_mem_step_take(struct memory_step *step, struct convo_err *err)
{
	struct memory_parts parts;
	size_t i;
	int rc = cv_mem_parts_lock(&parts, step->plan.scopes, step->session, step->user, step->app,
				   true, step->call, err);

	if (rc < 0)
		return rc;
	for (i = 0; i < parts.count; i++) {
		rc = cv_plan_check(&step->plan, parts.part[i].scope, parts.part[i].table, err);
		if (rc < 0)
			goto out;
	}
	if (step->count &&
	    cv_log_append(&step->session->log, step->events, step->count, step->call->now_ms) < 0) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	for (i = 0; i < parts.count; i++)
		cv_plan_apply(&step->plan, parts.part[i].scope, parts.part[i].table);
out:
	cv_mem_parts_unlock(&parts);
	return rc;
}
