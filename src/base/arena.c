/*
 * An arena of blocks that double in size, so that a session of any length takes few of them.
 */
#include <base/arena.h>

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 4096u
#define LARGEST_BLOCK (1u << 20)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	alignas(max_align_t) char data[];
};

static struct arena_block *arena_add_block(struct cv_arena *arena, size_t need)
{
	size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
	struct arena_block *block;

	if (size > LARGEST_BLOCK)
		size = LARGEST_BLOCK;
	if (size < need)
		size = need;
	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = malloc(sizeof(*block) + size);
	if (!block)
		return NULL;
	block->next = arena->blocks;
	block->size = size;
	block->used = 0;
	arena->blocks = block;
	return block;
}

static char *arena_take(struct cv_arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	char *taken;

	if (!block || block->size - block->used < size)
		block = arena_add_block(arena, size);
	if (!block)
		return NULL;
	taken = block->data + block->used;
	block->used += size;
	return taken;
}

void *cv_arena_alloc(struct cv_arena *arena, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *block = arena->blocks;

	if (size > SIZE_MAX - align)
		return NULL;
	if (block) {
		size_t pad = (align - block->used % align) % align;

		if (block->size - block->used >= pad)
			block->used += pad;
		else
			block->used = block->size;
	}
	return arena_take(arena, size);
}

char *cv_arena_dup(struct cv_arena *arena, const char *data, size_t len)
{
	char *copy = len < SIZE_MAX ? arena_take(arena, len + 1) : NULL;

	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

void cv_arena_clear(struct cv_arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	arena->blocks = NULL;
}
