/*
 * Glyphs: what stands in one place of the screen, be it one code point or, as a grapheme cluster,
 * several. Backspace, arrows and widths go by them.
 */
#ifndef CLI_TERM_GLYPH_H
#define CLI_TERM_GLYPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct glyph {
	size_t len;    /* in bytes, at least 1 */
	size_t width;  /* in columns, as text_show() writes it */
	uint32_t cp;   /* the first code point, or a broken byte */
	bool bad;      /* a broken byte */
	char mark[16]; /* what is shown instead of what could steer a terminal, or "" */
};

/** Decode one code point; a broken byte gives itself with *bad set. @return its length, at least 1. */
size_t glyph_decode(const char *s, size_t len, uint32_t *cp, bool *bad);

/** The glyph at the front of `len` bytes, which are not 0. @return its length. */
size_t glyph_next(const char *s, size_t len, struct glyph *out);

/** Where the glyph begins that ends at `at`, which is not 0. */
size_t glyph_before(const char *s, size_t at);

#endif
