/*
 * Guarding broken text; see guard.h.
 */
#include <model/guard.h>

#include <ctype.h>
#include <stdint.h>

#include <base/utf8.h>

#define MARK_SURROGATE 0x10f000u /* + 0 to 0x7ff: U+D800 to U+DFFF */
#define MARK_BYTE 0x10f800u      /* + the byte */

bool cv_guard_is_mark(uint32_t cp)
{
	return cp >= MARK_SURROGATE && cp <= MARK_BYTE + 0xff;
}

static int guard_put_utf8(struct cv_buf *out, uint32_t cp)
{
	char bytes[4] = {(char)(0xf0 | cp >> 18), (char)(0x80 | (cp >> 12 & 0x3f)),
			 (char)(0x80 | (cp >> 6 & 0x3f)), (char)(0x80 | (cp & 0x3f))};

	if (cp >= 0x10000)
		return cv_buf_add(out, bytes, 4);
	bytes[1] = (char)(0xe0 | cp >> 12);
	return cv_buf_add(out, bytes + 1, 3);
}

/* The surrogate of the escape at `p`, or 0. */
static uint32_t guard_surrogate(const char *p, const char *end)
{
	uint32_t value = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return 0;
	for (int i = 2; i < 6; i++) {
		unsigned char c = (unsigned char)p[i];

		if (!isxdigit(c))
			return 0;
		value = value << 4 | (uint32_t)(isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value >= 0xd800 && value <= 0xdfff ? value : 0;
}

static int guard_escape(struct cv_buf *out, const char **p, const char *end)
{
	uint32_t first = guard_surrogate(*p, end), second;
	size_t len = end - *p < 2 ? 1 : 2;

	if (first) {
		second = first < 0xdc00 ? guard_surrogate(*p + 6, end) : 0;
		if (second < 0xdc00) {
			*p += 6;
			return guard_put_utf8(out, MARK_SURROGATE + (first & 0x7ff));
		}
		len = 12;
	}
	*p += len;
	return cv_buf_add(out, *p - len, len);
}

int cv_guard_apply(struct cv_buf *out, struct cv_text text)
{
	const char *p = text.data, *end = p + text.len;
	int rc = 0;

	while (p < end && rc == 0) {
		size_t len = cv_utf8_next(p, (size_t)(end - p), NULL);

		if (*p == '\\') {
			rc = guard_escape(out, &p, end);
			continue;
		}
		rc = len ? cv_buf_add(out, p, len)
			 : guard_put_utf8(out, MARK_BYTE + (unsigned char)*p);
		p += len ? len : 1;
	}
	return rc;
}

int cv_guard_undo(struct cv_buf *out, struct cv_text text)
{
	const char *p = text.data, *end = p + text.len;
	int rc = 0;

	while (p < end && rc == 0) {
		uint32_t cp = 0;
		size_t len = cv_utf8_next(p, (size_t)(end - p), &cp);

		if (cp >= MARK_BYTE + 0x80 && cp <= MARK_BYTE + 0xff)
			rc = cv_buf_addc(out, (char)(cp - MARK_BYTE));
		else if (cp >= MARK_SURROGATE && cp < MARK_BYTE)
			rc = guard_put_utf8(out, 0xd800 + (cp - MARK_SURROGATE));
		else
			rc = cv_buf_add(out, p, len ? len : 1);
		p += len ? len : 1;
	}
	return rc;
}
