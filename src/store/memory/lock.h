/*
 * A lock for many readers or one writer that is fair: who asks first gets it first, so readers that
 * come without end keep no writer waiting. A wait ends by its call's deadline, or when that is
 * canceled (L2).
 */
#ifndef STORE_MEMORY_LOCK_H
#define STORE_MEMORY_LOCK_H

#include <store/backend.h>

#include <pthread.h>

struct memory_lock {
	pthread_mutex_t guard; /* of what follows; never held for longer than it takes to look */
	int holders;           /* readers; -1: a writer */
	struct lock_waiter *first, **end;
};

void cv_mem_lock_init(struct memory_lock *lock);

/** Nobody may hold it or wait. */
void cv_mem_lock_destroy(struct memory_lock *lock);

/**
 * Hold it with other readers, or alone. Not to be asked for by a thread that holds it: behind a
 * writer that waits, it would wait for itself.
 *
 * @return 0, CONVO_E_TIMEOUT, CONVO_E_CANCELED
 */
int cv_mem_lock_read(struct memory_lock *lock, const struct store_call *call,
		     struct convo_err *err);
int cv_mem_lock_write(struct memory_lock *lock, const struct store_call *call,
		      struct convo_err *err);

/** Give it back, however it was held. */
void cv_mem_unlock(struct memory_lock *lock);

#endif
