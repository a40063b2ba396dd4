/*
 * The flags of `convo serve`, beside those that every program has.
 */
#ifndef SERVER_FLAGS_H
#define SERVER_FLAGS_H

#include "app/flags.h"
#include "auth/jwt.h"

/** What the command line says. Strings are argv's. */
struct serve_flags {
	struct common_flags common;
	const char *listen;             /* as http_listen() takes it */
	const char *auth;               /* "keys", "jwt", both with a comma between, or "none" */
	const char *hosts, *origins;    /* lists, separated by commas; NULL: none */
	const char *tls_cert, *tls_key; /* files; NULL: no TLS */
	int64_t drain_ms, workers;
	bool routes; /* list them, for tests */
	bool access_log;
	bool keys, tokens; /* auth says that */
	struct jwt_options jwt;
	const char *jwt_rights;
	const char *complete; /* what a shell wants to know; NULL: nothing */
};

/** Read the command line. Says on stderr what is wrong. @return 0, or 2 for wrong use. */
int serve_flags_parse(struct serve_flags *flags, int argc, char **argv);

/** Print what a shell completes with: "flags", their names. @return 0 or an exit code */
int serve_flags_complete(const char *what);

/** Print what `convo serve -help` says. @return 0 or an exit code */
int serve_flags_help(void);

#endif
