/*
 * Keeping turns; see keeper.h. The thread sleeps on a condition until the next draft or sign of life is
 * due, and blocks all signals, which belong to the program.
 */
#include <runner/keeper.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/buf.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/json.h>

#define DRAFT_US 1000000  /* between two drafts */
#define PAUSE_US 10000000 /* the longest pause after failures, which double it */
#define PARTS 3           /* kinds of deltas that are text */

struct kept {
	struct keep keep;
	struct keeper *keeper;
	struct convo_listener listener;

	/* under the keeper's lock */
	struct kept *next, **link; /* NULL: it is not kept any more */
	struct cv_buf part[PARTS];
	bool grew;        /* since the last draft */
	bool holed;       /* a piece is missing: there was no memory, or it is too large */
	bool saving;      /* the thread is at it */
	bool lost;        /* another one holds the session */
	int64_t saved_us; /* when a draft was tried last, or it began */
	int64_t sign_us;  /* when the store has heard of it last */
	int64_t pause_us; /* between two tries */
};

struct keeper {
	convo_store *store;
	convo_cancel *cancel; /* of the call that runs */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the thread has something to do */
	pthread_cond_t idle; /* a call of it has ended */
	pthread_t thread;
	bool started, stop;
	struct kept *kept;
	int64_t until_us;      /* the thread sleeps until then */
	struct cv_buf message; /* the thread's own */
};

/* ---- what there is so far --------------------------------------------------------------- */

/* The answer so far as a message; the texts grow at their ends, so the front of it mostly stays. */
static int kept_message(struct cv_buf *out, const struct kept *kept)
{
	static const struct {
		enum convo_delta_kind kind;
		const char *name;
	} members[PARTS] = {{CONVO_DELTA_REASONING, ",\"reasoning_content\":"},
			    {CONVO_DELTA_REFUSAL, ",\"refusal\":"},
			    {CONVO_DELTA_TEXT, ",\"content\":"}};
	int rc;

	cv_buf_reset(out);
	rc = cv_buf_adds(out, "{\"role\":\"assistant\"");
	for (size_t i = 0; i < PARTS && rc >= 0; i++) {
		const struct cv_buf *part = &kept->part[members[i].kind];

		if (!part->len && members[i].kind != CONVO_DELTA_TEXT)
			continue;
		rc = cv_buf_adds(out, members[i].name);
		if (rc >= 0)
			rc = cv_json_quote_to(out, cv_buf_str(part), part->len);
	}
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}

/* ---- the thread ------------------------------------------------------------------------- */

/* When something is to be done for it. */
static int64_t kept_due(const struct kept *kept)
{
	int64_t sign_us = kept->sign_us + kept->keep.lease_ms * 1000 / 3;
	int64_t draft_us = kept->saved_us + kept->pause_us;

	if (kept->lost)
		return INT64_MAX;
	if (kept->pause_us > DRAFT_US) /* it failed: with what there is */
		return draft_us;
	return kept->grew && draft_us < sign_us ? draft_us : sign_us;
}

/* Save what came, or just prolong. With the lock held, which is given back meanwhile. */
static void kept_save(struct keeper *keeper, struct kept *kept)
{
	const struct convo_call call = {.cancel = keeper->cancel};
	const struct convo_expect expect = {.lease = kept->keep.lease, .hold = CONVO_HOLD_KEEP};
	struct convo_event event = {
		.id = kept->keep.id, .turn = kept->keep.turn, .model = kept->keep.model};
	bool draft = kept->grew && !kept->holed && kept_message(&keeper->message, kept) >= 0 &&
		     keeper->message.len <= CONVO_MAX_DRAFT;
	int rc;

	event.message = keeper->message.data;
	event.message_len = keeper->message.len;
	kept->grew = false;
	kept->saving = true;
	pthread_mutex_unlock(&keeper->lock);
	if (draft)
		rc = convo_store_draft(keeper->store, &kept->keep.key, kept->keep.lease, &event,
				       &call, NULL);
	else
		rc = convo_store_append(keeper->store, &kept->keep.key, &expect, NULL, 0, NULL,
					&call, NULL);
	pthread_mutex_lock(&keeper->lock);
	kept->saving = false;
	kept->saved_us = cv_clock_mono_us();
	if (rc >= 0) {
		kept->sign_us = kept->saved_us;
		kept->pause_us = DRAFT_US;
	} else {
		kept->lost = rc == CONVO_E_CONFLICT || rc == CONVO_E_NOTFOUND;
		kept->grew |= draft;
		kept->pause_us = 2 * kept->pause_us < PAUSE_US ? 2 * kept->pause_us : PAUSE_US;
	}
	convo_cancel_reset(keeper->cancel);
	pthread_cond_broadcast(&keeper->idle);
}

/* The one that is due first. */
static struct kept *keeper_next(const struct keeper *keeper)
{
	struct kept *first = NULL, *kept;

	for (kept = keeper->kept; kept; kept = kept->next) {
		if (!first || kept_due(kept) < kept_due(first))
			first = kept;
	}
	return first;
}

static void keeper_sleep(struct keeper *keeper, int64_t until_us)
{
	struct timespec ts = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};

	keeper->until_us = until_us;
	if (until_us == INT64_MAX)
		pthread_cond_wait(&keeper->wake, &keeper->lock);
	else
		pthread_cond_timedwait(&keeper->wake, &keeper->lock, &ts);
	keeper->until_us = 0;
}

