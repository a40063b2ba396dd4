/*
 * Cryptography; see crypto.h.
 */
#include "auth/crypto.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/fail.h"

#define RSA_LEAST_BITS 2048
#define RSA_MOST_BITS 8192

/* A number of P-256, a key of Ed25519, half a signature of either. */
#define CURVE_SIZE 32

bool crypto_random(void *out, size_t size)
{
	return gnutls_rnd(GNUTLS_RND_KEY, out, size) >= 0;
}

bool crypto_hash(unsigned char out[CRYPTO_HASH_SIZE], const void *bytes, size_t len)
{
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, len, out) >= 0;
}

bool crypto_same(const void *a, const void *b, size_t len)
{
	return gnutls_memcmp(a, b, len) == 0;
}

void crypto_forget(void *bytes, size_t len)
{
	gnutls_memset(bytes, 0, len);
}

/* ---- public keys ---------------------------------------------------------------------- */

struct public_key {
	gnutls_pubkey_t open;
	enum crypto_alg alg;
};

void public_key_free(struct public_key *key)
{
	if (!key)
		return;
	if (key->open)
		gnutls_pubkey_deinit(key->open);
	free(key);
}

enum crypto_alg public_key_alg(const struct public_key *key)
{
	return key->alg;
}

static gnutls_datum_t datum_of(struct crypto_bytes bytes)
{
	/* It is read only, whatever the type says. */
	const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)bytes.data, (unsigned)bytes.len};

	return datum;
}

static struct public_key *key_empty(void)
{
	struct public_key *key = calloc(1, sizeof(*key));

	if (key && gnutls_pubkey_init(&key->open) < 0)
		key->open = NULL;
	if (key && key->open)
		return key;
	free(key);
	return NULL;
}

/* What GnuTLS read is judged by what it is, not by what it is said to be. */
static int key_judge(struct public_key *key, struct convo_err *err)
{
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	unsigned bits = 0;

	switch (gnutls_pubkey_get_pk_algorithm(key->open, &bits)) {
	case GNUTLS_PK_RSA:
		key->alg = CRYPTO_RS256;
		if (bits < RSA_LEAST_BITS || bits > RSA_MOST_BITS)
			return fail(err, CONVO_E_INVALID, "an RSA key of %u bits: %d to %d are",
				    bits, RSA_LEAST_BITS, RSA_MOST_BITS);
		return 0;
	case GNUTLS_PK_ECDSA:
		key->alg = CRYPTO_ES256;
		if (gnutls_pubkey_export_ecc_raw(key->open, &curve, NULL, NULL) >= 0 &&
		    curve == GNUTLS_ECC_CURVE_SECP256R1)
			return 0;
		return fail(err, CONVO_E_INVALID, "a key on another curve than P-256");
	case GNUTLS_PK_EDDSA_ED25519:
		key->alg = CRYPTO_EDDSA;
		return 0;
	default:
		return fail(err, CONVO_E_INVALID, "a key that is not of RSA, P-256 or Ed25519");
	}
}

static int key_import(struct public_key *key, enum crypto_alg alg, struct crypto_bytes a,
		      struct crypto_bytes b)
{
	const gnutls_datum_t one = datum_of(a), two = datum_of(b);

	if (a.len > INT_MAX || b.len > INT_MAX)
		return -1;
	switch (alg) {
	case CRYPTO_RS256:
		return gnutls_pubkey_import_rsa_raw(key->open, &one, &two);
	case CRYPTO_ES256:
		if (a.len != CURVE_SIZE || b.len != CURVE_SIZE)
			return -1;
		return gnutls_pubkey_import_ecc_raw(key->open, GNUTLS_ECC_CURVE_SECP256R1, &one,
						    &two);
	case CRYPTO_EDDSA:
		if (a.len != CURVE_SIZE)
			return -1;
		return gnutls_pubkey_import_ecc_raw(key->open, GNUTLS_ECC_CURVE_ED25519, &one,
						    NULL);
	}
	return -1;
}

/* Hands out a key that was read; what is none is freed. */
static int key_give(struct public_key **out, struct public_key *key, bool read,
		    struct convo_err *err)
{
	int rc = read ? key_judge(key, err) : fail(err, CONVO_E_INVALID, "no public key");

	if (rc < 0)
		public_key_free(key);
	else
		*out = key;
	return rc;
}

int public_key_new(struct public_key **out, enum crypto_alg alg, struct crypto_bytes a,
		   struct crypto_bytes b, struct convo_err *err)
{
	struct public_key *key = key_empty();

	if (!key)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	return key_give(out, key, key_import(key, alg, a, b) >= 0, err);
}

static bool key_read_certificate(struct public_key *key, const gnutls_datum_t *pem)
{
	gnutls_x509_crt_t certificate;
	bool ok;

	if (gnutls_x509_crt_init(&certificate) < 0)
		return false;
	ok = gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM) >= 0 &&
	     gnutls_pubkey_import_x509(key->open, certificate, 0) >= 0;
	gnutls_x509_crt_deinit(certificate);
	return ok;
}

int public_key_read_pem(struct public_key **out, const char *text, size_t len,
			struct convo_err *err)
{
	const struct crypto_bytes bytes = {text, len};
	const gnutls_datum_t pem = datum_of(bytes);
	struct public_key *key = len > INT_MAX ? NULL : key_empty();

	if (!key)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	return key_give(out, key,
			gnutls_pubkey_import(key->open, &pem, GNUTLS_X509_FMT_PEM) >= 0 ||
				key_read_certificate(key, &pem),
			err);
}

/* ---- signatures ----------------------------------------------------------------------- */

/* JWS has the two numbers of an ECDSA signature side by side (RFC 7518, 3.4), GnuTLS wants them in DER. */
static bool verify_ecdsa(gnutls_pubkey_t key, const gnutls_datum_t *signature,
			 const gnutls_datum_t *text)
{
	const gnutls_datum_t r = {signature->data, CURVE_SIZE};
	const gnutls_datum_t s = {signature->data + CURVE_SIZE, CURVE_SIZE};
	gnutls_datum_t der = {0};
	bool ok;

	if (gnutls_encode_rs_value(&der, &r, &s) < 0)
		return false;
	ok = gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_ECDSA_SHA256, 0, text, &der) >= 0;
	gnutls_free(der.data);
	return ok;
}

bool public_key_verify(const struct public_key *key, struct crypto_bytes signature,
		       struct crypto_bytes text)
{
	const gnutls_datum_t sign = datum_of(signature), data = datum_of(text);

	if (signature.len > INT_MAX || text.len > INT_MAX)
		return false;
	if (key->alg != CRYPTO_RS256 && signature.len != 2 * CURVE_SIZE)
		return false;
	switch (key->alg) {
	case CRYPTO_RS256:
		return gnutls_pubkey_verify_data2(key->open, GNUTLS_SIGN_RSA_SHA256, 0, &data,
						  &sign) >= 0;
	case CRYPTO_ES256:
		return verify_ecdsa(key->open, &sign, &data);
	case CRYPTO_EDDSA:
		return gnutls_pubkey_verify_data2(key->open, GNUTLS_SIGN_EDDSA_ED25519, 0, &data,
						  &sign) >= 0;
	}
	return false;
}
