/*
 * What the benchmarks share; see bench.h.
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_die(const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	/* clang-tidy 14 follows the callers below into here and loses va_start() on the way. */
	vsnprintf(text, sizeof(text), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
	fprintf(stderr, "bench: %s\n", text);
	exit(1);
}

void *bench_alloc(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		bench_die("out of memory");
	return memory;
}

int64_t bench_cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

bool bench_names(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; *list; list += strcspn(list, ","), list += *list == ',') {
		if (strncmp(list, name, len) == 0 && (list[len] == ',' || !list[len]))
			return true;
	}
	return false;
}
