/*
 * Store URLs: scheme://user:password@host:port/path?name=value&name=value (RFC 3986), percent
 * decoded, and the short form scheme:path.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stddef.h>

#include <base/fail.h>
#include <base/text.h>

#define URL_PARAMS 32

struct cv_url {
	char *scheme; /* lower case */
	char *user;   /* NULL when absent, like the others */
	char *password;
	char *host; /* without the brackets of an IPv6 address; with a comma it is a list, left
	             * as it was written: "a:1,[::1]:2" */
	int port;   /* 0 when absent, and for a list */
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

/** One host. */
struct cv_url_host {
	struct cv_text name; /* without the brackets of an IPv6 address; may be empty */
	int port;            /* 0 when absent */
};

/**
 * The host with that number, from 0, of a list "a:1,[::1]:2,c". Names that begin with '/', of
 * directories, may have a port too.
 *
 * @return 1; 0: the list is not so long; CONVO_E_INVALID, with the reason that cv_url_parse() gives
 */
int cv_url_host_in(const char *list, size_t i, struct cv_url_host *out, struct convo_err *err);

/** The same for the host of a URL, which may be a list. A URL without a host has none. */
int cv_url_host_at(const struct cv_url *url, size_t i, struct cv_url_host *out);

/** Forget it, wiping the password. */
void cv_url_clear(struct cv_url *url);

#endif
