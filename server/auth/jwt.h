/*
 * JSON Web Tokens (RFC 7519): whose requests these are by what an identity provider has signed. Three ways to
 * sign are taken (crypto.h); "none" and those with a shared secret are not, whatever a token says.
 */
#ifndef SERVER_AUTH_JWT_H
#define SERVER_AUTH_JWT_H

#include "http/request.h"

/** How tokens are checked, and what they give. Strings are borrowed for as long as it lives. */
struct jwt_options {
	const char *keys;       /* a file or an address: keyring.h */
	const char *issuer;     /* their claim iss */
	const char *audience;   /* in their claim aud */
	const char *user_claim; /* names the user */
	const char *app_claim;  /* names the application; NULL: it is `app` */
	const char *app;
	unsigned rights;  /* the most that a token gives */
	int64_t rpm, tpm; /* requests and tokens a minute of each user; 0: no limit */
};

/** Clocks may differ by this. */
#define JWT_LEEWAY_S 60

/** Longest token. */
#define JWT_MOST 8192

/** Thread-safe. */
struct jwt;

/** Make one; reads the keys. @return as keyring_new() */
int jwt_new(struct jwt **out, const struct jwt_options *options, struct convo_err *err);

/** NULL is fine. */
void jwt_free(struct jwt *jwt);

enum jwt_end {
	JWT_FINE,
	JWT_NONE, /* it is no token, or nobody's whom we trust: nothing in it is believed */
	JWT_AWAY, /* the keys cannot be had */
	/* Signed as it must be, and: */
	JWT_EXPIRED,
	JWT_EARLY,    /* it is not valid yet */
	JWT_ISSUER,   /* of another one */
	JWT_AUDIENCE, /* for somebody else */
	JWT_CLAIMS    /* a claim is missing, or names what is no name */
};

/**
 * Check a token. May block for as long as its keys are read.
 *
 * @param now_s Unix time
 * @param who   what it gives, if it is fine
 */
enum jwt_end jwt_check(struct jwt *jwt, const char *token, int64_t now_s, struct http_who *who);

#endif
