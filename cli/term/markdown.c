/*
 * Light colour for Markdown; see markdown.h. What a run of marks means is decided by the character
 * after it, before that is written, so nothing is ever held back.
 */
#include "term/markdown.h"

#include "term/term.h"

static enum term_style markdown_style(const struct markdown *md)
{
	if (md->fenced || md->fence_line || md->code)
		return STYLE_CODE;
	if (md->heading)
		return STYLE_HEAD;
	return md->bold ? STYLE_BOLD : STYLE_PLAIN;
}

/* A run of marks is over and `next` follows. */
static void markdown_run(struct markdown *md, char next)
{
	bool blank = next == ' ' || next == '\n' || next == '\t';

	if (md->run == '`' && md->run_len >= 3 && md->run_starts) {
		md->fence_line = true;
		md->fenced = !md->fenced;
	} else if (md->fenced) {
		;
	} else if (md->run == '`' && md->run_len == 1) {
		md->code = !md->code && !blank;
	} else if (md->run == '*' && md->run_len == 2 && !md->code) {
		md->bold = !md->bold && !blank;
	} else if (md->run == '#' && md->run_len <= 6 && md->run_starts && next == ' ') {
		md->heading = true;
	}
	md->run = 0;
}

static void markdown_step(struct markdown *md, char c)
{
	if (md->run && md->run != c)
		markdown_run(md, c);
	if (c == '`' || c == '*' || c == '#') {
		if (!md->run) {
			md->run = c;
			md->run_len = 0;
			md->run_starts = !md->mid_line;
		}
		md->run_len++;
	}
	if (c == '\n') {
		md->mid_line = md->fence_line = md->heading = md->bold = md->code = false;
	} else if (c != ' ') {
		md->mid_line = true;
	}
}

void markdown_show(struct markdown *md, const char *text, size_t len)
{
	size_t i, from = 0;

	for (i = 0; i < len; i++) {
		enum term_style before = markdown_style(md), after;

		markdown_step(md, text[i]);
		after = markdown_style(md);
		if (before == after)
			continue;
		/* A line's style ends with it: the newline itself is written plain. */
		term_show(text + from, i - from);
		term_style(after);
		from = i;
	}
	term_show(text + from, len - from);
}

void markdown_end(struct markdown *md)
{
	if (markdown_style(md) != STYLE_PLAIN)
		term_style(STYLE_PLAIN);
	*md = (struct markdown){0};
}
