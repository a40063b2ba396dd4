/*
 * Leases: see convo/lease.h. What a lease holds is decided where the session is; here are what its
 * holder knows of it, and the steps that are more than one call of a backend. Saving drafts is
 * draft.c's.
 */
#include <store/front/lease.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <store/front/call.h>
#include <store/front/hub.h>
#include <store/front/prepare.h>
#include <store/front/session.h>

#define LEASE_MS 15000
#define LEASE_LEAST_MS 1000
#define LEASE_MOST_MS 600000

/* Pauses of one who waits for a lease: from the first to the last. */
#define WAIT_FIRST_US 10000
#define WAIT_MOST_US 100000

int convo_lease_new(convo_lease **out, const struct convo_lease_options *opts,
		    struct convo_err *err)
{
	static const struct convo_lease_options defaults;
	int64_t ms;
	convo_lease *lease;
	int rc = cv_check_given(out, "where the lease goes", err);

	if (rc < 0)
		return rc;
	if (!opts)
		opts = &defaults;
	rc = CHECK_RESERVED(opts, err);
	if (rc < 0)
		return rc;
	ms = opts->ms ? opts->ms : LEASE_MS;
	if (ms < LEASE_LEAST_MS || ms > LEASE_MOST_MS)
		return cv_fail(err, CONVO_E_INVALID, "a lease holds for %d to %d ms",
			       LEASE_LEAST_MS, LEASE_MOST_MS);
	lease = cv_alloc(1, sizeof(*lease));
	if (!lease)
		return cv_fail_nomem(err);
	cv_uuid_random(lease->id);
	lease->us = ms * 1000;
	*out = lease;
	return 0;
}

void convo_lease_free(convo_lease *lease)
{
	if (!lease)
		return;
	cv_buf_clear(&lease->head);
	cv_buf_clear(&lease->message);
	free(lease);
}

int cv_lease_hold(struct store_hold *out, const struct convo_expect *expect, struct convo_err *err)
{
	const struct convo_lease *lease = expect->lease;

	if ((unsigned)expect->hold > CONVO_HOLD_END)
		return cv_fail(err, CONVO_E_INVALID, "what to do with the lease is unknown");
	if (!lease != (expect->hold == CONVO_HOLD_NONE))
		return cv_fail(err, CONVO_E_INVALID, "a lease and what to do with it go together");
	if (!lease)
		return 0;
	*out = (struct store_hold){.what = expect->hold, .us = lease->us};
	if (expect->hold == CONVO_HOLD_WAIT)
		out->what = CONVO_HOLD_TAKE;
	memcpy(out->lease, lease->id, UUID_BYTES);
	return 0;
}

/* ---- drafts that are left --------------------------------------------------------------- */

/* Store the draft of a session as an event, if it still is the one there. @return as append */
static int settle_store(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct convo_event *draft,
			struct store_hold *hold, int64_t *seq, struct convo_err *err)
{
	struct prepared_append prepared = {0};
	struct convo_event event = *draft;
	int rc;

	event.error = "its writer was gone";
	event.role = NULL;
	hold->settles = true;
	hold->draft_len = (int64_t)draft->message_len;
	if (!cv_uuid_parse(hold->draft, draft->id))
		return cv_fail(err, CONVO_E_IO, "the id of a draft is damaged");
	rc = cv_prepare_append(&prepared, &event, 1, err);
	if (rc >= 0) {
		prepared.append.hold = hold;
		rc = store->be->append(store, call, key, &prepared.append, err);
	} else if (rc == CONVO_E_INVALID) {
		rc = cv_fail(err, CONVO_E_IO, "a draft is damaged: what it holds is no event");
	}
	if (rc == 0)
		*seq = prepared.events[0].seq;
	cv_prepare_clear(&prepared);
	return rc;
}

/*
 * Store the draft that is there, if there is one; others may do the same or save the next one, so
 * again as long as it is not the one that was loaded.
 */
static int settle_draft(struct convo_store *store, const struct store_call *call,
			const struct convo_key *key, const struct store_hold *how, int64_t *seq,
			struct convo_err *err)
{
	const struct store_window window = {
		.kind = CONVO_WINDOW_NONE, .n = STORE_SEQ_MAX, .draft = true};
	convo_session *session = cv_alloc(1, sizeof(*session));
	int rc = STORE_IN_THE_WAY;

