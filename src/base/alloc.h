/*
 * Allocation with sizes that cannot overflow. What these return is freed with free().
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/** Whether a * b fits in a size_t; if so it is stored in *out. */
bool cv_mul(size_t a, size_t b, size_t *out);

/** `count` zeroed elements, or NULL; a count of 0 gives one. */
void *cv_alloc(size_t count, size_t size);

/**
 * Make room for `need` elements of `size` bytes in a growing array, at least doubling it.
 *
 * @param array the array or NULL; moved on success, untouched on failure
 * @param cap   its room in elements; updated
 * @return false when memory is out or the size overflows
 */
bool cv_grow(void **array, size_t *cap, size_t need, size_t size);

/** A NUL-terminated copy of `len` bytes, or NULL. */
char *cv_memdup(const char *data, size_t len);

#endif
