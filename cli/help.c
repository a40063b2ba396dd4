/*
 * What the program tells about itself; see help.h. What there is to say of stores is the library's
 * table of backends.
 */
#include "help.h"

#include <string.h>

#include "app/exit.h"
#include "app/flags.h"
#include "app/stores.h"
#include "term/term.h"

static const char help_usage[] =
	"convo - chat with a language model, in sessions that last\n"
	"\n"
	"usage: convo [flags]                  chat\n"
	"       convo [flags] -p TEXT          ask once\n"
	"       convo [flags] < script         one message or command per line\n"
	"       convo schema %s   print the SQL that makes a database ready\n"
	"\n"
	"Flags take one or two dashes, -x VALUE or -x=VALUE; switches are -x, -x=true, -x=false.\n"
	"A flag wins over the environment.\n"
	"\n";

static const char help_rest[] =
	"  %-43s certificates to trust, for the system's\n"
	"  %-43s no colours\n"
	"\n"
	"exit codes: 0 done, 1 failed, 2 wrong use or missing settings, 3 store unreachable,\n"
	"            4 model unreachable or refused, 130 interrupted\n"
	"\n"
	"In the chat, /help lists the commands.\n";

/* What goes before and after a list of a backend's variables, and what is told of each. */
static bool help_variables(struct text *out, const struct convo_backend *backend, bool standards)
{
	const struct convo_backend_variable *var;
	bool ok = true;
	size_t i;

	for (i = 0; ok && (var = convo_backend_variable_at(backend, i)); i++) {
		const char *text = !standards ? var->name : var->standard ? var->standard : "''";

		ok = text_addf(out, "%s%s%s", i ? " " : "",
			       standards && var->part == CONVO_PART_PATH ? "$XDG_DATA_HOME/convo/"
									 : "",
			       text);
	}
	return ok;
}

/* A backend's variables, its name, and what holds without them. */
static bool help_backend(const struct convo_backend *backend)
{
	struct text names = {0}, standards = {0};
	bool ok =
		help_variables(&names, backend, false) && help_variables(&standards, backend, true);

	if (ok && names.len) {
		term_say("  %-43s", names.data);
		if (names.len > 43)
			term_say("\n%45s", "");
		term_say(" -session %s", backend->name);
		if (names.len > 43)
			term_say("\n%45s", "");
		term_say(" (%s)%s\n", standards.data,
			 convo_backend_is_built(backend) ? "" : " not in this build");
	}
	text_clear(&names);
	text_clear(&standards);
	return ok;
}

int help_print(void)
{
	const struct convo_backend *backend;
	struct text stores = {0}, schemas = {0};
	bool ok = stores_list(&stores, ", ", false) && stores_list(&schemas, "|", true);
	size_t i;

	if (ok) {
		term_say(help_usage, schemas.data);
		flags_print(stores.data);
		term_say("\nenvironment:\n  %-43s the model (https://api.openai.com/v1)\n",
			 "OPENAI_API_KEY OPENAI_BASE_URL MODEL_NAME");
		for (i = 0; ok && (backend = convo_backend_at(i)); i++)
			ok = help_backend(backend);
		term_say(help_rest, "SSL_CERT_FILE", "NO_COLOR, TERM=dumb");
	}
	text_clear(&stores);
	text_clear(&schemas);
	if (!ok)
		term_error("out of memory");
	return term_flush() && ok ? 0 : EXIT_FAILED;
}

static bool complete_backends(void)
{
	const struct convo_backend *backend;
	size_t i;
	bool ok = true;

	for (i = 0; ok && (backend = convo_backend_at(i)); i++) {
		struct text names = {0};

		ok = text_adds(&names, "") && help_variables(&names, backend, false);
		term_say("%s\t%s\t%s\t%s\n", backend->name, backend->scheme, backend->title,
			 names.data ? names.data : "");
		text_clear(&names);
	}
	return ok;
}

int help_complete(const char *what)
{
	struct text words = {0};
	bool ok = true;

	if (!strcmp(what, "flags"))
		flags_names();
	else if (!strcmp(what, "backends"))
		ok = complete_backends();
	else if (!strcmp(what, "stores") || !strcmp(what, "schemas"))
		ok = stores_list(&words, "\n", !strcmp(what, "schemas"));
	else {
		term_error("-complete: '%s' is not flags, stores, schemas or backends", what);
		return EXIT_USAGE;
	}
	if (words.len)
		term_say("%s\n", words.data);
	text_clear(&words);
	return term_flush() && ok ? 0 : EXIT_FAILED;
}
