/*
 * Buckets; see bucket.h.
 */
#include "auth/bucket.h"

#define MINUTE_MS 60000.0

void bucket_pass(struct bucket *bucket, int64_t limit, int64_t now_ms)
{
	if (now_ms <= bucket->at_ms)
		return;
	bucket->used -= (double)(now_ms - bucket->at_ms) * (double)limit / MINUTE_MS;
	if (bucket->used < 0)
		bucket->used = 0;
	bucket->at_ms = now_ms;
}

void bucket_use(struct bucket *bucket, int64_t count)
{
	bucket->used += (double)count;
}

/* How long it takes until so many have come, rounded up. */
static int64_t bucket_time(double count, int64_t limit)
{
	const double ms = count * MINUTE_MS / (double)limit;
	const int64_t whole = (int64_t)ms;

	return count <= 0 ? 0 : whole + (ms > (double)whole);
}

struct bucket_left bucket_left(const struct bucket *bucket, int64_t limit)
{
	const double left = (double)limit - bucket->used;
	const struct bucket_left out = {
		.limit = limit,
		.left = left < 0 ? 0 : (int64_t)left,
		.wait_ms = bucket_time(1 - left, limit),
		.reset_ms = bucket_time(bucket->used, limit),
	};

	return out;
}
