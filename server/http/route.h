/*
 * Routes: which handler answers which request. Each API has a table of them.
 */
#ifndef SERVER_HTTP_ROUTE_H
#define SERVER_HTTP_ROUTE_H

#include "http/request.h"

/** Where a handler runs. */
enum http_lane {
	HTTP_QUICK = 0, /* in a thread that may wait for a store */
	HTTP_LONG,   /* in one that may wait for a model; there are fewer of these than requests */
	HTTP_AT_ONCE /* in a thread that serves many connections: it may wait for nothing */
};

/** Answers a request; `ctx` is its API's. */
typedef void (*http_handler)(void *ctx, struct http_request *request);

struct http_route {
	enum http_method method;
	/**
	 * Segments, of which {name} stands for one of any text, and {name...} at the end for all
	 * that follow.
	 */
	const char *path;
	http_handler handle;
	unsigned rights; /* all of them are needed; 0: anybody may */
	enum http_lane lane;
};

/** Routes that belong together, and how refusals look there. */
struct http_api {
	const char *prefix; /* of all paths: what is unknown below it is refused in its form */
	const struct http_route *routes;
	size_t count;
	void *ctx; /* for the handlers */
	/** Write the body of a refusal, JSON. @return success */
	bool (*form)(struct text *out, const struct http_refusal *refusal);
	const char *too_slow; /* the last event for a reader who was too slow */
};

/** What was found for a path. */
struct http_match {
	const struct http_api *api;     /* also for what is unknown: whose form it is refused in */
	const struct http_route *route; /* NULL: there is none */
	unsigned allowed;               /* methods that the path has; 0: the path is unknown */
	struct {
		size_t at, len;
	} param[HTTP_PARAMS]; /* where they stand in the path, still encoded */
	size_t params;
};

void http_route_find(struct http_match *out, const struct http_api *apis, size_t count,
		     enum http_method method, const char *path);

/** A method as it is sent: "GET". */
const char *http_method_name(enum http_method method);

/** Write methods as in the header Allow: "GET, HEAD, POST, OPTIONS". */
bool http_methods_add(struct text *out, unsigned methods);

/**
 * Resolve percent-encoding, in place. `plus`: a + is a blank, as in queries.
 *
 * @return false for what is malformed or holds a NUL
 */
bool http_percent_decode(char *s, bool plus);

#endif
