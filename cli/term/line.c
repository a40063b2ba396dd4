/*
 * Line editing; see line.h. Here a key becomes a deed. Where keys come from is keys.c's, what they
 * do to the text edit.c's, and how it looks draw.c's.
 */
#include "term/line.h"

#include <string.h>

#include "term/draw.h"
#include "term/edit.h"
#include "term/history.h"
#include "term/keys.h"
#include "term/paste.h"
#include "term/signals.h"
#include "term/term.h"

static struct {
	const struct line_options *options;
	const char *prompt;
	struct edit edit;
	struct text draft;   /* what was typed before the arrows left it for the history */
	size_t back;         /* how many steps back in the history the line is; 0: the draft */
	bool dirty;          /* the screen does not show the text yet */
	bool searching;      /* Ctrl-R: what is typed is looked for */
	struct text pattern; /* the text looked for */
	bool missing;        /* and it is not there */
} line;

/* ---- showing -------------------------------------------------------------------------- */

static void line_show(bool resized, bool elsewhere)
{
	struct text below = {0};
	struct draw draw = {line.prompt, &line.edit.text, line.edit.at, NULL};

	if (!line.dirty && !resized)
		return;
	if (line.searching && text_addf(&below, "%s: %s", line.missing ? "not found" : "search",
					line.pattern.data ? line.pattern.data : ""))
		draw.below = below.data;
	if (resized)
		draw_again(&draw, elsewhere);
	else
		draw_show(&draw);
	line.dirty = false;
	text_clear(&below);
}

/* Leaves the cursor below the line. */
static void line_leave(void)
{
	struct draw draw = {line.prompt, &line.edit.text, line.edit.text.len, NULL};

	draw_end(&draw);
}

static bool line_type(const char *s, size_t len)
{
	return edit_insert(&line.edit, s, len);
}

/* ---- the history ---------------------------------------------------------------------- */

/* Makes the line the entry `back` steps back. */
static bool line_recall(size_t back)
{
	size_t count = history_count();
	const struct text *text = back ? history_at(count - back) : &line.draft;

	if (!line.back) {
		text_clear(&line.draft);
		if (!text_add(&line.draft, line.edit.text.data ? line.edit.text.data : "",
			      line.edit.text.len))
			return false;
	}
	if (!edit_replace(&line.edit, text->data ? text->data : "", text->len))
		return false;
	line.back = back;
	return true;
}

/* The arrows move within a message of several lines before they leave it for the history. */
static bool line_up(struct edit *edit)
{
	if (edit_up(edit))
		return true;
	return line.back < history_count() && line_recall(line.back + 1);
}

static bool line_down(struct edit *edit)
{
	if (edit_down(edit))
		return true;
	return line.back && line_recall(line.back - 1);
}

/* ---- searching ------------------------------------------------------------------------ */

/* Finds the pattern in a text for the last time. *end is where it ends. */
static bool search_in(const struct text *text, size_t *end)
{
	size_t len = line.pattern.len;

	for (*end = text->len; *end >= len; --*end)
		if (!memcmp(text->data + *end - len, line.pattern.data, len))
			return true;
	return false;
}

/* Shows the newest entry with the pattern, at least `back` steps back. */
static void search_from(size_t back)
{
	size_t count = history_count();

	for (; line.pattern.len && back <= count; back++) {
		const struct text *entry = back ? history_at(count - back) : &line.draft;
		size_t end;

		if (!search_in(entry, &end) || !line_recall(back))
			continue;
		line.edit.at = end;
		line.missing = false;
		return;
	}
	line.missing = line.pattern.len > 0;
}

static void search_begin(void)
{
	line.searching = line_recall(line.back);
	line.missing = false;
	text_clear(&line.pattern);
}

/* A key while searching. @return whether it was one for the search; any other ends it. */
static bool search_key(enum key key, const struct keys_text *typed)
{
	switch (key) {
	case KEY_TEXT:
		if (text_add(&line.pattern, typed->data, typed->len))
			search_from(line.back);
		return true;
	case KEY_BACKSPACE:
		if (line.pattern.len) {
			struct edit pattern = {.text = line.pattern, .at = line.pattern.len};

			edit_backspace(&pattern);
			line.pattern = pattern.text;
		}
		search_from(0);
		return true;
	case KEY_SEARCH:
		search_from(line.back + 1);
		return true;
	case KEY_CANCEL:
		line_recall(0);
		line.searching = false;
		return true;
	default:
		line.searching = false;
		return false;
	}
}

/* ---- completing ----------------------------------------------------------------------- */

/* Shows what the word can become, below the line. */
static void complete_list(const struct words *found)
{
	enum { SHOWN = 20 };
	size_t i;

	line_leave();
	for (i = 0; i < found->count && i < SHOWN; i++) {
		term_say("   ");
		term_show_line(found->word[i], 0);
		term_say("\n");
	}
	if (i < found->count)
		term_say("   … %zu more\n", found->count - i);
}

static bool line_complete(struct edit *edit)
{
	struct text before = {0};
	struct words found = {.count = 0};
	size_t have, common;
	bool done = false;

	if (!edit->text.len || !text_add(&before, edit->text.data, edit->at))
		goto out;
	line.options->complete(line.options->ctx, before.data, &found);
	if (!found.count)
		goto out;
	have = before.len - found.from;
	common = words_common(&found);
	if (common > have || found.count == 1)
		done = line_type(found.word[0] + have, common - have) &&
		       (found.count > 1 || line_type(" ", 1));
	else
		complete_list(&found);
	done = done || found.count > 1;
out:
	words_clear(&found);
	text_clear(&before);
	return done;
}

