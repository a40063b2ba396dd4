/*
 * How long one wait for a server's socket lasts: until the call's deadline, or until the server has
 * been silent for too long (pool.h says when that matters); and what else the kernel is told of it.
 */
#ifndef STORE_SHARED_WAIT_H
#define STORE_SHARED_WAIT_H

#include <store/backend.h>

/** One wait, begun by cv_wait_until(). */
struct store_wait {
	int64_t deadline_us; /* by cv_clock_mono_us() */
	int64_t look_us;     /* when to look whether anybody is there; INT64_MAX: not any more */
	struct store_patience patience;
};

/** Begin to wait now. */
struct store_wait cv_wait_until(int64_t deadline_us, struct store_patience patience);

/**
 * How long poll() may wait for the socket, rounded up. To be asked again after each poll() that has
 * found nothing. Does not block.
 *
 * @return milliseconds, a minute at most; 0 when the wait is over: late, or the server is silent
 */
int cv_wait_left_ms(struct store_wait *wait, int fd);

/**
 * Have the kernel ask the peer of an idle connection now and then, so that one which has gone is
 * missed before a call needs it, and a firewall sees that the connection is in use. What somebody has
 * set is left alone; so is a socket of the machine's own, and -1.
 */
void cv_wait_keep_alive(int fd);

/** Have the kernel forget what has been sent and not acknowledged, when the socket is closed. -1 is
 * fine. */
void cv_wait_forget(int fd);

/** How long the way to the peer and back is, in µs, as the kernel has seen; 0 where it is not known. */
int64_t cv_wait_trip_us(int fd);

#endif
