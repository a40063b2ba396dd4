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

#define GATHER_US 5000 /* most that one waits for the one before it */
#define LOOK_US 50000  /* between two looks at the cancel of one who waits */

struct redis_flight {
	struct redis_flight *next;
	size_t users;
	enum { GATHERS, FLIES, LANDED, FAILED } state;
	struct cv_buf texts; /* not changed any more once it has landed */
	char app[CONVO_MAX_NAME + 1];
};

struct redis_flights {
	pthread_mutex_t lock; /* guards the list, and users and state of each */
	pthread_cond_t landed;
	struct redis_flight *first; /* that gather or fly */
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

void cv_flights_free(struct redis_flights *flights)
{
	if (!flights)
		return;
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
	pthread_mutex_unlock(&flights->lock);
}

void cv_flight_leave(struct redis_flights *flights, struct redis_flight *flight)
{
	bool last;

	pthread_mutex_lock(&flights->lock);
	last = --flight->users == 0;
	pthread_mutex_unlock(&flights->lock);
	if (!last)
		return;
	cv_buf_clear(&flight->texts);
	free(flight);
}

void cv_flight_land(struct redis_flights *flights, struct redis_flight *flight,
		    const struct cv_buf *texts)
{
	bool shared, failed = !texts;

	/* Nobody joins any more, though some may leave. */
	pthread_mutex_lock(&flights->lock);
	shared = flight->users > 1;
	pthread_mutex_unlock(&flights->lock);
	if (shared && texts && cv_buf_add(&flight->texts, texts->data, texts->len) < 0)
		failed = true;
	pthread_mutex_lock(&flights->lock);
	flight->state = failed ? FAILED : LANDED;
	flight_unlist(flights, flight);
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
