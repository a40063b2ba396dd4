/*
 * Followers; see hub.h.
 *
 * News of a session is worked on by one thread at a time, which alone touches what its followers were told. Who
 * joins or leaves makes news, too, and so does one who has taken what waited for him: that is how the thread
 * comes to know. A stream calls with its lock held, so the hub's lock is never held while a stream is used.
 */
#include "api/hub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/watch.h>

#include "api/news.h"
#include "core/fail.h"
#include "core/handles.h"

/* They wait for the store most of the time. */
#define THREADS 4

/* What failed is tried again after this time. */
#define RETRY_MS 2000

/* Sessions are found by a table of so many lists. */
#define LISTS 1024

/* A session that is followed. */
struct followed {
	struct followed *next; /* in its list */
	struct convo_key key;
	void *handle;
	struct follower *followers; /* new ones come at the front, below the lock */
	bool busy;                  /* a thread works on it */
	bool again;                 /* there was news meanwhile */
	bool failed;                /* it is to be tried again */
};

struct hub {
	convo_store *store;
	convo_watch *watch; /* NULL: nobody has followed yet */
	pthread_t thread[THREADS];
	unsigned threads;
	pthread_mutex_t lock;   /* guards all below */
	struct handles handles; /* of those followed: what news brings may be gone */
	struct followed *lists[LISTS];
	size_t failed; /* those followed that are to be tried again */
};

/* Never followed: news of it ends the threads. */
static const struct convo_key leave = {"convo:", "hub", "leave"};

struct hub *hub_new(convo_store *store)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	hub->store = store;
	pthread_mutex_init(&hub->lock, NULL);
	return hub;
}

/* ---- those followed, with the lock held ----------------------------------------------- */

static struct followed **list_of(struct hub *hub, const struct convo_key *key)
{
	const char *const parts[] = {key->session, key->user, key->app};
	size_t hash = 5381, i;
	const char *c;

	for (i = 0; i < 3; i++)
		for (c = parts[i]; *c; c++)
			hash = hash * 33 ^ (unsigned char)*c;
	return &hub->lists[hash % LISTS];
}

static struct followed *followed_find(struct hub *hub, const struct convo_key *key)
{
	struct followed *one = *list_of(hub, key);

	while (one &&
	       (strcmp(one->key.session, key->session) != 0 ||
		strcmp(one->key.user, key->user) != 0 || strcmp(one->key.app, key->app) != 0))
		one = one->next;
	return one;
}

static void followed_free(struct followed *one)
{
	free((char *)(uintptr_t)one->key.app);
	free((char *)(uintptr_t)one->key.user);
	free((char *)(uintptr_t)one->key.session);
	free(one);
}

static struct followed *followed_make(struct hub *hub, const struct convo_key *key)
{
	struct followed *one = calloc(1, sizeof(*one));
	struct followed **list = list_of(hub, key);

	if (!one)
		return NULL;
	one->key.app = strdup(key->app);
	one->key.user = strdup(key->user);
	one->key.session = strdup(key->session);
	if (one->key.app && one->key.user && one->key.session)
		one->handle = handles_add(&hub->handles, one);
	if (!one->handle) {
		followed_free(one);
		return NULL;
	}
	one->next = *list;
	*list = one;
	return one;
}

/* There is something to do for it. */
static void followed_poke(struct hub *hub, const struct followed *one)
{
	convo_watch_add(hub->watch, &one->key, one->handle, NULL);
}

/* Nobody follows it any more. */
static void followed_drop(struct hub *hub, struct followed *one)
{
	struct followed **link = list_of(hub, &one->key);

	while (*link != one)
		link = &(*link)->next;
	*link = one->next;
	convo_watch_remove(hub->watch, &one->key);
	handles_remove(&hub->handles, one->handle);
	hub->failed -= one->failed;
	followed_free(one);
}

/* ---- followers ------------------------------------------------------------------------ */

/* Take those who left off the list, with the lock held. @return them */
static struct follower *followers_sweep(struct followed *one)
{
	struct follower **link = &one->followers, *left = NULL;

	while (*link) {
		struct follower *follower = *link;

		if (!follower->left) {
			link = &follower->next;
			continue;
		}
		*link = follower->next;
		follower->next = left;
		left = follower;
	}
	return left;
}

static void followers_end(struct follower *follower)
{
	while (follower) {
		struct follower *next = follower->next;

		http_stream_end(follower->stream);
		free(follower);
		follower = next;
	}
}

/* Its reader left, in a thread of the HTTP library. */
static void follower_gone(void *ctx)
{
	struct follower *follower = ctx;
	struct hub *hub = follower->hub;

	pthread_mutex_lock(&hub->lock);
	follower->left = true;
	if (follower->of)
		followed_poke(hub, follower->of);
	pthread_mutex_unlock(&hub->lock);
}

/* It has taken all that waited for it. */
static void follower_taken(void *ctx)
{
	struct follower *follower = ctx;
	struct hub *hub = follower->hub;

	pthread_mutex_lock(&hub->lock);
	followed_poke(hub, follower->of);
	pthread_mutex_unlock(&hub->lock);
}

/* ---- telling -------------------------------------------------------------------------- */

/* Tell one follower all that is new. @return whether it failed, and is to be tried again */
static bool hub_tell(struct hub *hub, const struct convo_key *key, struct news *news,
		     struct follower *follower)
{
	enum news_next next;

