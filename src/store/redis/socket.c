/*
 * A socket to Redis; see socket.h.
 */
#include <store/redis/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/resolve.h>

/* ---- failing ---------------------------------------------------------------------------- */

int cv_redis_fail(const struct redis_place *place, const char *why, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_IO, "%s: %s", place->name, why);
}

int cv_redis_fail_errno(const struct redis_place *place, int error, struct convo_err *err)
{
	char text[128] = "unknown error";

	(void)strerror_r(error, text, sizeof(text));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] - 'A' + 'a');
	return cv_redis_fail(place, text, err);
}

int cv_redis_fail_timeout(const struct redis_place *place, const char *what, struct convo_err *err)
{
	return cv_fail(err, CONVO_E_TIMEOUT, "%s: %s", place->name, what);
}

/* ---- waiting ---------------------------------------------------------------------------- */

/* Wait until the socket is ready; false at the deadline. */
bool cv_redis_wait(int fd, short events, int64_t deadline_us)
{
	struct pollfd poller = {.fd = fd, .events = events};

	for (;;) {
		int64_t left_us = deadline_us - cv_clock_mono_us();
		int rc;

		if (left_us <= 0)
			return false;
		if (left_us > 1000000000)
			left_us = 1000000000;
		rc = poll(&poller, 1, (int)((left_us + 999) / 1000));
		if (rc > 0)
			return true;
		/* A failing poll() is left to the read or write that follows. */
		if (rc < 0 && errno != EINTR)
			return true;
	}
}

/* ---- connecting ------------------------------------------------------------------------- */

/* Begin and finish connecting a socket; the deadline may be one of several attempts. */
static int fd_connect(const struct redis_place *place, int fd, const struct sockaddr *address,
		      socklen_t size, int64_t deadline_us, struct convo_err *err)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (connect(fd, address, size) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return cv_redis_fail_errno(place, errno, err);
	if (!cv_redis_wait(fd, POLLOUT, deadline_us))
		return cv_redis_fail_timeout(place, "no connection in time", err);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? cv_redis_fail_errno(place, error, err) : 0;
}

/* A connected socket, or a negative code. */
static int fd_open(const struct redis_place *place, int family, const struct sockaddr *address,
		   socklen_t size, int64_t deadline_us, struct convo_err *err)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return cv_redis_fail_errno(place, errno, err);
	if (family != AF_UNIX) {
		/* Neither is worth failing for. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	rc = fd_connect(place, fd, address, size, deadline_us, err);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int fd_open_unix(const struct redis_place *place, int64_t deadline_us, struct convo_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(place->path);

	if (len >= sizeof(address.sun_path))
		return cv_redis_fail(place, "the path of the socket is too long", err);
	memcpy(address.sun_path, place->path, len + 1);
	return fd_open(place, AF_UNIX, (const struct sockaddr *)&address, sizeof(address),
		       deadline_us, err);
}

/* Try the addresses of the host one after the other, each with its share of the time. */
static int fd_open_tcp(const struct redis_place *place, int64_t deadline_us, struct convo_err *err)
{
	struct addrinfo *list = NULL, *at;
	struct convo_err why = {0};
	int rc = cv_resolve(&list, place->host, place->port, deadline_us, &why), left = 0;

	if (rc < 0)
		return cv_fail(err, rc, "%s: %s", place->name, why.text);
	for (at = list; at; at = at->ai_next)
		left++;
	for (at = list; at; at = at->ai_next) {
		int64_t now_us = cv_clock_mono_us();

		rc = fd_open(place, at->ai_family, at->ai_addr, at->ai_addrlen,
			     now_us + (deadline_us - now_us) / left--, err);
		if (rc >= 0)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

int cv_redis_socket_open(struct redis_socket *sock, int64_t deadline_us, struct convo_err *err)
{
	const struct redis_place *place = sock->place;
	int fd = place->host ? fd_open_tcp(place, deadline_us, err)
			     : fd_open_unix(place, deadline_us, err);

	if (fd < 0)
		return fd;
	sock->fd = fd;
	return 0;
}
