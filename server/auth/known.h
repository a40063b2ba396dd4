/*
 * Keys that were read from the store a moment ago, so that a request need not wait for it, and what they have
 * used of their limits, here alone. Only keys that exist are kept: guesses take no room.
 */
#ifndef SERVER_AUTH_KNOWN_H
#define SERVER_AUTH_KNOWN_H

#include "auth/bucket.h"
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

/** What a key may still use; all-zero where it has no limit. */
struct known_left {
	struct bucket_left requests, tokens;
};

/**
 * A key asks for something: use one request of its limit.
 *
 * @param out what is left then
 * @return false: there is none, or no token, and nothing was used
 */
bool known_use_request(struct known_left *out, struct known *known,
		       const struct key_record *record);

/** An answer took so many tokens of a key's limit. */
void known_use_tokens(struct known *known, const char *id, int64_t count);

#endif
