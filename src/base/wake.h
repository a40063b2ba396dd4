/*
 * To sleep until somebody else says so: a semaphore whose waits end by the monotonic clock or when
 * the call is canceled. Whoever is woken need not take a lock to learn it, and who wakes need not
 * hold one.
 */
#ifndef BASE_WAKE_H
#define BASE_WAKE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <convo/call.h>

struct cv_wake {
	sem_t posts;
	atomic_uint made; /* what a thread sanitizer sees of the semaphore */
};

void cv_wake_init(struct cv_wake *wake);

/** Every post that was or will be made must have been waited for. */
void cv_wake_destroy(struct cv_wake *wake);

/** Wake one wait, now or later; what was written before is seen after it. */
void cv_wake_post(struct cv_wake *wake);

/** Wait for a post, however long it takes. */
void cv_wake_wait(struct cv_wake *wake);

/**
 * Wait for a post until a moment of cv_clock_mono_us(), or until `cancel` (may be NULL) is asked
 * for, which is noticed within 50 ms. @return whether there was one
 */
bool cv_wake_wait_until(struct cv_wake *wake, int64_t deadline_us, const convo_cancel *cancel);

#endif
