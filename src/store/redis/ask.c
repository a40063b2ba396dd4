/*
 * Asking Redis; see ask.h. Where there are many servers, an ask goes from one to the next until it is
 * answered or its time is up; what is known of who serves it is looked up again in between.
 */
#include <store/redis/ask.h>

#include <assert.h>
#include <string.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/batch.h>
#include <store/redis/redis.h>
#include <store/redis/route.h>

#define PAUSE_US 1000
#define PAUSE_MAX_US 50000
#define LATE_US 100000  /* the pool gives up this much before a deadline, or less */
#define SHARE_US 100000 /* less than that is not divided among servers */

static int ask_prepare(struct redis_store *redis, struct redis_ask *ask,
		       const struct store_call *call, struct convo_err *err)
{
	if (ask->broken)
		return cv_fail_nomem(err);
	ask->job.cancel = call->cancel;
	ask->job.weight = ask->bytes.len;
	ask->work = call->work;
	cv_ask_close(redis, ask);
	return 0;
}

/* What became of an ask. A server that refuses to do it again does not tell whether it has done it
 * the first time, when its answer was lost (A8). */
static int ask_outcome(const struct redis_ask *ask, struct convo_err *err)
{
	struct convo_err why = ask->job.err;

	if (ask->job.rc == 0)
		return 0;
	why.code = ask->job.rc;
	if (ask->unknown) {
		switch (why.code) {
		case CONVO_E_NOMEM:
		case CONVO_E_VERSION:
		case CONVO_E_DENIED:
		case CONVO_E_UNSUPPORTED:
		case CONVO_E_FULL:
		case CONVO_E_READONLY:
			why.code = CONVO_E_IO;
			/* fallthrough */
		case CONVO_E_TIMEOUT:
		case CONVO_E_IO:
		case CONVO_E_GONE:
		case CONVO_E_CANCELED:
			why.maybe = true;
		}
	}
	if (err)
		*err = why;
	return why.code;
}

/* ---- one try ------------------------------------------------------------------------------ */

/* When a try ends: a server that says nothing leaves time for the one that takes its place. */
static int64_t try_deadline(const struct redis_store *redis, const struct store_call *call,
			    const struct redis_ask *ask)
{
	int64_t left_us = call->deadline_us - cv_clock_mono_us();

	if (redis->mode == REDIS_ALONE || !ask->repeat || left_us < SHARE_US)
		return call->deadline_us;
	return call->deadline_us - left_us / 2;
}

static struct redis_until ask_until(const struct store_call *call, int64_t deadline_us)
{
	return (struct redis_until){.deadline_us = deadline_us,
				    .cancel = &call->cancel,
				    .cancels = call->cancel ? 1 : 0};
}

/* Find out who is asked. What cannot be found out has failed, for now. */
static bool try_begin(struct redis_store *redis, const struct store_call *call,
		      struct redis_ask *ask)
{
	const struct redis_until until = ask_until(call, try_deadline(redis, call, ask));
	struct convo_err why = {0};
	int rc = cv_route_take(redis, ask, &until, &why);

	ask->elsewhere = ask->again = false;
	ask->waits = NULL;
	/* Looking up may have taken its time. */
	ask->job.deadline_us = try_deadline(redis, call, ask);
	if (rc == 0)
		return true;
	ask->job.rc = rc;
	ask->job.err = why;
	return false;
}

/* Whether another server, or the same one later, may do what this one did not. */
static bool try_may_help(const struct redis_store *redis, const struct redis_ask *ask)
{
	if (ask->again)
		return true;
	if (redis->mode == REDIS_ALONE)
		return false;
	if (ask->elsewhere)
		return true;
	return ask->job.rc == CONVO_E_GONE || ask->job.rc == CONVO_E_IO ||
	       ask->job.rc == CONVO_E_TIMEOUT || ask->job.rc == CONVO_E_READONLY;
}

/* Whether the server may not be the one that serves the ask any more. One that says TRYAGAIN knows that
 * it does; in a round that ended early the others of the round may have more time than it had. */
static bool try_doubts(const struct redis_ask *ask)
{
	if (ask->detour || (ask->waits && strcmp(ask->waits, "TRYAGAIN") == 0))
		return false;
	return !ask->again || ask->job.rc == CONVO_E_TIMEOUT;
}

/* Let go of the server. What was sent to it and must not be sent twice is over; so is all when there
 * is no time. */
static bool try_end(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask)
{
	bool may_help = !ask->done && try_may_help(redis, ask);
	bool known = ask->node || redis->reached;

	if (ask->node) {
		if (may_help && try_doubts(ask))
			cv_route_doubt(redis, ask->node);
		cv_route_give(redis, ask);
	}
	/* Whoever opens a store wants to know at once that nobody is there. */
	return may_help && known && (ask->repeat || !ask->unknown) &&
	       cv_clock_mono_us() < call->deadline_us && !convo_cancel_requested(call->cancel);
}

/* Sleep longer each time, but not the first one; false when there is no time for that. */
static bool try_pause(int64_t *pause_us, const struct store_call *call)
{
	const struct timespec ts = {0, (long)*pause_us * 1000};

	if (call->deadline_us - cv_clock_mono_us() <= *pause_us)
		return false;
	nanosleep(&ts, NULL);
	*pause_us = *pause_us ? *pause_us * 2 : PAUSE_US;
	if (*pause_us > PAUSE_MAX_US)
		*pause_us = PAUSE_MAX_US;
	return true;
}

/* Why the last try failed. */
struct told {
	int rc;
	struct convo_err err;
	bool elsewhere;
};

