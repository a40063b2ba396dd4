/*
 * -check; see check.h.
 */
#include "check.h"

#include <string.h>

#include "term/signals.h"
#include "term/term.h"

static void check_line(const char *what, const char *text)
{
	term_say("%-7s", what);
	term_show_line(text, 0);
	term_say("\n");
	term_flush();
}

/* The key itself is never shown. */
static int check_key(const struct app *app)
{
	const struct convo_model_options *opts = &app->settings.model_options;

	if (!strcmp(app->settings.model, "echo"))
		check_line("key", "ok (echo needs none)");
	else if (opts->api_key)
		check_line("key", "ok (OPENAI_API_KEY is set)");
	else if (opts->base_url)
		check_line("key", "ok (none is set: none is sent to OPENAI_BASE_URL)");
	else {
		check_line("key",
			   "missing: set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server, "
			   "or use -model echo");
		return EXIT_USAGE;
	}
	return 0;
}

static int check_model(struct app *app)
{
	const char *url = app->settings.model_options.base_url, *name = app->settings.model;
	const char *at;
	struct convo_err err = {0};
	char line[256];
	int rc;

	if (!strcmp(name, "echo")) {
		check_line("url", "ok (echo is built in)");
		check_line("model", "ok (echo)");
		return 0;
	}
	/* A URL may hold a password: what stands before the '@' stays out. */
	at = url ? strrchr(url, '@') : NULL;
	snprintf(line, sizeof(line), "ok (%s)",
		 at    ? at + 1
		 : url ? url
		       : "https://api.openai.com/v1");
	rc = convo_model_open(&app->model, name, &app->settings.model_options, &err);
	if (rc == 0)
		rc = convo_model_check(app->model, app->cancel, &err);
	if (rc == 0 || rc == CONVO_E_NOTFOUND) {
		check_line("url", line);
	} else {
		check_line("url", err.text);
		check_line("model", "not tested");
		return rc == CONVO_E_INVALID ? EXIT_USAGE : EXIT_MODEL;
	}
	snprintf(line, sizeof(line), "ok (%s)", name);
	check_line("model", rc == 0 ? line : err.text);
	return rc == 0 ? 0 : EXIT_MODEL;
}

static int check_store(struct app *app)
{
	struct convo_err err = {0};
	char line[300];
	int rc = convo_store_open(&app->store, app->settings.url.data, &app->settings.store, &err);

	if (rc == 0) {
		snprintf(line, sizeof(line), "ok (%s)", convo_store_describe(app->store));
		check_line("store", line);
		return 0;
	}
	check_line("store", err.text);
	return rc == CONVO_E_INVALID || rc == CONVO_E_UNSUPPORTED ? EXIT_USAGE : EXIT_STORE;
}

int check_run(struct app *app, const struct flags *flags)
{
	int key, model = 0, store, rc;

	app->flags = flags;
	rc = settings_load(&app->settings, flags);
	if (rc)
		return rc;
	if (convo_cancel_new(&app->cancel, NULL) < 0)
		return EXIT_FAILED;
	signals_open(app->cancel);
	key = check_key(app);
	if (!key)
		model = check_model(app);
	store = check_store(app);
	if (!term_flush())
		return EXIT_FAILED;
	if (signals_interrupted() || signals_leaving())
		return EXIT_INTERRUPTED;
	return key ? key : model ? model : store;
}
