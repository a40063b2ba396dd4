/*
 * The thread that keeps the sessions of running turns: it saves drafts of their answers and prolongs
 * their leases (contract R1, R2), for all turns of a runner. No turn waits for it, so a store that is
 * slow slows no answer down.
 */
#ifndef RUNNER_KEEPER_H
#define RUNNER_KEEPER_H

#include <convo/runner.h>

struct keeper;

/** A turn that holds its session. */
struct kept;

/** Make one. Begins no thread yet. */
int cv_keeper_new(struct keeper **out, convo_store *store, struct convo_err *err);

/** End its thread; no turn may be kept. NULL is fine. */
void cv_keeper_free(struct keeper *keeper);

/** What is kept; everything is borrowed until cv_kept_free(). */
struct keep {
	struct convo_key key;
	convo_lease *lease; /* held already */
	int64_t lease_ms;
	const char *id, *turn, *model;         /* of the answer's event */
	const struct convo_listener *listener; /* who hears the answer; may be NULL */
};

/**
 * Begin to keep a session: what is heard through cv_kept_listener() is saved within a second, together
 * with what came of other turns meanwhile; without that the lease is prolonged.
 *
 * @return 0, CONVO_E_NOMEM, also when there is no thread to be had
 */
int cv_kept_new(struct kept **out, struct keeper *keeper, const struct keep *keep,
		struct convo_err *err);

/** Who is to hear the answer: it passes everything on. It stops the answer when the session was taken
 * over by another one, who refuses whatever is sent from here on (R4). */
const struct convo_listener *cv_kept_listener(const struct kept *kept);

/** The answer is there: save no more. Does not wait. NULL is fine. */
void cv_kept_stop(struct kept *kept);

/** Free it; waits for a draft that is on its way, which it cancels where that takes long. NULL is fine. */
void cv_kept_free(struct kept *kept);

#endif
