/*
 * The memory store: the reference for every other backend, and what programs use that need no
 * conversations tomorrow. Events are in memory_log.c, state in memory_state.c; here is who may
 * touch what when.
 *
 *     names      sessions by name, in shards: live ones and those in the trash
 *     owner      a user, or an app: its state, and for a user the lists of its sessions
 *     timer      sessions that expire, or whose trash time ends, by when that may first be
 *
 * Locks are taken in this order: a shard, a session, an owner's state (the user's, then the app's);
 * or an owner's lists, then a session. Readers share all of them. An append takes its session's
 * lock alone, unless it changes a user's or an app's state.
 *
 * Lists are in the order of activity, but an append does not touch them: it notes its session on
 * the owner's heap of moved ones, once, and the next reader of the list puts those in place.
 */
#include <store/backend.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/order.h>
#include <store/memory_log.h>
#include <store/memory_state.h>

#define SHARDS 64
#define FIRST_BUCKETS 16u
#define CLEAN_STEP 100

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum memory_life { LIFE_LIVE, LIFE_TRASH, LIFE_GONE };

struct memory_owner {
	struct memory_owner *next;
	uint64_t hash;
	size_t refs;              /* guarded by the store's owners_lock */
	struct memory_owner *app; /* NULL for an app */

	pthread_rwlock_t state_lock; /* guards state */
	struct state_table state;

	pthread_mutex_t list_lock; /* guards live, trash */
	struct order_node *live, *trash;
	_Atomic(struct memory_session *) moved; /* live ones that stand too far back */

	size_t app_len;
	char name[]; /* app NUL user NUL; without the second for an app */
};

struct memory_session {
	struct memory_session *next; /* in its shard; guarded by its lock */
	uint64_t hash;
	struct memory_owner *owner;
	_Atomic size_t refs;
	int64_t number;

	pthread_rwlock_t lock; /* guards the following */
	enum memory_life life;
	unsigned char generation[UUID_BYTES];
	char *title;
	int64_t created_us, updated_us, expires_us, deleted_us, purge_us;
	struct memory_log log;
	struct state_table state;

	_Atomic int64_t position;
	atomic_bool is_moved;              /* on the owner's heap of moved ones */
	struct memory_session *moved_next; /* whoever takes the heap owns it */
	struct order_node listed;          /* guarded by the owner's list_lock, like the next */
	enum memory_life listed_in;        /* LIFE_GONE: in neither list */
	struct order_node timed;           /* in the timer; its timer_lock */
	bool is_timed;

	size_t id_len;
	char id[];
};

struct memory_shard {
	pthread_rwlock_t lock; /* guards bucket and what hangs on it */
	struct memory_session **bucket;
	size_t buckets, count;
};

struct memory_store {
	struct convo_store base;
	uint64_t seed;
	struct memory_shard shard[SHARDS];
	_Atomic int64_t last_position, last_number;

	pthread_mutex_t owners_lock; /* guards owner and the refs of all owners */
	struct memory_owner **owner;
	size_t owner_buckets, owner_count;

	pthread_mutex_t timer_lock; /* guards timer */
	struct order_node *timer;
};

static struct memory_store *memory_of(struct convo_store *store)
{
	return (struct memory_store *)store;
}

/* ---- hashing ---------------------------------------------------------------------------- */

static uint64_t hash_add(uint64_t hash, const char *data, size_t len)
{
	uint64_t word;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	word = len;
	memcpy((char *)&word + 1, data, len);
	hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
	return hash ^ (hash >> 32);
}

static uint64_t hash_names(const struct memory_store *mem, const char *app, const char *user,
			   const char *session)
{
	uint64_t hash = hash_add(mem->seed, app, strlen(app));

	if (user)
		hash = hash_add(hash, user, strlen(user));
	if (session)
		hash = hash_add(hash, session, strlen(session));
	return hash;
}

/* ---- owners ----------------------------------------------------------------------------- */

static bool owner_is(const struct memory_owner *owner, uint64_t hash, const char *app,
		     const char *user)
{
	return owner->hash == hash && !owner->app == !user && strcmp(owner->name, app) == 0 &&
	       (!user || strcmp(owner->name + owner->app_len + 1, user) == 0);
}

static struct memory_owner *owner_new(uint64_t hash, const char *app, const char *user)
{
	size_t app_len = strlen(app), user_len = user ? strlen(user) : 0;
	struct memory_owner *owner = convo_alloc(1, sizeof(*owner) + app_len + 1 + user_len + 1);

	if (!owner)
		return NULL;
	owner->hash = hash;
	owner->app_len = app_len;
	memcpy(owner->name, app, app_len);
	if (user)
		memcpy(owner->name + app_len + 1, user, user_len);
	pthread_rwlock_init(&owner->state_lock, NULL);
	pthread_mutex_init(&owner->list_lock, NULL);
	return owner;
}

