/*
 * The access log; see log.h. One buffer is filled while another is written, and they change places.
 */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/fail.h"
#include "http/clock.h"

/* Most bytes that wait to be written, and room beyond them for the line that tells of lost ones. */
#define WAIT_MAX ((size_t)256 << 10)
#define LOST_MAX 128

#define LINE_MAX_BYTES 512
#define CLOSE_MS 1000
/* How often a writer whom nobody reads looks whether it is time to leave. */
#define ROUND_MS 100

struct access_log {
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below, but for `writing` */
	pthread_cond_t more;
	char *filling, *writing;
	size_t len;
	unsigned long long lost; /* lines that found no room since the last were written */
	bool leaving;
	int64_t give_up_ms; /* of clock_ms(), when leaving */
};

static void log_time(char out[32])
{
	struct timespec now;
	struct tm utc;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out + len, 32 - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

void log_done(void *ctx, const struct http_done *done)
{
	struct access_log *log = ctx;
	char line[LINE_MAX_BYTES], at[32];
	int len;

	log_time(at);
	/* Every word in it is ours, but the key's name, which is letters and digits. */
	len = snprintf(line, sizeof(line),
		       "{\"time\":\"%s\",\"id\":\"%s\",\"key\":\"%s\",\"method\":\"%s\","
		       "\"route\":\"%s\",\"status\":%d,\"first_ms\":%lld,\"ms\":%lld,"
		       "\"bytes\":%lld,\"gone\":%s}\n",
		       at, done->id, done->key, done->method, done->route, done->status,
		       (long long)done->first_us / 1000, (long long)done->total_us / 1000,
		       (long long)done->bytes, done->gone ? "true" : "false");
	if (len < 0 || (size_t)len >= sizeof(line))
		return;
	pthread_mutex_lock(&log->lock);
	if (log->lost || log->len + (size_t)len > WAIT_MAX) {
		log->lost++;
	} else {
		memcpy(log->filling + log->len, line, (size_t)len);
		log->len += (size_t)len;
	}
	pthread_cond_signal(&log->more);
	pthread_mutex_unlock(&log->lock);
}

/* ---- the writer ----------------------------------------------------------------------- */

/* Waits for something to write. @return its bytes, in `writing`; 0: leave */
static size_t log_take(struct access_log *log)
{
	char *taken, at[32];
	size_t len;

	pthread_mutex_lock(&log->lock);
	while (!log->len && !log->leaving)
		pthread_cond_wait(&log->more, &log->lock);
	taken = log->filling;
	len = log->len;
	if (log->lost) {
		log_time(at);
		len += (size_t)snprintf(taken + len, LOST_MAX,
					"{\"time\":\"%s\",\"lost_lines\":%llu}\n", at, log->lost);
	}
	log->filling = log->writing;
	log->writing = taken;
	log->len = 0;
	log->lost = 0;
	pthread_mutex_unlock(&log->lock);
	return len;
}

/* Whether there is no time left to wait for a reader. */
static bool log_gives_up(struct access_log *log)
{
	bool yes;

	pthread_mutex_lock(&log->lock);
	yes = log->leaving && clock_ms() >= log->give_up_ms;
	pthread_mutex_unlock(&log->lock);
	return yes;
}

/* Whole lines, so many that a pipe which is ready takes them without waiting. */
static size_t log_piece(const char *bytes, size_t len)
{
	size_t n = len;

	if (n <= PIPE_BUF)
		return n;
	for (n = PIPE_BUF; bytes[n - 1] != '\n';)
		n--;
	return n;
}

static void *log_main(void *ctx)
{
	struct access_log *log = ctx;
	size_t len, at;

	while ((len = log_take(log))) {
		for (at = 0; at < len && !log_gives_up(log);) {
			struct pollfd ready = {STDERR_FILENO, POLLOUT, 0};
			ssize_t n;

			if (poll(&ready, 1, ROUND_MS) < 1)
				continue;
			n = write(STDERR_FILENO, log->writing + at,
				  log_piece(log->writing + at, len - at));
			if (n < 0 && errno != EINTR && errno != EAGAIN)
				break; /* nobody will ever read it */
			at += n > 0 ? (size_t)n : 0;
		}
	}
	return NULL;
}

/* ---- opening and closing -------------------------------------------------------------- */

static void log_free(struct access_log *log)
{
	pthread_cond_destroy(&log->more);
	pthread_mutex_destroy(&log->lock);
	free(log->filling);
	free(log->writing);
	free(log);
}

int log_open(struct access_log **out, struct convo_err *err)
{
	struct access_log *log = calloc(1, sizeof(*log));
	int rc;

	if (!log)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->more, NULL);
	log->filling = malloc(WAIT_MAX + LOST_MAX);
	log->writing = malloc(WAIT_MAX + LOST_MAX);
	rc = log->filling && log->writing ? pthread_create(&log->thread, NULL, log_main, log)
					  : ENOMEM;
	if (rc == 0) {
		*out = log;
		return 0;
	}
	log_free(log);
	return fail(err, rc == ENOMEM ? CONVO_E_NOMEM : CONVO_E_IO, "access log: %s", strerror(rc));
}

void log_close(struct access_log *log)
{
	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	log->leaving = true;
	log->give_up_ms = clock_ms() + CLOSE_MS;
	pthread_cond_signal(&log->more);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	log_free(log);
}
