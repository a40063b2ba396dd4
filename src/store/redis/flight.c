/*
 * Asks that are shared; see flight.h.
 */
#include <store/redis/flight.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define GATHER_US 5000         /* most that one waits for the one before it */
#define LOOK_US 50000          /* between two looks at the cancel of one who waits */
#define KEPT 16                /* most apps of which something is kept */
#define KEPT_BYTES (256 << 10) /* most that is kept of one: more takes as long to ask as to copy */

struct redis_flight {
	struct redis_flight *next;
	size_t users;
	enum { GATHERS, FLIES, LANDED, FAILED } state;
	bool beside; /* another one of the app landed while it flew */
	int64_t departed_us;
	struct cv_buf texts; /* not changed any more once it has landed */
	char app[CONVO_MAX_NAME + 1];
};

struct redis_flights {
	pthread_mutex_t lock; /* guards all below, and what changes of each flight */
	pthread_cond_t landed;
	struct redis_flight *first;      /* that gather or fly */
	struct redis_flight *kept[KEPT]; /* one of an app, newest first; each has us as a user */
	size_t kept_count;
	int64_t forgot_us; /* what departed before is not to be kept */
	int64_t took_us;   /* what callers have to ask for themselves, about */
};

int cv_flights_new(struct redis_flights **out, struct convo_err *err)
{
	struct redis_flights *flights = cv_alloc(1, sizeof(*flights));
	pthread_condattr_t clock;

	if (!flights)
		return cv_fail_nomem(err);
	pthread_mutex_init(&flights->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&flights->landed, &clock);
	pthread_condattr_destroy(&clock);
	*out = flights;
	return 0;
}

static void flight_free(struct redis_flight *flight)
{
	cv_buf_clear(&flight->texts);
	free(flight);
}

void cv_flights_free(struct redis_flights *flights)
{
	if (!flights)
		return;
	while (flights->kept_count)
		flight_free(flights->kept[--flights->kept_count]);
	pthread_cond_destroy(&flights->landed);
	pthread_mutex_destroy(&flights->lock);
	free(flights);
}

/* ---- with the lock held ------------------------------------------------------------------- */

/* The flight of an app in that state, but not this one. */
static struct redis_flight *flight_find(const struct redis_flights *flights, const char *app,
					int state, const struct redis_flight *other)
{
	struct redis_flight *flight = flights->first;

	while (flight &&
	       (flight == other || (int)flight->state != state || strcmp(flight->app, app) != 0))
		flight = flight->next;
	return flight;
}

static void flight_unlist(struct redis_flights *flights, const struct redis_flight *flight)
{
	struct redis_flight **at = &flights->first;

	while (*at != flight)
		at = &(*at)->next;
	*at = flight->next;
}

static void flights_wait(struct redis_flights *flights, int64_t until_us)
{
	const struct timespec until = {(time_t)(until_us / 1000000), until_us % 1000000 * 1000};

	pthread_cond_timedwait(&flights->landed, &flights->lock, &until);
}

/* The server's answer that was asked for at that time may still be told. */
static bool kept_is_good(const struct redis_flights *flights, const struct redis_flight *flight,
			 int64_t at_us)
{
	return flight->departed_us > flights->forgot_us &&
	       at_us - flight->departed_us <= REDIS_KEEP_US;
}

static void kept_drop(struct redis_flights *flights, size_t i)
{
	struct redis_flight *flight = flights->kept[i];

	flights->kept_count--;
	memmove(&flights->kept[i], &flights->kept[i + 1],
		(flights->kept_count - i) * sizeof(flights->kept[0]));
	if (--flight->users == 0)
		flight_free(flight);
}

static size_t kept_find(const struct redis_flights *flights, const char *app)
{
	size_t i = 0;

	while (i < flights->kept_count && strcmp(flights->kept[i]->app, app) != 0)
		i++;
	return i;
}

/* Keep one that has just landed. Of two that flew at the same time nobody knows which is newer: then
 * nothing is kept, so that nobody sees what was before what he has seen. */
static void kept_add(struct redis_flights *flights, struct redis_flight *flight, bool small)
{
	int64_t now_us = cv_clock_mono_us();
	size_t i = kept_find(flights, flight->app);

	if (flight->beside)
		flights->forgot_us = now_us;
	if (i < flights->kept_count)
		kept_drop(flights, i);
	while (flights->kept_count &&
	       (flights->kept_count == KEPT ||
		!kept_is_good(flights, flights->kept[flights->kept_count - 1], now_us)))
		kept_drop(flights, flights->kept_count - 1);
	if (!small || !kept_is_good(flights, flight, now_us))
		return;
	memmove(&flights->kept[1], &flights->kept[0],
		flights->kept_count * sizeof(flights->kept[0]));
	flights->kept[0] = flight;
	flights->kept_count++;
	flight->users++;
}

/* ---- flying ----------------------------------------------------------------------------- */

