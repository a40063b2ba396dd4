/*
 * Stores: conversations kept by one backend, under one contract (docs/contract.md).
 *
 * The letter and number in parentheses after a promise is its rule in that page. Wherever `call` is
 * a parameter it bounds this one call, NULL leaving it to the store's own timeout; "the timeout" is
 * the one that counts. A handle, key or out pointer of NULL is CONVO_E_INVALID unless the function
 * says something else of it. Every failure sets the whole of `err` (err.h).
 */
#ifndef CONVO_STORE_H
#define CONVO_STORE_H

#include <convo/call.h>
#include <convo/lease.h>
#include <convo/session.h>
#include <convo/text.h>
#include <convo/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Conversations kept by one backend. Thread-safe: open one and share it freely. After fork() only
 * the parent may go on using it.
 */
typedef struct convo_store convo_store;

/**
 * How a store is used. All-zero gives the defaults; CONVO_OFF turns off what says so. Durations
 * are bounded by CONVO_MAX_DURATION. What is out of range is CONVO_E_INVALID, by name.
 */
struct convo_store_options {
	int64_t timeout_ms;        /**< longest any call may take (L2); 0: 5000 */
	int64_t ttl_ms;            /**< forget sessions this long after their last write (T2); 0 or
	                          CONVO_OFF: never */
	int64_t event_limit;       /**< newest events kept per session (A5), up to a billion; 0 or
	                          CONVO_OFF: no limit */
	int64_t trash_ms;          /**< how long a deleted session can be restored (S4); 0: 7 days;
	                          CONVO_OFF: it is gone at once */
	int64_t clean_interval_ms; /**< between cleanings (T4); 0: 5 min; CONVO_OFF: only when
	                                convo_store_clean() is called */
	int max_connections;       /**< to a server (L4); 0: 8 */
	const char *prefix; /**< of tables ("convo_") or keys ("convo"), 1 to 32 of [A-Za-z0-9_];
	                         NULL: that default. Borrowed for the call */
	bool check_schema;  /**< never run DDL: a schema that is missing or old is an error (L1) */
	convo_cancel *cancel; /**< stops the opening; NULL: nothing does */
	/** Hears each call as it ends (trace.h); copied. NULL: nobody does, which costs nothing. */
	const struct convo_trace *trace;
	const void *reserved[7]; /**< NULL; see version.h */
};

/**
 * Open a store, and make its database ready: schema, indexes, migrations (L1).
 *
 * `url` selects the backend by its scheme and says where the data is:
 *
 *     memory:                       gone when it is closed
 *     sqlite:///abs/path.db         or sqlite:relative/path.db
 *     redis://user:pass@host:6379/0 rediss:// with TLS
 *     redis+cluster://a:7000,b:7000 redis+sentinel://a,b,c/name
 *     postgres://user:pass@host:5432/database
 *     mysql://user:pass@host:3306/database
 *
 * Where hosts follow each other's lead, name several: postgres://a,b/database, mysql://a,b/database.
 *
 * Every option can also stand in the URL, which then wins: `?ttl=24h&limit=100&timeout=5s&
 * trash=7d&clean=5m&pool=8&prefix=convo_&schema=check`, `off` where CONVO_OFF may stand. What else
 * a URL may say is on the backend's page in docs/backends/; anything more, and anything twice, is
 * refused. Names and passwords are percent-decoded.
 *
 * @param out  set to the store, the caller's to close; untouched on failure
 * @param url  NUL-terminated
 * @param opts NULL for the defaults
 * @return 0, CONVO_E_INVALID for a URL or option that makes no sense, CONVO_E_UNSUPPORTED for a
 *         backend that is unknown or not in this build, CONVO_E_VERSION for data of a newer convo
 *         or not of convo, CONVO_E_DENIED, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout. Unless cleaning is off, the store runs one thread
 * that sleeps between cleanings, with all signals blocked.
 */
CONVO_API int convo_store_open(convo_store **out, const char *url,
			       const struct convo_store_options *opts, struct convo_err *err);

/**
 * Close a store. No call on it may be running or follow; sessions that were loaded stay valid.
 * NULL is fine. Blocks for at most the timeout.
 */
