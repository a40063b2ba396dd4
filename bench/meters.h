/*
 * How much space a store takes, and what it writes to get there, as its engine tells: for
 * bench_space.c. To add an engine add a row to the table in meters.c.
 */
#ifndef BENCH_METERS_H
#define BENCH_METERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

/** Where the store to be measured is. */
struct place {
	const struct server *server; /* NULL where there is none */
	const char *path;            /* of a file; NULL */
};

struct meter {
	const char *engine;
	const char *server;           /* as bench_server_start() knows it, or NULL */
	const char *const *args;      /* more arguments for the server; NULL after the last */
	const char *held_is, *log_is; /* what the numbers are, in a few words */

	bool reopen; /* the store is to be closed first and opened again */

	/* Bytes that it takes now; what is to be reclaimed by maintenance has been. */
	int64_t (*held)(const struct place *place);

	/* Bytes written so far to logs, of which an answer waits for the first: [0] the engine's own,
	 * [1] one that replicas read. */
	void (*log)(const struct place *place, int64_t log[2]);
};

extern const struct meter bench_meters[];
extern const size_t bench_meter_count;

#endif