/* That the time is up tells less than what a server said before, or than what came of a try for which
 * there was time. */
static void try_remember(struct redis_ask *ask, struct told *told, bool hasty)
{
	if (ask->done)
		return;
	if (ask->job.rc != CONVO_E_TIMEOUT || !told->rc || !(hasty || told->elsewhere)) {
		*told = (struct told){ask->job.rc, ask->job.err, ask->elsewhere};
		return;
	}
	ask->job.rc = told->rc;
	ask->job.err = told->err;
	ask->elsewhere = told->elsewhere;
}

static void try_alone(struct redis_ask *ask, const struct store_call *call)
{
	struct redis_batch batch = {.node = ask->node, .ask = &ask, .count = 1};

	batch.until = ask_until(call, ask->job.deadline_us);
	(void)cv_batch_run(&batch);
}

/* It has ended. Where others might have served it, tell why they did not. */
static void try_over(struct redis_store *redis, struct redis_ask *ask, bool asked)
{
	if (ask->detour)
		cv_route_give(redis, ask);
	if (asked && !ask->done && !ask->elsewhere && redis->mode != REDIS_ALONE &&
	    (ask->job.rc == CONVO_E_GONE || ask->job.rc == CONVO_E_TIMEOUT))
		cv_route_explain(redis, ask, &ask->job.err);
}

/* Try until it is done, or nothing more helps. */
static void ask_try(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
		    bool grouped)
{
	struct told told = {0};
	int64_t pause_us = 0;
	bool asked = false;

	while (!ask->done) {
		bool hasty = call->deadline_us - cv_clock_mono_us() < SHARE_US;

		asked = try_begin(redis, call, ask);
		if (asked) {
			if (grouped && !ask->asking)
				(void)cv_group_run(ask->node->group, &ask->job, NULL);
			else
				try_alone(ask, call);
		}
		try_remember(ask, &told, hasty);
		if (!try_end(redis, call, ask) || !try_pause(&pause_us, call))
			break;
	}
	try_over(redis, ask, asked);
}

/* ---- asking ------------------------------------------------------------------------------ */

int cv_ask_run(struct redis_store *redis, const struct store_call *call, struct redis_ask *ask,
	       struct convo_err *err)
{
	int rc = ask_prepare(redis, ask, call, err);

	if (rc < 0)
		return rc;
	ask_try(redis, call, ask, false);
	return ask_outcome(ask, err);
}

int cv_ask_run_grouped(struct redis_store *redis, const struct store_call *call,
		       struct redis_ask *ask, struct convo_err *err)
{
	int rc = ask_prepare(redis, ask, call, err);

	if (rc < 0)
		return rc;
	ask_try(redis, call, ask, true);
	return ask_outcome(ask, err);
}

/* Ask both at once, whose servers are known. Connections are taken in one order by all threads, so
 * that no two wait for each other. */
static void both_try(struct redis_ask *first, struct redis_ask *second,
		     const struct store_call *call)
{
	bool turned = (uintptr_t)first->node > (uintptr_t)second->node;
	struct redis_ask *ask[2] = {turned ? second : first, turned ? first : second};
	struct redis_batch batch = {.node = ask[0]->node, .ask = ask, .count = 1};

	if (ask[0]->node == ask[1]->node)
		batch.count = 2;
	else
		batch.beside = ask[1];
	batch.until = ask_until(call, second->job.deadline_us);
	(void)cv_batch_run(&batch);
}

int cv_ask_run_both(struct redis_store *redis, const struct store_call *call,
		    struct redis_ask *first, struct redis_ask *second, struct convo_err *err)
{
	int rc = ask_prepare(redis, first, call, err), rc_second;
	bool begun;

	if (rc == 0)
		rc = ask_prepare(redis, second, call, err);
	if (rc < 0)
		return rc;
	begun = try_begin(redis, call, first);
	if (try_begin(redis, call, second) && begun)
		both_try(first, second, call);
	(void)try_end(redis, call, first);
	(void)try_end(redis, call, second);
	/* What is not done then goes its own way. */
	ask_try(redis, call, first, false);
	ask_try(redis, call, second, false);
	rc = ask_outcome(first, err);
	rc_second = ask_outcome(second, rc < 0 ? NULL : err);
	return rc < 0 ? rc : rc_second;
}

/* A round of the group ends with the first deadline of its calls, or when one is canceled, so that
 * none is held up by those that have more time: they queue again. */
void cv_ask_round(void *node, struct group_job **jobs, size_t count)
{
	struct redis_ask *ask[REDIS_GROUP_JOBS];
	const convo_cancel *cancel[REDIS_GROUP_JOBS];
	struct redis_batch batch = {.node = node, .ask = ask, .count = count};
	size_t i;
	bool early;

	assert(count > 0 && count <= REDIS_GROUP_JOBS);
	batch.until = (struct redis_until){.deadline_us = jobs[0]->deadline_us, .cancel = cancel};
	for (i = 0; i < count; i++) {
		ask[i] = (struct redis_ask *)jobs[i];
		if (jobs[i]->deadline_us < batch.until.deadline_us)
			batch.until.deadline_us = jobs[i]->deadline_us;
		if (ask[i]->job.cancel)
			cancel[batch.until.cancels++] = ask[i]->job.cancel;
	}
	early = cv_batch_run(&batch) == CONVO_E_CANCELED ||
		cv_clock_mono_us() + LATE_US >= batch.until.deadline_us;
	for (i = 0; i < count; i++)
		ask[i]->again = !ask[i]->done && !ask[i]->elsewhere && early;
}
