/*
 * How many different things there were, without keeping them: HyperLogLog (Flajolet et al., AofA 2007), with counting
 * of the empty places where there are few. It is off by 2 % or so, and two of them together are the sketch of the
 * things of both, however many they share.
 */
#ifndef SERVER_METRICS_SKETCH_H
#define SERVER_METRICS_SKETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "term/text.h"

#define SKETCH_PLACES 2048

/** All-zero is of nothing. */
struct sketch {
	unsigned char place[SKETCH_PLACES];
};

/** One that any thread may add to at any time. All-zero is of nothing. */
struct sketch_live {
	atomic_uchar place[SKETCH_PLACES];
};

/** A number for some bytes, after that for others before them: begin with 0. */
uint64_t sketch_hash(uint64_t before, const void *bytes, size_t len);

/** Add a thing by its number. Thread-safe, without a lock. */
void sketch_note(struct sketch_live *live, uint64_t hash);

/** Move what a live one holds into another: it is of nothing then. What is noted meanwhile gets into one of the two. */
void sketch_take(struct sketch *into, struct sketch_live *live);

/** Add the things of another one. */
void sketch_add(struct sketch *into, const struct sketch *more);

/** About how many things there were. */
uint64_t sketch_count(const struct sketch *sketch);

/** Write it as letters, digits, - and _: three for each place that is not empty, or one for each place. */
bool sketch_write(struct text *out, const struct sketch *sketch);

/** Read that. @return success */
bool sketch_read(struct sketch *out, const char *text);

#endif
