/*
 * Watching; see convo/watch.h. One hub for each store that is watched: the sessions, who watches them,
 * and a thread that brings the news of other processes.
 *
 *     cv_hub_told()  what this handle does itself: at once, by whoever did it
 *     ear            what the engine tells: a connection of its own (Redis, PostgreSQL)
 *     marks          asking, every marks_us where there is no ear, now and then where there is one
 *
 * News says that a session has to be looked at, so it may come without need but must not be missing. A
 * session therefore has news when it is added, when its mark is read first, when the ear has begun to
 * hear of it, and whenever the ear is a new one (W3).
 */
#include <store/front/hub.h>

#include <convo/text.h>
#include <convo/watch.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/alloc.h>
#include <base/chain.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/prepare.h>

#define EAR_MARKS_US 15000000 /* between two looks beside an ear */
#define FOLLOW_US 1000000     /* the first one after sessions were added */
#define RETRY_FIRST_US 100000 /* pauses before another ear is tried */
#define RETRY_MOST_US 5000000
#define CANCEL_US 50000 /* how often one who waits looks for a cancel */

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
	struct hub_session **asked;
	size_t asked_count, asked_cap;
};

/* FNV-1a over the names with their ends, which no name holds. */
uint64_t cv_key_tag(const struct convo_key *key)
{
	const char *const names[] = {key->app, key->user, key->session};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < 3; i++) {
		const char *at = names[i];

		do
			hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
		while (*at++);
	}
	return hash ^ (hash >> 29);
}

/* ---- news ------------------------------------------------------------------------------- */

static void entry_news(struct watch_entry *entry)
{
	convo_watch *watch = entry->watch;

	if (entry->news)
		return;
	entry->news = true;
	entry->next_news = NULL;
	*watch->news_end = entry;
	watch->news_end = &entry->next_news;
	pthread_cond_signal(&watch->wake);
}

static void session_news(struct hub_session *session)
{
	struct watch_entry *entry;

	for (entry = session->entries; entry; entry = entry->next)
		entry_news(entry);
}

/* Sessions with different names may have one tag: then there is news of both. */
static void hub_tell(void *ctx, uint64_t tag)
{
	struct store_hub *hub = ctx;
	struct chain_node *at;

	pthread_mutex_lock(&hub->lock);
	for (at = cv_chain_first(&hub->sessions, tag); at; at = at->next) {
		if (at->hash == tag)
			session_news((struct hub_session *)at);
	}
	pthread_mutex_unlock(&hub->lock);
}

void cv_hub_told(struct convo_store *store, const struct convo_key *key)
{
	struct store_hub *hub = atomic_load_explicit(&store->hub, memory_order_acquire);

	if (hub)
		hub_tell(hub, cv_key_tag(key));
}

/* With the lock held: hand `visit` every session. */
static void hub_each(struct store_hub *hub, void (*visit)(struct store_hub *, struct hub_session *))
{
	size_t i;

	for (i = 0; i < hub->sessions.buckets; i++) {
		struct chain_node *at;

		for (at = hub->sessions.bucket[i]; at; at = at->next)
			visit(hub, (struct hub_session *)at);
	}
}

/* ---- the thread: the ear ---------------------------------------------------------------- */

static void ear_drop(struct store_hub *hub)
{
	if (!hub->ear)
		return;
	hub->store->be->ear_close(hub->ear);
	hub->ear = NULL;
	hub->ear_at_us = cv_clock_mono_us() + hub->retry_us;
	hub->retry_us = 2 * hub->retry_us < RETRY_MOST_US ? 2 * hub->retry_us : RETRY_MOST_US;
	hub->marks_at_us = 0;
}

static void ear_lost(struct store_hub *hub, struct hub_session *session)
{
	(void)hub;
	session->heard = false;
}

/* Tell the ear what is watched now, and what is no more. With the lock held. */
static void ear_tell(struct store_hub *hub, struct hub_session *session)
{
	bool on = session->entries != NULL;

	if (!hub->ear || session->heard == on)
		return;
	if (hub->store->be->ear_set(hub->ear, &session->key, on, NULL) < 0) {
		ear_drop(hub);
		hub_each(hub, ear_lost);
		return;
	}
	session->heard = on;
}