CONVO_API void convo_store_close(convo_store *store);

/**
 * Where the store is, for a person: "PostgreSQL (localhost:5432/chat)". Lives as long as it. NULL:
 * "no store".
 */
CONVO_API const char *convo_store_describe(const convo_store *store);

/**
 * The SQL that makes an empty database ready, for an administrator to run (L1).
 *
 * @param out    set to the text, the caller's to convo_free()
 * @param scheme "sqlite", "postgres" or "mysql"
 * @param prefix of the tables; NULL: "convo_"
 * @return 0, CONVO_E_UNSUPPORTED when the backend is unknown, not in this build or has no schema,
 *         CONVO_E_INVALID for a bad prefix, CONVO_E_NOMEM
 *
 * Thread-safe. Does not block.
 */
CONVO_API int convo_store_schema(char **out, const char *scheme, const char *prefix,
				 struct convo_err *err);

/* ---- sessions ------------------------------------------------------------------------- */

/** What a new session begins with. All-zero is valid. */
struct convo_create {
	const char *title;              /**< up to 255 bytes; NULL: none */
	const struct convo_item *state; /**< names as in a delta (A6) */
	size_t state_count;
	const void *reserved[4]; /**< NULL; see version.h */
};

/** What a creation made. The caller's; needs no cleanup. */
struct convo_created {
	char session[CONVO_MAX_NAME + 1]; /**< the id, generated or as given */
	char generation[CONVO_UUID_SIZE];
	int64_t reserved[4]; /**< 0; see version.h */
};

/**
 * Create an empty session. Of any number of racing creators exactly one wins (S1). Nothing of an
 * earlier life of the name shows in it (S5).
 *
 * @param key    names it; a session of NULL or "" asks for a generated id
 * @param create NULL for an empty one
 * @param out    receives id and generation; may be NULL
 * @return 0, CONVO_E_EXISTS, CONVO_E_INVALID, CONVO_E_TOOBIG, CONVO_E_IO, CONVO_E_TIMEOUT,
 *         CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_create(convo_store *store, const struct convo_key *key,
				 const struct convo_create *create, struct convo_created *out,
				 const struct convo_call *call, struct convo_err *err);

/** Kinds of windows. */
enum convo_window_kind {
	CONVO_WINDOW_LAST = 0, /**< the newest n */
	CONVO_WINDOW_AFTER,    /**< those after `seq`, oldest first, at most n */
	CONVO_WINDOW_BEFORE,   /**< the n just before `seq` */
	CONVO_WINDOW_AROUND,   /**< n around the event `id`: it, (n-1)/2 after it, the rest before
	                            it; less where the session ends */
	CONVO_WINDOW_NONE      /**< no events: meta and state alone */
};

/** What else to load, in convo_window.with. */
enum convo_window_with {
	CONVO_WITH_DRAFT = 1 /**< the draft, if there is one: convo_session_draft() (R2) */
};

/** Which events to load (S2). All-zero, like NULL, is every one the session shows. */
struct convo_window {
	enum convo_window_kind kind;
	size_t n;                /**< most events; 0: no bound */
	int64_t seq;             /**< for AFTER and BEFORE */
	const char *id;          /**< for AROUND; CONVO_E_NOTFOUND when it is not in the session */
	unsigned with;           /**< enum convo_window_with, or-ed */
	const void *reserved[3]; /**< NULL; see version.h */
};

/**
 * Load one consistent view of a session: meta, merged state, and a window of its events. Costs in
 * proportion to the window, never to the session (S2).
 *
 * @param out    set to the copy, the caller's to convo_session_free(); untouched on failure
 * @param window NULL for all events
 * @return 0, CONVO_E_NOTFOUND, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_load(convo_session **out, convo_store *store, const struct convo_key *key,
			       const struct convo_window *window, const struct convo_call *call,
			       struct convo_err *err);

/**
 * Give a session a title. This is a write: it counts as activity.
 *
 * @param title up to 255 bytes of UTF-8 without control characters; NULL or "" removes it
 * @return 0, CONVO_E_NOTFOUND, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_rename(convo_store *store, const struct convo_key *key, const char *title,
				 const struct convo_call *call, struct convo_err *err);

/** Which part of a session to fork, and into what. */
struct convo_fork {
	const char *session; /**< the id of the new one; NULL or "" asks for a generated one */
	int64_t upto_seq;    /**< the last event it takes over; 0, or one beyond the last: all */
	const void *reserved[4]; /**< NULL; see version.h */
};

