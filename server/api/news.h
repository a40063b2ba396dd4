/*
 * What is new in a session, loaded once and told to each of its followers as far as that does not know it.
 */
#ifndef SERVER_API_NEWS_H
#define SERVER_API_NEWS_H

#include <convo/store.h>

#include "core/json.h"
#include "http/stream.h"

/** Most events of a load. */
#define NEWS_EVENTS 64

struct followed;
struct hub;

/** What a follower was told. All-zero but for the stream, the generation and the seq is one that is new. */
struct follower {
	struct follower *next; /* of its session */
	struct followed *of;   /* hub.c's, as this is */
	struct hub *hub;
	http_stream *stream;
	char generation[CONVO_UUID_SIZE];
	int64_t seq;                 /* events up to this one */
	char draft[CONVO_UUID_SIZE]; /* of this event the beginning was told, or "" */
	size_t said, thought;        /* so many bytes of its text, and of its reasoning */
	uint64_t title;              /* a hash; with `held`, when `met` */
	bool met, held;
	bool absent; /* it was told that the session is gone */
	bool failed; /* and that it cannot be loaded */
	bool left;   /* nobody reads; below the hub's lock */
};

/** A session as it was loaded last, and how parts of it look. All-zero: it was not. */
struct news {
	convo_session *session; /* NULL: it could not be loaded, as `err` says */
	struct convo_err err;
	int64_t after; /* its events are those after this seq */
	bool loaded;
	struct text events[NEWS_EVENTS]; /* as they are sent; empty: not written yet */
	json_t *draft;                   /* its message; NULL: not read yet */
};

void news_clear(struct news *news);

/** What is to be done for a follower after it was told. */
enum news_next {
	NEWS_KNOWN,  /* nothing: it knows all there is */
	NEWS_MORE,   /* tell it again: more is to be loaded */
	NEWS_LATER,  /* tell it more when it has taken what waits for it */
	NEWS_FAILED, /* try again by and by */
	NEWS_LEFT    /* nobody reads */
};

/** Tell a follower, from what was loaded if that is after the seq it knows, or from what is now. */
enum news_next news_tell(struct news *news, convo_store *store, const struct convo_key *key,
			 struct follower *follower);

#endif
