/*
 * The memory store: the reference for every other backend, and what programs use that need no
 * conversations tomorrow. Who is there, and under which locks, is dir.c's; events are in
 * log.c and state in state.c. Here are the operations.
 */
#include <store/memory/dir.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define CLEAN_STEP 100

static struct memory_store *memory_of(struct convo_store *store)
{
	return (struct memory_store *)store;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void lock_state(struct memory_owner *user, struct memory_owner *app, unsigned scopes)
{
	if (scopes & CONVO_SCOPE_USER)
		pthread_rwlock_wrlock(&user->state_lock);
	if (scopes & CONVO_SCOPE_APP)
		pthread_rwlock_wrlock(&app->state_lock);
}

static void unlock_state(struct memory_owner *user, struct memory_owner *app, unsigned scopes)
{
	if (scopes & CONVO_SCOPE_APP)
		pthread_rwlock_unlock(&app->state_lock);
	if (scopes & CONVO_SCOPE_USER)
		pthread_rwlock_unlock(&user->state_lock);
}

/* What one atomic step writes. Owners and session may be NULL where the plan does not touch them. */
struct memory_step {
	struct memory_owner *user, *app;
	struct memory_session *session; /* locked for writing, or seen by nobody yet */
	struct state_plan plan;
	struct store_event *events;
	size_t count;
	const struct store_call *call;
};

static int step_check(struct memory_step *step, struct convo_err *err)
{
	int rc = 0;

	if (step->plan.scopes & CONVO_SCOPE_SESSION)
		rc = cv_plan_check(&step->plan, CONVO_SCOPE_SESSION, &step->session->state, err);
	if (rc >= 0 && step->plan.scopes & CONVO_SCOPE_USER)
		rc = cv_plan_check(&step->plan, CONVO_SCOPE_USER, &step->user->state, err);
	if (rc >= 0 && step->plan.scopes & CONVO_SCOPE_APP)
		rc = cv_plan_check(&step->plan, CONVO_SCOPE_APP, &step->app->state, err);
	if (rc >= 0 && step->count &&
	    cv_log_append(&step->session->log, step->events, step->count,
			  step->call->now_us / 1000) < 0)
		rc = cv_fail_nomem(err);
	return rc;
}

/* Events and state, all of it or nothing. */
static int step_take(struct memory_step *step, struct convo_err *err)
{
	unsigned scopes = step->plan.scopes;
	int rc;

	lock_state(step->user, step->app, scopes);
	rc = step_check(step, err);
	if (rc >= 0 && scopes & CONVO_SCOPE_SESSION)
		cv_plan_apply(&step->plan, CONVO_SCOPE_SESSION, &step->session->state);
	if (rc >= 0 && scopes & CONVO_SCOPE_USER)
		cv_plan_apply(&step->plan, CONVO_SCOPE_USER, &step->user->state);
	if (rc >= 0 && scopes & CONVO_SCOPE_APP)
		cv_plan_apply(&step->plan, CONVO_SCOPE_APP, &step->app->state);
	unlock_state(step->user, step->app, scopes);
	return rc;
}

/* With the session's lock held for writing: note that it was written to. */
static void session_written(struct memory_store *mem, struct memory_session *session,
			    const struct store_call *call)
{
	int64_t now_us = call->now_us;

	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	session->expires_us = store_call_expires(call, session->expires_us);
	cv_mem_touch(mem, session, now_us);
}

/* ---- the functions of the backend ------------------------------------------------------- */

static int memory_open(struct convo_store *store, const struct store_call *call,
		       const struct cv_url *url, struct convo_err *err)
{
	(void)call;
	cv_mem_init(memory_of(store));
	memcpy(store->where, "in-memory", sizeof("in-memory"));
	if (url->host || url->path || url->user || url->password || url->port)
		return cv_fail(err, CONVO_E_INVALID, "memory: has no place; write just memory:");
	return 0;
}

static void memory_close(struct convo_store *store)
{
	cv_mem_clear(memory_of(store));
}

/* With the shard's lock held for writing. */
static int create_locked(struct memory_store *mem, struct memory_shard *shard,
			 const struct convo_key *key, struct memory_step *step,
			 struct convo_err *err)
{
	struct memory_session *session = step->session;
	int64_t now_us = step->call->now_us;
	int rc;

