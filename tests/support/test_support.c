/*
 * The test support itself: that its checks can fail, in threads and processes too.
 */
#include "support/test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/fail.h>

static void count_thread(void *ctx, int index)
{
	atomic_fetch_add((atomic_int *)ctx, 1 << index);
}

static void threads_all_run(void **state)
{
	atomic_int seen = 0;

	(void)state;
	test_threads(5, count_thread, &seen);
	must_equal(31, atomic_load(&seen));
}

static void processes_share_memory(void **state)
{
	atomic_int *seen = test_shared(sizeof(*seen));

	(void)state;
	test_processes(4, count_thread, seen);
	must_equal(15, atomic_load(seen));
	test_shared_free(seen, sizeof(*seen));
}

static int give(int rc, struct convo_err *err)
{
	return rc < 0 ? cv_fail(err, rc, "as asked") : rc;
}

static void checks_pass_what_is_right(void **state)
{
	struct convo_err err;

	(void)state;
	must_pass(give(0, &err));
	must_equal(7, must_pass(give(7, &err)));
	must_fail_with(CONVO_E_IO, give(CONVO_E_IO, &err));
	must_equal_str("as asked", err.text);
	must_equal_str(NULL, NULL);
}

/* Each of these must fail; run in a process, whose failure is seen from outside. */
static void fail_case(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	switch (*(int *)ctx) {
	case 0:
		must_pass(give(CONVO_E_IO, &err));
		break;
	case 1:
		must_fail_with(CONVO_E_IO, give(CONVO_E_TIMEOUT, &err));
		break;
	case 2:
		must_fail_with(CONVO_E_IO, give(0, &err));
		break;
	case 3:
		must_pass((give(CONVO_E_IO, &err), 0));
		break;
	case 4:
		must_fail_with(CONVO_E_IO, CONVO_E_IO);
		break;
	case 5:
		must(1 + 1 == 3);
		break;
	case 6:
		must_equal(1, 2);
		break;
	case 7:
		must_equal_str("a", "b");
		break;
	case 8:
		must_equal_str("a", NULL);
		break;
	case 9:
		abort();
	}
}

static void fail_group_test(void **state)
{
	test_processes(1, fail_case, *state);
}

static void fail_group_thread(void **state)
{
	test_threads(2, fail_case, *state);
}

/* Runs one case as a test of its own, silenced, in a process: how many of its tests failed. */
static int fail_run(int number, CMUnitTestFunction how)
{
	const struct CMUnitTest one[] = {{"case", how, NULL, NULL, &number}};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		must(freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
		_exit(TEST_RUN(one));
	}
	must(waitpid(pid, &status, 0) == pid);
	must(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void checks_fail_what_is_wrong(void **state)
{
	(void)state;
	for (int i = 0; i <= 9; i++)
		must_equal(1, fail_run(i, fail_group_test));
	for (int i = 0; i <= 8; i++)
		must_equal(1, fail_run(i, fail_group_thread));
	must_equal(0, fail_run(10, fail_group_test));
}

static void directories_are_new_and_ports_free(void **state)
{
	const char *a = test_dir(), *b = test_dir();
	struct stat st;

	(void)state;
	must(strcmp(a, b) != 0);
	must(stat(a, &st) == 0 && S_ISDIR(st.st_mode));
	must(mkdir(test_path(a, "inner"), 0700) == 0);
	test_remove_tree(a);
	must(stat(a, &st) != 0);
	must(test_port() > 1023);
}

static void random_numbers_repeat(void **state)
{
	struct test_rng a, b;

	(void)state;
	test_rng_init(&a);
	b = a;
	for (int i = 0; i < 100; i++)
		must(test_rng_next(&a) == test_rng_next(&b));
	must(test_rng_next(&a) != test_rng_next(&a));
	must(test_rng_below(&a, 10) < 10);
}

int main(void)
{
	const struct CMUnitTest support[] = {
		cmocka_unit_test(threads_all_run),
		cmocka_unit_test(processes_share_memory),
		cmocka_unit_test(checks_pass_what_is_right),
		cmocka_unit_test(checks_fail_what_is_wrong),
		cmocka_unit_test(directories_are_new_and_ports_free),
		cmocka_unit_test(random_numbers_repeat),
	};

	return TEST_RUN(support);
}
