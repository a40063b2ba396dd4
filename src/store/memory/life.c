/*
 * Beginning and ending the lives of sessions in memory: create, delete, restore, purge, clean.
 *
 * Each holds the shard of the name and the lists of the user for writing, and then the session: so
 * no two of them meet, and a session stands in its shard, in a list and with the timer as its life
 * says. All locks are had before anything is changed; sessions that are gone are freed after all of
 * them were given back.
 */
#include <store/memory/life.h>

#include <string.h>

#include <base/fail.h>
#include <store/memory/step.h>

#define CLEAN_STEP 100

/* One change, from life_begin() to life_end(). */
struct life {
	struct memory_store *mem;
	const struct store_call *call;
	struct memory_shard *shard;
	struct memory_owner *owner;
	uint64_t hash;
	struct memory_session *dead; /* by chain.next */
};

static int life_begin(struct life *life, struct convo_err *err)
{
	int rc;

	life->shard = cv_mem_shard(life->mem, life->hash);
	rc = cv_mem_lock_write(&life->shard->lock, life->call, err);
	if (rc < 0)
		return rc;
	rc = cv_mem_lock_write(&life->owner->list_lock, life->call, err);
	if (rc < 0)
		cv_mem_unlock(&life->shard->lock);
	else
		cv_mem_settle(life->mem, life->owner); /* nobody who is gone waits for a reader */
	return rc;
}

static void life_end(struct life *life)
{
	cv_mem_unlock(&life->owner->list_lock);
	cv_mem_unlock(&life->shard->lock);
	while (life->dead) {
		struct memory_session *session = life->dead;

		life->dead = (struct memory_session *)session->chain.next;
		cv_mem_put(life->mem, session);
	}
}

/* Put a session in front of the list of its new life, and look at it when that may end (0: never). */
static void life_turn(struct life *life, struct memory_session *session, enum memory_life to,
		      int64_t due_us)
{
	session->life = to;
	atomic_store(&session->position, cv_mem_position(life->mem, life->call->now_us));
	cv_mem_enlist(session, to);
	cv_mem_watch(life->mem, session, due_us);
}

/* With the session locked, too: its end. */
static void life_retire(struct life *life, struct memory_session *session)
{
	life_turn(life, session, LIFE_GONE, 0);
	cv_chain_remove(&life->shard->sessions, &session->chain);
	session->chain.next = (struct chain_node *)life->dead;
	life->dead = session;
}

/* The live session of the name, locked for writing, or NULL. One that has expired makes way. */
static int life_find(struct life *life, const struct convo_key *key, struct memory_session **out,
		     struct convo_err *err)
{
	struct memory_session *session = cv_mem_find_live(life->shard, life->hash, key);
	int rc;

	*out = NULL;
	if (!session)
		return 0;
	rc = cv_mem_lock_write(&session->lock, life->call, err);
	if (rc < 0)
		return rc;
	if (cv_mem_lives(session, life->call->now_us)) {
		*out = session;
		return 0;
	}
	life_retire(life, session);
	cv_mem_unlock(&session->lock);
	return 0;
}

/* Refuse when the name lives (S1). */
static int life_must_be_free(struct life *life, const struct convo_key *key, struct convo_err *err)
{
	struct memory_session *session;
	int rc = life_find(life, key, &session, err);

	if (rc < 0 || !session)
		return rc;
	cv_mem_unlock(&session->lock);
	return cv_refuse_exists(err, key);
}

/* ---- create ----------------------------------------------------------------------------- */

/* A session that nobody sees yet becomes one that lives. */
static int create_step(struct life *life, const struct convo_key *key, struct memory_step *step,
		       struct convo_err *err)
{
	struct memory_session *session = step->session;
	int rc = life_must_be_free(life, key, err);

	if (rc < 0)
		return rc;
	if (!cv_chain_reserve(&life->shard->sessions, 1))
		return cv_fail_nomem(err);
	rc = cv_mem_step_take(step, err);
	if (rc < 0)
		return rc;
	session->created_us = session->updated_us = life->call->now_us;
	session->expires_us = store_call_expires(life->call, 0);
	life_turn(life, session, LIFE_LIVE, session->expires_us);
	cv_chain_add(&life->shard->sessions, &session->chain);
	return 0;
}

int cv_mem_create(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, const struct store_create *create,
		  struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	struct life life = {.mem = mem, .call = call};
	struct memory_step step = {.call = call};
	int rc;

	life.hash = cv_mem_hash(mem, key->app, key->user, key->session);
	step.session = cv_mem_new(mem, key, life.hash, create);
	if (!step.session)
		return cv_fail_nomem(err);
	step.user = life.owner = step.session->owner;
	step.app = step.user->app;
	rc = cv_plan_make(&step.plan, create->changes, create->change_count, NULL, err);
	if (rc < 0)
		goto out;
	rc = life_begin(&life, err);
	if (rc < 0)
		goto out;
	rc = create_step(&life, key, &step, err);
	life_end(&life);
out:
	cv_plan_clear(&step.plan);
	if (rc < 0)
		cv_mem_put(mem, step.session);
	return rc;
}

int cv_mem_begin(struct memory_store *mem, const struct store_call *call,
		 const struct convo_key *key, struct memory_session *session, struct convo_err *err)
{
	struct life life = {.mem = mem, .call = call, .hash = session->chain.hash};
	struct memory_step step = {.call = call, .session = session};
	int rc;

	life.owner = session->owner;
	rc = life_begin(&life, err);
	if (rc < 0)
		return rc;
	rc = create_step(&life, key, &step, err);
	life_end(&life);
	return rc;
}