	if (cv_mem_is_taken(mem, shard, session->chain.hash, key, now_us))
		return cv_refuse_exists(err, key);
	if (!cv_chain_reserve(&shard->sessions, 1))
		return cv_fail_nomem(err);
	rc = step_take(step, err);
	if (rc < 0)
		return rc;
	session->created_us = session->updated_us = now_us;
	session->expires_us = store_call_expires(step->call, 0);
	atomic_store(&session->position, cv_mem_position(mem, now_us));
	cv_chain_add(&shard->sessions, &session->chain);
	cv_mem_turn(mem, session, LIFE_LIVE, session->position, session->expires_us);
	return 0;
}

static int memory_create(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const struct store_create *create,
			 struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = cv_mem_hash(mem, key->app, key->user, key->session);
	struct memory_shard *shard = cv_mem_shard(mem, hash);
	struct memory_step step = {.call = call};
	int rc;

	step.session = cv_mem_new(mem, key, hash, create);
	if (!step.session)
		return cv_fail_nomem(err);
	step.session->listed_in = LIFE_GONE;
	step.user = step.session->owner;
	step.app = step.user->app;
	rc = cv_plan_make(&step.plan, create->changes, create->change_count, NULL, err);
	if (rc >= 0) {
		pthread_rwlock_wrlock(&shard->lock);
		rc = create_locked(mem, shard, key, &step, err);
		pthread_rwlock_unlock(&shard->lock);
	}
	cv_plan_clear(&step.plan);
	if (rc < 0)
		cv_mem_put(mem, step.session);
	return rc;
}

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
		.position = session->listed.major,
		.number = session->number,
	};
	memcpy(meta->generation, session->generation, UUID_BYTES);
}

static int add_to_session(void *into, enum convo_scope scope, struct cv_text name,
			  struct cv_text value, struct convo_err *err)
{
	return cv_session_add_state(into, scope, name, value, err);
}

static int load_state(const struct memory_session *session, struct convo_session *into,
		      struct convo_err *err)
{
	struct memory_owner *user = session->owner, *app = user->app;
	int rc;

	pthread_rwlock_rdlock(&user->state_lock);
	pthread_rwlock_rdlock(&app->state_lock);
	rc = cv_table_each(&session->state, CONVO_SCOPE_SESSION, NULL, add_to_session, into, err);
	if (rc >= 0)
		rc = cv_table_each(&user->state, CONVO_SCOPE_USER, NULL, add_to_session, into, err);
	if (rc >= 0)
		rc = cv_table_each(&app->state, CONVO_SCOPE_APP, NULL, add_to_session, into, err);
	pthread_rwlock_unlock(&app->state_lock);
	pthread_rwlock_unlock(&user->state_lock);
	return rc;
}

/* With the session's lock held for reading. */
static int load_locked(const struct store_call *call, const struct convo_key *key,
		       const struct memory_session *session, const struct store_window *window,
		       struct convo_session *into, struct convo_err *err)
{
	const struct memory_log *log = &session->log;
	int64_t first = store_first_shown(call, log->first_seq, log->last_seq);
	int64_t around_seq = 0, seq, to;
	struct store_event event;
	struct store_meta meta;
	int rc;

	if (window->kind == CONVO_WINDOW_AROUND) {
		around_seq = cv_log_find(log, window->around);
		if (around_seq < first)
			return cv_refuse_event(err, key);
	}
	session_meta(session, &meta);
	rc = cv_session_set_meta(into, &meta, err);
	if (rc >= 0)
		rc = load_state(session, into, err);
	cv_window_range(window, first, log->last_seq, around_seq, &seq, &to);
	for (; rc >= 0 && seq <= to; seq++) {
		cv_log_get(log, seq, &event);
		rc = cv_session_add_event(into, &event, err);
	}
	return rc;
}