/**
 * Make a new session of the same app and user out of another one: its title, its session state as it
 * is now, and its events up to and including a seq, with their seqs, ids, times and turns (S6). It
 * goes on with the next seq. It is there whole or not at all; the source is not touched. The limit of
 * events and the TTL are those of this store. Done where the data is: contents do not travel.
 *
 * @param key  the source
 * @param fork NULL for all of it under a generated id
 * @param out  receives id and generation of the new one; may be NULL
 * @return 0, CONVO_E_NOTFOUND for the source, CONVO_E_EXISTS for the new one, CONVO_E_INVALID,
 *         CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_fork(convo_store *store, const struct convo_key *key,
			       const struct convo_fork *fork, struct convo_created *out,
			       const struct convo_call *call, struct convo_err *err);

/* ---- lists ---------------------------------------------------------------------------- */

/**
 * A walk over the sessions of one user, newest activity first; or of many. It remembers what it
 * returned (16 bytes a session), so that sessions which move to the front while it walks are
 * returned once and none is missed (S3). One thread at a time.
 */
typedef struct convo_cursor convo_cursor;

enum convo_list_what {
	CONVO_LIST_LIVE = 0, /**< sessions; newest activity first */
	CONVO_LIST_TRASH     /**< deleted ones that can be restored; last deleted first */
};

/**
 * Begin a walk. Asks no server.
 *
 * @param app, user whose; copied. A user of NULL: of all users of the app, one after the other; an
 *             app of NULL too: of the whole store (E1)
 * @param out set to the cursor, the caller's to free
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
CONVO_API int convo_cursor_new(convo_cursor **out, const char *app, const char *user,
			       enum convo_list_what what, struct convo_err *err);

/** Free a cursor and the metas read through it. NULL is fine. */
CONVO_API void convo_cursor_free(convo_cursor *cursor);

/**
 * The next page of a walk. Every session that existed throughout the walk is returned exactly
 * once, whatever others write meanwhile and whatever their clocks say; one created meanwhile may
 * or may not be (S3). Costs in proportion to what the walk returns: one of several pages reads the
 * list a second time, as a whole, when it comes to its end. After a failure the same page can be
 * asked for again.
 *
 * @param cursor where the walk is; moved on by success alone
 * @param n      most sessions of this page, 1 to 1000
 * @param count  set to how many it has, untouched on failure; 0 only when the walk is over.
 *               convo_cursor_meta() gives them. NULL: ask that for them
 * @return 0, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * The store is thread-safe, the cursor is not. Blocks for at most the timeout.
 */
CONVO_API int convo_store_list(convo_store *store, convo_cursor *cursor, size_t n, size_t *count,
			       const struct convo_call *call, struct convo_err *err);

/**
 * A session of the page that convo_store_list() read last.
 *
 * @param i counts from 0, in the order of the list
 * @return valid until the cursor's next call or its end; NULL past the last
 */
CONVO_API const struct convo_meta *convo_cursor_meta(const convo_cursor *cursor, size_t i);

/**
 * Whose sessions the page has that convo_store_list() read last: a page of a walk over several users
 * has those of one.
 *
 * @return app and user, without a session; valid until the cursor's next call or its end; NULL
 *         before the first page and after the last
 */
CONVO_API const struct convo_key *convo_cursor_owner(const convo_cursor *cursor);

/* ---- reading event by event ------------------------------------------------------------- */

/**
 * Reads the events of a window one after the other, however many there are, and holds some dozens
 * of them at a time. One thread at a time.
 */
typedef struct convo_reader convo_reader;

/**
 * Begin to read. Asks no server.
 *
 * @param out    set to the reader, the caller's to free
 * @param key    whose events; copied
 * @param window which events, as for convo_store_load(); copied; NULL: all
 * @return 0, CONVO_E_INVALID, CONVO_E_NOMEM
 */
CONVO_API int convo_reader_new(convo_reader **out, const struct convo_key *key,
			       const struct convo_window *window, struct convo_err *err);

