/*
 * The failing allocator; see oom.h. The linker's --wrap redirects every call of malloc() and its
 * kin in our objects; the C library's own calls are not touched. It counts per thread, so that a
 * cleaning thread does not move the counts of a test.
 */
#include "support/oom.h"

#include <errno.h>

#include "support/test.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static _Thread_local size_t oom_left; /* allocations until the one that fails, it included */
static _Thread_local bool oom_armed, oom_hit, oom_over;

bool test_oom_at(size_t n)
{
	bool over = oom_over && n > 1;

	oom_over = false;
	oom_hit = false;
	oom_left = over ? 0 : n;
	oom_armed = !over;
	return !over;
}

bool test_oom_end(void)
{
	must(oom_armed);
	oom_armed = false;
	oom_left = 0;
	oom_over = !oom_hit;
	return oom_hit;
}

static _Thread_local size_t oom_bytes;

size_t test_alloc_bytes(void)
{
	return oom_bytes;
}

static bool oom_fails(size_t size)
{
	oom_bytes += size;
	if (!oom_left || --oom_left)
		return false;
	oom_hit = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return oom_fails(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return oom_fails(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return oom_fails(size) ? NULL : __real_realloc(old, size);
}
