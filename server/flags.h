/*
 * The flags of `convo serve`, beside those that every program has.
 */
#ifndef SERVER_FLAGS_H
#define SERVER_FLAGS_H

#include "app/flags.h"
#include "auth/jwt.h"
#include "config.h"

/** What the command line says, and a file that it names. Strings are theirs. */
struct serve_flags {
	struct common_flags common;
	const char *listen;             /* as http_listen() takes it */
	const char *auth;               /* "keys", "jwt", both with a comma between, or "none" */
	const char *hosts, *origins;    /* lists, separated by commas; NULL: none */
	const char *tls_cert, *tls_key; /* files; NULL: no TLS */
	int64_t drain_ms, workers;
	const char *config_path; /* NULL: none */
	struct config config;    /* what it says; all-zero: none */
	bool check;
	bool routes; /* list them, for tests */
	bool access_log;
	bool keys, tokens; /* auth says that */
	struct jwt_options jwt;
	const char *jwt_rights;
	const char *complete; /* what a shell wants to know; NULL: nothing */
};

/**
 * Read the command line, and the file that -config names: where both speak, the command line is right. Says on
 * stderr what is wrong.
 *
 * @return 0, or 2 for wrong use; clear it in any case
 */
int serve_flags_parse(struct serve_flags *flags, int argc, char **argv);

void serve_flags_clear(struct serve_flags *flags);

/** Print what a shell completes with: "flags", their names. @return 0 or an exit code */
int serve_flags_complete(const char *what);

/** Print what `convo serve -help` says. @return 0 or an exit code */
int serve_flags_help(void);

#endif
