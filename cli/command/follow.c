/*
 * /follow and -follow: a session as others write it; and /fork.
 */
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include <convo/watch.h>

#include "app/roster.h"
#include "term/markdown.h"
#include "term/signals.h"
#include "term/term.h"
#include "term/text.h"

/* What of a session is on the screen. */
struct followed {
	const struct app *app;
	struct convo_key key;
	bool there; /* the session was seen */
	char generation[CONVO_UUID_SIZE];
	int64_t seq;                 /* events up to this one were shown */
	char draft[CONVO_UUID_SIZE]; /* id of the event whose text is being shown, or "" */
	struct text text;            /* what of it was shown */
	struct markdown md;
	bool open; /* its line has not ended */
};

static void follow_close_line(struct followed *f)
{
	if (!f->open)
		return;
	markdown_end(&f->md);
	if (!f->text.len || f->text.data[f->text.len - 1] != '\n')
		term_say("\n");
	f->open = false;
}

static void follow_lead(struct followed *f, const struct convo_event *event)
{
	follow_close_line(f);
	if (!strcmp(event->role, "user"))
		term_say("👤 You: ");
	else if (!strcmp(event->role, "assistant"))
		term_say("🤖 Assistant: ");
	else {
		term_show_line(event->role, 0);
		term_say(": ");
	}
	f->open = true;
	text_clear(&f->text);
	memset(&f->md, 0, sizeof(f->md));
}

/* Show the text of an event as far as it is not shown; as a whole where that is no beginning of it. */
static void follow_text(struct followed *f, const struct convo_event *event)
{
	char *text = NULL;
	size_t len, from = 0;

	if (convo_message_text(&text, event->message, event->message_len, NULL) < 0)
		return;
	len = strlen(text);
	if (!strcmp(f->draft, event->id) && len >= f->text.len &&
	    (!f->text.len || !memcmp(text, f->text.data, f->text.len)))
		from = f->text.len;
	else
		follow_lead(f, event);
	snprintf(f->draft, sizeof(f->draft), "%s", event->id);
	markdown_show(&f->md, text + from, len - from);
	if (!text_add(&f->text, text + from, len - from))
		f->draft[0] = '\0';
	convo_free(text);
}

static void follow_note(struct followed *f, const char *note)
{
	follow_close_line(f);
	f->draft[0] = '\0';
	term_flush();
	term_note("%s", note);
}

/* What says something of the session and is no part of the conversation (runner.h). */
static void follow_control(struct followed *f, const struct convo_event *event)
{
	char *text = NULL;

	if (convo_message_text(&text, event->message, event->message_len, NULL) < 0)
		return;
	if (!strcmp(text, "undo"))
		follow_note(f, "(a turn was taken back)");
	convo_free(text);
}

static void follow_event(struct followed *f, const struct convo_event *event)
{
	static const char *const endings[] = {NULL, "(interrupted)", "(failed)"};

	f->seq = event->seq;
	if (!strcmp(event->role, "control")) {
		follow_control(f, event);
		return;
	}
	follow_text(f, event);
	follow_close_line(f);
	f->draft[0] = '\0';
	if (endings[event->status]) {
		term_style(STYLE_DIM);
		term_say("   %s\n", endings[event->status]);
		term_style(STYLE_PLAIN);
	}
}

/* @return false when it is another life of the session, which has to be loaded from its beginning */
static bool follow_session(struct followed *f, const convo_session *session)
{
	const struct convo_meta *meta = convo_session_meta(session);
	const struct convo_event *draft = convo_session_draft(session);
	bool known = f->generation[0] != '\0', same = strcmp(f->generation, meta->generation) == 0;
	size_t i;

	if (known && !same)
		follow_note(f, f->there ? "(the session was deleted, and begun anew)"
					: "(the session was begun anew)");
	else if (known && !f->there)
		follow_note(f, "(the session is back)");
	f->there = true;
	snprintf(f->generation, sizeof(f->generation), "%s", meta->generation);
	if (known && !same) {
		f->seq = 0;
		return false;
	}
	for (i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		if (event->seq > f->seq)
			follow_event(f, event);
	}
	if (draft)
		follow_text(f, draft);
	return true;
}

