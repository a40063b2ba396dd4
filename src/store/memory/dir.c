/*
 * Who is there: see dir.h.
 */
#include <store/memory/dir.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/fail.h>

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

uint64_t cv_mem_hash(const struct memory_store *mem, const char *app, const char *user,
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
	return owner->chain.hash == hash && !owner->app == !user && strcmp(owner->name, app) == 0 &&
	       (!user || strcmp(owner->name + owner->app_len + 1, user) == 0);
}

static struct memory_owner *owner_new(uint64_t hash, const char *app, const char *user)
{
	size_t app_len = strlen(app), user_len = user ? strlen(user) : 0;
	struct memory_owner *owner = cv_alloc(1, sizeof(*owner) + app_len + 1 + user_len + 1);

	if (!owner)
		return NULL;
	owner->chain.hash = hash;
	owner->app_len = app_len;
	memcpy(owner->name, app, app_len);
	if (user)
		memcpy(owner->name + app_len + 1, user, user_len);
	cv_mem_lock_init(&owner->state_lock);
	cv_mem_lock_init(&owner->list_lock);
	return owner;
}

static void owner_free(struct memory_owner *owner)
{
	cv_table_clear(&owner->state);
	cv_mem_lock_destroy(&owner->state_lock);
	cv_mem_lock_destroy(&owner->list_lock);
	free(owner);
}

/* With owners_lock held: find an owner and count a use of it; with `make`, make it if need be. */
static struct memory_owner *owner_use(struct memory_store *mem, const char *app, const char *user,
				      bool make)
{
	uint64_t hash = cv_mem_hash(mem, app, user, NULL);
	struct chain_node *at = cv_chain_first(&mem->owners, hash);
	struct memory_owner *owner, *parent = NULL;

	while (at && !owner_is((struct memory_owner *)at, hash, app, user))
		at = at->next;
	if (at) {
		owner = (struct memory_owner *)at;
		owner->refs++;
		return owner;
	}
	if (!make || !cv_chain_reserve(&mem->owners, user ? 2 : 1))
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
	cv_chain_add(&mem->owners, &owner->chain);
	return owner;
}

struct memory_owner *cv_mem_owner_get(struct memory_store *mem, const char *app, const char *user,
				      bool make)
{
	struct memory_owner *owner;

	pthread_mutex_lock(&mem->owners_lock);
	owner = owner_use(mem, app, user, make);
	pthread_mutex_unlock(&mem->owners_lock);
	return owner;
}

void cv_mem_owner_put(struct memory_store *mem, struct memory_owner *owner)
{
	pthread_mutex_lock(&mem->owners_lock);
	while (owner && --owner->refs == 0 && owner->state.names.count == 0) {
		struct memory_owner *app = owner->app;

		cv_chain_remove(&mem->owners, &owner->chain);
		owner_free(owner);
		owner = app;
	}
	pthread_mutex_unlock(&mem->owners_lock);
}

int cv_mem_owners(struct memory_store *mem, const char *app, struct store_owners *into,
		  struct convo_err *err)
{
	size_t i;
	int rc = 0;

	pthread_mutex_lock(&mem->owners_lock);
	for (i = 0; i < mem->owners.buckets; i++) {
		struct chain_node *at = mem->owners.bucket[i];

		for (; at && rc == 0; at = at->next) {
			const struct memory_owner *owner = (const struct memory_owner *)at;

			if (owner->app && (!app || strcmp(owner->name, app) == 0))
				rc = cv_owners_add(into, cv_text_of(owner->name),
						   cv_text_of(owner->name + owner->app_len + 1),
						   err);
		}
	}
	pthread_mutex_unlock(&mem->owners_lock);
	return rc;
}

/* ---- sessions --------------------------------------------------------------------------- */

static void session_free(struct memory_session *session)
{
	cv_log_clear(&session->log);
	cv_table_clear(&session->state);
	cv_held_clear(&session->held);
	cv_mem_lock_destroy(&session->lock);
	free(session->fork);
	free(session->title);
	free(session);
}

void cv_mem_put(struct memory_store *mem, struct memory_session *session)
{
	struct memory_owner *owner = session->owner;

	if (atomic_fetch_sub(&session->refs, 1) != 1)
		return;
	session_free(session);
	cv_mem_owner_put(mem, owner);
}