/* ---- keys ----------------------------------------------------------------------------- */

static bool line_newline(struct edit *edit)
{
	return edit_insert(edit, "\n", 1);
}

static bool line_cut_word_left(struct edit *edit)
{
	return edit_cut(edit, edit_word_left);
}

static bool line_cut_word_right(struct edit *edit)
{
	return edit_cut(edit, edit_word_right);
}

static bool line_cut_home(struct edit *edit)
{
	return edit_cut(edit, edit_home);
}

static bool line_cut_end(struct edit *edit)
{
	return edit_cut(edit, edit_end);
}

static bool line_redraw(struct edit *edit)
{
	(void)edit;
	term_say("\033[H\033[2J");
	draw_begin();
	return true;
}

/* What a key does. @return false when it cannot: the terminal beeps. */
static bool (*const line_deeds[KEY_COUNT])(struct edit *edit) = {
	[KEY_NEWLINE] = line_newline,
	[KEY_COMPLETE] = line_complete,
	[KEY_LEFT] = edit_left,
	[KEY_RIGHT] = edit_right,
	[KEY_WORD_LEFT] = edit_word_left,
	[KEY_WORD_RIGHT] = edit_word_right,
	[KEY_HOME] = edit_home,
	[KEY_END] = edit_end,
	[KEY_UP] = line_up,
	[KEY_DOWN] = line_down,
	[KEY_BACKSPACE] = edit_backspace,
	[KEY_DELETE] = edit_delete,
	[KEY_DELETE_OR_LEAVE] = edit_delete,
	[KEY_CUT_WORD_LEFT] = line_cut_word_left,
	[KEY_CUT_WORD_RIGHT] = line_cut_word_right,
	[KEY_CUT_HOME] = line_cut_home,
	[KEY_CUT_END] = line_cut_end,
	[KEY_PUT_BACK] = edit_paste,
	[KEY_SWAP] = edit_swap,
	[KEY_REDRAW] = line_redraw,
};

/* Takes a pasted block into the line, or its label. */
static enum line_end line_paste(void)
{
	struct text block = {0};
	enum key key = keys_paste(&block, line_show);
	const char *shown;

	if (key == KEY_PASTE) {
		shown = paste_is_long(&block) ? paste_keep(&block) : block.data;
		if (!line_type(shown, strlen(shown)))
			key = KEY_NONE;
	}
	text_clear(&block);
	line.dirty = true;
	if (key == KEY_PASTE)
		return LINE_TEXT;
	return key == KEY_NONE ? LINE_TOOBIG : key == KEY_OVER ? LINE_OVER : LINE_INTERRUPT;
}

/* Lets keys do their deeds until one ends the line. */
static enum line_end line_keys(void)
{
	for (;;) {
		struct keys_text typed;
		enum key key = keys_next(&typed, line_show);
		enum line_end end = LINE_TEXT;
		bool done = true;

		line.dirty = true;
		if (line.searching && key != KEY_INTERRUPT && search_key(key, &typed))
			continue;
		line.searching = false;
		if (key == KEY_OVER || (key == KEY_DELETE_OR_LEAVE && !line.edit.text.len))
			return LINE_OVER;
		if (key == KEY_INTERRUPT)
			return LINE_INTERRUPT;
		if (key == KEY_ENTER)
			return LINE_TEXT;
		if (key == KEY_PASTE)
			end = line_paste();
		else if (key == KEY_SEARCH)
			search_begin();
		else if (key == KEY_TEXT)
			done = line_type(typed.data, typed.len);
		else if (line_deeds[key])
			done = line_deeds[key](&line.edit);
		if (end != LINE_TEXT)
			return end;
		if (!done)
			term_say("\a");
	}
}

/* ---- the line ------------------------------------------------------------------------- */

void line_open(const struct line_options *options)
{
	line.options = options;
	term_hold_keys(true);
	history_open(options->history);
	term_paste_marks(true);
}

void line_close(void)
{
	term_paste_marks(false);
	paste_clear();
	history_close();
	edit_clear(&line.edit);
	text_clear(&line.draft);
	text_clear(&line.pattern);
}

enum line_end line_edit(const char *prompt, struct text *out)
{
	struct text *typed = &line.edit.text;
	enum line_end end;

	line.prompt = prompt;
	text_clear(typed);
	line.edit.at = line.back = 0;
	line.searching = false;
	line.dirty = true;
	draw_begin();
	end = line_keys();
	line.searching = false;
	line_leave();
	/* What was interrupted can be fetched back with the up arrow. */
	if (end == LINE_INTERRUPT && typed->len) {
		text_add(out, typed->data, typed->len);
		history_remember(typed->data, typed->len);
	}
	if (end == LINE_INTERRUPT && signals_leaving())
		return LINE_OVER;
	if (end == LINE_TEXT && !paste_expand(out, typed))
		end = LINE_TOOBIG;
	if (end == LINE_TOOBIG)
		term_error("a message of more than %s: not sent", text_limit());
	if (end == LINE_TEXT && typed->len && typed->data[strspn(typed->data, " \t\n")]) {
		history_remember(typed->data, typed->len);
		history_save(out->data, out->len);
	}
	return end;
}
