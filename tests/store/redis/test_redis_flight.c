/*
 * Asks that loads share (store/redis/flight.h): nobody gets an answer that is older than itself.
 */
#include <support/test.h>

#include <base/clock.h>
#include <store/redis/flight.h>

static struct redis_flights *flights;

static int flights_begin(void **state)
{
	struct convo_err err;

	(void)state;
	must_pass(cv_flights_new(&flights, &err));
	return 0;
}

static int flights_end(void **state)
{
	(void)state;
	cv_flights_free(flights);
	return 0;
}

static void land(struct redis_flight *flight, const char *text)
{
	struct cv_buf texts = {0};

	must_equal(0, cv_buf_adds(&texts, text));
	cv_flight_land(flights, flight, &texts);
	cv_buf_clear(&texts);
}

/* What one who is no leader gets by then, NULL: nothing. */
static void must_get(const char *want, struct redis_flight *flight, int64_t within_us)
{
	const struct store_call call = {.deadline_us = cv_clock_mono_us() + within_us};
	struct cv_buf texts = {0};

	must_equal(want != NULL, cv_flight_wait(flights, flight, &call, &texts));
	if (want)
		must_equal_str(want, cv_buf_str(&texts));
	cv_buf_clear(&texts);
}

static void test_P1_one_who_is_alone_waits_for_nobody(void **state)
{
	int64_t begun_us = cv_clock_mono_us();
	bool leads = false;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		struct redis_flight *flight = cv_flight_join(flights, "app", &leads);

		must(flight && leads);
		cv_flight_depart(flights, flight);
		land(flight, "x");
	}
	must(cv_clock_mono_us() - begun_us < 400000);
}

static void test_S2_whoever_comes_after_the_asking_gets_a_later_answer(void **state)
{
	struct redis_flight *first, *second, *third, *other;
	bool leads = false;

	(void)state;
	first = cv_flight_join(flights, "app", &leads);
	must(first && leads);
	must(cv_flight_join(flights, "app", &leads) == first && !leads);
	cv_flight_depart(flights, first);
	second = cv_flight_join(flights, "app", &leads);
	must(second && second != first && leads);
	must(cv_flight_join(flights, "app", &leads) == second && !leads);
	other = cv_flight_join(flights, "another", &leads);
	must(other && other != second && leads);
	cv_flight_depart(flights, second); /* some ms, and no longer */
	third = cv_flight_join(flights, "app", &leads);
	must(third && third != second && leads);
	land(second, "second");
	must_get("second", second, 1000000);
	land(first, "first");
	must_get("first", first, 1000000);
	cv_flight_depart(flights, third);
	land(third, "third");
	cv_flight_depart(flights, other);
	land(other, "other");
}

static void test_L2_who_gets_no_answer_is_told(void **state)
{
	struct redis_flight *flight;
	bool leads = false;

	(void)state;
	flight = cv_flight_join(flights, "app", &leads);
	must(flight && leads);
	must(cv_flight_join(flights, "app", &leads) == flight);
	must(cv_flight_join(flights, "app", &leads) == flight);
	must(cv_flight_join(flights, "app", &leads) == flight);
	cv_flight_depart(flights, flight);
	must_get(NULL, flight, 20000); /* late */
	cv_flight_leave(flights, flight);
	cv_flight_land(flights, flight, NULL); /* the asking failed */
	must_get(NULL, flight, 1000000);
}

static void many_run(void *ctx, int index)
{
	int i;

	(void)ctx;
	(void)index;
	for (i = 0; i < 300; i++) {
		bool leads = false;
		struct redis_flight *flight = cv_flight_join(flights, "app", &leads);

		must(flight != NULL);
		if (leads) {
			cv_flight_depart(flights, flight);
			land(flight, "text");
		} else if (i % 3) {
			must_get("text", flight, 5000000);
		} else {
			cv_flight_leave(flights, flight);
		}
	}
}

static void test_S2_many_share_what_they_ask_for(void **state)
{
	(void)state;
	test_threads(8, many_run, NULL);
}

/* ---- keeping ------------------------------------------------------------------------------ */

/* One that is alone: it departs and lands. */
static void fly(const char *app, const char *text)
{
	bool leads = false;
	struct redis_flight *flight = cv_flight_join(flights, app, &leads);

	must(flight && leads);
	cv_flight_depart(flights, flight);
	land(flight, text);
}

static bool is_kept(const char *app)
{
	struct redis_flight *flight = cv_flight_kept(flights, app);

	if (flight)
		cv_flight_leave(flights, flight);
	return flight;
}

/* What was asked for just now, unless this machine is too slow for that. */
static struct redis_flight *kept_one(void)
{
	struct redis_flight *flight = NULL;
	int i;

	for (i = 0; i < 1000 && !flight; i++) {
		fly("app", "x");
		flight = cv_flight_kept(flights, "app");
	}
	must(flight != NULL);
	return flight;
}

