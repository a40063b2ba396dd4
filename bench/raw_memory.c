/*
 * Memory, bare: malloc, memcpy and a lock for each session; a load copies what it reads.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>

struct block {
	unsigned char id[UUID_BYTES];
	size_t len;
	char message[];
};

struct list {
	struct list *next;
	char *session;
	pthread_mutex_t lock; /* guards what follows */
	struct block **block;
	size_t count, cap;
};

static struct list *lists; /* of the whole program, by session */
static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;

struct raw {
	struct list *list; /* used last */
};

static struct raw *memory_open(const char *url, int index)
{
	(void)url;
	(void)index;
	return bench_alloc(sizeof(struct raw));
}

static void memory_close(struct raw *raw)
{
	free(raw);
}

static struct list *memory_list(struct raw *raw, const char *session)
{
	struct list *list = raw->list;

	if (list && strcmp(list->session, session) == 0)
		return list;
	pthread_mutex_lock(&lists_lock);
	for (list = lists; list && strcmp(list->session, session) != 0; list = list->next)
		;
	if (!list) {
		list = bench_alloc(sizeof(*list));
		pthread_mutex_init(&list->lock, NULL);
		list->session = cv_memdup(session, strlen(session));
		list->next = lists;
		lists = list;
	}
	pthread_mutex_unlock(&lists_lock);
	raw->list = list;
	return list;
}

static void memory_append(struct raw *raw, const struct convo_key *key, const unsigned char *id,
			  const char *message, size_t len)
{
	struct list *list = memory_list(raw, key->session);
	struct block *block = malloc(sizeof(*block) + len + 1);

	if (!block)
		bench_die("out of memory");
	memcpy(block->id, id, UUID_BYTES);
	block->len = len;
	memcpy(block->message, message, len + 1);
	pthread_mutex_lock(&list->lock);
	if (!cv_grow((void **)&list->block, &list->cap, list->count + 1, sizeof(*list->block)))
		bench_die("out of memory");
	list->block[list->count++] = block;
	pthread_mutex_unlock(&list->lock);
}

/* Like a loaded session, the copies live together until the last one is made. */
static size_t memory_load(struct raw *raw, const struct convo_key *key, size_t n)
{
	struct list *list = memory_list(raw, key->session);
	size_t bytes = 0, i, used = 0;
	char **copy = bench_alloc(n * sizeof(*copy));

	pthread_mutex_lock(&list->lock);
	for (i = list->count > n ? list->count - n : 0; i < list->count; i++) {
		const struct block *from = list->block[i];

		copy[used] = malloc(from->len + 1);
		if (!copy[used])
			bench_die("out of memory");
		memcpy(copy[used++], from->message, from->len + 1);
		bytes += from->len;
	}
	pthread_mutex_unlock(&list->lock);
	while (used)
		free(copy[--used]);
	free(copy);
	return bytes;
}

static void memory_fill(struct raw *raw, const struct convo_key *key, size_t n, const char *message,
			size_t len)
{
	struct list *list = memory_list(raw, key->session);
	unsigned char id[UUID_BYTES];

	while (list->count < n) {
		cv_uuid_new(id);
		memory_append(raw, key, id, message, len);
	}
}

const struct bench_engine bench_memory = {
	.name = "memory",
	.bare = "copies in lists",
	.open = memory_open,
	.close = memory_close,
	.append = memory_append,
	.load = memory_load,
	.fill = memory_fill,
};