static void ear_new(struct store_hub *hub, struct hub_session *session)
{
	session->heard = false;
	ear_tell(hub, session);
	session_news(session);
}

/* Get an ear, if it is time to. A server that is not there is tried again, ever less often. */
static void ear_try(struct store_hub *hub)
{
	const struct convo_call how = {.cancel = hub->closing};
	const struct cv_backend *be = hub->store->be;
	struct store_call call;
	int rc;

	if (!be->ear_open || hub->ear || hub->deaf || cv_clock_mono_us() < hub->ear_at_us ||
	    cv_call_begin(&call, hub->store, &how, NULL) < 0)
		return;
	rc = be->ear_open(hub->store, &call, &hub->ear, NULL);
	if (rc < 0) {
		hub->ear = NULL;
		hub->deaf = rc == CONVO_E_UNSUPPORTED;
		hub->ear_at_us = cv_clock_mono_us() + hub->retry_us;
		hub->retry_us =
			2 * hub->retry_us < RETRY_MOST_US ? 2 * hub->retry_us : RETRY_MOST_US;
		return;
	}
	pthread_mutex_lock(&hub->lock);
	hub_each(hub, ear_new);
	pthread_mutex_unlock(&hub->lock);
	hub->marks_at_us = cv_clock_mono_us() + FOLLOW_US;
}

/* ---- the thread: marks ------------------------------------------------------------------ */

static void marks_list(struct store_hub *hub, struct hub_session *session)
{
	if (cv_grow((void **)&hub->asked, &hub->asked_cap, hub->asked_count + 1,
		    sizeof(struct hub_session *)))
		hub->asked[hub->asked_count++] = session;
}

static bool marks_ask(struct store_hub *hub, struct hub_session **sessions, size_t count)
{
	const struct convo_call how = {.cancel = hub->closing};
	const struct convo_key *keys[STORE_MARKS];
	uint64_t marks[STORE_MARKS];
	struct store_call call;
	size_t i;

	for (i = 0; i < count; i++)
		keys[i] = &sessions[i]->key;
	if (cv_call_begin(&call, hub->store, &how, NULL) < 0 ||
	    hub->store->be->marks(hub->store, &call, keys, count, marks, NULL) < 0)
		return false;
	pthread_mutex_lock(&hub->lock);
	for (i = 0; i < count; i++) {
		if (!sessions[i]->marked || sessions[i]->mark != marks[i])
			session_news(sessions[i]);
		sessions[i]->marked = true;
		sessions[i]->mark = marks[i];
	}
	pthread_mutex_unlock(&hub->lock);
	return true;
}

/* Ask for all sessions, if it is time to. What fails is asked for again next time. */
static void marks_try(struct store_hub *hub)
{
	size_t i, n;

	if (cv_clock_mono_us() < hub->marks_at_us)
		return;
	pthread_mutex_lock(&hub->lock);
	hub->asked_count = 0;
	hub_each(hub, marks_list);
	pthread_mutex_unlock(&hub->lock);
	for (i = 0; i < hub->asked_count; i += n) {
		n = hub->asked_count - i < STORE_MARKS ? hub->asked_count - i : STORE_MARKS;
		if (!marks_ask(hub, &hub->asked[i], n))
			break;
	}
	hub->marks_at_us =
		cv_clock_mono_us() + (hub->ear ? EAR_MARKS_US : hub->store->be->marks_us);
}

/* ---- the thread ------------------------------------------------------------------------- */

static void hub_forget(struct store_hub *hub, struct hub_session *session)
{
	cv_chain_remove(&hub->sessions, &session->chain);
	free(session);
}

/* Look at the sessions that were added or are watched no more. @return whether to go on */
static bool hub_changes(struct store_hub *hub, bool *idle)
{
	struct hub_session *session;
	int64_t soon_us = cv_clock_mono_us() + FOLLOW_US;
	bool go;

	pthread_mutex_lock(&hub->lock);
	while ((session = hub->changed)) {
		hub->changed = session->next_changed;
		session->changed = false;
		ear_tell(hub, session);
		if (!session->entries)
			hub_forget(hub, session);
		else if (!session->marked && hub->ear && hub->marks_at_us > soon_us)
			hub->marks_at_us = soon_us;
		else if (!session->marked && !hub->ear)
			hub->marks_at_us = 0;
	}
	*idle = hub->sessions.count == 0;
	go = !hub->stop;
	pthread_mutex_unlock(&hub->lock);
	return go;
}

