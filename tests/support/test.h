/*
 * What every test program uses, on top of cmocka: checks that print both values and our error text
 * and may be used in threads and forked processes too, threads and processes that start together,
 * directories and ports that are nobody else's, and random numbers that can be had again.
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <convo/err.h>
#include <convo/store.h>

/* ---- checks ---------------------------------------------------------------------------- */

/*
 * These work in the test's own thread, in test_threads() and in test_processes(); cmocka's assert_
 * macros only in the first. The caller has a `struct convo_err err` in scope and passes &err:
 *
 *     must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
 *     must_fail_with(CONVO_E_EXISTS, convo_store_create(store, &key, NULL, NULL, NULL, &err));
 */

/** The call returns 0 or more and leaves `err` as it was. Gives what it returned. */
#define must_pass(expr) \
	(test_err_mark(&err), test_must_pass((expr), &err, #expr, __FILE__, __LINE__))

/** The call fails with that code, and `err` holds the same code and one line of text. */
#define must_fail_with(want, expr) \
	(test_err_mark(&err),      \
	 test_must_fail((want), (expr), &err, #want, #expr, __FILE__, __LINE__))

#define must(cond) ((cond) ? (void)0 : test_fail(__FILE__, __LINE__, "not true: %s", #cond))

/** Two integers, of which none is larger than INT64_MAX. */
#define must_equal(want, got) \
	test_must_equal((int64_t)(want), (int64_t)(got), #want, #got, __FILE__, __LINE__)

/** Two strings, either of which may be NULL. */
#define must_equal_str(want, got) test_must_equal_str((want), (got), #got, __FILE__, __LINE__)

/** End the test, the thread or the process with a message. */
#define must_not_reach(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

/** End the test as skipped, with the reason. Only in the test's own thread. */
#define test_skip(...) (test_say(__VA_ARGS__), skip())

/** Print a line of the log, marked with '#'. Thread-safe. */
void test_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- running --------------------------------------------------------------------------- */

/**
 * Run an array of struct CMUnitTest; for main() to return. CONVO_TEST_FILTER, a glob, runs only
 * the tests whose name it matches.
 */
#define TEST_RUN(tests) test_run(#tests, (tests), sizeof(tests) / sizeof((tests)[0]))

int test_run(const char *group, const struct CMUnitTest *tests, size_t count);

/** A function that runs in several threads or processes at once; `index` counts from 0. */
typedef void (*test_fn)(void *ctx, int index);

/** Run it in n threads that begin together. Fails when one of them does, with all their texts. */
void test_threads(int n, test_fn fn, void *ctx);

/**
 * Run it in n forked processes that begin together, each for at most 60 s. Fork before a store is
 * opened: none survives fork(). Fails when one of them does, with all their texts.
 */
void test_processes(int n, test_fn fn, void *ctx);

/** Zeroed memory that forked processes share; freed by test_shared_free(). */
void *test_shared(size_t size);
void test_shared_free(void *memory, size_t size);

/* ---- surroundings ---------------------------------------------------------------------- */

/** A new empty directory; it and its content are removed when the program ends. Never fails. */
const char *test_dir(void);

/** Join: "dir/name". Lives until the program ends. */
const char *test_path(const char *dir, const char *name);

/** Remove a directory with all that is in it. */
void test_remove_tree(const char *dir);

/** A TCP port of the loopback interface that was free just now. */
int test_port(void);

/** Listen at such a port; fails the test where it cannot. @return the socket */
int test_listen(int *port);

/** Send all of it. @return false when the other side is gone */
bool test_send(int fd, const char *data, size_t len);

/** printf() into new memory that lives until the program ends. */
const char *test_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- random numbers -------------------------------------------------------------------- */

struct test_rng {
	uint64_t state;
};

/** The same numbers every time, unless CONVO_TEST_SEED is set. Prints the seed. */
void test_rng_init(struct test_rng *rng);

/** Other numbers every time, unless it is set. Prints the seed. */
void test_rng_any(struct test_rng *rng);

uint64_t test_rng_next(struct test_rng *rng);

/** A number below n, which is not 0. */
size_t test_rng_below(struct test_rng *rng, size_t n);

/* ---- reading whole results ------------------------------------------------------------- */

/*
 * What the library gives one by one, as arrays with their count, which may be NULL: for checks of
 * every element. They live as long as what they are read from.
 */
const struct convo_event *test_events(const convo_session *session, size_t *count);
const struct convo_item *test_state(const convo_session *session, size_t *count);
const struct convo_item *test_items(const convo_state *state, size_t *count);
int test_list(convo_store *store, convo_cursor *cursor, size_t n, const struct convo_meta **metas,
	      size_t *count, struct convo_err *err);

/* ---- behind the macros ----------------------------------------------------------------- */

void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void test_err_mark(struct convo_err *err);
int test_must_pass(int rc, const struct convo_err *err, const char *expr, const char *file,
		   int line);
int test_must_fail(int want, int rc, const struct convo_err *err, const char *want_name,
		   const char *expr, const char *file, int line);
void test_must_equal(int64_t want, int64_t got, const char *want_name, const char *got_name,
		     const char *file, int line);
void test_must_equal_str(const char *want, const char *got, const char *got_name, const char *file,
			 int line);

#endif
