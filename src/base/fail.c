/*
 * Errors as values; see fail.h.
 */
#include <base/fail.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <base/utf8.h>

#undef cv_fail
#undef cv_fail_maybe
#undef cv_fail_nomem

static void fail_clean(char *text)
{
	size_t len = strlen(text);

	len -= cv_utf8_tail(text, len);
	text[len] = '\0';
	while (*text) {
		size_t size = cv_utf8_next(text, len, NULL);

		if (!size || (unsigned char)*text < 0x20 || *text == 0x7f) {
			*text = '?';
			size = 1;
		}
		text += size;
		len -= size;
	}
}

static void fail_fill(struct convo_err *err, int code, bool maybe, const char *fmt, va_list args)
{
	char text[sizeof(err->text)]; /* an argument may be err->text itself */

	vsnprintf(text, sizeof(text), fmt, args);
	fail_clean(text);
	*err = (struct convo_err){.code = code, .maybe = maybe};
	memcpy(err->text, text, sizeof(text));
}

int cv_fail(struct convo_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		fail_fill(err, code, false, fmt, args);
		va_end(args);
	}
	return code;
}

int cv_fail_maybe(struct convo_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		fail_fill(err, code, true, fmt, args);
		va_end(args);
	}
	return code;
}

int cv_fail_nomem(struct convo_err *err)
{
	return cv_fail(err, CONVO_E_NOMEM, "out of memory");
}

const char *convo_code_name(int code)
{
	switch (code) {
	case CONVO_OK:
		return "ok";
	case CONVO_E_NOMEM:
		return "out of memory";
	case CONVO_E_INVALID:
		return "invalid argument";
	case CONVO_E_TOOBIG:
		return "too big";
	case CONVO_E_NOTFOUND:
		return "not found";
	case CONVO_E_EXISTS:
		return "already exists";
	case CONVO_E_CONFLICT:
		return "conflict";
	case CONVO_E_TIMEOUT:
		return "timeout";
	case CONVO_E_IO:
		return "input/output error";
	case CONVO_E_VERSION:
		return "wrong version";
	case CONVO_E_DENIED:
		return "denied";
	case CONVO_E_CANCELED:
		return "canceled";
	case CONVO_E_UNSUPPORTED:
		return "not supported";
	case CONVO_E_REFUSED:
		return "refused by the model";
	case CONVO_E_FULL:
		return "no room left";
	case CONVO_E_READONLY:
		return "read-only";
	case CONVO_E_GONE:
		return "not reached";
	case CONVO_E_BUSY:
		return "busy";
	}
	return "unknown error";
}
