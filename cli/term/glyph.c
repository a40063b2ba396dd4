/*
 * Glyphs; see glyph.h. Where clusters end is for utf8proc to say, how wide code points are for the
 * C library, as most terminals ask it too.
 */
#include "term/glyph.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <utf8proc.h>

enum { ZERO_WIDTH_JOINER = 0x200d, EMOJI_STYLE = 0xfe0f };

/* How many bytes follow a lead byte, and the smallest value they may make. */
static size_t glyph_lead(unsigned char c, uint32_t *cp, uint32_t *least)
{
	if (c >= 0xc2 && c < 0xe0) {
		*cp = c & 0x1fu;
		*least = 0x80;
		return 1;
	}
	if (c >= 0xe0 && c < 0xf0) {
		*cp = c & 0x0fu;
		*least = 0x800;
		return 2;
	}
	if (c >= 0xf0 && c < 0xf5) {
		*cp = c & 0x07u;
		*least = 0x10000;
		return 3;
	}
	return 0;
}

size_t glyph_decode(const char *s, size_t len, uint32_t *cp, bool *bad)
{
	unsigned char first = (unsigned char)s[0];
	uint32_t value = 0, least = 0;
	size_t more, i;

	*bad = false;
	*cp = first;
	if (first < 0x80)
		return 1;
	more = glyph_lead(first, &value, &least);
	*bad = !more || more >= len;
	for (i = 1; !*bad && i <= more; i++) {
		unsigned char c = (unsigned char)s[i];

		*bad = (c & 0xc0) != 0x80;
		value = value << 6 | (c & 0x3fu);
	}
	if (*bad || value < least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
		*bad = true;
		return 1;
	}
	*cp = value;
	return more + 1;
}

/* C1 controls, and what breaks lines or turns the order of the text around it. */
static bool glyph_steers(uint32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

static void glyph_mark(struct glyph *glyph)
{
	unsigned cp = (unsigned)glyph->cp;

	glyph->mark[0] = '\0';
	if (glyph->bad)
		snprintf(glyph->mark, sizeof(glyph->mark), "<%02X>", cp);
	else if (cp < 0x20 || cp == 0x7f)
		snprintf(glyph->mark, sizeof(glyph->mark), "^%c", (char)(cp ^ 0x40));
	else if (glyph_steers(glyph->cp))
		snprintf(glyph->mark, sizeof(glyph->mark), "<U+%04X>", cp);
}

static size_t glyph_columns(uint32_t cp)
{
	int width = wcwidth((wchar_t)cp);

	return width < 0 ? 1 : (size_t)width;
}

static bool glyph_is_skin_tone(uint32_t cp)
{
	return cp >= 0x1f3fb && cp <= 0x1f3ff;
}

size_t glyph_next(const char *s, size_t len, struct glyph *out)
{
	utf8proc_int32_t state = 0;
	uint32_t before, cp;

	out->len = glyph_decode(s, len, &out->cp, &out->bad);
	glyph_mark(out);
	if (out->mark[0]) {
		out->width = strlen(out->mark);
		return out->len;
	}
	out->width = glyph_columns(out->cp);
	for (before = out->cp; out->len < len; before = cp) {
		bool bad;
		size_t n = glyph_decode(s + out->len, len - out->len, &cp, &bad);

		if (bad || glyph_steers(cp) ||
		    utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)cp,
						     &state))
			break;
		/* What is joined, and a colour of skin, is drawn within the first one. */
		if (before != ZERO_WIDTH_JOINER && !glyph_is_skin_tone(cp))
			out->width += glyph_columns(cp);
		if (cp == EMOJI_STYLE && out->width < 2)
			out->width = 2;
		out->len += n;
	}
	return out->len;
}

size_t glyph_before(const char *s, size_t at)
{
	enum { FAR = 4096 };
	size_t start = at - 1, from;
	struct glyph glyph;

	/* Clusters are found from the front: from an ASCII character, before which one ends. */
	while (start > 0 && at - start < FAR && (unsigned char)s[start] >= 0x80)
		start--;
	while (start > 0 && ((unsigned char)s[start] & 0xc0) == 0x80)
		start--;
	do {
		from = start;
		start += glyph_next(s + start, at - start, &glyph);
	} while (start < at);
	return from;
}