/* ---- the trash -------------------------------------------------------------------------- */

/* Begin on a name that exists. @return 0; 1 when its user has nothing here */
static int life_begin_key(struct life *life, const struct convo_key *key, struct convo_err *err)
{
	int rc;

	life->hash = cv_mem_hash(life->mem, key->app, key->user, key->session);
	life->owner = cv_mem_owner_get(life->mem, key->app, key->user, false);
	if (!life->owner)
		return 1;
	rc = life_begin(life, err);
	if (rc < 0)
		cv_mem_owner_put(life->mem, life->owner);
	return rc;
}

static void life_end_key(struct life *life)
{
	life_end(life);
	cv_mem_owner_put(life->mem, life->owner);
}

int cv_mem_delete(struct convo_store *store, const struct store_call *call,
		  const struct convo_key *key, struct convo_err *err)
{
	struct life life = {.mem = cv_mem_of(store), .call = call};
	struct memory_session *session;
	int rc = life_begin_key(&life, key, err);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = life_find(&life, key, &session, err);
	if (rc < 0 || !session)
		goto out;
	if (call->trash_us) {
		session->deleted_us = call->now_us;
		session->purge_us = call->now_us + call->trash_us;
		life_turn(&life, session, LIFE_TRASH, session->purge_us);
	} else {
		life_retire(&life, session);
	}
	cv_mem_unlock(&session->lock);
out:
	life_end_key(&life);
	return rc;
}

/* The one in the trash that was deleted last, or that generation, locked for writing; or NULL. */
static int life_find_trash(struct life *life, const struct convo_key *key,
			   const unsigned char *generation, struct memory_session **out,
			   struct convo_err *err)
{
	*out = cv_mem_find_trash(life->shard, life->hash, key, generation, life->call->now_us);
	return *out ? cv_mem_lock_write(&(*out)->lock, life->call, err) : 0;
}

static void restore_step(struct life *life, struct memory_session *session)
{
	int64_t now_us = life->call->now_us;

	if (life->call->ttl_us)
		session->expires_us = now_us + life->call->ttl_us;
	else if (session->expires_us)
		session->expires_us += now_us - session->deleted_us;
	session->deleted_us = session->purge_us = 0;
	session->updated_us = now_us > session->updated_us ? now_us : session->updated_us;
	life_turn(life, session, LIFE_LIVE, session->expires_us);
}

int cv_mem_restore(struct convo_store *store, const struct store_call *call,
		   const struct convo_key *key, const unsigned char *generation,
		   struct convo_err *err)
{
	struct life life = {.mem = cv_mem_of(store), .call = call};
	struct memory_session *session;
	int rc = life_begin_key(&life, key, err);

	if (rc)
		return rc < 0 ? rc : cv_refuse_trash(err, key);
	rc = life_must_be_free(&life, key, err);
	if (rc < 0)
		goto out;
	rc = life_find_trash(&life, key, generation, &session, err);
	if (rc < 0)
		goto out;
	if (!session) {
		rc = cv_refuse_trash(err, key);
		goto out;
	}
	restore_step(&life, session);
	cv_mem_unlock(&session->lock);
out:
	life_end_key(&life);
	return rc;
}

int cv_mem_purge(struct convo_store *store, const struct store_call *call,
		 const struct convo_key *key, const unsigned char *generation,
		 struct convo_err *err)
{
	struct life life = {.mem = cv_mem_of(store), .call = call};
	struct memory_session *session;
	int rc = life_begin_key(&life, key, err);

	if (rc)
		return rc < 0 ? rc : 0;
	for (;;) {
		rc = life_find_trash(&life, key, generation, &session, err);
		if (rc < 0 || !session)
			break;
		life_retire(&life, session);
		cv_mem_unlock(&session->lock);
	}
	if (rc < 0 && err && life.dead)
		err->maybe = true;
	life_end_key(&life);
	return rc;
}

/* ---- clean ------------------------------------------------------------------------------ */

/* Remove a session if its time is over; otherwise look again when it may be. @return 1, 0 or failure */
static int clean_one(struct life *life, struct memory_session *session, struct convo_err *err)
{
	int64_t ends_us;
	int rc = life_begin(life, err);

	if (rc < 0)
		return rc;
	rc = cv_mem_lock_write(&session->lock, life->call, err);
	if (rc < 0)
		goto out;
	ends_us = session->life == LIFE_TRASH ? session->purge_us : session->expires_us;
	if (session->life == LIFE_GONE) {
		rc = 0;
	} else if (ends_us && ends_us <= life->call->now_us) {
		life_retire(life, session);
		rc = 1;
	} else {
		cv_mem_watch(life->mem, session, ends_us);
	}
	cv_mem_unlock(&session->lock);
out:
	life_end(life);
	return rc;
}

int cv_mem_clean(struct convo_store *store, const struct store_call *call, int64_t *removed,
		 bool *more, struct convo_err *err)
{
	struct memory_store *mem = cv_mem_of(store);
	int i, rc = 0;

	*more = true;
	for (i = 0; rc >= 0 && i < CLEAN_STEP; i++) {
		struct memory_session *session = cv_mem_due(mem, call->now_us);
		struct life life = {.mem = mem, .call = call};

		if (!session) {
			*more = false;
			break;
		}
		life.hash = session->chain.hash;
		life.owner = session->owner;
		rc = clean_one(&life, session, err);
		*removed += rc > 0;
		cv_mem_put(mem, session);
	}
	return rc < 0 ? rc : 0;
}
