/*
 * A fair lock; see lock.h. Who cannot have it at once queues with a semaphore of its own. Whoever
 * gives it back hands it to the first of the queue, a writer, or to all readers up to the next
 * writer, so none of them has to look again, and wakes them without holding anything.
 */
#include <store/memory/lock.h>

#include <base/fail.h>
#include <base/wake.h>

struct lock_waiter {
	struct lock_waiter *next;
	struct cv_wake woken; /* it has the lock */
	bool writes, has_it;
};

void cv_mem_lock_init(struct memory_lock *lock)
{
	pthread_mutex_init(&lock->guard, NULL);
	lock->holders = 0;
	lock->first = NULL;
	lock->end = &lock->first;
}

void cv_mem_lock_destroy(struct memory_lock *lock)
{
	pthread_mutex_destroy(&lock->guard);
}

static bool lock_is_free(const struct memory_lock *lock, bool writes)
{
	return writes ? lock->holders == 0 : lock->holders >= 0;
}

static void lock_take(struct memory_lock *lock, bool writes)
{
	lock->holders = writes ? -1 : lock->holders + 1;
}

/* With the guard held: hand the lock to those whose turn it is. @return them, to be woken */
static struct lock_waiter *lock_hand_on(struct memory_lock *lock)
{
	struct lock_waiter *lucky = NULL, **end = &lucky;

	while (lock->first && lock_is_free(lock, lock->first->writes)) {
		struct lock_waiter *waiter = lock->first;

		lock_take(lock, waiter->writes);
		waiter->has_it = true;
		lock->first = waiter->next;
		waiter->next = NULL;
		*end = waiter;
		end = &waiter->next;
	}
	if (!lock->first)
		lock->end = &lock->first;
	return lucky;
}

/* Each may be gone as soon as it is woken. */
static void lock_wake(struct lock_waiter *lucky)
{
	while (lucky) {
		struct lock_waiter *next = lucky->next;

		cv_wake_post(&lucky->woken);
		lucky = next;
	}
}

/* Leave the queue, unless the lock was given after all. @return whether it was */
static bool lock_leave(struct memory_lock *lock, struct lock_waiter *self)
{
	struct lock_waiter **at = &lock->first, *lucky = NULL;

	pthread_mutex_lock(&lock->guard);
	if (!self->has_it) {
		while (*at != self)
			at = &(*at)->next;
		*at = self->next;
		if (!*at)
			lock->end = at;
		lucky = lock_hand_on(lock); /* readers that waited for this writer only */
	}
	pthread_mutex_unlock(&lock->guard);
	lock_wake(lucky);
	return self->has_it;
}

static int lock_wait(struct memory_lock *lock, struct lock_waiter *self,
		     const struct store_call *call, struct convo_err *err)
{
	bool has_it = cv_wake_wait_until(&self->woken, call->deadline_us, call->cancel);

	if (!has_it && lock_leave(lock, self)) {
		cv_wake_wait(&self->woken); /* it is being told */
		has_it = true;
	}
	cv_wake_destroy(&self->woken);
	if (has_it)
		return 0;
	if (convo_cancel_requested(call->cancel))
		return cv_fail(err, CONVO_E_CANCELED, "memory: canceled");
	return cv_fail(err, CONVO_E_TIMEOUT, "memory: timed out waiting for other calls");
}

static int lock_get(struct memory_lock *lock, bool writes, const struct store_call *call,
		    struct convo_err *err)
{
	struct lock_waiter self = {.writes = writes};

	pthread_mutex_lock(&lock->guard);
	if (!lock->first && lock_is_free(lock, writes)) {
		lock_take(lock, writes);
		pthread_mutex_unlock(&lock->guard);
		return 0;
	}
	cv_wake_init(&self.woken);
	*lock->end = &self;
	lock->end = &self.next;
	pthread_mutex_unlock(&lock->guard);
	return lock_wait(lock, &self, call, err);
}

int cv_mem_lock_read(struct memory_lock *lock, const struct store_call *call, struct convo_err *err)
{
	return lock_get(lock, false, call, err);
}

int cv_mem_lock_write(struct memory_lock *lock, const struct store_call *call,
		      struct convo_err *err)
{
	return lock_get(lock, true, call, err);
}

void cv_mem_unlock(struct memory_lock *lock)
{
	struct lock_waiter *lucky;

	pthread_mutex_lock(&lock->guard);
	lock->holders = lock->holders > 0 ? lock->holders - 1 : 0;
	lucky = lock_hand_on(lock);
	pthread_mutex_unlock(&lock->guard);
	lock_wake(lucky);
}
