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
#include <base/utf8.h>

#define DRAFT_US 1000000        /* after which what came is saved */
#define ALONG_US (DRAFT_US / 2) /* after which it may go along with another one's */
#define PAUSE_US 10000000       /* the longest pause after failures, which double it */
#define PATIENCE_US 500000      /* of a turn that has ended, for a call that saves drafts */
#define PARTS 3                 /* kinds of deltas that are text */
#define BATCH 250               /* turns of one call; what else is due goes with the next one */

/* What came of one kind. */
struct part {
	struct cv_buf said; /* as the inside of a JSON string */
	struct cv_buf more; /* as it came, behind that */
};

struct kept {
	struct keep keep;
	struct keeper *keeper;
	struct convo_listener listener;

	/* under the keeper's lock */
	struct kept *next, **link; /* NULL: it is not kept any more */
	struct part part[PARTS];
	bool grew;        /* since the last draft */
	bool holed;       /* a piece is missing: there was no memory, or it is too large */
	bool saving;      /* the thread is at it */
	bool lost;        /* another one holds the session */
	bool failed;      /* the last try */
	int64_t grew_us;  /* when it did */
	int64_t saved_us; /* when a draft was tried last, or it began */
	int64_t sign_us;  /* when the store has heard of it last */
	int64_t pause_us; /* after a failure */

	/* the thread's, while it saves it */
	struct cv_buf message;
	struct convo_event event;
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
	int64_t until_us; /* the thread sleeps until then */
	int64_t call_us;  /* when the call that runs began */

	/* the thread's: what goes to the store together */
	struct kept *batch[BATCH];
	struct convo_draft draft[BATCH];
	size_t count;
};

/* ---- what there is so far --------------------------------------------------------------- */

/* Take what came of one kind into the text, but for the beginning of a character. */
static int part_take(struct part *part)
{
	const char *more = cv_buf_str(&part->more);
	size_t len = part->more.len - cv_utf8_tail(more, part->more.len);
	int rc = cv_json_escape_to(&part->said, more, len);

	cv_buf_shift(&part->more, len);
	return rc;
}

/* The answer so far as a message; the texts grow at their ends, so the front of it mostly stays. */
static int kept_message(struct kept *kept)
{
	static const struct {
		enum convo_delta_kind kind;
		const char *name;
	} members[PARTS] = {{CONVO_DELTA_REASONING, ",\"reasoning_content\":\""},
			    {CONVO_DELTA_REFUSAL, ",\"refusal\":\""},
			    {CONVO_DELTA_TEXT, ",\"content\":\""}};
	struct cv_buf *out = &kept->message;
	int rc;

	cv_buf_reset(out);
	rc = cv_buf_adds(out, "{\"role\":\"assistant\"");
	for (size_t i = 0; i < PARTS && rc >= 0; i++) {
		struct part *part = &kept->part[members[i].kind];

		rc = part_take(part);
		if (rc < 0 || (!part->said.len && members[i].kind != CONVO_DELTA_TEXT))
			continue;
		rc = cv_buf_adds(out, members[i].name);
		if (rc >= 0)
			rc = cv_buf_add(out, cv_buf_str(&part->said), part->said.len);
		if (rc >= 0)
			rc = cv_buf_addc(out, '"');
	}
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}

/* ---- what is due ------------------------------------------------------------------------ */

/* When something is to be done for it. */
static int64_t kept_due(const struct kept *kept)
{
	int64_t sign_us = kept->sign_us + kept->keep.lease_ms * 1000 / 3;
	int64_t draft_us = kept->grew_us + DRAFT_US;

	if (kept->lost)
		return INT64_MAX;
	if (kept->failed)
		return kept->saved_us + kept->pause_us;
	return kept->grew && draft_us < sign_us ? draft_us : sign_us;
}