/** Free a reader and the event read last. NULL is fine. */
CONVO_API void convo_reader_free(convo_reader *reader);

/**
 * The next event of the window, oldest first. The first call fixes which ones these are: what is
 * appended meanwhile does not show, what an event limit has removed meanwhile is passed over, and
 * a session that was deleted or created again meanwhile ends the reading with CONVO_E_NOTFOUND.
 * After another failure the same event can be asked for again.
 *
 * @param event set to it, valid until the reader's next call or its end; NULL after the last
 * @return 0, CONVO_E_NOTFOUND, or as convo_store_load()
 *
 * The store is thread-safe, the reader is not. Blocks for at most the timeout.
 */
CONVO_API int convo_store_read(const struct convo_event **event, convo_store *store,
			       convo_reader *reader, const struct convo_call *call,
			       struct convo_err *err);

/** What was known of the session when the first event was read; NULL before. */
CONVO_API const struct convo_meta *convo_reader_meta(const convo_reader *reader);

/* ---- trash ---------------------------------------------------------------------------- */

/**
 * Delete a session: hidden at once, kept in the trash for the store's trash time (S4). Deleting
 * what is absent succeeds.
 *
 * @return 0, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT. Thread-safe; blocks for at most the
 *         timeout.
 */
CONVO_API int convo_store_delete(convo_store *store, const struct convo_key *key,
				 const struct convo_call *call, struct convo_err *err);

/**
 * Bring a session back from the trash as it was. Its lifetime goes on where deletion stopped it,
 * or starts anew when this store has a TTL.
 *
 * @param generation which life of the name; NULL: the one deleted last
 * @return 0, CONVO_E_NOTFOUND when the trash has none, CONVO_E_EXISTS when the name lives again,
 *         CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_restore(convo_store *store, const struct convo_key *key,
				  const char *generation, const struct convo_call *call,
				  struct convo_err *err);

/**
 * Remove a session from the trash for good. Purging what is absent succeeds. A live session of the
 * name is not touched.
 *
 * @param generation which life of the name; NULL: every one in the trash
 * @return 0, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT. Thread-safe; blocks for at most the
 *         timeout.
 */
CONVO_API int convo_store_purge(convo_store *store, const struct convo_key *key,
				const char *generation, const struct convo_call *call,
				struct convo_err *err);

/* ---- appending ------------------------------------------------------------------------ */

/** What the writer believes of the session (A3). */
struct convo_expect {
	const char *generation;  /**< NULL: any */
	bool check_seq;          /**< whether `after_seq` counts */
	int64_t after_seq;       /**< the last seq the writer has seen; 0: no event yet. What this
	                              append itself stores first (R5) does not count */
	convo_lease *lease;      /**< NULL: the append has nothing to do with one (lease.h) */
	enum convo_hold hold;    /**< what it does with that; NONE without one */
	const void *reserved[4]; /**< NULL; see version.h */
};

