/*
 * The thread that sums up; see summarizer.h. It sleeps on a condition while nothing is due, and blocks all
 * signals, which belong to the program.
 */
#include <runner/summarizer.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>
#include <runner/cover.h>
#include <runner/digest.h>
#include <runner/tokens.h>

/* Most sessions that wait, run, or rest after a failure. */
#define JOBS 64

/* After a failure a session rests for a minute, then for twice as long, up to 64. */
#define REST_US (INT64_C(60) * 1000000)
#define REST_DOUBLINGS 6

/* Steps that follow each other unasked for; more after the next answer. */
#define STEPS 4

/* How often one that waits for another's end looks whether it is cancelled. */
#define LOOK_US 20000

enum job_state { JOB_NONE, JOB_WAITS, JOB_RUNS, JOB_RESTS };

struct job {
	enum job_state state;
	char *user, *session;
	int64_t since_us; /* when it began to wait or to rest */
	int64_t until_us; /* it rests */
	int failures;
	struct convo_err err; /* the last of them */
};

struct summarizer {
	const struct convo_runner *runner;
	convo_cancel *cancel;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t change;
	pthread_t thread;
	bool started, stop;
	int64_t rest_us;
	struct job jobs[JOBS];
};

/* ---- jobs, under the lock -------------------------------------------------------------------- */

static struct job *job_find(struct summarizer *s, const char *user, const char *session)
{
	for (size_t i = 0; i < JOBS; i++) {
		struct job *job = &s->jobs[i];

		if (job->state != JOB_NONE && strcmp(job->user, user) == 0 &&
		    strcmp(job->session, session) == 0)
			return job;
	}
	return NULL;
}

static void job_clear(struct job *job)
{
	free(job->user);
	free(job->session);
	*job = (struct job){0};
}

/* The one that is in this state for longest. */
static struct job *job_oldest(struct summarizer *s, enum job_state state)
{
	struct job *oldest = NULL;

	for (size_t i = 0; i < JOBS; i++) {
		struct job *job = &s->jobs[i];

		if (job->state == state && (!oldest || job->since_us < oldest->since_us))
			oldest = job;
	}
	return oldest;
}

/* Room for one more: of those that rest, one is forgotten. NULL: there is none. */
static struct job *job_add(struct summarizer *s, const struct convo_key *key, enum job_state state)
{
	struct job *job = job_oldest(s, JOB_NONE);

	if (!job) {
		job = job_oldest(s, JOB_RESTS);
		if (!job)
			return NULL;
		job_clear(job);
	}
	job->user = cv_memdup(key->user, strlen(key->user));
	job->session = cv_memdup(key->session, strlen(key->session));
	if (!job->user || !job->session) {
		job_clear(job);
		return NULL;
	}
	job->state = state;
	job->since_us = cv_clock_mono_us();
	return job;
}

