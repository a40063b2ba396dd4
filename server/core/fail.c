/*
 * Failing; see fail.h.
 */
#include "core/fail.h"

#include <stdarg.h>
#include <stdio.h>

int fail(struct convo_err *err, int code, const char *fmt, ...)
{
	const struct convo_err fresh = {.code = code};
	va_list args;

	if (!err)
		return code;
	*err = fresh;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}
