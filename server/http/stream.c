/*
 * Streams; see stream.h. The connection's thread takes from the buffer, and is suspended while that is
 * empty; whoever writes resumes it.
 */
#include "http/stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "http/clock.h"
#include "http/stream_side.h"

struct http_stream {
	pthread_mutex_t lock;
	atomic_int refs;
	struct MHD_Connection *connection; /* used until `closed` */
	const char *too_slow;
	char *data; /* what waits; freed when it is empty */
	size_t from, len, cap;
	int64_t sent_ms; /* when it was last written to */
	int64_t bytes;   /* that the connection took */
	bool suspended;
	bool ended;    /* nothing more will be written */
	bool gone;     /* nobody reads */
	bool closed;   /* the connection is done with it */
	bool detached; /* no handler runs beside it */
	void (*on_gone)(void *ctx);
	void *gone_ctx;
	void (*on_taken)(void *ctx);
	void *taken_ctx;
	void (*left)(void *ctx);
	void *left_ctx;
};

static const char keep_alive[] = ": keep-alive\n\n";

/* How much a reply of HTTP/1.0 takes at once; chunks have their own room. */
#define READ_BYTES 256

/* Room for what a slow reader is told, beyond what may wait. */
#define LAST_WORDS 1024

/* ---- the buffer, with the lock held --------------------------------------------------- */

static bool stream_room(http_stream *stream, size_t len)
{
	size_t cap = stream->cap ? stream->cap : 512;
	char *data;

	if (stream->from && stream->from + stream->len + len > stream->cap) {
		memmove(stream->data, stream->data + stream->from, stream->len);
		stream->from = 0;
	}
	if (stream->from + stream->len + len <= stream->cap)
		return true;
	while (cap < stream->len + len)
		cap *= 2;
	data = realloc(stream->data, cap);
	if (!data)
		return false;
	stream->data = data;
	stream->cap = cap;
	return true;
}

static bool stream_put(http_stream *stream, const char *bytes, size_t len)
{
	if (!stream_room(stream, len))
		return false;
	memcpy(stream->data + stream->from + stream->len, bytes, len);
	stream->len += len;
	stream->sent_ms = clock_ms();
	return true;
}

