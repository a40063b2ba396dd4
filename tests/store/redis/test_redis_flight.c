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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_P1_one_who_is_alone_waits_for_nobody,
						flights_begin, flights_end),
		cmocka_unit_test_setup_teardown(
			test_S2_whoever_comes_after_the_asking_gets_a_later_answer, flights_begin,
			flights_end),
		cmocka_unit_test_setup_teardown(test_L2_who_gets_no_answer_is_told, flights_begin,
						flights_end),
		cmocka_unit_test_setup_teardown(test_S2_many_share_what_they_ask_for, flights_begin,
						flights_end),
	};

	return TEST_RUN(tests);
}
