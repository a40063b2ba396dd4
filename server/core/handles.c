/*
 * Handles; see handles.h.
 */
#include "core/handles.h"

#include <stdlib.h>
#include <string.h>

/* A handle is 1 + the slot in its lower half, how often the slot was used in its upper one. */
#define HALF 32

struct handle_slot {
	void *object; /* NULL: it is free */
	uint32_t life;
	size_t next_free; /* as handles.free */
};

static size_t handle_index(const void *handle)
{
	return (size_t)((uintptr_t)handle & UINT32_MAX) - 1;
}

static void *handle_of(const struct handles *handles, size_t index)
{
	const uint64_t number = (uint64_t)handles->slot[index].life << HALF | (index + 1);

	return (void *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr) */
}

static int handles_grow(struct handles *handles)
{
	size_t cap = handles->cap ? 2 * handles->cap : 64;
	struct handle_slot *slot = realloc(handles->slot, cap * sizeof(*slot));

	if (!slot)
		return -1;
	memset(slot + handles->cap, 0, (cap - handles->cap) * sizeof(*slot));
	handles->slot = slot;
	handles->cap = cap;
	return 0;
}

void *handles_add(struct handles *handles, void *object)
{
	size_t index = handles->free - 1;

	if (handles->free) {
		handles->free = handles->slot[index].next_free;
	} else {
		if (handles->count == handles->cap && handles_grow(handles) < 0)
			return NULL;
		index = handles->count++;
	}
	handles->slot[index].object = object;
	return handle_of(handles, index);
}

void *handles_get(const struct handles *handles, const void *handle)
{
	size_t index = handle_index(handle);

	if (!handle || index >= handles->count || handle_of(handles, index) != handle)
		return NULL;
	return handles->slot[index].object;
}

void handles_remove(struct handles *handles, const void *handle)
{
	struct handle_slot *slot;

	if (!handles_get(handles, handle))
		return;
	slot = &handles->slot[handle_index(handle)];
	slot->object = NULL;
	slot->life++;
	slot->next_free = handles->free;
	handles->free = handle_index(handle) + 1;
}

void handles_clear(struct handles *handles)
{
	free(handles->slot);
	memset(handles, 0, sizeof(*handles));
}
