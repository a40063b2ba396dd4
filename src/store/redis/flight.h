/*
 * Loads that run at once and want the state of the same app, which is on another server than their
 * sessions, share one ask for it: one that is sent after each of them began, so that none of them sees
 * what is older than itself. While one such ask is on its way, those who come gather for the next,
 * but not for longer than a few milliseconds. A caller who is alone waits for nobody.
 *
 * What was asked for is kept for some milliseconds, for those who come then. It is never too old:
 * whoever changes the state of an app lets more time than that go by between the change and telling
 * that it is done. So what anybody was told before a load began was there before the kept was asked for.
 * It takes no word between programs, and no clock but that by which each of them counts so few
 * milliseconds.
 */
#ifndef STORE_REDIS_FLIGHT_H
#define STORE_REDIS_FLIGHT_H

#include <store/backend.h>

/* How old the kept may be, and how long a change waits. Programs of all versions rely on each other for
 * this: never more than 5 ms, never less than 6. */
#define REDIS_KEEP_US 5000
#define REDIS_SETTLE_US 6000

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

/* ---- keeping ------------------------------------------------------------------------------ */

/**
 * One that landed a moment ago, if it will still be good when the caller is done with what he has to ask
 * for himself; for cv_flight_read() or cv_flight_leave(). Sees nothing older than what this handle has
 * told before.
 */
struct redis_flight *cv_flight_kept(struct redis_flights *flights, const char *app);

/** Read a kept one, if it is good now; it is not the caller's any more. */
bool cv_flight_read(struct redis_flights *flights, struct redis_flight *flight,
		    struct cv_buf *texts);

/** How long it took a caller to ask for what is his own. */
void cv_flights_took(struct redis_flights *flights, int64_t took_us);

/** Somebody has asked by himself, and may have seen what is newer than all that is kept. */
void cv_flights_forget(struct redis_flights *flights);

#endif