static int memory_load(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const struct store_window *window,
		       struct convo_session *into, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_session *session = cv_mem_get(mem, key);
	int rc;

	cv_session_reset(into);
	if (!session)
		return cv_refuse_notfound(err, key);
	pthread_rwlock_rdlock(&session->lock);
	if (cv_mem_lives(session, call->now_us))
		rc = load_locked(call, key, session, window, into, err);
	else
		rc = cv_refuse_notfound(err, key);
	pthread_rwlock_unlock(&session->lock);
	cv_mem_put(mem, session);
	return rc;
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

/* With the session's lock held for writing. The checks stand in the order of backend.h. */
static int append_locked(struct memory_store *mem, struct memory_step *step,
			 const struct convo_key *key, struct store_append *append,
			 struct convo_err *err)
{
	struct memory_session *session = step->session;
	struct memory_log *log = &session->log;
	int64_t limit = step->call->event_limit, before = log->last_seq;
	int rc;

	if (!cv_mem_lives(session, step->call->now_us))
		return cv_refuse_notfound(err, key);
	if (append->generation && memcmp(append->generation, session->generation, UUID_BYTES) != 0)
		return cv_refuse_generation(err, key, before);
	if (!append_find(log, append))
		return 0;
	if (append->check_seq && append->after_seq != before)
		return cv_refuse_conflict(err, key, before);
	rc = cv_plan_make(&step->plan, append->changes, append->change_count, append->events, err);
	if (rc >= 0)
		rc = step_take(step, err);
	if (rc < 0)
		return rc;
	if (limit)
		cv_log_trim(log, log->last_seq - limit + 1 < before + 1 ? log->last_seq - limit + 1
									: before + 1);
	session_written(mem, session, step->call);
	return 0;
}

static int memory_append(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct store_append *append,
			 struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_session *session = cv_mem_get(mem, key);
	struct memory_step step = {.events = append->events, .count = append->count};
	int rc;

	if (!session)
		return cv_refuse_notfound(err, key);
	step.session = session;
	step.user = session->owner;
	step.app = session->owner->app;
	step.call = call;
	pthread_rwlock_wrlock(&session->lock);
	rc = append_locked(mem, &step, key, append, err);
	pthread_rwlock_unlock(&session->lock);
	cv_plan_clear(&step.plan);
	cv_mem_put(mem, session);
	return rc;
}

static int memory_rename(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct cv_text title, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	char *copy = cv_memdup(title.data, title.len), *old = copy;
	struct memory_session *session;
	int rc = 0;

	if (!copy)
		return cv_fail_nomem(err);
	session = cv_mem_get(mem, key);
	if (!session) {
		free(copy);
		return cv_refuse_notfound(err, key);
	}
	pthread_rwlock_wrlock(&session->lock);
	if (cv_mem_lives(session, call->now_us)) {
		old = session->title;
		session->title = copy;
		session_written(mem, session, call);
	} else {
		rc = cv_refuse_notfound(err, key);
	}
	pthread_rwlock_unlock(&session->lock);
	cv_mem_put(mem, session);
	free(old);
	return rc;
}

/* With the owner's list_lock held. */
static int list_add(struct memory_session *session, bool trash, int64_t now_us,
		    struct store_page *into, size_t *count, struct convo_err *err)
{
	struct store_meta meta;
	int rc = 0;

	pthread_rwlock_rdlock(&session->lock);
	if (trash ? cv_mem_in_trash(session, now_us) : cv_mem_lives(session, now_us)) {
		session_meta(session, &meta);
		rc = cv_page_add(into, &meta, err);
		++*count;
	}
	pthread_rwlock_unlock(&session->lock);
	return rc;
}

static int memory_list(struct convo_store *store, const struct store_call *call, const char *app,
		       const char *user, bool trash, const struct store_place *place, size_t n,
		       struct store_page *into, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_owner *owner = cv_mem_owner_get(mem, app, user, false);
	struct order_node *node;
	size_t count = 0;
	int rc = 0;

	cv_page_reset(into);
	if (!owner)
		return 0;
	pthread_mutex_lock(&owner->list_lock);
	cv_mem_settle(mem, owner);
	node = cv_order_below(trash ? owner->trash : owner->live, place->position, place->number);
	while (node && rc >= 0 && count < n) {
		rc = list_add(CONTAINER(node, struct memory_session, listed), trash, call->now_us,
			      into, &count, err);
		node = cv_order_below(trash ? owner->trash : owner->live, node->major, node->minor);
	}
	pthread_mutex_unlock(&owner->list_lock);
	cv_mem_owner_put(mem, owner);
	return rc;
}

/* With the shard's lock held for writing. */
static void delete_locked(struct memory_store *mem, struct memory_shard *shard,
			  struct memory_session *session, const struct store_call *call)
{
	int64_t now_us = call->now_us, trash_us = call->trash_us;
	bool lives;

	pthread_rwlock_wrlock(&session->lock);
	lives = cv_mem_lives(session, now_us);
	if (lives && trash_us) {
		session->life = LIFE_TRASH;
		session->deleted_us = now_us;
		session->purge_us = now_us + trash_us;
	}
	pthread_rwlock_unlock(&session->lock);
	if (lives && trash_us)
		cv_mem_turn(mem, session, LIFE_TRASH, cv_mem_position(mem, now_us),
			    now_us + trash_us);
	else
		cv_mem_retire(mem, shard, session);
}

static int memory_delete(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = cv_mem_hash(mem, key->app, key->user, key->session);
	struct memory_shard *shard = cv_mem_shard(mem, hash);
	struct memory_session *session;

	(void)err;
	pthread_rwlock_wrlock(&shard->lock);
	session = cv_mem_find_live(shard, hash, key);
	if (session)
		delete_locked(mem, shard, session, call);
	pthread_rwlock_unlock(&shard->lock);
	return 0;
}

/* With the shard's lock held for writing. */
static void restore_locked(struct memory_store *mem, struct memory_session *session,
			   const struct store_call *call)
{
	int64_t now_us = call->now_us, expires_us;

	pthread_rwlock_wrlock(&session->lock);
	if (call->ttl_us)
		session->expires_us = now_us + call->ttl_us;
	else if (session->expires_us)
		session->expires_us += now_us - session->deleted_us;
	expires_us = session->expires_us;
	session->life = LIFE_LIVE;
	session->deleted_us = session->purge_us = 0;
	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	atomic_store(&session->position, cv_mem_position(mem, now_us));
	pthread_rwlock_unlock(&session->lock);
	cv_mem_turn(mem, session, LIFE_LIVE, atomic_load(&session->position), expires_us);
}

static int memory_restore(struct convo_store *store, const struct store_call *call,
			  const struct convo_key *key, const unsigned char *generation,
			  struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = cv_mem_hash(mem, key->app, key->user, key->session);
	struct memory_shard *shard = cv_mem_shard(mem, hash);
	struct memory_session *session;
	int rc = 0;

	pthread_rwlock_wrlock(&shard->lock);
	session = cv_mem_find_trash(shard, hash, key, generation, call->now_us);
	if (cv_mem_is_taken(mem, shard, hash, key, call->now_us))
		rc = cv_refuse_exists(err, key);
	else if (!session)
		rc = cv_refuse_trash(err, key);
	else
		restore_locked(mem, session, call);
	pthread_rwlock_unlock(&shard->lock);
	return rc;
}

static int memory_purge(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const unsigned char *generation,
			struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = cv_mem_hash(mem, key->app, key->user, key->session);
	struct memory_shard *shard = cv_mem_shard(mem, hash);
	struct memory_session *session;

	(void)err;
	pthread_rwlock_wrlock(&shard->lock);
	while ((session = cv_mem_find_trash(shard, hash, key, generation, call->now_us)))
		cv_mem_retire(mem, shard, session);
	pthread_rwlock_unlock(&shard->lock);
	return 0;
}

/* With the session locked for writing, if there is one. */
static int state_set_locked(struct memory_store *mem, struct memory_step *step,
			    const struct convo_key *key, struct convo_err *err)
{
	int rc;

	if (step->session && !cv_mem_lives(step->session, step->call->now_us))
		return cv_refuse_notfound(err, key);
	rc = step_take(step, err);
	if (rc >= 0 && step->session)
		session_written(mem, step->session, step->call);
	return rc;
}

static int state_set_owned(struct memory_store *mem, struct memory_step *step,
			   const struct convo_key *key, struct convo_err *err)
{
	int rc;

	if (step->plan.scopes & CONVO_SCOPE_SESSION) {
		step->session = cv_mem_get(mem, key);
		if (!step->session)
			return cv_refuse_notfound(err, key);
		pthread_rwlock_wrlock(&step->session->lock);
	}
	rc = state_set_locked(mem, step, key, err);
	if (step->session) {
		pthread_rwlock_unlock(&step->session->lock);
		cv_mem_put(mem, step->session);
	}
	return rc;
}

static int memory_state_set(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, const struct store_change *changes,
			    size_t count, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_step step = {.call = call};
	struct memory_owner *owner = NULL;
	int rc = cv_plan_make(&step.plan, changes, count, NULL, err);

	if (rc >= 0 && step.plan.scopes & (CONVO_SCOPE_USER | CONVO_SCOPE_APP)) {
		bool of_user = step.plan.scopes & CONVO_SCOPE_USER;

		owner = cv_mem_owner_get(mem, key->app, of_user ? key->user : NULL, true);
		step.user = of_user ? owner : NULL;
		step.app = of_user && owner ? owner->app : owner;
		if (!owner)
			rc = cv_fail_nomem(err);
	}
	if (rc >= 0)
		rc = state_set_owned(mem, &step, key, err);
	if (owner)
		cv_mem_owner_put(mem, owner);
	cv_plan_clear(&step.plan);
	return rc;
}

static int add_to_list(void *into, enum convo_scope scope, struct cv_text name,
		       struct cv_text value, struct convo_err *err)
{
	return cv_state_add(into, scope, name, value, err);
}

/* What a list of state reads; NULL: not asked for, or never used. */
struct state_view {
	struct memory_session *session;
	struct memory_owner *user, *app;
};

static void view_lock(const struct state_view *view)
{
	if (view->session)
		pthread_rwlock_rdlock(&view->session->lock);
	if (view->user)
		pthread_rwlock_rdlock(&view->user->state_lock);
	if (view->app)
		pthread_rwlock_rdlock(&view->app->state_lock);
}

static void view_unlock(const struct state_view *view)
{
	if (view->app)
		pthread_rwlock_unlock(&view->app->state_lock);
	if (view->user)
		pthread_rwlock_unlock(&view->user->state_lock);
	if (view->session)
		pthread_rwlock_unlock(&view->session->lock);
}

/* With all of the view locked: what was set in one step is seen in one (T1). */
static int view_list(const struct state_view *view, const struct store_call *call,
		     const struct convo_key *key, const struct cv_text *name,
		     struct convo_state *into, struct convo_err *err)
{
	int rc = 0;

	if (view->session) {
		if (!cv_mem_lives(view->session, call->now_us))
			return cv_refuse_notfound(err, key);
		rc = cv_table_each(&view->session->state, CONVO_SCOPE_SESSION, name, add_to_list,
				   into, err);
	}
	if (rc >= 0 && view->user)
		rc = cv_table_each(&view->user->state, CONVO_SCOPE_USER, name, add_to_list, into,
				   err);
	if (rc >= 0 && view->app)
		rc = cv_table_each(&view->app->state, CONVO_SCOPE_APP, name, add_to_list, into,
				   err);
	return rc;
}

static int memory_state_list(struct convo_store *store, const struct store_call *call,
			     const struct convo_key *key, unsigned scopes,
			     const struct cv_text *name, struct convo_state *into,
			     struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct state_view view = {0};
	int rc;

	cv_state_reset(into);
	if (scopes & CONVO_SCOPE_SESSION) {
		view.session = cv_mem_get(mem, key);
		if (!view.session)
			return cv_refuse_notfound(err, key);
	}
	if (scopes & CONVO_SCOPE_USER)
		view.user = cv_mem_owner_get(mem, key->app, key->user, false);
	if (scopes & CONVO_SCOPE_APP)
		view.app = cv_mem_owner_get(mem, key->app, NULL, false);
	view_lock(&view);
	rc = view_list(&view, call, key, name, into, err);
	view_unlock(&view);
	if (view.app)
		cv_mem_owner_put(mem, view.app);
	if (view.user)
		cv_mem_owner_put(mem, view.user);
	if (view.session)
		cv_mem_put(mem, view.session);
	return rc;
}

/* Remove a session if its time is over; otherwise look again when it may be. */
static bool clean_one(struct memory_store *mem, struct memory_session *session, int64_t now_us)
{
	struct memory_shard *shard = cv_mem_shard(mem, session->chain.hash);
	enum memory_life life;
	int64_t ends_us;
	bool over;

	pthread_rwlock_wrlock(&shard->lock);
	pthread_rwlock_rdlock(&session->lock);
	life = session->life;
	ends_us = life == LIFE_TRASH ? session->purge_us : session->expires_us;
	pthread_rwlock_unlock(&session->lock);
	over = life != LIFE_GONE && ends_us && ends_us <= now_us;
	if (over)
		cv_mem_retire(mem, shard, session);
	else if (life != LIFE_GONE)
		cv_mem_watch(mem, session, ends_us);
	pthread_rwlock_unlock(&shard->lock);
	return over;
}

static int memory_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
			bool *more, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	int i;

	(void)err;
	*more = true;
	for (i = 0; i < CLEAN_STEP; i++) {
		struct memory_session *session = cv_mem_due(mem, call->now_us);

		if (!session) {
			*more = false;
			break;
		}
		*removed += clean_one(mem, session, call->now_us);
		cv_mem_put(mem, session);
	}
	return 0;
}

const struct cv_backend cv_backend_memory = {
	.scheme = "memory",
	.title = "in-memory",
	.size = sizeof(struct memory_store),
	.default_prefix = "convo",
	.open = memory_open,
	.close = memory_close,
	.create = memory_create,
	.load = memory_load,
	.append = memory_append,
	.rename = memory_rename,
	.list = memory_list,
	.delete = memory_delete,
	.restore = memory_restore,
	.purge = memory_purge,
	.state_set = memory_state_set,
	.state_list = memory_state_list,
	.clean = memory_clean,
};