static void owner_free(struct memory_owner *owner)
{
	convo_table_clear(&owner->state);
	pthread_rwlock_destroy(&owner->state_lock);
	pthread_mutex_destroy(&owner->list_lock);
	free(owner);
}

static bool owners_grow(struct memory_store *mem)
{
	size_t buckets = mem->owner_buckets ? mem->owner_buckets * 2 : FIRST_BUCKETS, i;
	struct memory_owner **bucket;

	if (mem->owner_count < mem->owner_buckets)
		return true;
	bucket = convo_alloc(buckets, sizeof(struct memory_owner *));
	if (!bucket)
		return mem->owner_buckets;
	for (i = 0; i < mem->owner_buckets; i++) {
		struct memory_owner *owner = mem->owner[i], *next;

		for (; owner; owner = next) {
			next = owner->next;
			owner->next = bucket[owner->hash & (buckets - 1)];
			bucket[owner->hash & (buckets - 1)] = owner;
		}
	}
	free(mem->owner);
	mem->owner = bucket;
	mem->owner_buckets = buckets;
	return true;
}

/* With owners_lock held: find an owner and count a use of it; with `make`, make it if need be. */
static struct memory_owner *owner_use(struct memory_store *mem, const char *app, const char *user,
				      bool make)
{
	uint64_t hash = hash_names(mem, app, user, NULL);
	struct memory_owner *owner = NULL, *parent = NULL;

	if (mem->owner_buckets)
		owner = mem->owner[hash & (mem->owner_buckets - 1)];
	while (owner && !owner_is(owner, hash, app, user))
		owner = owner->next;
	if (owner || !make) {
		if (owner)
			owner->refs++;
		return owner;
	}
	if (!owners_grow(mem))
		return NULL;
	owner = owner_new(hash, app, user);
	if (!owner)
		return NULL;
	if (user) {
		parent = owner_use(mem, app, NULL, true);
		if (!parent) {
			owner_free(owner);
			return NULL;
		}
	}
	owner->app = parent;
	owner->refs = 1;
	owner->next = mem->owner[hash & (mem->owner_buckets - 1)];
	mem->owner[hash & (mem->owner_buckets - 1)] = owner;
	mem->owner_count++;
	return owner;
}

static struct memory_owner *owner_get(struct memory_store *mem, const char *app, const char *user,
				      bool make)
{
	struct memory_owner *owner;

	pthread_mutex_lock(&mem->owners_lock);
	owner = owner_use(mem, app, user, make);
	pthread_mutex_unlock(&mem->owners_lock);
	return owner;
}

/* One use less; an owner that nobody uses and that has no state is forgotten. */
static void owner_put(struct memory_store *mem, struct memory_owner *owner)
{
	pthread_mutex_lock(&mem->owners_lock);
	while (owner && --owner->refs == 0 && owner->state.count == 0) {
		struct memory_owner **place = &mem->owner[owner->hash & (mem->owner_buckets - 1)];
		struct memory_owner *app = owner->app;

		while (*place != owner)
			place = &(*place)->next;
		*place = owner->next;
		mem->owner_count--;
		owner_free(owner);
		owner = app;
	}
	pthread_mutex_unlock(&mem->owners_lock);
}

/* ---- sessions --------------------------------------------------------------------------- */

static void session_free(struct memory_session *session)
{
	convo_log_clear(&session->log);
	convo_table_clear(&session->state);
	pthread_rwlock_destroy(&session->lock);
	free(session->title);
	free(session);
}

static void session_put(struct memory_store *mem, struct memory_session *session)
{
	struct memory_owner *owner = session->owner;

	if (atomic_fetch_sub(&session->refs, 1) != 1)
		return;
	session_free(session);
	owner_put(mem, owner);
}

static struct memory_session *session_new(struct memory_store *mem, const struct convo_key *key,
					  uint64_t hash, const struct store_create *create)
{
	size_t id_len = strlen(key->session);
	struct memory_session *session = convo_alloc(1, sizeof(*session) + id_len + 1);
	pthread_rwlockattr_t attr;

	if (!session)
		return NULL;
	session->title = convo_memdup(create->title.data, create->title.len);
	session->owner = owner_get(mem, key->app, key->user, true);
	if (!session->title || !session->owner) {
		if (session->owner)
			owner_put(mem, session->owner);
		free(session->title);
		free(session);
		return NULL;
	}
	/* A stream of readers must not keep a writer waiting for ever (L2). */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&session->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	memcpy(session->generation, create->generation, UUID_BYTES);
	memcpy(session->id, key->session, id_len);
	session->id_len = id_len;
	session->hash = hash;
	session->refs = 1;
	session->number = atomic_fetch_add(&mem->last_number, 1) + 1;
	session->log.first_seq = 1;
	session->log.seed = mem->seed;
	return session;
}

