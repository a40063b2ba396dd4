/*
 * Watching sessions: to learn that something happened to one, whoever did it (contract W1 to W3).
 */
#ifndef CONVO_WATCH_H
#define CONVO_WATCH_H

#include <convo/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A set of sessions that are watched, and those among them of which there is news. Thread-safe, but
 * for its end. All watches of a store share one thread and, where the engine tells, one connection
 * beside the pool's; without any there is neither (W2).
 */
typedef struct convo_watch convo_watch;

/**
 * Make one, of no session yet. Asks no server.
 *
 * @param out   set to it, the caller's to free before the store is closed; untouched on failure
 * @param store the store whose sessions it watches; borrowed
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM (also when there is no thread to be had)
 */
CONVO_API int convo_watch_new(convo_watch **out, convo_store *store, struct convo_err *err);

/** Free one; nothing may be using it. NULL is fine. Waits for nothing. */
CONVO_API void convo_watch_free(convo_watch *watch);

/**
 * Watch a session more; it need not exist. There is news of it at once, since nobody knows what
 * happened before: so whoever loads after each news, from the seq it knows on, misses nothing. A
 * session that is watched already takes the new tag.
 *
 * @param key copied
 * @param tag given back with each news; may be NULL
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM. Thread-safe. Does not block.
 */
CONVO_API int convo_watch_add(convo_watch *watch, const struct convo_key *key, void *tag,
			      struct convo_err *err);

/** Watch it no more; there is no further news of it once this returns. One that is not watched:
 * nothing. Thread-safe. Does not block. */
CONVO_API void convo_watch_remove(convo_watch *watch, const struct convo_key *key);

/**
 * Wait for news: new events, another title or state, a draft, a lease that was taken or has ended,
 * the session's end or its new beginning. It tells *that* there is something, not what, and may tell
 * it when there is nothing: load, after the seq that is known. News that comes while nobody waits is
 * kept, once for each session, and the first comes first.
 *
 * What another process does is told within some 50 ms where the engine tells, within 300 ms where it
 * has to be asked (W1). After a lost connection there is news of every session (W3).
 *
 * @param key    set to the session, lives as long as it is watched; may be NULL
 * @param tag    set to what convo_watch_add() was given; may be NULL
 * @param call   how long to wait: its timeout, 0 being for ever; NULL: for ever
 * @return 0, CONVO_E_TIMEOUT when there was none, CONVO_E_CANCELED, CONVO_E_INVALID
 *
 * Thread-safe: of several that wait each gets the news of another session.
 */
CONVO_API int convo_watch_next(convo_watch *watch, struct convo_key *key, void **tag,
			       const struct convo_call *call, struct convo_err *err);

#ifdef __cplusplus
}
#endif

#endif
