/*
 * The connection pool; see pool.h. A caller first gets a permit, of which there are as many as
 * connections are allowed, in the order of asking; with it comes an idle connection if there is
 * one. Permits and idle connections together never exceed the limit. What a connection is, and
 * what is sent over it, the driver and the operation know.
 */
#include <store/shared/pool.h>

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <store/shared/wait.h>

#define POOL_PAUSE_US 1000
#define POOL_PAUSE_MAX_US 50000
#define POOL_LOOK_US 50000   /* between two looks at the cancels of one who waits */
#define POOL_SHARE_US 100000 /* less than that is not divided among servers */

/* A caller without a permit, on its own stack. */
struct pool_waiter {
	struct pool_waiter *next;
	pthread_cond_t woken;
	bool granted; /* has the permit, and `conn` with it */
	void *conn;   /* may be NULL */
};

struct store_pool {
	struct convo_store *store;
	const struct pool_driver *driver;
	pthread_mutex_t lock; /* guards all below */
	pthread_condattr_t clock;
	size_t permits; /* free ones */
	size_t limit;
	bool reached; /* the server has taken a connection once */
	struct pool_waiter *first, **end;
	size_t idle_count;
	void **idle; /* the one used last is on top, so that those not needed stay unused */
};

int cv_pool_new(struct store_pool **out, struct convo_store *store,
		const struct pool_driver *driver, struct convo_err *err)
{
	struct store_pool *pool = cv_alloc(1, sizeof(*pool));

	if (!pool)
		return cv_fail_nomem(err);
	pool->store = store;
	pool->driver = driver;
	pool->limit = pool->permits = (size_t)store->opts.max_connections;
	pool->end = &pool->first;
	pool->idle = cv_alloc(pool->limit, sizeof(*pool->idle));
	if (!pool->idle) {
		free(pool);
		return cv_fail_nomem(err);
	}
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&pool->clock);
	pthread_condattr_setclock(&pool->clock, CLOCK_MONOTONIC);
	*out = pool;
	return 0;
}

struct store_patience cv_pool_patience(const struct store_pool *pool, int64_t deadline_us)
{
	const struct pool_driver *driver = pool->driver;
	int64_t left_us = deadline_us - cv_clock_mono_us();

	if (left_us < POOL_SHARE_US)
		return (struct store_patience){0};
	return (struct store_patience){left_us / 2,
				       driver->elsewhere && driver->elsewhere(pool->store)};
}

void cv_pool_free(struct store_pool *pool)
{
	if (!pool)
		return;
	assert(pool->permits == pool->limit);
	while (pool->idle_count)
		pool->driver->disconnect(pool->idle[--pool->idle_count]);
	pthread_condattr_destroy(&pool->clock);
	pthread_mutex_destroy(&pool->lock);
	free(pool->idle);
	free(pool);
}

/* ---- permits -------------------------------------------------------------------------- */

static void *pool_pop(struct store_pool *pool)
{
	return pool->idle_count ? pool->idle[--pool->idle_count] : NULL;
}

static void pool_unqueue(struct store_pool *pool, const struct pool_waiter *waiter)
{
	struct pool_waiter **at = &pool->first;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	if (!*at)
		pool->end = at;
}

static bool pool_stopped(const struct pool_stops *stops)
{
	size_t i = 0;

	while (i < stops->count && !convo_cancel_requested(stops->cancel[i]))
		i++;
	return i < stops->count;
}

/* Wait with the lock held until the permit is granted; false when the deadline or a stop came
 * first. */
static bool pool_wait(struct store_pool *pool, int64_t deadline_us, const struct pool_stops *stops,
		      void **conn)
{
	struct pool_waiter self = {0};
	int64_t now_us = cv_clock_mono_us();

	pthread_cond_init(&self.woken, &pool->clock);
	*pool->end = &self;
	pool->end = &self.next;
	while (!self.granted && now_us < deadline_us && !pool_stopped(stops)) {
		int64_t look_us = now_us + POOL_LOOK_US;
		int64_t until_us = stops->count && look_us < deadline_us ? look_us : deadline_us;
		struct timespec until = {(time_t)(until_us / 1000000), until_us % 1000000 * 1000};

		pthread_cond_timedwait(&self.woken, &pool->lock, &until);
		now_us = cv_clock_mono_us();
	}
	if (!self.granted)
		pool_unqueue(pool, &self);
	pthread_cond_destroy(&self.woken);
	*conn = self.conn;
	return self.granted;
}

/* Give the permit back, with the connection or NULL. */
static void pool_release(struct store_pool *pool, void *conn)
{
	struct pool_waiter *waiter;

	pthread_mutex_lock(&pool->lock);
	waiter = pool->first;
	if (waiter) {
		pool_unqueue(pool, waiter);
		waiter->conn = conn ? conn : pool_pop(pool);
		waiter->granted = true;
		pthread_cond_signal(&waiter->woken);
	} else {
		if (conn)
			pool->idle[pool->idle_count++] = conn;
		pool->permits++;
	}
	pthread_mutex_unlock(&pool->lock);
}

