/*
 * The rules of asking again, by table: no clock, no server.
 */
#include "support/test.h"

#include <limits.h>

#include <model/retry.h>

#define NOW INT64_C(1700000000)

static struct retry_facts facts_of(int status, int attempt)
{
	struct retry_facts facts = {.status = status,
				    .type = "",
				    .code = "",
				    .message = "",
				    .after_date = -1,
				    .now = NOW,
				    .attempt = attempt,
				    .max_retries = 2,
				    .patience_ms = 60000};

	return facts;
}

static int wait_of(struct retry_facts facts)
{
	return cv_retry_wait(&facts);
}

static void test_retry__by_status(void **state)
{
	static const int again[] = {408, 409, 429, 500, 502, 503, 504, 529, 599};
	static const int never[] = {400, 401, 402, 403, 404, 405, 410, 413, 422, 307};

	(void)state;
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
		must_equal(500, wait_of(facts_of(again[i], 1)));
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		must_equal(-1, wait_of(facts_of(never[i], 1)));
}

static void test_retry__by_connection(void **state)
{
	struct retry_facts facts = facts_of(0, 1);

	(void)state;
	must_equal(-1, wait_of(facts));
	facts.broken = true;
	must_equal(500, wait_of(facts));
}

static void test_retry__waits_grow_to_8_seconds_less_up_to_a_quarter(void **state)
{
	static const int most[] = {500, 1000, 2000, 4000, 8000, 8000, 8000};

	(void)state;
	for (int attempt = 1; attempt <= 7; attempt++) {
		struct retry_facts facts = facts_of(500, attempt);

		facts.max_retries = INT_MAX;
		must_equal(most[attempt - 1], wait_of(facts));
		facts.dice = UINT32_MAX;
		must_equal(most[attempt - 1] * 3 / 4, wait_of(facts));
		facts.attempt = 1000000;
		must_equal(6000, wait_of(facts));
	}
}

static void test_retry__ends(void **state)
{
	struct retry_facts facts = facts_of(500, 3);

	(void)state;
	must_equal(-1, wait_of(facts));
	facts.attempt = 1;
	facts.max_retries = 0;
	must_equal(-1, wait_of(facts));
	facts.max_retries = -1;
	must_equal(-1, wait_of(facts));
}

static int wait_after(const char *after_ms, const char *after, int64_t date)
{
	struct retry_facts facts = facts_of(429, 1);

	facts.after_ms = after_ms;
	facts.after = after;
	facts.after_date = date;
	return wait_of(facts);
}

static void test_retry__as_the_server_asks(void **state)
{
	(void)state;
	must_equal(12, wait_after("12.5", NULL, -1));
	must_equal(12, wait_after("12.5", "7", -1));
	must_equal(7000, wait_after("soon", "7", -1));
	must_equal(1500, wait_after(NULL, "1.5", -1));
	must_equal(120000, wait_after(NULL, "120", -1));
	must_equal(-1, wait_after(NULL, "120.1", -1));
	must_equal(-1, wait_after("120001", NULL, -1));
	must_equal(-1, wait_after(NULL, "99999999999999999999999999", -1));
	must_equal(3000, wait_after(NULL, "Tue, 14 Nov 2023 22:13:23 GMT", NOW + 3));
	must_equal(-1, wait_after(NULL, "Tue, 14 Nov 2023 23:13:20 GMT", NOW + 3600));
}

static void test_retry__nonsense_is_as_if_nothing_was_asked(void **state)
{
	static const char *const nonsense[] = {"", "0", "-5", "nan", "inf", "1e3", "7s", ".5"};

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		must_equal(500, wait_after(NULL, nonsense[i], -1));
	must_equal(500, wait_after(NULL, "Tue, 14 Nov 2023 22:13:10 GMT", NOW - 10));
	must_equal(500, wait_after(NULL, "not a date", -1));
}

static void test_retry__the_server_may_overrule(void **state)
{
	struct retry_facts facts = facts_of(400, 1);

	(void)state;
	facts.should = "true";
	must_equal(500, wait_of(facts));
	facts.after = "121";
	must_equal(-1, wait_of(facts));
	facts = facts_of(500, 1);
	facts.should = "false";
	must_equal(-1, wait_of(facts));
	facts.should = "maybe";
	must_equal(500, wait_of(facts));
}

static void test_retry__not_without_credit(void **state)
{
	struct retry_facts facts = facts_of(429, 1);

	(void)state;
	facts.message = "INSUFFICIENT QUOTA: insufficient_quota";
	must_equal(500, wait_of(facts));
	facts.type = "insufficient_quota";
	must_equal(-1, wait_of(facts));
	facts.type = "";
	facts.code = "insufficient_quota";
	facts.should = "true";
	must_equal(-1, wait_of(facts));
}

static void test_retry__a_loading_model_is_waited_for(void **state)
{
	struct retry_facts facts = facts_of(503, 40);

	(void)state;
	facts.message = "Loading model";
	facts.spent_ms = 59999;
	must_equal(1000, wait_of(facts));
	facts.after = "2";
	must_equal(2000, wait_of(facts));
	facts.spent_ms = 60000;
	must_equal(-1, wait_of(facts));
	facts.spent_ms = 0;
	facts.max_retries = -1;
	must_equal(-1, wait_of(facts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry__by_status),
		cmocka_unit_test(test_retry__by_connection),
		cmocka_unit_test(test_retry__waits_grow_to_8_seconds_less_up_to_a_quarter),
		cmocka_unit_test(test_retry__ends),
		cmocka_unit_test(test_retry__as_the_server_asks),
		cmocka_unit_test(test_retry__nonsense_is_as_if_nothing_was_asked),
		cmocka_unit_test(test_retry__the_server_may_overrule),
		cmocka_unit_test(test_retry__not_without_credit),
		cmocka_unit_test(test_retry__a_loading_model_is_waited_for),
	};

	return TEST_RUN(tests);
}
