/*
 * A request and its reply while they are under way, inside this room. The connection's thread makes one
 * when it has read a head, a worker runs its handler, and whoever of the two is last frees it.
 *
 * While the handler has not answered the connection is suspended: nothing of the HTTP library touches the
 * exchange, and its connection stays. What both may touch at once is behind the lock.
 */
#ifndef SERVER_HTTP_EXCHANGE_H
#define SERVER_HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/mhd.h"
#include "http/state.h"

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_peer *peer;
	atomic_int refs;
	struct http_request request;
	struct http_match match;
	const char *method; /* as it was sent; static */
	struct text head; /* "name\0value\0" of each header, then of each parameter of the query */
	size_t head_len;  /* where those of the query begin */
	char *path;       /* the request's, and its parameters in a copy behind it */
	int64_t start_us;

	struct http_refusal
		early;      /* why it is refused before any handler sees it; status 0: it is not */
	char *allow_origin; /* a page of this origin may read the reply; NULL: it is ours */
	struct text body;
	size_t claimed; /* bytes of bodies that are counted for it */
	size_t dropped; /* bytes of a body that nobody reads */
	bool dispatched, suspended, at_once, options;

	struct text added; /* "name\0value\0" for the reply */
	bool answered;
	struct MHD_Response *response; /* until it is queued */
	int status;
	int64_t first_us, bytes;
	http_stream *stream; /* NULL: a whole reply */

	pthread_mutex_t lock;
	bool cancel_when_gone; /* below the lock, as request.cancel is */
	bool gone;
};

/** Make one for a head that was read. NULL: out of memory. */
struct http_exchange *exchange_new(struct http_server *server, struct MHD_Connection *connection,
				   const char *method, const char *url);

/** Copy the head. Sets `early` for what is refused. */
void exchange_read_head(struct http_exchange *exchange);

/** Find the route, also for the form of what is refused. */
void exchange_route(struct http_exchange *exchange);

/** Run its handler. `cancel` is the thread's; NULL: in the connection's thread. */
void exchange_run(struct http_exchange *exchange, convo_cancel *cancel);

/** Make the response of a refusal. */
void exchange_refuse(struct http_exchange *exchange, const struct http_refusal *refusal);

/** Take the response that was made: its headers are added, and the connection goes on. */
void exchange_answer(struct http_exchange *exchange, struct MHD_Response *response, int status);

/** The reader of its stream is gone. `exchange` is a struct http_exchange. */
void exchange_gone(void *exchange);

/** Let go of it. */
void exchange_unref(struct http_exchange *exchange);

/** A value in a list of names and values, or NULL. */
const char *exchange_find(const struct text *list, size_t from, size_t to, const char *name,
			  bool any_case);

#endif
