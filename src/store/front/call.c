/*
 * How a call begins; see call.h.
 */
#include <store/front/call.h>

#include <convo/text.h>

#include <base/clock.h>
#include <base/fail.h>

int cv_call_check(const struct convo_call *call, struct convo_err *err)
{
	int rc = CHECK_RESERVED(call, err);

	if (rc < 0)
		return rc;
	if (call->timeout_ms < 0 || call->timeout_ms > CONVO_MAX_DURATION)
		return cv_fail(err, CONVO_E_INVALID, "the timeout of the call is out of range");
	return 0;
}

int cv_call_begin(struct store_call *out, const struct convo_store *store,
		  const struct convo_call *call, struct convo_err *err)
{
	static const struct convo_call unbounded;
	int64_t timeout_ms;
	int rc = cv_check_given(store, "the store", err);

	if (rc < 0)
		return rc;
	if (!call)
		call = &unbounded;
	rc = cv_call_check(call, err);
	if (rc < 0)
		return rc;
	if (convo_cancel_requested(call->cancel))
		return cv_fail(err, CONVO_E_CANCELED, "canceled before it began");
	timeout_ms = call->timeout_ms ? call->timeout_ms : store->opts.timeout_ms;
	*out = (struct store_call){
		.now_us = cv_clock_us(),
		.deadline_us = cv_clock_mono_us() + timeout_ms * 1000,
		.cancel = call->cancel,
		.ttl_us = store->opts.ttl_ms * 1000,
		.trash_us = store->opts.trash_ms * 1000,
		.event_limit = store->opts.event_limit,
	};
	out->now_ms = out->now_us / 1000;
	return 0;
}