	*seq = 0;
	if (!session)
		return cv_fail_nomem(err);
	while (rc == STORE_IN_THE_WAY) {
		struct store_hold hold = *how;

		if (cv_clock_mono_us() >= call->deadline_us) {
			rc = cv_fail(err, CONVO_E_TIMEOUT, "others write in session '%s'",
				     key->session);
			break;
		}
		rc = store->be->load(store, call, key, &window, session, err);
		if (rc < 0 || !session->draft.message)
			break;
		rc = settle_store(store, call, key, &session->draft, &hold, seq, err);
	}
	convo_session_free(session);
	return rc;
}

int convo_store_settle(convo_store *store, const struct convo_key *key, int64_t *seq,
		       const struct convo_call *how, struct convo_err *err)
{
	struct store_hold hold = {.what = CONVO_HOLD_TAKE};
	struct store_call call;
	int64_t got = 0;
	int rc = cv_call_begin(&call, store, how, err);

	if (rc < 0)
		return rc;
	rc = cv_prepare_key(key, CONVO_SCOPE_SESSION, err);
	if (rc < 0)
		return rc;
	cv_uuid_random(hold.lease);
	rc = settle_draft(store, &call, key, &hold, &got, err);
	if (rc < 0)
		return rc;
	if (got)
		cv_hub_told(store, key);
	if (seq)
		*seq = got;
	return 0;
}

/* ---- appending -------------------------------------------------------------------------- */

/* Sleep, for less where the call ends before. @return false when it has ended */
static bool wait_pause(const struct store_call *call, int64_t us)
{
	int64_t left_us = call->deadline_us - cv_clock_mono_us();
	struct pollfd fd = {.fd = convo_cancel_fd(call->cancel), .events = POLLIN};

	if (left_us <= 0)
		return false;
	poll(&fd, 1, (int)((us < left_us ? us : left_us) / 1000) + 1);
	return cv_clock_mono_us() < call->deadline_us && !convo_cancel_requested(call->cancel);
}

/*
 * Whether what the append expects of the seq is so (A3), before anything is done for it: 0 or
 * CONVO_E_CONFLICT. What stands in the way stands also in the way of asking that, so it is asked
 * without the lease, in a way that stores nothing.
 */
static int append_expected(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *key, const struct store_append *append,
			   struct convo_err *err)
{
	struct store_append question = *append;
	struct convo_err why = {0};
	int rc;

	if (!append->check_seq || !append->count)
		return 0;
	question.hold = NULL;
	/* So it is refused, unless all of it is stored already (A2). */
	question.after_seq = STORE_SEQ_MAX;
	rc = store->be->append(store, call, key, &question, &why);
	if (rc == CONVO_E_CONFLICT && why.last_seq == append->after_seq)
		return 0;
	if (rc < 0 && err)
		*err = why;
	return rc;
}

/* Store what is in the way, in nobody's name: an append that is refused after all takes no lease. */
static int append_settle(struct convo_store *store, const struct store_call *call,
			 const struct convo_key *key, struct store_append *append,
			 struct convo_err *err)
{
	struct store_hold hold = {.what = append->hold->what};
	int64_t seq;
	int rc = append_expected(store, call, key, append, err);

	if (rc < 0)
		return rc;
	cv_uuid_random(hold.lease);
	rc = settle_draft(store, call, key, &hold, &seq, err);
	if (rc >= 0 && append->check_seq && seq == append->after_seq + 1)
		append->after_seq = seq; /* the session has not moved on by that */
	return rc;
}

/* One try: with what is in the way stored first. */
static int append_once(struct convo_store *store, const struct store_call *call,
		       const struct convo_key *key, struct store_append *append,
		       struct convo_err *err)
{
	int rc = store->be->append(store, call, key, append, err);

	while (rc == STORE_IN_THE_WAY) {
		rc = append_settle(store, call, key, append, err);
		if (rc >= 0)
			rc = store->be->append(store, call, key, append, err);
	}
	return rc;
}

int cv_lease_append(struct convo_store *store, const struct store_call *call,
		    const struct convo_key *key, struct store_append *append, bool wait,
		    struct convo_err *err)
{
	int64_t pause_us = WAIT_FIRST_US;
	struct convo_err why; /* a success after some waiting leaves the error alone */
	int rc;

	for (;;) {
		rc = append_once(store, call, key, append, &why);
		if (rc != CONVO_E_BUSY || !wait || !wait_pause(call, pause_us))
			break;
		pause_us = 2 * pause_us < WAIT_MOST_US ? 2 * pause_us : WAIT_MOST_US;
	}
	if (rc < 0 && err)
		*err = why;
	return rc;
}
