/*
 * The growing buffer; see buf.h.
 */
#include <base/buf.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/utf8.h>

#undef cv_buf_fail

static int buf_reserve(struct cv_buf *buf, size_t extra)
{
	if (extra > SIZE_MAX - 1 - buf->len)
		return CONVO_E_TOOBIG;
	if (buf->max && buf->len + extra > buf->max)
		return CONVO_E_TOOBIG;
	if (!cv_grow((void **)&buf->data, &buf->cap, buf->len + extra + 1, 1))
		return CONVO_E_NOMEM;
	return 0;
}

int cv_buf_add(struct cv_buf *buf, const void *data, size_t len)
{
	int rc = buf_reserve(buf, len);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int cv_buf_adds(struct cv_buf *buf, const char *s)
{
	return cv_buf_add(buf, s, strlen(s));
}

int cv_buf_addc(struct cv_buf *buf, char c)
{
	return cv_buf_add(buf, &c, 1);
}

int cv_buf_repair(struct cv_buf *buf, const char *data, size_t len)
{
	const char *end = data + len, *p = data;
	int rc;

	while (p < end) {
		size_t n = cv_utf8_next(p, (size_t)(end - p), NULL);

		if (n && *p) {
			p += n;
			continue;
		}
		rc = cv_buf_add(buf, data, (size_t)(p - data));
		if (rc < 0)
			return rc;
		rc = cv_buf_adds(buf, "\xef\xbf\xbd");
		if (rc < 0)
			return rc;
		p += n ? n : cv_utf8_broken(p, (size_t)(end - p));
		data = p;
	}
	return cv_buf_add(buf, data, (size_t)(p - data));
}

int cv_buf_addf(struct cv_buf *buf, const char *fmt, ...)
{
	va_list args;
	int len, rc;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return CONVO_E_INVALID;
	rc = buf_reserve(buf, (size_t)len);
	if (rc < 0)
		return rc;
	va_start(args, fmt);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
	return 0;
}

char *cv_buf_room(struct cv_buf *buf, size_t extra)
{
	return buf_reserve(buf, extra) < 0 ? NULL : buf->data + buf->len;
}

void cv_buf_shift(struct cv_buf *buf, size_t n)
{
	if (!n)
		return;
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
	buf->data[buf->len] = '\0';
}

void cv_buf_reset(struct cv_buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

const char *cv_buf_str(const struct cv_buf *buf)
{
	return buf->data ? buf->data : "";
}

char *cv_buf_take(struct cv_buf *buf)
{
	char *data = buf->data ? buf->data : cv_memdup("", 0);

	buf->data = NULL;
	buf->len = buf->cap = 0;
	return data;
}

void cv_buf_clear(struct cv_buf *buf)
{
	free(buf->data);
	buf->data = NULL;
	buf->len = buf->cap = 0;
}

int cv_buf_fail(struct convo_err *err, int rc)
{
	if (rc == CONVO_E_TOOBIG)
		return cv_fail(err, rc, "text too large");
	return cv_fail_nomem(err);
}
