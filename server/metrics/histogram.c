/*
 * Histograms; see histogram.h.
 */
#include "metrics/histogram.h"

#include <math.h>

static const int64_t bounds_us[HISTOGRAM_BUCKETS - 1] = {
	100,     200,      500,      1000,     2000,      5000,      10000,
	20000,   50000,    100000,   200000,   500000,    1000000,   2000000,
	5000000, 10000000, 20000000, 50000000, 100000000, 200000000,
};

int64_t histogram_bound_us(size_t bucket)
{
	return bounds_us[bucket];
}

size_t histogram_bucket(int64_t us)
{
	size_t low = 0, high = HISTOGRAM_BUCKETS - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (us <= bounds_us[middle])
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void histogram_note(struct histogram_live *live, int64_t us)
{
	atomic_fetch_add_explicit(&live->count[histogram_bucket(us)], 1, memory_order_relaxed);
	if (us > 0)
		atomic_fetch_add_explicit(&live->sum_us, (unsigned long long)us,
					  memory_order_relaxed);
}

void histogram_read(struct histogram *into, struct histogram_live *live)
{
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->count[i] += atomic_load_explicit(&live->count[i], memory_order_relaxed);
	into->sum_us += atomic_load_explicit(&live->sum_us, memory_order_relaxed);
}

void histogram_add(struct histogram *into, const struct histogram *more)
{
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->count[i] += more->count[i];
	into->sum_us += more->sum_us;
}

void histogram_subtract(struct histogram *from, const struct histogram *less)
{
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		from->count[i] -= less->count[i];
	from->sum_us -= less->sum_us;
}

uint64_t histogram_total(const struct histogram *histogram)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += histogram->count[i];
	return total;
}

int64_t histogram_quantile_us(const struct histogram *histogram, double part)
{
	const double wanted = part * (double)histogram_total(histogram);
	double below = 0;
	size_t i;

	if (wanted <= 0)
		return 0;
	for (i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		const double here = (double)histogram->count[i];

		if (here > 0 && below + here >= wanted) {
			const double high = (double)bounds_us[i];
			const double low = i ? (double)bounds_us[i - 1] : high / 2;

			return (int64_t)(low * pow(high / low, (wanted - below) / here));
		}
		below += here;
	}
	return bounds_us[HISTOGRAM_BUCKETS - 2];
}
