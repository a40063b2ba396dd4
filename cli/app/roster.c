/*
 * The sessions there are; see roster.h.
 */
#include "app/roster.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "term/term.h"
#include "term/text.h"

/* Many walks end within the first sessions. */
enum { FIRST_PAGE = 50, NEXT_PAGE = 500 };

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void roster_enter(struct app *app, const char *session, bool stored)
{
	snprintf(app->session, sizeof(app->session), "%s", session);
	app->generated = false;
	app->stored = stored;
	if (!stored || !app->last)
		return;
	convo_turn_free(app->last);
	app->last = NULL;
}

/* @return 0 or a convo_code; says nothing. */
static int is_stored(const struct app *app, const char *session, bool *stored,
		     struct convo_err *err)
{
	struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	struct convo_key key = app_key(app, session);
	convo_session *loaded = NULL;
	int rc = convo_store_load(&loaded, app->store, &key, &none, &app->call, err);

	*stored = rc == 0;
	convo_session_free(loaded);
	return rc == CONVO_E_NOTFOUND ? 0 : rc;
}

int roster_is_stored(const struct app *app, const char *session, bool *stored)
{
	struct convo_err err = {0};

	if (is_stored(app, session, stored, &err) < 0)
		return app_store_failed(app, "", &err);
	return 0;
}

void roster_new(struct app *app)
{
	struct convo_err err = {0};
	char id[64];
	int64_t second;
	bool taken;

	do {
		second = now_ms() / 1000;
		if (second > app->id_second) {
			app->id_second = second;
			app->ids = 0;
		}
		app->ids++;
		if (app->ids == 1)
			snprintf(id, sizeof(id), "chat-session-%lld", (long long)app->id_second);
		else
			snprintf(id, sizeof(id), "chat-session-%lld-%lld",
				 (long long)app->id_second, (long long)app->ids);
	} while (is_stored(app, id, &taken, &err) == 0 && taken);
	roster_enter(app, id, false);
	app->generated = true;
}

int roster_walk(const struct app *app, enum convo_list_what what, roster_visit visit, void *ctx,
		struct convo_err *err)
{
	convo_cursor *cursor = NULL;
	size_t count, i, page = FIRST_PAGE;
	bool more = true;
	int rc = convo_cursor_new(&cursor, app->flags->common.app, app->flags->common.user, what,
				  err);

	if (rc < 0)
		return rc;
	for (; more; page = NEXT_PAGE) {
		rc = convo_store_list(app->store, cursor, page, &count, &app->call, err);
		if (rc < 0)
			goto out;
		more = count > 0;
		for (i = 0; more && i < count; i++)
			more = visit(ctx, convo_cursor_meta(cursor, i));
	}
out:
	convo_cursor_free(cursor);
	return rc;
}

/* The same; says what failed. */
static int roster_visit_all(const struct app *app, enum convo_list_what what, roster_visit visit,
			    void *ctx)
{
	struct convo_err err = {0};

	if (roster_walk(app, what, visit, ctx, &err) == 0)
		return 0;
	return app_store_failed(app, "", &err);
}

static bool latest_visit(void *ctx, const struct convo_meta *meta)
{
	snprintf(ctx, CONVO_MAX_NAME + 1, "%s", meta->session);
	return false;
}

int roster_latest(const struct app *app, char session[CONVO_MAX_NAME + 1])
{
	session[0] = '\0';
	return roster_visit_all(app, CONVO_LIST_LIVE, latest_visit, session);
}

/* ---- finding -------------------------------------------------------------------------- */

enum { MOST_LISTED = 10 };

struct find {
	const char *word;
	bool exact;
	size_t matches;
	char first[CONVO_MAX_NAME + 1];
	struct text others; /* the ids of the first few matches, one per line */
};

