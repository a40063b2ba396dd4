/*
 * Store URLs: scheme://user:password@host:port/path?name=value&name=value (RFC 3986), percent
 * decoded, and the short form scheme:path.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stddef.h>

#include <base/fail.h>

#define URL_PARAMS 32

struct cv_url {
	char *scheme; /* lower case */
	char *user;   /* NULL when absent, like the others */
	char *password;
	char *host; /* as written, without the brackets of an IPv6 address; may be a list:
	                   "a:1,b:2" is left whole when it holds a comma */
	int port;   /* 0 when absent */
	char *path; /* decoded, with its leading '/', or after "scheme:" in the short form */
	size_t count;
	struct {
		char *name, *value;
	} param[URL_PARAMS];
	char *memory; /* holds all of the above */
};

/** @return 0, CONVO_E_INVALID (the text never repeats the URL: it may hold a password), NOMEM */
int cv_url_parse(struct cv_url *out, const char *text, struct convo_err *err);

/** The last parameter of that name, or NULL. */
const char *cv_url_param(const struct cv_url *url, const char *name);

/** Forget it, wiping the password. */
void cv_url_clear(struct cv_url *url);

#endif
