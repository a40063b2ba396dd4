/*
 * Leaving a server in the middle of a question. A server that is not told goes on with what nobody
 * waits for: it keeps its place, its locks and one of its connections until a lock is free, or, when
 * a commit waits for a standby that is away, for ever. libpq can only tell it by a call that
 * blocks, so a thread of its own does it, which nobody waits for.
 */
#include <store/postgres/pq.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <base/alloc.h>
#include <base/detach.h>

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
		if (leave->cancel && cv_detach(leave_thread, leave))
			return;
		pq.freeCancel(leave->cancel);
		free(leave);
	}
	atomic_fetch_sub(&leave_threads, 1);
	pq.finish(pg);
}
