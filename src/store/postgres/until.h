/*
 * How long the PostgreSQL store waits, and what it is told instead of an answer.
 */
#ifndef STORE_POSTGRES_UNTIL_H
#define STORE_POSTGRES_UNTIL_H

#include <store/backend.h>

#include <base/clock.h>

struct pg_until {
	int64_t deadline_us;               /* by cv_clock_mono_us() */
	const convo_cancel *const *cancel; /* each ends it early; none of them NULL */
	size_t cancels;
	struct store_patience patience;
};

/** Most cancels that one wait looks at. */
#define PG_CANCELS 64

/** The bounds of one call. */
static inline struct pg_until pg_until_of(const struct store_call *call)
{
	return (struct pg_until){call->deadline_us, &call->cancel, call->cancel ? 1 : 0,
				 call->patience};
}

/** For how long a transaction that stands still is left alone by the server: others may wait for what
 * it holds, should we be gone without a word. */
static inline int64_t cv_pg_haste_ms(const struct pg_until *until)
{
	int64_t left_ms = (until->deadline_us - cv_clock_mono_us()) / 1000 + 1000;

	if (left_ms < 1000)
		return 1000;
	return left_ms > INT32_MAX ? INT32_MAX : left_ms; /* the server's own bound */
}

/** What an operation returns when others were in the way: nothing was done, try again. */
#define PG_AGAIN 1

#endif
