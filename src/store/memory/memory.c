/*
 * The memory store: for programs that need no conversations tomorrow, and for tests.
 *
 * Here is what is done with a session that lives: load, append, rename, list, state. Its beginning
 * and end are life.c's; who is there, and under which locks, is dir.c's; events are in log.c, state
 * in state.c, and step.c joins them.
 */
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <store/memory/life.h>
#include <store/memory/step.h>

#define ALL_SCOPES (CONVO_SCOPE_SESSION | CONVO_SCOPE_USER | CONVO_SCOPE_APP)

static int memory_open(struct convo_store *store, const struct store_call *call,
		       const struct cv_url *url, struct convo_err *err)
{
	(void)call;
	cv_mem_init(cv_mem_of(store));
	memcpy(store->where, "in-memory", sizeof("in-memory"));
	if (url->host || url->path || url->user || url->password || url->port)
		return cv_fail(err, CONVO_E_INVALID, "memory: has no place; write just memory:");
	return 0;
}

static void memory_close(struct convo_store *store)
{
	cv_mem_clear(cv_mem_of(store));
}

/* ---- load ------------------------------------------------------------------------------ */

static void session_meta(const struct memory_session *session, struct store_meta *meta)
{
	*meta = (struct store_meta){
		.session = {session->id, session->id_len},
		.title = cv_text_of(session->title),
		.created_us = session->created_us,
		.updated_us = session->updated_us,
		.expires_us = session->expires_us,
		.deleted_us = session->deleted_us,
		.first_seq = session->log.first_seq,
		.last_seq = session->log.last_seq,
		.position = atomic_load(&session->position),
		.number = session->number,
		.held_us = cv_held_left_us(&session->held),
	};
	memcpy(meta->generation, session->generation, UUID_BYTES);
	if (session->fork) {
		meta->fork_session =
			(struct cv_text){session->fork->session, session->fork->session_len};
		meta->fork_seq = session->fork->seq;
		memcpy(meta->fork_generation, session->fork->generation, UUID_BYTES);
	}
}

static int add_to_session(void *into, struct state_value *value, struct convo_err *err)
{
	return cv_session_share_state(into, &value->item, &value->share, err);
}

static int load_state(struct memory_session *session, const struct store_call *call,
		      struct convo_session *into, struct convo_err *err)
{
	struct memory_owner *user = session->owner;
	struct memory_parts parts;
	int rc = cv_mem_parts_lock(&parts, ALL_SCOPES, session, user, user->app, false, call, err);

	if (rc < 0)
		return rc;
	rc = cv_mem_parts_each(&parts, NULL, add_to_session, into, err);
	cv_mem_parts_unlock(&parts);
	return rc;
}

static int load_entered(const struct store_call *call, const struct convo_key *key,
			struct memory_session *session, const struct store_window *window,
			struct convo_session *into, struct convo_err *err)
{
	const struct memory_log *log = &session->log;
	int64_t first = store_first_shown(call, log->first_seq, log->last_seq);
	int64_t around_seq = 0, seq, to;
	struct store_meta meta;
	int rc;

	if (window->kind == CONVO_WINDOW_AROUND) {
		around_seq = cv_log_find(log, window->around);
		if (around_seq < first)
			return cv_refuse_event(err, key);
	}
	session_meta(session, &meta);
	rc = cv_session_set_meta(into, &meta, err);
	if (rc < 0)
		return rc;
	rc = load_state(session, call, into, err);
	if (rc >= 0 && window->draft)
		rc = cv_held_load(&session->held, into, err);
	if (rc < 0)
		return rc;
	cv_window_range(window, first, log->last_seq, around_seq, &seq, &to);
	for (; rc >= 0 && seq <= to; seq++)
		rc = cv_log_share(log, seq, into, err);
	return rc;
}

static int memory_load(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const struct store_window *window,
		       struct convo_session *into, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_session *session;
	int rc;

	cv_session_reset(into);
	rc = cv_mem_enter(mem, call, key, false, &session, err);
	if (rc < 0)
		return rc;
	rc = load_entered(call, key, session, window, into, err);
	cv_mem_leave(mem, session);
	return rc;
}

