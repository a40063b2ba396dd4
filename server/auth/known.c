/*
 * Keys that are known; see known.h. A hash table of small sets: where one is full, the key that was read
 * longest ago makes room.
 */
#include "auth/known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "http/clock.h"

#define SETS 1024u
#define WAYS 4u

struct known_key {
	struct key_record record;
	int64_t read_ms; /* when; see clock.h */
	struct bucket requests, tokens;
};

struct known {
	pthread_mutex_t lock; /* guards all of it */
	struct known_key *sets[SETS][WAYS];
};

struct known *known_new(void)
{
	struct known *known = calloc(1, sizeof(*known));

	if (known)
		pthread_mutex_init(&known->lock, NULL);
	return known;
}

void known_free(struct known *known)
{
	size_t s, w;

	if (!known)
		return;
	for (s = 0; s < SETS; s++)
		for (w = 0; w < WAYS; w++)
			free(known->sets[s][w]);
	pthread_mutex_destroy(&known->lock);
	free(known);
}

/* FNV-1a. */
static struct known_key **known_set(struct known *known, const char *id)
{
	uint32_t hash = 2166136261u;

	for (; *id; id++)
		hash = (hash ^ (unsigned char)*id) * 16777619u;
	return known->sets[hash % SETS];
}

/* With the lock held. */
static struct known_key *known_find(struct known *known, const char *id)
{
	struct known_key **set = known_set(known, id);
	size_t w;

	for (w = 0; w < WAYS; w++)
		if (set[w] && !strcmp(set[w]->record.id, id))
			return set[w];
	return NULL;
}

bool known_get(struct key_record *out, struct known *known, const char *id)
{
	const struct known_key *one;
	bool found;

	pthread_mutex_lock(&known->lock);
	one = known_find(known, id);
	found = one && clock_ms() - one->read_ms < KNOWN_MS;
	if (found)
		*out = one->record;
	pthread_mutex_unlock(&known->lock);
	return found;
}

/* A place for a key that is not there: an empty one, or the oldest one's. */
static struct known_key *known_add(struct known *known, const char *id)
{
	struct known_key **set = known_set(known, id), **place = set;
	size_t w;

	for (w = 0; w < WAYS && *place; w++)
		if (!set[w] || set[w]->read_ms < (*place)->read_ms)
			place = &set[w];
	if (!*place)
		*place = malloc(sizeof(**place));
	return *place;
}

void known_put(struct known *known, const struct key_record *record)
{
	struct known_key *one;

	pthread_mutex_lock(&known->lock);
	one = known_find(known, record->id);
	if (!one) {
		one = known_add(known, record->id);
		if (one)
			memset(one, 0, sizeof(*one));
	}
	if (one) {
		one->record = *record;
		one->read_ms = clock_ms();
	}
	pthread_mutex_unlock(&known->lock);
}

/* ---- limits --------------------------------------------------------------------------- */

static struct bucket_left known_look(struct bucket *bucket, int64_t limit)
{
	const struct bucket_left none = {0};

	if (!limit)
		return none;
	bucket_pass(bucket, limit, clock_ms());
	return bucket_left(bucket, limit);
}

bool known_use_request(struct known_left *out, struct known *known, const struct key_record *record)
{
	struct known_key *one;

	memset(out, 0, sizeof(*out));
	if (!record->rpm && !record->tpm)
		return true;
	pthread_mutex_lock(&known->lock);
	one = known_find(known, record->id);
	if (one) {
		out->requests = known_look(&one->requests, record->rpm);
		out->tokens = known_look(&one->tokens, record->tpm);
		if (record->rpm && !out->requests.wait_ms && !out->tokens.wait_ms) {
			bucket_use(&one->requests, 1);
			out->requests = bucket_left(&one->requests, record->rpm);
			out->requests.wait_ms = 0;
		}
	}
	pthread_mutex_unlock(&known->lock);
	return !out->requests.wait_ms && !out->tokens.wait_ms;
}

void known_use_tokens(struct known *known, const char *id, int64_t count)
{
	struct known_key *one;

	pthread_mutex_lock(&known->lock);
	one = known_find(known, id);
	if (one && one->record.tpm)
		bucket_use(&one->tokens, count);
	pthread_mutex_unlock(&known->lock);
}
