/*
 * A socket to a Redis server, which never blocks: connecting it and waiting for it by a deadline.
 */
#ifndef STORE_REDIS_SOCKET_H
#define STORE_REDIS_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <base/fail.h>

struct redis_tls;

/** Where a server is. */
struct redis_place {
	const char *name; /* for messages: "redis localhost:6379" */
	const char *host; /* NULL: `path` is a unix socket */
	int port;
	const char *path;
	struct redis_tls *tls; /* NULL without */
};

struct redis_socket {
	const struct redis_place *place;
	int fd;             /* -1: not connected */
	struct ssl_st *ssl; /* NULL without TLS */
};

/** Connect. @return 0, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM */
int cv_redis_socket_open(struct redis_socket *sock, int64_t deadline_us, struct convo_err *err);

/** Wait for POLLIN or POLLOUT; false at the deadline. */
bool cv_redis_wait(int fd, short events, int64_t deadline_us);

/** Fail with CONVO_E_IO, the place and a reason, or that of an errno. */
int cv_redis_fail(const struct redis_place *place, const char *why, struct convo_err *err);
int cv_redis_fail_errno(const struct redis_place *place, int error, struct convo_err *err);

/** The same with CONVO_E_TIMEOUT. */
int cv_redis_fail_timeout(const struct redis_place *place, const char *what, struct convo_err *err);

#endif
