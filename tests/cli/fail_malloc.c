/*
 * To be preloaded: of the allocations that the program itself asks for, number FAIL_MALLOC fails,
 * counted from 1. Those of the libraries it uses succeed: some of them die of it.
 */
#define _GNU_SOURCE /* dladdr() */

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static atomic_long counted;

static bool fails(const void *caller)
{
	const char *text = getenv("FAIL_MALLOC"), *name;
	Dl_info info;

	if (!text || !dladdr(caller, &info) || !info.dli_fname)
		return false;
	name = strrchr(info.dli_fname, '/');
	if (strcmp(name ? name + 1 : info.dli_fname, "convo") != 0 ||
	    atomic_fetch_add(&counted, 1) + 1 != strtol(text, NULL, 10))
		return false;
	errno = ENOMEM;
	return true;
}

#define FAILS fails(__builtin_return_address(0))

void *malloc(size_t size)
{
	return FAILS ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return FAILS ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return FAILS ? NULL : __libc_realloc(old, size);
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = FAILS ? NULL : __libc_malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}
