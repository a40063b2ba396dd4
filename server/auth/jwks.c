/*
 * Sets of keys; see jwks.h.
 */
#include "auth/jwks.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64url.h"
#include "core/fail.h"
#include "core/json.h"

/* Bytes of the longest number in a key: RSA of 8,192 bits. */
#define NUMBER_MOST 1024

struct jwk {
	struct public_key *key;
	char *kid; /* NULL: it has no name */
};

struct jwks {
	atomic_int refs;
	size_t count;
	struct jwk list[JWKS_MOST];
};

struct jwks *jwks_ref(struct jwks *jwks)
{
	atomic_fetch_add(&jwks->refs, 1);
	return jwks;
}

void jwks_unref(struct jwks *jwks)
{
	size_t i;

	if (!jwks || atomic_fetch_sub(&jwks->refs, 1) != 1)
		return;
	for (i = 0; i < jwks->count; i++) {
		public_key_free(jwks->list[i].key);
		free(jwks->list[i].kid);
	}
	free(jwks);
}

/* Takes the key, also when there is no room for it. */
static int jwks_add(struct jwks *jwks, struct public_key *key, const char *kid,
		    struct convo_err *err)
{
	struct jwk one = {key, kid ? strdup(kid) : NULL};

	if (jwks->count < JWKS_MOST && (!kid || one.kid)) {
		jwks->list[jwks->count++] = one;
		return 0;
	}
	public_key_free(key);
	free(one.kid);
	if (jwks->count < JWKS_MOST)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	return fail(err, CONVO_E_INVALID, "more than %d keys", JWKS_MOST);
}

/* ---- JWK ------------------------------------------------------------------------------ */

static const struct {
	const char *kty, *crv; /* NULL: there is none */
	enum crypto_alg alg;
	const char *name;
	const char *a, *b; /* members that are its numbers */
} jwk_kinds[] = {
	{"RSA", NULL, CRYPTO_RS256, "RS256", "n", "e"},
	{"EC", "P-256", CRYPTO_ES256, "ES256", "x", "y"},
	{"OKP", "Ed25519", CRYPTO_EDDSA, "EdDSA", "x", NULL},
};

#define KINDS (sizeof(jwk_kinds) / sizeof(jwk_kinds[0]))

static bool jwk_says(const json_t *jwk, const char *name, const char *value)
{
	const char *said = json_string_at(jwk, name);

	return said && !strcmp(said, value);
}

static bool jwk_has_purpose(const json_t *jwk, size_t kind)
{
	const json_t *ops = json_object_get(jwk, "key_ops");
	size_t i;

	if ((json_object_get(jwk, "use") && !jwk_says(jwk, "use", "sig")) ||
	    (json_object_get(jwk, "alg") && !jwk_says(jwk, "alg", jwk_kinds[kind].name)))
		return false;
	for (i = 0; i < json_array_size(ops); i++) {
		const char *op = json_string_value(json_array_get(ops, i));

		if (op && !strcmp(op, "verify"))
			return true;
	}
	return !ops;
}

/* The kind of a key that can be used; else KINDS. */
static size_t jwk_kind(const json_t *jwk)
{
	size_t i;

	for (i = 0; i < KINDS; i++)
		if (jwk_says(jwk, "kty", jwk_kinds[i].kty) &&
		    (!jwk_kinds[i].crv || jwk_says(jwk, "crv", jwk_kinds[i].crv)))
			break;
	return i < KINDS && jwk_has_purpose(jwk, i) ? i : KINDS;
}

static bool jwk_number(struct crypto_bytes *out, unsigned char *room, const json_t *jwk,
		       const char *name)
{
	const char *text = name ? json_string_at(jwk, name) : "";
	const size_t len = text ? strlen(text) : 0;

	out->data = room;
	return text && len <= BASE64URL_LEN(NUMBER_MOST) &&
	       base64url_decode(room, &out->len, text, len);
}

static int jwks_add_jwk(struct jwks *jwks, const json_t *jwk, struct convo_err *err)
{
	unsigned char rooms[2][NUMBER_MOST + 2];
	struct crypto_bytes a = {0}, b = {0};
	struct public_key *key = NULL;
	const size_t kind = jwk_kind(jwk);
	struct convo_err why;

	if (kind == KINDS || !jwk_number(&a, rooms[0], jwk, jwk_kinds[kind].a) ||
	    !jwk_number(&b, rooms[1], jwk, jwk_kinds[kind].b))
		return 0;
	if (public_key_new(&key, jwk_kinds[kind].alg, a, b, &why) == 0)
		return jwks_add(jwks, key, json_string_at(jwk, "kid"), err);
	return why.code == CONVO_E_NOMEM ? fail(err, why.code, "%s", why.text) : 0;
}

static int jwks_read_json(struct jwks *jwks, const char *text, size_t len, struct convo_err *err)
{
	json_t *root = json_read(text, len, err);
	const json_t *keys = json_object_get(root, "keys");
	size_t i;
	int rc = 0;

	if (!root)
		return CONVO_E_INVALID;
	if (!keys)
		rc = jwks_add_jwk(jwks, root, err);
	for (i = 0; rc == 0 && i < json_array_size(keys); i++)
		rc = jwks_add_jwk(jwks, json_array_get(keys, i), err);
	json_decref(root);
	return rc;
}

/* ---- PEM ------------------------------------------------------------------------------ */

static int jwks_read_pem(struct jwks *jwks, const char *text, struct convo_err *err)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	const char *from = text, *to;
	struct public_key *key;
	int rc = 0;

	while (rc == 0 && (from = strstr(from, begin)) && (to = strstr(from, end))) {
		to += strcspn(to, "\n");
		if (strstr(from, "PRIVATE KEY-----") && strstr(from, "PRIVATE KEY-----") < to)
			return fail(err, CONVO_E_INVALID,
				    "a private key, where the public one is wanted");
		rc = public_key_read_pem(&key, from, (size_t)(to - from), err);
		if (rc == 0)
			rc = jwks_add(jwks, key, NULL, err);
		from = to;
	}
	return rc;
}

int jwks_read(struct jwks **out, const char *text, size_t len, struct convo_err *err)
{
	struct jwks *jwks = calloc(1, sizeof(*jwks));
	int rc;

	if (!jwks)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	atomic_init(&jwks->refs, 1);
	if (text[strspn(text, " \t\r\n")] == '{')
		rc = jwks_read_json(jwks, text, len, err);
	else
		rc = jwks_read_pem(jwks, text, err);
	if (rc == 0 && !jwks->count)
		rc = fail(err, CONVO_E_INVALID,
			  "no public key in it can be used: RSA, P-256 and Ed25519 can be, as PEM "
			  "or JWKS");
	if (rc < 0)
		jwks_unref(jwks);
	else
		*out = jwks;
	return rc;
}

/* ---- checking ------------------------------------------------------------------------- */

enum jwks_end jwks_verify(const struct jwks *jwks, enum crypto_alg alg, const char *kid,
			  struct crypto_bytes signature, struct crypto_bytes text)
{
	enum jwks_end end = JWKS_UNKNOWN;
	size_t i;

	for (i = 0; i < jwks->count; i++) {
		const struct jwk *one = &jwks->list[i];

		if (public_key_alg(one->key) != alg ||
		    (kid && one->kid && strcmp(kid, one->kid) != 0))
			continue;
		if (public_key_verify(one->key, signature, text))
			return JWKS_RIGHT;
		end = JWKS_WRONG;
	}
	return end;
}