/* ---- writes ----------------------------------------------------------------------------- */

/* With the session locked for writing: note that it was written to. */
static void session_written(struct memory_store *mem, struct memory_session *session,
			    const struct store_call *call)
{
	int64_t now_us = call->now_us;

	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	session->expires_us = store_call_expires(call, session->expires_us);
	cv_mem_touch(mem, session, now_us);
}

/* The seqs of what is stored already; how many events are not. */
static size_t append_find(const struct memory_log *log, struct store_append *append)
{
	size_t fresh = 0, i;

	for (i = 0; i < append->count; i++) {
		append->events[i].seq = cv_log_find(log, append->events[i].id);
		fresh += !append->events[i].seq;
	}
	return fresh;
}

/* What the append may do with the lease, if it wants anything. */
static int append_hold(const struct memory_session *session, const struct convo_key *key,
		       const struct store_hold *hold, bool fresh, struct convo_err *err)
{
	int64_t last_seq = session->log.last_seq;
	int rc = hold ? cv_held_check(&session->held, hold, fresh) : 0;

	if (rc == CONVO_E_BUSY)
		return cv_refuse_busy(err, key, last_seq, cv_held_left_us(&session->held));
	return rc == CONVO_E_CONFLICT ? cv_refuse_lease(err, key, last_seq) : rc;
}

static void append_grant(struct memory_session *session, const struct store_hold *hold)
{
	if (hold)
		cv_held_grant(&session->held, hold);
}

/* The checks stand in the order of backend.h. */
static int append_entered(struct memory_store *mem, struct memory_step *step,
			  const struct convo_key *key, struct store_append *append,
			  struct convo_err *err)
{
	struct memory_session *session = step->session;
	struct memory_log *log = &session->log;
	int64_t limit = step->call->event_limit, before = log->last_seq, first;
	bool fresh;
	int rc;

	if (append->generation && memcmp(append->generation, session->generation, UUID_BYTES) != 0)
		return cv_refuse_generation(err, key, before);
	fresh = append_find(log, append) > 0;
	rc = append_hold(session, key, append->hold, fresh, err);
	if (rc)
		return rc;
	if (!fresh) {
		append_grant(session, append->hold);
		return 0;
	}
	if (append->check_seq && append->after_seq != before)
		return cv_refuse_conflict(err, key, before);
	rc = cv_plan_make(&step->plan, append->changes, append->change_count, append->events, err);
	if (rc < 0)
		return rc;
	rc = cv_mem_step_take(step, err);
	if (rc < 0)
		return rc;
	first = log->last_seq - limit + 1;
	if (limit) /* what this batch brought stays (A5) */
		cv_log_trim(log, first < before + 1 ? first : before + 1);
	append_grant(session, append->hold);
	session_written(mem, session, step->call);
	return 0;
}

static int memory_append(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct store_append *append,
			 struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_step step = {.call = call, .events = append->events, .count = append->count};
	int rc = cv_mem_enter(mem, call, key, true, &step.session, err);

	if (rc < 0)
		return rc;
	step.user = step.session->owner;
	step.app = step.user->app;
	rc = append_entered(mem, &step, key, append, err);
	cv_mem_leave(mem, step.session);
	cv_plan_clear(&step.plan);
	return rc;
}

static int memory_draft(struct convo_store *store, const struct store_call *call,
			const struct store_draft *draft, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_session *session;
	int rc = cv_mem_enter(mem, call, draft->key, true, &session, err);

	if (rc < 0)
		return rc;
	rc = cv_held_draft(&session->held, draft);
	if (rc == CONVO_E_CONFLICT)
		cv_refuse_lease(err, draft->key, session->log.last_seq);
	else if (rc < 0)
		cv_fail_nomem(err);
	cv_mem_leave(mem, session);
	return rc;
}

static void memory_drafts(struct convo_store *store, const struct store_call *call,
			  struct store_draft **drafts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		drafts[i]->rc = memory_draft(store, call, drafts[i], &drafts[i]->err);
}

