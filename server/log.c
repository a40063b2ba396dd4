/*
 * The access log; see log.h.
 */
#include "log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

void log_done(void *ctx, const struct http_done *done)
{
	char line[512], at[32];
	struct timespec now;
	struct tm utc;
	int len;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%S", &utc);
	/* Every word in it is ours, but the key's name, which is letters and digits. */
	len = snprintf(line, sizeof(line),
		       "{\"time\":\"%s.%03ldZ\",\"id\":\"%s\",\"key\":\"%s\",\"method\":\"%s\","
		       "\"route\":\"%s\",\"status\":%d,\"first_ms\":%lld,\"ms\":%lld,"
		       "\"bytes\":%lld,\"gone\":%s}\n",
		       at, now.tv_nsec / 1000000, done->id, done->key, done->method, done->route,
		       done->status, (long long)done->first_ms, (long long)done->total_ms,
		       (long long)done->bytes, done->gone ? "true" : "false");
	/* One write, so that lines of several threads do not mix; where nobody reads it is lost. */
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}
