/*
 * The memory store's locks: fair, in time, and a session's place under all of them.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <time.h>

#include <base/clock.h>
#include <store/memory/lock.h>

#define READERS 8
#define WRITES 5
#define ROUNDS 20000
#define MB ((size_t)1 << 20)

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

/* ---- the lock --------------------------------------------------------------------------- */

struct lock_test {
	struct memory_lock lock;
	convo_cancel *cancel;
	atomic_int waiting, order;
	atomic_bool done;
};

static struct store_call call_of(int64_t timeout_us, const convo_cancel *cancel)
{
	return (struct store_call){.deadline_us = cv_clock_mono_us() + timeout_us,
				   .cancel = cancel};
}

static void lock_test_open(struct lock_test *test)
{
	memset(test, 0, sizeof(*test));
	cv_mem_lock_init(&test->lock);
}

static void lock_wait_too_long(void *ctx, int index)
{
	struct lock_test *test = ctx;
	struct store_call call = call_of(50000, NULL);
	struct convo_err err;

	if (index == 0)
		must_fail_with(CONVO_E_TIMEOUT, cv_mem_lock_write(&test->lock, &call, &err));
	else
		must_fail_with(CONVO_E_TIMEOUT, cv_mem_lock_read(&test->lock, &call, &err));
	must(!err.maybe);
	must(cv_clock_mono_us() >= call.deadline_us);
}

static void test_L2_a_wait_for_a_lock_ends_at_the_deadline(void **state)
{
	struct store_call call = call_of(60000000, NULL);
	struct lock_test test;
	struct convo_err err;

	(void)state;
	lock_test_open(&test);
	must_pass(cv_mem_lock_write(&test.lock, &call, &err));
	test_threads(6, lock_wait_too_long, &test);
	cv_mem_unlock(&test.lock);
	/* It is whole after that. */
	must_pass(cv_mem_lock_read(&test.lock, &call, &err));
	must_pass(cv_mem_lock_read(&test.lock, &call, &err));
	cv_mem_unlock(&test.lock);
	cv_mem_unlock(&test.lock);
	must_pass(cv_mem_lock_write(&test.lock, &call, &err));
	cv_mem_unlock(&test.lock);
	cv_mem_lock_destroy(&test.lock);
}

static void lock_wait_canceled(void *ctx, int index)
{
	struct lock_test *test = ctx;
	struct store_call call = call_of(60000000, test->cancel);
	struct convo_err err;

	if (index == 0) {
		nap_ms(20);
		convo_cancel_request(test->cancel);
		return;
	}
	must_fail_with(CONVO_E_CANCELED, cv_mem_lock_write(&test->lock, &call, &err));
	must(cv_clock_mono_us() < call.deadline_us - 20000000);
}

static void test_L2_a_wait_for_a_lock_is_canceled(void **state)
{
	struct store_call call = call_of(60000000, NULL);
	struct lock_test test;
	struct convo_err err;

	(void)state;
	lock_test_open(&test);
	must_pass(convo_cancel_new(&test.cancel, &err));
	must_pass(cv_mem_lock_read(&test.lock, &call, &err));
	test_threads(3, lock_wait_canceled, &test);
	/* Readers need not wait for writers that are gone. */
	must_pass(cv_mem_lock_read(&test.lock, &call, &err));
	cv_mem_unlock(&test.lock);
	cv_mem_unlock(&test.lock);
	convo_cancel_free(test.cancel);
	cv_mem_lock_destroy(&test.lock);
}

/* Whether somebody waits, and so stands before those that come now. */
static bool lock_has_queue(struct memory_lock *lock)
{
	bool has;

	pthread_mutex_lock(&lock->guard);
	has = lock->first;
	pthread_mutex_unlock(&lock->guard);
	return has;
}

/* Thread 0 reads, 1 asks to write, then 2 asks to read. */
static void lock_in_turn(void *ctx, int index)
{
	struct lock_test *test = ctx;
	struct store_call call = call_of(60000000, NULL);
	struct convo_err err;

	if (index == 0) {
		must_pass(cv_mem_lock_read(&test->lock, &call, &err));
		test->waiting = 1;
		while (!lock_has_queue(&test->lock))
			nap_ms(1);
		test->waiting = 2;
		nap_ms(20);
		must_equal(0, test->order);
		cv_mem_unlock(&test->lock);
		return;
	}
	while (test->waiting < index)
		nap_ms(1);
	if (index == 1) {
		must_pass(cv_mem_lock_write(&test->lock, &call, &err));
		nap_ms(20);
	} else {
		must_pass(cv_mem_lock_read(&test->lock, &call, &err));
	}
	must_equal(index, ++test->order);
	cv_mem_unlock(&test->lock);
}

static void test_L2_a_reader_does_not_pass_a_writer_that_waits(void **state)
{
	struct lock_test test;

	(void)state;
	lock_test_open(&test);
	test_threads(3, lock_in_turn, &test);
	must_equal(2, test.order);
	cv_mem_lock_destroy(&test.lock);
}

/* Readers and writers with and without time, in all orders. `order` counts what writers exclude. */
static void lock_storm(void *ctx, int index)
{
	struct lock_test *test = ctx;
	struct convo_err err;

	for (int i = 0; i < 2000; i++) {
		struct store_call call = call_of(i % 3 ? (i * 7 + index) % 50 : 30000000, NULL);
		bool writes = (i + index) % 2;
		int rc = writes ? cv_mem_lock_write(&test->lock, &call, &err)
				: cv_mem_lock_read(&test->lock, &call, &err);

		if (rc < 0) {
			must_equal(CONVO_E_TIMEOUT, rc);
			continue;
		}
		if (writes) {
			must_equal(1, ++test->order);
			test->order--;
		} else {
			must_equal(0, test->order);
		}
		cv_mem_unlock(&test->lock);
	}
}

