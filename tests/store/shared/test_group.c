/*
 * Group commit: who leads, who shares a round, what a deadline and a failing job do.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <time.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/shared/group.h>

#define THREADS 8
#define JOBS 2000

struct add_job {
	struct group_job base;
	int add;
};

/* What rounds saw. `sum` is no atomic: with one leader at a time, rounds exclude each other. */
struct counter {
	struct store_group *group;
	int64_t sum;
	atomic_int rounds, running, most_running, most_jobs, jobs;
	atomic_bool hold; /* a round does not end before it is false */
};

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

static void raise_to(atomic_int *most, int value)
{
	int now = *most;

	while (value > now && !atomic_compare_exchange_weak(most, &now, value))
		;
}

static void counter_round(void *ctx, struct group_job **jobs, size_t count)
{
	struct counter *counter = ctx;

	raise_to(&counter->most_running, ++counter->running);
	raise_to(&counter->most_jobs, (int)count);
	counter->rounds++;
	counter->jobs += (int)count;
	while (counter->hold)
		nap_ms(1);
	for (size_t i = 0; i < count; i++) {
		struct add_job *job = (struct add_job *)jobs[i];

		if (job->add < 0) {
			job->base.rc = cv_fail(&job->base.err, CONVO_E_CONFLICT, "no");
			continue;
		}
		counter->sum += job->add;
		job->base.rc = 0;
	}
	counter->running--;
}

/* The same for several leaders: touches nothing that is not atomic. */
static void counter_round_wide(void *ctx, struct group_job **jobs, size_t count)
{
	struct counter *counter = ctx;

	raise_to(&counter->most_running, ++counter->running);
	counter->jobs += (int)count;
	nap_ms(1);
	for (size_t i = 0; i < count; i++)
		jobs[i]->rc = 0;
	counter->running--;
}

static int counter_add_by(struct counter *counter, int add, size_t weight, int64_t deadline_us,
			  struct convo_err *err)
{
	struct add_job job = {.add = add};

	job.base.weight = weight;
	job.base.deadline_us = deadline_us;
	return cv_group_run(counter->group, &job.base, err);
}

static int counter_add(struct counter *counter, int add, struct convo_err *err)
{
	return counter_add_by(counter, add, 1, cv_clock_mono_us() + 30000000, err);
}

static void counter_open(struct counter *counter, group_round round, int leaders, size_t max_jobs,
			 size_t max_bytes)
{
	struct convo_err err;

	memset(counter, 0, sizeof(*counter));
	must_pass(
		cv_group_new(&counter->group, round, counter, leaders, max_jobs, max_bytes, &err));
}

static void add_many(void *ctx, int index)
{
	struct counter *counter = ctx;
	struct convo_err err;

	for (int i = 0; i < JOBS; i++) {
		if ((i + index) % 10 == 0)
			must_fail_with(CONVO_E_CONFLICT, counter_add(counter, -1, &err));
		else
			must_pass(counter_add(counter, 1, &err));
	}
}

static void test_group__every_job_is_done_once_and_gets_its_own_result(void **state)
{
	struct counter counter;

	(void)state;
	counter_open(&counter, counter_round, 1, 5, 1000);
	test_threads(THREADS, add_many, &counter);
	must_equal(THREADS * JOBS * 9 / 10, counter.sum);
	must_equal(THREADS * JOBS, counter.jobs);
	must_equal(1, counter.most_running);
	must(counter.most_jobs <= 5);
	cv_group_free(counter.group);
}

static void add_lone(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	must_pass(counter_add(ctx, 1, &err));
}

/* A thread of the first round holds it until all others have queued up. */
static void add_gathered(void *ctx, int index)
{
	struct counter *counter = ctx;

	if (index == 0) {
		add_lone(counter, 0);
		return;
	}
	while (!counter->running)
		nap_ms(1);
	if (index == THREADS - 1) {
		nap_ms(100);
		counter->hold = false;
		return;
	}
	add_lone(counter, 0);
}

