/*
 * Starting and ending the server; see http.h.
 */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/fail.h"
#include "http/clock.h"
#include "http/connection.h"
#include "http/state.h"

/*
 * Of each connection: a head of HTTP_HEAD_MAX, what is remembered of its headers, and the reply's. The library
 * reads into half of it and zeroes what of that half was not needed, so that all of it is paid for, also by a
 * stream that is idle.
 */
#define CONNECTION_BYTES ((size_t)16 << 10)

#define QUICK_WORKERS 16
#define CONNECTIONS 20000
/* Descriptors that are not for connections: stores, models, files. */
#define DESCRIPTORS 256

static unsigned server_threads(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > 8 ? 8 : (unsigned)cores;
}

static unsigned server_connections(const struct http_options *options)
{
	struct rlimit limit;
	unsigned most = options->connections ? options->connections : CONNECTIONS;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)most + DESCRIPTORS)
		most = limit.rlim_cur > 2 * DESCRIPTORS ? (unsigned)limit.rlim_cur - DESCRIPTORS
							: DESCRIPTORS;
	return most;
}

static int server_listen(struct http_server *server, struct convo_err *err)
{
	const struct http_options *options = &server->options;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->tls_cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->tls_key},
		{MHD_OPTION_END, 0, NULL},
	};

	if (options->tls_cert)
		flags |= MHD_USE_TLS;
	else
		tls[0].option = MHD_OPTION_END;
	server->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, connection_request, server, MHD_OPTION_LISTEN_SOCKET,
		options->listener->fd, MHD_OPTION_THREAD_POOL_SIZE, server_threads(),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT,
		server_connections(options), MHD_OPTION_CONNECTION_TIMEOUT, IDLE_MS / 1000,
		MHD_OPTION_NOTIFY_COMPLETED, connection_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, connection_notify, server,
		MHD_OPTION_URI_LOG_CALLBACK, connection_line, server, MHD_OPTION_UNESCAPE_CALLBACK,
		connection_no_unescape, server, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
		tls, MHD_OPTION_END);
	return server->daemon
		       ? 0
		       : fail(err, CONVO_E_IO, "cannot serve on %s%s",
			      options->listener->shown.data,
			      options->tls_cert ? ": are certificate and key PEM, and do they "
						  "belong together?"
						: "");
}

int http_server_start(struct http_server **out, const struct http_options *options,
		      struct convo_err *err)
{
	struct http_server *server = calloc(1, sizeof(*server));
	unsigned queue = options->queue ? options->queue : 1024;
	int rc;

	if (!server)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	server->options = *options;
	rc = workers_new(&server->quick, connection_work, QUICK_WORKERS, queue, err);
	if (rc == 0)
		rc = workers_new(&server->slow, connection_work,
				 options->workers ? options->workers : 64, queue, err);
	if (rc == 0)
		rc = keeper_new(&server->keeper, err);
	if (rc == 0)
		rc = server_listen(server, err);
	if (rc == 0)
		*out = server;
	else
		http_server_stop(server);
	return rc;
}

void http_server_look(struct http_load *out, struct http_server *server)
{
	keeper_look(server->keeper, &out->connections, &out->streams);
	out->quick = workers_look(server->quick);
	out->slow = workers_look(server->slow);
}

void http_server_drain(struct http_server *server)
{
	if (atomic_exchange(&server->draining, true))
		return;
	MHD_quiesce_daemon(server->daemon);
	http_unlisten(server->options.listener);
	keeper_end_streams(server->keeper);
}

bool http_server_wait(struct http_server *server, int wait_ms)
{
	const struct timespec pause = {0, 5000000};
	int64_t end = clock_ms() + wait_ms;

	while (atomic_load(&server->under_way)) {
		if (clock_ms() >= end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

void http_server_cancel(struct http_server *server)
{
	workers_cancel(server->quick);
	workers_cancel(server->slow);
}

void http_server_stop(struct http_server *server)
{
	if (!server)
		return;
	if (server->daemon) {
		http_server_drain(server);
		http_server_cancel(server);
	}
	/* First those who resume connections: none may be suspended when the daemon ends. */
	workers_free(server->quick);
	workers_free(server->slow);
	if (server->daemon) {
		keeper_cut(server->keeper);
		MHD_stop_daemon(server->daemon);
	}
	keeper_free(server->keeper);
	free(server);
}