static void grow_old(void)
{
	int64_t until_us = cv_clock_mono_us() + REDIS_KEEP_US + 1;

	while (cv_clock_mono_us() < until_us) {
	}
}

static void test_S2_what_was_asked_for_is_kept_for_some_ms_and_no_longer(void **state)
{
	struct redis_flight *flight;
	struct cv_buf texts = {0};
	bool read = false;
	int i;

	(void)state;
	must(REDIS_KEEP_US < REDIS_SETTLE_US);
	for (i = 0; i < 1000 && !read; i++)
		read = cv_flight_read(flights, kept_one(), &texts);
	must(read);
	must_equal_str("x", cv_buf_str(&texts));
	must(!is_kept("another"));
	grow_old();
	must(!is_kept("app"));
	flight = kept_one();
	grow_old();
	must(!cv_flight_read(flights, flight, &texts));
	cv_buf_clear(&texts);
}

static void test_S2_nobody_sees_what_was_before_what_was_seen(void **state)
{
	struct redis_flight *first, *second, *kept;
	struct cv_buf texts = {0};
	bool leads = false;

	(void)state;
	/* Somebody asked by himself. */
	kept = kept_one();
	cv_flights_forget(flights);
	must(!is_kept("app"));
	must(!cv_flight_read(flights, kept, &texts));
	/* Or while one was on its way. */
	first = cv_flight_join(flights, "app", &leads);
	cv_flight_depart(flights, first);
	cv_flights_forget(flights);
	land(first, "x");
	must(!is_kept("app"));
	/* Two were on their way at the same time: nobody knows which is newer. */
	first = cv_flight_join(flights, "app", &leads);
	cv_flight_depart(flights, first);
	second = cv_flight_join(flights, "app", &leads);
	must(leads && second != first);
	cv_flight_depart(flights, second);
	land(first, "x");
	land(second, "y");
	must(!is_kept("app"));
	/* What failed is none. */
	first = cv_flight_join(flights, "app", &leads);
	cv_flight_depart(flights, first);
	cv_flight_land(flights, first, NULL);
	must(!is_kept("app"));
	cv_buf_clear(&texts);
}

/* Where a server is far away, what is kept would be too old when its answer comes. */
static void test_P1_who_takes_long_is_given_nothing_that_is_kept(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		cv_flights_took(flights, 20000);
	for (i = 0; i < 20; i++) {
		fly("app", "x");
		must(!is_kept("app"));
	}
	for (i = 0; i < 50; i++)
		cv_flights_took(flights, 100);
	cv_flight_leave(flights, kept_one());
}

static void test_N3_little_is_kept(void **state)
{
	static char large[300 << 10];
	int most = 0, tries, i;

	(void)state;
	for (tries = 0; tries < 1000 && !most; tries++) {
		int kept = 0;

		for (i = 0; i < 40; i++)
			fly(test_text("app %d", i), "x");
		for (i = 0; i < 40; i++)
			kept += is_kept(test_text("app %d", i));
		must(kept <= 16);
		most = kept > most ? kept : most;
	}
	must(most > 0);
	memset(large, 'x', sizeof(large) - 1);
	for (i = 0; i < 10; i++) {
		fly("app", large);
		must(!is_kept("app"));
	}
}

static void kept_run(void *ctx, int index)
{
	int i;

	(void)ctx;
	for (i = 0; i < 2000; i++) {
		const char *app = index % 2 ? "app" : "another";
		struct redis_flight *flight = cv_flight_kept(flights, app);
		struct cv_buf texts = {0};
		bool leads = false;

		if (flight && i % 7 == 0)
			cv_flights_forget(flights);
		if (flight) {
			if (cv_flight_read(flights, flight, &texts))
				must_equal_str("text", cv_buf_str(&texts));
			cv_buf_clear(&texts);
			continue;
		}
		flight = cv_flight_join(flights, app, &leads);
		if (leads) {
			cv_flight_depart(flights, flight);
			land(flight, "text");
		} else {
			must_get("text", flight, 5000000);
		}
	}
}

static void test_S2_many_share_what_is_kept(void **state)
{
	(void)state;
	test_threads(8, kept_run, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, flights_begin, flights_end)
		TEST(test_P1_one_who_is_alone_waits_for_nobody),
		TEST(test_S2_whoever_comes_after_the_asking_gets_a_later_answer),
		TEST(test_L2_who_gets_no_answer_is_told),
		TEST(test_S2_many_share_what_they_ask_for),
		TEST(test_S2_what_was_asked_for_is_kept_for_some_ms_and_no_longer),
		TEST(test_S2_nobody_sees_what_was_before_what_was_seen),
		TEST(test_P1_who_takes_long_is_given_nothing_that_is_kept),
		TEST(test_N3_little_is_kept),
		TEST(test_S2_many_share_what_is_kept),
#undef TEST
	};

	return TEST_RUN(tests);
}
