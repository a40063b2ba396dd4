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

/* Talks in a session of that id from now on, which must not be there yet. */
static int new_named(struct app *app, const char *id)
{
	bool stored;
	int rc;

	if (!id_is_word("/new", id) || !id_is_fine(id))
		return EXIT_FAILED;
	rc = roster_is_stored(app, id, &stored);
	if (rc)
		return rc;
	if (stored) {
		term_error("session %s exists already; /use %s switches to it", id, id);
		return EXIT_FAILED;
	}
	roster_enter(app, id, false);
	return 0;
}

int cmd_new(struct app *app, char *arg)
{
	char previous[CONVO_MAX_NAME + 1];
	int rc = 0;

	memcpy(previous, app->session, sizeof(previous));
	if (*arg)
		rc = new_named(app, arg);
	else
		roster_new(app);
	if (rc)
		return rc;
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
	bool fresh;
	int rc;

	if (!*arg) {
		term_error("/use wants a session id; /sessions lists them");
		return EXIT_FAILED;
	}
	if (!id_is_fine(arg))
		return EXIT_FAILED;
	rc = roster_find(app, CONVO_LIST_LIVE, arg, id);
	if (rc)
		return rc;
	fresh = !*id;
	if (fresh && !id_is_word("/use", arg))
		return EXIT_FAILED;
	/* The one that is talked in may not be stored yet. */
	if (fresh || strcmp(id, app->session) != 0)
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
	if (convo_store_rename(app->store, &key, arg, &app->call, &err) == 0) {
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

	if (convo_store_delete(app->store, &key, &app->call, &err) < 0)
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
	bool stored, yes;
	int rc;

	if (*arg && !id_is_fine(arg))
		return EXIT_FAILED;
	rc = roster_find(app, CONVO_LIST_LIVE, *arg ? arg : app->session, id);
	if (rc)
		return rc;
	if (!*id) {
		term_error("%s: no such session; /sessions lists those there are", arg);
		return EXIT_FAILED;
	}
	rc = roster_is_stored(app, id, &stored);
	if (rc)
		return rc;
	if (!stored) {
		term_error("this session has no message yet: there is nothing to delete");
		return EXIT_FAILED;
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
	int rc;

	if (!*arg) {
		term_error("/restore wants the id of a deleted session");
		return EXIT_FAILED;
	}
	rc = roster_find(app, CONVO_LIST_TRASH, arg, id);
	if (rc)
		return rc;
	if (!*id) {
		term_error("%s: no deleted session of that id", arg);
		return EXIT_FAILED;
	}
	key = app_key(app, id);
	if (convo_store_restore(app->store, &key, NULL, &app->call, &err) == 0) {
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
