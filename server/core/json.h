/*
 * JSON trees of what clients send, and writing JSON. The one file of the server that includes jansson's
 * header.
 */
#ifndef SERVER_CORE_JSON_H
#define SERVER_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <convo/err.h>

#include "term/text.h"

/** Deepest nesting of what is read. What is stored is bounded by CONVO_JSON_DEPTH. */
#define JSON_DEPTH 64

/**
 * Read one JSON value.
 *
 * @return a new reference; NULL: `err` has CONVO_E_INVALID, with where and what is wrong, or CONVO_E_NOMEM
 */
json_t *json_read(const char *text, size_t len, struct convo_err *err);

/** Append a value as JSON. @return success */
bool json_write(struct text *out, const json_t *value);

/** Append text as a JSON string with its quotes; broken UTF-8 and U+0000 become U+FFFD. @return success */
bool json_quote(struct text *out, const char *text, size_t len);

/** The same for a string that ends with a NUL; NULL is null. */
bool json_quotes(struct text *out, const char *text);

/** A member of an object that is a string, or NULL. */
const char *json_string_at(const json_t *object, const char *name);

#endif
