/*
 * Listening; see listen.h.
 */
#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/fail.h"

#define BACKLOG 1024

/* The first descriptor that systemd hands over: sd_listen_fds(3). */
#define SYSTEMD_FD 3

/* Adds what a bound address is called, and says whether it is this machine's alone. */
static bool listen_name(struct http_listener *out)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	memset(&address, 0, sizeof(address));
	if (getsockname(out->fd, (struct sockaddr *)&address, &len) < 0)
		return false;
	if (address.ss_family == AF_UNIX) {
		out->local = out->plain_name = true;
		return text_addf(&out->shown, "unix:%s",
				 ((struct sockaddr_un *)&address)->sun_path);
	}
	if (getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return false;
	if (address.ss_family == AF_INET6) {
		out->local = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr);
		return text_addf(&out->shown, "[%s]:%s", host, port);
	}
	out->local = !strncmp(host, "127.", 4);
	return text_addf(&out->shown, "%s:%s", host, port);
}

static int listen_errno(struct convo_err *err, const char *what, const char *where)
{
	return fail(err, errno == ENOMEM ? CONVO_E_NOMEM : CONVO_E_IO, "cannot %s %s: %s", what,
		    where, strerror(errno));
}

static int listen_on(struct http_listener *out, const struct addrinfo *info, const char *where,
		     struct convo_err *err)
{
	const int on = 1, off = 0;

	out->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->fd < 0)
		return listen_errno(err, "make a socket for", where);
	setsockopt(out->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (info->ai_family == AF_INET6) /* "::" takes IPv4, too */
		setsockopt(out->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(out->fd, info->ai_addr, info->ai_addrlen) < 0 || listen(out->fd, BACKLOG) < 0)
		return listen_errno(err, "listen on", where);
	return 0;
}

/* Tells host and port apart; the text is cut for it. */
static bool listen_split(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strlen(colon + 1) > 5 || strtol(colon + 1, NULL, 10) > 65535)
		return false;
	*colon = '\0';
	*port = colon + 1;
	*host = text;
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = text + 1;
		return true;
	}
	return !strchr(text, ':') && !strchr(text, '[');
}

static int listen_address(struct http_listener *out, const char *where, struct convo_err *err)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *info = NULL;
	char *copy = strdup(where), *host, *port;
	int rc;

	if (!copy)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	if (!listen_split(copy, &host, &port)) {
		free(copy);
		return fail(err, CONVO_E_INVALID,
			    "'%s' is not HOST:PORT, [IPV6]:PORT, unix:PATH or systemd", where);
	}
	/* Of all addresses those of IPv6 take both kinds, but a kernel may have none. */
	rc = *host ? EAI_NONAME : getaddrinfo("::", port, &hints, &info);
	if (rc == 0 && listen_on(out, info, where, NULL) == 0)
		goto out;
	if (out->fd >= 0)
		close(out->fd);
	out->fd = -1;
	if (info)
		freeaddrinfo(info);
	info = NULL;
	rc = getaddrinfo(*host ? host : "0.0.0.0", port, &hints, &info);
	if (rc)
		rc = fail(err, CONVO_E_INVALID, "no address for '%s': %s", where, gai_strerror(rc));
	else
		rc = listen_on(out, info, where, err);
out:
	if (info)
		freeaddrinfo(info);
	free(copy);
	return rc;
}

/* A socket that is left of a program which is gone is removed; a living one is not. */
static bool unix_is_dead(const struct sockaddr_un *address)
{
	struct stat status;
	int fd, rc;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	rc = rc < 0 && errno == ECONNREFUSED;
	close(fd);
	return rc;
}

static int listen_unix(struct http_listener *out, const char *path, struct convo_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	mode_t mask;
	int rc;

	if (!len || len >= sizeof(address.sun_path))
		return fail(err, CONVO_E_INVALID, "unix:PATH wants 1 to %zu bytes of path",
			    sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, len);
	out->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out->fd < 0)
		return listen_errno(err, "make a socket for", path);
	if (unix_is_dead(&address))
		unlink(path);
	mask = umask(0177);
	rc = bind(out->fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (rc < 0)
		return listen_errno(err, "listen on", path);
	if (!text_adds(&out->path, path)) {
		unlink(path);
		return fail(err, CONVO_E_NOMEM, "out of memory");
	}
	return listen(out->fd, BACKLOG) < 0 ? listen_errno(err, "listen on", path) : 0;
}

static int listen_systemd(struct http_listener *out, struct convo_err *err)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int accepts = 0;
	socklen_t len = sizeof(accepts);

	if (!pid || strtol(pid, NULL, 10) != (long)getpid() || !count ||
	    strtol(count, NULL, 10) < 1)
		return fail(err, CONVO_E_INVALID,
			    "systemd handed over no socket: LISTEN_FDS and LISTEN_PID say so");
	if (getsockopt(SYSTEMD_FD, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) < 0 || !accepts)
		return fail(err, CONVO_E_INVALID,
			    "what systemd handed over is no socket that "
			    "listens (Accept= must be no)");
	out->fd = SYSTEMD_FD;
	return 0;
}

int http_listen(struct http_listener *out, const char *where, struct convo_err *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (!strcmp(where, "systemd"))
		rc = listen_systemd(out, err);
	else if (!strncmp(where, "unix:", 5))
		rc = listen_unix(out, where + 5, err);
	else
		rc = listen_address(out, where, err);
	if (rc == 0 && !listen_name(out))
		rc = fail(err, CONVO_E_IO, "cannot tell the address of %s", where);
	if (rc < 0)
		http_unlisten(out);
	return rc;
}

void http_unlisten(struct http_listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
	if (listener->path.len)
		unlink(listener->path.data);
	text_clear(&listener->path);
	text_clear(&listener->shown);
}