static int memory_rename(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	char *copy = cv_memdup(title.data, title.len);
	struct memory_session *session;
	int rc;

	if (!copy)
		return cv_fail_nomem(err);
	rc = cv_mem_enter(mem, call, key, true, &session, err);
	if (rc < 0)
		goto out;
	free(session->title);
	session->title = copy;
	copy = NULL;
	session_written(mem, session, call);
	cv_mem_leave(mem, session);
out:
	free(copy);
	return rc;
}

/* ---- watching and counting --------------------------------------------------------------- */

static uint64_t session_mark(const struct memory_session *session)
{
	uint64_t mark;

	memcpy(&mark, session->generation, sizeof(mark));
	mark += (uint64_t)session->updated_us * 31 + (uint64_t)session->log.last_seq;
	mark += cv_held_mark(&session->held) * 31;
	return mark ? mark : 1;
}

static int memory_marks(struct convo_store *store, const struct store_call *call,
			const struct convo_key *const *keys, size_t count, uint64_t *marks,
			struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	size_t i;

	for (i = 0; i < count; i++) {
		struct memory_session *session;
		int rc = cv_mem_enter(mem, call, keys[i], false, &session, err);

		if (rc < 0 && rc != CONVO_E_NOTFOUND)
			return rc;
		marks[i] = rc == 0 ? session_mark(session) : 0;
		if (rc == 0)
			cv_mem_leave(mem, session);
	}
	return 0;
}

static int memory_weigh(struct convo_store *store, const struct store_call *call, const char *app,
			const char *user, const struct store_weighed *sessions, size_t count,
			int64_t *bytes, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	size_t i;

	for (i = 0; i < count; i++) {
		const struct convo_key key = {app, user, sessions[i].session};
		struct memory_session *session;
		int rc = cv_mem_enter(mem, call, &key, false, &session, err);

		if (rc < 0 && rc != CONVO_E_NOTFOUND)
			return rc;
		if (rc == CONVO_E_NOTFOUND)
			continue;
		if (memcmp(session->generation, sessions[i].generation, UUID_BYTES) == 0)
			*bytes += cv_log_weigh(&session->log, sessions[i].first_seq,
					       sessions[i].last_seq);
		cv_mem_leave(mem, session);
	}
	return 0;
}

/* ---- list ------------------------------------------------------------------------------- */

/* With the owner's list_lock held. @return 1 when it was added, 0 when it does not show, or failure */
static int list_add(struct memory_session *session, const struct store_call *call, bool trash,
		    struct store_page *into, struct convo_err *err)
{
	struct store_meta meta;
	int rc = cv_mem_lock_read(&session->lock, call, err);

	if (rc < 0)
		return rc;
	if (trash ? cv_mem_in_trash(session, call->now_us) : cv_mem_lives(session, call->now_us)) {
		session_meta(session, &meta);
		meta.position = session->listed.major; /* it may have been touched since */
		rc = cv_page_add(into, &meta, err);
		if (rc == 0)
			rc = 1;
	}
	cv_mem_unlock(&session->lock);
	return rc;
}

static int memory_list(struct convo_store *store, const struct store_call *call, const char *app,
		       const char *user, bool trash, const struct store_place *place, size_t n,
		       struct store_page *into, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_owner *owner = cv_mem_owner_get(mem, app, user, false);
	struct order_node *node, *root;
	size_t count = 0;
	int rc;

	cv_page_reset(into);
	if (!owner)
		return 0;
	rc = cv_mem_lock_write(&owner->list_lock, call, err);
	if (rc < 0)
		goto out;
	cv_mem_settle(mem, owner);
	root = trash ? owner->trash : owner->live;
	node = cv_order_below(root, place->position, place->number);
	for (; node && count < n; node = cv_order_below(root, node->major, node->minor)) {
		rc = list_add(CONTAINER(node, struct memory_session, listed), call, trash, into,
			      err);
		if (rc < 0)
			break;
		count += (size_t)rc;
	}
	cv_mem_unlock(&owner->list_lock);
out:
	cv_mem_owner_put(mem, owner);
	return rc < 0 ? rc : 0;
}

