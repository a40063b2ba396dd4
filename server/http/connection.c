/*
 * Connections; see connection.h. All of it runs in the threads of the HTTP library, and waits for nothing.
 */
#include "http/connection.h"

#include <string.h>
#include <strings.h>

#include "http/clock.h"
#include "http/exchange.h"
#include "http/gate.h"
#include "http/stream_side.h"

/* Of a body that is refused so much is read and dropped, so that its sender gets to read why. */
#define DROP_MAX ((size_t)32 << 20)

static const struct http_refusal full = {
	.status = 503,
	.code = "overloaded",
	.message = "too many requests are waiting",
	.retry_after = 2,
};

static const struct http_refusal ending = {
	.status = 503,
	.code = "shutting_down",
	.message = "this server is shutting down",
	.retry_after = 1,
};

static struct http_peer *connection_peer(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void connection_allow(struct http_peer *peer, int ms)
{
	if (peer)
		atomic_store(&peer->deadline_ms, ms ? clock_ms() + ms : 0);
}

void connection_notify(void *ctx, struct MHD_Connection *connection, void **peer,
		       enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = ctx;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*peer)
			keeper_remove(server->keeper, *peer);
		*peer = NULL;
		return;
	}
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info)
		*peer = keeper_add(server->keeper, info->connect_fd);
	connection_allow(*peer, HEAD_MS);
}

/* A connection that waited for its next request waits no more. One that is new has no more time by this. */
void *connection_line(void *ctx, const char *line, struct MHD_Connection *connection)
{
	struct http_peer *peer = connection_peer(connection);

	(void)ctx;
	(void)line;
	if (peer && atomic_load(&peer->deadline_ms) > clock_ms() + HEAD_MS)
		connection_allow(peer, HEAD_MS);
	return NULL;
}

size_t connection_no_unescape(void *ctx, struct MHD_Connection *connection, char *text)
{
	(void)ctx;
	(void)connection;
	return strlen(text);
}

/* ---- a request ------------------------------------------------------------------------ */

/* The response that was made goes out. */
static enum MHD_Result connection_answer(struct http_exchange *exchange)
{
	enum MHD_Result rc;

	if (!exchange->response) /* there was no memory for one */
		return MHD_NO;
	rc = MHD_queue_response(exchange->connection, (unsigned)exchange->status,
				exchange->response);
	MHD_destroy_response(exchange->response);
	exchange->response = NULL;
	if (rc == MHD_YES && exchange->stream && exchange->peer) {
		keeper_watch(exchange->server->keeper, exchange->peer, exchange->stream);
		/* A drain that came before this has not seen it. */
		if (atomic_load(&exchange->server->draining))
			stream_finish(exchange->stream, false);
	}
	return rc;
}

/* From here on an end of the server waits for it. */
static void connection_count(struct http_exchange *exchange)
{
	exchange->dispatched = true;
	atomic_fetch_add(&exchange->server->under_way, 1);
}

static enum MHD_Result connection_refuse(struct http_exchange *exchange,
					 const struct http_refusal *refusal)
{
	if (!exchange->dispatched)
		connection_count(exchange);
	exchange_refuse(exchange, refusal);
	return connection_answer(exchange);
}

/* A head was read. */
static enum MHD_Result connection_begin(struct http_server *server,
					struct MHD_Connection *connection, const char *url,
					const char *method, const char *version, void **slot)
{
	struct http_exchange *exchange = exchange_new(server, connection, method, url);
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *length, *expect;

	if (!exchange)
		return MHD_NO;
	*slot = exchange;
	exchange->peer = connection_peer(connection);
	connection_allow(exchange->peer, BODY_MS);
	exchange_read_head(exchange);
	if (!exchange->early.status)
		gate_check(exchange, version);
	exchange_route(exchange);
	if (info && info->header_size > HTTP_HEAD_MAX) {
		exchange->early.status = 431;
		exchange->early.message = "the head is longer than 8 kB";
	}
	length = http_header(&exchange->request, "Content-Length");
	expect = http_header(&exchange->request, "Expect");
	/* Where it is not known how long the body is, or that is long, nobody waits for its end. */
	if (exchange->early.status == 400 ||
	    (exchange->early.status && (expect || (length && strlen(length) > 8))))
		return connection_refuse(exchange, &exchange->early);
	return MHD_YES;
}

