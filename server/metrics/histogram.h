/*
 * How long things take: how many took up to each of some times, which are the same everywhere, so that those of
 * hours and of servers can be added up.
 */
#ifndef SERVER_METRICS_HISTOGRAM_H
#define SERVER_METRICS_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/** Buckets: one for each bound, and one beyond the last. */
#define HISTOGRAM_BUCKETS 21

/** All-zero is empty. */
struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t sum_us;
};

/** One that any thread may add to at any time. All-zero is empty. */
struct histogram_live {
	atomic_ullong count[HISTOGRAM_BUCKETS];
	atomic_ullong sum_us;
};

/** The longest time of a bucket, in us: 100 us, 200, 500 and so on up to 200 s. Not of the last one. */
int64_t histogram_bound_us(size_t bucket);

/** The bucket of a time, which may be less than nothing. */
size_t histogram_bucket(int64_t us);

/** Add a time. Thread-safe, without a lock. */
void histogram_note(struct histogram_live *live, int64_t us);

/** Add what a live one holds. */
void histogram_read(struct histogram *into, struct histogram_live *live);

/** Add or take away another one. What is taken away is in it. */
void histogram_add(struct histogram *into, const struct histogram *more);
void histogram_subtract(struct histogram *from, const struct histogram *less);

/** How many times it holds. */
uint64_t histogram_total(const struct histogram *histogram);

/**
 * The time that this part of them took at most, in us, as far as the buckets tell: between their bounds the times
 * are taken to be spread evenly in their logarithms.
 *
 * @param part above 0, up to 1
 * @return 0 when it is empty; what is beyond the last bound counts as that
 */
int64_t histogram_quantile_us(const struct histogram *histogram, double part);

#endif
