/*
 * Checked allocation; see alloc.h.
 */
#include <base/alloc.h>

#include <convo/text.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool cv_mul(size_t a, size_t b, size_t *out)
{
	if (b && a > SIZE_MAX / b)
		return false;
	*out = a * b;
	return true;
}

void *cv_alloc(size_t count, size_t size)
{
	size_t bytes;

	/* calloc() looks too, but a sanitizer takes that for a mistake of the caller. */
	return cv_mul(count, size, &bytes) ? calloc(count ? count : 1, size) : NULL;
}

bool cv_grow(void **array, size_t *cap, size_t need, size_t size)
{
	size_t wanted = *cap > SIZE_MAX / 2 ? need : *cap * 2, bytes;
	void *moved;

	if (need <= *cap)
		return true;
	if (wanted < need)
		wanted = need;
	if (wanted < 8)
		wanted = 8;
	if (!cv_mul(wanted, size, &bytes))
		return false;
	moved = realloc(*array, bytes);
	if (!moved)
		return false;
	*array = moved;
	*cap = wanted;
	return true;
}

char *cv_memdup(const char *data, size_t len)
{
	char *copy = len < SIZE_MAX ? malloc(len + 1) : NULL;

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

void convo_free(void *string)
{
	free(string);
}
