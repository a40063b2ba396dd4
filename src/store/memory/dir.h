/*
 * Who is there, in memory: sessions by name, users and apps with their lists and state, and what is
 * due to be removed. docs/internals/memory-locks.md has the picture.
 *
 *     shard      sessions by name: live ones and those in the trash
 *     owner      a user, or an app: its state, and for a user the lists of its sessions
 *     timer      sessions that expire, or whose trash time ends, by when that may first be
 *
 * Locks are taken in this order: a shard, a user's lists, a session, the user's state, the app's
 * state. All of them are fair and end by the call's deadline (lock.h); what is changed is changed
 * after the last was had. An append takes its session's lock alone, unless it changes a user's or an
 * app's state.
 *
 * Lists are in the order of activity, but an append does not touch them: it notes its session on
 * the owner's heap of moved ones, once, and the next reader of the list puts those in place.
 */
#ifndef STORE_MEMORY_DIR_H
#define STORE_MEMORY_DIR_H

#include <store/backend.h>

#include <pthread.h>
#include <stdatomic.h>

#include <base/chain.h>
#include <base/order.h>
#include <store/memory/held.h>
#include <store/memory/lock.h>
#include <store/memory/log.h>
#include <store/memory/state.h>

#define SHARDS 64

/** The struct of which a pointer is a member. */
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum memory_life { LIFE_LIVE, LIFE_TRASH, LIFE_GONE };

struct memory_owner {
	struct chain_node chain;  /* first */
	size_t refs;              /* guarded by the store's owners_lock */
	struct memory_owner *app; /* NULL for an app */

	struct memory_lock state_lock; /* guards state */
	struct state_table state;

	struct memory_lock list_lock; /* guards live, trash; held for writing only */
	struct order_node *live, *trash;
	_Atomic(struct memory_session *) moved; /* live ones that stand too far back */

	size_t app_len;
	char name[]; /* app NUL user NUL; without the second for an app */
};

/** Where a fork comes from. */
struct memory_fork {
	unsigned char generation[UUID_BYTES];
	int64_t seq;
	size_t session_len;
	char session[];
};

struct memory_session {
	struct chain_node chain; /* first; in its shard, guarded by its lock */
	struct memory_owner *owner;
	_Atomic size_t refs;
	int64_t number;

	struct memory_lock lock; /* guards the following */
	enum memory_life life;   /* changed only with shard and lists locked for writing, too */
	unsigned char generation[UUID_BYTES];
	char *title;
	int64_t created_us, updated_us, expires_us, deleted_us, purge_us;
	struct memory_log log;
	struct state_table state;
	struct memory_held held;
	struct memory_fork *fork; /* of what it is one; NULL: of none. Never changes */

	_Atomic int64_t position; /* as in backend.h; rises with the session locked for writing */
	atomic_bool is_moved;     /* on the owner's heap of moved ones */
	struct memory_session *moved_next; /* whoever takes the heap owns it */
	struct order_node
		listed; /* where a list has it; guarded by the owner's list_lock, like the next */
	enum memory_life listed_in; /* LIFE_GONE: in neither list */
	struct order_node timed;    /* in the timer; its timer_lock */
	bool is_timed;

	size_t id_len;
	char id[];
};

struct memory_shard {
	struct memory_lock lock; /* guards sessions */
	struct cv_chain sessions;
};

struct memory_store {
	struct convo_store base;
	uint64_t seed;
	struct memory_shard shard[SHARDS];
	_Atomic int64_t last_position, last_number;

	pthread_mutex_t owners_lock; /* guards owners and the refs of all of them */
	struct cv_chain owners;

	pthread_mutex_t timer_lock; /* guards timer */
	struct order_node *timer;
};

static inline struct memory_store *cv_mem_of(struct convo_store *store)
{
	return (struct memory_store *)store;
}

void cv_mem_init(struct memory_store *mem);

/** Free everything; nobody may be using it. */
void cv_mem_clear(struct memory_store *mem);

/** The hash of a name; `user` and `session` may be NULL. */
uint64_t cv_mem_hash(const struct memory_store *mem, const char *app, const char *user,
		     const char *session);

/* ---- owners ----------------------------------------------------------------------------- */

/** An owner with a use counted, of an app when `user` is NULL. NULL when it is not there and not to
 * be made, or memory is out. */
struct memory_owner *cv_mem_owner_get(struct memory_store *mem, const char *app, const char *user,
				      bool make);

/** One use less; an owner that nobody uses and that has no state is forgotten. */
void cv_mem_owner_put(struct memory_store *mem, struct memory_owner *owner);

/** Add all users there are, or those of an app. 0 or CONVO_E_NOMEM. */
int cv_mem_owners(struct memory_store *mem, const char *app, struct store_owners *into,
		  struct convo_err *err);

/* ---- sessions --------------------------------------------------------------------------- */

/** A session that is nowhere yet, with one use counted, or NULL. */
struct memory_session *cv_mem_new(struct memory_store *mem, const struct convo_key *key,
				  uint64_t hash, const struct store_create *create);

/**
 * The live session of a name, locked, for cv_mem_leave().
 *
 * @return 0, CONVO_E_NOTFOUND, CONVO_E_TIMEOUT, CONVO_E_CANCELED
 */
int cv_mem_enter(struct memory_store *mem, const struct store_call *call,
		 const struct convo_key *key, bool writes, struct memory_session **out,
		 struct convo_err *err);
void cv_mem_leave(struct memory_store *mem, struct memory_session *session);

/** One use less; the last one frees it. */
void cv_mem_put(struct memory_store *mem, struct memory_session *session);

/** With the session's lock held: whether calls at this moment see it (T2). */
static inline bool cv_mem_lives(const struct memory_session *session, int64_t now_us)
{
	return session->life == LIFE_LIVE && (!session->expires_us || session->expires_us > now_us);
}

/** The same for one in the trash. */
static inline bool cv_mem_in_trash(const struct memory_session *session, int64_t now_us)
{
	return session->life == LIFE_TRASH && session->purge_us > now_us;
}

/* ---- places in lists -------------------------------------------------------------------- */

/** A position in front of all others, whatever the clocks say (S3). */
int64_t cv_mem_position(struct memory_store *mem, int64_t now_us);

/** With the session locked for writing: note that it belongs in front of its list. */
void cv_mem_touch(struct memory_store *mem, struct memory_session *session, int64_t now_us);

/** With the owner's list_lock held: put every session that was touched where it belongs. */
void cv_mem_settle(struct memory_store *mem, struct memory_owner *owner);

/** The same for one session that has another life now: out of its list, into that of this life. */
void cv_mem_enlist(struct memory_session *session, enum memory_life life);

/* ---- shards ----------------------------------------------------------------------------- */

struct memory_shard *cv_mem_shard(struct memory_store *mem, uint64_t hash);

/** With the shard's lock held: the live session of a name, or NULL. */
struct memory_session *cv_mem_find_live(const struct memory_shard *shard, uint64_t hash,
					const struct convo_key *key);

/** With the shard's lock held: the one deleted last, or that generation; NULL. */
struct memory_session *cv_mem_find_trash(const struct memory_shard *shard, uint64_t hash,
					 const struct convo_key *key,
					 const unsigned char *generation, int64_t now_us);

/* ---- the timer -------------------------------------------------------------------------- */

/** Plan to look at a session again at this moment, or not at all for 0. */
void cv_mem_watch(struct memory_store *mem, struct memory_session *session, int64_t due_us);

/** The session that the timer names first, with a use counted, if its moment has come. */
struct memory_session *cv_mem_due(struct memory_store *mem, int64_t now_us);

#endif