static void test_group__who_came_during_a_round_shares_the_next(void **state)
{
	struct counter counter;

	(void)state;
	counter_open(&counter, counter_round, 1, 100, 1000);
	counter.hold = true;
	test_threads(THREADS, add_gathered, &counter);
	must_equal(THREADS - 1, counter.sum);
	must_equal(2, counter.rounds);
	cv_group_free(counter.group);
}

/* A round that waits for all others, and takes them in. */
static void counter_round_joined(void *ctx, struct group_job **jobs, size_t count)
{
	struct counter *counter = ctx;

	counter->running++;
	while (counter->hold)
		nap_ms(1);
	count = cv_group_join(counter->group, jobs, count);
	counter->running--;
	counter_round(ctx, jobs, count);
}

static void test_group__who_came_during_a_round_may_join_it(void **state)
{
	struct counter counter;

	(void)state;
	counter_open(&counter, counter_round_joined, 1, 4, 1000);
	counter.hold = true;
	test_threads(THREADS, add_gathered, &counter);
	must_equal(THREADS - 1, counter.sum);
	must_equal(2, counter.rounds);
	must_equal(4, counter.most_jobs);
	cv_group_free(counter.group);
}

static void test_group__a_round_is_bounded_by_weight(void **state)
{
	struct counter counter;

	(void)state;
	counter_open(&counter, counter_round, 1, 100, 2);
	counter.hold = true;
	test_threads(THREADS, add_gathered, &counter);
	must_equal(2, counter.most_jobs);
	cv_group_free(counter.group);
}

static void test_group__a_job_beyond_the_bound_goes_alone(void **state)
{
	struct counter counter;
	struct convo_err err;

	(void)state;
	counter_open(&counter, counter_round, 1, 100, 2);
	must_pass(counter_add_by(&counter, 1, SIZE_MAX, cv_clock_mono_us() + 1000000, &err));
	must_equal(1, counter.rounds);
	cv_group_free(counter.group);
}

static void test_group__a_lone_job_does_not_wait(void **state)
{
	struct counter counter;
	int64_t begin = cv_clock_mono_us();
	struct convo_err err;

	(void)state;
	counter_open(&counter, counter_round, 1, 100, 1000);
	for (int i = 0; i < 1000; i++)
		must_pass(counter_add(&counter, 1, &err));
	must_equal(1000, counter.rounds);
	/* A pause of a millisecond in each would take a second. */
	must(cv_clock_mono_us() - begin < 500000);
	cv_group_free(counter.group);
}

/* Thread 0 leads a long round, thread 1 queues with a short deadline, thread 2 ends the round. */
static void add_impatient(void *ctx, int index)
{
	struct counter *counter = ctx;
	struct convo_err err;
	int64_t begin;

	if (index == 0) {
		add_lone(counter, 0);
		return;
	}
	while (!counter->running)
		nap_ms(1);
	begin = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT, counter_add_by(counter, 1, 1, begin + 50000, &err));
	must(!err.maybe);
	must(cv_clock_mono_us() - begin >= 50000);
	counter->hold = false;
}

static void test_group__a_job_that_waits_too_long_is_withdrawn(void **state)
{
	struct counter counter;
	struct convo_err err;

	(void)state;
	counter_open(&counter, counter_round, 1, 100, 1000);
	counter.hold = true;
	test_threads(2, add_impatient, &counter);
	must_equal(1, counter.sum);
	/* The queue is whole after it. */
	must_pass(counter_add(&counter, 1, &err));
	must_equal(2, counter.sum);
	cv_group_free(counter.group);
}

struct canceling {
	struct counter counter;
	convo_cancel *cancel;
	atomic_bool queued;
};

