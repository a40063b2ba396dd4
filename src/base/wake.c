/*
 * Sleeping and waking; see wake.h. sem_clockwait() is glibc's (2.30); elsewhere a wait is made of
 * short ones, for sem_timedwait() counts by the clock that people set.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <base/wake.h>

#include <errno.h>
#include <time.h>

#include <base/clock.h>

#define LOOK_US 50000 /* between two looks at a cancel */

void cv_wake_init(struct cv_wake *wake)
{
	sem_init(&wake->posts, 0, 0);
	atomic_init(&wake->made, 0);
}

void cv_wake_destroy(struct cv_wake *wake)
{
	sem_destroy(&wake->posts);
}

void cv_wake_post(struct cv_wake *wake)
{
	atomic_fetch_add_explicit(&wake->made, 1, memory_order_release);
	sem_post(&wake->posts);
}

/* After a wait: see what was written before the post. ThreadSanitizer knows no sem_clockwait(). */
static bool wake_see(struct cv_wake *wake)
{
	return atomic_load_explicit(&wake->made, memory_order_acquire) > 0;
}

void cv_wake_wait(struct cv_wake *wake)
{
	while (sem_wait(&wake->posts) < 0)
		;
	(void)wake_see(wake);
}

/* One wait until a moment; false when it came first. */
static bool wake_sleep(struct cv_wake *wake, int64_t until_us)
{
	struct timespec until = {0};
	int rc;

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 30)
	until.tv_sec = (time_t)(until_us / 1000000);
	until.tv_nsec = (long)(until_us % 1000000) * 1000;
	do
		rc = sem_clockwait(&wake->posts, CLOCK_MONOTONIC, &until);
	while (rc < 0 && errno == EINTR);
#else
	int64_t left_us = until_us - cv_clock_mono_us(), at_us;

	clock_gettime(CLOCK_REALTIME, &until);
	at_us = until.tv_nsec / 1000 + (left_us < LOOK_US ? left_us : LOOK_US);
	if (at_us > 0) {
		until.tv_sec += (time_t)(at_us / 1000000);
		until.tv_nsec = (long)(at_us % 1000000) * 1000;
	}
	rc = sem_timedwait(&wake->posts, &until);
#endif
	return rc == 0;
}

bool cv_wake_wait_until(struct cv_wake *wake, int64_t deadline_us, const convo_cancel *cancel)
{
	int64_t now_us = cv_clock_mono_us();

	while (now_us < deadline_us && !convo_cancel_requested(cancel)) {
		int64_t look_us = now_us + LOOK_US;

		if (wake_sleep(wake, cancel && look_us < deadline_us ? look_us : deadline_us))
			return wake_see(wake);
		now_us = cv_clock_mono_us();
	}
	return sem_trywait(&wake->posts) == 0 && wake_see(wake);
}