static int pool_acquire(struct store_pool *pool, int64_t deadline_us,
			const struct pool_stops *stops, void **conn, struct convo_err *err)
{
	bool granted = true;

	pthread_mutex_lock(&pool->lock);
	if (pool->permits) {
		pool->permits--;
		*conn = pool_pop(pool);
	} else {
		granted = pool_wait(pool, deadline_us, stops, conn);
	}
	pthread_mutex_unlock(&pool->lock);
	if (granted && cv_clock_mono_us() < deadline_us && !pool_stopped(stops))
		return 0;
	if (granted)
		pool_release(pool, *conn);
	if (pool_stopped(stops))
		return cv_fail(err, CONVO_E_CANCELED, "%s: canceled", pool->store->where);
	return cv_fail(err, CONVO_E_TIMEOUT, "%s: no free connection in time (of %zu)",
		       pool->store->where, pool->limit);
}

/* ---- running -------------------------------------------------------------------------- */

/* One operation on its way through tries. */
struct pool_run {
	struct store_pool *pool;
	const struct store_call *call;
	const struct pool_stops *stops;
	bool repeat; /* carrying it out twice does no harm */
	bool forget; /* it must not arrive late */
	int64_t pause_us;
	void *conn;
	bool unknown; /* a try was lost after it may have been carried out */
	bool patient; /* the last try was to give up a server that is silent */
	bool hung;    /* one did */
};

/* Sleep longer each time; false when the deadline leaves no time for that, or somebody stops it. */
static bool pool_pause(struct pool_run *run)
{
	int64_t left_us = run->call->deadline_us - cv_clock_mono_us();
	struct timespec ts = {0, (long)run->pause_us * 1000};

	if (left_us <= run->pause_us || pool_stopped(run->stops))
		return false;
	nanosleep(&ts, NULL);
	run->pause_us = run->pause_us ? run->pause_us * 2 : POOL_PAUSE_US;
	if (run->pause_us > POOL_PAUSE_MAX_US)
		run->pause_us = POOL_PAUSE_MAX_US;
	return true;
}

/* Whether a code tells of a connection that is lost, or could not be made. */
static bool pool_broken(int rc)
{
	return rc == CONVO_E_IO || rc == CONVO_E_GONE;
}

/* Another connection that idles, or NULL. */
static void *pool_other(struct store_pool *pool)
{
	void *conn;

	pthread_mutex_lock(&pool->lock);
	conn = pool_pop(pool);
	pthread_mutex_unlock(&pool->lock);
	return conn;
}

static int pool_socket(const struct store_pool *pool, const void *conn)
{
	return pool->driver->socket ? pool->driver->socket(conn) : -1;
}

/*
 * Break a connection that was lost. TCP would go on sending for minutes what has not arrived, and a server
 * that is back would do what the caller was told had failed, after things that the caller has done
 * since. What may not be done twice is therefore forgotten by the kernel too. The rest does no harm so
 * late, and is closed as usual: the server hears of that when the network is back, and of the other way
 * only if it asks.
 */
static void pool_break(struct pool_run *run)
{
	if (run->forget)
		cv_wait_forget(pool_socket(run->pool, run->conn));
	run->pool->driver->disconnect(run->conn);
	run->conn = NULL;
}

/* Make sure of a connection that looks alive: the given one, another idle one, a new one. A server
 * that was never reached is not waited for: whoever opens a store wants to know at once. `why` is what
 * made the last try fail, if there was one. */
static int pool_connect(struct pool_run *run, struct convo_err *why)
{
	struct store_pool *pool = run->pool;
	struct convo_err last;
	int64_t left_us;
	bool reached;

	for (;;) {
		while (run->conn && !pool->driver->usable(run->conn)) {
			pool->driver->disconnect(run->conn);
			run->conn = pool_other(pool);
		}
		if (run->conn)
			return 0;
		memset(&last, 0, sizeof(last));
		left_us = run->call->deadline_us - cv_clock_mono_us();
		run->conn = pool->driver->connect(pool->store, run->call, &last);
		pthread_mutex_lock(&pool->lock);
		reached = pool->reached;
		pool->reached = reached || run->conn;
		pthread_mutex_unlock(&pool->lock);
		if (run->conn) {
			cv_wait_keep_alive(pool_socket(pool, run->conn));
			return 0;
		}
		/* A try that had no time tells less than the one before it. */
		last.maybe = false;
		if (last.code != CONVO_E_TIMEOUT || !why->code || left_us > POOL_SHARE_US)
			*why = last;
		if (!pool_broken(last.code) || !reached || pool->driver->hurried ||
		    !pool_pause(run))
			return why->code;
		/* A server that has no more connections for us leaves those that there are. */
		run->conn = pool_other(pool);
	}
}

