/*
 * Replies; see request.h.
 */
#include <stdio.h>
#include <string.h>

#include "http/clock.h"
#include "http/exchange.h"
#include "http/stream_side.h"

const char *http_status_name(int status)
{
	return MHD_get_reason_phrase_for((unsigned)status);
}

static void reply_add_headers(struct http_exchange *exchange, struct MHD_Response *response)
{
	const struct text *added = &exchange->added;
	size_t at = 0;

	MHD_add_response_header(response, "X-Request-Id", exchange->request.id);
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	while (at < added->len) {
		const char *name = added->data + at, *value = name + strlen(name) + 1;

		MHD_add_response_header(response, name, value);
		at += strlen(name) + strlen(value) + 2;
	}
	if (exchange->server->options.origins)
		MHD_add_response_header(response, "Vary", "Origin");
	if (exchange->allow_origin) {
		MHD_add_response_header(response, "Access-Control-Allow-Origin",
					exchange->allow_origin);
		MHD_add_response_header(response, "Access-Control-Expose-Headers",
					"X-Convo-Session, X-Convo-Seq, X-Request-Id, Retry-After, "
					"x-ratelimit-limit-requests, x-ratelimit-limit-tokens, "
					"x-ratelimit-remaining-requests, "
					"x-ratelimit-remaining-tokens, "
					"x-ratelimit-reset-requests, x-ratelimit-reset-tokens");
	}
	if (atomic_load(&exchange->server->draining))
		MHD_add_response_header(response, "Connection", "close");
}

void exchange_answer(struct http_exchange *exchange, struct MHD_Response *response, int status)
{
	reply_add_headers(exchange, response);
	exchange->answered = true;
	exchange->status = status;
	exchange->first_us = clock_us() - exchange->start_us;
	exchange->response = response;
	/* From here on the exchange is the connection's, too. */
	if (exchange->suspended)
		MHD_resume_connection(exchange->connection);
}

void http_reply(struct http_request *request, int status, const char *type, struct text *body)
{
	struct http_exchange *exchange = request->exchange;
	struct MHD_Response *response;
	struct text none = {0};
	size_t len;

	if (!body)
		body = &none;
	len = body->len;
	if (exchange->answered) {
		text_clear(body);
		return;
	}
	response = MHD_create_response_from_buffer(len, len ? body->data : NULL,
						   MHD_RESPMEM_MUST_FREE);
	if (response && len)
		memset(body, 0, sizeof(*body));
	else
		text_clear(body);
	if (!response) {
		/* Without memory for this there is some for less: the connection ends unanswered. */
		exchange->answered = true;
		if (exchange->suspended)
			MHD_resume_connection(exchange->connection);
		return;
	}
	if (type)
		MHD_add_response_header(response, "Content-Type", type);
	exchange->bytes = (int64_t)len;
	exchange_answer(exchange, response, status);
}

http_stream *http_reply_stream(struct http_request *request)
{
	struct http_exchange *exchange = request->exchange;
	http_stream *stream = stream_new(exchange->connection, exchange->match.api->too_slow,
					 exchange_gone, exchange);
	struct MHD_Response *response = stream ? stream_response(stream) : NULL;

	if (!response) {
		stream_unref(stream);
		stream_unref(stream);
		return NULL;
	}
	MHD_add_response_header(response, "Content-Type", "text/event-stream");
	/* Proxies that gather replies before they pass them on do not, of these. */
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	exchange->stream = stream;
	exchange_answer(exchange, response, 200);
	return stream;
}

void exchange_refuse(struct http_exchange *exchange, const struct http_refusal *refusal)
{
	struct http_refusal full = *refusal;
	struct text body = {0};
	char seconds[16];

	if (!full.message)
		full.message = http_status_name(full.status);
	if (full.retry_after) {
		snprintf(seconds, sizeof(seconds), "%d", full.retry_after);
		http_add_header(&exchange->request, "Retry-After", seconds);
	}
	if (full.status == 405) {
		struct text allowed = {0};

		if (http_methods_add(&allowed, exchange->match.allowed))
			http_add_header(&exchange->request, "Allow", allowed.data);
		text_clear(&allowed);
	}
	if (!exchange->match.api->form(&body, &full))
		text_clear(&body);
	http_reply(&exchange->request, full.status, "application/json", &body);
}

void http_refuse(struct http_request *request, const struct http_refusal *refusal)
{
	exchange_refuse(request->exchange, refusal);
}
