/*
 * How to connect to PostgreSQL, read from a URL. Knows libpq's options, not the library.
 */
#ifndef STORE_POSTGRES_PLAN_H
#define STORE_POSTGRES_PLAN_H

#include <stdatomic.h>

#include <store/backend.h>

#define PG_PLAN_OPTIONS 32
#define PG_PLAN_HOSTS 8

/** What a URL may say to libpq, and "host"; NULL after the last. */
extern const char *const cv_pg_params[];

/** How to connect. All-zero is valid; outlives its connections. */
struct pg_plan {
	const char *where;    /* for messages; borrowed */
	bool create_database; /* if it is missing and the user may */
	bool picky;           /* not any server will do (target_session_attrs), */
	bool writes;          /* but only one that takes writes */
	struct cv_buf text;   /* holds the strings below */
	size_t option_count, host_count;
	struct pg_option {
		size_t name, value; /* offsets in `text` */
	} option[PG_PLAN_OPTIONS];
	struct pg_host {
		size_t host, port; /* offsets; SIZE_MAX: libpq's default */
	} host[PG_PLAN_HOSTS];
	size_t database; /* offset; SIZE_MAX: libpq's default */
};

/** What the connections of a store know together, which outlives them. All-zero at first. */
struct pg_shared {
	atomic_bool unprepared; /* a pooler stands between that keeps no prepared statements */
	atomic_size_t first;    /* the host that took us last, and is asked first */
	/* Until when a host is taken for one that says nothing, by cv_clock_mono_us(). */
	_Atomic int64_t silent_us[PG_PLAN_HOSTS];
};

/**
 * Read a URL.
 *
 * @param where receives what to call the place: "localhost:5432/chat"
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
int cv_pg_plan_init(struct pg_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err);

/** What to call host i: "localhost:5432", "local" for libpq's default. @return as snprintf() */
int cv_pg_host_text(const struct pg_plan *plan, size_t i, char *out, size_t size);

/** Forget it, wiping the password. */
void cv_pg_plan_clear(struct pg_plan *plan);

#endif