/* All at once: in this table there is no place to go on from. */
static int memory_owners(struct convo_store *store, const struct store_call *call, const char *app,
			 bool trash, size_t n, struct store_owners_place *place,
			 struct store_owners *into, bool *more, struct convo_err *err)
{
	(void)call;
	(void)trash;
	(void)n;
	(void)place;
	*more = false;
	cv_owners_reset(into);
	return cv_mem_owners(cv_mem_of(store), app, into, err);
}

/* ---- state ------------------------------------------------------------------------------ */

/* The owners that changes of these scopes need, made if need be. */
static int step_owners(struct memory_store *mem, struct memory_step *step,
		       const struct convo_key *key, struct convo_err *err)
{
	if (step->plan.scopes & CONVO_SCOPE_USER) {
		step->user = cv_mem_owner_get(mem, key->app, key->user, true);
		if (!step->user)
			return cv_fail_nomem(err);
	}
	if (step->plan.scopes & CONVO_SCOPE_APP) {
		step->app = cv_mem_owner_get(mem, key->app, NULL, true);
		if (!step->app)
			return cv_fail_nomem(err);
	}
	return 0;
}

static int memory_state_set(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, const struct store_change *changes,
			    size_t count, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_step step = {.call = call};
	int rc = cv_plan_make(&step.plan, changes, count, NULL, err);

	if (rc < 0)
		goto out;
	rc = step_owners(mem, &step, key, err);
	if (rc < 0)
		goto out;
	if (step.plan.scopes & CONVO_SCOPE_SESSION) {
		rc = cv_mem_enter(mem, call, key, true, &step.session, err);
		if (rc < 0)
			goto out;
	}
	rc = cv_mem_step_take(&step, err);
	if (rc >= 0 && step.session)
		session_written(mem, step.session, call);
out:
	if (step.session)
		cv_mem_leave(mem, step.session);
	cv_mem_owner_put(mem, step.app);
	cv_mem_owner_put(mem, step.user);
	cv_plan_clear(&step.plan);
	return rc;
}

static int add_to_list(void *into, struct state_value *value, struct convo_err *err)
{
	struct cv_text json = {value->item.json, value->item.json_len};

	return cv_state_add(into, value->scope, value->name, json, err);
}

static int memory_state_list(struct convo_store *store, const struct store_call *call,
			     const struct convo_key *key, unsigned scopes,
			     const struct cv_text *name, struct convo_state *into,
			     struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct memory_session *session = NULL;
	struct memory_owner *user = NULL, *app = NULL;
	struct memory_parts parts;
	int rc;

	cv_state_reset(into);
	if (scopes & CONVO_SCOPE_SESSION) {
		rc = cv_mem_enter(mem, call, key, false, &session, err);
		if (rc < 0)
			return rc;
	}
	if (scopes & CONVO_SCOPE_USER)
		user = cv_mem_owner_get(mem, key->app, key->user, false);
	if (scopes & CONVO_SCOPE_APP)
		app = cv_mem_owner_get(mem, key->app, NULL, false);
	rc = cv_mem_parts_lock(&parts, scopes, session, user, app, false, call, err);
	if (rc < 0)
		goto out;
	rc = cv_mem_parts_each(&parts, name, add_to_list, into, err);
	cv_mem_parts_unlock(&parts);
out:
	cv_mem_owner_put(mem, app);
	cv_mem_owner_put(mem, user);
	if (session)
		cv_mem_leave(mem, session);
	return rc;
}

const struct cv_backend cv_backend_memory = {
	.scheme = "memory",
	.title = "in-memory",
	.size = sizeof(struct memory_store),
	.default_prefix = "convo",
	.open = memory_open,
	.close = memory_close,
	.create = cv_mem_create,
	.load = memory_load,
	.append = memory_append,
	.drafts = memory_drafts,
	.fork = cv_mem_fork,
	.marks = memory_marks,
	.marks_us = 1000000, /* for what expires: all else is told as it happens */
	.weigh = memory_weigh,
	.rename = memory_rename,
	.list = memory_list,
	.owners = memory_owners,
	.delete = cv_mem_delete,
	.restore = cv_mem_restore,
	.purge = cv_mem_purge,
	.state_set = memory_state_set,
	.state_list = memory_state_list,
	.clean = cv_mem_clean,
};
