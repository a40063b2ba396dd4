/*
 * The appending that turns, taking back and summing up share; see runner.h.
 */
#include <runner/runner.h>

#include <poll.h>

#include <base/clock.h>

/* Whether what failed may go well at another time, and may have been carried out all the same. */
static bool append_unsure(int rc)
{
	return rc == CONVO_E_IO || rc == CONVO_E_TIMEOUT || rc == CONVO_E_GONE;
}

int cv_runner_append(const struct convo_runner *runner, const struct convo_key *key,
		     const struct convo_expect *expect, const struct convo_event *events,
		     size_t count, enum append_patience patience, const struct convo_call *call,
		     int64_t *seqs, struct convo_err *err)
{
	const convo_cancel *cancel = call ? call->cancel : NULL;
	int64_t until = cv_clock_mono_us() + APPEND_RETRY_MS * 1000;
	int wait_ms = 20, rc;
	bool maybe = false;

	for (;;) {
		err->maybe = false;
		rc = convo_store_append(runner->store, key, expect, events, count, seqs, call, err);
		if (rc >= 0)
			return 0;
		maybe |= err->maybe;
		if (!append_unsure(rc) || convo_cancel_requested(cancel) ||
		    patience == APPEND_ONCE || (patience == APPEND_SETTLE && !maybe) ||
		    cv_clock_mono_us() + wait_ms * 1000 >= until)
			break;
		poll(NULL, 0, wait_ms);
		wait_ms = wait_ms < 500 ? wait_ms * 2 : wait_ms;
	}
	err->maybe = maybe && (append_unsure(rc) || rc == CONVO_E_CANCELED);
	return rc;
}
