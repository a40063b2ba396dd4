/*
 * UUIDs; see uuid.h.
 */
#include <base/uuid.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>

/*
 * Random bytes come from the kernel in blocks, because a system call per id would cost more than
 * an append to memory. Each thread has its own block; a fork()ed child must not repeat its
 * parent's, so a block remembers how many forks there had been.
 */
#define POOL_BYTES 256

static atomic_uint forks;

static void uuid_forked(void)
{
	atomic_fetch_add(&forks, 1);
}

static void uuid_watch_forks(void)
{
	pthread_atfork(NULL, NULL, uuid_forked);
}

static void uuid_fill(unsigned char *out, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Thread_local unsigned char pool[POOL_BYTES];
	static _Thread_local size_t left;
	static _Thread_local unsigned filled;

	pthread_once(&once, uuid_watch_forks);
	if (left < len || filled != atomic_load(&forks)) {
		/* getentropy() fails only where there is no random source at all, and then there
		 * is nothing better to do than to mix in what differs between calls. */
		if (getentropy(pool, POOL_BYTES) != 0) {
			int64_t seed[2] = {cv_clock_us(), getpid()};

			memcpy(pool, seed, sizeof(seed));
		}
		left = POOL_BYTES;
		filled = atomic_load(&forks);
	}
	left -= len;
	memcpy(out, pool + left, len);
	memset(pool + left, 0, len);
}

void cv_uuid_random(unsigned char out[UUID_BYTES])
{
	uuid_fill(out, UUID_BYTES);
	out[6] = (unsigned char)(0x40 | (out[6] & 0x0f));
	out[8] = (unsigned char)(0x80 | (out[8] & 0x3f));
}

/*
 * Version 7 with the 12 bits after the milliseconds holding the fraction of the millisecond (RFC
 * 9562, 6.2, method 3): cv_clock_us() never repeats, so ids of this process sort as made.
 */
void cv_uuid_new(unsigned char out[UUID_BYTES])
{
	int64_t us = cv_clock_us();
	uint64_t ms = (uint64_t)(us / 1000);
	unsigned fraction = (unsigned)(us % 1000) * 4096 / 1000;
	int i;

	uuid_fill(out + 8, UUID_BYTES - 8);
	for (i = 0; i < 6; i++)
		out[i] = (unsigned char)(ms >> (40 - 8 * i));
	out[6] = (unsigned char)(0x70 | (fraction >> 8));
	out[7] = (unsigned char)fraction;
	out[8] = (unsigned char)(0x80 | (out[8] & 0x3f));
}

static int uuid_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool cv_uuid_parse(unsigned char out[UUID_BYTES], const char *text)
{
	unsigned char uuid[UUID_BYTES];
	size_t i;

	for (i = 0; i < UUID_BYTES; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		high = uuid_digit(text[0]);
		low = high < 0 ? -1 : uuid_digit(text[1]);
		if (low < 0)
			return false;
		uuid[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	if (*text)
		return false;
	memcpy(out, uuid, UUID_BYTES);
	return true;
}

void cv_uuid_format(char out[CONVO_UUID_SIZE], const unsigned char uuid[UUID_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[uuid[i] >> 4];
		*out++ = digits[uuid[i] & 15];
	}
	*out = '\0';
}

void convo_uuid_make(char out[CONVO_UUID_SIZE])
{
	unsigned char uuid[UUID_BYTES];

	if (!out)
		return;
	cv_uuid_new(uuid);
	cv_uuid_format(out, uuid);
}
