/*
 * The keys that tokens are checked with, read from a file or an address and kept: again after ten minutes,
 * and sooner when a token names a key that is not there, since keys change.
 */
#ifndef SERVER_AUTH_KEYRING_H
#define SERVER_AUTH_KEYRING_H

#include "auth/jwks.h"

/** How long keys are used before they are read again. */
#define KEYRING_MS 600000

/** No more often are they read again for a name that is unknown, or that could not be read. */
#define KEYRING_AGAIN_MS 60000

/** The same while there are none at all. */
#define KEYRING_NONE_MS 5000

/** Longest answer of an address, and how long it may take. */
#define KEYRING_MOST ((size_t)256 << 10)
#define KEYRING_WAIT_MS 5000

/** Thread-safe. */
struct keyring;

/**
 * Read the keys. An address that does not answer is told on stderr and asked again later, a file must be
 * there.
 *
 * @param place borrowed for as long as it lives
 * @return 0; CONVO_E_INVALID: an address that is not safe (fetch.h), or a file that holds none; or as fetch()
 *         for a file
 */
int keyring_new(struct keyring **out, const char *place, struct convo_err *err);

/** NULL is fine. */
void keyring_free(struct keyring *ring);

enum keyring_end {
	KEYRING_RIGHT,
	KEYRING_WRONG,
	KEYRING_AWAY /* it cannot be told: the keys, or new ones, could not be read */
};

/** Check a signature. May read the keys again, which one thread does at a time: the others go on. */
enum keyring_end keyring_verify(struct keyring *ring, enum crypto_alg alg, const char *kid,
				struct crypto_bytes signature, struct crypto_bytes text);

#endif
