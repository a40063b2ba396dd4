/*
 * Host names to addresses by a deadline; see resolve.h.
 */
#include <base/resolve.h>

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/detach.h>

/* A question on its way. Whoever comes second, the asker that gave up or the answer, frees it. */
struct resolve {
	pthread_mutex_t lock; /* guards done, left and the answer */
	pthread_cond_t answered;
	bool done, left;
	int rc;
	struct addrinfo *list;
	char port[12];
	char host[];
};

static int resolve_ask(const char *host, const char *port, int flags, struct addrinfo **list)
{
	struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};

	return getaddrinfo(host, port, &hints, list);
}

static void resolve_free(struct resolve *ask)
{
	if (ask->list)
		freeaddrinfo(ask->list);
	pthread_cond_destroy(&ask->answered);
	pthread_mutex_destroy(&ask->lock);
	free(ask);
}

static void *resolve_thread(void *ctx)
{
	struct resolve *ask = ctx;
	struct addrinfo *list = NULL;
	int rc = resolve_ask(ask->host, ask->port, 0, &list);
	bool left;

	pthread_mutex_lock(&ask->lock);
	ask->rc = rc;
	ask->list = rc ? NULL : list;
	ask->done = true;
	left = ask->left;
	pthread_cond_signal(&ask->answered);
	pthread_mutex_unlock(&ask->lock);
	if (left)
		resolve_free(ask);
	return NULL;
}

static struct resolve *resolve_new(const char *host, const char *port)
{
	size_t len = strlen(host);
	struct resolve *ask = cv_alloc(1, sizeof(*ask) + len + 1);
	pthread_condattr_t monotonic;

	if (!ask)
		return NULL;
	memcpy(ask->host, host, len);
	memcpy(ask->port, port, strlen(port));
	pthread_mutex_init(&ask->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&ask->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return ask;
}

/* Wait for the answer; false at the deadline. */
static bool resolve_wait(struct resolve *ask, int64_t deadline_us)
{
	struct timespec until = {(time_t)(deadline_us / 1000000), deadline_us % 1000000 * 1000};
	bool done;

	pthread_mutex_lock(&ask->lock);
	while (!ask->done &&
	       pthread_cond_timedwait(&ask->answered, &ask->lock, &until) != ETIMEDOUT)
		;
	done = ask->done;
	ask->left = !done;
	pthread_mutex_unlock(&ask->lock);
	return done;
}

static int resolve_fail(int rc, struct convo_err *err)
{
	if (rc == EAI_NONAME)
		return cv_fail(err, CONVO_E_IO, "unknown host");
	if (rc == EAI_MEMORY)
		return cv_fail_nomem(err);
	return cv_fail(err, CONVO_E_IO, "host name: %s", gai_strerror(rc));
}

int cv_resolve(struct addrinfo **out, const char *host, int port, int64_t deadline_us,
	       struct convo_err *err)
{
	struct resolve *ask;
	char number[12];
	int rc;

	snprintf(number, sizeof(number), "%d", port);
	if (resolve_ask(host, number, AI_NUMERICHOST, out) == 0)
		return 0;
	if (cv_clock_mono_us() >= deadline_us)
		return cv_fail(err, CONVO_E_TIMEOUT, "host name: no time to ask");
	ask = resolve_new(host, number);
	if (!ask)
		return cv_fail_nomem(err);
	if (!cv_detach(resolve_thread, ask)) {
		resolve_free(ask);
		return cv_fail(err, CONVO_E_IO, "host name: no thread to ask with");
	}
	if (!resolve_wait(ask, deadline_us))
		return cv_fail(err, CONVO_E_TIMEOUT, "host name: no answer in time");
	rc = ask->rc;
	*out = ask->list;
	ask->list = NULL;
	resolve_free(ask);
	return rc ? resolve_fail(rc, err) : 0;
}