static void hub_wait(struct store_hub *hub, bool idle)
{
	struct pollfd fd = {.fd = convo_cancel_fd(hub->wake), .events = POLLIN};
	int64_t until_us = hub->marks_at_us, left_us;

	if (hub->ear) {
		const struct convo_call how = {.cancel = hub->wake};
		struct store_call call;
		int rc = cv_call_begin(&call, hub->store, &how, NULL);

		if (rc == CONVO_E_CANCELED)
			return;
		call.deadline_us = until_us;
		rc = hub->store->be->ear_wait(hub->ear, &call, hub_tell, hub, NULL);
		if (rc == 0 || rc == CONVO_E_CANCELED) {
			hub->retry_us = RETRY_FIRST_US;
			return;
		}
		ear_drop(hub);
		return;
	}
	if (hub->store->be->ear_open && !hub->deaf && hub->ear_at_us < until_us)
		until_us = hub->ear_at_us;
	left_us = until_us - cv_clock_mono_us();
	poll(&fd, 1, idle ? -1 : left_us < 0 ? 0 : (int)(left_us / 1000) + 1);
}

static void *hub_main(void *ctx)
{
	struct store_hub *hub = ctx;
	bool idle;

	for (;;) {
		convo_cancel_reset(hub->wake); /* what it was asked for is on the list */
		if (!hub_changes(hub, &idle))
			break;
		if (idle) {
			ear_drop(hub);
			hub->ear_at_us = 0;
			hub->retry_us = RETRY_FIRST_US;
		} else {
			ear_try(hub);
			marks_try(hub);
		}
		hub_wait(hub, idle);
	}
	ear_drop(hub);
	return NULL;
}

/* ---- its beginning and end -------------------------------------------------------------- */

static void hub_free(struct store_hub *hub)
{
	convo_cancel_free(hub->wake);
	convo_cancel_free(hub->closing);
	cv_chain_clear(&hub->sessions);
	pthread_mutex_destroy(&hub->lock);
	free(hub->asked);
	free(hub);
}

static int hub_start(struct store_hub **out, struct convo_store *store, struct convo_err *err)
{
	struct store_hub *hub = cv_alloc(1, sizeof(*hub));
	sigset_t all, old;
	int rc;

	if (!hub)
		return cv_fail_nomem(err);
	hub->store = store;
	hub->retry_us = RETRY_FIRST_US;
	pthread_mutex_init(&hub->lock, NULL);
	rc = convo_cancel_new(&hub->wake, err);
	if (rc == 0)
		rc = convo_cancel_new(&hub->closing, err);
	if (rc < 0) {
		hub_free(hub);
		return rc;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&hub->thread, NULL, hub_main, hub);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		hub_free(hub);
		return cv_fail(err, CONVO_E_NOMEM, "no thread for watching");
	}
	*out = hub;
	return 0;
}

/* The hub of a store, made by the first who watches. */
static int hub_of(struct store_hub **out, struct convo_store *store, struct convo_err *err)
{
	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	int rc = 0;

	pthread_mutex_lock(&making);
	*out = atomic_load(&store->hub);
	if (!*out) {
		rc = hub_start(out, store, err);
		if (rc == 0)
			atomic_store_explicit(&store->hub, *out, memory_order_release);
	}
	pthread_mutex_unlock(&making);
	return rc;
}

void cv_hub_close(struct convo_store *store)
{
	struct store_hub *hub = atomic_load(&store->hub);

	if (!hub)
		return;
	pthread_mutex_lock(&hub->lock);
	hub->stop = true;
	pthread_mutex_unlock(&hub->lock);
	convo_cancel_request(hub->closing);
	convo_cancel_request(hub->wake);
	pthread_join(hub->thread, NULL);
	atomic_store(&store->hub, NULL);
	hub_free(hub);
}

