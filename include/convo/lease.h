/*
 * Leases: who is answering in a session, and what has come of the answer so far.
 *
 * A turn takes the lease in the append of its question, saves drafts of the answer while that comes,
 * and ends both in the append of the answer (contract R1 to R5):
 *
 *     convo_lease_new(&lease, NULL, &err);
 *     convo_store_append(store, &key, &(struct convo_expect){
 *             .lease = lease, .hold = CONVO_HOLD_TAKE}, &question, 1, NULL, NULL, &err);
 *     convo_store_draft(store, &key, lease, &answer_so_far, NULL, &err);     // now and then
 *     convo_store_append(store, &key, &(struct convo_expect){
 *             .lease = lease, .hold = CONVO_HOLD_END}, &answer, 1, NULL, NULL, &err);
 *     convo_lease_free(lease);
 *
 * Whoever does not ask for a lease is not hindered by one. A program with many turns saves their drafts
 * by convo_store_drafts(), in one call.
 */
#ifndef CONVO_LEASE_H
#define CONVO_LEASE_H

#include <convo/call.h>
#include <convo/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One claim to hold a session: a name of its own, and the draft that was saved under it last. One
 * thread at a time. It is good for one session, and for one life of that (S5); to hold another one
 * make another one.
 */
typedef struct convo_lease convo_lease;

/** How a session is held. All-zero gives the defaults. */
struct convo_lease_options {
	int64_t ms; /**< how long it holds without a sign of its holder, 1,000 to 600,000 ms; each
	               append and draft under it begins that time anew. 0: 15,000 */
	const void *reserved[4]; /**< NULL; see version.h */
};

/**
 * Make one. Asks no store, holds nothing yet.
 *
 * @param out  set to it, the caller's to free; untouched on failure
 * @param opts NULL for the defaults
 * @return 0, CONVO_E_INVALID for a time out of range, CONVO_E_NOMEM. Thread-safe. Does not block.
 */
CONVO_API int convo_lease_new(convo_lease **out, const struct convo_lease_options *opts,
			      struct convo_err *err);

/** Free one. What it holds it holds until its time is over. NULL is fine. */
CONVO_API void convo_lease_free(convo_lease *lease);

/** What an append does with the lease in convo_expect. */
enum convo_hold {
	CONVO_HOLD_NONE = 0, /**< nothing */
	/**
	 * Take it: CONVO_E_BUSY while another one holds the session, with the time that is left in
	 * convo_err.busy_ms, and nothing is stored (R1). What a holder that is gone has left of an
	 * answer is stored first (R5). Taking what one holds already prolongs it.
	 */
	CONVO_HOLD_TAKE,
	/** The same, but wait while another one holds it, for as long as the call may take. */
	CONVO_HOLD_WAIT,
	/** The same, but take it from whoever holds it, who is refused from then on (R4). */
	CONVO_HOLD_FORCE,
	/** It must be held, or CONVO_E_CONFLICT (R4); it is prolonged. */
	CONVO_HOLD_KEEP,
	/** It must be held, or CONVO_E_CONFLICT; it ends, and its draft is removed (R3). */
	CONVO_HOLD_END
};

/** Largest draft, in bytes of its message (R2). */
#define CONVO_MAX_DRAFT (3u << 20)

#ifdef __cplusplus
}
#endif

#endif
