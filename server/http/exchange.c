/*
 * An exchange from its head to its end; see exchange.h.
 */
#include "http/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/clock.h"
#include "http/stream_side.h"

/* ---- names and values ----------------------------------------------------------------- */

const char *exchange_find(const struct text *list, size_t from, size_t to, const char *name,
			  bool any_case)
{
	while (from < to) {
		const char *one = list->data + from, *value = one + strlen(one) + 1;

		if (any_case ? !strcasecmp(one, name) : !strcmp(one, name))
			return value;
		from += (size_t)(value - one) + strlen(value) + 1;
	}
	return NULL;
}

static bool pair_add(struct text *list, const char *name, const char *value)
{
	return text_add(list, name, strlen(name) + 1) && text_add(list, value, strlen(value) + 1);
}

struct copying {
	struct text *list;
	bool query, ok;
};

static enum MHD_Result pair_copy(void *ctx, enum MHD_ValueKind kind, const char *name,
				 size_t name_len, const char *value, size_t value_len)
{
	struct copying *copying = ctx;
	size_t at = copying->list->len;

	(void)kind;
	(void)name_len;
	(void)value_len;
	copying->ok = copying->ok && pair_add(copying->list, name, value ? value : "");
	if (copying->ok && copying->query) {
		/* Decoding shortens: both are written again where they stand. */
		char *n = copying->list->data + at, *v = n + strlen(n) + 1;

		copying->ok = http_percent_decode(n, true) && http_percent_decode(v, true);
		if (copying->ok) {
			size_t len = strlen(n) + 1, more = strlen(v) + 1;

			memmove(n + len, v, more);
			copying->list->len = at + len + more;
		}
	}
	return copying->ok ? MHD_YES : MHD_NO;
}

/* ---- making and ending ---------------------------------------------------------------- */

static const char *const method_names[] = {"GET",   "HEAD",   "POST",   "PUT",
					   "PATCH", "DELETE", "OPTIONS"};

static void exchange_set_method(struct http_exchange *exchange, const char *method)
{
	static const enum http_method methods[] = {HTTP_GET, HTTP_GET,   HTTP_POST,
						   HTTP_PUT, HTTP_PATCH, HTTP_DELETE};
	size_t i;

	exchange->method = "";
	for (i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
		if (strcmp(method, method_names[i]) != 0)
			continue;
		exchange->method = method_names[i];
		exchange->options = i == 6;
		if (i < 6)
			exchange->request.method = methods[i];
	}
}

struct http_exchange *exchange_new(struct http_server *server, struct MHD_Connection *connection,
				   const char *method, const char *url)
{
	struct http_exchange *exchange = calloc(1, sizeof(*exchange));
	size_t len = strlen(url) + 1;

	if (!exchange)
		return NULL;
	exchange->path = malloc(2 * len);
	if (!exchange->path) {
		free(exchange);
		return NULL;
	}
	memcpy(exchange->path, url, len);
	memcpy(exchange->path + len, url, len);
	exchange->server = server;
	exchange->connection = connection;
	exchange->start_us = clock_us();
	atomic_init(&exchange->refs, 1);
	pthread_mutex_init(&exchange->lock, NULL);
	exchange->body.max = HTTP_BODY_MAX;
	exchange->request.path = exchange->path;
	exchange->request.body = "";
	exchange->request.exchange = exchange;
	convo_uuid_make(exchange->request.id);
	exchange_set_method(exchange, method);
	return exchange;
}

/* What only the handler needed. */
static void exchange_drop_request(struct http_exchange *exchange)
{
	text_clear(&exchange->head);
	text_clear(&exchange->body);
	exchange->head_len = 0;
	atomic_fetch_sub(&exchange->server->bodies, exchange->claimed);
	exchange->claimed = 0;
}

void exchange_unref(struct http_exchange *exchange)
{
	struct http_server *server = exchange->server;
	bool counted = exchange->dispatched;

	if (atomic_fetch_sub(&exchange->refs, 1) != 1)
		return;
	exchange_drop_request(exchange);
	stream_unref(exchange->stream);
	if (exchange->response)
		MHD_destroy_response(exchange->response);
	text_clear(&exchange->added);
	free(exchange->allow_origin);
	free(exchange->path);
	pthread_mutex_destroy(&exchange->lock);
	free(exchange);
	/* The last thing done with the server. */
	if (counted)
		atomic_fetch_sub(&server->under_way, 1);
}

/* ---- the head ------------------------------------------------------------------------- */

void exchange_read_head(struct http_exchange *exchange)
{
	struct copying headers = {&exchange->head, false, true};
	struct copying query = {&exchange->head, true, true};

	MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, pair_copy, &headers);
	exchange->head_len = exchange->head.len;
	MHD_get_connection_values_n(exchange->connection, MHD_GET_ARGUMENT_KIND, pair_copy, &query);
	if (!headers.ok || !query.ok) {
		exchange->early.status = 400;
		exchange->early.message = "the query is not percent-encoded text";
	}
}

