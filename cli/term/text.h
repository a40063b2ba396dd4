/*
 * Text for the program: a growing string, safe display, widths, nearest names.
 */
#ifndef CLI_TERM_TEXT_H
#define CLI_TERM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Most bytes of one message: typed, pasted or read from a script. */
#define TEXT_MAX ((size_t)8 << 20)

/** A growing string; all-zero is valid. `data` is NUL-terminated once anything was added. */
struct text {
	char *data;
	size_t len, cap;
	size_t max; /* ceiling in bytes; 0: TEXT_MAX */
};

/** Append. @return false when memory or the ceiling TEXT_MAX ends: text_limit() tells which. */
bool text_add(struct text *text, const char *data, size_t len);
bool text_adds(struct text *text, const char *s);
bool text_addf(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** What the text that could not grow last would have been more than: "8 MiB". */
const char *text_limit(void);

/** Put bytes in at a place. @return false, and nothing changed, when memory or the ceiling ends. */
bool text_insert(struct text *text, size_t at, const char *data, size_t len);

/** Take bytes out. */
void text_remove(struct text *text, size_t at, size_t len);

/** Free it; ready for use again. */
void text_clear(struct text *text);

/**
 * Write text so that nothing in it can steer a terminal: control characters as ^X, others that
 * steer or reorder as <U+202E>. Newlines and tabs stay. @return false when writing failed.
 */
bool text_show(FILE *out, const char *s, size_t len);

/** The same for one line: newlines are shown as spaces. Cut to `cols` columns when not 0. */
bool text_show_line(FILE *out, const char *s, size_t cols);

/** Columns that text_show() takes for one line of text. */
size_t text_width(const char *s, size_t len);

/**
 * By how many insertions, deletions, changes and swaps of neighbours a word misses a name; SIZE_MAX
 * when it is no near miss: a third of the name's letters may be wrong.
 */
size_t text_nearness(const char *word, const char *name);

/** Percent-encode what is not unreserved in a URL (RFC 3986); `keep` names more to keep. */
bool text_add_encoded(struct text *text, const char *s, const char *keep);

/** Whether `part` occurs in `s`, ASCII letters compared without case. */
bool text_contains(const char *s, const char *part);

/** Remove white space from both ends, in place. @return the new start. */
char *text_trim(char *s);

#endif
