/*
 * Checks that the public functions begin with.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#include <convo/err.h>

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
