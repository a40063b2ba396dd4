/*
 * A loaded session: an immutable copy of what the store held at one moment.
 */
#ifndef CONVO_SESSION_H
#define CONVO_SESSION_H

#include <convo/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A session as loaded. Immutable: many threads may read one at once. */
typedef struct convo_session convo_session;

/** Names a session. Borrowed NUL-terminated strings of 1 to 255 bytes each (contract N1). */
struct convo_key {
	const char *app, *user, *session;
};

/** What is known of a session without its events. Strings belong to what it was read from. */
struct convo_meta {
	const char *session;    /**< its id */
	const char *title;      /**< "" when it has none */
	const char *generation; /**< a UUID made at creation: another life of the same name has
	                             another one (S5) */
	int64_t created_ms;     /**< Unix time in ms, like the others */
	int64_t updated_ms;     /**< of the last write */
	int64_t expires_ms;     /**< 0: never */
	int64_t deleted_ms;     /**< when it went to the trash; 0: it lives */
	int64_t count;          /**< how many events it shows (A5) */
	int64_t last_seq;       /**< of the newest event ever appended; 0: none yet */
	int64_t held_ms;        /**< how much longer a turn holds it without a further sign of life
	                             (R1); 0: nobody does */
	/** Of what it is a fork (S6): id, generation, and the seq up to which; "", "", 0: of none. */
	const char *fork_session, *fork_generation;
	int64_t fork_seq;
};

/** One name of a session's state. */
struct convo_item {
	const char *name; /**< as in a delta: "cart", "user:lang", "app:motd" */
	const char *json; /**< its value; passed in, NULL or "null" removes the name */
	size_t json_len;  /**< bytes; passed in, 0 means strlen(json) */
};

/*
 * The functions below take a session that convo_store_load() has made; for NULL there is nothing:
 * a count of 0, a pointer of NULL.
 */

/** What is known of the session. Lives as long as it. Thread-safe. */
CONVO_API const struct convo_meta *convo_session_meta(const convo_session *session);

/** How many events the window that was loaded holds. Thread-safe. */
CONVO_API size_t convo_session_count(const convo_session *session);

/**
 * An event of the window that was loaded, in the order of their seq.
 *
 * @param i counts from 0
 * @return lives as long as the session; NULL past the last. Thread-safe.
 */
CONVO_API const struct convo_event *convo_session_event(const convo_session *session, size_t i);

/**
 * What there is of an answer that is being given, or whose writer is gone (R2, R5): the draft as it
 * was saved last, with the id that its event will have, a seq of 0 and the status of an interrupted
 * one. NULL when there is none, or convo_window.with did not ask for it. Lives as long as the
 * session. Thread-safe.
 */
CONVO_API const struct convo_event *convo_session_draft(const convo_session *session);

/** How many names the state of the three scopes holds, merged. Thread-safe. */
CONVO_API size_t convo_session_state_count(const convo_session *session);

/**
 * A name of the merged state. They are sorted by their bytes: `app:` and `user:` names stand among
 * the plain ones.
 *
 * @param i counts from 0
 * @return lives as long as the session; NULL past the last. Thread-safe.
 */
CONVO_API const struct convo_item *convo_session_state_at(const convo_session *session, size_t i);

/** The value of one name, or NULL when it is not set. Lives as long as the session. */
CONVO_API const struct convo_item *convo_session_state_get(const convo_session *session,
							   const char *name);

/** Free a session and everything read from it. NULL is fine. */
CONVO_API void convo_session_free(convo_session *session);

#ifdef __cplusplus
}
#endif

#endif
