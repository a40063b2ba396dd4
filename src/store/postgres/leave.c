/*
 * Leaving a server in the middle of a question. A server that is not told goes on with what nobody
 * waits for: it keeps its place, its locks and one of its connections until a lock is free, or, when
 * a commit waits for a standby that is away, for ever. libpq can only tell it by a call that
 * blocks, so a thread of its own does it, which nobody waits for.
 */
#include <store/postgres/pq.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <base/alloc.h>

#define LEAVE_THREADS 8 /* most at a time: a server that hangs holds each for minutes */

struct leave {
	PGconn *pg;
	PGcancel *cancel;
};

static atomic_int leave_threads;

static void *leave_thread(void *ctx)
{
	struct leave *leave = ctx;
	char why[256];

	pq.cancel(leave->cancel, why, sizeof(why));
	pq.freeCancel(leave->cancel);
	/* Only now, since a pooler in between forgets who has gone. */
	pq.finish(leave->pg);
	free(leave);
	atomic_fetch_sub(&leave_threads, 1);
	return NULL;
}

static bool leave_start(struct leave *leave)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, leave_thread, leave);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

/* Whether the server has been sent all that was asked. If not it is not at work, and what is still on
 * its way is not to arrive because the connection stays open. */
static bool leave_arrived(const PGconn *pg)
{
	int waiting = 0;

	return ioctl(pq.socket(pg), TIOCOUTQ, &waiting) == 0 && waiting == 0;
}

void cv_pq_leave(PGconn *pg)
{
	struct leave *leave = NULL;

	if (!leave_arrived(pg)) {
		pq.finish(pg);
		return;
	}
	if (atomic_fetch_add(&leave_threads, 1) < LEAVE_THREADS)
		leave = cv_alloc(1, sizeof(*leave));
	if (leave) {
		leave->pg = pg;
		leave->cancel = pq.getCancel(pg);
		if (leave->cancel && leave_start(leave))
			return;
		pq.freeCancel(leave->cancel);
		free(leave);
	}
	atomic_fetch_sub(&leave_threads, 1);
	pq.finish(pg);
}