/*
 * A connection was lost, so the idle ones may be: a peer that went without a word, behind a firewall
 * or a switched-off machine, leaves them looking alive, and each would cost a call its timeout.
 * They go at once, so that one call fails and the next connects (L3).
 */
static void pool_suspect(struct store_pool *pool)
{
	void *conn = pool_other(pool);

	for (; conn; conn = pool_other(pool))
		pool->driver->disconnect(conn);
}

/* Whether a code leaves open what became of a try before. */
static bool pool_undecided(int rc)
{
	return pool_broken(rc) || rc == CONVO_E_TIMEOUT || rc == CONVO_E_NOMEM ||
	       rc == CONVO_E_CANCELED || rc == CONVO_E_DENIED || rc == CONVO_E_VERSION ||
	       rc == CONVO_E_FULL || rc == CONVO_E_READONLY;
}

int cv_pool_undecide(struct convo_err *why)
{
	if (!pool_undecided(why->code))
		return why->code;
	why->maybe = true;
	if (why->code != CONVO_E_TIMEOUT && why->code != CONVO_E_GONE &&
	    why->code != CONVO_E_CANCELED)
		why->code = CONVO_E_IO;
	return why->code;
}

/* Tell a failure. After a try of unknown outcome it is IO or TIMEOUT, and maybe. */
static int pool_fail(const struct pool_run *run, struct convo_err *why, struct convo_err *err)
{
	if (run->unknown)
		cv_pool_undecide(why);
	if (err)
		*err = *why;
	return why->code;
}

/* Try once, on a connection that there is. A server that hangs is given up once; several of them as
 * long as there is time to divide. */
static int pool_try(struct pool_run *run, pool_op op, void *ctx, enum pool_fate *fate,
		    struct convo_err *err)
{
	struct store_call call = *run->call;

	call.patience = (struct store_patience){0};
	if (run->repeat)
		call.patience = cv_pool_patience(run->pool, call.deadline_us);
	if (run->hung && !call.patience.elsewhere)
		call.patience.us = 0;
	run->patient = call.patience.us > 0;
	*fate = POOL_KEEP;
	store_work_try(&call);
	return op(run->pool->store, run->conn, &call, ctx, fate, err);
}

/* Whether to try again after a connection was lost, when it is time for that. */
static bool pool_again(struct pool_run *run, int rc, enum pool_fate fate)
{
	int64_t left_us = run->call->deadline_us - cv_clock_mono_us();

	if (!run->repeat && fate != POOL_UNSENT)
		return false;
	/* A try without time would only hide why. */
	if (rc == CONVO_E_READONLY && left_us < POOL_SHARE_US)
		return false;
	if (rc == CONVO_E_TIMEOUT && run->patient)
		run->hung = true;
	else if (!pool_broken(rc) && !(rc == CONVO_E_READONLY && fate == POOL_UNSENT))
		return false;
	return pool_pause(run);
}

int cv_pool_run(struct store_pool *pool, const struct store_call *call, bool repeat, pool_op op,
		void *ctx, struct convo_err *err)
{
	const struct pool_stops own = {&call->cancel, call->cancel ? 1 : 0};

	return cv_pool_run_for(pool, call, &own, repeat ? POOL_HARMLESS : POOL_HARMFUL, op, ctx,
			       err);
}

int cv_pool_run_for(struct store_pool *pool, const struct store_call *call,
		    const struct pool_stops *stops, enum pool_twice twice, pool_op op, void *ctx,
		    struct convo_err *err)
{
	struct pool_run run = {.pool = pool,
			       .call = call,
			       .stops = stops,
			       .repeat = twice == POOL_HARMLESS,
			       .forget = twice == POOL_HARMFUL};
	struct convo_err why = {0}; /* a try that failed must not show when the next succeeds */
	enum pool_fate fate;
	int rc = pool_acquire(pool, call->deadline_us, stops, &run.conn, err);

	if (rc < 0)
		return rc;
	do {
		rc = pool_connect(&run, &why);
		if (rc < 0)
			break;
		rc = pool_try(&run, op, ctx, &fate, &why);
		if (fate == POOL_KEEP)
			break;
		pool_break(&run);
		run.unknown = run.unknown || fate == POOL_LOST;
		if (fate == POOL_LOST)
			store_work_lost(call);
		if (rc < 0 && rc != CONVO_E_CANCELED)
			pool_suspect(pool);
	} while (pool_again(&run, rc, fate));
	pool_release(pool, run.conn);
	return rc < 0 ? pool_fail(&run, &why, err) : rc;
}
