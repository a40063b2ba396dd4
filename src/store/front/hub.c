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

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/watched.h>

void cv_hub_told(struct convo_store *store, const struct convo_key *key)
{
	struct store_hub *hub = atomic_load_explicit(&store->hub, memory_order_acquire);

	if (hub)
		cv_watched_tell(hub, cv_key_tag(key));
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
		cv_ear_tell(hub, session);
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
		rc = hub->store->be->ear_wait(hub->ear, &call, cv_watched_tell, hub, NULL);
		if (rc == 0 || rc == CONVO_E_CANCELED) {
			hub->retry_us = RETRY_FIRST_US;
			return;
		}
		cv_ear_drop(hub);
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
			cv_ear_drop(hub);
			hub->ear_at_us = 0;
			hub->retry_us = RETRY_FIRST_US;
		} else {
			cv_ear_try(hub);
			cv_marks_try(hub);
		}
		hub_wait(hub, idle);
	}
	cv_ear_drop(hub);
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

int cv_hub_of(struct store_hub **out, struct convo_store *store, struct convo_err *err)
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
