/*
 * Connections to one server, shared by all threads of a store (contract L2 to L5). The pool hands
 * them out in the order of asking, never makes more than its limit, checks idle ones, and runs an
 * operation again on a fresh connection where that is safe. It knows no driver.
 */
#ifndef STORE_SHARED_POOL_H
#define STORE_SHARED_POOL_H

#include <store/backend.h>

/** What became of the connection in an operation. */
enum pool_fate {
	POOL_KEEP, /* it is fine, whatever the operation returned */
	POOL_UNSENT, /* lost before the request could have reached the server: always safe to repeat */
	POOL_LOST    /* lost, timed out or out of step: the request may have been carried out */
};

/** How a backend makes and breaks a connection. */
struct pool_driver {
	/* A ready connection (connected, authenticated, set up) by the call's deadline and unless it
	 * is canceled, or NULL with `err` filled. */
	void *(*connect)(struct convo_store *store, const struct store_call *call,
			 struct convo_err *err);

	/* Free a connection in any state. Must not block. */
	void (*disconnect)(void *conn);

	/* Whether an idle connection still looks usable; must not block or ask the server (a poll()
	 * that finds the socket readable tells that the server has closed it). */
	bool (*usable)(void *conn);

	/* Its socket, for what the kernel is to know of it; -1: it has none. NULL: none ever has. */
	int (*socket)(const void *conn);

	/* Whether another server may answer where one does not: then one that hangs is not waited
	 * for to the end, even if its kernel has taken the request. NULL: no. */
	bool (*elsewhere)(struct convo_store *store);

	/* A server that takes no connection is not waited for: the caller knows others. */
	bool hurried;
};

struct store_pool;

/**
 * Make a pool of at most store->opts.max_connections; connects nothing yet.
 *
 * @return 0, CONVO_E_NOMEM
 */
int cv_pool_new(struct store_pool **out, struct convo_store *store,
		const struct pool_driver *driver, struct convo_err *err);

/** The patience of an operation that may be repeated: half of the time until the deadline. For a
 * backend that tries again by itself. */
struct store_patience cv_pool_patience(const struct store_pool *pool, int64_t deadline_us);

/** Disconnect all and free it. No operation may be running. NULL is fine. */
void cv_pool_free(struct store_pool *pool);

/**
 * An operation on a connection of its own.
 *
 * @param call with the patience of this try
 * @param fate tells what became of the connection; POOL_KEEP when it is called
 * @return 0 or a negative code with `err` filled, CONVO_E_IO for a lost connection
 */
typedef int (*pool_op)(struct convo_store *store, void *conn, const struct store_call *call,
		       void *ctx, enum pool_fate *fate, struct convo_err *err);

/**
 * Run an operation: wait for a connection, run, give it back or throw it away. If it was lost and
 * `repeat` says that carrying it out twice does no harm (reads; appends, by A2), or if nothing was
 * sent, it runs again on a fresh connection until the call's deadline, with short growing pauses
 * while the server does not take connections.
 *
 * A try that may be repeated has the patience of half of the time that is left, in the call that the
 * operation gets: whoever waits by cv_wait_until() gives up a server that has been silent for so
 * long, with CONVO_E_TIMEOUT and the fate POOL_LOST, and the rest is for a fresh connection. That
 * happens once in a call, or again and again if another server may answer. A server that is only
 * slow is given up in the second case alone: wait.h tells one from the other.
 *
 * CONVO_E_READONLY with POOL_UNSENT is waited for as a lost connection is: where one of several
 * servers takes no writes, another will, or does so in a moment.
 *
 * A failure whose outcome is unknown is returned with err->maybe set (A8), also when a repeat
 * failed later because the server could not be reached. No free connection by the deadline is
 * CONVO_E_TIMEOUT without it; the call's cancel ends the waiting with CONVO_E_CANCELED.
 */
int cv_pool_run(struct store_pool *pool, const struct store_call *call, bool repeat, pool_op op,
		void *ctx, struct convo_err *err);

/** What else ends the waiting, of an operation that serves several calls. */
struct pool_stops {
	const convo_cancel *const *cancel;
	size_t count;
};

/** What an operation is when it is carried out twice, or late. */
enum pool_twice {
	POOL_HARMFUL,  /* it must not be: nothing of it may arrive after it has failed */
	POOL_HARMLESS, /* it does no harm: the pool repeats it */
	POOL_CALLERS   /* it does none, and the caller repeats it in another way */
};

/** The same, where any of the stops ends the waiting for a connection. */
int cv_pool_run_for(struct store_pool *pool, const struct store_call *call,
		    const struct pool_stops *stops, enum pool_twice twice, pool_op op, void *ctx,
		    struct convo_err *err);

/**
 * Tell a failure that follows a try of unknown outcome: unless it is an answer of the server, it is IO,
 * GONE, TIMEOUT or CANCELED, and maybe. For a backend that tries again by itself.
 *
 * @return its code
 */
int cv_pool_undecide(struct convo_err *why);

#endif