/* Counts bytes of a body. @return whether there is room for them */
static bool connection_claim(struct http_exchange *exchange, size_t len)
{
	atomic_size_t *bodies = &exchange->server->bodies;

	exchange->claimed += len;
	return atomic_fetch_add(bodies, len) + len <= BODIES_MAX;
}

static enum MHD_Result connection_body(struct http_exchange *exchange, const char *data, size_t len)
{
	if (!exchange->early.status && !connection_claim(exchange, len))
		exchange->early = full;
	if (!exchange->early.status && !text_add(&exchange->body, data, len)) {
		exchange->early.status = exchange->body.len + len > HTTP_BODY_MAX ? 413 : 503;
		exchange->early.message = "the body is longer than 8 MiB";
	}
	if (!exchange->early.status)
		return MHD_YES;
	text_clear(&exchange->body);
	exchange->dropped += len;
	return exchange->dropped > DROP_MAX ? MHD_NO : MHD_YES;
}

void connection_work(void *job, convo_cancel *cancel)
{
	exchange_run(job, cancel);
	exchange_unref(job);
}

/* All of the request was read. */
static enum MHD_Result connection_dispatch(struct http_exchange *exchange)
{
	struct http_server *server = exchange->server;
	const struct http_route *route = exchange->match.route;

	connection_allow(exchange->peer, 0);
	connection_count(exchange);
	if (exchange->early.status)
		return connection_refuse(exchange, &exchange->early);
	if (exchange->options) {
		gate_answer_options(exchange);
		return connection_answer(exchange);
	}
	if (exchange->body.len)
		exchange->request.body = exchange->body.data;
	exchange->request.body_len = exchange->body.len;
	if (route->lane == HTTP_AT_ONCE) {
		exchange_run(exchange, NULL);
		return connection_answer(exchange);
	}
	if (atomic_load(&server->draining))
		return connection_refuse(exchange, &ending);
	exchange->suspended = true;
	atomic_fetch_add(&exchange->refs, 1);
	MHD_suspend_connection(exchange->connection);
	if (!workers_put(route->lane == HTTP_LONG ? server->slow : server->quick, exchange)) {
		exchange_refuse(exchange, &full);
		exchange_unref(exchange);
	}
	return MHD_YES;
}

enum MHD_Result connection_request(void *ctx, struct MHD_Connection *connection, const char *url,
				   const char *method, const char *version, const char *data,
				   size_t *data_len, void **slot)
{
	struct http_exchange *exchange = *slot;
	size_t len = *data_len;

	if (!exchange)
		return connection_begin(ctx, connection, url, method, version, slot);
	if (len) {
		*data_len = 0;
		return connection_body(exchange, data, len);
	}
	return exchange->dispatched ? connection_answer(exchange) : connection_dispatch(exchange);
}

static void connection_tell(struct http_exchange *exchange, bool gone)
{
	const struct http_options *options = &exchange->server->options;
	const struct http_route *route = exchange->match.route;
	const struct http_done done = {
		.id = exchange->request.id,
		.method = exchange->method,
		.route = route ? route->path : "",
		.key = exchange->request.who.key,
		.status = exchange->status,
		.first_us = exchange->first_us,
		.total_us = clock_us() - exchange->start_us,
		.bytes = exchange->bytes,
		.gone = gone,
	};

	if (options->done)
		options->done(options->done_ctx, &done);
}

void connection_completed(void *ctx, struct MHD_Connection *connection, void **slot,
			  enum MHD_RequestTerminationCode how)
{
	struct http_exchange *exchange = *slot;
	struct http_server *server = ctx;

	connection_allow(connection_peer(connection), IDLE_MS);
	if (!exchange)
		return;
	*slot = NULL;
	if (exchange->stream) {
		if (exchange->peer)
			keeper_unwatch(server->keeper, exchange->peer);
		if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
			exchange_gone(exchange);
		exchange->bytes = stream_close(exchange->stream);
	}
	connection_tell(exchange, how != MHD_REQUEST_TERMINATED_COMPLETED_OK);
	exchange_unref(exchange);
}
