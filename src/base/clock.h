/*
 * The clocks. Everything that reads the time reads it here, so that tests can set it.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/**
 * Unix time in µs. Every call of this process gets a larger number than the one before, unless the
 * system clock was set back by a second or more.
 */
int64_t cv_clock_us(void);

/** A clock for deadlines and durations, in µs: monotonic, unrelated to the wall. */
int64_t cv_clock_mono_us(void);

/** The µs since the machine was started, asleep or not: the same for all of its processes. */
int64_t cv_clock_boot_us(void);

/** For tests: add this to the wall clock from now on. */
void cv_clock_shift_us(int64_t offset_us);

#endif
