/*
 * Token buckets: an average over minutes, and how long to wait. Time is passed in.
 */
#include <support/test.h>

#include "auth/bucket.h"

#define LIMIT 60 /* one a second */
#define START 1000000

static void test_bucket__is_full_at_first_and_then_used_up(void **state)
{
	struct bucket bucket = {0};
	int i;

	(void)state;
	bucket_pass(&bucket, LIMIT, START);
	for (i = 0; i < LIMIT; i++) {
		must_equal(LIMIT - i, bucket_left(&bucket, LIMIT).left);
		must_equal(0, bucket_left(&bucket, LIMIT).wait_ms);
		bucket_use(&bucket, 1);
	}
	must_equal(0, bucket_left(&bucket, LIMIT).left);
	must_equal(1000, bucket_left(&bucket, LIMIT).wait_ms);
	must_equal(60000, bucket_left(&bucket, LIMIT).reset_ms);
}

static void test_bucket__gives_what_a_minute_gives(void **state)
{
	struct bucket bucket = {0};
	int64_t now, used = 0;

	(void)state;
	for (now = START; now < START + 600000; now += 7) {
		bucket_pass(&bucket, LIMIT, now);
		if (bucket_left(&bucket, LIMIT).wait_ms)
			continue;
		bucket_use(&bucket, 1);
		used++;
	}
	/* A full one, and ten minutes. */
	must(used >= 11 * LIMIT - 1 && used <= 11 * LIMIT);
}

static void test_bucket__who_waits_as_told_is_served(void **state)
{
	static const int64_t limits[] = {1, 3, 7, 59, 60, 61, 1000, 999983, 1000000000};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct bucket bucket = {0};
		int64_t now = START;

		bucket_pass(&bucket, limits[i], now);
		bucket_use(&bucket, limits[i] + 5);
		must_equal(0, bucket_left(&bucket, limits[i]).left);
		now += bucket_left(&bucket, limits[i]).wait_ms;
		bucket_pass(&bucket, limits[i], now);
		must(bucket_left(&bucket, limits[i]).wait_ms <= 1);
		now += bucket_left(&bucket, limits[i]).reset_ms + 1;
		bucket_pass(&bucket, limits[i], now);
		must_equal(limits[i], bucket_left(&bucket, limits[i]).left);
		must_equal(0, bucket_left(&bucket, limits[i]).reset_ms);
	}
}

static void test_bucket__time_that_stands_or_goes_back_gives_nothing(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_pass(&bucket, LIMIT, START);
	bucket_use(&bucket, LIMIT);
	bucket_pass(&bucket, LIMIT, START);
	bucket_pass(&bucket, LIMIT, START - 5000);
	bucket_pass(&bucket, LIMIT, START);
	must_equal(0, bucket_left(&bucket, LIMIT).left);
}

static void test_bucket__a_smaller_limit_holds_at_once(void **state)
{
	struct bucket bucket = {0};

	(void)state;
	bucket_pass(&bucket, LIMIT, START);
	bucket_use(&bucket, LIMIT);
	must_equal(0, bucket_left(&bucket, 6).left);
	bucket_pass(&bucket, 6, START + 60000);
	must(bucket_left(&bucket, 6).left <= 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket__is_full_at_first_and_then_used_up),
		cmocka_unit_test(test_bucket__gives_what_a_minute_gives),
		cmocka_unit_test(test_bucket__who_waits_as_told_is_served),
		cmocka_unit_test(test_bucket__time_that_stands_or_goes_back_gives_nothing),
		cmocka_unit_test(test_bucket__a_smaller_limit_holds_at_once),
	};

	return TEST_RUN(tests);
}