static bool find_visit(void *ctx, const struct convo_meta *meta)
{
	struct find *find = ctx;

	if (strncmp(meta->session, find->word, strlen(find->word)) != 0)
		return true;
	find->exact = !strcmp(meta->session, find->word);
	if (find->exact || !find->matches)
		snprintf(find->first, sizeof(find->first), "%s", meta->session);
	/* In the trash a name can lie several times: that is one match. */
	if (find->matches && !strcmp(meta->session, find->first))
		return !find->exact;
	if (find->matches++ < MOST_LISTED && !text_addf(&find->others, "     %s\n", meta->session))
		text_clear(&find->others);
	return !find->exact;
}

static int find_ambiguous(const struct find *find)
{
	term_error("'%s' is the beginning of %zu sessions; write more of it:", find->word,
		   find->matches);
	if (find->others.len)
		term_show(find->others.data, find->others.len);
	if (find->matches > MOST_LISTED || !find->others.len)
		term_say("     …\n");
	return EXIT_FAILED;
}

int roster_find(const struct app *app, enum convo_list_what what, const char *word,
		char session[CONVO_MAX_NAME + 1])
{
	struct find find = {.word = word};
	bool stored = false;
	int rc = 0;

	session[0] = '\0';
	if (what == CONVO_LIST_LIVE)
		rc = roster_is_stored(app, word, &stored);
	if (rc)
		return rc;
	if (stored || (what == CONVO_LIST_LIVE && !strcmp(word, app->session))) {
		snprintf(session, CONVO_MAX_NAME + 1, "%s", word);
		return 0;
	}
	rc = roster_visit_all(app, what, find_visit, &find);
	if (rc)
		goto out;
	if (find.matches > 1 && !find.exact)
		rc = find_ambiguous(&find);
	else
		memcpy(session, find.first, sizeof(find.first));
out:
	text_clear(&find.others);
	return rc;
}

/* ---- the roster ----------------------------------------------------------------------- */

void roster_age(char *out, size_t size, int64_t then_ms)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
	int64_t age = (now_ms() - then_ms) / 1000;
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (age < units[i].seconds)
			continue;
		snprintf(out, size, "%lld %s ago", (long long)(age / units[i].seconds),
			 units[i].name);
		return;
	}
	snprintf(out, size, "just now");
}

struct listing {
	const struct app *app;
	const char *part;
	bool (*more)(void);
	bool seen_current;
	bool stopped;
	size_t shown;
	char **ids; /* not on a live terminal: collected, to be printed oldest first */
	size_t count, cap;
};

static void listing_line(const struct listing *list, const char *id)
{
	term_say("   %s ", strcmp(id, list->app->session) ? " " : "*");
	term_show_line(id, 0);
}

/* Id, title, age and number of messages. */
static void listing_row(const struct listing *list, const struct convo_meta *meta)
{
	char age[32], tail[80];
	size_t used = 7 + text_width(meta->session, strlen(meta->session)), room = term_columns();

	roster_age(age, sizeof(age), meta->updated_ms);
	snprintf(tail, sizeof(tail), "%s · %lld message%s%s", age, (long long)meta->count,
		 meta->count == 1 ? "" : "s", meta->held_ms ? " · being answered" : "");
	listing_line(list, meta->session);
	term_style(STYLE_DIM);
	if (meta->title[0] && room > used + text_width(tail, strlen(tail)) + 12) {
		term_say("  ");
		term_show_line(meta->title, room - used - text_width(tail, strlen(tail)) - 4);
	}
	term_say("  %s", tail);
	term_style(STYLE_PLAIN);
	term_say("\n");
}

static bool listing_keep(struct listing *list, const char *id)
{
	if (list->count == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		char **ids = reallocarray(list->ids, cap, sizeof(*ids));

		if (!ids)
			return false;
		list->ids = ids;
		list->cap = cap;
	}
	list->ids[list->count] = strdup(id);
	return list->ids[list->count] && ++list->count;
}

