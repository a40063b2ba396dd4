/*
 * Sketches; see sketch.h.
 */
#include "metrics/sketch.h"

#include <math.h>
#include <string.h>

#include "core/base64url.h"

#define PLACE_BITS 11
/* What a place can hold at most: the number of the first bit that is set, after those that choose the place. */
#define RANK_MAX (64 - PLACE_BITS + 1)
#define LETTERS 64

/* FNV-1a over the bytes, and a NUL so that "ab","c" is not "a","bc". */
uint64_t sketch_hash(uint64_t before, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;
	uint64_t hash = before ? before : 14695981039346656037u;
	size_t i;

	for (i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 1099511628211u;
	return hash * 1099511628211u;
}

/* FNV leaves its high bits poor: MurmurHash3's last step mixes them. */
static uint64_t sketch_mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 33;
}

void sketch_note(struct sketch_live *live, uint64_t hash)
{
	const uint64_t mixed = sketch_mix(hash);
	atomic_uchar *place = &live->place[mixed >> (64 - PLACE_BITS)];
	uint64_t rest = mixed << PLACE_BITS;
	unsigned char rank = 1, held = atomic_load_explicit(place, memory_order_relaxed);

	for (; rank < RANK_MAX && !(rest >> 63); rest <<= 1)
		rank++;
	while (held < rank &&
	       !atomic_compare_exchange_weak_explicit(place, &held, rank, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void sketch_take(struct sketch *into, struct sketch_live *live)
{
	size_t i;

	for (i = 0; i < SKETCH_PLACES; i++) {
		unsigned char held =
			atomic_exchange_explicit(&live->place[i], 0, memory_order_relaxed);

		if (held > into->place[i])
			into->place[i] = held;
	}
}

void sketch_add(struct sketch *into, const struct sketch *more)
{
	size_t i;

	for (i = 0; i < SKETCH_PLACES; i++)
		if (more->place[i] > into->place[i])
			into->place[i] = more->place[i];
}

uint64_t sketch_count(const struct sketch *sketch)
{
	const double places = SKETCH_PLACES;
	double sum = 0, empty = 0, count;
	size_t i;

	for (i = 0; i < SKETCH_PLACES; i++) {
		sum += ldexp(1, -sketch->place[i]);
		empty += !sketch->place[i];
	}
	count = 0.7213 / (1 + 1.079 / places) * places * places / sum;
	if (empty > 0 && count <= 2.5 * places)
		count = places * log(places / empty);
	return (uint64_t)(count + 0.5);
}

/* ---- as text -------------------------------------------------------------------------- */

bool sketch_write(struct text *out, const struct sketch *sketch)
{
	char whole[SKETCH_PLACES], few[SKETCH_PLACES];
	size_t len = 0, i;

	for (i = 0; i < SKETCH_PLACES; i++) {
		const unsigned char held = sketch->place[i] % LETTERS;

		whole[i] = base64url_letters[held];
		if (!held || len + 3 > sizeof(few)) {
			len += held ? 3 : 0;
			continue;
		}
		few[len++] = base64url_letters[i / LETTERS];
		few[len++] = base64url_letters[i % LETTERS];
		few[len++] = base64url_letters[held];
	}
	return len < SKETCH_PLACES ? text_add(out, few, len) : text_add(out, whole, SKETCH_PLACES);
}

/* @return the value of a letter; LETTERS: it is none */
static size_t letter_value(char c)
{
	const char *found = c ? strchr(base64url_letters, c) : NULL;

	return found ? (size_t)(found - base64url_letters) : LETTERS;
}

bool sketch_read(struct sketch *out, const char *text)
{
	const size_t len = strlen(text), step = len == SKETCH_PLACES ? 1 : 3;
	size_t i, at, low, held;

	memset(out, 0, sizeof(*out));
	if (len > SKETCH_PLACES || len % step)
		return false;
	for (i = 0; i < len; i += step) {
		low = step == 1 ? 0 : letter_value(text[i + 1]);
		at = step == 1 ? i : letter_value(text[i]) * LETTERS + low;
		held = letter_value(text[i + step - 1]);
		if (low == LETTERS || at >= SKETCH_PLACES || held > RANK_MAX)
			return false;
		out->place[at] = (unsigned char)held;
	}
	return true;
}
