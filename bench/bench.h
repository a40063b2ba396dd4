/*
 * What bench_store.c measures against: for each engine, one file raw_<engine>.c that does bare what
 * the store does with it, on the same database. To add an engine write such a file, name it in the
 * table of bench_store.c and in meson.build.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>

#include <convo/store.h>

#include <base/uuid.h>

/** One caller of an engine; each has its own, and one thread uses it. */
struct raw;

struct bench_engine {
	const char *name;
	/* Whether it needs -url; otherwise `url` makes one in a fresh directory. */
	const char *(*url)(const char *dir);

	/* Begin as caller number `index` on the database of the URL, which a store has made. Callers
	 * append to a session of their own, load from any. */
	struct raw *(*open)(const char *url, int index);
	void (*close)(struct raw *raw);

	/* Append one event durably. */
	void (*append)(struct raw *raw, const struct convo_key *key, const unsigned char *id,
		       const char *message, size_t len);

	/* Read the newest n events, copying them. @return bytes copied */
	size_t (*load)(struct raw *raw, const struct convo_key *key, size_t n);

	/* Bring a session to n events, where the raw engine does not see the store's. May be NULL. */
	void (*fill)(struct raw *raw, const struct convo_key *key, size_t n, const char *message,
		     size_t len);
};

extern const struct bench_engine bench_memory;
extern const struct bench_engine bench_sqlite;
extern const struct bench_engine bench_redis;
extern const struct bench_engine bench_piped; /* the same with many appends in flight */
extern const struct bench_engine bench_postgres;
extern const struct bench_engine bench_pgbatch; /* the same with many appends in one pipeline */
extern const struct bench_engine bench_mysql;

/** Print a message and end the program. */
void bench_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** malloc() that ends the program when memory is out. */
void *bench_alloc(size_t size);

#endif