static void test_lock__writers_exclude_everybody_in_any_order_of_waits(void **state)
{
	struct lock_test test;

	(void)state;
	lock_test_open(&test);
	test_threads(8, lock_storm, &test);
	must_equal(0, test.lock.holders);
	must(!lock_has_queue(&test.lock));
	cv_mem_lock_destroy(&test.lock);
}

/* ---- the store -------------------------------------------------------------------------- */

static const struct convo_key key_a = {"app", "user", "a"}, key_b = {"app", "user", "b"};

static convo_store *open_store(void)
{
	static const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, "memory:", &opts, &err));
	return store;
}

static void say(convo_store *store, const struct convo_key *key, const struct convo_call *call,
		const char *delta)
{
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"hi\"}",
				    .state = delta};
	struct convo_err err;

	must_pass(convo_store_append(store, key, NULL, &event, 1, NULL, call, &err));
}

struct hammer {
	convo_store *store;
	atomic_int writers; /* that are at work */
	int64_t until_us;   /* in case one of them fails */
};

static void hammer_run(void *ctx, int index)
{
	static const struct convo_call in_time = {.timeout_ms = 5000};
	struct hammer *hammer = ctx;
	struct convo_item item = {.json = "\"ink\""};
	struct convo_err err;

	while (index < READERS && hammer->writers && cv_clock_mono_us() < hammer->until_us) {
		convo_session *session = NULL;

		must_pass(convo_store_load(&session, hammer->store, &key_a, NULL, NULL, &err));
		convo_session_free(session);
	}
	for (int i = 0; index >= READERS && i < WRITES; i++) {
		item.name = index == READERS ? "user:color" : "app:color";
		must_pass(convo_store_state_set(hammer->store, &key_a, &item, 1, &in_time, &err));
		item.name = "color";
		must_pass(convo_store_state_set(hammer->store, &key_a, &item, 1, &in_time, &err));
		say(hammer->store, &key_a, &in_time, "{\"user:mood\":1}");
		must_pass(convo_store_rename(hammer->store, &key_a, "t", &in_time, &err));
	}
	if (index >= READERS)
		hammer->writers--;
}

static void test_L2_writers_end_in_time_however_many_read(void **state)
{
	struct hammer hammer = {.store = open_store()};
	const char *const names[] = {"user:a", "user:b", "user:c", "user:d"};
	char *big = malloc(MB + 1);
	struct convo_item item = {.json = big};
	struct convo_err err;

	(void)state;
	memset(big, 'x', MB);
	big[0] = big[MB - 100] = '"';
	big[MB - 99] = '\0';
	must_pass(convo_store_create(hammer.store, &key_a, NULL, NULL, NULL, &err));
	for (int i = 0; i < 4; i++) {
		item.name = names[i];
		must_pass(convo_store_state_set(hammer.store, &key_a, &item, 1, NULL, &err));
	}
	hammer.writers = 2;
	hammer.until_us = cv_clock_mono_us() + 10000000;
	test_threads(READERS + 2, hammer_run, &hammer);
	convo_store_close(hammer.store);
	free(big);
}

struct places {
	convo_store *store;
	atomic_bool done;
};

/* B is written to, and then A: if the list shows both, A is the first. */
static void place_check(convo_store *store)
{
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"hi\"}"};
	convo_cursor *cursor = NULL;
	const struct convo_meta *metas;
	struct convo_err err;
	size_t count;
	int rc;

	say(store, &key_b, NULL, NULL);
	do
		rc = convo_store_append(store, &key_a, NULL, &event, 1, NULL, NULL, &err);
	while (rc == CONVO_E_NOTFOUND);
	must_equal(0, rc);
	must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, &err));
	must_pass(test_list(store, cursor, 10, &metas, &count, &err));
	must_equal_str(count == 2 ? "a" : "b", metas[0].session);
	convo_cursor_free(cursor);
}

/* Thread 0 takes A through the trash while 1 writes and lists. */
static void place_run(void *ctx, int index)
{
	struct places *places = ctx;
	struct convo_err err;

	while (index == 0 && !places->done) {
		must_pass(convo_store_delete(places->store, &key_a, NULL, &err));
		must_pass(convo_store_restore(places->store, &key_a, NULL, NULL, &err));
	}
	for (int i = 0; index == 1 && i < ROUNDS; i++)
		place_check(places->store);
	places->done = true;
}

static void test_S3_a_restored_session_stands_where_its_last_write_put_it(void **state)
{
	static const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
							.event_limit = 10};
	struct places places = {.store = NULL};
	struct convo_err err;

	(void)state;
	must_pass(convo_store_open(&places.store, "memory:", &opts, &err));
	must_pass(convo_store_create(places.store, &key_a, NULL, NULL, NULL, &err));
	must_pass(convo_store_create(places.store, &key_b, NULL, NULL, NULL, &err));
	test_threads(2, place_run, &places);
	convo_store_close(places.store);
}

int main(void)
{
	const struct CMUnitTest memory_locks[] = {
		cmocka_unit_test(test_L2_a_wait_for_a_lock_ends_at_the_deadline),
		cmocka_unit_test(test_L2_a_wait_for_a_lock_is_canceled),
		cmocka_unit_test(test_L2_a_reader_does_not_pass_a_writer_that_waits),
		cmocka_unit_test(test_lock__writers_exclude_everybody_in_any_order_of_waits),
		cmocka_unit_test(test_L2_writers_end_in_time_however_many_read),
		cmocka_unit_test(test_S3_a_restored_session_stands_where_its_last_write_put_it),
	};

	return TEST_RUN(memory_locks);
}