static bool session_is(const struct memory_session *session, uint64_t hash,
		       const struct convo_key *key)
{
	const struct memory_owner *owner = session->owner;

	return session->hash == hash && strcmp(session->id, key->session) == 0 &&
	       owner_is(owner, owner->hash, key->app, key->user);
}

/* With the session's lock held: whether calls at this moment see it (T2). */
static bool session_lives(const struct memory_session *session, int64_t now_us)
{
	return session->life == LIFE_LIVE && (!session->expires_us || session->expires_us > now_us);
}

static bool session_in_trash(const struct memory_session *session, int64_t now_us)
{
	return session->life == LIFE_TRASH && session->purge_us > now_us;
}

/* ---- shards ----------------------------------------------------------------------------- */

static struct memory_shard *shard_of(struct memory_store *mem, uint64_t hash)
{
	return &mem->shard[hash >> 58 & (SHARDS - 1)];
}

/* With the shard's lock held: the place of the live session of a name, or of the end. */
static struct memory_session **shard_find_live(struct memory_shard *shard, uint64_t hash,
					       const struct convo_key *key)
{
	struct memory_session **place = &shard->bucket[hash & (shard->buckets - 1)];

	/* Only calls that hold the shard's lock for writing make a session live or end that. */
	while (*place && !((*place)->life == LIFE_LIVE && session_is(*place, hash, key)))
		place = &(*place)->next;
	return place;
}

static bool shard_grow(struct memory_shard *shard)
{
	size_t buckets = shard->buckets ? shard->buckets * 2 : FIRST_BUCKETS, i;
	struct memory_session **bucket;

	if (shard->count < shard->buckets)
		return true;
	bucket = convo_alloc(buckets, sizeof(struct memory_session *));
	if (!bucket)
		return shard->buckets;
	for (i = 0; i < shard->buckets; i++) {
		struct memory_session *session = shard->bucket[i], *next;

		for (; session; session = next) {
			next = session->next;
			session->next = bucket[session->hash & (buckets - 1)];
			bucket[session->hash & (buckets - 1)] = session;
		}
	}
	free(shard->bucket);
	shard->bucket = bucket;
	shard->buckets = buckets;
	return true;
}

/* The live session of a name with a use counted, or NULL. It may expire or go any moment. */
static struct memory_session *session_get(struct memory_store *mem, const struct convo_key *key)
{
	uint64_t hash = hash_names(mem, key->app, key->user, key->session);
	struct memory_shard *shard = shard_of(mem, hash);
	struct memory_session *session = NULL;

	pthread_rwlock_rdlock(&shard->lock);
	if (shard->buckets)
		session = *shard_find_live(shard, hash, key);
	if (session)
		atomic_fetch_add(&session->refs, 1);
	pthread_rwlock_unlock(&shard->lock);
	return session;
}

/* ---- lists and the timer ---------------------------------------------------------------- */

/* A position in front of all others (S3). */
static int64_t next_position(struct memory_store *mem, int64_t now_us)
{
	int64_t last = atomic_load(&mem->last_position), next;

	do
		next = now_us > last ? now_us : last + 1;
	while (!atomic_compare_exchange_weak(&mem->last_position, &last, next));
	return next;
}

/* Note that a session belongs further to the front of its list. */
static void session_touch(struct memory_store *mem, struct memory_session *session, int64_t now_us)
{
	struct memory_owner *owner = session->owner;
	struct memory_session *top;

	atomic_store(&session->position, next_position(mem, now_us));
	if (atomic_exchange(&session->is_moved, true))
		return;
	atomic_fetch_add(&session->refs, 1);
	top = atomic_load(&owner->moved);
	do
		session->moved_next = top;
	while (!atomic_compare_exchange_weak(&owner->moved, &top, session));
}

/* With the owner's list_lock held: put a session into the list of a life, and out of the other. */
static void list_move(struct memory_session *session, enum memory_life life, int64_t position)
{
	struct memory_owner *owner = session->owner;

	if (session->listed_in == LIFE_LIVE)
		convo_order_remove(&owner->live, &session->listed);
	if (session->listed_in == LIFE_TRASH)
		convo_order_remove(&owner->trash, &session->listed);
	session->listed_in = life;
	session->listed.major = position;
	session->listed.minor = session->number;
	if (life == LIFE_LIVE)
		convo_order_insert(&owner->live, &session->listed);
	if (life == LIFE_TRASH)
		convo_order_insert(&owner->trash, &session->listed);
}

