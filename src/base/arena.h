/*
 * Memory that is freed all at once. All-zero is a valid empty arena.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct convo_arena {
	struct arena_block *blocks; /* the newest first */
};

/** `size` bytes aligned for any type, not zeroed, or NULL. */
void *convo_arena_alloc(struct convo_arena *arena, size_t size);

/** A NUL-terminated copy of `len` bytes, or NULL. */
char *convo_arena_dup(struct convo_arena *arena, const char *data, size_t len);

/** Free everything; the arena is usable again. */
void convo_arena_clear(struct convo_arena *arena);

#endif