/* ---- watches ---------------------------------------------------------------------------- */

int convo_watch_new(convo_watch **out, convo_store *store, struct convo_err *err)
{
	pthread_condattr_t attr;
	convo_watch *watch;
	int rc = cv_check_given(out, "where the watch goes", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(store, "the store", err);
	if (rc < 0)
		return rc;
	watch = cv_alloc(1, sizeof(*watch));
	if (!watch)
		return cv_fail_nomem(err);
	rc = hub_of(&watch->hub, store, err);
	if (rc < 0) {
		free(watch);
		return rc;
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->wake, &attr);
	pthread_condattr_destroy(&attr);
	watch->news_end = &watch->news;
	*out = watch;
	return 0;
}

/* Let the thread look at a session. */
static void session_changed(struct store_hub *hub, struct hub_session *session)
{
	if (session->changed)
		return;
	session->changed = true;
	session->next_changed = hub->changed;
	hub->changed = session;
	convo_cancel_request(hub->wake);
}

static struct hub_session *session_find(struct store_hub *hub, const struct convo_key *key,
					uint64_t tag)
{
	struct chain_node *at;

	for (at = cv_chain_first(&hub->sessions, tag); at; at = at->next) {
		struct hub_session *session = (struct hub_session *)at;

		if (at->hash == tag && strcmp(session->key.session, key->session) == 0 &&
		    strcmp(session->key.user, key->user) == 0 &&
		    strcmp(session->key.app, key->app) == 0)
			return session;
	}
	return NULL;
}

static struct hub_session *session_make(struct store_hub *hub, const struct convo_key *key,
					uint64_t tag)
{
	size_t app = strlen(key->app) + 1, user = strlen(key->user) + 1;
	size_t id = strlen(key->session) + 1;
	struct hub_session *session = cv_alloc(1, sizeof(*session) + app + user + id);

	if (!session || !cv_chain_reserve(&hub->sessions, 1)) {
		free(session);
		return NULL;
	}
	memcpy(session->names, key->app, app);
	memcpy(session->names + app, key->user, user);
	memcpy(session->names + app + user, key->session, id);
	session->key = (struct convo_key){session->names, session->names + app,
					  session->names + app + user};
	session->chain.hash = tag;
	cv_chain_add(&hub->sessions, &session->chain);
	return session;
}

static struct watch_entry *entry_find(const struct hub_session *session, const convo_watch *watch)
{
	struct watch_entry *entry = session->entries;

	while (entry && entry->watch != watch)
		entry = entry->next;
	return entry;
}

static void entry_link(struct watch_entry *entry, struct hub_session *session, convo_watch *watch)
{
	entry->session = session;
	entry->watch = watch;
	entry->next = session->entries;
	entry->link = &session->entries;
	if (entry->next)
		entry->next->link = &entry->next;
	session->entries = entry;
	entry->watch_next = watch->entries;
	entry->watch_link = &watch->entries;
	if (entry->watch_next)
		entry->watch_next->watch_link = &entry->watch_next;
	watch->entries = entry;
}

static void entry_drop_news(struct watch_entry *entry)
{
	struct watch_entry **at = &entry->watch->news;

	if (!entry->news)
		return;
	while (*at != entry)
		at = &(*at)->next_news;
	*at = entry->next_news;
	if (!*at)
		entry->watch->news_end = at;
}

static void entry_free(struct watch_entry *entry)
{
	*entry->link = entry->next;
	if (entry->next)
		entry->next->link = entry->link;
	*entry->watch_link = entry->watch_next;
	if (entry->watch_next)
		entry->watch_next->watch_link = entry->watch_link;
	free(entry);
}

void convo_watch_free(convo_watch *watch)
{
	struct store_hub *hub;

	if (!watch)
		return;
	hub = watch->hub;
	pthread_mutex_lock(&hub->lock);
	while (watch->entries) {
		struct hub_session *session = watch->entries->session;

		entry_free(watch->entries);
		if (!session->entries)
			session_changed(hub, session);
	}
	pthread_mutex_unlock(&hub->lock);
	pthread_cond_destroy(&watch->wake);
	free(watch);
}

int convo_watch_add(convo_watch *watch, const struct convo_key *key, void *tag,
		    struct convo_err *err)
{
	struct watch_entry *entry, *made;
	struct hub_session *session;
	struct store_hub *hub;
	uint64_t hash;
	int rc = cv_check_given(watch, "the watch", err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	hub = watch->hub;
	hash = cv_key_tag(key);
	made = cv_alloc(1, sizeof(*made));
	if (!made)
		return cv_fail_nomem(err);
	pthread_mutex_lock(&hub->lock);
	session = session_find(hub, key, hash);
	if (!session)
		session = session_make(hub, key, hash);
	if (!session) {
		pthread_mutex_unlock(&hub->lock);
		free(made);
		return cv_fail_nomem(err);
	}
	entry = entry_find(session, watch);
	if (!entry) {
		entry = made;
		made = NULL;
		entry_link(entry, session, watch);
		session_changed(hub, session);
	}
	entry->tag = tag;
	entry_news(entry);
	pthread_mutex_unlock(&hub->lock);
	free(made);
	return 0;
}

void convo_watch_remove(convo_watch *watch, const struct convo_key *key)
{
	struct hub_session *session;
	struct watch_entry *entry;

	if (!watch || cv_prepare_key(key, CONVO_SCOPE_SESSION, NULL) < 0)
		return;
	pthread_mutex_lock(&watch->hub->lock);
	session = session_find(watch->hub, key, cv_key_tag(key));
	entry = session ? entry_find(session, watch) : NULL;
	if (entry) {
		entry_drop_news(entry);
		entry_free(entry);
		if (!session->entries)
			session_changed(watch->hub, session);
	}
	pthread_mutex_unlock(&watch->hub->lock);
}

/* With the lock held: wait for news, until a moment (0: for ever). */
static int watch_wait(convo_watch *watch, int64_t until_us, const convo_cancel *cancel,
		      struct convo_err *err)
{
	while (!watch->news) {
		int64_t now_us = cv_clock_mono_us(), at_us = until_us ? until_us : INT64_MAX;
		struct timespec ts;

		if (convo_cancel_requested(cancel))
			return cv_fail(err, CONVO_E_CANCELED, "canceled");
		if (now_us >= at_us)
			return cv_fail(err, CONVO_E_TIMEOUT, "no news");
		if (cancel && at_us > now_us + CANCEL_US)
			at_us = now_us + CANCEL_US;
		if (at_us == INT64_MAX) {
			pthread_cond_wait(&watch->wake, &watch->hub->lock);
			continue;
		}
		ts = (struct timespec){.tv_sec = at_us / 1000000,
				       .tv_nsec = at_us % 1000000 * 1000};
		pthread_cond_timedwait(&watch->wake, &watch->hub->lock, &ts);
	}
	return 0;
}

int convo_watch_next(convo_watch *watch, struct convo_key *key, void **tag,
		     const struct convo_call *call, struct convo_err *err)
{
	static const struct convo_call unbounded;
	struct watch_entry *entry;
	int64_t until_us = 0;
	int rc = cv_check_given(watch, "the watch", err);

	if (rc < 0)
		return rc;
	if (!call)
		call = &unbounded;
	rc = CHECK_RESERVED(call, err);
	if (rc < 0)
		return rc;
	if (call->timeout_ms < 0 || call->timeout_ms > CONVO_MAX_DURATION)
		return cv_fail(err, CONVO_E_INVALID, "the timeout of the call is out of range");
	if (call->timeout_ms)
		until_us = cv_clock_mono_us() + call->timeout_ms * 1000;
	pthread_mutex_lock(&watch->hub->lock);
	rc = watch_wait(watch, until_us, call->cancel, err);
	if (rc == 0) {
		entry = watch->news;
		watch->news = entry->next_news;
		if (!watch->news)
			watch->news_end = &watch->news;
		entry->news = false;
		if (key)
			*key = entry->session->key;
		if (tag)
			*tag = entry->tag;
	}
	pthread_mutex_unlock(&watch->hub->lock);
	return rc;
}