/* With the owner's list_lock held: put every session that moved where it belongs. */
static void list_settle(struct memory_store *mem, struct memory_owner *owner)
{
	struct memory_session *session = atomic_exchange(&owner->moved, NULL), *next;

	for (; session; session = next) {
		next = session->moved_next;
		atomic_store(&session->is_moved, false);
		if (session->listed_in == LIFE_LIVE)
			list_move(session, LIFE_LIVE, atomic_load(&session->position));
		session_put(mem, session);
	}
}

/* Plan to look at a session again at this moment, or not at all for 0. */
static void timer_set(struct memory_store *mem, struct memory_session *session, int64_t due_us)
{
	pthread_mutex_lock(&mem->timer_lock);
	if (session->is_timed)
		convo_order_remove(&mem->timer, &session->timed);
	session->is_timed = due_us != 0;
	if (session->is_timed) {
		session->timed.major = due_us;
		session->timed.minor = session->number;
		convo_order_insert(&mem->timer, &session->timed);
	}
	pthread_mutex_unlock(&mem->timer_lock);
}

/* ---- lives ------------------------------------------------------------------------------ */

/*
 * With the shard's lock held for writing, which makes changes of life one after the other: give a
 * session another life, and look at it again when that may end.
 */
static void session_turn(struct memory_store *mem, struct memory_session *session,
			 enum memory_life life, int64_t position, int64_t due_us)
{
	struct memory_owner *owner = session->owner;

	pthread_mutex_lock(&owner->list_lock);
	list_settle(mem, owner); /* or a session that is gone would wait there for a reader */
	list_move(session, life, position);
	pthread_mutex_unlock(&owner->list_lock);
	timer_set(mem, session, due_us);
}

/* With the shard's lock held for writing: the end of a session. */
static void session_retire(struct memory_store *mem, struct memory_shard *shard,
			   struct memory_session *session)
{
	struct memory_session **place = &shard->bucket[session->hash & (shard->buckets - 1)];

	while (*place != session)
		place = &(*place)->next;
	*place = session->next;
	shard->count--;
	pthread_rwlock_wrlock(&session->lock);
	session->life = LIFE_GONE;
	pthread_rwlock_unlock(&session->lock);
	session_turn(mem, session, LIFE_GONE, 0, 0);
	session_put(mem, session);
}

/*
 * With the shard's lock held for writing: whether a live session has the name. One that has
 * expired makes way.
 */
static bool shard_is_taken(struct memory_store *mem, struct memory_shard *shard, uint64_t hash,
			   const struct convo_key *key, int64_t now_us)
{
	struct memory_session *session = NULL;
	bool lives;

	if (shard->buckets)
		session = *shard_find_live(shard, hash, key);
	if (!session)
		return false;
	pthread_rwlock_rdlock(&session->lock);
	lives = session_lives(session, now_us);
	pthread_rwlock_unlock(&session->lock);
	if (!lives)
		session_retire(mem, shard, session);
	return lives;
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
	int64_t now_us;
};

static int step_check(struct memory_step *step, struct convo_err *err)
{
	int rc = 0;

	if (step->plan.scopes & CONVO_SCOPE_SESSION)
		rc = convo_plan_check(&step->plan, CONVO_SCOPE_SESSION, &step->session->state, err);
	if (rc >= 0 && step->plan.scopes & CONVO_SCOPE_USER)
		rc = convo_plan_check(&step->plan, CONVO_SCOPE_USER, &step->user->state, err);
	if (rc >= 0 && step->plan.scopes & CONVO_SCOPE_APP)
		rc = convo_plan_check(&step->plan, CONVO_SCOPE_APP, &step->app->state, err);
	if (rc >= 0 && step->count &&
	    convo_log_append(&step->session->log, step->events, step->count, step->now_us / 1000) <
		    0)
		rc = convo_fail_nomem(err);
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
		convo_plan_apply(&step->plan, CONVO_SCOPE_SESSION, &step->session->state);
	if (rc >= 0 && scopes & CONVO_SCOPE_USER)
		convo_plan_apply(&step->plan, CONVO_SCOPE_USER, &step->user->state);
	if (rc >= 0 && scopes & CONVO_SCOPE_APP)
		convo_plan_apply(&step->plan, CONVO_SCOPE_APP, &step->app->state);
	unlock_state(step->user, step->app, scopes);
	return rc;
}

/* With the session's lock held for writing: note that it was written to. */
static void session_written(struct memory_store *mem, struct memory_session *session,
			    int64_t now_us)
{
	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	if (mem->base.opts.ttl_ms)
		session->expires_us = now_us + mem->base.opts.ttl_ms * 1000;
	session_touch(mem, session, now_us);
}

/* ---- the functions of the backend ------------------------------------------------------- */

