/*
 * Those who follow sessions. A few threads wait for news of all sessions that are followed, load what is new
 * once for all who know the same, and write it to their streams: a follower takes no thread, and none is
 * waited for.
 */
#ifndef SERVER_API_HUB_H
#define SERVER_API_HUB_H

#include <convo/store.h>

#include "http/stream.h"

/** Thread-safe. */
struct hub;

/** Make one; threads are begun with the first follower. NULL: out of memory. */
struct hub *hub_new(convo_store *store);

/** End all streams, wait for the threads, free it. No request may be under way. NULL is fine. */
void hub_free(struct hub *hub);

/** What a follower knows. */
struct hub_known {
	const char *generation; /* of its session */
	int64_t seq;            /* events up to this one */
};

/**
 * A follower more: it is told what is new, from now on until it leaves.
 *
 * @param key    a session; copied
 * @param stream taken, also on failure
 * @return 0, CONVO_E_NOMEM, also when there is no thread to be had
 */
int hub_add(struct hub *hub, const struct convo_key *key, const struct hub_known *known,
	    http_stream *stream, struct convo_err *err);

#endif