static bool listing_visit(void *ctx, const struct convo_meta *meta)
{
	struct listing *list = ctx;
	size_t rows = term_rows() > 6 ? term_rows() - 4 : 2;

	if (list->part && !text_contains(meta->session, list->part) &&
	    !text_contains(meta->title, list->part))
		return true;
	if (!strcmp(meta->session, list->app->session))
		list->seen_current = true;
	if (!term_is_live()) {
		list->stopped = !listing_keep(list, meta->session);
		if (list->stopped)
			term_error("out of memory: the list is not whole");
		return !list->stopped;
	}
	if (list->shown && list->shown % rows == 0 && !list->more()) {
		list->stopped = true;
		return false;
	}
	listing_row(list, meta);
	list->shown++;
	return true;
}

int roster_print(const struct app *app, const char *part, bool (*more)(void))
{
	struct listing list = {.app = app, .part = part, .more = more};
	int rc;

	term_say("🗂 Session roster:\n");
	rc = roster_visit_all(app, CONVO_LIST_LIVE, listing_visit, &list);
	if (!rc && part && !list.count && !list.shown) {
		term_say("     (none has '");
		term_show_line(part, 0);
		term_say("' in id or title)\n");
	}
	while (list.count) {
		listing_line(&list, list.ids[--list.count]);
		term_say("\n");
		free(list.ids[list.count]);
	}
	free(list.ids);
	/* The session that is talked in is not stored before its first message. */
	if (!rc && !list.seen_current && !list.stopped && !part) {
		listing_line(&list, app->session);
		term_say("\n");
	}
	return rc;
}

/* ---- recalling ------------------------------------------------------------------------ */

static void recall_message(const struct convo_event *event)
{
	char *text = NULL;

	if (convo_message_text(&text, event->message, event->message_len, NULL) < 0)
		return;
	term_say("   %s ", strcmp(event->role, "user") ? "🤖" : "👤");
	term_show_line(text, term_columns() > 10 ? term_columns() - 7 : 4);
	term_say("\n");
	convo_free(text);
}

static void recall_print(const convo_session *session)
{
	const struct convo_meta *meta = convo_session_meta(session);
	const struct convo_event *found[64];
	int64_t n, i, from;
	char age[32];

	roster_age(age, sizeof(age), meta->updated_ms);
	term_style(STYLE_DIM);
	term_say("   ");
	if (meta->title[0]) {
		term_show_line(meta->title, term_columns() > 40 ? term_columns() - 36 : 4);
		term_say(" · ");
	}
	term_say("%s · %lld message%s\n", age, (long long)meta->count, meta->count == 1 ? "" : "s");
	n = convo_session_conversation(session, found);
	from = n;
	/* The last exchange begins at the last thing the user said. */
	while (from > 0 && strcmp(found[from - 1]->role, "user") != 0)
		from--;
	for (i = from > 0 ? from - 1 : 0; i < n; i++)
		recall_message(found[i]);
	term_style(STYLE_PLAIN);
}

/* What the last one says: of a draft whose program is gone, of one that is being written. */
static void recall_draft(bool settled, const struct convo_meta *meta)
{
	if (settled)
		term_note("(the program that was answering has ended: what had come is stored, "
			  "/retry asks again)");
	else if (meta->held_ms)
		term_note("(another program is answering in this session: /follow shows it)");
}

void roster_recall(const struct app *app, const char *session)
{
	struct convo_window last = {.kind = CONVO_WINDOW_LAST, .n = 16, .with = CONVO_WITH_DRAFT};
	struct convo_key key = app_key(app, session);
	convo_session *loaded = NULL;
	int64_t settled = 0;

	if (!term_is_live() ||
	    convo_store_load(&loaded, app->store, &key, &last, &app->call, NULL) < 0)
		return;
	if (convo_session_draft(loaded) && !convo_session_meta(loaded)->held_ms &&
	    convo_store_settle(app->store, &key, &settled, &app->call, NULL) >= 0) {
		convo_session_free(loaded);
		loaded = NULL;
		if (convo_store_load(&loaded, app->store, &key, &last, &app->call, NULL) < 0)
			return;
	}
	recall_print(loaded);
	term_flush();
	recall_draft(settled > 0, convo_session_meta(loaded));
	convo_session_free(loaded);
}
