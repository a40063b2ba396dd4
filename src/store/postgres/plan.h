/*
 * How to connect to PostgreSQL, read from a URL. Knows libpq's options, not the library.
 */
#ifndef STORE_POSTGRES_PLAN_H
#define STORE_POSTGRES_PLAN_H

#include <store/backend.h>

#define PG_PLAN_OPTIONS 32
#define PG_PLAN_HOSTS 8

/** What a URL may say to libpq, and "host"; NULL after the last. */
extern const char *const cv_pg_params[];

/** How to connect. All-zero is valid; outlives its connections. */
struct pg_plan {
	const char *where;    /* for messages; borrowed */
	bool create_database; /* if it is missing and the user may */
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

/**
 * Read a URL.
 *
 * @param where receives what to call the place: "localhost:5432/chat"
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
int cv_pg_plan_init(struct pg_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err);

/** Forget it, wiping the password. */
void cv_pg_plan_clear(struct pg_plan *plan);

#endif
