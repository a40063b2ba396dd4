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

/* Four bytes in the order of the text, whatever the machine's: compilers make one load of it. */
static uint32_t utf8_load(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/*
 * A character by masks over the four bytes at its start: lead and trail bytes have their marks, and
 * the bits in which overlong forms, surrogates and values past the end differ are looked at apart.
 */
static size_t utf8_by_mask(uint32_t word)
{
	if ((word & 0x00c0c0f0) == 0x008080e0) {
		uint32_t odd = word & 0x0000200f;

		return odd != 0 && odd != 0x0000200d ? 3 : 0;
	}
	if ((word & 0x0000c0e0) == 0x000080c0)
		return word & 0x0000001e ? 2 : 0;
	if ((word & 0xc0c0c0f8) == 0x808080f0) {
		uint32_t odd = word & 0x00003007;

		return odd && ((odd & 4) == 0 || (odd & 0x00003003) == 0) ? 4 : 0;
	}
	return 0;
}

size_t cv_utf8_wide(const char *data, size_t len)
{
	const unsigned char *start = (const unsigned char *)data, *p = start, *end = p + len;
	size_t n;

	while (end - p >= 4) {
		n = utf8_by_mask(utf8_load(p));
		if (!n)
			return (size_t)(p - start);
		p += n;
	}
	while (p < end && *p >= 0x80) {
		n = cv_utf8_next((const char *)p, (size_t)(end - p), NULL);
		if (!n)
			break;
		p += n;
	}
	return (size_t)(p - start);
}

/* Whether the next eight bytes are all ASCII. */
static bool utf8_ascii8(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return !(word & UINT64_C(0x8080808080808080));
}

bool cv_utf8_valid(const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end) {
		size_t n;

		if (end - data >= 8 && utf8_ascii8(data)) {
			data += 8;
			continue;
		}
		if ((unsigned char)*data < 0x80) {
			data++;
			continue;
		}
		n = cv_utf8_wide(data, (size_t)(end - data));
		if (!n)
			return false;
		data += n;
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

size_t cv_utf8_broken(const char *data, size_t len)
{
	size_t wanted, got = utf8_match(data, len, &wanted);

	return got ? got : 1;
}
