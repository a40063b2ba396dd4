/*
 * The beginning of every call: handles, reserved members, bounds and clocks.
 */
#ifndef STORE_FRONT_CALL_H
#define STORE_FRONT_CALL_H

#include <store/backend.h>

/**
 * Begin a call on a store: check the handle and the bounds, and read the clocks.
 *
 * @return 0, CONVO_E_INVALID, CONVO_E_CANCELED when the stop was asked for before
 */
int cv_call_begin(struct store_call *out, const struct convo_store *store,
		  const struct convo_call *call, struct convo_err *err);

/** CONVO_E_INVALID for a pointer of NULL; `what` names it: "the store". */
int cv_check_given(const void *pointer, const char *what, struct convo_err *err);

/** CONVO_E_INVALID for a reserved member that is set; `what` names the struct (version.h). */
int cv_check_reserved(const void *const *reserved, size_t count, const char *what,
		      struct convo_err *err);

#define CHECK_RESERVED(object, err)                                                            \
	cv_check_reserved((object)->reserved,                                                  \
			  sizeof((object)->reserved) / sizeof((object)->reserved[0]), #object, \
			  (err))

#endif