/* Whether it may go along with another one that is due: so all soon are due at the same time. */
static bool kept_goes_along(const struct kept *kept, int64_t now_us)
{
	if (kept->lost || kept->failed)
		return false;
	if (kept->grew && now_us - kept->saved_us >= ALONG_US)
		return true;
	return now_us - kept->sign_us >= kept->keep.lease_ms * 1000 / 6;
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

/* ---- saving ----------------------------------------------------------------------------- */

/* Take it into the next call: what came, or just to prolong its lease. */
static void keeper_add(struct keeper *keeper, struct kept *kept, int64_t now_us)
{
	bool says = kept->grew && !kept->holed && kept_message(kept) >= 0 &&
		    kept->message.len <= CONVO_MAX_DRAFT;

	kept->event = (struct convo_event){.id = kept->keep.id,
					   .turn = kept->keep.turn,
					   .model = kept->keep.model,
					   .message = kept->message.data,
					   .message_len = kept->message.len};
	keeper->draft[keeper->count] = (struct convo_draft){.key = &kept->keep.key,
							    .lease = kept->keep.lease,
							    .event = says ? &kept->event : NULL};
	keeper->batch[keeper->count++] = kept;
	kept->grew = false;
	kept->saving = true;
	kept->saved_us = now_us;
}

/* The one that is due first takes along what may go with it; not so one that failed, lest it fails the
 * others. */
static void keeper_gather(struct keeper *keeper, struct kept *first, int64_t now_us)
{
	struct kept *kept;

	keeper->count = 0;
	keeper_add(keeper, first, now_us);
	if (first->failed)
		return;
	for (kept = keeper->kept; kept && keeper->count < BATCH; kept = kept->next) {
		if (kept != first && kept_goes_along(kept, now_us))
			keeper_add(keeper, kept, now_us);
	}
}

/* What became of one. A call that another turn had no patience for is no failure of this one's. */
static void kept_told(struct kept *kept, const struct convo_draft *draft)
{
	int rc = draft->code;

	kept->saving = false;
	kept->failed = rc < 0 && rc != CONVO_E_CANCELED;
	if (rc >= 0) {
		kept->sign_us = kept->saved_us;
		kept->pause_us = DRAFT_US;
		return;
	}
	kept->lost = rc == CONVO_E_CONFLICT || rc == CONVO_E_NOTFOUND;
	if (draft->event) { /* what it holds has waited already */
		kept->grew = true;
		kept->grew_us = kept->saved_us - DRAFT_US;
	}
	if (kept->failed)
		kept->pause_us = 2 * kept->pause_us < PAUSE_US ? 2 * kept->pause_us : PAUSE_US;
}

/* Save what is due. With the lock held, which is given back meanwhile. */
static void keeper_save(struct keeper *keeper, struct kept *first, int64_t now_us)
{
	const struct convo_call call = {.cancel = keeper->cancel};
	size_t i;

	keeper_gather(keeper, first, now_us);
	keeper->call_us = now_us;
	pthread_mutex_unlock(&keeper->lock);
	(void)convo_store_drafts(keeper->store, keeper->draft, keeper->count, &call, NULL);
	pthread_mutex_lock(&keeper->lock);
	for (i = 0; i < keeper->count; i++)
		kept_told(keeper->batch[i], &keeper->draft[i]);
	convo_cancel_reset(keeper->cancel);
	pthread_cond_broadcast(&keeper->idle);
}

/* ---- the thread ------------------------------------------------------------------------- */

static struct timespec timespec_of(int64_t us)
{
	return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
}

static void keeper_sleep(struct keeper *keeper, int64_t until_us)
{
	struct timespec ts = timespec_of(until_us);

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
		int64_t now_us = cv_clock_mono_us();

		if (kept && due_us <= now_us)
			keeper_save(keeper, kept, now_us);
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
	if (cv_buf_add(&kept->part[delta->kind].more, delta->text, delta->len) < 0)
		kept->holed = true;
	if (!kept->grew && !kept->holed) {
		kept->grew = true;
		kept->grew_us = cv_clock_mono_us();
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

/* With the lock held. */
static void kept_link(struct kept *kept)
{
	struct keeper *keeper = kept->keeper;

	kept->next = keeper->kept;
	kept->link = &keeper->kept;
	if (kept->next)
		kept->next->link = &kept->next;
	keeper->kept = kept;
	keeper_wake(keeper, kept_due(kept));
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
		kept->part[i].said.max = kept->part[i].more.max = CONVO_MAX_DRAFT;
	pthread_mutex_lock(&keeper->lock);
	rc = keeper_start(keeper, err);
	if (rc == 0)
		kept_link(kept);
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

/* For the call that runs: it saves other turns' drafts, too, and is stopped only where it takes long. With the
 * lock held. */
static void keeper_wait(struct keeper *keeper)
{
	struct timespec until = timespec_of(keeper->call_us + PATIENCE_US);

	if (pthread_cond_timedwait(&keeper->idle, &keeper->lock, &until) == 0)
		return;
	convo_cancel_request(keeper->cancel);
	pthread_cond_wait(&keeper->idle, &keeper->lock);
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
	while (kept->saving)
		keeper_wait(keeper);
	pthread_mutex_unlock(&keeper->lock);
	for (size_t i = 0; i < PARTS; i++) {
		cv_buf_clear(&kept->part[i].said);
		cv_buf_clear(&kept->part[i].more);
	}
	cv_buf_clear(&kept->message);
	free(kept);
}
