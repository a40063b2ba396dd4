/*
 * Group commit by leader and followers; see group.h.
 *
 * Every waiter sleeps on a condition of its own, so that a round wakes those it served and one that
 * leads next, not everybody.
 */
#include <store/shared/group.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>

enum { JOB_QUEUED, JOB_TAKEN, JOB_DONE };

struct store_group {
	group_round round;
	void *ctx;
	int leaders;
	size_t max_jobs, max_bytes;

	pthread_condattr_t monotonic;
	pthread_mutex_t lock; /* guards what follows, and next and state of every job */
	struct group_job *first, **end;
	int leading; /* rounds that run now */
	struct group_job **
		*free; /* an array for each round that does not run; NULL ends the jobs */
};

int cv_group_new(struct store_group **out, group_round round, void *ctx, int leaders,
		 size_t max_jobs, size_t max_bytes, struct convo_err *err)
{
	struct store_group *group = cv_alloc(1, sizeof(*group));
	int i;

	if (!group)
		return cv_fail_nomem(err);
	group->round = round;
	group->ctx = ctx;
	group->leaders = leaders;
	group->max_jobs = max_jobs;
	group->max_bytes = max_bytes;
	group->end = &group->first;
	pthread_mutex_init(&group->lock, NULL);
	pthread_condattr_init(&group->monotonic);
	pthread_condattr_setclock(&group->monotonic, CLOCK_MONOTONIC);
	group->free = cv_alloc((size_t)leaders, sizeof(struct group_job **));
	for (i = 0; group->free && i < leaders; i++) {
		group->free[i] = cv_alloc(max_jobs + 1, sizeof(struct group_job *));
		if (!group->free[i])
			break;
	}
	if (!group->free || i < leaders) {
		cv_group_free(group);
		return cv_fail_nomem(err);
	}
	*out = group;
	return 0;
}

void cv_group_free(struct store_group *group)
{
	int i;

	if (!group)
		return;
	assert(!group->first && !group->leading);
	for (i = 0; group->free && i < group->leaders; i++)
		free(group->free[i]);
	free(group->free);
	pthread_condattr_destroy(&group->monotonic);
	pthread_mutex_destroy(&group->lock);
	free(group);
}

static void group_push(struct store_group *group, struct group_job *job)
{
	job->next = NULL;
	job->state = JOB_QUEUED;
	*group->end = job;
	group->end = &job->next;
}

static void group_withdraw(struct store_group *group, struct group_job *job)
{
	struct group_job **at = &group->first;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	if (group->end == &job->next)
		group->end = at;
}

/* Move jobs from the front of the queue to those of a round. @return how many it has then */
static size_t group_take(struct store_group *group, struct group_job **jobs, size_t count)
{
	size_t bytes = 0, i;

	for (i = 0; i < count; i++)
		bytes += jobs[i]->weight;
	while (group->first && count < group->max_jobs) {
		struct group_job *job = group->first;

		if (count && (bytes > group->max_bytes || job->weight > group->max_bytes - bytes))
			break;
		bytes += job->weight;
		group_withdraw(group, job);
		job->state = JOB_TAKEN;
		jobs[count++] = job;
	}
	jobs[count] = NULL;
	return count;
}

size_t cv_group_join(struct store_group *group, struct group_job **jobs, size_t count)
{
	pthread_mutex_lock(&group->lock);
	count = group_take(group, jobs, count);
	pthread_mutex_unlock(&group->lock);
	return count;
}

/* Let the first that waits lead, if one more may. */
static void group_wake_leader(struct store_group *group)
{
	if (group->first && group->leading < group->leaders)
		pthread_cond_signal(&group->first->woken);
}

/*
 * Tell the jobs of a round that they are done, while the next round is already on its way. Each is
 * signalled under the lock, for without it the job may be gone by then.
 */
static void group_finish(struct store_group *group, struct group_job *done)
{
	while (done) {
		struct group_job *next = done->next;

		done->state = JOB_DONE;
		pthread_cond_signal(&done->woken);
		done = next;
		pthread_mutex_unlock(&group->lock);
		pthread_mutex_lock(&group->lock);
	}
}

static void group_lead(struct store_group *group)
{
	struct group_job **jobs = group->free[group->leaders - ++group->leading];
	struct group_job *done = NULL;
	size_t count = group_take(group, jobs, 0);

	group_wake_leader(group);
	pthread_mutex_unlock(&group->lock);
	group->round(group->ctx, jobs, count);
	for (count = 0; jobs[count]; count++)
		; /* others may have joined */
	while (count-- > 0) {
		jobs[count]->next = done;
		done = jobs[count];
	}
	pthread_mutex_lock(&group->lock);
	group->free[group->leaders - group->leading--] = jobs;
	group_wake_leader(group);
	group_finish(group, done);
}

/* Sleep until woken. @return whether the deadline has passed */
static bool group_wait(struct store_group *group, struct group_job *job)
{
	struct timespec until = {job->deadline_us / 1000000, job->deadline_us % 1000000 * 1000};

	/* A job that was taken is done by the deadline, or a little after it. */
	if (job->state == JOB_TAKEN)
		return pthread_cond_wait(&job->woken, &group->lock) == ETIMEDOUT;
	return pthread_cond_timedwait(&job->woken, &group->lock, &until) == ETIMEDOUT;
}

int cv_group_run(struct store_group *group, struct group_job *job, struct convo_err *err)
{
	int rc;

	pthread_cond_init(&job->woken, &group->monotonic);
	pthread_mutex_lock(&group->lock);
	group_push(group, job);
	while (job->state != JOB_DONE) {
		if (job->state == JOB_QUEUED && group->leading < group->leaders) {
			group_lead(group);
		} else if (group_wait(group, job) && job->state == JOB_QUEUED) {
			group_withdraw(group, job);
			/* It may have been woken to lead at the same moment. */
			group_wake_leader(group);
			job->rc = cv_fail(&job->err, CONVO_E_TIMEOUT,
					  "timed out waiting for writes of this process");
			job->state = JOB_DONE;
		}
	}
	rc = job->rc;
	pthread_mutex_unlock(&group->lock);
	pthread_cond_destroy(&job->woken);
	if (rc < 0 && err)
		*err = job->err;
	return rc;
}
