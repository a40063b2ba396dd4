/*
 * The program's state; see app.h.
 */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include "term/signals.h"
#include "term/term.h"

struct convo_key app_key(const struct app *app, const char *session)
{
	struct convo_key key = {app->flags->app, app->flags->user, session};

	return key;
}

static const char *store_advice(const struct app *app, int code)
{
	bool file = !strncmp(app->settings.url.data, "sqlite:", 7);

	switch (code) {
	case CONVO_E_IO:
		return file ? "check the file, and the room on its disk; SQLITE_PATH names another"
			    : "is it running and reachable? convo -check tests it";
	case CONVO_E_TIMEOUT:
		return file ? "another program may hold the file"
			    : "is it running and reachable? convo -check tests it";
	case CONVO_E_DENIED:
		return file ? "check who owns it and its directory; SQLITE_PATH names another"
			    : "check user, password and rights";
	case CONVO_E_VERSION:
		return "use the newer convo, or another place";
	case CONVO_E_TOOBIG:
		return "send it in smaller pieces";
	case CONVO_E_NOTFOUND:
		return "/sessions lists those there are";
	default:
		return NULL;
	}
}

int app_store_failed(const struct app *app, const char *what, const struct convo_err *err)
{
	const char *advice = store_advice(app, err->code);

	term_error("%s%s%s%s%s", what, *what ? ": " : "", err->text, advice ? "; " : "",
		   advice ? advice : "");
	switch (err->code) {
	case CONVO_E_INVALID:
	case CONVO_E_UNSUPPORTED:
		return EXIT_USAGE;
	case CONVO_E_IO:
	case CONVO_E_TIMEOUT:
	case CONVO_E_DENIED:
	case CONVO_E_VERSION:
		return EXIT_STORE;
	case CONVO_E_CANCELED:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_FAILED;
	}
}

static const char *model_advice(int code)
{
	switch (code) {
	case CONVO_E_DENIED:
		return "check OPENAI_API_KEY";
	case CONVO_E_IO:
	case CONVO_E_TIMEOUT:
		return "check OPENAI_BASE_URL and the network";
	case CONVO_E_REFUSED:
		return "check -model and OPENAI_BASE_URL";
	default:
		return NULL;
	}
}

int app_model_failed(const struct app *app, int code, const char *text)
{
	const char *advice = model_advice(code);

	term_error("model %s: %s%s%s%s", convo_model_name(app->model), text, advice ? "; " : "",
		   advice ? advice : "", app->flags->ask ? "" : "; /retry asks again");
	if (code == CONVO_E_CANCELED)
		return EXIT_INTERRUPTED;
	return code == CONVO_E_NOMEM || code == CONVO_E_INVALID ? EXIT_FAILED : EXIT_MODEL;
}

int app_open_store(struct app *app)
{
	struct convo_err err = {0};

	if (convo_store_open(&app->store, app->settings.url.data, &app->settings.store, &err) == 0)
		return 0;
	return app_store_failed(app, "", &err);
}

static int runner_for(convo_runner **out, const struct app *app, convo_model *model,
		      const char *instruction)
{
	struct convo_runner_options opts = {
		.store = app->store,
		.model = model,
		.app = app->flags->app,
		.instruction = instruction,
		.context_messages = app->flags->context_messages,
		.context_tokens = app->flags->context_tokens,
	};
	struct convo_err err = {0};

	if (convo_runner_new(out, &opts, &err) == 0)
		return 0;
	term_error("%s", err.text);
	return err.code == CONVO_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

static const char *app_instruction(const struct app *app)
{
	return app->instruction ? app->instruction : app->settings.instruction;
}

int app_use_model(struct app *app, const char *name)
{
	convo_model *model = NULL;
	convo_runner *runner = NULL;
	struct convo_err err = {0};
	int rc;

	if (!settings_can_ask(&app->settings, name)) {
		settings_explain_key();
		return EXIT_USAGE;
	}
	if (convo_model_open(&model, name, &app->settings.model_options, &err) < 0) {
		term_error("model %s: %s", name, err.text);
		return err.code == CONVO_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
	}
	rc = runner_for(&runner, app, model, app_instruction(app));
	if (rc) {
		convo_model_close(model);
		return rc;
	}
	convo_runner_free(app->runner);
	convo_model_close(app->model);
	app->runner = runner;
	app->model = model;
	return 0;
}

int app_use_instruction(struct app *app, const char *text)
{
	char *copy = strdup(text);
	convo_runner *runner = NULL;
	int rc;

	if (!copy) {
		term_error("out of memory");
		return EXIT_FAILED;
	}
	rc = runner_for(&runner, app, app->model, copy);
	if (rc) {
		free(copy);
		return rc;
	}
	convo_runner_free(app->runner);
	free(app->instruction);
	app->runner = runner;
	app->instruction = copy;
	return 0;
}

static bool name_is_fine(const char *flag, const char *name)
{
	size_t len = strlen(name);

	if (len >= 1 && len <= CONVO_MAX_NAME)
		return true;
	term_error("-%s: a name has 1 to %u bytes", flag, CONVO_MAX_NAME);
	return false;
}

int app_open(struct app *app, const struct flags *flags)
{
	struct convo_err err = {0};
	int rc;

	app->flags = flags;
	if (!name_is_fine("user", flags->user) || !name_is_fine("app", flags->app))
		return EXIT_USAGE;
	rc = settings_load(&app->settings, flags);
	if (rc)
		return rc;
	if (!settings_can_ask(&app->settings, app->settings.model)) {
		settings_explain_key();
		return EXIT_USAGE;
	}
	if (convo_cancel_new(&app->cancel, &err) < 0) {
		term_error("%s", err.text);
		return EXIT_FAILED;
	}
	signals_open(app->cancel);
	rc = app_open_store(app);
	return rc ? rc : app_use_model(app, app->settings.model);
}

void app_close(struct app *app)
{
	convo_turn_free(app->last);
	convo_runner_free(app->runner);
	convo_model_close(app->model);
	convo_store_close(app->store);
	free(app->instruction);
	settings_clear(&app->settings);
	/* The cancel stays: a signal may still come and ask for it. */
}