	do {
		next = news_tell(news, hub->store, key, follower);
	} while (next == NEWS_MORE);
	if (next == NEWS_LEFT) {
		pthread_mutex_lock(&hub->lock);
		follower->left = true;
		pthread_mutex_unlock(&hub->lock);
	}
	if (next == NEWS_LATER)
		http_stream_on_taken(follower->stream, follower_taken, follower);
	return next == NEWS_FAILED;
}

/* Tell those who are there. @return whether it failed */
static bool hub_tell_all(struct hub *hub, const struct convo_key *key, struct follower *follower)
{
	struct news news = {0};
	bool failed = false;

	for (; follower; follower = follower->next)
		failed |= hub_tell(hub, key, &news, follower);
	news_clear(&news);
	return failed;
}

/* Work on the news of a session until there is none. */
static void hub_work(struct hub *hub, struct followed *one)
{
	struct follower *left, *first;
	bool failed;

	pthread_mutex_lock(&hub->lock);
	do {
		one->again = false;
		left = followers_sweep(one);
		first = one->followers;
		pthread_mutex_unlock(&hub->lock);
		followers_end(left);
		failed = hub_tell_all(hub, &one->key, first);
		pthread_mutex_lock(&hub->lock);
		for (; first && !one->again; first = first->next)
			one->again = first->left;
	} while (one->again);
	one->busy = false;
	hub->failed += failed;
	hub->failed -= one->failed;
	one->failed = failed;
	if (!one->followers)
		followed_drop(hub, one);
	pthread_mutex_unlock(&hub->lock);
}

/* Of those that failed there is news again. @return how long to wait for other news */
static int64_t hub_retry(struct hub *hub, bool now)
{
	struct followed *one;
	int64_t wait_ms;
	size_t i;

	pthread_mutex_lock(&hub->lock);
	for (i = 0; now && hub->failed && i < LISTS; i++)
		for (one = hub->lists[i]; one; one = one->next) {
			if (!one->failed)
				continue;
			one->failed = false;
			hub->failed--;
			followed_poke(hub, one);
		}
	wait_ms = hub->failed ? RETRY_MS : 0;
	pthread_mutex_unlock(&hub->lock);
	return wait_ms;
}

/* @return false: the threads are to end */
static bool hub_news(struct hub *hub, const void *tag)
{
	struct followed *one;
	bool work;

	if (!tag)
		return false;
	pthread_mutex_lock(&hub->lock);
	one = handles_get(&hub->handles, tag);
	work = one && !one->busy;
	if (work)
		one->busy = true;
	else if (one)
		one->again = true;
	pthread_mutex_unlock(&hub->lock);
	if (work)
		hub_work(hub, one);
	return true;
}

static void *hub_main(void *arg)
{
	struct hub *hub = arg;
	bool goes_on = true;
	int rc = 0;

	while (goes_on) {
		const struct convo_call call = {.timeout_ms =
							hub_retry(hub, rc == CONVO_E_TIMEOUT)};
		void *tag = NULL;

		rc = convo_watch_next(hub->watch, NULL, &tag, &call, NULL);
		if (rc == 0)
			goes_on = hub_news(hub, tag);
	}
	convo_watch_add(hub->watch, &leave, NULL, NULL); /* for the next one */
	return NULL;
}

/* ---- beginning and ending ------------------------------------------------------------- */

/* With the lock held. @return whether there is a thread */
static bool hub_begin(struct hub *hub)
{
	if (!hub->watch && convo_watch_new(&hub->watch, hub->store, NULL) < 0)
		return false;
	while (hub->threads < THREADS &&
	       pthread_create(&hub->thread[hub->threads], NULL, hub_main, hub) == 0)
		hub->threads++;
	return hub->threads;
}

static struct follower *follower_new(struct hub *hub, const struct hub_known *known,
				     http_stream *stream)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (!follower)
		return NULL;
	follower->hub = hub;
	follower->stream = stream;
	follower->seq = known->seq;
	snprintf(follower->generation, sizeof(follower->generation), "%s", known->generation);
	/* Before anybody else knows it, who might end it. */
	http_stream_on_gone(stream, follower_gone, follower);
	return follower;
}

int hub_add(struct hub *hub, const struct convo_key *key, const struct hub_known *known,
	    http_stream *stream, struct convo_err *err)
{
	struct follower *follower = follower_new(hub, known, stream);
	struct followed *one = NULL;

	pthread_mutex_lock(&hub->lock);
	if (follower && hub_begin(hub)) {
		one = followed_find(hub, key);
		if (!one)
			one = followed_make(hub, key);
	}
	if (one && follower) {
		follower->of = one;
		follower->next = one->followers;
		one->followers = follower;
		followed_poke(hub, one);
	}
	pthread_mutex_unlock(&hub->lock);
	if (one && follower)
		return 0;
	http_stream_end(stream);
	free(follower);
	return fail(err, CONVO_E_NOMEM, "out of memory");
}

void hub_free(struct hub *hub)
{
	size_t i;

	if (!hub)
		return;
	if (hub->watch) {
		convo_watch_add(hub->watch, &leave, NULL, NULL);
		for (i = 0; i < hub->threads; i++)
			pthread_join(hub->thread[i], NULL);
	}
	for (i = 0; i < LISTS; i++)
		while (hub->lists[i]) {
			followers_end(hub->lists[i]->followers);
			hub->lists[i]->followers = NULL;
			followed_drop(hub, hub->lists[i]);
		}
	convo_watch_free(hub->watch);
	handles_clear(&hub->handles);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
}