static void *keeper_main(void *ctx)
{
	struct keeper *keeper = ctx;

	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stop) {
		struct kept *kept = keeper_next(keeper);
		int64_t due_us = kept ? kept_due(kept) : INT64_MAX;

		if (due_us <= cv_clock_mono_us())
			kept_save(keeper, kept);
		else
			keeper_sleep(keeper, due_us);
	}
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

/* With the lock held: let the thread look again if it sleeps for longer than that. */
static void keeper_wake(struct keeper *keeper, int64_t due_us)
{
	if (keeper->until_us > due_us)
		pthread_cond_signal(&keeper->wake);
}

/* With the lock held. */
static int keeper_start(struct keeper *keeper, struct convo_err *err)
{
	sigset_t all, old;
	int rc;

	if (keeper->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&keeper->thread, NULL, keeper_main, keeper);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return cv_fail(err, CONVO_E_NOMEM, "no thread for keeping turns");
	keeper->started = true;
	return 0;
}

int cv_keeper_new(struct keeper **out, convo_store *store, struct convo_err *err)
{
	struct keeper *keeper = cv_alloc(1, sizeof(*keeper));
	pthread_condattr_t attr;
	int rc;

	if (!keeper)
		return cv_fail_nomem(err);
	rc = convo_cancel_new(&keeper->cancel, err);
	if (rc < 0) {
		free(keeper);
		return rc;
	}
	keeper->store = store;
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->wake, &attr);
	pthread_cond_init(&keeper->idle, NULL);
	pthread_condattr_destroy(&attr);
	*out = keeper;
	return 0;
}

void cv_keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->stop = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	if (keeper->started)
		pthread_join(keeper->thread, NULL);
	pthread_cond_destroy(&keeper->wake);
	pthread_cond_destroy(&keeper->idle);
	pthread_mutex_destroy(&keeper->lock);
	convo_cancel_free(keeper->cancel);
	cv_buf_clear(&keeper->message);
	free(keeper);
}

/* ---- turns ------------------------------------------------------------------------------ */

static int kept_on_delta(void *ctx, const struct convo_delta *delta)
{
	struct kept *kept = ctx;
	const struct convo_listener *to = kept->keep.listener;
	bool lost;
	int rc = to && to->on_delta ? to->on_delta(to->ctx, delta) : 0;

	pthread_mutex_lock(&kept->keeper->lock);
	lost = kept->lost;
	if (!delta->len || (size_t)delta->kind >= PARTS)
		goto out; /* a piece of a tool call: half of one is not kept */
	if (cv_buf_add(&kept->part[delta->kind], delta->text, delta->len) < 0)
		kept->holed = true;
	if (!kept->grew && !kept->holed) {
		kept->grew = true;
		keeper_wake(kept->keeper, kept_due(kept));
	}
out:
	pthread_mutex_unlock(&kept->keeper->lock);
	return rc ? rc : lost;
}

static int kept_on_wait(void *ctx, const struct convo_wait *wait)
{
	const struct convo_listener *to = ((struct kept *)ctx)->keep.listener;

	return to && to->on_wait ? to->on_wait(to->ctx, wait) : 0;
}

int cv_kept_new(struct kept **out, struct keeper *keeper, const struct keep *keep,
		struct convo_err *err)
{
	struct kept *kept = cv_alloc(1, sizeof(*kept));
	int rc;

	if (!kept)
		return cv_fail_nomem(err);
	kept->keep = *keep;
	kept->keeper = keeper;
	kept->listener = (struct convo_listener){
		.on_delta = kept_on_delta, .on_wait = kept_on_wait, .ctx = kept};
	kept->saved_us = kept->sign_us = cv_clock_mono_us();
	kept->pause_us = DRAFT_US;
	for (size_t i = 0; i < PARTS; i++)
		kept->part[i].max = CONVO_MAX_DRAFT;
	pthread_mutex_lock(&keeper->lock);
	rc = keeper_start(keeper, err);
	if (rc == 0) {
		kept->next = keeper->kept;
		kept->link = &keeper->kept;
		if (kept->next)
			kept->next->link = &kept->next;
		keeper->kept = kept;
		keeper_wake(keeper, kept_due(kept));
	}
	pthread_mutex_unlock(&keeper->lock);
	if (rc < 0) {
		free(kept);
		return rc;
	}
	*out = kept;
	return 0;
}

const struct convo_listener *cv_kept_listener(const struct kept *kept)
{
	return &kept->listener;
}

/* With the lock held. */
static void kept_unlink(struct kept *kept)
{
	if (!kept->link)
		return;
	*kept->link = kept->next;
	if (kept->next)
		kept->next->link = kept->link;
	kept->link = NULL;
}

void cv_kept_stop(struct kept *kept)
{
	if (!kept)
		return;
	pthread_mutex_lock(&kept->keeper->lock);
	kept_unlink(kept);
	pthread_mutex_unlock(&kept->keeper->lock);
}

void cv_kept_free(struct kept *kept)
{
	struct keeper *keeper;

	if (!kept)
		return;
	keeper = kept->keeper;
	pthread_mutex_lock(&keeper->lock);
	kept_unlink(kept);
	while (kept->saving) {
		convo_cancel_request(keeper->cancel);
		pthread_cond_wait(&keeper->idle, &keeper->lock);
	}
	pthread_mutex_unlock(&keeper->lock);
	for (size_t i = 0; i < PARTS; i++)
		cv_buf_clear(&kept->part[i]);
	free(kept);
}
