/*
 * A socket to a Redis server, which never blocks: connecting it and waiting for it by a deadline.
 */
#ifndef STORE_REDIS_SOCKET_H
#define STORE_REDIS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/call.h>

#include <base/fail.h>
#include <store/backend.h>

struct redis_tls;

/** Who we say we are. */
struct redis_login {
	char *user, *password; /* NULL: nobody says one */
	int database;
	bool wants_master; /* what is no master is not the server that is meant */
	bool of_sentinels; /* for messages */
};

/** Where a server is. */
struct redis_place {
	const char *name; /* for messages: "redis localhost:6379" */
	const char *host; /* NULL: `path` is a unix socket */
	int port;
	const char *path;
	struct redis_tls *tls; /* NULL without */
	const struct redis_login *login;
};

struct redis_socket {
	const struct redis_place *place;
	int fd;             /* -1: not connected */
	struct ssl_st *ssl; /* NULL without TLS */
};

/** How long to wait: until a moment of cv_clock_mono_us(), or until one of these is asked for. */
struct redis_until {
	int64_t deadline_us;
	const convo_cancel *const *cancel; /* none of them NULL */
	size_t cancels;
	struct store_patience patience;
};

#define REDIS_MAX_CANCELS 256

/** Connect. @return 0, CONVO_E_GONE, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_CANCELED ... */
int cv_redis_socket_open(struct redis_socket *sock, const struct redis_until *until,
			 struct convo_err *err);

/**
 * Wait for POLLIN or POLLOUT.
 *
 * @param late what is told at the deadline
 * @return 0, CONVO_E_TIMEOUT, CONVO_E_CANCELED
 */
int cv_redis_wait(const struct redis_place *place, int fd, short events,
		  const struct redis_until *until, const char *late, struct convo_err *err);

/** Fail with a code, the place and a reason. */
int cv_redis_fail(const struct redis_place *place, int code, const char *why,
		  struct convo_err *err);

/** The same with the reason of an errno, and its code. */
int cv_redis_fail_errno(const struct redis_place *place, int error, struct convo_err *err);

#endif