/* Load what is new. @return 0 or a convo_code */
static int follow_load(struct followed *f, struct convo_err *err)
{
	bool whole = false;
	int rc = 0;

	while (rc >= 0 && !whole) {
		struct convo_window window = {
			.kind = CONVO_WINDOW_AFTER, .seq = f->seq, .with = CONVO_WITH_DRAFT};
		convo_session *session = NULL;

		if (!f->generation[0]) { /* where one comes in: the last exchanges */
			window.kind = CONVO_WINDOW_LAST;
			window.n = 6;
		}
		rc = convo_store_load(&session, f->app->store, &f->key, &window, &f->app->call,
				      err);
		if (rc >= 0)
			whole = follow_session(f, session);
		convo_session_free(session);
	}
	return rc;
}

/* A store that is away comes back: only the first failure is told. */
static int follow_loop(struct followed *f, convo_watch *watch, struct convo_err *err)
{
	const struct convo_call call = {.timeout_ms = 2000, .cancel = f->app->cancel};
	bool told = false, waited = false;
	int rc;

	for (;;) {
		bool was_there = f->there;

		rc = follow_load(f, err);
		if (rc == CONVO_E_CANCELED)
			return 0;
		if (rc == CONVO_E_NOTFOUND) {
			if (was_there || !waited)
				follow_note(f, was_there ? "(the session was deleted)"
							 : "(nothing is stored under this id yet)");
			waited = true;
			f->there = false;
		} else if (rc < 0 && !told) {
			follow_note(f, err->text);
		}
		told = rc < 0 && rc != CONVO_E_NOTFOUND;
		if (!term_flush())
			return EXIT_FAILED;
		rc = convo_watch_next(watch, NULL, NULL, &call, err);
		if (rc == CONVO_E_CANCELED)
			return 0;
	}
}

int follow_run(struct app *app, const char *session)
{
	struct followed followed = {.app = app, .key = app_key(app, session)};
	convo_watch *watch = NULL;
	struct convo_err err = {0};
	int rc;

	term_note("(following session %s; Ctrl-C ends that)", session);
	rc = convo_watch_new(&watch, app->store, &err);
	if (rc >= 0)
		rc = convo_watch_add(watch, &followed.key, NULL, &err);
	if (rc >= 0)
		rc = follow_loop(&followed, watch, &err);
	else
		rc = app_store_failed(app, "", &err);
	convo_watch_free(watch);
	follow_close_line(&followed);
	text_clear(&followed.text);
	return rc;
}

int cmd_follow(struct app *app, char *arg)
{
	char id[CONVO_MAX_NAME + 1];
	int rc;

	snprintf(id, sizeof(id), "%s", app->session);
	if (*arg) {
		rc = roster_find(app, CONVO_LIST_LIVE, arg, id);
		if (rc)
			return rc;
	}
	return follow_run(app, *id ? id : arg);
}

/* ---- forks ------------------------------------------------------------------------------ */

int cmd_fork(struct app *app, char *arg)
{
	struct convo_key key = app_key(app, app->session);
	struct convo_fork fork = {.session = app->session};
	char source[CONVO_MAX_NAME + 1], made[CONVO_MAX_NAME + 1];
	struct convo_err err = {0};
	int rc;

	memcpy(source, app->session, sizeof(source));
	key.session = source;
	if (*arg >= '0' && *arg <= '9')
		fork.upto_seq = strtoll(arg, &arg, 10);
	if (*arg || fork.upto_seq < 0) {
		term_error("/fork wants the number of a message, as /log shows them");
		return EXIT_FAILED;
	}
	do {
		roster_new(app);
		rc = convo_store_fork(app->store, &key, &fork, NULL, &app->call, &err);
	} while (rc == CONVO_E_EXISTS);
	if (rc < 0) {
		roster_enter(app, source, rc != CONVO_E_NOTFOUND);
		if (rc != CONVO_E_NOTFOUND)
			return app_store_failed(app, "", &err);
		term_error("this session has no message yet: there is nothing to fork");
		return EXIT_FAILED;
	}
	memcpy(made, app->session, sizeof(made));
	roster_enter(app, made, true);
	term_say("🌱 Forked session ");
	term_show_line(source, 0);
	term_say("\n   Current:  ");
	term_show_line(app->session, 0);
	term_say("\n");
	roster_recall(app, app->session);
	return 0;
}
