/*
 * A request as its handler sees it, and how it is answered: by a whole reply, or by a stream
 * (stream.h). Each request is answered once; one that is not is answered with 500.
 */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <convo/call.h>
#include <convo/event.h>

#include "http/stream.h"
#include "term/text.h"

/** Most bytes of a body: what is longer is refused with 413. */
#define HTTP_BODY_MAX ((size_t)8 << 20)

/** Most bytes of a head, request line and headers together: 431. */
#define HTTP_HEAD_MAX ((size_t)8 << 10)

/** Most parameters in a route's path. */
#define HTTP_PARAMS 4

enum http_method {
	HTTP_GET = 1 << 0, /* HEAD, too */
	HTTP_POST = 1 << 1,
	HTTP_PUT = 1 << 2,
	HTTP_PATCH = 1 << 3,
	HTTP_DELETE = 1 << 4
};

/** Whose request it is: what http_options.admit finds out. All-zero for who may be anybody. */
struct http_who {
	char app[CONVO_MAX_NAME + 1], user[CONVO_MAX_NAME + 1];
	char key[24];    /* what the log calls the key; "": there is none */
	unsigned rights; /* bits, to be compared with http_route.rights */
};

/** Why a request is not answered as was wished. Borrowed; all-zero but for the status is valid. */
struct http_refusal {
	int status;
	const char *code;    /* a word for programs, "model_not_found"; NULL: one for the status */
	const char *message; /* one line for a person; NULL: the status in words */
	const char *param;   /* the member of the body that is meant; NULL: none */
	int retry_after;     /* seconds, for the header of that name; 0: none */
};

/** A request. Lives until its handler has returned; strings are NUL-terminated. */
struct http_request {
	enum http_method method;
	const char *path;               /* as it was sent, without the query */
	const char *param[HTTP_PARAMS]; /* what stands for the route's {names}, percent-decoded */
	const char *body;               /* all of it; a NUL follows */
	size_t body_len;
	char id[CONVO_UUID_SIZE]; /* ours, also in the reply's X-Request-Id */
	struct http_who who;
	/**
	 * Asked for when the server shuts down and the time for that is over; and, after
	 * http_cancel_when_gone(), when the reader of the stream went away. NULL in what runs at once.
	 */
	convo_cancel *cancel;
	struct http_exchange *exchange; /* the room's own */
};

/** The value of a header, its first if there are several, or NULL. Names in any case. */
const char *http_header(const struct http_request *request, const char *name);

/** How many headers of that name there are. */
size_t http_header_count(const struct http_request *request, const char *name);

/** The value of a query's parameter, decoded, or NULL. "" for one without a value. */
const char *http_query(const struct http_request *request, const char *name);

/** The name of a query's i-th parameter, decoded, or NULL: there are no more. */
const char *http_query_name(const struct http_request *request, size_t i);

/** From now on, a reader who leaves the request's stream asks for request->cancel. */
void http_cancel_when_gone(struct http_request *request);

/* ---- answering ------------------------------------------------------------------------ */

/** Add a header to the reply that will come, whole or stream. What is no header's value is left out. */
void http_add_header(struct http_request *request, const char *name, const char *value);

/**
 * Reply.
 *
 * @param type the body's, "application/json"; NULL: there is no body
 * @param body taken: it is empty afterwards. NULL: there is none
 */
void http_reply(struct http_request *request, int status, const char *type, struct text *body);

/**
 * Reply with 200 and a stream of events.
 *
 * @return the stream, the caller's to end; NULL when memory is out, and nothing is answered
 */
http_stream *http_reply_stream(struct http_request *request);

/** Reply with a refusal, in the form of the route's API. */
void http_refuse(struct http_request *request, const struct http_refusal *refusal);

/** The status in words: "Not Found". */
const char *http_status_name(int status);

#endif