/* Thread 0 leads a long round, 1 is queued behind it, 2 cancels that one. */
static void add_canceled(void *ctx, int index)
{
	struct canceling *shared = ctx;
	struct add_job job = {.add = 1};
	struct convo_err err;

	if (index == 0) {
		add_lone(&shared->counter, 0);
		return;
	}
	while (!shared->counter.running)
		nap_ms(1);
	if (index == 2) {
		while (!shared->queued)
			nap_ms(1);
		convo_cancel_request(shared->cancel);
		return;
	}
	job.base.deadline_us = cv_clock_mono_us() + 30000000;
	job.base.cancel = shared->cancel;
	shared->queued = true;
	must_fail_with(CONVO_E_CANCELED, cv_group_run(shared->counter.group, &job.base, &err));
	must(!err.maybe);
	must(cv_clock_mono_us() < job.base.deadline_us - 20000000);
	shared->counter.hold = false;
}

static void test_group__L2_a_job_that_is_canceled_while_it_waits_is_withdrawn(void **state)
{
	struct canceling shared = {.cancel = NULL};
	struct convo_err err;

	(void)state;
	counter_open(&shared.counter, counter_round, 1, 100, 1000);
	must_pass(convo_cancel_new(&shared.cancel, &err));
	shared.counter.hold = true;
	test_threads(3, add_canceled, &shared);
	must_equal(1, shared.counter.sum);
	must_pass(counter_add(&shared.counter, 1, &err));
	must_equal(2, shared.counter.sum);
	convo_cancel_free(shared.cancel);
	cv_group_free(shared.counter.group);
}

/* Short deadlines and cancels against rounds, some thousand times in all orders. */
static void add_hasty(void *ctx, int index)
{
	struct canceling *shared = ctx;
	struct convo_err err;

	for (int i = 0; i < JOBS; i++) {
		struct add_job job = {.add = 1};

		job.base.weight = 1;
		job.base.deadline_us = cv_clock_mono_us() + (i * 7 + index) % 60;
		job.base.cancel = i % 3 ? NULL : shared->cancel;
		if (cv_group_run(shared->counter.group, &job.base, &err) < 0)
			must(err.code == CONVO_E_TIMEOUT || err.code == CONVO_E_CANCELED);
		if (i % 100 == 0)
			convo_cancel_request(shared->cancel);
	}
}

static void test_group__deadlines_and_cancels_meet_rounds_in_any_order(void **state)
{
	struct canceling shared = {.cancel = NULL};
	struct convo_err err;

	(void)state;
	counter_open(&shared.counter, counter_round_wide, 2, 3, 1000);
	must_pass(convo_cancel_new(&shared.cancel, &err));
	test_threads(THREADS, add_hasty, &shared);
	must(shared.counter.jobs > 0);
	must_pass(counter_add(&shared.counter, 1, &err));
	convo_cancel_free(shared.cancel);
	cv_group_free(shared.counter.group);
}

static void add_some(void *ctx, int index)
{
	(void)index;
	for (int i = 0; i < 50; i++)
		add_lone(ctx, 0);
}

static void test_group__several_leaders_run_side_by_side(void **state)
{
	struct counter counter;

	(void)state;
	counter_open(&counter, counter_round_wide, 3, 2, 1000);
	test_threads(THREADS, add_some, &counter);
	must_equal(THREADS * 50, counter.jobs);
	must(counter.most_running > 1 && counter.most_running <= 3);
	cv_group_free(counter.group);
}

int main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_group__every_job_is_done_once_and_gets_its_own_result),
		cmocka_unit_test(test_group__who_came_during_a_round_shares_the_next),
		cmocka_unit_test(test_group__who_came_during_a_round_may_join_it),
		cmocka_unit_test(test_group__a_round_is_bounded_by_weight),
		cmocka_unit_test(test_group__a_job_beyond_the_bound_goes_alone),
		cmocka_unit_test(test_group__a_lone_job_does_not_wait),
		cmocka_unit_test(test_group__a_job_that_waits_too_long_is_withdrawn),
		cmocka_unit_test(test_group__L2_a_job_that_is_canceled_while_it_waits_is_withdrawn),
		cmocka_unit_test(test_group__deadlines_and_cancels_meet_rounds_in_any_order),
		cmocka_unit_test(test_group__several_leaders_run_side_by_side),
	};

	return TEST_RUN(group);
}
