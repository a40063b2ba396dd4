/*
 * The chat; see chat.h.
 */
#include "chat.h"

#include <string.h>

#include "command/command.h"
#include "command/complete.h"
#include "app/roster.h"
#include "term/input.h"
#include "term/signals.h"
#include "term/term.h"
#include "app/turn.h"

static const char chat_commands[] = "\n"
				    "💡 Session commands:\n"
				    "   /history   - Ask the assistant to recap our conversation\n"
				    "   /new       - Start a brand-new session ID\n"
				    "   /sessions  - List known session IDs\n"
				    "   /use <id>  - Switch to an existing (or new) session\n"
				    "   /exit      - End the conversation\n";

int chat_begin(struct app *app)
{
	char last[CONVO_MAX_NAME + 1] = "";
	int rc = app->flags->resume ? roster_latest(app, last) : 0;

	if (rc)
		return rc;
	if (*last) {
		roster_enter(app, last, true);
		return 0;
	}
	if (app->flags->resume)
		term_note("(no session to continue yet: this is a new one)");
	roster_new(app);
	return 0;
}

static void chat_frame(const struct app *app)
{
	term_say("🚀 Session Management Demo\nModel: ");
	term_show_line(convo_model_name(app->model), 0);
	term_say("\nStreaming: %s\nSession Backend: ", app->flags->streaming ? "true" : "false");
	term_show_line(convo_store_describe(app->store), 0);
	term_say("\n==================================================\n"
		 "✅ Chat ready! Session: ");
	term_show_line(app->session, 0);
	term_say("\n");
	if (app->flags->resume && !app->generated)
		roster_recall(app, app->session);
	term_say("%s", chat_commands);
	term_flush();
}

/* One message or command. */
static int chat_say(struct app *app, struct text *said)
{
	if (said->data[0] != '/')
		return turn_run(app, said->data, said->len);
	if (said->data[1] == '/')
		return turn_run(app, said->data + 1, said->len - 1);
	return command_run(app, said->data);
}

static bool chat_is_blank(const struct text *said)
{
	return !said->data || (said->len == strspn(said->data, " \t\n\r"));
}

/* Ctrl-C while typing. */
static void chat_interrupted(const struct text *said)
{
	if (chat_is_blank(said) && !signals_leaving())
		term_note("(to leave: /exit, Ctrl-D, or Ctrl-C twice)");
	signals_clear();
}

static void chat_failed(struct app *app, int rc)
{
	if (rc && rc != EXIT_INTERRUPTED && !app->failed)
		app->failed = rc;
}

static void chat_loop(struct app *app)
{
	struct text said = {0};
	enum line_end end = LINE_TEXT;

	while (!app->leave && end != LINE_OVER && !signals_leaving()) {
		term_say("\n");
		end = input_next(&said);
		if (end == LINE_INTERRUPT)
			chat_interrupted(&said);
		else if (end == LINE_TOOBIG)
			chat_failed(app, EXIT_FAILED);
		else if (end == LINE_TEXT && !chat_is_blank(&said))
			chat_failed(app, chat_say(app, &said));
		if (end == LINE_TEXT && signals_interrupted())
			signals_clear();
		if (!term_flush())
			break;
	}
	text_clear(&said);
}

static void chat_complete(void *ctx, const char *line, struct words *words)
{
	complete_find(words, ctx, line);
}

int chat_run(struct app *app)
{
	struct text history = {0};
	struct line_options options = {.complete = chat_complete, .ctx = app};
	int rc = chat_begin(app);

	if (rc)
		return rc;
	if (settings_history(&history))
		options.history = history.data;
	input_open(&options);
	chat_frame(app);
	chat_loop(app);
	input_close();
	text_clear(&history);
	if (signals_leaving())
		return EXIT_INTERRUPTED;
	term_say("👋 Goodbye!\n");
	if (!term_flush())
		return EXIT_FAILED;
	/* A person has read the errors; who runs a script looks at the exit code. */
	return term_is_live() ? 0 : app->failed;
}
