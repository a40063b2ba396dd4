/*
 * The thread that keeps watch over connections, inside this room: those whose time for a head is over are
 * cut, streams are kept alive, and readers who left are noticed, since the HTTP library does not look at
 * connections that wait.
 */
#ifndef SERVER_HTTP_KEEPER_H
#define SERVER_HTTP_KEEPER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/err.h>

struct http_stream;

/** A connection. */
struct http_peer {
	int fd;
	atomic_llong deadline_ms;   /* of clock_ms(): when it is cut; 0: never */
	struct http_stream *stream; /* the keeper's: what it reads; NULL: none */
};

struct keeper;

int keeper_new(struct keeper **out, struct convo_err *err);

/** End the thread and free it; no peer may be left. NULL is fine. */
void keeper_free(struct keeper *keeper);

/** A connection came. NULL: out of memory. */
struct http_peer *keeper_add(struct keeper *keeper, int fd);

/** It is about to be closed. */
void keeper_remove(struct keeper *keeper, struct http_peer *peer);

/** Its reader begins to read a stream, which stays until keeper_unwatch(). */
void keeper_watch(struct keeper *keeper, struct http_peer *peer, struct http_stream *stream);
void keeper_unwatch(struct keeper *keeper, struct http_peer *peer);

/** End all streams that no handler runs beside. */
void keeper_end_streams(struct keeper *keeper);

/** How many connections there are, and how many of them read a stream. */
void keeper_look(struct keeper *keeper, size_t *connections, size_t *streams);

/** Cut all connections. */
void keeper_cut(struct keeper *keeper);

#endif
