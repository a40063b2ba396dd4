/*
 * Many callers, one flush: a queue in which a thread that finds no leader becomes one, takes what
 * has queued up, and does the work of all. A lone caller leads at once and waits for nobody; while
 * a leader works, the others gather, and share the next round (contract A7).
 */
#ifndef STORE_SHARED_GROUP_H
#define STORE_SHARED_GROUP_H

#include <stdatomic.h>

#include <store/backend.h>

#include <base/wake.h>

/** One caller's work. A backend puts it first in a struct of its own, on the caller's stack. */
struct group_job {
	struct group_job *next; /* the group's: the queue */
	atomic_int state;       /* the group's: queued, taken, done */
	struct cv_wake woken;   /* the group's: done, or to lead */
	unsigned posts;         /* the group's: how often it was or will be woken */
	bool called;            /* the group's: to lead, and has not looked yet */
	size_t weight;          /* in bytes, set by the caller; bounds a round */
	int64_t deadline_us;
	const convo_cancel *cancel; /* NULL: nothing cancels it */
	int rc;                     /* set by the round */
	struct convo_err err;       /* set by the round when rc is negative */
};

struct store_group;

/**
 * Do the work of `count` jobs (1 or more), in their order, and set rc and err of each. Runs in the
 * thread of one of the callers with no lock of the group held.
 */
typedef void (*group_round)(void *ctx, struct group_job **jobs, size_t count);

/**
 * @param leaders   most rounds that may run at once: 1 for SQLite, some connections for a server
 * @param max_jobs  most jobs of a round
 * @param max_bytes most weight of a round, but for a single job that is heavier
 * @return 0, CONVO_E_NOMEM
 */
int cv_group_new(struct store_group **out, group_round round, void *ctx, int leaders,
		 size_t max_jobs, size_t max_bytes, struct convo_err *err);

/**
 * For a round, in its thread: take what has queued up since it began, within the bounds, to do it
 * with the rest. Waits for nobody.
 *
 * @param jobs  the round's jobs, as it got them
 * @param count how many it has now
 * @return how many it has then; the new ones are behind the others
 */
size_t cv_group_join(struct store_group *group, struct group_job **jobs, size_t count);

/** Free it; no job may be in it. NULL is fine. */
void cv_group_free(struct store_group *group);

/**
 * Queue a job and return when it is done, with its rc; `err` receives its error. A job whose
 * deadline passes while it still waits in the queue is withdrawn: CONVO_E_TIMEOUT, and nothing of
 * it was done. So is one that is canceled there: CONVO_E_CANCELED. Once a round has taken it, the
 * round sees to both.
 */
int cv_group_run(struct store_group *group, struct group_job *job, struct convo_err *err);

#endif
