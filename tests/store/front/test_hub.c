/*
 * Those who watch, over a store that is not like others.
 */
#include <support/test.h>

#include <convo/convo.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/backend.h>

#define SLOW_US 8000000 /* more than the store's timeout */

/* A server whose answer to a question for marks takes so long; whoever gives it less gets none. */
static int slow_marks(struct convo_store *store, const struct store_call *call,
		      const struct convo_key *const *keys, size_t count, uint64_t *marks,
		      struct convo_err *err)
{
	size_t i;

	(void)store;
	(void)keys;
	if (call->deadline_us - cv_clock_mono_us() < SLOW_US)
		return cv_fail(err, CONVO_E_TIMEOUT, "too slow");
	for (i = 0; i < count; i++)
		marks[i] = 1;
	return 0;
}

static void slow_close(struct convo_store *store)
{
	(void)store;
}

static const struct cv_backend slow = {.scheme = "slow",
				       .size = sizeof(struct convo_store),
				       .marks = slow_marks,
				       .marks_us = 10000,
				       .close = slow_close};

static void test_W1_a_slow_server_is_asked_with_more_patience(void **state)
{
	const struct convo_key key = {"app", "user", "s"};
	const struct convo_call soon = {.timeout_ms = 5000};
	convo_store *store = calloc(1, sizeof(*store));
	convo_watch *watch = NULL;
	struct convo_err err;

	(void)state;
	must(store != NULL);
	store->be = &slow;
	store->opts.timeout_ms = 1000;
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	must_pass(convo_watch_next(watch, NULL, NULL, &soon, &err)); /* it is new */
	must_pass(convo_watch_next(watch, NULL, NULL, &soon, &err)); /* its mark was read */
	convo_watch_free(watch);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_W1_a_slow_server_is_asked_with_more_patience),
	};

	return TEST_RUN(tests);
}
