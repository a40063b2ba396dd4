/*
 * convo: chat with a language model in sessions that last. Here the command line is told apart;
 * the work is done elsewhere.
 */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convo/version.h>

#include "app/app.h"
#include "ask.h"
#include "chat.h"
#include "command/command.h"
#include "check.h"
#include "help.h"
#include "serve.h"
#include "app/stores.h"
#include "term/signals.h"
#include "term/term.h"

/* Widths and encoding are those of UTF-8, also where no locale was chosen. */
static void set_locale(void)
{
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 4)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* A standard descriptor that is closed would become the next file or socket we open, and what is
 * said would be written into it. What stands in for it fails, as a closed one does. */
static bool fill_descriptors(void)
{
	int fd = STDIN_FILENO;

	while (fd >= 0 && fd <= STDERR_FILENO) {
		if (fcntl(fd, F_GETFD) >= 0)
			fd++;
		else
			fd = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
	return fd >= 0;
}

static int print_schema(const struct flags *flags)
{
	const char *name = flags->arg_count == 2 ? flags->args[1] : "";
	struct convo_err err = {0};
	struct text list = {0};
	char *sql = NULL;

	if (flags->arg_count != 2) {
		if (stores_list(&list, "|", true))
			term_error("usage: convo schema %s", list.data);
		text_clear(&list);
		return EXIT_USAGE;
	}
	if (convo_store_schema(&sql, name, flags->common.table_prefix, &err) < 0) {
		term_error("schema %s: %s", name, err.text);
		return err.code == CONVO_E_NOMEM ? EXIT_FAILED : EXIT_USAGE;
	}
	fputs(sql, stdout);
	convo_free(sql);
	return term_flush() ? 0 : EXIT_FAILED;
}

static int wrong_use(const struct flags *flags)
{
	const char *word = flags->args[0];

	if (!strcmp(word, "serve") || !strcmp(word, "key") || !strcmp(word, "stats"))
		term_error("%s comes first: convo %s [flags]", word, word);
	else if (!strcmp(word, "true") || !strcmp(word, "false"))
		term_error("what is '%s' for? A switch is written -x=%s", word, word);
	else
		term_error(
			"unexpected '%s'; to ask once: convo -p \"...\", and convo -help lists all",
			word);
	return EXIT_USAGE;
}

static int run(struct app *app, const struct flags *flags)
{
	int rc;

	if (flags->common.help)
		return help_print();
	if (flags->complete)
		return help_complete(flags->complete);
	if (flags->common.version) {
		term_say("convo %s\n", convo_version());
		return term_flush() ? 0 : EXIT_FAILED;
	}
	if (flags->arg_count && !strcmp(flags->args[0], "schema"))
		return print_schema(flags);
	if (flags->arg_count)
		return wrong_use(flags);
	if (flags->check)
		return check_run(app, flags);
	if (flags->json && !flags->ask) {
		term_error("-json goes with -p: convo -json -p \"...\"");
		return EXIT_USAGE;
	}
	if (flags->follow && (flags->ask || flags->resume)) {
		term_error("-follow asks nothing: it goes without -p and -c");
		return EXIT_USAGE;
	}
	if (flags->follow && !name_is_fine("follow", flags->follow))
		return EXIT_USAGE;
	rc = app_open(app, flags);
	if (rc)
		return rc;
	if (flags->follow)
		return follow_run(app, flags->follow);
	return flags->ask ? ask_run(app) : chat_run(app);
}

int main(int argc, char **argv)
{
	struct flags flags;
	struct app app = {0};
	int rc;

	if (!fill_descriptors())
		return EXIT_FAILED;
	set_locale();
	signals_ignore();
	if (argc > 1 && !strcmp(argv[1], "serve"))
		return serve_run(argv + 1);
	if (argc > 1 && (!strcmp(argv[1], "key") || !strcmp(argv[1], "stats")))
		return serve_run(argv);
	term_open();
	rc = flags_parse(&flags, argc, argv);
	term_set_color(flags.color);
	if (rc)
		goto out;
	rc = run(&app, &flags);
out:
	app_close(&app);
	term_close();
	return rc;
}
