/*
 * Group commit by leader and followers; see group.h and docs/internals/group-commit.md.
 *
 * Every waiter sleeps on a semaphore of its own: a round wakes those it served and one that leads
 * next, not everybody, and wakes them when no lock is held, so that none wakes to wait again. A job
 * stands on its caller's stack: it leaves only after it has slept off every post that it was
 * promised.
 */
#include <store/shared/group.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include <base/alloc.h>

enum { JOB_QUEUED, JOB_TAKEN, JOB_DONE };

struct store_group {
	group_round round;
	void *ctx;
	int leaders;
	size_t max_jobs, max_bytes;

	/* Guards what follows, and next, state and posts of every job in the queue. Those that were
	 * taken belong to their round. */
	pthread_mutex_t lock;
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
	pthread_mutex_destroy(&group->lock);
	free(group);
}

static void group_push(struct store_group *group, struct group_job *job)
{
	job->next = NULL;
	job->posts = 0;
	job->called = false;
	atomic_init(&job->state, JOB_QUEUED);
	cv_wake_init(&job->woken);
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
		atomic_store(&job->state, JOB_TAKEN);
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

/* With the lock held: the first that waits, if one more may lead, to be woken without the lock. */
static struct group_job *group_next_leader(struct store_group *group)
{
	struct group_job *job = group->leading < group->leaders ? group->first : NULL;

	if (!job || job->called)
		return NULL;
	job->called = true;
	job->posts++;
	return job;
}

static void group_wake(struct group_job *job)
{
	if (job)
		cv_wake_post(&job->woken);
}

/* Tell a job of a round that it is done; it may be gone when this returns. */
static void group_done(struct group_job *job)
{
	job->posts++;
	atomic_store(&job->state, JOB_DONE);
	cv_wake_post(&job->woken);
}

/* With the lock held, which it gives back: lead a round, that of `self` or an earlier one. */
static void group_lead(struct store_group *group, const struct group_job *self)
{
	struct group_job **jobs = group->free[group->leaders - ++group->leading];
	struct group_job *next, *done = NULL;
	size_t count = group_take(group, jobs, 0);

	next = group_next_leader(group);
	pthread_mutex_unlock(&group->lock);
	group_wake(next);
	group->round(group->ctx, jobs, count);
	for (count = 0; jobs[count]; count++)
		; /* others may have joined */
	while (count-- > 0) {
		jobs[count]->next = done;
		done = jobs[count];
	}
	pthread_mutex_lock(&group->lock);
	group->free[group->leaders - group->leading--] = jobs;
	next = group_next_leader(group);
	pthread_mutex_unlock(&group->lock);
	/* The next round is on its way while those of this one wake. */
	group_wake(next);
	for (; done; done = next) {
		next = done->next;
		if (done == self)
			atomic_store(&done->state, JOB_DONE);
		else
			group_done(done);
	}
}

/* Sleep until woken. @return whether the deadline or a cancel came first */
static bool group_sleep(struct group_job *job, unsigned *slept)
{
	/* A job that was taken is done by its deadline, or a little after it. */
	if (atomic_load(&job->state) == JOB_QUEUED) {
		if (!cv_wake_wait_until(&job->woken, job->deadline_us, job->cancel))
			return true;
	} else {
		cv_wake_wait(&job->woken);
	}
	++*slept;
	return false;
}

/* With the lock held, which it gives back: take a job out of the queue, which waited in vain. */
static void group_give_up(struct store_group *group, struct group_job *job)
{
	struct group_job *next;

	group_withdraw(group, job);
	next = group_next_leader(group); /* it may have been this one that was to lead */
	pthread_mutex_unlock(&group->lock);
	group_wake(next);
	if (convo_cancel_requested(job->cancel))
		job->rc = cv_fail(&job->err, CONVO_E_CANCELED, "canceled");
	else
		job->rc = cv_fail(&job->err, CONVO_E_TIMEOUT,
				  "timed out waiting for writes of this process");
	atomic_store(&job->state, JOB_DONE);
}

int cv_group_run(struct store_group *group, struct group_job *job, struct convo_err *err)
{
	bool over = false;
	unsigned slept = 0;

	pthread_mutex_lock(&group->lock);
	group_push(group, job);
	for (;;) {
		bool queued = atomic_load(&job->state) == JOB_QUEUED;

		job->called = false;
		if (queued && over)
			group_give_up(group, job);
		else if (queued && group->leading < group->leaders)
			group_lead(group, job);
		else
			pthread_mutex_unlock(&group->lock);
		if (atomic_load(&job->state) == JOB_DONE)
			break;
		over = group_sleep(job, &slept);
		if (atomic_load(&job->state) == JOB_DONE)
			break;
		pthread_mutex_lock(&group->lock);
	}
	while (slept++ < job->posts)
		cv_wake_wait(&job->woken);
	cv_wake_destroy(&job->woken);
	if (job->rc < 0 && err)
		*err = job->err;
	return job->rc;
}
