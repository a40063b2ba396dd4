/*
 * Running out of memory on purpose: the library and the test are linked so that malloc(), calloc()
 * and realloc() pass through here.
 *
 *     for (size_t n = 1; test_oom_at(n); n++) {
 *             rc = convo_thing_do(...);
 *             if (test_oom_end()) must_equal(CONVO_E_NOMEM, rc);
 *     }
 */
#ifndef TESTS_SUPPORT_OOM_H
#define TESTS_SUPPORT_OOM_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Fail the n-th allocation of this thread from now on, and that one alone. Gives false, and does
 * nothing, when the allocation asked for before was never reached: then all have had their turn.
 */
bool test_oom_at(size_t n);

/** Let allocations pass again. Gives whether the one asked for was reached, and failed. */
bool test_oom_end(void);

/** All bytes that this thread ever asked for, freed or not. */
size_t test_alloc_bytes(void);

#endif
