/*
 * JSON (RFC 8259): a checking scanner that allocates nothing, for the hot path, and a few makers.
 * What wants a tree uses jansson; model/wire.c is the one file that does.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <base/buf.h>
#include <base/text.h>

/** What a JSON text is, by its first byte. */
enum json_kind {
	JSON_KIND_NONE, /* absent or not JSON */
	JSON_KIND_OBJECT,
	JSON_KIND_ARRAY,
	JSON_KIND_STRING,
	JSON_KIND_NUMBER,
	JSON_KIND_TRUE,
	JSON_KIND_FALSE,
	JSON_KIND_NULL
};

/**
 * Check that `text` is one JSON value that every backend can keep: strict syntax, valid UTF-8, no
 * U+0000, no lone surrogate, numbers within a normal double, nesting at most CONVO_JSON_DEPTH.
 *
 * @param what names the text in the error: "message"
 * @return its kind, or CONVO_E_INVALID
 */
int cv_json_check(struct cv_text text, const char *what, struct convo_err *err);

/**
 * Check the rest of a string, as cv_json_check() does: `text` begins between two of its characters.
 *
 * @param len set to the bytes in front of the quote that ends it
 * @return false where something is wrong, or no quote ends it
 */
bool cv_json_string_rest(struct cv_text text, size_t *len);

/** The kind of a checked text. */
enum json_kind cv_json_kind(struct cv_text text);

/**
 * Walk over the members of a checked object.
 *
 * @param pos   0 to begin; moved on
 * @param name  the member's name, raw between its quotes: may hold escapes
 * @param value the member's value, without surrounding blanks
 * @return false after the last
 */
bool cv_json_member(struct cv_text object, size_t *pos, struct cv_text *name,
		    struct cv_text *value);

/** Whether a member's name, raw as cv_json_member() gives it, is this one. */
bool cv_json_name_is(struct cv_text raw, const char *name);

/**
 * Walk over the elements of a checked array.
 *
 * @param pos   0 to begin; moved on
 * @param value the element, without surrounding blanks
 * @return false after the last, and for what is no array
 */
bool cv_json_element(struct cv_text array, size_t *pos, struct cv_text *value);

/** The value of the last member of that name in a checked object; data NULL when absent. */
struct cv_text cv_json_find(struct cv_text object, const char *name);

/** Append the bytes of a checked string, escapes resolved. `raw` is without the quotes. */
int cv_json_unescape(struct cv_buf *out, struct cv_text raw);

/** Append text as a JSON string with its quotes; broken UTF-8 and U+0000 become U+FFFD. */
int cv_json_quote_to(struct cv_buf *out, const char *data, size_t len);

/** The same without the quotes: what two texts add is what they would together. */
int cv_json_escape_to(struct cv_buf *out, const char *data, size_t len);

#endif
