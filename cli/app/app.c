/*
 * The program's state; see app.h.
 */
#include "app/app.h"

#include <stdlib.h>
#include <string.h>

#include "app/advice.h"
#include "app/reserved.h"
#include "term/signals.h"
#include "term/term.h"

struct convo_key app_key(const struct app *app, const char *session)
{
	struct convo_key key = {app->flags->common.app, app->flags->common.user, session};

	return key;
}

/* Says what failed, why, and what to do. */
static void app_say_failed(const struct app *app, enum advice_side side, const char *what,
			   const char *why, int code, const char *then)
{
	struct text advice = {0};

	/* Without memory for advice there is at least the rest. */
	if (!advice_add(&advice, side, code, &app->settings))
		text_clear(&advice);
	term_error("%s%s%s%s%s", what, *what ? ": " : "", why, advice.data ? advice.data : "",
		   then);
	text_clear(&advice);
}

int app_store_failed(const struct app *app, const char *what, const struct convo_err *err)
{
	enum advice_side side = advice_side_of(app->settings.backend);

	if (err->code == CONVO_E_CANCELED)
		term_note("(interrupted%s)", err->maybe ? "; it may be done all the same" : "");
	else
		app_say_failed(app, side, what, err->text, err->code, "");
	return advice_exit(side, err->code);
}

int app_model_failed(const struct app *app, int code, const char *text)
{
	char what[300];

	snprintf(what, sizeof(what), "model %s", convo_model_name(app->model));
	app_say_failed(app, ADVICE_MODEL, what, text, code,
		       app->flags->ask ? "" : "; /retry asks again");
	return advice_exit(ADVICE_MODEL, code);
}

int app_listen(struct app *app)
{
	struct convo_err err = {0};

	if (convo_cancel_new(&app->cancel, &err) < 0) {
		term_error("%s", err.text);
		return EXIT_FAILED;
	}
	app->call.cancel = app->settings.store.cancel = app->cancel;
	signals_open(app->cancel);
	return 0;
}

/* Fewer tokens than these leave no room for a summary, nor do fewer events. */
#define LEAST_TOKENS 256
#define LEAST_EVENTS 20

/*
 * Whether the beginning of a chat is summed up, before the model takes no more of it or the event limit
 * removes it. Who asks once does not stay for it; and echo is no model.
 */
static void runner_sum(struct convo_runner_options *opts, const struct app *app)
{
	const struct flags *flags = app->flags;

	if (!flags->summary || flags->ask || !strcmp(convo_model_name(opts->model), "echo") ||
	    (flags->context.tokens && flags->context.tokens < LEAST_TOKENS))
		return;
	opts->summaries = CONVO_SUMMARIES_ON;
	if (flags->common.event_limit >= LEAST_EVENTS)
		opts->summary_events = (size_t)flags->common.event_limit / 10 * 7;
}

static int runner_for(convo_runner **out, const struct app *app, convo_model *model,
		      const char *instruction)
{
	struct convo_runner_options opts = {
		.store = app->store,
		.model = model,
		.app = app->flags->common.app,
		.instruction = instruction,
		.context_messages = app->flags->context.messages,
		.context_tokens = app->flags->context.tokens,
	};
	struct convo_err err = {0};

	runner_sum(&opts, app);
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

	if (!settings_can_ask(&app->settings, name))
		return EXIT_USAGE;
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

bool name_is_fine(const char *flag, const char *name)
{
	size_t len = strlen(name);

	if (len >= 1 && len <= CONVO_MAX_NAME)
		return true;
	term_error("-%s: a name has 1 to %u bytes", flag, CONVO_MAX_NAME);
	return false;
}

bool app_name_is_fine(const char *name)
{
	if (!name_is_fine("app", name))
		return false;
	if (!app_is_reserved(name))
		return true;
	term_error("-app: names that begin with '" RESERVED_APPS "' are convo's own");
	return false;
}

int app_open(struct app *app, const struct flags *flags)
{
	struct convo_err err = {0};
	int rc;

	app->flags = flags;
	if (!name_is_fine("user", flags->common.user) || !app_name_is_fine(flags->common.app))
		return EXIT_USAGE;
	rc = settings_load(&app->settings, &flags->common);
	if (rc)
		return rc;
	if (flags->system)
		app->settings.instruction = flags->system;
	if (!flags->follow && !settings_can_ask(&app->settings, app->settings.model))
		return EXIT_USAGE;
	rc = app_listen(app);
	if (rc)
		return rc;
	if (convo_store_open(&app->store, app->settings.url.data, &app->settings.store, &err) < 0)
		return app_store_failed(app, "", &err);
	if (flags->follow) /* asks nobody */
		return 0;
	return app_use_model(app, app->settings.model);
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
