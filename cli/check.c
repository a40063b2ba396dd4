/*
 * -check; see check.h.
 */
#include "check.h"

#include <string.h>

#include "app/advice.h"
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

/* What failed, why, and what to do. @return the exit code for it. */
static int check_failed(const struct app *app, const char *what, enum advice_side side,
			const struct convo_err *err)
{
	struct text line = {0};

	if (text_adds(&line, err->text) && advice_add(&line, side, err->code, &app->settings))
		check_line(what, line.data);
	else
		check_line(what, err->text);
	text_clear(&line);
	return advice_exit(side, err->code);
}

static int check_url_failed(const char *fault, const struct settings *settings)
{
	struct text line = {0};

	if (text_addf(&line, "OPENAI_BASE_URL: '%s' %s", settings_shown_url(settings), fault))
		check_line("url", line.data);
	text_clear(&line);
	check_line("model", "not tested");
	return EXIT_USAGE;
}

static int check_model(struct app *app)
{
	const char *name = app->settings.model, *fault = settings_url_fault(&app->settings);
	struct convo_err err = {0};
	char line[256];
	int rc;

	if (!strcmp(name, "echo")) {
		check_line("url", "ok (echo is built in)");
		check_line("model", "ok (echo)");
		return 0;
	}
	if (fault)
		return check_url_failed(fault, &app->settings);
	rc = convo_model_open(&app->model, name, &app->settings.model_options, &err);
	if (rc < 0)
		goto unreachable;
	rc = convo_model_check(app->model, app->cancel, &err);
	if (rc < 0 && rc != CONVO_E_NOTFOUND)
		goto unreachable;
	snprintf(line, sizeof(line), "ok (%s)", settings_shown_url(&app->settings));
	check_line("url", line);
	if (rc < 0)
		return check_failed(app, "model", ADVICE_MODEL, &err);
	snprintf(line, sizeof(line), "ok (%s)", name);
	check_line("model", line);
	return 0;
unreachable:
	rc = check_failed(app, "url", ADVICE_MODEL, &err);
	check_line("model", "not tested");
	return rc;
}

static int check_store(struct app *app)
{
	struct convo_err err = {0};
	char line[300];

	if (convo_store_open(&app->store, app->settings.url.data, &app->settings.store, &err) < 0)
		return check_failed(app, "store", advice_side_of(app->settings.backend), &err);
	snprintf(line, sizeof(line), "ok (%s)", convo_store_describe(app->store));
	check_line("store", line);
	return 0;
}

int check_run(struct app *app, const struct flags *flags)
{
	int key, model = 0, store, rc;

	app->flags = flags;
	rc = settings_load(&app->settings, &flags->common);
	if (rc)
		return rc;
	rc = app_listen(app);
	if (rc)
		return rc;
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
