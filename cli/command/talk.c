/*
 * Commands on the conversation: /history /log /retry /undo.
 */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "term/term.h"
#include "term/text.h"
#include "app/turn.h"

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

/* What there is to say of an event beside itself. */
struct log_mark {
	bool counts;  /* it takes part in the conversation */
	int64_t with; /* seq of the question that it is sent as one with; 0: none */
};

static void log_event(const struct convo_event *event, const struct log_mark *mark)
{
	static const char *const endings[] = {"", " (interrupted)", " (failed)"};
	struct convo_err err = {0};
	char *text = NULL;

	if (convo_message_text(&text, event->message, event->message_len, &err) < 0) {
		term_error("#%lld cannot be shown: %s", (long long)event->seq, err.text);
		return;
	}
	/* What takes turns back shows in what it took back. */
	if ((*text || mark->counts) && strcmp(event->role, "control") != 0) {
		term_style(STYLE_DIM);
		term_say("#%lld ", (long long)event->seq);
		if (mark->counts)
			term_style(STYLE_PLAIN);
		term_say("%s%s%s", log_name(event->role), endings[event->status],
			 mark->counts ? "" : " (taken back)");
		if (mark->with)
			term_say(" (sent as one with #%lld)", (long long)mark->with);
		term_say(": ");
		term_show(text, strlen(text));
		term_style(STYLE_PLAIN);
		term_say("\n");
	}
	convo_free(text);
}

/* Where an event of the session stands in it: seqs ascend. */
static size_t log_place(const convo_session *session, int64_t seq)
{
	size_t from = 0, to = convo_session_count(session);

	while (to - from > 1) {
		size_t middle = from + (to - from) / 2;

		if (convo_session_event(session, middle)->seq <= seq)
			from = middle;
		else
			to = middle;
	}
	return from;
}

/* Marks what takes part; questions that follow each other there are sent as one. */
static void log_mark(struct log_mark *marks, const convo_session *session,
		     const struct convo_event *const *talk, size_t total)
{
	size_t i;

	for (i = 0; i < total; i++) {
		struct log_mark *mark = &marks[log_place(session, talk[i]->seq)];

		mark->counts = true;
		if (i && !strcmp(talk[i]->role, "user") && !strcmp(talk[i - 1]->role, "user"))
			mark->with = talk[i - 1]->seq;
	}
}

/* @return 0 or a convo_code */
static int log_print(const convo_session *session)
{
	size_t count = convo_session_count(session), i;
	int64_t all = convo_session_meta(session)->count, total = CONVO_E_NOMEM;
	const struct convo_event **talk = calloc(count + 1, sizeof(*talk));
	struct log_mark *marks = calloc(count + 1, sizeof(*marks));

	if (!talk || !marks)
		goto out;
	total = convo_session_conversation(session, talk);
	if (total < 0)
		goto out;
	log_mark(marks, session, talk, (size_t)total);
	if (all > (int64_t)count)
		term_say("… %lld earlier: /log %lld shows all\n", (long long)all - (long long)count,
			 (long long)all);
	for (i = 0; i < count; i++)
		log_event(convo_session_event(session, i), &marks[i]);
out:
	free(talk);
	free(marks);
	return total < 0 ? (int)total : 0;
}

int cmd_log(struct app *app, char *arg)
{
	struct convo_key key = app_key(app, app->session);
	struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = 20};
	convo_session *session = NULL;
	struct convo_err err = {0};
	int rc;

	if (*arg >= '0' && *arg <= '9')
		window.n = strtoul(arg, &arg, 10);
	if (*arg || !window.n) {
		term_error("/log wants a number of messages");
		return EXIT_FAILED;
	}
	if (convo_store_load(&session, app->store, &key, &window, &app->call, &err) < 0) {
		if (err.code != CONVO_E_NOTFOUND)
			return app_store_failed(app, "", &err);
		term_say("   (no message is stored in this session yet)\n");
		return 0;
	}
	rc = log_print(session);
	convo_session_free(session);
	if (rc == 0)
		return 0;
	term_error("/log: %s", convo_code_name(rc));
	return EXIT_FAILED;
}

/* Takes the last turn back. @return 0 with its text, or an exit code, said. */
static int take_back(struct app *app, char **text)
{
	struct convo_err err = {0};

	if (convo_runner_undo(text, app->runner, app->flags->common.user, app->session, &app->call,
			      &err) == 0)
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
