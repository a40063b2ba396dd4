/*
 * Commands on the program: /model /system /context /compact /info /help /exit.
 */
#include "command/command.h"

#include "app/roster.h"
#include "term/spin.h"
#include "term/term.h"
#include "app/turn.h"

#include <string.h>

int cmd_model(struct app *app, char *arg)
{
	int rc = *arg ? app_use_model(app, arg) : 0;

	if (rc)
		return rc;
	term_say("Model: ");
	term_show_line(convo_model_name(app->model), 0);
	term_say("\n");
	return 0;
}

static void info_line(const char *name, const char *value)
{
	term_say("   %-10s", name);
	term_show_line(value, term_columns() > 40 && term_is_live() ? term_columns() - 14 : 0);
	term_say("\n");
}

static const char *instruction_of(const struct app *app)
{
	return app->instruction ? app->instruction : app->settings.instruction;
}

int cmd_system(struct app *app, char *arg)
{
	int rc = *arg ? app_use_instruction(app, arg) : 0;

	if (rc)
		return rc;
	term_say("Instruction: ");
	term_show_line(instruction_of(app), 0);
	term_say("\n");
	return 0;
}

/* How many tokens may go, and who says so. */
static void context_limit(const struct convo_context *context)
{
	long long limit = context->limit, window = context->window;
	char line[160] = "none is known";

	switch (context->limit_from) {
	case CONVO_LIMIT_OPTION:
		snprintf(line, sizeof(line), "%lld tokens, as -context says", limit);
		break;
	case CONVO_LIMIT_ENDPOINT:
		snprintf(line, sizeof(line), "%lld tokens of %lld, as the endpoint says", limit,
			 window);
		break;
	case CONVO_LIMIT_REFUSAL:
		snprintf(line, sizeof(line), "%lld tokens of %lld, for it refused more", limit,
			 window);
		break;
	case CONVO_LIMIT_NONE:
		break;
	}
	info_line("limit", line);
}

static void context_show(const struct convo_context *context)
{
	char line[160];

	snprintf(line, sizeof(line), "%zu message%s, some %lld tokens", context->messages,
		 context->messages == 1 ? "" : "s", (long long)context->tokens);
	info_line("sent", line);
	if (context->measured)
		snprintf(line, sizeof(line), "%.2f times the estimate, as the model counts",
			 context->factor);
	info_line("counted", context->measured ? line : "by estimate, no answer has told yet");
	context_limit(context);
	if (context->summary_seq)
		snprintf(line, sizeof(line), "of the first %zu messages, stored as #%lld",
			 context->summarized, (long long)context->summary_seq);
	else if (context->summary_error)
		snprintf(line, sizeof(line), "none; %.140s", context->summary_error);
	info_line("left out", context->left_out_why ? context->left_out_why : "nothing");
	info_line("summary", context->summary_seq || context->summary_error ? line : "none");
}

int cmd_context(struct app *app, char *arg)
{
	struct convo_context *context = NULL;
	struct convo_err err = {0};

	(void)arg;
	if (convo_runner_context(&context, app->runner, app->flags->common.user, app->session,
				 &app->call, &err) < 0) {
		if (err.code != CONVO_E_NOTFOUND)
			return app_store_failed(app, "", &err);
		info_line("sent", "nothing is stored yet");
		return 0;
	}
	context_show(context);
	convo_context_free(context);
	return 0;
}

/* What was made, as the next question is sent. */
static int compact_show(struct app *app)
{
	struct convo_context *context = NULL;
	struct convo_err err = {0};

	if (convo_runner_context(&context, app->runner, app->flags->common.user, app->session,
				 &app->call, &err) < 0)
		return app_store_failed(app, "", &err);
	term_say("🗜 The first %zu messages are summed up: %zu message%s, some %lld tokens are "
		 "sent "
		 "now\n",
		 context->summarized, context->messages, context->messages == 1 ? "" : "s",
		 (long long)context->tokens);
	app->summary = context->summary_seq;
	convo_context_free(context);
	return 0;
}

