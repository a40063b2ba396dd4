/*
 * Commands on sessions: /new /sessions /use /rename /delete /restore.
 */
#include "command/command.h"

#include <string.h>

#include "term/input.h"
#include "app/roster.h"
#include "term/term.h"
#include "term/text.h"

/* Refuses what cannot be an id before it is shown as one (contract N1). */
static bool id_is_fine(const char *id)
{
	size_t i, len = strlen(id);

	for (i = 0; i < len && (unsigned char)id[i] >= 0x20 && id[i] != 0x7f; i++)
		;
	if (len && len <= CONVO_MAX_NAME && i == len)
		return true;
	term_error("a session id has 1 to %u bytes and no control characters", CONVO_MAX_NAME);
	return false;
}

/* The id of a session to be made: one that can be typed in a word. Others may have made longer ones. */
static bool id_is_word(const char *command, const char *id)
{
	if (!strpbrk(id, " \t\n"))
		return true;
	term_error("%s: the id of a new session is one word, without blanks; /rename gives a title",
		   command);
	return false;
}

int cmd_new(struct app *app, char *arg)
{
	char previous[CONVO_MAX_NAME + 1];
	int stored = 0;

	memcpy(previous, app->session, sizeof(previous));
	if (*arg) {
		if (!id_is_word("/new", arg) || !id_is_fine(arg))
			return EXIT_FAILED;
		stored = roster_is_stored(app, arg);
		if (stored > 0)
			term_error("session %s exists already; /use %s switches to it", arg, arg);
		if (stored)
			return stored > 0 ? EXIT_FAILED : EXIT_STORE;
		roster_enter(app, arg, false);
	} else {
		roster_new(app);
	}
	term_say("🆕 Started new session!\n   Previous: ");
	term_show_line(previous, 0);
	term_say("\n   Current:  ");
	term_show_line(app->session, 0);
	term_say("\n   (Conversation history has been reset)\n");
	return 0;
}

int cmd_sessions(struct app *app, char *arg)
{
	return roster_print(app, *arg ? arg : NULL, input_more);
}

int cmd_use(struct app *app, char *arg)
{
	char id[CONVO_MAX_NAME + 1];
	enum roster_match match;
	bool fresh;

	if (!*arg) {
		term_error("/use wants a session id; /sessions lists them");
		return EXIT_FAILED;
	}
	if (!id_is_fine(arg))
		return EXIT_FAILED;
	match = roster_find(app, CONVO_LIST_LIVE, arg, id);
	if (match == ROSTER_AMBIGUOUS || match == ROSTER_FAILED)
		return match == ROSTER_FAILED ? EXIT_STORE : EXIT_FAILED;
	fresh = match == ROSTER_NONE;
	if (fresh && !id_is_word("/use", arg))
		return EXIT_FAILED;
	roster_enter(app, fresh ? arg : id, !fresh);
	term_say("🔁 Switched to session ");
	term_show_line(app->session, 0);
	term_say(fresh ? "\n   (a new session: nothing is stored under this id)\n" : "\n");
	if (!fresh)
		roster_recall(app, app->session);
	return 0;
}

int cmd_rename(struct app *app, char *arg)
{
	struct convo_key key = app_key(app, app->session);
	struct convo_err err = {0};

	if (!*arg) {
		term_error("/rename wants a title");
		return EXIT_FAILED;
	}
	if (convo_store_rename(app->store, &key, arg, NULL, &err) == 0) {
		term_say("🏷 Title: ");
		term_show_line(arg, 0);
		term_say("\n");
		return 0;
	}
	if (err.code == CONVO_E_NOTFOUND) {
		term_error("this session has no message yet: say something first, then name it");
		return EXIT_FAILED;
	}
	return app_store_failed(app, "", &err);
}

static int delete_now(struct app *app, const char *id)
{
	struct convo_key key = app_key(app, id);
	struct convo_err err = {0};

	if (convo_store_delete(app->store, &key, NULL, &err) < 0)
		return app_store_failed(app, "", &err);
	term_say("🗑 Deleted session ");
	term_show_line(id, 0);
	term_say("\n   (/restore ");
	term_show_line(id, 0);
	term_say(" brings it back)\n");
	if (strcmp(id, app->session) != 0)
		return 0;
	roster_new(app);
	term_say("   Current:  ");
	term_show_line(app->session, 0);
	term_say("\n");
	return 0;
}

int cmd_delete(struct app *app, char *arg)
{
	char id[CONVO_MAX_NAME + 1];
	struct text question = {0};
	int stored;
	bool yes;

	if (*arg && !id_is_fine(arg))
		return EXIT_FAILED;
	switch (roster_find(app, CONVO_LIST_LIVE, *arg ? arg : app->session, id)) {
	case ROSTER_FAILED:
		return EXIT_STORE;
	case ROSTER_AMBIGUOUS:
		return EXIT_FAILED;
	case ROSTER_NONE:
		term_error("%s: no such session; /sessions lists those there are", arg);
		return EXIT_FAILED;
	case ROSTER_ONE:
		break;
	}
	stored = roster_is_stored(app, id);
	if (stored < 1) {
		if (stored == 0)
			term_error("this session has no message yet: there is nothing to delete");
		return stored < 0 ? EXIT_STORE : EXIT_FAILED;
	}
	yes = text_addf(&question, "Delete session %s?", id) && input_confirm(question.data);
	text_clear(&question);
	if (yes)
		return delete_now(app, id);
	term_say("   (not deleted)\n");
	return 0;
}

int cmd_restore(struct app *app, char *arg)
{
	char id[CONVO_MAX_NAME + 1];
	struct convo_key key;
	struct convo_err err = {0};

	if (!*arg) {
		term_error("/restore wants the id of a deleted session");
		return EXIT_FAILED;
	}
	switch (roster_find(app, CONVO_LIST_TRASH, arg, id)) {
	case ROSTER_FAILED:
		return EXIT_STORE;
	case ROSTER_AMBIGUOUS:
		return EXIT_FAILED;
	case ROSTER_NONE:
		term_error("%s: no deleted session of that id", arg);
		return EXIT_FAILED;
	case ROSTER_ONE:
		break;
	}
	key = app_key(app, id);
	if (convo_store_restore(app->store, &key, NULL, NULL, &err) == 0) {
		term_say("♻ Restored session ");
		term_show_line(id, 0);
		term_say("\n   (/use ");
		term_show_line(id, 0);
		term_say(" switches to it)\n");
		return 0;
	}
	if (err.code != CONVO_E_EXISTS)
		return app_store_failed(app, "", &err);
	term_error("a session %s lives again; delete or leave that one first", id);
	return EXIT_FAILED;
}
