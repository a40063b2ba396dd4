/*
 * Keys that were read from the store a moment ago, so that a request need not wait for it. Only keys that
 * exist are kept: guesses take no room.
 */
#ifndef SERVER_AUTH_KNOWN_H
#define SERVER_AUTH_KNOWN_H

#include "auth/keys.h"

/** How long one is believed: so long may a key that was revoked work on. */
#define KNOWN_MS 5000

/** Thread-safe. At most some thousand keys. */
struct known;

/** @return NULL when memory is out */
struct known *known_new(void);

/** NULL is fine. */
void known_free(struct known *known);

/** Copy what is known of a key. @return false: nothing, or it is too old */
bool known_get(struct key_record *out, struct known *known, const char *id);

/** Keep it from now on. Without memory it is not kept. */
void known_put(struct known *known, const struct key_record *record);

#endif