/**
 * Append events to a session, all of them or none, numbered after the last one without gaps (A1),
 * with their state deltas in the same atomic step (A6).
 *
 * An event whose id the session already holds is not stored again and gets the seq it has: a
 * retry is always safe (A2). If every event is already there, the call succeeds whatever `expect`
 * says of the seq. When this returns 0 the events are as durable as the backend's page says (A7).
 *
 * @param key    names a living session
 * @param expect NULL: append last, whatever others did
 * @param events `count` events, oldest first; borrowed for the call, and never changed
 * @param count  1 to CONVO_MAX_BATCH_EVENTS; with a lease also 0: then it only does with that what
 *               `expect` says, and the session does not count as written to
 * @param seqs   receives `count` numbers in the order of the events; may be NULL; untouched on
 *               failure
 * @return 0; CONVO_E_NOTFOUND: no such session, nothing stored (A4); CONVO_E_CONFLICT: it has
 *         moved on, or the lease is no longer held (R4), nothing stored, err->last_seq tells where
 *         to (A3); CONVO_E_BUSY: another one holds it, nothing stored (R1); CONVO_E_INVALID,
 *         CONVO_E_TOOBIG: nothing was sent; CONVO_E_IO, CONVO_E_TIMEOUT: see err->maybe (A8);
 *         CONVO_E_NOMEM
 *
 * To make a retry after CONVO_E_TIMEOUT or CONVO_E_IO safe give the events ids of your own
 * (convo_uuid_make()).
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_append(convo_store *store, const struct convo_key *key,
				 const struct convo_expect *expect,
				 const struct convo_event *events, size_t count, int64_t *seqs,
				 const struct convo_call *call, struct convo_err *err);

/**
 * Save what there is of an answer, under the lease of its turn, which it prolongs (R2): it takes the
 * place of the draft before, takes no seq, and is no write that counts as activity. It is kept, when
 * its holder is gone, until somebody stores it as an event (R5). A crash of the server may cost the
 * drafts of its last second.
 *
 * What the message has in common with the draft before, from its front, is not sent again.
 *
 * @param lease taken by an append to this session
 * @param event the answer so far: `id`, the one that its event will have; `message`, a whole JSON
 *              text of up to CONVO_MAX_DRAFT bytes; `author`, `turn`, `model` and `extra` if wanted;
 *              the others NULL, the status 0. Borrowed
 * @return 0; CONVO_E_CONFLICT: the lease is no longer held, nothing is stored (R4);
 *         CONVO_E_NOTFOUND; CONVO_E_TOOBIG; CONVO_E_INVALID; CONVO_E_IO, CONVO_E_TIMEOUT;
 *         CONVO_E_NOMEM
 *
 * The store is thread-safe, the lease is not. Blocks for at most the timeout.
 */
CONVO_API int convo_store_draft(convo_store *store, const struct convo_key *key, convo_lease *lease,
				const struct convo_event *event, const struct convo_call *call,
				struct convo_err *err);

/** One of several drafts that are saved together. */
struct convo_draft {
	const struct convo_key *key;     /**< of its session */
	convo_lease *lease;              /**< as for convo_store_draft() */
	const struct convo_event *event; /**< the same; NULL: there is nothing new, and the lease
	                                      is prolonged alone */
	int code;                        /**< set: what convo_store_draft() would have returned */
	const void *reserved[2];         /**< NULL; see version.h */
};

/**
 * Save the drafts of several turns, of any sessions: each as convo_store_draft() does, whatever becomes
 * of the others. The store gets up to 250 of them, with 1 MiB that is new, at once: as one statement,
 * transaction or flight, which costs a small part of what so many calls do.
 *
 * @param drafts as many as `count`, 0 to 1,000; no lease twice. Borrowed, but for the `code` of each,
 *               which is set
 * @return 0 when all were saved; else the code of the first that was not, of which `err` tells
 *
 * The store is thread-safe, a lease is not. Blocks for at most the timeout.
 */
CONVO_API int convo_store_drafts(convo_store *store, struct convo_draft *drafts, size_t count,
				 const struct convo_call *call, struct convo_err *err);

/**
 * Store what is left of an answer whose writer is gone: the draft becomes an event of the status
 * interrupted, under its id, and of any number who try one succeeds (R5). Whoever takes the lease
 * does so first by itself; this is for who does not want it.
 *
 * @param seq set to the event's seq, or to 0 when nothing was left; may be NULL
 * @return 0, CONVO_E_BUSY while its writer may live, CONVO_E_NOTFOUND, CONVO_E_INVALID, CONVO_E_IO,
 *         CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_settle(convo_store *store, const struct convo_key *key, int64_t *seq,
				 const struct convo_call *call, struct convo_err *err);

/* ---- state (T1) ----------------------------------------------------------------------- */

/** Names and values read by convo_store_state_list(). Immutable. */
typedef struct convo_state convo_state;

enum convo_scope {
	CONVO_SCOPE_SESSION = 1, /**< plain names */
	CONVO_SCOPE_USER = 2,    /**< `user:` names, shared by the sessions of (app, user) */
	CONVO_SCOPE_APP = 4      /**< `app:` names, shared by all users of the app */
};

