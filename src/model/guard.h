/*
 * Broken text on its way through a JSON reader. A server that cuts an answer between bytes sends half
 * a character in one chunk and the other half in the next, raw or as the escape of a lone surrogate,
 * and no JSON reader takes that. So each broken part travels as a character of the last private
 * plane, which no text uses, and is put back behind the reader; the answer then joins the halves.
 */
#ifndef MODEL_GUARD_H
#define MODEL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include <base/buf.h>
#include <base/text.h>

/** Append JSON text with each invalid byte and each escaped lone surrogate turned into a mark. */
int cv_guard_apply(struct cv_buf *out, struct cv_text json);

/** Append a string that came out of the reader with each mark turned back: a byte, or the three bytes
 * of half a surrogate pair. */
int cv_guard_undo(struct cv_buf *out, struct cv_text text);

bool cv_guard_is_mark(uint32_t cp);

#endif
