/*
 * Worker threads; see workers.h.
 */
#include "http/workers.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/fail.h"

/*
 * For jansson at its deepest (core/json.h bounds it), the resolver and the clients of the stores. It is
 * address space: what is not touched is not there.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)4 << 20)
#else
#define STACK_BYTES ((size_t)512 << 10)
#endif

struct worker {
	pthread_t thread;
	struct workers *pool;
	convo_cancel *cancel;
};

struct workers {
	workers_run run;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct worker *thread; /* room for `most` */
	unsigned threads, most, idle;
	void **queue; /* a ring */
	unsigned first, waiting, room;
	bool cancelled, leaving;
};

int workers_new(struct workers **out, workers_run run, unsigned most, unsigned queue,
		struct convo_err *err)
{
	struct workers *pool = calloc(1, sizeof(*pool));

	if (pool) {
		pool->thread = calloc(most, sizeof(*pool->thread));
		pool->queue = calloc(queue, sizeof(*pool->queue));
	}
	if (!pool || !pool->thread || !pool->queue) {
		if (pool) {
			free(pool->thread);
			free(pool->queue);
		}
		free(pool);
		return fail(err, CONVO_E_NOMEM, "out of memory");
	}
	pool->run = run;
	pool->most = most;
	pool->room = queue;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	*out = pool;
	return 0;
}

/* The next job, or NULL: leave. */
static void *worker_next(struct worker *worker)
{
	struct workers *pool = worker->pool;
	void *job = NULL;

	pthread_mutex_lock(&pool->lock);
	pool->idle++;
	while (!pool->waiting && !pool->leaving)
		pthread_cond_wait(&pool->work, &pool->lock);
	pool->idle--;
	if (pool->waiting) {
		job = pool->queue[pool->first];
		pool->first = (pool->first + 1) % pool->room;
		pool->waiting--;
		if (!pool->cancelled)
			convo_cancel_reset(worker->cancel);
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	void *job;

	while ((job = worker_next(worker)))
		worker->pool->run(job, worker->cancel);
	return NULL;
}

/* With the lock held. */
static bool workers_begin(struct workers *pool)
{
	struct worker *worker = &pool->thread[pool->threads];
	pthread_attr_t attr;
	bool ok;

	if (convo_cancel_new(&worker->cancel, NULL) < 0)
		return false;
	if (pool->cancelled)
		convo_cancel_request(worker->cancel);
	worker->pool = pool;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	ok = pthread_create(&worker->thread, &attr, worker_main, worker) == 0;
	pthread_attr_destroy(&attr);
	if (ok)
		pool->threads++;
	else
		convo_cancel_free(worker->cancel);
	return ok;
}

bool workers_put(struct workers *pool, void *job)
{
	bool ok;

	pthread_mutex_lock(&pool->lock);
	if (pool->idle <= pool->waiting && pool->threads < pool->most)
		workers_begin(pool);
	ok = pool->threads && pool->waiting < pool->room && !pool->leaving;
	if (ok) {
		pool->queue[(pool->first + pool->waiting) % pool->room] = job;
		pool->waiting++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	return ok;
}

struct workers_load workers_look(struct workers *pool)
{
	struct workers_load load;

	pthread_mutex_lock(&pool->lock);
	load.busy = pool->threads - pool->idle;
	load.most = pool->most;
	load.waiting = pool->waiting;
	pthread_mutex_unlock(&pool->lock);
	return load;
}

void workers_cancel(struct workers *pool)
{
	unsigned i;

	pthread_mutex_lock(&pool->lock);
	pool->cancelled = true;
	for (i = 0; i < pool->threads; i++)
		convo_cancel_request(pool->thread[i].cancel);
	pthread_mutex_unlock(&pool->lock);
}

void workers_free(struct workers *pool)
{
	unsigned i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->leaving = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->threads; i++) {
		pthread_join(pool->thread[i].thread, NULL);
		convo_cancel_free(pool->thread[i].cancel);
	}
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->thread);
	free(pool->queue);
	free(pool);
}
