/*
 * The clocks; see clock.h.
 */
#include <base/clock.h>

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t clock_offset_us;
static _Atomic int64_t clock_last_us;

static int64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t cv_clock_us(void)
{
	int64_t now = clock_read(CLOCK_REALTIME) + atomic_load(&clock_offset_us);
	int64_t last = atomic_load_explicit(&clock_last_us, memory_order_relaxed);

	/* A step back of the wall clock is followed, so that one wrong setting does not pin it in
	 * the future; small steps and equal readings are evened out. */
	do {
		if (now <= last && last - now < 1000000)
			now = last + 1;
	} while (!atomic_compare_exchange_weak(&clock_last_us, &last, now));
	return now;
}

int64_t cv_clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

int64_t cv_clock_boot_us(void)
{
#ifdef CLOCK_BOOTTIME
	return clock_read(CLOCK_BOOTTIME);
#else
	return cv_clock_mono_us();
#endif
}

void cv_clock_shift_us(int64_t offset_us)
{
	atomic_store(&clock_offset_us, offset_us);
}
