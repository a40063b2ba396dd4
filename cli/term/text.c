/*
 * Text for the program; see text.h.
 */
#include "term/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "term/glyph.h"

static bool at_ceiling; /* why the last addition failed that did */

static bool text_reserve(struct text *text, size_t extra)
{
	size_t max = text->max ? text->max : TEXT_MAX, cap;
	char *data;

	if (extra > max || text->len > max - extra) {
		at_ceiling = true;
		return false;
	}
	if (text->cap > text->len + extra)
		return true;
	cap = text->cap < 64 ? 64 : text->cap;
	while (cap <= text->len + extra)
		cap *= 2; /* the ceiling is far below SIZE_MAX / 2 */
	data = realloc(text->data, cap);
	if (!data) {
		at_ceiling = false;
		return false;
	}
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

const char *text_limit(void)
{
	static_assert(TEXT_MAX >> 20 == 8, "as said");
	return at_ceiling ? "8 MiB" : "memory has room for";
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

bool text_insert(struct text *text, size_t at, const char *data, size_t len)
{
	if (!text_reserve(text, len))
		return false;
	memmove(text->data + at + len, text->data + at, text->len - at);
	memcpy(text->data + at, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return true;
}

void text_remove(struct text *text, size_t at, size_t len)
{
	if (!len)
		return;
	memmove(text->data + at, text->data + at + len, text->len - at - len);
	text->len -= len;
	text->data[text->len] = '\0';
}

void text_clear(struct text *text)
{
	free(text->data);
	text->data = NULL;
	text->len = text->cap = 0;
}

bool text_show(FILE *out, const char *s, size_t len)
{
	size_t i = 0, from = 0;

	while (i < len) {
		struct glyph glyph;
		size_t n = glyph_next(s + i, len - i, &glyph);

		if (glyph.mark[0] && glyph.cp != '\n' && glyph.cp != '\t') {
			fwrite(s + from, 1, i - from, out);
			fputs(glyph.mark, out);
			from = i + n;
		}
		i += n;
	}
	fwrite(s + from, 1, len - from, out);
	return !ferror(out);
}

size_t text_width(const char *s, size_t len)
{
	size_t i, width = 0;
	struct glyph glyph;

	for (i = 0; i < len; width += glyph.width)
		i += glyph_next(s + i, len - i, &glyph);
	return width;
}

bool text_show_line(FILE *out, const char *s, size_t cols)
{
	size_t len = strlen(s), width = 0, i = 0;
	bool cut = cols && text_width(s, len) > cols;

	while (i < len) {
		struct glyph glyph;
		size_t n = glyph_next(s + i, len - i, &glyph);
		bool blank = glyph.cp == '\n' || glyph.cp == '\t' || glyph.cp == '\r';

		width += blank ? 1 : glyph.width;
		if (cut && width > cols - 1)
			break;
		if (blank)
			fputc(' ', out);
		else
			text_show(out, s + i, n);
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

static size_t text_distance(const char *a, const char *b)
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

size_t text_nearness(const char *word, const char *name)
{
	size_t distance = text_distance(word, name), len = strlen(name);

	return distance * 3 <= len + 1 ? distance : SIZE_MAX;
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
