/*
 * What is done with GnuTLS, which the HTTP library brings along: random bytes, hashes, comparing, and public
 * keys that signatures are checked with. The one place that includes its headers.
 */
#ifndef SERVER_AUTH_CRYPTO_H
#define SERVER_AUTH_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include <convo/err.h>

/** SHA-256, in bytes. */
#define CRYPTO_HASH_SIZE 32

/** Random bytes for secrets. @return success */
bool crypto_random(void *out, size_t size);

/** SHA-256. @return success */
bool crypto_hash(unsigned char out[CRYPTO_HASH_SIZE], const void *bytes, size_t len);

/** Whether bytes are equal, in a time that does not tell where they differ. */
bool crypto_same(const void *a, const void *b, size_t len);

/** Overwrite a secret. */
void crypto_forget(void *bytes, size_t len);

/** How something is signed. No other way is taken. */
enum crypto_alg {
	CRYPTO_RS256, /* RSA with SHA-256, 2,048 bits at least */
	CRYPTO_ES256, /* ECDSA on P-256 with SHA-256 */
	CRYPTO_EDDSA  /* on Ed25519 */
};

/** A public key: each kind fits one alg. Immutable, thread-safe. */
struct public_key;

/** Bytes. Borrowed. */
struct crypto_bytes {
	const void *data;
	size_t len;
};

/**
 * Make a key of its numbers.
 *
 * @param a,b RSA: n and e. P-256: x and y. Ed25519: x and nothing
 * @return 0; CONVO_E_INVALID: it is none, or too weak; CONVO_E_NOMEM
 */
int public_key_new(struct public_key **out, enum crypto_alg alg, struct crypto_bytes a,
		   struct crypto_bytes b, struct convo_err *err);

/** Read one PEM block, of a public key or a certificate. @return as public_key_new() */
int public_key_read_pem(struct public_key **out, const char *text, size_t len,
			struct convo_err *err);

/** NULL is fine. */
void public_key_free(struct public_key *key);

/** What it is for. */
enum crypto_alg public_key_alg(const struct public_key *key);

/** Whether the signature, as JWS has it, is this key's of these bytes. */
bool public_key_verify(const struct public_key *key, struct crypto_bytes signature,
		       struct crypto_bytes text);

#endif