struct redis_flight *cv_flight_join(struct redis_flights *flights, const char *app, bool *leads)
{
	size_t len = strlen(app);
	struct redis_flight *flight;

	pthread_mutex_lock(&flights->lock);
	flight = flight_find(flights, app, GATHERS, NULL);
	*leads = !flight;
	if (!flight && len <= CONVO_MAX_NAME) {
		flight = cv_alloc(1, sizeof(*flight));
		if (flight) {
			memcpy(flight->app, app, len + 1);
			flight->next = flights->first;
			flights->first = flight;
		}
	}
	if (flight)
		flight->users++;
	pthread_mutex_unlock(&flights->lock);
	return flight;
}

void cv_flight_depart(struct redis_flights *flights, struct redis_flight *flight)
{
	int64_t until_us = cv_clock_mono_us() + GATHER_US;

	pthread_mutex_lock(&flights->lock);
	while (flight_find(flights, flight->app, FLIES, flight) && cv_clock_mono_us() < until_us)
		flights_wait(flights, until_us);
	flight->state = FLIES;
	flight->departed_us = cv_clock_mono_us();
	pthread_mutex_unlock(&flights->lock);
}

void cv_flight_leave(struct redis_flights *flights, struct redis_flight *flight)
{
	bool last;

	pthread_mutex_lock(&flights->lock);
	last = --flight->users == 0;
	pthread_mutex_unlock(&flights->lock);
	if (last)
		flight_free(flight);
}

void cv_flight_land(struct redis_flights *flights, struct redis_flight *flight,
		    const struct cv_buf *texts)
{
	bool failed = !texts, small = texts && texts->len <= KEPT_BYTES, shared;
	struct redis_flight *other;

	/* Nobody joins any more, though some may leave. */
	pthread_mutex_lock(&flights->lock);
	shared = flight->users > 1;
	pthread_mutex_unlock(&flights->lock);
	if (texts && (shared || small) && cv_buf_add(&flight->texts, texts->data, texts->len) < 0)
		failed = true;
	pthread_mutex_lock(&flights->lock);
	flight->state = failed ? FAILED : LANDED;
	flight_unlist(flights, flight);
	for (other = flights->first; other; other = other->next)
		other->beside = other->beside ||
				(other->state == FLIES && strcmp(other->app, flight->app) == 0);
	if (!failed)
		kept_add(flights, flight, small);
	pthread_cond_broadcast(&flights->landed);
	pthread_mutex_unlock(&flights->lock);
	cv_flight_leave(flights, flight);
}

bool cv_flight_wait(struct redis_flights *flights, struct redis_flight *flight,
		    const struct store_call *call, struct cv_buf *texts)
{
	bool landed;

	pthread_mutex_lock(&flights->lock);
	while (flight->state == GATHERS || flight->state == FLIES) {
		int64_t now_us = cv_clock_mono_us(), look_us = now_us + LOOK_US;

		if (now_us >= call->deadline_us || convo_cancel_requested(call->cancel))
			break;
		flights_wait(flights, look_us < call->deadline_us ? look_us : call->deadline_us);
	}
	landed = flight->state == LANDED;
	pthread_mutex_unlock(&flights->lock);
	if (landed)
		landed = cv_buf_add(texts, flight->texts.data, flight->texts.len) == 0;
	cv_flight_leave(flights, flight);
	return landed;
}

/* ---- keeping ------------------------------------------------------------------------------ */

struct redis_flight *cv_flight_kept(struct redis_flights *flights, const char *app)
{
	struct redis_flight *flight = NULL;
	size_t i;

	pthread_mutex_lock(&flights->lock);
	i = kept_find(flights, app);
	if (i < flights->kept_count &&
	    kept_is_good(flights, flights->kept[i], cv_clock_mono_us() + flights->took_us)) {
		flight = flights->kept[i];
		flight->users++;
	}
	pthread_mutex_unlock(&flights->lock);
	return flight;
}

bool cv_flight_read(struct redis_flights *flights, struct redis_flight *flight,
		    struct cv_buf *texts)
{
	bool good;

	pthread_mutex_lock(&flights->lock);
	good = kept_is_good(flights, flight, cv_clock_mono_us());
	pthread_mutex_unlock(&flights->lock);
	if (good)
		good = cv_buf_add(texts, flight->texts.data, flight->texts.len) == 0;
	cv_flight_leave(flights, flight);
	return good;
}

void cv_flights_took(struct redis_flights *flights, int64_t took_us)
{
	pthread_mutex_lock(&flights->lock);
	flights->took_us += (took_us - flights->took_us) / 4;
	pthread_mutex_unlock(&flights->lock);
}

void cv_flights_forget(struct redis_flights *flights)
{
	pthread_mutex_lock(&flights->lock);
	flights->forgot_us = cv_clock_mono_us();
	pthread_mutex_unlock(&flights->lock);
}
