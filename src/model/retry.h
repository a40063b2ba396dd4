/*
 * Whether and when a failed request is made again. Pure: it neither waits nor asks.
 */
#ifndef MODEL_RETRY_H
#define MODEL_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/** What is known of a request that failed before anything of an answer came. */
struct retry_facts {
	bool broken;                       /* the connection was refused, cut or not made in time */
	int status;                        /* HTTP's; 0: there was none */
	const char *type, *code, *message; /* the server's; "" when it does not say */
	const char *after_ms;              /* headers; NULL when absent: retry-after-ms */
	const char *after;                 /* Retry-After */
	int64_t after_date;                /* Retry-After as a date, in Unix seconds; -1: none */
	const char *should;                /* x-should-retry */
	int64_t now;                       /* Unix seconds */
	int attempt;                       /* the one that failed: 1, 2 ... */
	int max_retries;
	int64_t spent_ms;    /* since the asking began */
	int64_t patience_ms; /* how long a server may take to load its model */
	uint32_t dice;       /* any random number */
};

/** @return milliseconds to wait before the next attempt, or -1: do not ask again */
int cv_retry_wait(const struct retry_facts *facts);

#endif