struct memory_session *cv_mem_new(struct memory_store *mem, const struct convo_key *key,
				  uint64_t hash, const struct store_create *create)
{
	size_t id_len = strlen(key->session);
	struct memory_session *session = cv_alloc(1, sizeof(*session) + id_len + 1);

	if (!session)
		return NULL;
	session->title = cv_memdup(create->title.data, create->title.len);
	session->owner = cv_mem_owner_get(mem, key->app, key->user, true);
	if (!session->title || !session->owner) {
		if (session->owner)
			cv_mem_owner_put(mem, session->owner);
		free(session->title);
		free(session);
		return NULL;
	}
	cv_mem_lock_init(&session->lock);
	memcpy(session->generation, create->generation, UUID_BYTES);
	memcpy(session->id, key->session, id_len);
	session->id_len = id_len;
	session->chain.hash = hash;
	session->refs = 1;
	session->number = atomic_fetch_add(&mem->last_number, 1) + 1;
	session->life = session->listed_in = LIFE_GONE; /* until it has a place */
	session->log.first_seq = 1;
	session->log.seed = mem->seed;
	return session;
}

static bool session_is(const struct memory_session *session, uint64_t hash,
		       const struct convo_key *key)
{
	const struct memory_owner *owner = session->owner;

	return session->chain.hash == hash && strcmp(session->id, key->session) == 0 &&
	       owner_is(owner, owner->chain.hash, key->app, key->user);
}

/* ---- shards ----------------------------------------------------------------------------- */

struct memory_shard *cv_mem_shard(struct memory_store *mem, uint64_t hash)
{
	return &mem->shard[hash >> 58 & (SHARDS - 1)];
}

struct memory_session *cv_mem_find_live(const struct memory_shard *shard, uint64_t hash,
					const struct convo_key *key)
{
	struct chain_node *at = cv_chain_first(&shard->sessions, hash);

	for (; at; at = at->next) {
		struct memory_session *session = (struct memory_session *)at;

		/* Only who holds the shard's lock for writing makes a session live or ends that. */
		if (session->life == LIFE_LIVE && session_is(session, hash, key))
			return session;
	}
	return NULL;
}

struct memory_session *cv_mem_find_trash(const struct memory_shard *shard, uint64_t hash,
					 const struct convo_key *key,
					 const unsigned char *generation, int64_t now_us)
{
	struct chain_node *at = cv_chain_first(&shard->sessions, hash);
	struct memory_session *found = NULL;

	for (; at; at = at->next) {
		struct memory_session *session = (struct memory_session *)at;

		/* A session in the trash changes only under the shard's lock. */
		if (!session_is(session, hash, key) || !cv_mem_in_trash(session, now_us))
			continue;
		if (generation && memcmp(session->generation, generation, UUID_BYTES) != 0)
			continue;
		if (!found || session->position > found->position)
			found = session;
	}
	return found;
}

int cv_mem_enter(struct memory_store *mem, const struct store_call *call,
		 const struct convo_key *key, bool writes, struct memory_session **out,
		 struct convo_err *err)
{
	uint64_t hash = cv_mem_hash(mem, key->app, key->user, key->session);
	struct memory_shard *shard = cv_mem_shard(mem, hash);
	struct memory_session *session;
	int rc = cv_mem_lock_read(&shard->lock, call, err);

	if (rc < 0)
		return rc;
	session = cv_mem_find_live(shard, hash, key);
	if (session)
		atomic_fetch_add(&session->refs, 1);
	cv_mem_unlock(&shard->lock);
	if (!session)
		return cv_refuse_notfound(err, key);
	rc = writes ? cv_mem_lock_write(&session->lock, call, err)
		    : cv_mem_lock_read(&session->lock, call, err);
	if (rc < 0) {
		cv_mem_put(mem, session);
		return rc;
	}
	/* It may have come to its end since it was found. */
	if (!cv_mem_lives(session, call->now_us)) {
		cv_mem_leave(mem, session);
		return cv_refuse_notfound(err, key);
	}
	*out = session;
	return 0;
}

void cv_mem_leave(struct memory_store *mem, struct memory_session *session)
{
	cv_mem_unlock(&session->lock);
	cv_mem_put(mem, session);
}

/* ---- lists and the timer ---------------------------------------------------------------- */

int64_t cv_mem_position(struct memory_store *mem, int64_t now_us)
{
	int64_t last = atomic_load(&mem->last_position), next;

	do
		next = now_us > last ? now_us : last + 1;
	while (!atomic_compare_exchange_weak(&mem->last_position, &last, next));
	return next;
}

