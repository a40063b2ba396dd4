/*
 * The beginning of every call: handles, reserved members, bounds and clocks.
 */
#ifndef STORE_FRONT_CALL_H
#define STORE_FRONT_CALL_H

#include <base/check.h>
#include <store/backend.h>

/** Check the bounds of a call. @return 0, CONVO_E_INVALID */
int cv_call_check(const struct convo_call *call, struct convo_err *err);

/**
 * Begin a call on a store: check the handle and the bounds, and read the clocks.
 *
 * @return 0, CONVO_E_INVALID, CONVO_E_CANCELED when the stop was asked for before
 */
int cv_call_begin(struct store_call *out, const struct convo_store *store,
		  const struct convo_call *call, struct convo_err *err);

#endif