/* The parameters of the path, decoded behind it. */
static bool exchange_decode_path(struct http_exchange *exchange)
{
	const struct http_match *match = &exchange->match;
	char *copy = exchange->path + strlen(exchange->path) + 1;
	size_t i;

	for (i = 0; i < match->params; i++)
		copy[match->param[i].at + match->param[i].len] = '\0';
	for (i = 0; i < match->params; i++) {
		exchange->request.param[i] = copy + match->param[i].at;
		if (!http_percent_decode(copy + match->param[i].at, false))
			return false;
	}
	return true;
}

void exchange_route(struct http_exchange *exchange)
{
	const struct http_options *options = &exchange->server->options;
	struct http_refusal *early = &exchange->early;

	http_route_find(&exchange->match, options->apis, options->api_count,
			exchange->request.method, exchange->request.path);
	if (early->status || exchange->options)
		return;
	if (exchange->match.route && exchange_decode_path(exchange))
		return;
	if (exchange->match.route) {
		early->status = 400;
		early->message = "the path is not percent-encoded text";
	} else if (exchange->match.allowed) {
		early->status = 405;
		early->message = "this path takes other methods: the header Allow names them";
	} else {
		early->status = 404;
		early->code = "unknown_path";
		early->message = "there is nothing under this path";
	}
}

/* ---- the handler ---------------------------------------------------------------------- */

/* Whether the one who asks may; else it is refused. */
static bool exchange_may(struct http_exchange *exchange)
{
	const struct http_options *options = &exchange->server->options;
	const struct http_route *route = exchange->match.route;
	struct http_refusal why = {.status = 401};

	if (!route->rights)
		return true;
	if (!options->admit ||
	    !options->admit(options->admit_ctx, &exchange->request, &exchange->request.who, &why)) {
		if (why.status == 401)
			http_add_header(&exchange->request, "WWW-Authenticate", "Bearer");
		http_refuse(&exchange->request, &why);
		return false;
	}
	if ((exchange->request.who.rights & route->rights) == route->rights)
		return true;
	why.status = 403;
	why.message = "this key may not do that";
	http_refuse(&exchange->request, &why);
	return false;
}

void exchange_run(struct http_exchange *exchange, convo_cancel *cancel)
{
	const struct http_refusal silent = {.status = 500};

	exchange->request.cancel = cancel;
	if (exchange_may(exchange))
		exchange->match.route->handle(exchange->match.api->ctx, &exchange->request);
	if (!exchange->answered)
		http_refuse(&exchange->request, &silent);
	if (exchange->stream) {
		stream_detach(exchange->stream);
		/* A drain that came before this has left it alone. */
		if (atomic_load(&exchange->server->draining))
			stream_finish(exchange->stream, false);
	}
	pthread_mutex_lock(&exchange->lock);
	exchange->request.cancel = NULL;
	pthread_mutex_unlock(&exchange->lock);
	exchange_drop_request(exchange);
}

void exchange_gone(void *ctx)
{
	struct http_exchange *exchange = ctx;

	pthread_mutex_lock(&exchange->lock);
	exchange->gone = true;
	if (exchange->cancel_when_gone)
		convo_cancel_request(exchange->request.cancel);
	pthread_mutex_unlock(&exchange->lock);
}

void http_cancel_when_gone(struct http_request *request)
{
	struct http_exchange *exchange = request->exchange;

	pthread_mutex_lock(&exchange->lock);
	exchange->cancel_when_gone = true;
	if (exchange->gone)
		convo_cancel_request(request->cancel);
	pthread_mutex_unlock(&exchange->lock);
}

const char *http_header(const struct http_request *request, const char *name)
{
	return exchange_find(&request->exchange->head, 0, request->exchange->head_len, name, true);
}

size_t http_header_count(const struct http_request *request, const char *name)
{
	const struct http_exchange *exchange = request->exchange;
	const char *at = exchange->head.data;
	const char *end = at ? at + exchange->head_len : at;
	size_t count = 0;

	while (at < end) {
		count += !strcasecmp(at, name);
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return count;
}

const char *http_query(const struct http_request *request, const char *name)
{
	const struct http_exchange *exchange = request->exchange;

	return exchange_find(&exchange->head, exchange->head_len, exchange->head.len, name, false);
}

const char *http_query_name(const struct http_request *request, size_t i)
{
	const struct http_exchange *exchange = request->exchange;
	size_t at = exchange->head_len;

	/* A name and a value each. */
	for (i *= 2; i && at < exchange->head.len; i--)
		at += strlen(exchange->head.data + at) + 1;
	return at < exchange->head.len ? exchange->head.data + at : NULL;
}

void http_add_header(struct http_request *request, const char *name, const char *value)
{
	const unsigned char *c;

	for (c = (const unsigned char *)value; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return;
	/* Without memory it is missing, as it may be by a proxy's will. */
	pair_add(&request->exchange->added, name, value);
}
