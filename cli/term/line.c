/*
 * Line editing with libedit; see line.h. This is the one file that knows it.
 *
 * Bytes are read here, so that a signal ends the wait and a pasted block is taken whole instead of
 * key by key.
 */
#include "term/line.h"

#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command/complete.h"
#include "term/history.h"
#include "term/paste.h"
#include "term/signals.h"
#include "term/term.h"

/* Keys nobody has, for what line_up() and line_down() leave to libedit. */
#define HISTORY_BACK L"\033\020\020"
#define HISTORY_ON L"\033\016\016"

static struct {
	const struct app *app;
	EditLine *el;
	HistoryW *history;
	wchar_t prompt[64];
	char raw[1 << 16]; /* read from the terminal and not yet used */
	size_t from, to;
	bool over, interrupted, failed;
	struct text typed; /* what stood in the line when it was interrupted */
	int back;          /* how many steps back in the history the line is */
} line;

/* ---- characters ----------------------------------------------------------------------- */

static wchar_t *line_widen(const char *s, size_t len)
{
	wchar_t *wide = calloc(len + 1, sizeof(*wide));
	size_t i, to = 0;

	for (i = 0; wide && i < len;) {
		uint32_t cp;
		bool bad;

		i += text_decode(s + i, len - i, &cp, &bad);
		wide[to++] = (wchar_t)(bad || !cp ? 0xfffd : cp);
	}
	return wide;
}

static bool line_narrow(struct text *out, const wchar_t *from, const wchar_t *to)
{
	bool ok = text_add(out, "", 0);

	for (; ok && from < to; from++)
		ok = text_add_char(out, (uint32_t)*from);
	return ok;
}

/* How many rows below the prompt's the cursor is, on a terminal that has wrapped the line anew. */
static size_t line_rows_above(void)
{
	const LineInfoW *info = el_wline(line.el);
	size_t cols = term_columns(), rows = 0, at = 0;
	const wchar_t *c;

	for (c = line.prompt; *c; c++)
		at += (size_t)(wcwidth(*c) > 0 ? wcwidth(*c) : 0);
	for (c = info->buffer; c < info->cursor; c++) {
		if (*c == L'\n') {
			rows += at / cols + 1;
			at = 0;
		} else {
			at += (size_t)(wcwidth(*c) > 0 ? wcwidth(*c) : 0);
		}
	}
	return rows + at / cols;
}

/* Draws the line anew: over what the terminal made of it when it took another size, or, the
 * cursor being elsewhere now, where that is. */
static void line_redraw(bool elsewhere)
{
	size_t rows = elsewhere ? 0 : line_rows_above();

	if (rows)
		term_say("\033[%zuA", rows);
	if (!elsewhere)
		term_say("\r\033[J");
	term_flush();
	el_resize(line.el);
	el_wset(line.el, EL_REFRESH);
}

