/*
 * Loads that run at once and want the state of the same app, which is on another server than their
 * sessions, share one ask for it: one that is sent after each of them began, so that none of them sees
 * what is older than itself. While one such ask is on its way, those who come gather for the next,
 * but not for longer than a few milliseconds. A caller who is alone waits for nobody.
 */
#ifndef STORE_REDIS_FLIGHT_H
#define STORE_REDIS_FLIGHT_H

#include <store/backend.h>

struct redis_flights;
struct redis_flight;

/** @return 0, CONVO_E_NOMEM */
int cv_flights_new(struct redis_flights **out, struct convo_err *err);

/** Nobody may be on one. NULL is fine. */
void cv_flights_free(struct redis_flights *flights);

/**
 * Join the one that gathers, or begin one.
 *
 * @param leads set: who began it departs, asks and lands; the others wait or leave
 * @return NULL when memory is out: ask by yourself
 */
struct redis_flight *cv_flight_join(struct redis_flights *flights, const char *app, bool *leads);

/** The leader, before asking: nobody joins any more. Blocks for some milliseconds at most. */
void cv_flight_depart(struct redis_flights *flights, struct redis_flight *flight);

/** The leader, with what was answered, NULL for a failure. The flight is not the leader's any more. */
void cv_flight_land(struct redis_flights *flights, struct redis_flight *flight,
		    const struct cv_buf *texts);

/**
 * The others: wait until it has landed, and copy what was answered. The flight is not the caller's any
 * more. Blocks until the call's deadline or cancel at most.
 *
 * @return whether there was an answer: else ask by yourself
 */
bool cv_flight_wait(struct redis_flights *flights, struct redis_flight *flight,
		    const struct store_call *call, struct cv_buf *texts);

/** The others, who do not want it any more. */
void cv_flight_leave(struct redis_flights *flights, struct redis_flight *flight);

#endif
