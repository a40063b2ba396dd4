/*
 * Inside watching: the sessions that are watched, who watches them, and the thread that learns what has
 * happened to them. What is in several files is here; hub.h is for the rest of the front.
 *
 *     watched.c  sessions, those who watch them, and news of them
 *     listen.c   how the thread learns: the ear and the marks
 *     hub.c      the thread, its beginning and end
 *     watch.c    convo/watch.h
 */
#ifndef STORE_FRONT_WATCHED_H
#define STORE_FRONT_WATCHED_H

#include <pthread.h>

#include <convo/watch.h>

#include <base/chain.h>
#include <store/backend.h>

#define FOLLOW_US 1000000 /* until marks are asked for after sessions were added beside an ear */
#define RETRY_FIRST_US 100000 /* pauses before another ear is tried */

/* A session that is watched. Only the hub's thread frees it. */
struct hub_session {
	struct chain_node chain; /* first; its hash is the tag of the key */
	struct convo_key key;
	struct watch_entry *entries;
	bool heard; /* the ear was told of it */
	bool marked;
	uint64_t mark;
	bool changed; /* on the hub's list of those to look at */
	struct hub_session *next_changed;
	char names[];
};

struct watch_entry {
	struct hub_session *session;
	convo_watch *watch;
	void *tag;
	struct watch_entry *next, **link;             /* of the session */
	struct watch_entry *watch_next, **watch_link; /* of the watch */
	bool news;
	struct watch_entry *next_news;
};

struct convo_watch {
	struct store_hub *hub;
	pthread_cond_t wake;
	struct watch_entry *entries;
	struct watch_entry *news, **news_end;
};

struct store_hub {
	struct convo_store *store;
	pthread_mutex_t lock; /* guards what follows, and every watch */
	struct cv_chain sessions;
	struct hub_session *changed;
	bool stop;

	pthread_t thread;
	convo_cancel *wake;    /* ends a wait of the thread */
	convo_cancel *closing; /* ends any call of it */

	/* the thread's own */
	struct store_ear *ear;
	bool deaf; /* no ear is to be had of this server */
	int64_t ear_at_us, retry_us;
	int64_t marks_at_us;
	int64_t marks_ms; /* how long the next question may take; 0: as the store says */
	struct hub_session **asked;
	size_t asked_count, asked_cap;
};

/* ---- watched.c: with the lock held, but for the last one ----------------------------------- */

/** The session of that key and its tag; NULL. */
struct hub_session *cv_watched_find(struct store_hub *hub, const struct convo_key *key,
				    uint64_t tag);

/** Add one that is not there. Copies the key. NULL when memory is out. */
struct hub_session *cv_watched_make(struct store_hub *hub, const struct convo_key *key,
				    uint64_t tag);

/** Let the thread look at a session: it is new, or watched no more. */
void cv_watched_changed(struct store_hub *hub, struct hub_session *session);

/** There is news of a session, for all who watch it. */
void cv_watched_news(struct hub_session *session);

/** Hand `visit` every session. */
void cv_watched_each(struct store_hub *hub,
		     void (*visit)(struct store_hub *, struct hub_session *));

/** The entry of a watch for a session; NULL. */
struct watch_entry *cv_entry_find(const struct hub_session *session, const convo_watch *watch);

/** Make `entry` that of a watch for a session. */
void cv_entry_link(struct watch_entry *entry, struct hub_session *session, convo_watch *watch);

/** There is news of its session for its watch; there is none any more. */
void cv_entry_news(struct watch_entry *entry);
void cv_entry_drop_news(struct watch_entry *entry);

/** Unlink and free one without news, or whose watch ends. */
void cv_entry_free(struct watch_entry *entry);

/** There is news of the sessions of that tag. `ctx` is the hub, whose lock is taken. */
void cv_watched_tell(void *ctx, uint64_t tag);

/* ---- listen.c: the thread alone ----------------------------------------------------------- */

/** Get an ear, if it is time to. A server that is not there is tried again, ever less often. */
void cv_ear_try(struct store_hub *hub);

/** Tell the ear what is watched now, and what is no more. With the lock held. */
void cv_ear_tell(struct store_hub *hub, struct hub_session *session);

/** Close the ear, if there is one; another one is tried later. */
void cv_ear_drop(struct store_hub *hub);

/** Ask for the marks of all sessions, if it is time to. What fails is asked for again next time. */
void cv_marks_try(struct store_hub *hub);

/* ---- hub.c -------------------------------------------------------------------------------- */

/** The hub of a store, made by the first who watches. */
int cv_hub_of(struct store_hub **out, struct convo_store *store, struct convo_err *err);

#endif
