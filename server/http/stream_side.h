/*
 * The reader's side of a stream, inside this room: of the connection that takes from it, of the exchange
 * that it answers, and of the keeper.
 */
#ifndef SERVER_HTTP_STREAM_SIDE_H
#define SERVER_HTTP_STREAM_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "http/mhd.h"

struct http_stream;

/**
 * Make one for a connection. It has two holders: its writer, and the exchange.
 *
 * @param too_slow the last event for a reader who is too slow; NULL: none
 * @param left     told, with `ctx`, by stream_gone()
 */
struct http_stream *stream_new(struct MHD_Connection *connection, const char *too_slow,
			       void (*left)(void *ctx), void *ctx);

/** The response that reads it, a holder of its own. NULL: out of memory. */
struct MHD_Response *stream_response(struct http_stream *stream);

/** No handler runs beside it any more. */
void stream_detach(struct http_stream *stream);

/** Send a comment, if it has sent nothing since then. */
void stream_keep_alive(struct http_stream *stream, int64_t since_ms);

/** End it, if no handler runs beside it, or `any`. */
void stream_finish(struct http_stream *stream, bool any);

/** The reader is gone; the connection will come to know. Before stream_close() only. */
void stream_gone(struct http_stream *stream);

/** The connection reads no more: it is not used from now on. @return how many bytes it took */
int64_t stream_close(struct http_stream *stream);

/** Let go of it. NULL is fine. */
void stream_unref(struct http_stream *stream);

#endif
