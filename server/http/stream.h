/*
 * A reply that comes piece by piece: server-sent events. What is written waits in a buffer of its own
 * until the reader takes it, so that writers never block, and a stream without news costs no thread.
 * One that says nothing for 15 s is kept alive with a comment.
 */
#ifndef SERVER_HTTP_STREAM_H
#define SERVER_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

/** A reader for whom more bytes wait than this when there is more to say is told so, and closed. */
#define HTTP_STREAM_MAX ((size_t)256 << 10)

/** Made by http_reply_stream(). Thread-safe: any thread may write, also after the handler has returned. */
typedef struct http_stream http_stream;

/**
 * Send bytes: whole events, "data: {}\n\n". Does not block. However many they are, they are taken if those
 * that wait already are not too many: what belongs together goes in one call.
 *
 * @return whether anybody reads on: false once the reader went away, was too slow, or the server ends
 */
bool http_stream_write(http_stream *stream, const char *bytes, size_t len);

/** How many bytes wait for the reader. */
size_t http_stream_waiting(http_stream *stream);

/** End it once all of it was sent, and let go of it: nothing is called for it any more. NULL is fine. */
void http_stream_end(http_stream *stream);

/**
 * Be told once when nobody reads any more, or the server ends, in place of finding out by writing: for
 * streams that no handler waits beside. The writer has to end the stream all the same.
 *
 * @param gone called from a thread that must not be kept, perhaps before this returns, with the stream
 *             locked: it may call nothing of a stream, nor wait for one who does
 */
void http_stream_on_gone(http_stream *stream, void (*gone)(void *ctx), void *ctx);

/**
 * Be told once when the reader has taken all that was written, for who has more than should wait.
 *
 * @param taken as `gone` above
 */
void http_stream_on_taken(http_stream *stream, void (*taken)(void *ctx), void *ctx);

#endif
