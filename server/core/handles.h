/*
 * Numbers that stand for objects: who has one of an object that is gone finds nothing, where a pointer would
 * lead astray. Guarded by whoever owns them.
 */
#ifndef SERVER_CORE_HANDLES_H
#define SERVER_CORE_HANDLES_H

#include <stddef.h>
#include <stdint.h>

/** All-zero is valid: none. */
struct handles {
	struct handle_slot *slot;
	size_t count, cap;
	size_t free; /* 1 + the first free slot; 0: none */
};

/** Make one, as a pointer that may be passed on as context and leads nowhere. NULL: out of memory. */
void *handles_add(struct handles *handles, void *object);

/** The object it stands for, or NULL. */
void *handles_get(const struct handles *handles, const void *handle);

/** It stands for nothing from now on. */
void handles_remove(struct handles *handles, const void *handle);

/** Free what they take. */
void handles_clear(struct handles *handles);

#endif
