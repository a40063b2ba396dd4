/*
 * Forks in memory (S6): the events are those of the source, whose chunks both hold. What is taken
 * over is taken under the lock of the source, and then the new session begins as any other does.
 */
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <store/memory/life.h>
#include <store/memory/step.h>

/* Changes that set what a table holds. */
struct copied {
	struct store_change *change;
	size_t count, cap;
};

static int copy_value(void *ctx, struct state_value *value, struct convo_err *err)
{
	struct copied *to = ctx;

	if (!cv_grow((void **)&to->change, &to->cap, to->count + 1, sizeof(*to->change)))
		return cv_fail_nomem(err);
	to->change[to->count++] = (struct store_change){
		.scope = value->scope,
		.name = value->name,
		.value = {value->item.json, value->item.json_len},
	};
	return 0;
}

static struct memory_fork *fork_origin(const struct memory_session *source, int64_t seq)
{
	struct memory_fork *origin = cv_alloc(1, sizeof(*origin) + source->id_len + 1);

	if (!origin)
		return NULL;
	memcpy(origin->generation, source->generation, UUID_BYTES);
	origin->seq = seq;
	origin->session_len = source->id_len;
	memcpy(origin->session, source->id, source->id_len);
	return origin;
}

/* With the source locked: what the new session, which nobody sees yet, has of it. */
static int fork_take(struct memory_session *session, const struct memory_session *source,
		     const struct store_call *call, const struct store_fork *fork,
		     struct state_plan *plan, struct convo_err *err)
{
	const struct memory_log *log = &source->log;
	int64_t to = fork->upto_seq < log->last_seq ? fork->upto_seq : log->last_seq;
	struct copied state = {0};
	char *title = cv_memdup(source->title, strlen(source->title));
	int rc;

	session->fork = fork_origin(source, to);
	if (!title || !session->fork) {
		free(title);
		return cv_fail_nomem(err);
	}
	free(session->title);
	session->title = title;
	if (cv_log_fork(&session->log, log, store_first_shown(call, log->first_seq, log->last_seq),
			to) < 0)
		return cv_fail_nomem(err);
	rc = cv_table_each(&source->state, NULL, copy_value, &state, err);
	if (rc == 0)
		rc = cv_plan_make(plan, state.change, state.count, NULL, err);
	if (rc == 0)
		rc = cv_plan_check(plan, CONVO_SCOPE_SESSION, &session->state, err);
	if (rc == 0)
		cv_plan_apply(plan, CONVO_SCOPE_SESSION, &session->state);
	free(state.change);
	return rc;
}

int cv_mem_fork(struct convo_store *store, const struct store_call *call,
		const struct convo_key *key, const struct store_fork *fork, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	const struct convo_key to = {key->app, key->user, fork->session};
	struct store_create create = {.title = {"", 0}};
	struct memory_session *source, *session;
	struct state_plan plan = {0};
	int rc;

	memcpy(create.generation, fork->generation, UUID_BYTES);
	session = cv_mem_new(mem, &to, cv_mem_hash(mem, to.app, to.user, to.session), &create);
	if (!session)
		return cv_fail_nomem(err);
	rc = cv_mem_enter(mem, call, key, false, &source, err);
	if (rc < 0)
		goto out;
	rc = fork_take(session, source, call, fork, &plan, err);
	cv_mem_leave(mem, source);
	if (rc == 0)
		rc = cv_mem_begin(mem, call, &to, session, err);
out:
	cv_plan_clear(&plan);
	if (rc < 0)
		cv_mem_put(mem, session);
	return rc;
}
