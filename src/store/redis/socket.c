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
#include <store/shared/wait.h>

/* ---- failing ---------------------------------------------------------------------------- */

int cv_redis_fail(const struct redis_place *place, int code, const char *why, struct convo_err *err)
{
	return cv_fail(err, code, "%s: %s", place->name, why);
}

/* What is short in this process is no sign that the server is gone. */
static int errno_code(int error)
{
	switch (error) {
	case ENOMEM:
	case ENOBUFS:
		return CONVO_E_NOMEM;
	case EACCES:
	case EPERM:
		return CONVO_E_DENIED;
	case EMFILE:
	case ENFILE:
		return CONVO_E_IO;
	}
	return CONVO_E_GONE;
}

int cv_redis_fail_errno(const struct redis_place *place, int error, struct convo_err *err)
{
	char text[128] = "unknown error";

	(void)strerror_r(error, text, sizeof(text));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] - 'A' + 'a');
	return cv_redis_fail(place, errno_code(error), text, err);
}

/* ---- waiting ---------------------------------------------------------------------------- */

static bool until_canceled(const struct redis_until *until)
{
	size_t i;

	for (i = 0; i < until->cancels; i++) {
		if (convo_cancel_requested(until->cancel[i]))
			return true;
	}
	return false;
}

int cv_redis_wait(const struct redis_place *place, int fd, short events,
		  const struct redis_until *until, const char *late, struct convo_err *err)
{
	struct store_wait wait = cv_wait_until(until->deadline_us, until->patience);
	struct pollfd poller[1 + REDIS_MAX_CANCELS];
	size_t i;

	poller[0] = (struct pollfd){.fd = fd, .events = events};
	for (i = 0; i < until->cancels; i++)
		poller[1 + i] =
			(struct pollfd){.fd = convo_cancel_fd(until->cancel[i]), .events = POLLIN};
	for (;;) {
		int left_ms = cv_wait_left_ms(&wait, fd), rc;

		if (until_canceled(until))
			return cv_redis_fail(place, CONVO_E_CANCELED, "canceled", err);
		if (!left_ms)
			return cv_redis_fail(place, CONVO_E_TIMEOUT, late, err);
		rc = poll(poller, (nfds_t)(1 + until->cancels), left_ms);
		/* A failing poll() is left to the read or write that follows. */
		if (rc > 0 ? poller[0].revents : rc < 0 && errno != EINTR)
			return 0;
	}
}

/* ---- connecting ------------------------------------------------------------------------- */

/* Begin and finish connecting a socket; the deadline may be one of several attempts. */
static int fd_connect(const struct redis_place *place, int fd, const struct sockaddr *address,
		      socklen_t size, const struct redis_until *until, struct convo_err *err)
{
	int error = 0, rc;
	socklen_t len = sizeof(error);

	if (connect(fd, address, size) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return cv_redis_fail_errno(place, errno, err);
	rc = cv_redis_wait(place, fd, POLLOUT, until, "no connection in time", err);
	if (rc < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? cv_redis_fail_errno(place, error, err) : 0;
}

/* A connected socket, or a negative code. */
static int fd_open(const struct redis_place *place, int family, const struct sockaddr *address,
		   socklen_t size, const struct redis_until *until, struct convo_err *err)
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
	rc = fd_connect(place, fd, address, size, until, err);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int fd_open_unix(const struct redis_place *place, const struct redis_until *until,
			struct convo_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(place->path);

	if (len >= sizeof(address.sun_path))
		return cv_redis_fail(place, CONVO_E_INVALID, "the path of the socket is too long",
				     err);
	memcpy(address.sun_path, place->path, len + 1);
	return fd_open(place, AF_UNIX, (const struct sockaddr *)&address, sizeof(address), until,
		       err);
}

/* Try the addresses of the host one after the other, each with its share of the time. */
static int fd_open_tcp(const struct redis_place *place, const struct redis_until *until,
		       struct convo_err *err)
{
	struct addrinfo *list = NULL, *at;
	struct convo_err why = {0};
	struct redis_until share = *until;
	int rc = cv_resolve(&list, place->host, place->port, until->deadline_us, &why), left = 0;

	if (rc < 0)
		return cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s", place->name,
			       why.text);
	for (at = list; at; at = at->ai_next)
		left++;
	for (at = list; at; at = at->ai_next) {
		int64_t now_us = cv_clock_mono_us();

		share.deadline_us = now_us + (until->deadline_us - now_us) / left--;
		rc = fd_open(place, at->ai_family, at->ai_addr, at->ai_addrlen, &share, err);
		if (rc >= 0 || rc == CONVO_E_CANCELED)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

int cv_redis_socket_open(struct redis_socket *sock, const struct redis_until *until,
			 struct convo_err *err)
{
	const struct redis_place *place = sock->place;
	int fd = place->host ? fd_open_tcp(place, until, err) : fd_open_unix(place, until, err);

	if (fd < 0)
		return fd;
	sock->fd = fd;
	return 0;
}