/* Reads more from the terminal. @return false at its end, or when a signal wants the line to end. */
static bool line_fill(void)
{
	ssize_t n;

	memmove(line.raw, line.raw + line.from, line.to - line.from);
	line.to -= line.from;
	line.from = 0;
	while (!signals_wait(STDIN_FILENO)) {
		bool elsewhere;

		if (signals_interrupted() || signals_leaving()) {
			line.interrupted = true;
			return false;
		}
		if (signals_redraw(&elsewhere))
			line_redraw(elsewhere);
	}
	n = read(STDIN_FILENO, line.raw + line.to, sizeof(line.raw) - line.to);
	if (n < 0 && errno == EINTR)
		return line_fill();
	line.over = n <= 0;
	line.to += n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* How many bytes the character at the front has, going by its first byte. */
static size_t line_wanted(unsigned char first)
{
	return first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
}

/* libedit asks for a character: 1 with it, 0 at the end, -1 when the line shall end. */
static int line_getc(EditLine *el, wchar_t *out)
{
	uint32_t cp;
	bool bad;

	(void)el;
	while (line.from == line.to ||
	       line.to - line.from < line_wanted((unsigned char)line.raw[line.from])) {
		if (line_fill())
			continue;
		if (line.interrupted)
			return -1;
		if (line.from == line.to)
			return 0;
		break;
	}
	line.from += text_decode(line.raw + line.from, line.to - line.from, &cp, &bad);
	*out = (wchar_t)(bad ? 0xfffd : cp);
	return 1;
}

/* ---- pasting -------------------------------------------------------------------------- */

static const char paste_mark[] = "\033[201~";

/* Takes bytes up to the mark that ends the block. @return whether all of it fits. */
static bool paste_read(struct text *out)
{
	const size_t mark = sizeof(paste_mark) - 1;
	bool fits = text_add(out, "", 0);

	for (;;) {
		size_t have = line.to - line.from, take = 0;

		while (take < have && line.raw[line.from + take] != '\033')
			take++;
		fits = fits && paste_add(out, line.raw + line.from, take);
		line.from += take;
		have -= take;
		if (have >= mark && !memcmp(line.raw + line.from, paste_mark, mark))
			break;
		if (have >= mark || (have && memcmp(line.raw + line.from, paste_mark, have) != 0)) {
			fits = fits && paste_add(out, line.raw + line.from, 1);
			line.from++;
		} else if (!line_fill()) {
			return fits;
		}
	}
	line.from += mark;
	paste_end(out);
	return fits;
}

static unsigned char line_paste(EditLine *el, wint_t key)
{
	struct text block = {0};
	wchar_t *wide;
	const char *shown;
	bool fits = paste_read(&block);

	(void)key;
	if (!fits) {
		line.failed = true;
		text_clear(&block);
		return CC_NEWLINE;
	}
	if (paste_is_long(&block))
		shown = paste_keep(&block);
	else
		shown = block.data;
	wide = line_widen(shown, strlen(shown));
	if (wide)
		el_winsertstr(el, wide);
	free(wide);
	text_clear(&block);
	return CC_REFRESH;
}

/* ---- keys ----------------------------------------------------------------------------- */

static unsigned char line_newline(EditLine *el, wint_t key)
{
	(void)key;
	return el_winsertstr(el, L"\n") ? CC_ERROR : CC_REFRESH;
}

/* The arrows move within a message of several lines before they leave it for the history. */
static unsigned char line_up(EditLine *el, wint_t key)
{
	const LineInfoW *info = el_wline(el);
	const wchar_t *start = info->cursor, *up, *at;
	HistEventW event;

	(void)key;
	while (start > info->buffer && start[-1] != L'\n')
		start--;
	if (start == info->buffer) {
		if (history_w(line.history, &event, H_GETSIZE) == 0 && line.back < event.num)
			line.back++;
		el_wpush(el, HISTORY_BACK);
		return CC_NORM;
	}
	for (up = start - 1; up > info->buffer && up[-1] != L'\n'; up--)
		;
	at = up + (info->cursor - start);
	if (at >= start)
		at = start - 1;
	el_cursor(el, (int)(at - info->cursor));
	return CC_CURSOR;
}

static unsigned char line_down(EditLine *el, wint_t key)
{
	const LineInfoW *info = el_wline(el);
	const wchar_t *start = info->cursor, *down = info->cursor, *at;

	(void)key;
	while (start > info->buffer && start[-1] != L'\n')
		start--;
	while (down < info->lastchar && *down != L'\n')
		down++;
	if (down == info->lastchar) {
		/* libedit would put an empty line in the place of one that is not from the history. */
		if (!line.back)
			return CC_ERROR;
		line.back--;
		el_wpush(el, HISTORY_ON);
		return CC_NORM;
	}
	at = ++down + (info->cursor - start);
	while (down < at && down < info->lastchar && *down != L'\n')
		down++;
	el_cursor(el, (int)(down - info->cursor));
	return CC_CURSOR;
}

/* Shows what the word can become, below the line. */
static void complete_list(const struct complete *found)
{
	size_t i;

	term_say("\n");
	for (i = 0; i < found->count && i < 20; i++) {
		term_say("   ");
		term_show_line(found->words[i], 0);
		term_say("\n");
	}
	if (i < found->count)
		term_say("   … %zu more\n", found->count - i);
	term_flush();
}

static unsigned char line_complete(EditLine *el, wint_t key)
{
	const LineInfoW *info = el_wline(el);
	struct text before = {0};
	struct complete found = {.count = 0};
	unsigned char result = CC_ERROR;
	size_t have, common;

	(void)key;
	if (!line_narrow(&before, info->buffer, info->cursor))
		goto out;
	complete_find(&found, line.app, before.data);
	have = before.len - found.from;
	common = complete_common(&found);
	if (common > have || found.count == 1) {
		struct text more = {0};
		wchar_t *wide = NULL;

		if (text_add(&more, found.words[0] + have, common - have) &&
		    (found.count > 1 || text_adds(&more, " ")))
			wide = line_widen(more.data, more.len);
		if (wide && el_winsertstr(el, wide) == 0)
			result = CC_REFRESH;
		free(wide);
		text_clear(&more);
	} else if (found.count) {
		complete_list(&found);
		result = CC_REDISPLAY;
	}
out:
	complete_clear(&found);
	text_clear(&before);
	return result;
}

static void line_bind(void)
{
	static const wchar_t *const keys[][2] = {
		{L"\033[200~", L"convo-paste"},
		{L"^I", L"convo-complete"},
		{L"^J", L"convo-newline"},
		{L"\033\r", L"convo-newline"},
		{L"\033[A", L"convo-up"},
		{L"\033OA", L"convo-up"},
		{L"\033[B", L"convo-down"},
		{L"\033OB", L"convo-down"},
		{L"^P", L"convo-up"},
		{L"^N", L"convo-down"},
		{HISTORY_BACK, L"ed-prev-history"},
		{HISTORY_ON, L"ed-next-history"},
		{L"^R", L"em-inc-search-prev"},
		{L"^W", L"ed-delete-prev-word"},
		{L"^U", L"vi-kill-line-prev"},
		{L"\033[3~", L"ed-delete-next-char"},
		{L"\033[1~", L"ed-move-to-beg"},
		{L"\033[H", L"ed-move-to-beg"},
		{L"\033OH", L"ed-move-to-beg"},
		{L"\033[4~", L"ed-move-to-end"},
		{L"\033[F", L"ed-move-to-end"},
		{L"\033OF", L"ed-move-to-end"},
		{L"\033[1;5D", L"ed-prev-word"},
		{L"\033[1;5C", L"em-next-word"},
	};
	size_t i;

	el_wset(line.el, EL_ADDFN, L"convo-paste", L"take a pasted block", line_paste);
	el_wset(line.el, EL_ADDFN, L"convo-complete", L"complete the word", line_complete);
	el_wset(line.el, EL_ADDFN, L"convo-newline", L"begin a new line", line_newline);
	el_wset(line.el, EL_ADDFN, L"convo-up", L"go up a line or back in the history", line_up);
	el_wset(line.el, EL_ADDFN, L"convo-down", L"go down a line or on in the history",
		line_down);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		el_wset(line.el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* ---- the line ------------------------------------------------------------------------- */

static wchar_t *line_prompt(EditLine *el)
{
	(void)el;
	return line.prompt;
}

/* Puts an entry into the history that the arrows walk through. */
static void line_remember(void *ctx, const char *entry, size_t len)
{
	wchar_t *wide = line_widen(entry, len);
	HistEventW event;

	(void)ctx;
	if (wide && *wide)
		history_w(line.history, &event, H_ENTER, wide);
	free(wide);
}

/* An entry that is taller than the window could not be edited: it stays on disk alone. */
static void line_load(void *ctx, const char *entry, size_t len)
{
	const struct text text = {.data = (char *)entry, .len = len};

	if (paste_lines(&text) + 3 <= term_rows())
		line_remember(ctx, entry, len);
}

bool line_open(const struct app *app)
{
	HistEventW event;

	line.app = app;
	term_hold_keys(true);
	line.history = history_winit();
	line.el = el_init("convo", stdin, stdout, stderr);
	if (!line.el || !line.history)
		return false;
	history_w(line.history, &event, H_SETSIZE, 1000);
	history_w(line.history, &event, H_SETUNIQUE, 1);
	history_load(line_load, NULL);
	el_wset(line.el, EL_SIGNAL, 0);
	el_wset(line.el, EL_EDITOR, L"emacs");
	el_wset(line.el, EL_HIST, history_w, line.history);
	el_wset(line.el, EL_PROMPT, line_prompt);
	el_wset(line.el, EL_GETCFN, line_getc);
	/* Enter and Ctrl-J stay apart; between lines, keys are held and not echoed. */
	el_wset(line.el, EL_SETTY, L"-d", L"-icrnl", L"-inlcr", NULL);
	el_wset(line.el, EL_SETTY, L"-x", L"-icrnl", L"-inlcr", L"-icanon", L"-echo", NULL);
	el_source(line.el, NULL);
	line_bind();
	term_paste_marks(true);
	return true;
}

void line_close(void)
{
	term_paste_marks(false);
	paste_clear();
	text_clear(&line.typed);
	history_close();
	if (line.history)
		history_wend(line.history);
	if (line.el)
		el_end(line.el);
	line.history = NULL;
	line.el = NULL;
}

static void line_keep(const struct text *typed, const struct text *whole)
{
	if (!typed->len || !typed->data[strspn(typed->data, " \t\n")])
		return;
	line_remember(NULL, typed->data, typed->len);
	history_add(whole->data, whole->len);
}

/* Interrupted: what had been typed can be fetched back with the up arrow. */
static enum input_end line_interrupted(struct text *out)
{
	const LineInfoW *info = el_wline(line.el);

	if (line_narrow(out, info->buffer, info->lastchar))
		line_remember(NULL, out->data, out->len);
	el_reset(line.el);
	term_say("\n");
	return signals_leaving() ? INPUT_END : INPUT_INTERRUPT;
}

enum input_end line_edit(const char *prompt, struct text *out)
{
	struct text typed = {0};
	wchar_t *wide = line_widen(prompt, strlen(prompt));
	const wchar_t *got;
	int count = 0;
	bool ok;

	if (wide)
		wcsncpy(line.prompt, wide, sizeof(line.prompt) / sizeof(line.prompt[0]) - 1);
	free(wide);
	line.interrupted = line.failed = false;
	line.back = 0;
	term_flush();
	got = el_wgets(line.el, &count);
	if (line.interrupted)
		return line_interrupted(out);
	if (!got || count <= 0 || line.failed)
		term_say("\n");
	if ((!got || count <= 0) && !line.failed)
		return INPUT_END;
	if (got && count > 0 && (got[count - 1] == L'\n' || got[count - 1] == L'\r'))
		count--;
	ok = !line.failed && line_narrow(&typed, got, got + count) && paste_expand(out, &typed);
	if (ok)
		line_keep(&typed, out);
	text_clear(&typed);
	if (ok)
		return INPUT_TEXT;
	term_error("a message of more than %zu MiB: not sent", TEXT_MAX >> 20);
	return INPUT_TOOBIG;
}
