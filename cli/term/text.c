/*
 * Text for the program; see text.h.
 */
#include "term/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static bool text_reserve(struct text *text, size_t extra)
{
	size_t max = text->max ? text->max : TEXT_MAX, cap;
	char *data;

	if (extra > max || text->len > max - extra)
		return false;
	if (text->cap > text->len + extra)
		return true;
	cap = text->cap < 64 ? 64 : text->cap;
	while (cap <= text->len + extra)
		cap *= 2; /* the ceiling is far below SIZE_MAX / 2 */
	data = realloc(text->data, cap);
	if (!data)
		return false;
	text->data = data;
	text->cap = cap;
	return true;
}

bool text_add(struct text *text, const char *data, size_t len)
{
	if (!text_reserve(text, len))
		return false;
	if (len)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return true;
}

bool text_adds(struct text *text, const char *s)
{
	return text_add(text, s, strlen(s));
}

bool text_addf(struct text *text, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !text_reserve(text, (size_t)len))
		return false;
	va_start(args, fmt);
	vsnprintf(text->data + text->len, (size_t)len + 1, fmt, args);
	va_end(args);
	text->len += (size_t)len;
	return true;
}

bool text_add_char(struct text *text, uint32_t cp)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	char out[4];
	size_t len, i;

	if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
		cp = 0xfffd;
	len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	for (i = len - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	out[0] = (char)(len == 1 ? cp : lead[len] | cp);
	return text_add(text, out, len);
}

void text_clear(struct text *text)
{
	free(text->data);
	text->data = NULL;
	text->len = text->cap = 0;
}

/* How many bytes follow a lead byte, and the smallest value they may make. */
static size_t text_lead(unsigned char c, uint32_t *cp, uint32_t *least)
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

size_t text_decode(const char *s, size_t len, uint32_t *cp, bool *bad)
{
	unsigned char first = (unsigned char)s[0];
	uint32_t value, least;
	size_t more, i;

	*bad = false;
	*cp = first;
	if (first < 0x80)
		return 1;
	more = text_lead(first, &value, &least);
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
static bool text_steers(uint32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

/* The stand-in for one character, or "" when it can be shown as it is. */
static void text_stand_in(char out[16], uint32_t cp, bool bad)
{
	out[0] = '\0';
	if (bad)
		snprintf(out, 16, "<%02X>", (unsigned)cp);
	else if (cp < 0x20 || cp == 0x7f)
		snprintf(out, 16, "^%c", (char)(cp ^ 0x40));
	else if (text_steers(cp))
		snprintf(out, 16, "<U+%04X>", (unsigned)cp);
}

bool text_show(FILE *out, const char *s, size_t len)
{
	size_t i = 0, from = 0;

	while (i < len) {
		char mark[16];
		uint32_t cp;
		bool bad;
		size_t n = text_decode(s + i, len - i, &cp, &bad);

		text_stand_in(mark, cp, bad);
		if (mark[0] && cp != '\n' && cp != '\t') {
			fwrite(s + from, 1, i - from, out);
			fputs(mark, out);
			from = i + n;
		}
		i += n;
	}
	fwrite(s + from, 1, len - from, out);
	return !ferror(out);
}

/* Columns of one character as text_show() writes it. */
static size_t text_columns(uint32_t cp, bool bad)
{
	char mark[16];
	int width;

	text_stand_in(mark, cp, bad);
	if (mark[0])
		return strlen(mark);
	width = wcwidth((wchar_t)cp);
	return width > 0 ? (size_t)width : 0;
}

size_t text_width(const char *s, size_t len)
{
	size_t i, width = 0;
	uint32_t cp;
	bool bad;

	for (i = 0; i < len;) {
		i += text_decode(s + i, len - i, &cp, &bad);
		width += text_columns(cp, bad);
	}
	return width;
}

bool text_show_line(FILE *out, const char *s, size_t cols)
{
	size_t len = strlen(s), width = 0, i = 0;
	bool cut = cols && text_width(s, len) > cols;

	while (i < len) {
		uint32_t cp;
		bool bad;
		size_t n = text_decode(s + i, len - i, &cp, &bad);
		bool blank = cp == '\n' || cp == '\t' || cp == '\r';
		size_t w = blank ? 1 : text_columns(cp, bad);

		if (cut && width + w > cols - 1)
			break;
		if (blank)
			fputc(' ', out);
		else
			text_show(out, s + i, n);
		width += w;
		i += n;
	}
	if (cut)
		fputs("…", out);
	return !ferror(out);
}

static size_t text_least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t text_distance(const char *a, const char *b)
{
	enum { MOST = 48 };
	size_t rows[3][MOST + 1], *before = rows[0], *prev = rows[1], *row = rows[2];
	size_t la = strlen(a), lb = strlen(b), i, j;

	if (la > MOST || lb > MOST)
		return MOST;
	for (j = 0; j <= lb; j++)
		prev[j] = j;
	for (i = 1; i <= la; i++) {
		size_t *next = before;

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			row[j] = prev[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = text_least(row[j], text_least(prev[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = text_least(row[j], before[j - 2] + 1);
		}
		before = prev;
		prev = row;
		row = next;
	}
	return prev[lb];
}

bool text_add_encoded(struct text *text, const char *s, const char *keep)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *s; s++) {
		bool ok = strchr(plain, *s) || strchr(keep, *s)
				  ? text_add(text, s, 1)
				  : text_addf(text, "%%%02X", (unsigned)(unsigned char)*s);

		if (!ok)
			return false;
	}
	return true;
}

static char text_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_contains(const char *s, const char *part)
{
	for (;; s++) {
		size_t i = 0;

		while (part[i] && text_lower(s[i]) == text_lower(part[i]))
			i++;
		if (!part[i])
			return true;
		if (!*s)
			return false;
	}
}

static bool text_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

char *text_trim(char *s)
{
	size_t len;

	while (text_blank(*s))
		s++;
	len = strlen(s);
	while (len && text_blank(s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}
