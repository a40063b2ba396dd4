/*
 * What is said to the program; see input.h. Editing is line.c's.
 */
#include "term/input.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "term/signals.h"
#include "term/term.h"

static const char input_prompt[] = "👤 You: ";

/* Bytes read from standard input and not yet given out. */
static struct {
	char data[1 << 16];
	size_t from, to;
	bool begun; /* the first bytes were looked at */
	bool over;
	bool editing;
} input;

void input_open(const struct line_options *options)
{
	input.editing = term_can_edit();
	if (input.editing)
		line_open(options);
}

void input_close(void)
{
	if (input.editing)
		line_close();
	input.editing = false;
}

/* Reads after what is there. @return false when interrupted. */
static bool input_read(void)
{
	ssize_t n;

	do {
		bool elsewhere;

		/* There is no line to draw anew. */
		while (!signals_wait(STDIN_FILENO)) {
			if (!signals_redraw(&elsewhere))
				return false;
		}
		n = read(STDIN_FILENO, input.data + input.to, sizeof(input.data) - input.to);
	} while (n < 0 && errno == EINTR);
	input.over = n <= 0;
	input.to += n > 0 ? (size_t)n : 0;
	return true;
}

/* A byte order mark before all else is no text. @return false when interrupted. */
static bool input_begin(void)
{
	static const char mark[] = "\xef\xbb\xbf";
	const size_t len = sizeof(mark) - 1;

	while (!input.over && input.to < len && !memcmp(input.data, mark, input.to)) {
		if (!input_read())
			return false;
	}
	if (input.to >= len && !memcmp(input.data, mark, len))
		input.from = len;
	input.begun = true;
	return true;
}

/* Makes sure there is a byte to give out. @return false at the end, or when interrupted. */
static bool input_fill(void)
{
	if (!input.begun && !input_begin())
		return false;
	while (input.from == input.to && !input.over) {
		input.from = input.to = 0;
		if (!input_read())
			return false;
	}
	return input.from < input.to;
}

/* A line of a script, or of a terminal that cannot edit. */
static enum line_end input_line(struct text *out)
{
	bool whole = false, fits = true;
	size_t seen = 0;

	while (!whole && input_fill()) {
		const char *start = input.data + input.from, *end;
		size_t len = input.to - input.from;

		end = memchr(start, '\n', len);
		whole = end != NULL;
		if (whole)
			len = (size_t)(end - start);
		fits = fits && text_add(out, start, len);
		seen += len + whole;
		input.from += len + whole;
	}
	if (!input.over && !whole) {
		term_say("\n");
		return signals_leaving() ? LINE_OVER : LINE_INTERRUPT;
	}
	if (!seen)
		return LINE_OVER;
	if (!fits) {
		term_error("a message of more than %s: not sent", text_limit());
		return LINE_TOOBIG;
	}
	if (out->len && out->data[out->len - 1] == '\r')
		out->data[--out->len] = '\0';
	return LINE_TEXT;
}

enum line_end input_next(struct text *out)
{
	enum line_end end;

	text_clear(out);
	if (input.editing)
		return line_edit(input_prompt, out);
	if (term_is_live()) {
		term_say("%s", input_prompt);
		term_flush();
		end = input_line(out);
		if (end == LINE_OVER && !signals_leaving())
			term_say("\n");
		return end;
	}
	/* The echo of a script is what makes its transcript readable. */
	do {
		text_clear(out);
		end = input_line(out);
	} while (end == LINE_TEXT && !out->data[strspn(out->data, " \t")]);
	if (end == LINE_TEXT) {
		term_say("%s", input_prompt);
		term_show(out->data, out->len);
		term_say("\n");
		term_flush();
	}
	return end;
}

static bool input_is_yes(const char *word)
{
	return !strcmp(word, "y") || !strcmp(word, "Y") || !strcmp(word, "yes");
}

/* Whether the next line of a script is an answer. Looks only at what fits the buffer at once. */
static bool input_answers(void)
{
	static const char *const words[] = {"y\n", "Y\n", "yes\n", "n\n", "N\n", "no\n"};
	size_t i;

	if (!input_fill())
		return false;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t len = strlen(words[i]), have = input.to - input.from;
		bool last = have == len - 1; /* the file may end without a newline */

		if ((have >= len || last) &&
		    !memcmp(input.data + input.from, words[i], last ? have : len))
			return true;
	}
	return false;
}

bool input_confirm(const char *question)
{
	struct text answer = {0};
	enum line_end end = LINE_OVER;
	bool yes;

	term_show_line(question, 0);
	term_say(" [y/N] ");
	term_flush();
	if (term_is_live()) {
		term_hold_keys(false);
		end = input_line(&answer);
		term_hold_keys(input.editing);
	} else if (input_answers()) {
		end = input_line(&answer);
		term_say("%s", answer.data);
	}
	if (end == LINE_OVER || !term_is_live())
		term_say("\n");
	yes = end == LINE_TEXT && input_is_yes(text_trim(answer.data));
	text_clear(&answer);
	if (end == LINE_INTERRUPT)
		signals_clear();
	return yes;
}

bool input_more(void)
{
	struct text answer = {0};
	bool more;

	term_style(STYLE_DIM);
	term_say("   … more: Enter goes on, q stops ");
	term_style(STYLE_PLAIN);
	term_flush();
	term_hold_keys(false);
	more = input_line(&answer) == LINE_TEXT && !strchr(answer.data, 'q');
	term_hold_keys(input.editing);
	if (!more && signals_interrupted())
		signals_clear();
	text_clear(&answer);
	return more;
}

bool input_piped(struct text *out)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0 ||
	    !(S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode)))
		return true;
	while (input_fill()) {
		if (!text_add(out, input.data + input.from, input.to - input.from))
			return false;
		input.from = input.to;
	}
	return input.over;
}
