/*
 * Commands on the conversation: /history /log /retry /undo.
 */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "term/term.h"
#include "term/text.h"
#include "turn.h"

int cmd_history(struct app *app, char *arg)
{
	static const char request[] = "show our conversation history";

	(void)arg;
	return turn_run(app, request, sizeof(request) - 1);
}

static const char *log_name(const char *role)
{
	if (!strcmp(role, "user"))
		return "👤 You";
	if (!strcmp(role, "assistant"))
		return "🤖 Assistant";
	return role;
}

static void log_event(const struct convo_event *event, bool counts)
{
	static const char *const endings[] = {"", " (interrupted)", " (failed)"};
	char *text = NULL;

	if (convo_message_text(&text, event->message, event->message_len, NULL) < 0)
		return;
	/* What takes turns back shows in what it took back. */
	if ((*text || counts) && strcmp(event->role, "control") != 0) {
		term_style(STYLE_DIM);
		term_say("#%lld ", (long long)event->seq);
		if (counts)
			term_style(STYLE_PLAIN);
		term_say("%s%s%s: ", log_name(event->role), endings[event->status],
			 counts ? "" : " (taken back)");
		term_show(text, strlen(text));
		term_style(STYLE_PLAIN);
		term_say("\n");
	}
	convo_free(text);
}

static void log_print(const convo_session *session, const struct convo_event **talk, int64_t total)
{
	size_t count = convo_session_count(session), i;
	int64_t earlier = convo_session_meta(session)->count - (int64_t)count, j;

	if (earlier > 0)
		term_say("… %lld earlier: /log %lld shows all\n", (long long)earlier,
			 (long long)convo_session_meta(session)->count);
	for (i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, i);

		for (j = 0; j < total && talk[j] != event; j++)
			;
		log_event(event, j < total);
	}
}

int cmd_log(struct app *app, char *arg)
{
	struct convo_key key = app_key(app, app->session);
	struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = 20};
	const struct convo_event **talk;
	convo_session *session = NULL;
	struct convo_err err = {0};

	if (*arg >= '0' && *arg <= '9')
		window.n = strtoul(arg, &arg, 10);
	if (*arg || !window.n) {
		term_error("/log wants a number of messages");
		return EXIT_FAILED;
	}
	if (convo_store_load(&session, app->store, &key, &window, NULL, &err) < 0) {
		if (err.code != CONVO_E_NOTFOUND)
			return app_store_failed(app, "", &err);
		term_say("   (no message is stored in this session yet)\n");
		return 0;
	}
	talk = calloc(convo_session_count(session) + 1, sizeof(*talk));
	if (talk)
		log_print(session, talk, convo_session_conversation(session, talk));
	else
		term_error("out of memory");
	free(talk);
	convo_session_free(session);
	return talk ? 0 : EXIT_FAILED;
}

/* Takes the last turn back. @return 0 with its text, or an exit code, said. */
static int take_back(struct app *app, char **text)
{
	struct convo_err err = {0};

	if (convo_runner_undo(text, app->runner, app->flags->user, app->session, NULL, &err) == 0)
		return 0;
	if (err.code != CONVO_E_NOTFOUND)
		return app_store_failed(app, "", &err);
	term_error("there is no question to take back in this session");
	return EXIT_FAILED;
}

int cmd_retry(struct app *app, char *arg)
{
	char *text = NULL;
	int rc = take_back(app, &text);

	(void)arg;
	if (rc)
		return rc;
	if (!*text) {
		term_error("the question is no longer stored (-event-limit): ask it once more");
		convo_free(text);
		return EXIT_FAILED;
	}
	term_style(STYLE_DIM);
	term_say("↩ Asking again: ");
	term_show_line(text, term_columns() > 30 ? term_columns() - 18 : 12);
	term_style(STYLE_PLAIN);
	term_say("\n");
	rc = turn_run(app, text, strlen(text));
	convo_free(text);
	return rc;
}

int cmd_undo(struct app *app, char *arg)
{
	char *text = NULL;
	int rc = take_back(app, &text);

	(void)arg;
	if (rc)
		return rc;
	term_say("↩ Took back: ");
	term_show_line(text, term_columns() > 30 ? term_columns() - 15 : 15);
	term_say("\n");
	convo_free(text);
	return 0;
}
