/*
 * Checking what a caller gave; see check.h.
 */
#include <base/check.h>

#include <base/fail.h>

int cv_check_given(const void *pointer, const char *what, struct convo_err *err)
{
	return pointer ? 0 : cv_fail(err, CONVO_E_INVALID, "%s is missing (NULL)", what);
}

int cv_check_reserved(const void *const *reserved, size_t count, const char *what,
		      struct convo_err *err)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (reserved[i])
			return cv_fail(err, CONVO_E_INVALID,
				       "a reserved member of %s is set: is it zeroed, and was the "
				       "program built for a newer convo?",
				       what);
	}
	return 0;
}
