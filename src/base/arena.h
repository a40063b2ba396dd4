/*
 * Memory that is freed all at once. All-zero is a valid empty arena.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct cv_arena {
	struct arena_block *blocks; /* the newest first */
};

/** `size` bytes aligned for any type, not zeroed, or NULL. */
void *cv_arena_alloc(struct cv_arena *arena, size_t size);

/** A NUL-terminated copy of `len` bytes, or NULL. */
char *cv_arena_dup(struct cv_arena *arena, const char *data, size_t len);

/** Free everything; the arena is usable again. */
void cv_arena_clear(struct cv_arena *arena);

#endif
