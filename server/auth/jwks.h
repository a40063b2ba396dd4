/*
 * Sets of public keys as those who sign tokens publish them: a JWKS or one JWK (RFC 7517), or PEM blocks of
 * keys and certificates.
 */
#ifndef SERVER_AUTH_JWKS_H
#define SERVER_AUTH_JWKS_H

#include "auth/crypto.h"

/** Most keys of a set. */
#define JWKS_MOST 100

/** Immutable; thread-safe. */
struct jwks;

/**
 * Read a set. Of a JWKS keys that cannot be used are left out, as the RFC wants it: other kinds, those to
 * encrypt with, weak ones, symmetric ones. In PEM each must be one that can be.
 *
 * @param text NUL-terminated
 * @return 0; CONVO_E_INVALID: the text says what is wrong, or that no key can be used; CONVO_E_NOMEM
 */
int jwks_read(struct jwks **out, const char *text, size_t len, struct convo_err *err);

/** One more owner. */
struct jwks *jwks_ref(struct jwks *jwks);

/** One less; the last one frees it. NULL is fine. */
void jwks_unref(struct jwks *jwks);

enum jwks_end {
	JWKS_RIGHT,
	JWKS_WRONG,  /* there is such a key, and the signature is not its */
	JWKS_UNKNOWN /* there is no such key */
};

/**
 * Check a signature.
 *
 * @param kid names the key; NULL: any of its kind. Keys without a name, as in PEM, stand for every name
 */
enum jwks_end jwks_verify(const struct jwks *jwks, enum crypto_alg alg, const char *kid,
			  struct crypto_bytes signature, struct crypto_bytes text);

#endif
