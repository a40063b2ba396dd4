/*
 * The cleaning thread; see cleaner.h. It sleeps on a condition between cleanings, so that a store
 * without work uses no CPU (P3), and blocks all signals, which belong to the program.
 */
#include <store/front/cleaner.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>

struct store_cleaner {
	struct convo_store *store;
	convo_cancel *cancel; /* ends the step that runs when the store is closed */
	pthread_t thread;
	pthread_mutex_t lock; /* guards stop */
	pthread_cond_t wake;
	bool stop;
};

/* First pause after a step that failed; it doubles up to the interval. */
#define PAUSE_US 100000

static int clean_step(struct convo_store *store, const struct convo_call *how, int64_t deadline_us,
		      int64_t *removed, bool *more, struct convo_err *err)
{
	struct store_call call;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	if (deadline_us < call.deadline_us)
		call.deadline_us = deadline_us;
	return store->be->clean(store, &call, removed, more, err);
}

int cv_clean_all(struct convo_store *store, const struct convo_call *how, int64_t deadline_us,
		 int64_t *removed, bool *more, struct convo_err *err)
{
	int rc;

	*removed = 0;
	*more = store->be->clean != NULL;
	while (*more) {
		rc = clean_step(store, how, deadline_us, removed, more, err);
		if (rc < 0)
			return rc;
		if (cv_clock_mono_us() >= deadline_us)
			break;
	}
	return 0;
}

/* Sleep for so long. @return false to stop */
static bool cleaner_sleep(struct store_cleaner *cleaner, int64_t us)
{
	int64_t until = cv_clock_mono_us() + us;
	struct timespec ts = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
	bool go;

	pthread_mutex_lock(&cleaner->lock);
	while (!cleaner->stop && cv_clock_mono_us() < until)
		pthread_cond_timedwait(&cleaner->wake, &cleaner->lock, &ts);
	go = !cleaner->stop;
	pthread_mutex_unlock(&cleaner->lock);
	return go;
}

/*
 * A step after the other as long as there is work, then a pause of one interval. After a failure,
 * which is reported to nobody, the rest of the work waits for a shorter pause, so that a server
 * which is not there is asked now and then.
 */
static void *cleaner_main(void *ctx)
{
	struct store_cleaner *cleaner = ctx;
	struct convo_store *store = cleaner->store;
	const struct convo_call how = {.cancel = cleaner->cancel};
	int64_t pause_us = store->opts.clean_interval_ms * 1000, retry_us = PAUSE_US;

	while (cleaner_sleep(cleaner, pause_us)) {
		int64_t interval_us, removed = 0;
		bool more = false;
		int rc = clean_step(store, &how, INT64_MAX, &removed, &more, NULL);

		interval_us = store->opts.clean_interval_ms * 1000;
		if (rc < 0) {
			pause_us = retry_us < interval_us ? retry_us : interval_us;
			retry_us = 2 * pause_us;
		} else {
			pause_us = more ? 0 : interval_us;
			retry_us = PAUSE_US;
		}
	}
	return NULL;
}

static int cleaner_create(struct store_cleaner *cleaner)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int rc;

	pthread_mutex_init(&cleaner->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cleaner->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&cleaner->thread, NULL, cleaner_main, cleaner);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int cv_cleaner_start(struct convo_store *store, struct convo_err *err)
{
	struct store_cleaner *cleaner;
	int rc;

	if (!store->be->clean || !store->opts.clean_interval_ms ||
	    (!store->opts.ttl_ms && !store->opts.trash_ms))
		return 0;
	cleaner = cv_alloc(1, sizeof(*cleaner));
	if (!cleaner)
		return cv_fail_nomem(err);
	cleaner->store = store;
	rc = convo_cancel_new(&cleaner->cancel, err);
	if (rc < 0) {
		free(cleaner);
		return rc;
	}
	store->cleaner = cleaner;
	if (cleaner_create(cleaner) != 0) {
		store->cleaner = NULL;
		convo_cancel_free(cleaner->cancel);
		free(cleaner);
		return cv_fail(err, CONVO_E_NOMEM, "no thread for cleaning");
	}
	return 0;
}

void cv_cleaner_stop(struct convo_store *store)
{
	struct store_cleaner *cleaner = store->cleaner;

	if (!cleaner)
		return;
	pthread_mutex_lock(&cleaner->lock);
	cleaner->stop = true;
	pthread_cond_signal(&cleaner->wake);
	pthread_mutex_unlock(&cleaner->lock);
	convo_cancel_request(cleaner->cancel);
	pthread_join(cleaner->thread, NULL);
	pthread_cond_destroy(&cleaner->wake);
	pthread_mutex_destroy(&cleaner->lock);
	store->cleaner = NULL;
	convo_cancel_free(cleaner->cancel);
	free(cleaner);
}