/* There is something for the connection to do. */
static void stream_wake(http_stream *stream)
{
	if (!stream->suspended || stream->closed)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

/* Tell the writer, once, that nobody reads. */
static void stream_tell_gone(http_stream *stream)
{
	if (stream->on_gone)
		stream->on_gone(stream->gone_ctx);
	stream->on_gone = stream->on_taken = NULL;
}

static void stream_tell_taken(http_stream *stream)
{
	void (*taken)(void *ctx) = stream->on_taken;

	stream->on_taken = NULL;
	if (taken)
		taken(stream->taken_ctx);
}

static void stream_empty(http_stream *stream)
{
	free(stream->data);
	stream->data = NULL;
	stream->from = stream->len = stream->cap = 0;
}

/* ---- the connection's side ------------------------------------------------------------ */

static ssize_t stream_read(void *ctx, uint64_t pos, char *out, size_t max)
{
	http_stream *stream = ctx;
	size_t n;
	ssize_t rc;

	(void)pos;
	pthread_mutex_lock(&stream->lock);
	n = stream->len < max ? stream->len : max;
	rc = (ssize_t)n;
	if (stream->gone) {
		rc = MHD_CONTENT_READER_END_WITH_ERROR;
	} else if (n) {
		memcpy(out, stream->data + stream->from, n);
		stream->from += n;
		stream->len -= n;
		stream->bytes += rc;
		if (!stream->len) {
			stream_empty(stream);
			stream_tell_taken(stream);
		}
	} else if (stream->ended) {
		rc = MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
	}
	pthread_mutex_unlock(&stream->lock);
	return rc;
}

void stream_unref(http_stream *stream)
{
	if (!stream || atomic_fetch_sub(&stream->refs, 1) != 1)
		return;
	stream_empty(stream);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

static void stream_free(void *ctx)
{
	stream_unref(ctx);
}

http_stream *stream_new(struct MHD_Connection *connection, const char *too_slow,
			void (*left)(void *ctx), void *ctx)
{
	http_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	atomic_init(&stream->refs, 2);
	pthread_mutex_init(&stream->lock, NULL);
	stream->connection = connection;
	stream->too_slow = too_slow;
	stream->left = left;
	stream->left_ctx = ctx;
	stream->sent_ms = clock_ms();
	return stream;
}

struct MHD_Response *stream_response(http_stream *stream)
{
	struct MHD_Response *response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, READ_BYTES, stream_read, stream, stream_free);

	if (response)
		atomic_fetch_add(&stream->refs, 1);
	return response;
}

static void stream_leave(http_stream *stream, bool closed)
{
	pthread_mutex_lock(&stream->lock);
	stream->gone = true;
	stream_empty(stream);
	stream_tell_gone(stream);
	stream_wake(stream);
	stream->closed = stream->closed || closed;
	pthread_mutex_unlock(&stream->lock);
}

int64_t stream_close(http_stream *stream)
{
	stream_leave(stream, true);
	return stream->bytes;
}

void stream_gone(http_stream *stream)
{
	stream->left(stream->left_ctx);
	stream_leave(stream, false);
}

void stream_detach(http_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	stream->detached = true;
	pthread_mutex_unlock(&stream->lock);
}

void stream_finish(http_stream *stream, bool any)
{
	pthread_mutex_lock(&stream->lock);
	if ((any || stream->detached) && !stream->ended) {
		stream->ended = true;
		stream_tell_gone(stream);
		stream_wake(stream);
	}
	pthread_mutex_unlock(&stream->lock);
}

void stream_keep_alive(http_stream *stream, int64_t since_ms)
{
	pthread_mutex_lock(&stream->lock);
	if (!stream->ended && !stream->gone && !stream->len && stream->sent_ms <= since_ms &&
	    stream_put(stream, keep_alive, sizeof(keep_alive) - 1))
		stream_wake(stream);
	pthread_mutex_unlock(&stream->lock);
}

/* ---- the writer's side ---------------------------------------------------------------- */

bool http_stream_write(http_stream *stream, const char *bytes, size_t len)
{
	bool ok;

	pthread_mutex_lock(&stream->lock);
	ok = !stream->ended && !stream->gone;
	if (ok && stream->len > HTTP_STREAM_MAX) {
		const char *words = stream->too_slow ? stream->too_slow : "";

		ok = false;
		if (strlen(words) <= LAST_WORDS)
			stream_put(stream, words, strlen(words));
		stream->ended = true;
	} else if (ok && !stream_put(stream, bytes, len)) {
		ok = false;
		stream->ended = true;
	}
	stream_wake(stream);
	pthread_mutex_unlock(&stream->lock);
	return ok;
}

void http_stream_end(http_stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	stream->on_gone = stream->on_taken = NULL;
	stream_wake(stream);
	pthread_mutex_unlock(&stream->lock);
	stream_unref(stream);
}

size_t http_stream_waiting(http_stream *stream)
{
	size_t len;

	pthread_mutex_lock(&stream->lock);
	len = stream->len;
	pthread_mutex_unlock(&stream->lock);
	return len;
}

void http_stream_on_gone(http_stream *stream, void (*gone)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&stream->lock);
	stream->on_gone = gone;
	stream->gone_ctx = ctx;
	if (stream->gone || stream->ended)
		stream_tell_gone(stream);
	pthread_mutex_unlock(&stream->lock);
}

void http_stream_on_taken(http_stream *stream, void (*taken)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&stream->lock);
	stream->on_taken = taken;
	stream->taken_ctx = ctx;
	if (!stream->len)
		stream_tell_taken(stream);
	pthread_mutex_unlock(&stream->lock);
}