void cv_mem_touch(struct memory_store *mem, struct memory_session *session, int64_t now_us)
{
	struct memory_owner *owner = session->owner;
	struct memory_session *top;

	atomic_store(&session->position, cv_mem_position(mem, now_us));
	if (atomic_exchange(&session->is_moved, true))
		return;
	atomic_fetch_add(&session->refs, 1);
	top = atomic_load(&owner->moved);
	do
		session->moved_next = top;
	while (!atomic_compare_exchange_weak(&owner->moved, &top, session));
}

void cv_mem_enlist(struct memory_session *session, enum memory_life life)
{
	struct memory_owner *owner = session->owner;

	if (session->listed_in == LIFE_LIVE)
		cv_order_remove(&owner->live, &session->listed);
	if (session->listed_in == LIFE_TRASH)
		cv_order_remove(&owner->trash, &session->listed);
	session->listed_in = life;
	session->listed.major = atomic_load(&session->position);
	session->listed.minor = session->number;
	if (life == LIFE_LIVE)
		cv_order_insert(&owner->live, &session->listed);
	if (life == LIFE_TRASH)
		cv_order_insert(&owner->trash, &session->listed);
}

void cv_mem_settle(struct memory_store *mem, struct memory_owner *owner)
{
	struct memory_session *session = atomic_exchange(&owner->moved, NULL), *next;

	for (; session; session = next) {
		next = session->moved_next;
		atomic_store(&session->is_moved, false);
		if (session->listed_in == LIFE_LIVE)
			cv_mem_enlist(session, LIFE_LIVE);
		cv_mem_put(mem, session);
	}
}

void cv_mem_watch(struct memory_store *mem, struct memory_session *session, int64_t due_us)
{
	pthread_mutex_lock(&mem->timer_lock);
	if (session->is_timed)
		cv_order_remove(&mem->timer, &session->timed);
	session->is_timed = due_us != 0;
	if (session->is_timed) {
		session->timed.major = due_us;
		session->timed.minor = session->number;
		cv_order_insert(&mem->timer, &session->timed);
	}
	pthread_mutex_unlock(&mem->timer_lock);
}

struct memory_session *cv_mem_due(struct memory_store *mem, int64_t now_us)
{
	struct memory_session *session = NULL;
	struct order_node *node;

	pthread_mutex_lock(&mem->timer_lock);
	node = cv_order_least(mem->timer);
	if (node && node->major <= now_us) {
		session = CONTAINER(node, struct memory_session, timed);
		atomic_fetch_add(&session->refs, 1);
	}
	pthread_mutex_unlock(&mem->timer_lock);
	return session;
}

/* ---- the whole -------------------------------------------------------------------------- */

void cv_mem_init(struct memory_store *mem)
{
	unsigned char random[UUID_BYTES];
	int i;

	for (i = 0; i < SHARDS; i++)
		cv_mem_lock_init(&mem->shard[i].lock);
	pthread_mutex_init(&mem->owners_lock, NULL);
	pthread_mutex_init(&mem->timer_lock, NULL);
	cv_uuid_random(random);
	memcpy(&mem->seed, random, sizeof(mem->seed));
}

/* Those that were touched are held by their owners, too. */
static void clear_touched(struct memory_store *mem)
{
	size_t i;

	for (i = 0; i < mem->owners.buckets; i++) {
		struct chain_node *at = mem->owners.bucket[i];

		for (; at; at = at->next)
			cv_mem_settle(mem, (struct memory_owner *)at);
	}
}

static void clear_shard(struct memory_store *mem, struct memory_shard *shard)
{
	size_t i;

	for (i = 0; i < shard->sessions.buckets; i++) {
		struct chain_node *at = shard->sessions.bucket[i], *next;

		for (; at; at = next) {
			next = at->next;
			cv_mem_put(mem, (struct memory_session *)at);
		}
	}
	cv_chain_clear(&shard->sessions);
	cv_mem_lock_destroy(&shard->lock);
}

void cv_mem_clear(struct memory_store *mem)
{
	size_t i;

	clear_touched(mem);
	for (i = 0; i < SHARDS; i++)
		clear_shard(mem, &mem->shard[i]);
	for (i = 0; i < mem->owners.buckets; i++) {
		struct chain_node *at = mem->owners.bucket[i], *next;

		for (; at; at = next) {
			next = at->next;
			owner_free((struct memory_owner *)at);
		}
	}
	cv_chain_clear(&mem->owners);
	pthread_mutex_destroy(&mem->owners_lock);
	pthread_mutex_destroy(&mem->timer_lock);
}