int cmd_compact(struct app *app, char *arg)
{
	struct convo_err err = {0};
	int rc;

	(void)arg;
	if (!strcmp(convo_model_name(app->model), "echo")) {
		term_error("/compact: echo is no language model; /model names another");
		return EXIT_FAILED;
	}
	spin_start("🗜 Summing up: ");
	rc = convo_runner_summarize(app->runner, app->flags->common.user, app->session, &app->call,
				    &err);
	spin_stop();
	if (rc == 0)
		return compact_show(app);
	if (rc == CONVO_E_NOTFOUND)
		term_note("(there is too little to sum up yet)");
	else if (rc == CONVO_E_CANCELED)
		term_note("(interrupted; nothing is summed up)");
	else
		term_error("/compact: %s", err.text);
	if (rc == CONVO_E_NOTFOUND)
		return 0;
	return rc == CONVO_E_CANCELED ? EXIT_INTERRUPTED : EXIT_FAILED;
}

/* "24 h", "7 d": the largest unit that says it without a rest. */
static void info_duration(char *out, size_t size, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;

	while (i < 4 && (ms < units[i].ms || ms % units[i].ms))
		i++;
	snprintf(out, size, "%lld %s", (long long)(ms / units[i].ms), units[i].name);
}

static void info_session(const struct convo_meta *meta)
{
	char line[96], age[48];

	info_line("title", meta->title);
	roster_age(age, sizeof(age), meta->created_ms);
	snprintf(line, sizeof(line), "%lld, begun %s", (long long)meta->count, age);
	info_line("messages", line);
	if (!meta->expires_ms)
		return;
	info_duration(age, sizeof(age), meta->expires_ms - meta->updated_ms);
	snprintf(line, sizeof(line), "%s after the last message", age);
	info_line("expires", line);
}

int cmd_info(struct app *app, char *arg)
{
	struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	struct convo_key key = app_key(app, app->session);
	convo_session *session = NULL;
	struct convo_err err = {0};
	char line[160];

	(void)arg;
	info_line("session", app->session);
	if (convo_store_load(&session, app->store, &key, &none, &app->call, &err) == 0)
		info_session(convo_session_meta(session));
	else if (err.code == CONVO_E_NOTFOUND)
		info_line("messages", "0, nothing is stored yet");
	else
		return app_store_failed(app, "", &err);
	convo_session_free(session);
	info_line("store", convo_store_describe(app->store));
	info_line("user", app->flags->common.user);
	info_line("app", app->flags->common.app);
	info_line("model", convo_model_name(app->model));
	info_line("system", instruction_of(app));
	turn_figures(app, line, sizeof(line));
	if (line[0])
		info_line("answer", line);
	if (app->last && app->last->joined) {
		snprintf(line, sizeof(line),
			 "%zu message%s, %zu question%s sent as one with the one before",
			 app->last->sent, app->last->sent == 1 ? "" : "s", app->last->joined,
			 app->last->joined == 1 ? "" : "s");
		info_line("sent", line);
	}
	return 0;
}

int cmd_help(struct app *app, char *arg)
{
	const struct command *cmd;

	(void)app;
	(void)arg;
	term_say("💡 Session commands:\n");
	for (cmd = command_table; cmd->name; cmd++) {
		char head[32];

		snprintf(head, sizeof(head), "%s%s%s", cmd->name, *cmd->args ? " " : "", cmd->args);
		term_say("   %-18s - %s\n", head, cmd->help);
	}
	term_say("   %-18s - %s\n", "//text", "send text that begins with a slash");
	term_say("   Ids may be shortened as long as one session alone begins so.\n");
	if (term_can_edit())
		term_say("   Ctrl-J: new line · Ctrl-C: stop the answer · Ctrl-R: search · Tab: "
			 "complete\n");
	return 0;
}

int cmd_exit(struct app *app, char *arg)
{
	(void)arg;
	app->leave = true;
	return 0;
}