/* What came of it. Another one that was faster is no failure. */
static void job_end(struct summarizer *s, struct job *job, int rc, const struct convo_err *err)
{
	int doublings = job->failures < REST_DOUBLINGS ? job->failures : REST_DOUBLINGS;

	if (rc >= 0 || rc == CONVO_E_CONFLICT || rc == CONVO_E_NOTFOUND || rc == CONVO_E_CANCELED) {
		job_clear(job);
	} else {
		job->err = *err;
		job->failures++;
		job->state = JOB_RESTS;
		job->since_us = cv_clock_mono_us();
		job->until_us = job->since_us + (s->rest_us << doublings);
	}
	pthread_cond_broadcast(&s->change);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int summarizer_run(const struct summarizer *s, const struct job *job, struct convo_err *err)
{
	const struct convo_key key = {s->runner->app, job->user, job->session};
	const struct convo_call call = {.cancel = s->cancel};
	int rc = 1;

	for (int step = 0; step < STEPS && rc > 0; step++)
		rc = cv_digest_make(s->runner, &key, false, &call, err);
	return rc;
}

static void *summarizer_main(void *ctx)
{
	struct summarizer *s = ctx;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		struct job *job = job_oldest(s, JOB_WAITS);
		struct convo_err err = {0};
		int rc;

		if (!job) {
			pthread_cond_wait(&s->change, &s->lock);
			continue;
		}
		job->state = JOB_RUNS;
		pthread_mutex_unlock(&s->lock);
		rc = summarizer_run(s, job, &err);
		pthread_mutex_lock(&s->lock);
		job_end(s, job, rc, &err);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Begin the thread, if there is none. Where none can be had nothing is summed up by itself. */
static void summarizer_start(struct summarizer *s)
{
	sigset_t all, old;

	if (s->started)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	s->started = pthread_create(&s->thread, NULL, summarizer_main, s) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int cv_summarizer_new(struct summarizer **out, const struct convo_runner *runner,
		      struct convo_err *err)
{
	struct summarizer *s = cv_alloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	if (!s)
		return cv_fail_nomem(err);
	rc = convo_cancel_new(&s->cancel, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	s->runner = runner;
	s->rest_us = REST_US;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->change, &attr);
	pthread_condattr_destroy(&attr);
	*out = s;
	return 0;
}

void cv_summarizer_free(struct summarizer *s)
{
	if (!s)
		return;
	convo_cancel_request(s->cancel);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
	if (s->started)
		pthread_join(s->thread, NULL);
	for (size_t i = 0; i < JOBS; i++)
		job_clear(&s->jobs[i]);
	convo_cancel_free(s->cancel);
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void cv_summarizer_rest(struct summarizer *s, int64_t rest_us)
{
	pthread_mutex_lock(&s->lock);
	s->rest_us = rest_us;
	pthread_mutex_unlock(&s->lock);
}

bool cv_summarizer_busy(struct summarizer *s)
{
	bool busy;

	pthread_mutex_lock(&s->lock);
	busy = job_oldest(s, JOB_WAITS) || job_oldest(s, JOB_RUNS);
	pthread_mutex_unlock(&s->lock);
	return busy;
}

/* ---- for turns ------------------------------------------------------------------------------- */

void cv_summarizer_offer(const struct convo_runner *runner, const struct convo_key *key,
			 const struct ask *ask, const struct convo_answer *answer)
{
	struct summarizer *s = runner->summarizer;
	double uncut = ask->uncut;
	struct job *job;

	if (!s || !answer)
		return;
	uncut += cv_tokens_message((struct cv_text){answer->message, answer->message_len});
	/* the question's and the answer are new events */
	if (!cv_cover_is_due(runner, &ask->budget, uncut, ask->unsummed + ask->questions + 1))
		return;
	pthread_mutex_lock(&s->lock);
	job = job_find(s, key->user, key->session);
	if (!job) {
		job_add(s, key, JOB_WAITS);
	} else if (job->state == JOB_RESTS && cv_clock_mono_us() >= job->until_us) {
		job->state = JOB_WAITS;
		job->since_us = cv_clock_mono_us();
	}
	summarizer_start(s);
	pthread_cond_broadcast(&s->change);
	pthread_mutex_unlock(&s->lock);
}

char *cv_summarizer_trouble(struct summarizer *s, const struct convo_key *key)
{
	const struct job *job;
	char *text = NULL;

	if (!s)
		return NULL;
	pthread_mutex_lock(&s->lock);
	job = job_find(s, key->user, key->session);
	if (job && job->failures)
		text = cv_memdup(job->err.text, strlen(job->err.text));
	pthread_mutex_unlock(&s->lock);
	return text;
}

/* ---- asked for ------------------------------------------------------------------------------- */

/*
 * Take the session's place in the queue, once nobody else works at it. Without room it is done all the
 * same: then of two one stores.
 */
static int summarizer_hold(struct summarizer *s, const struct convo_key *key, convo_cancel *cancel,
			   struct job **held, struct convo_err *err)
{
	struct job *job;
	int rc = 0;

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	while ((job = job_find(s, key->user, key->session)) && job->state == JOB_RUNS) {
		int64_t until = cv_clock_mono_us() + LOOK_US;
		struct timespec ts = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};

		if (convo_cancel_requested(cancel)) {
			rc = cv_fail(err, CONVO_E_CANCELED, "canceled");
			break;
		}
		pthread_cond_timedwait(&s->change, &s->lock, &ts);
	}
	if (rc == 0) {
		*held = job ? job : job_add(s, key, JOB_RUNS);
		if (*held)
			(*held)->state = JOB_RUNS;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void summarizer_release(struct summarizer *s, struct job *held, int rc,
			       const struct convo_err *err)
{
	if (!held)
		return;
	pthread_mutex_lock(&s->lock);
	job_end(s, held, rc, err);
	pthread_mutex_unlock(&s->lock);
}

int convo_runner_summarize(convo_runner *runner, const char *user, const char *session,
			   const struct convo_call *call, struct convo_err *err)
{
	struct convo_err failure = {0};
	struct job *held = NULL;
	struct convo_key key;
	int rc = cv_check_given(runner, "the runner", err), made = 0;

	if (rc < 0)
		return rc;
	rc = cv_check_given(user, "the user", err);
	if (rc < 0)
		return rc;
	rc = cv_check_given(session, "the session", err);
	if (rc < 0)
		return rc;
	key = (struct convo_key){runner->app, user, session};
	rc = summarizer_hold(runner->summarizer, &key, call ? call->cancel : NULL, &held, err);
	if (rc < 0)
		return rc;
	while ((rc = cv_digest_make(runner, &key, true, call, &failure)) > 0)
		made++;
	summarizer_release(runner->summarizer, held, rc, &failure);
	if (rc < 0 && err)
		*err = failure;
	if (rc == 0 && !made)
		return cv_fail(err, CONVO_E_NOTFOUND, "there is too little to sum up");
	return rc;
}
