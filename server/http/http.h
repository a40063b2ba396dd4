/*
 * The HTTP server. Its threads for sockets never wait for anything else: what a request asks for runs in
 * worker threads (route.h), and what streams have to say waits in buffers (stream.h).
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include "http/listen.h"
#include "http/route.h"
#include "http/workers.h"

/** How a request ended. Borrowed. */
struct http_done {
	const char *id;     /* of the request */
	const char *method; /* as it was sent, for a route; else "" */
	const char *route;  /* its pattern; "" when there was none */
	const char *key;    /* http_who.key */
	int status;
	int64_t first_us; /* from the end of the head to the reply's beginning */
	int64_t total_us; /* to its end */
	int64_t bytes;    /* of the reply's body */
	bool gone;        /* the client left before the end */
};

/** All-zero gives the defaults. Borrowed for as long as the server runs. */
struct http_options {
	struct http_listener *listener; /* taken */
	const struct http_api *apis;    /* the first one's form is used for paths of none */
	size_t api_count;

	/**
	 * Find out whose request it is, for routes that want rights. May block.
	 *
	 * @param why set when it is nobody's; its strings are static
	 * @return whether it is somebody's
	 */
	bool (*admit)(void *ctx, struct http_request *request, struct http_who *who,
		      struct http_refusal *why);
	void *admit_ctx;

	/** Hears of each request as it ends, in a thread that must not be kept. NULL: nobody does. */
	void (*done)(void *ctx, const struct http_done *done);
	void *done_ctx;

	/**
	 * Names that may stand in the header Host, separated by commas, beside localhost and addresses:
	 * a page on the web can make its own name lead here (DNS rebinding). "*": any.
	 */
	const char *hosts;
	/** Origins of pages that may ask, separated by commas ("https://a.example"). NULL: ours alone. */
	const char *origins;
	const char *tls_cert, *tls_key; /* PEM texts; NULL: no TLS */

	unsigned workers;     /* threads that may wait for models; 0: 64 */
	unsigned queue;       /* requests that wait for one; 0: 1,024 */
	unsigned connections; /* 0: as many as descriptors allow, up to 20,000 */
};

/** A running server. */
struct http_server;

/** Start it: connections are taken when this returns. @return 0, CONVO_E_NOMEM, CONVO_E_IO, CONVO_E_INVALID */
int http_server_start(struct http_server **out, const struct http_options *options,
		      struct convo_err *err);

/** What a server is doing at this moment. */
struct http_load {
	size_t connections, streams; /* those that read a stream are among the connections */
	struct workers_load quick, slow;
};

/** Look. Does not block. */
void http_server_look(struct http_load *out, struct http_server *server);

/**
 * Begin to end: nothing more is taken, on new connections or old, but for HTTP_AT_ONCE; what runs goes on,
 * and streams that no handler runs beside end.
 */
void http_server_drain(struct http_server *server);

/** Wait until nothing runs and nothing waits to be sent. @return whether that came in time */
bool http_server_wait(struct http_server *server, int wait_ms);

/** Ask for the cancel of every request that runs. */
void http_server_cancel(struct http_server *server);

/** End it: close all connections, wait for the handlers that still run, free it. NULL is fine. */
void http_server_stop(struct http_server *server);

#endif
