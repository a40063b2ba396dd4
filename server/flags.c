/*
 * Flags of the server; see flags.h.
 */
#include "flags.h"

#include <string.h>

#include "app/exit.h"
#include "app/stores.h"
#include "auth/keys.h"

#define AT(member) offsetof(struct serve_flags, member)

static const struct flag serve_table[] = {
	{"config", "FILE", "models, and flags by their names, as JSON", NULL, AT(config_path),
	 FLAG_TEXT},
	{"check", NULL, "tell what it would do, and exit", NULL, AT(check), FLAG_BOOL},
	{"listen", "WHERE", "HOST:PORT, [IPV6]:PORT, :PORT for all, unix:PATH, or systemd",
	 "127.0.0.1:8080", AT(listen), FLAG_TEXT},
	{"auth", "WHO", "keys of convo key, jwt: signed tokens, keys,jwt, or none: all are -user",
	 "none", AT(auth), FLAG_TEXT},
	{"jwt-keys", "WHERE", "public keys of who signs tokens: a file or URL, PEM or JWKS", NULL,
	 AT(jwt.keys), FLAG_TEXT},
	{"jwt-issuer", "TEXT", "what tokens have as iss", NULL, AT(jwt.issuer), FLAG_TEXT},
	{"jwt-audience", "TEXT", "what tokens have in aud", NULL, AT(jwt.audience), FLAG_TEXT},
	{"jwt-user", "CLAIM", "the claim that is the user", "sub", AT(jwt.user_claim), FLAG_TEXT},
	{"jwt-app", "CLAIM", "the claim that is the application", "that of -app", AT(jwt.app_claim),
	 FLAG_TEXT},
	{"jwt-rights", "LIST", "most that tokens allow: chat, read, admin, with commas between",
	 "chat,read", AT(jwt_rights), FLAG_TEXT},
	{"jwt-rpm", "N", "most requests a minute of a token's user, on each server; off: no limit",
	 "off", AT(jwt.rpm), FLAG_COUNT},
	{"jwt-tpm", "N", "the same for tokens of models", "off", AT(jwt.tpm), FLAG_COUNT},
	{"host", "NAMES", "names of this server that clients may use, with commas between",
	 "localhost and addresses", AT(hosts), FLAG_TEXT},
	{"origin", "ORIGINS", "web pages that may ask, https://a.example, with commas between",
	 "none", AT(origins), FLAG_TEXT},
	{"tls-cert", "FILE", "certificate for TLS, with those between it and a root (PEM)", NULL,
	 AT(tls_cert), FLAG_TEXT},
	{"tls-key", "FILE", "its private key (PEM)", NULL, AT(tls_key), FLAG_TEXT},
	{"drain", "TIME", "how long what runs may go on after SIGTERM; off: not at all", "30s",
	 AT(drain_ms), FLAG_DURATION},
	{"workers", "N", "most answers that are asked for at once", "64", AT(workers), FLAG_COUNT},
	{"access-log", NULL, "tell each request on stderr, a line of JSON without texts", "false",
	 AT(access_log), FLAG_BOOL},
	{"routes", NULL, NULL, NULL, AT(routes), FLAG_BOOL},       /* for tests: see routes.h */
	{"complete", "WHAT", NULL, NULL, AT(complete), FLAG_TEXT}, /* for the shells: flags */
};

static struct flag_line serve_line(struct flag_table tables[2], struct serve_flags *flags)
{
	const struct flag_table own = {serve_table, sizeof(serve_table) / sizeof(serve_table[0]),
				       flags};
	const struct flag_line line = {"convo serve", tables, 2};

	tables[0] = own;
	tables[1] = common_flags(&flags->common);
	return line;
}

static int serve_flags_wrong(const char *message)
{
	term_error("%s", message);
	return EXIT_USAGE;
}

static int serve_flags_auth(struct serve_flags *flags)
{
	static const char *const ways[] = {"none", "keys", "jwt", "keys,jwt", "jwt,keys"};
	const size_t count = sizeof(ways) / sizeof(ways[0]);
	size_t i = 0;

	while (i < count && strcmp(flags->auth, ways[i]) != 0)
		i++;
	if (i == count) {
		term_error("-auth: '%s' is not keys, jwt, keys,jwt or none", flags->auth);
		return EXIT_USAGE;
	}
	flags->keys = strstr(flags->auth, "keys") != NULL;
	flags->tokens = strstr(flags->auth, "jwt") != NULL;
	return 0;
}

