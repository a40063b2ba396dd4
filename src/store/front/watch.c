/*
 * Watching as a program sees it; see convo/watch.h.
 */
#include <convo/watch.h>

#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/prepare.h>
#include <store/front/watched.h>

#define CANCEL_US 50000 /* how often one who waits looks for a cancel */

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
	rc = cv_hub_of(&watch->hub, store, err);
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

void convo_watch_free(convo_watch *watch)
{
	struct store_hub *hub;

	if (!watch)
		return;
	hub = watch->hub;
	pthread_mutex_lock(&hub->lock);
	while (watch->entries) {
		struct hub_session *session = watch->entries->session;

		cv_entry_free(watch->entries);
		if (!session->entries)
			cv_watched_changed(hub, session);
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
	session = cv_watched_find(hub, key, hash);
	if (!session)
		session = cv_watched_make(hub, key, hash);
	if (!session) {
		pthread_mutex_unlock(&hub->lock);
		free(made);
		return cv_fail_nomem(err);
	}
	entry = cv_entry_find(session, watch);
	if (!entry) {
		entry = made;
		made = NULL;
		cv_entry_link(entry, session, watch);
		cv_watched_changed(hub, session);
	}
	entry->tag = tag;
	cv_entry_news(entry);
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
	session = cv_watched_find(watch->hub, key, cv_key_tag(key));
	entry = session ? cv_entry_find(session, watch) : NULL;
	if (entry) {
		cv_entry_drop_news(entry);
		cv_entry_free(entry);
		if (!session->entries)
			cv_watched_changed(watch->hub, session);
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
	rc = cv_call_check(call, err);
	if (rc < 0)
		return rc;
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
