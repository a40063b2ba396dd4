/*
 * Tokens; see jwt.h.
 */
#include "auth/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keyring.h"
#include "auth/rights.h"
#include "auth/who.h"
#include "core/base64url.h"
#include "core/fail.h"
#include "core/json.h"

/* Before a right in a claim that has words of others, too. */
#define SCOPE_PREFIX "convo:"

struct jwt {
	struct jwt_options options;
	struct keyring *ring;
};

int jwt_new(struct jwt **out, const struct jwt_options *options, struct convo_err *err)
{
	struct jwt *jwt = calloc(1, sizeof(*jwt));
	int rc;

	if (!jwt)
		return fail(err, CONVO_E_NOMEM, "out of memory");
	jwt->options = *options;
	rc = keyring_new(&jwt->ring, options->keys, err);
	if (rc < 0)
		jwt_free(jwt);
	else
		*out = jwt;
	return rc;
}

void jwt_free(struct jwt *jwt)
{
	if (!jwt)
		return;
	keyring_free(jwt->ring);
	free(jwt);
}

/* ---- the signature -------------------------------------------------------------------- */

/* A part of a token as an object; NULL: it is none. */
static json_t *part_read(const char *text, size_t len)
{
	char *bytes = malloc(len + 1);
	json_t *value = NULL;
	size_t size = 0;

	if (bytes && base64url_decode(bytes, &size, text, len))
		value = json_read(bytes, size, NULL);
	free(bytes);
	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

static bool alg_of(enum crypto_alg *out, const char *name)
{
	static const struct {
		const char *name;
		enum crypto_alg alg;
	} algs[] = {{"RS256", CRYPTO_RS256}, {"ES256", CRYPTO_ES256}, {"EdDSA", CRYPTO_EDDSA}};
	size_t i;

	for (i = 0; name && i < sizeof(algs) / sizeof(algs[0]); i++)
		if (!strcmp(name, algs[i].name)) {
			*out = algs[i].alg;
			return true;
		}
	return false;
}

/*
 * Which key may have signed is ours to say: keys and addresses of keys in a head are not looked at, and
 * what it declares to be critical (crit) is not known here.
 */
static enum jwt_end head_verify(struct jwt *jwt, const json_t *head, struct crypto_bytes signature,
				struct crypto_bytes text)
{
	const json_t *kid = json_object_get(head, "kid");
	enum crypto_alg alg;

	if (!alg_of(&alg, json_string_at(head, "alg")) || json_object_get(head, "crit") ||
	    (kid && !json_is_string(kid)))
		return JWT_NONE;
	switch (keyring_verify(jwt->ring, alg, json_string_value(kid), signature, text)) {
	case KEYRING_RIGHT:
		return JWT_FINE;
	case KEYRING_AWAY:
		return JWT_AWAY;
	case KEYRING_WRONG:
		break;
	}
	return JWT_NONE;
}

/* What a token claims once its signature is right: head, claims and signature with dots between. */
static enum jwt_end token_read(json_t **claims, struct jwt *jwt, const char *token)
{
	const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	unsigned char signature[JWT_MOST];
	struct crypto_bytes said = {.data = signature}, text = {.data = token};
	enum jwt_end end;
	json_t *head;

	if (!second || strlen(token) > JWT_MOST ||
	    !base64url_decode(signature, &said.len, second + 1, strlen(second + 1)))
		return JWT_NONE;
	head = part_read(token, (size_t)(first - token));
	if (!head)
		return JWT_NONE;
	text.len = (size_t)(second - token);
	end = head_verify(jwt, head, said, text);
	json_decref(head);
	if (end != JWT_FINE)
		return end;
	*claims = part_read(first + 1, (size_t)(second - first - 1));
	return *claims ? JWT_FINE : JWT_CLAIMS;
}

/* ---- what it claims ------------------------------------------------------------------- */

static bool says(const json_t *value, const char *wanted)
{
	return json_is_string(value) && !strcmp(json_string_value(value), wanted);
}

static bool holds(const json_t *value, const char *wanted)
{
	size_t i;

	for (i = 0; i < json_array_size(value); i++)
		if (says(json_array_get(value, i), wanted))
			return true;
	return says(value, wanted);
}

static enum jwt_end claims_hold(const struct jwt_options *options, const json_t *claims,
				int64_t now_s)
{
	const json_t *expires = json_object_get(claims, "exp");
	const json_t *begins = json_object_get(claims, "nbf");
	const double now = (double)now_s;

	if (!says(json_object_get(claims, "iss"), options->issuer))
		return JWT_ISSUER;
	if (!holds(json_object_get(claims, "aud"), options->audience))
		return JWT_AUDIENCE;
	if (!json_is_number(expires) || (begins && !json_is_number(begins)))
		return JWT_CLAIMS;
	if (now >= json_number_value(expires) + JWT_LEEWAY_S)
		return JWT_EXPIRED;
	return begins && now < json_number_value(begins) - JWT_LEEWAY_S ? JWT_EARLY : JWT_FINE;
}

/* The rights among words with blanks or commas between. */
static unsigned rights_among(const char *words)
{
	static const char between[] = " ,";
	unsigned found = 0, one;
	char word[32];
	size_t len;

	for (words += strspn(words, between); *words; words += strspn(words, between)) {
		len = strcspn(words, between);
		if (len < sizeof(word)) {
			const size_t prefix = sizeof(SCOPE_PREFIX) - 1;

			memcpy(word, words, len);
			word[len] = '\0';
			if (rights_read(&one,
					strncmp(word, SCOPE_PREFIX, prefix) ? word : word + prefix))
				found |= one;
		}
		words += len;
	}
	return found;
}

/* A token that speaks of rights has those; one that does not has all that tokens may have. */
static unsigned claims_rights(const struct jwt_options *options, const json_t *claims)
{
	static const char *const names[] = {"rights", "scope", "scp"};
	const json_t *value = NULL;
	unsigned found = 0;
	size_t i;

	for (i = 0; !value && i < sizeof(names) / sizeof(names[0]); i++)
		value = json_object_get(claims, names[i]);
	if (!value)
		return options->rights;
	if (json_is_string(value))
		found = rights_among(json_string_value(value));
	for (i = 0; i < json_array_size(value); i++) {
		const char *word = json_string_value(json_array_get(value, i));

		found |= word ? rights_among(word) : 0;
	}
	return found & options->rights;
}

/* What logs and limits call a user: neither a name nor a token, and of keys there is none like it. */
static bool claims_name(struct http_who *who)
{
	unsigned char hash[CRYPTO_HASH_SIZE];
	char both[2 * (CONVO_MAX_NAME + 1)], text[BASE64URL_LEN(CRYPTO_HASH_SIZE) + 1];
	const size_t app = strlen(who->app) + 1, user = strlen(who->user);

	memcpy(both, who->app, app);
	memcpy(both + app, who->user, user);
	if (!crypto_hash(hash, both, app + user))
		return false;
	base64url_encode(text, hash, sizeof(hash));
	snprintf(who->key, sizeof(who->key), "jwt_%.11s", text);
	return true;
}

static bool claims_who(const struct jwt_options *options, const json_t *claims,
		       struct http_who *who)
{
	const char *user = json_string_at(claims, options->user_claim);
	const char *app =
		options->app_claim ? json_string_at(claims, options->app_claim) : options->app;

	if (!user || !app || who_check(app, user, NULL) < 0)
		return false;
	snprintf(who->app, sizeof(who->app), "%s", app);
	snprintf(who->user, sizeof(who->user), "%s", user);
	who->rights = claims_rights(options, claims);
	return claims_name(who);
}

enum jwt_end jwt_check(struct jwt *jwt, const char *token, int64_t now_s, struct http_who *who)
{
	json_t *claims = NULL;
	enum jwt_end end = token_read(&claims, jwt, token);

	if (end == JWT_FINE)
		end = claims_hold(&jwt->options, claims, now_s);
	if (end == JWT_FINE && !claims_who(&jwt->options, claims, who))
		end = JWT_CLAIMS;
	json_decref(claims);
	return end;
}