static int serve_flags_jwt(struct serve_flags *flags)
{
	struct jwt_options *jwt = &flags->jwt;

	if (!flags->tokens)
		return jwt->keys || jwt->issuer || jwt->audience
			       ? serve_flags_wrong("-jwt-... go with -auth jwt")
			       : 0;
	if (!jwt->keys || !jwt->issuer || !jwt->audience)
		return serve_flags_wrong(
			"-auth jwt wants -jwt-keys, -jwt-issuer and -jwt-audience");
	if (!rights_read(&jwt->rights, flags->jwt_rights)) {
		term_error("-jwt-rights: '%s' is not chat, read, admin, with commas between",
			   flags->jwt_rights);
		return EXIT_USAGE;
	}
	if (jwt->rpm > KEY_LIMIT_MAX || jwt->tpm > KEY_LIMIT_MAX) {
		term_error("-jwt-rpm, -jwt-tpm: at most %d", KEY_LIMIT_MAX);
		return EXIT_USAGE;
	}
	jwt->rpm = jwt->rpm > 0 ? jwt->rpm : 0;
	jwt->tpm = jwt->tpm > 0 ? jwt->tpm : 0;
	jwt->app = flags->common.app;
	return 0;
}

/* The line is read once more behind the file, so that it is right where both speak. */
static int serve_flags_file(const struct flag_line *line, struct serve_flags *flags, int argc,
			    char **argv)
{
	char **args;
	int count, rc = config_load(&flags->config, flags->config_path);

	if (rc == 0 && flags->common.model && config_has_models(&flags->config))
		rc = config_wrong(&flags->config, "models",
				  "-model and models cannot both name them");
	if (rc == 0)
		rc = config_set_flags(&flags->config, line);
	return rc ? rc : flag_parse(line, argc, argv, &args, &count);
}

static int serve_flags_agree(const struct serve_flags *flags)
{
	if (!flags->tls_cert != !flags->tls_key)
		return serve_flags_wrong("-tls-cert and -tls-key go together");
	if (flags->workers < 1 || flags->workers > 4096)
		return serve_flags_wrong("-workers: 1 to 4096");
	return 0;
}

int serve_flags_parse(struct serve_flags *flags, int argc, char **argv)
{
	struct flag_table tables[2];
	const struct flag_line line = serve_line(tables, flags);
	const struct serve_flags standard = {
		.common = common_standard,
		.listen = "127.0.0.1:8080",
		.auth = "none",
		.jwt = {.user_claim = "sub", .rpm = CONVO_OFF, .tpm = CONVO_OFF},
		.jwt_rights = "chat,read",
		.drain_ms = 30000,
		.workers = 64,
	};
	char **args;
	int rc, count;

	*flags = standard;
	rc = flag_parse(&line, argc, argv, &args, &count);
	if (rc == 0 && count) {
		term_error("unexpected '%s'; convo serve -help lists all", args[0]);
		return EXIT_USAGE;
	}
	if (rc == 0 && flags->config_path && !flags->common.help && !flags->common.version)
		rc = serve_flags_file(&line, flags, argc, argv);
	if (rc == 0)
		rc = serve_flags_auth(flags);
	if (rc == 0)
		rc = serve_flags_jwt(flags);
	return rc ? rc : serve_flags_agree(flags);
}

void serve_flags_clear(struct serve_flags *flags)
{
	config_clear(&flags->config);
}

int serve_flags_complete(const char *what)
{
	struct serve_flags unread;
	struct flag_table tables[2];
	const struct flag_line line = serve_line(tables, &unread);

	if (strcmp(what, "flags") != 0) {
		term_error("-complete: '%s' is not flags", what);
		return EXIT_USAGE;
	}
	flag_names(&line);
	return term_flush() ? 0 : EXIT_FAILED;
}

int serve_flags_help(void)
{
	struct serve_flags unread;
	struct flag_table tables[2];
	const struct flag_line line = serve_line(tables, &unread);
	struct text stores = {0};
	bool ok = stores_list(&stores, ", ", false);

	if (ok) {
		term_say("convo serve - sessions for the clients of OpenAI's API\n"
			 "\n"
			 "usage: convo serve [flags]\n"
			 "\n");
		flag_print(&line, stores.data);
		term_say("\nThe environment names model, keys and stores as for the chat: convo "
			 "-help\n");
	} else {
		term_error("out of memory");
	}
	text_clear(&stores);
	return term_flush() && ok ? 0 : EXIT_FAILED;
}
