/*
 * The chat; see chat.h.
 */
#include "chat.h"

#include <string.h>

#include "command/command.h"
#include "term/input.h"
#include "roster.h"
#include "term/signals.h"
#include "term/term.h"
#include "turn.h"

static const char chat_commands[] = "\n"
				    "💡 Session commands:\n"
				    "   /history   - Ask the assistant to recap our conversation\n"
				    "   /new       - Start a brand-new session ID\n"
				    "   /sessions  - List known session IDs\n"
				    "   /use <id>  - Switch to an existing (or new) session\n"
				    "   /exit      - End the conversation\n";

int chat_begin(struct app *app)
{
	char last[CONVO_MAX_NAME + 1];
	int rc = app->flags->resume ? roster_latest(app, last) : 1;

	if (rc < 0)
		return EXIT_STORE;
	if (rc == 0) {
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
	enum input_end end = INPUT_TEXT;

	while (!app->leave && end != INPUT_END && !signals_leaving()) {
		term_say("\n");
		end = input_next(&said);
		if (end == INPUT_INTERRUPT)
			chat_interrupted(&said);
		else if (end == INPUT_TOOBIG)
			chat_failed(app, EXIT_FAILED);
		else if (end == INPUT_TEXT && !chat_is_blank(&said))
			chat_failed(app, chat_say(app, &said));
		if (!term_flush())
			break;
	}
	text_clear(&said);
}

int chat_run(struct app *app)
{
	int rc = chat_begin(app);

	if (rc)
		return rc;
	if (!input_open(app)) {
		term_error("out of memory");
		return EXIT_FAILED;
	}
	chat_frame(app);
	chat_loop(app);
	input_close();
	if (signals_leaving())
		return EXIT_INTERRUPTED;
	term_say("👋 Goodbye!\n");
	if (!term_flush())
		return EXIT_FAILED;
	/* A person has read the errors; who runs a script looks at the exit code. */
	return term_is_live() ? 0 : app->failed;
}
