/*
 * UTF-8; see utf8.h. The table is that of well-formed sequences in Unicode 3.9, D92.
 */
#include <base/utf8.h>

#include <string.h>

/* How many bytes a lead byte announces, and the range of the byte after it. */
static size_t utf8_lead(unsigned char lead, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0) {
		if (lead == 0xe0)
			*low = 0xa0;
		if (lead == 0xed)
			*high = 0x9f; /* surrogates */
		return 3;
	}
	if (lead > 0xf4)
		return 0;
	if (lead == 0xf0)
		*low = 0x90;
	if (lead == 0xf4)
		*high = 0x8f;
	return 4;
}

/* How many bytes from the start are right; *wanted tells how many the character has, or 0. */
static size_t utf8_match(const char *data, size_t len, size_t *wanted)
{
	unsigned char low, high;
	size_t i;

	*wanted = len ? utf8_lead((unsigned char)data[0], &low, &high) : 0;
	if (!*wanted)
		return 0;
	for (i = 1; i < *wanted && i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c < low || c > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	return i;
}

size_t cv_utf8_next(const char *data, size_t len, uint32_t *cp)
{
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t wanted, got = utf8_match(data, len, &wanted), i;
	uint32_t value;

	if (!wanted || got < wanted)
		return 0;
	if (cp) {
		value = (unsigned char)data[0] & mask[wanted];
		for (i = 1; i < wanted; i++)
			value = value << 6 | ((unsigned char)data[i] & 0x3f);
		*cp = value;
	}
	return wanted;
}

/* Whether the next eight bytes are all ASCII. */
static bool utf8_ascii8(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return !(word & UINT64_C(0x8080808080808080));
}

/* Whether a character of three bytes begins here whose lead sets no bounds to the second. */
static bool utf8_plain3(const char *data, size_t len)
{
	unsigned char lead = (unsigned char)data[0];

	return len >= 3 && lead > 0xe0 && lead < 0xf0 && lead != 0xed &&
	       ((unsigned char)data[1] & 0xc0) == 0x80 && ((unsigned char)data[2] & 0xc0) == 0x80;
}

bool cv_utf8_valid(const char *data, size_t len)
{
	while (len) {
		size_t n;

		/* What most text is made of. */
		if (len >= 8 && utf8_ascii8(data))
			n = 8;
		else if (utf8_plain3(data, len))
			n = 3;
		else
			n = cv_utf8_next(data, len, NULL);
		if (!n)
			return false;
		data += n;
		len -= n;
	}
	return true;
}

size_t cv_utf8_tail(const char *data, size_t len)
{
	size_t back, wanted;

	for (back = 1; back <= 3 && back <= len; back++) {
		const char *start = data + len - back;

		if (((unsigned char)*start & 0xc0) == 0x80)
			continue;
		return utf8_match(start, back, &wanted) == back && wanted > back ? back : 0;
	}
	return 0;
}

int cv_utf8_repair(struct cv_buf *out, const char *data, size_t len)
{
	size_t good = 0, wanted;
	int rc;

	while (good < len) {
		size_t got = utf8_match(data + good, len - good, &wanted);

		if (wanted && got == wanted && data[good]) {
			good += got;
			continue;
		}
		rc = cv_buf_add(out, data, good);
		if (rc >= 0)
			rc = cv_buf_adds(out, "\xef\xbf\xbd");
		if (rc < 0)
			return rc;
		good += got ? got : 1;
		data += good;
		len -= good;
		good = 0;
	}
	return cv_buf_add(out, data, good);
}