static int memory_open(struct convo_store *store, const struct store_call *call,
		       const struct convo_url *url, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	unsigned char random[UUID_BYTES];
	int i;

	(void)call;
	for (i = 0; i < SHARDS; i++)
		pthread_rwlock_init(&mem->shard[i].lock, NULL);
	pthread_mutex_init(&mem->owners_lock, NULL);
	pthread_mutex_init(&mem->timer_lock, NULL);
	convo_uuid_random(random);
	memcpy(&mem->seed, random, sizeof(mem->seed));
	memcpy(store->where, "in-memory", sizeof("in-memory"));
	if (url->host || url->path)
		return convo_fail(err, CONVO_E_INVALID, "memory: has no place; write just memory:");
	return 0;
}

static void memory_close(struct convo_store *store)
{
	struct memory_store *mem = memory_of(store);
	size_t i, j;

	for (i = 0; i < SHARDS; i++) {
		struct memory_shard *shard = &mem->shard[i];

		for (j = 0; j < shard->buckets; j++) {
			while (shard->bucket[j])
				session_retire(mem, shard, shard->bucket[j]);
		}
		free(shard->bucket);
		pthread_rwlock_destroy(&shard->lock);
	}
	for (i = 0; i < mem->owner_buckets; i++) {
		while (mem->owner[i]) {
			struct memory_owner *owner = mem->owner[i];

			mem->owner[i] = owner->next;
			owner_free(owner);
		}
	}
	free(mem->owner);
	pthread_mutex_destroy(&mem->owners_lock);
	pthread_mutex_destroy(&mem->timer_lock);
}

/* With the shard's lock held for writing. */
static int create_locked(struct memory_store *mem, struct memory_shard *shard,
			 const struct convo_key *key, struct memory_step *step,
			 struct convo_err *err)
{
	struct memory_session *session = step->session;
	int64_t now_us = step->now_us;
	int rc;

	if (shard_is_taken(mem, shard, session->hash, key, now_us))
		return convo_refuse_exists(err, key);
	if (!shard_grow(shard))
		return convo_fail_nomem(err);
	rc = step_take(step, err);
	if (rc < 0)
		return rc;
	session->created_us = session->updated_us = now_us;
	if (mem->base.opts.ttl_ms)
		session->expires_us = now_us + mem->base.opts.ttl_ms * 1000;
	atomic_store(&session->position, next_position(mem, now_us));
	session->next = shard->bucket[session->hash & (shard->buckets - 1)];
	shard->bucket[session->hash & (shard->buckets - 1)] = session;
	shard->count++;
	session_turn(mem, session, LIFE_LIVE, session->position, session->expires_us);
	return 0;
}

static int memory_create(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, const struct store_create *create,
			 struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = hash_names(mem, key->app, key->user, key->session);
	struct memory_shard *shard = shard_of(mem, hash);
	struct memory_step step = {.now_us = call->now_us};
	int rc;

	step.session = session_new(mem, key, hash, create);
	if (!step.session)
		return convo_fail_nomem(err);
	step.session->listed_in = LIFE_GONE;
	step.user = step.session->owner;
	step.app = step.user->app;
	rc = convo_plan_make(&step.plan, create->changes, create->change_count, NULL, err);
	if (rc >= 0) {
		pthread_rwlock_wrlock(&shard->lock);
		rc = create_locked(mem, shard, key, &step, err);
		pthread_rwlock_unlock(&shard->lock);
	}
	convo_plan_clear(&step.plan);
	if (rc < 0)
		session_put(mem, step.session);
	return rc;
}

