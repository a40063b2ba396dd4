/*
 * Threads for what may block, and the bounded queue before them. They are begun as they are needed, and
 * stay.
 */
#ifndef SERVER_HTTP_WORKERS_H
#define SERVER_HTTP_WORKERS_H

#include <stdbool.h>

#include <convo/call.h>

struct workers;

/** Does a job. `cancel` is the thread's, and is asked for by workers_cancel(). */
typedef void (*workers_run)(void *job, convo_cancel *cancel);

/**
 * Make a pool. No thread is begun yet.
 *
 * @param most  threads
 * @param queue jobs that may wait
 */
int workers_new(struct workers **out, workers_run run, unsigned most, unsigned queue,
		struct convo_err *err);

/** Have a job done. Does not block. @return false when the queue is full or no thread can be had */
bool workers_put(struct workers *workers, void *job);

/** How a pool is doing. */
struct workers_load {
	unsigned busy, most; /* threads that do a job, and how many there can be */
	unsigned waiting;    /* jobs */
};

struct workers_load workers_look(struct workers *workers);

/** Ask for the cancel of all jobs: those that run, those that wait, and those to come. */
void workers_cancel(struct workers *workers);

/** Do the jobs that wait, end the threads, free it. NULL is fine. */
void workers_free(struct workers *workers);

#endif
