/*
 * What bench_store.c measures against: for each engine, one file raw_<engine>.c that does with it,
 * bare, the least that a store of conversations needs: number an event and store it durably, and
 * read the newest ones. Its tables are its own, beside the store's, so that neither follows the
 * other. To add an engine write such a file, name it in the table of bench_store.c and in
 * meson.build.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/store.h>

#include <base/uuid.h>

#define BENCH_SESSIONS 200 /* of a user whose list is read */

/** One caller of an engine; each has its own, and one thread uses it. */
struct raw;

struct bench_engine {
	const char *name;
	const char *bare; /* what the raw side does, in a few words */
	const char
		*server; /* which server is started for it: "redis", "postgres", "mysql"; or NULL */

	/* Begin as caller number `index` on the database of the URL. The first makes the tables. */
	struct raw *(*open)(const char *url, int index);
	void (*close)(struct raw *raw);

	/* Number and store one event; NULL where the engine measures no appends. */
	void (*append)(struct raw *raw, const struct convo_key *key, const unsigned char *id,
		       const char *message, size_t len);

	/* After a turn: end what would be felt in the store's. NULL where nothing is left open. */
	void (*settle)(struct raw *raw);

	/* Read the newest n events, copying them. NULL as above. @return bytes copied */
	size_t (*load)(struct raw *raw, const struct convo_key *key, size_t n);

	/* Read what a list shows of the n newest of BENCH_SESSIONS sessions, which it makes at first;
	 * NULL as above. @return how many */
	size_t (*list)(struct raw *raw, size_t n);

	/* Bring a session to n events. */
	void (*fill)(struct raw *raw, const struct convo_key *key, size_t n, const char *message,
		     size_t len);
};

extern const struct bench_engine bench_memory;
extern const struct bench_engine bench_sqlite;
extern const struct bench_engine bench_redis;
extern const struct bench_engine bench_postgres;
extern const struct bench_engine bench_pgbatch; /* many appends in one pipeline */
extern const struct bench_engine bench_mysql;
extern const struct bench_engine bench_mybatch; /* many appends in one statement */

/** Print a message and end the program. */
void bench_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** Zeroed memory; ends the program when it is out. */
void *bench_alloc(size_t size);

/** Whether a list like "redis,mysql" holds the name. */
bool bench_names(const char *list, const char *name);

/** CPU used so far by this program, in microseconds. */
int64_t bench_cpu_us(void);

#endif