/**
 * Read one name. Its prefix says in which scope: the key's `session` may be NULL for `user:` and
 * `app:` names, its `user` for `app:` names.
 *
 * @param out set to the JSON text of the value, the caller's to convo_free(); untouched on failure
 * @return 0, CONVO_E_NOTFOUND when the name is not set or the session is absent,
 *         CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_state_get(char **out, convo_store *store, const struct convo_key *key,
				    const char *name, const struct convo_call *call,
				    struct convo_err *err);

/**
 * Set or remove several names in one atomic step, in one or more scopes. Names are as in an
 * event's delta (A6). Counts as a write of the session if a plain name is among them.
 *
 * @param items `count` names, no name twice; a json of NULL or "null" removes the name
 * @return 0, CONVO_E_NOTFOUND when the session is needed and absent, CONVO_E_TOOBIG when a value
 *         or a scope would pass its limit (N3), CONVO_E_INVALID, CONVO_E_IO, CONVO_E_TIMEOUT,
 *         CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_state_set(convo_store *store, const struct convo_key *key,
				    const struct convo_item *items, size_t count,
				    const struct convo_call *call, struct convo_err *err);

/** Remove one name; an absent one is a success. Otherwise as convo_store_state_set(). */
CONVO_API int convo_store_state_delete(convo_store *store, const struct convo_key *key,
				       const char *name, const struct convo_call *call,
				       struct convo_err *err);

/**
 * Read all names of some scopes.
 *
 * @param out    set to the list, the caller's to convo_state_free(); untouched on failure
 * @param scopes CONVO_SCOPE_ values or-ed together; the key names what they need
 * @return 0, CONVO_E_NOTFOUND when the session is needed and absent, CONVO_E_INVALID,
 *         CONVO_E_IO, CONVO_E_TIMEOUT, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_state_list(convo_state **out, convo_store *store,
				     const struct convo_key *key, unsigned scopes,
				     const struct convo_call *call, struct convo_err *err);

/** How many names the list holds; 0 for NULL. Thread-safe. */
CONVO_API size_t convo_state_count(const convo_state *state);

/** A name of the list, sorted by their bytes, i from 0; lives as long as it. NULL past the last. */
CONVO_API const struct convo_item *convo_state_at(const convo_state *state, size_t i);

/** Free a list and everything read from it. NULL is fine. */
CONVO_API void convo_state_free(convo_state *state);

/* ---- figures -------------------------------------------------------------------------- */

/** What there is in a store (E2). The caller's; needs no cleanup. */
struct convo_stats {
	int64_t sessions;    /**< that live */
	int64_t active_hour; /**< of them, written to in the last hour */
	int64_t active_day;  /**< in the last 24 hours */
	int64_t active_week; /**< in the last 7 days */
	int64_t trash;       /**< sessions in the trash */
	int64_t events;      /**< of the living ones, as far as they show */
	int64_t bytes;       /**< of the messages of these events, as they are stored */
	int64_t users;       /**< who have a living session */
	bool partial;        /**< time was up: more than that */
	int64_t reserved[6]; /**< 0; see version.h */
};

/**
 * Count, in the whole store, an app, or of one user (E2). It walks over all sessions, in small
 * steps; when the time is up it tells what it has so far, and that it is not all.
 *
 * @param app, user a user of NULL: all users of the app; an app of NULL too: the whole store
 * @param out       receives the figures; untouched on failure
 * @return 0, CONVO_E_INVALID, CONVO_E_IO, CONVO_E_CANCELED, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_stats(convo_store *store, const char *app, const char *user,
				struct convo_stats *out, const struct convo_call *call,
				struct convo_err *err);

/* ---- cleaning ------------------------------------------------------------------------- */

/**
 * Remove expired sessions and old trash now, in bounded steps that do not block writers for longer
 * than one step (T4). Several processes cleaning at once do no harm. The store also does this by
 * itself at its cleaning interval.
 *
 * @param removed receives how many sessions are gone for good; may be NULL
 * @return 0 when nothing is left to clean, CONVO_E_TIMEOUT when the timeout ended the work early
 *         (call again to go on), CONVO_E_IO, CONVO_E_NOMEM
 *
 * Thread-safe. Blocks for at most the timeout.
 */
CONVO_API int convo_store_clean(convo_store *store, int64_t *removed, const struct convo_call *call,
				struct convo_err *err);

#ifdef __cplusplus
}
#endif

#endif