static void session_meta(const struct memory_session *session, struct store_meta *meta)
{
	*meta = (struct store_meta){
		.session = {session->id, session->id_len},
		.title = convo_text_of(session->title),
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

static int add_to_session(void *into, enum convo_scope scope, struct convo_text name,
			  struct convo_text value, struct convo_err *err)
{
	return convo_session_add_state(into, scope, name, value, err);
}

static int load_state(const struct memory_session *session, struct convo_session *into,
		      struct convo_err *err)
{
	struct memory_owner *user = session->owner, *app = user->app;
	int rc;

	pthread_rwlock_rdlock(&user->state_lock);
	pthread_rwlock_rdlock(&app->state_lock);
	rc = convo_table_each(&session->state, CONVO_SCOPE_SESSION, NULL, add_to_session, into,
			      err);
	if (rc >= 0)
		rc = convo_table_each(&user->state, CONVO_SCOPE_USER, NULL, add_to_session, into,
				      err);
	if (rc >= 0)
		rc = convo_table_each(&app->state, CONVO_SCOPE_APP, NULL, add_to_session, into,
				      err);
	pthread_rwlock_unlock(&app->state_lock);
	pthread_rwlock_unlock(&user->state_lock);
	return rc;
}

/* With the session's lock held for reading. */
static int load_locked(struct convo_store *store, const struct memory_session *session,
		       const struct convo_window *window, const unsigned char *around,
		       struct convo_session *into, struct convo_err *err)
{
	const struct memory_log *log = &session->log;
	int64_t first = convo_store_first_shown(store, log->first_seq, log->last_seq);
	int64_t around_seq = 0, seq, to;
	struct store_event event;
	struct store_meta meta;
	int rc;

	if (window->kind == CONVO_WINDOW_AROUND) {
		around_seq = convo_log_find(log, around);
		if (around_seq < first)
			return convo_fail(err, CONVO_E_NOTFOUND, "no such event in session '%s'",
					  session->id);
	}
	session_meta(session, &meta);
	rc = convo_session_set_meta(into, &meta, err);
	if (rc >= 0)
		rc = load_state(session, into, err);
	convo_window_range(window, first, log->last_seq, around_seq, &seq, &to);
	for (; rc >= 0 && seq <= to; seq++) {
		convo_log_get(log, seq, &event);
		rc = convo_session_add_event(into, &event, err);
	}
	return rc;
}

static int memory_load(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, const struct convo_window *window,
		       const unsigned char *around, struct convo_session *into,
		       struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_session *session = session_get(mem, key);
	int rc;

	convo_session_reset(into);
	if (!session)
		return convo_refuse_notfound(err, key);
	pthread_rwlock_rdlock(&session->lock);
	if (session_lives(session, call->now_us))
		rc = load_locked(store, session, window, around, into, err);
	else
		rc = convo_refuse_notfound(err, key);
	pthread_rwlock_unlock(&session->lock);
	session_put(mem, session);
	return rc;
}

/* The seqs of what is stored already; how many events are not. */
static size_t append_find(const struct memory_log *log, struct store_append *append)
{
	size_t fresh = 0, i;

	for (i = 0; i < append->count; i++) {
		append->events[i].seq = convo_log_find(log, append->events[i].id);
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
	int64_t limit = mem->base.opts.event_limit, before = log->last_seq;
	int rc;

	if (!session_lives(session, step->now_us))
		return convo_refuse_notfound(err, key);
	if (append->generation && memcmp(append->generation, session->generation, UUID_BYTES) != 0)
		return convo_refuse_generation(err, key, before);
	if (!append_find(log, append))
		return 0;
	if (append->check_seq && append->after_seq != before)
		return convo_refuse_conflict(err, key, before);
	rc = convo_plan_make(&step->plan, append->changes, append->change_count, append->events,
			     err);
	if (rc >= 0)
		rc = step_take(step, err);
	if (rc < 0)
		return rc;
	if (limit)
		convo_log_trim(log, log->last_seq - limit + 1 < before + 1
					    ? log->last_seq - limit + 1
					    : before + 1);
	session_written(mem, session, step->now_us);
	return 0;
}

static int memory_append(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct store_append *append,
			 struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_session *session = session_get(mem, key);
	struct memory_step step = {.events = append->events, .count = append->count};
	int rc;

	if (!session)
		return convo_refuse_notfound(err, key);
	step.session = session;
	step.user = session->owner;
	step.app = session->owner->app;
	step.now_us = call->now_us;
	pthread_rwlock_wrlock(&session->lock);
	rc = append_locked(mem, &step, key, append, err);
	pthread_rwlock_unlock(&session->lock);
	convo_plan_clear(&step.plan);
	session_put(mem, session);
	return rc;
}

static int memory_rename(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct convo_text title,
			 struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	char *copy = convo_memdup(title.data, title.len), *old = copy;
	struct memory_session *session;
	int rc = 0;

	if (!copy)
		return convo_fail_nomem(err);
	session = session_get(mem, key);
	if (!session) {
		free(copy);
		return convo_refuse_notfound(err, key);
	}
	pthread_rwlock_wrlock(&session->lock);
	if (session_lives(session, call->now_us)) {
		old = session->title;
		session->title = copy;
		session_written(mem, session, call->now_us);
	} else {
		rc = convo_refuse_notfound(err, key);
	}
	pthread_rwlock_unlock(&session->lock);
	session_put(mem, session);
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
	if (trash ? session_in_trash(session, now_us) : session_lives(session, now_us)) {
		session_meta(session, &meta);
		rc = convo_page_add(into, &meta, err);
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
	struct memory_owner *owner = owner_get(mem, app, user, false);
	struct order_node *node;
	size_t count = 0;
	int rc = 0;

	convo_page_reset(into);
	if (!owner)
		return 0;
	pthread_mutex_lock(&owner->list_lock);
	list_settle(mem, owner);
	node = convo_order_below(trash ? owner->trash : owner->live, place->position,
				 place->number);
	while (node && rc >= 0 && count < n) {
		rc = list_add(CONTAINER(node, struct memory_session, listed), trash, call->now_us,
			      into, &count, err);
		node = convo_order_below(trash ? owner->trash : owner->live, node->major,
					 node->minor);
	}
	pthread_mutex_unlock(&owner->list_lock);
	owner_put(mem, owner);
	return rc;
}

/* With the shard's lock held for writing. */
static void delete_locked(struct memory_store *mem, struct memory_shard *shard,
			  struct memory_session *session, int64_t now_us)
{
	int64_t trash_us = mem->base.opts.trash_ms * 1000;
	bool lives;

	pthread_rwlock_wrlock(&session->lock);
	lives = session_lives(session, now_us);
	if (lives && trash_us) {
		session->life = LIFE_TRASH;
		session->deleted_us = now_us;
		session->purge_us = now_us + trash_us;
	}
	pthread_rwlock_unlock(&session->lock);
	if (lives && trash_us)
		session_turn(mem, session, LIFE_TRASH, next_position(mem, now_us),
			     now_us + trash_us);
	else
		session_retire(mem, shard, session);
}

static int memory_delete(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = hash_names(mem, key->app, key->user, key->session);
	struct memory_shard *shard = shard_of(mem, hash);
	struct memory_session *session = NULL;

	(void)err;
	pthread_rwlock_wrlock(&shard->lock);
	if (shard->buckets)
		session = *shard_find_live(shard, hash, key);
	if (session)
		delete_locked(mem, shard, session, call->now_us);
	pthread_rwlock_unlock(&shard->lock);
	return 0;
}

/* With the shard's lock held: the last deleted session of a name, or that generation of it. */
static struct memory_session *shard_find_trash(struct memory_shard *shard, uint64_t hash,
					       const struct convo_key *key,
					       const unsigned char *generation, int64_t now_us)
{
	struct memory_session *found = NULL, *session = NULL;

	if (shard->buckets)
		session = shard->bucket[hash & (shard->buckets - 1)];
	for (; session; session = session->next) {
		/* A session in the trash changes only under the shard's lock. */
		if (!session_is(session, hash, key) || !session_in_trash(session, now_us))
			continue;
		if (generation && memcmp(session->generation, generation, UUID_BYTES) != 0)
			continue;
		if (!found || session->deleted_us > found->deleted_us)
			found = session;
	}
	return found;
}

/* With the shard's lock held for writing. */
static void restore_locked(struct memory_store *mem, struct memory_session *session, int64_t now_us)
{
	int64_t expires_us;

	pthread_rwlock_wrlock(&session->lock);
	if (mem->base.opts.ttl_ms)
		session->expires_us = now_us + mem->base.opts.ttl_ms * 1000;
	else if (session->expires_us)
		session->expires_us += now_us - session->deleted_us;
	expires_us = session->expires_us;
	session->life = LIFE_LIVE;
	session->deleted_us = session->purge_us = 0;
	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	atomic_store(&session->position, next_position(mem, now_us));
	pthread_rwlock_unlock(&session->lock);
	session_turn(mem, session, LIFE_LIVE, atomic_load(&session->position), expires_us);
}

static int memory_restore(struct convo_store *store, const struct store_call *call,
			  const struct convo_key *key, const unsigned char *generation,
			  struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = hash_names(mem, key->app, key->user, key->session);
	struct memory_shard *shard = shard_of(mem, hash);
	struct memory_session *session;
	int rc = 0;

	pthread_rwlock_wrlock(&shard->lock);
	session = shard_find_trash(shard, hash, key, generation, call->now_us);
	if (shard_is_taken(mem, shard, hash, key, call->now_us))
		rc = convo_refuse_exists(err, key);
	else if (!session)
		rc = convo_fail(err, CONVO_E_NOTFOUND, "no session '%s' in the trash",
				key->session);
	else
		restore_locked(mem, session, call->now_us);
	pthread_rwlock_unlock(&shard->lock);
	return rc;
}

static int memory_purge(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const unsigned char *generation,
			struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	uint64_t hash = hash_names(mem, key->app, key->user, key->session);
	struct memory_shard *shard = shard_of(mem, hash);
	struct memory_session *session;

	(void)err;
	pthread_rwlock_wrlock(&shard->lock);
	while ((session = shard_find_trash(shard, hash, key, generation, call->now_us)))
		session_retire(mem, shard, session);
	pthread_rwlock_unlock(&shard->lock);
	return 0;
}

/* With the session locked for writing, if there is one. */
static int state_set_locked(struct memory_store *mem, struct memory_step *step,
			    const struct convo_key *key, struct convo_err *err)
{
	int rc;

	if (step->session && !session_lives(step->session, step->now_us))
		return convo_refuse_notfound(err, key);
	rc = step_take(step, err);
	if (rc >= 0 && step->session)
		session_written(mem, step->session, step->now_us);
	return rc;
}

static int state_set_owned(struct memory_store *mem, struct memory_step *step,
			   const struct convo_key *key, struct convo_err *err)
{
	int rc;

	if (step->plan.scopes & CONVO_SCOPE_SESSION) {
		step->session = session_get(mem, key);
		if (!step->session)
			return convo_refuse_notfound(err, key);
		pthread_rwlock_wrlock(&step->session->lock);
	}
	rc = state_set_locked(mem, step, key, err);
	if (step->session) {
		pthread_rwlock_unlock(&step->session->lock);
		session_put(mem, step->session);
	}
	return rc;
}

static int memory_state_set(struct convo_store *store, const struct store_call *call,
			    const struct convo_key *key, const struct store_change *changes,
			    size_t count, struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct memory_step step = {.now_us = call->now_us};
	struct memory_owner *owner = NULL;
	int rc = convo_plan_make(&step.plan, changes, count, NULL, err);

	if (rc >= 0 && step.plan.scopes & (CONVO_SCOPE_USER | CONVO_SCOPE_APP)) {
		bool of_user = step.plan.scopes & CONVO_SCOPE_USER;

		owner = owner_get(mem, key->app, of_user ? key->user : NULL, true);
		step.user = of_user ? owner : NULL;
		step.app = of_user && owner ? owner->app : owner;
		if (!owner)
			rc = convo_fail_nomem(err);
	}
	if (rc >= 0)
		rc = state_set_owned(mem, &step, key, err);
	if (owner)
		owner_put(mem, owner);
	convo_plan_clear(&step.plan);
	return rc;
}

static int add_to_list(void *into, enum convo_scope scope, struct convo_text name,
		       struct convo_text value, struct convo_err *err)
{
	return convo_state_add(into, scope, name, value, err);
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
		     const struct convo_key *key, const struct convo_text *name,
		     struct convo_state *into, struct convo_err *err)
{
	int rc = 0;

	if (view->session) {
		if (!session_lives(view->session, call->now_us))
			return convo_refuse_notfound(err, key);
		rc = convo_table_each(&view->session->state, CONVO_SCOPE_SESSION, name, add_to_list,
				      into, err);
	}
	if (rc >= 0 && view->user)
		rc = convo_table_each(&view->user->state, CONVO_SCOPE_USER, name, add_to_list, into,
				      err);
	if (rc >= 0 && view->app)
		rc = convo_table_each(&view->app->state, CONVO_SCOPE_APP, name, add_to_list, into,
				      err);
	return rc;
}

static int memory_state_list(struct convo_store *store, const struct store_call *call,
			     const struct convo_key *key, unsigned scopes,
			     const struct convo_text *name, struct convo_state *into,
			     struct convo_err *err)
{
	struct memory_store *mem = memory_of(store);
	struct state_view view = {0};
	int rc;

	convo_state_reset(into);
	if (scopes & CONVO_SCOPE_SESSION) {
		view.session = session_get(mem, key);
		if (!view.session)
			return convo_refuse_notfound(err, key);
	}
	if (scopes & CONVO_SCOPE_USER)
		view.user = owner_get(mem, key->app, key->user, false);
	if (scopes & CONVO_SCOPE_APP)
		view.app = owner_get(mem, key->app, NULL, false);
	view_lock(&view);
	rc = view_list(&view, call, key, name, into, err);
	view_unlock(&view);
	if (view.app)
		owner_put(mem, view.app);
	if (view.user)
		owner_put(mem, view.user);
	if (view.session)
		session_put(mem, view.session);
	return rc;
}

/* The session that the timer names first, with a use counted, if its moment has come. */
static struct memory_session *timer_take(struct memory_store *mem, int64_t now_us)
{
	struct memory_session *session = NULL;
	struct order_node *node;

	pthread_mutex_lock(&mem->timer_lock);
	node = convo_order_least(mem->timer);
	if (node && node->major <= now_us) {
		session = CONTAINER(node, struct memory_session, timed);
		atomic_fetch_add(&session->refs, 1);
	}
	pthread_mutex_unlock(&mem->timer_lock);
	return session;
}

/* Remove a session if its time is over; otherwise look again when it may be. */
static bool clean_one(struct memory_store *mem, struct memory_session *session, int64_t now_us)
{
	struct memory_shard *shard = shard_of(mem, session->hash);
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
		session_retire(mem, shard, session);
	else if (life != LIFE_GONE)
		timer_set(mem, session, ends_us);
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
		struct memory_session *session = timer_take(mem, call->now_us);

		if (!session) {
			*more = false;
			break;
		}
		*removed += clean_one(mem, session, call->now_us);
		session_put(mem, session);
	}
	return 0;
}

const struct convo_backend convo_backend_memory = {
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
