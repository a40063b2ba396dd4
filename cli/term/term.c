/*
 * The terminal; see term.h.
 */
#include "term/term.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "term/text.h"

/* There is one terminal, and signal handlers restore it: its state is the file's. */
static struct {
	struct termios found, held;
	bool live, edit, color, error_color;
	bool styled; /* the style is not the plain one */
	bool gone;   /* standard output failed, and that was said */
	bool saved;
	volatile sig_atomic_t holding, marks;
} term;

static const char marks_on[] = "\033[?2004h", marks_off[] = "\033[?2004l";

static bool term_is_dumb(void)
{
	const char *name = getenv("TERM");

	return !name || !*name || !strcmp(name, "dumb");
}

/* `fits`: a person looks at it. */
static bool term_wants_color(bool fits, enum term_color when)
{
	const char *no = getenv("NO_COLOR");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	return fits && !term_is_dumb() && !(no && *no);
}

void term_set_color(enum term_color when)
{
	term.color = term_wants_color(term.live, when);
	term.error_color = term_wants_color(isatty(STDERR_FILENO), when);
}

bool term_is_shown(void)
{
	return isatty(STDOUT_FILENO);
}

void term_open(void)
{
	/* More than -help prints: what a full disk says is known when it is flushed, and not lost before. */
	static char out[1 << 16];

	setvbuf(stdout, out, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, sizeof(out));
	term.live = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	term.edit = term.live && !term_is_dumb();
	term_set_color(COLOR_AUTO);
	if (!term.live || tcgetattr(STDIN_FILENO, &term.found))
		return;
	term.held = term.found;
	term.held.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	term.held.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR);
	term.held.c_cc[VMIN] = 1;
	term.held.c_cc[VTIME] = 0;
	term.saved = true;
	atexit(term_close);
}

/* Writes to the terminal itself, past stdio: used by handlers too. */
static void term_write(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			s += n;
			len -= (size_t)n;
		}
	}
}

void term_restore(void)
{
	if (!term.saved)
		return;
	if (term.marks)
		term_write(marks_off, sizeof(marks_off) - 1);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &term.found);
}

void term_resume(void)
{
	if (!term.saved)
		return;
	if (term.holding)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &term.held);
	if (term.marks)
		term_write(marks_on, sizeof(marks_on) - 1);
}

void term_close(void)
{
	if (term.styled)
		term_style(STYLE_PLAIN);
	fflush(stdout);
	term_restore();
	term.saved = false;
}

bool term_is_live(void)
{
	return term.live;
}

bool term_can_edit(void)
{
	return term.edit && term.saved;
}

void term_hold_keys(bool hold)
{
	if (!term_can_edit())
		return;
	term.holding = hold;
	tcsetattr(STDIN_FILENO, TCSADRAIN, hold ? &term.held : &term.found);
}

void term_paste_marks(bool on)
{
	if (!term_can_edit() || term.marks == on)
		return;
	fflush(stdout);
	term.marks = on;
	if (on)
		term_write(marks_on, sizeof(marks_on) - 1);
	else
		term_write(marks_off, sizeof(marks_off) - 1);
}

static struct winsize term_size(void)
{
	struct winsize size;

	memset(&size, 0, sizeof(size));
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (!size.ws_col)
		size.ws_col = 80;
	if (!size.ws_row)
		size.ws_row = 24;
	return size;
}

size_t term_columns(void)
{
	return term_size().ws_col;
}

size_t term_rows(void)
{
	return term_size().ws_row;
}

void term_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

void term_show(const char *s, size_t len)
{
	text_show(stdout, s, len);
}

void term_show_line(const char *s, size_t cols)
{
	text_show_line(stdout, s, cols);
}

static const char *term_code(enum term_style style)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "\033[0m",     [STYLE_DIM] = "\033[0;2m",
		[STYLE_BOLD] = "\033[0;1m",    [STYLE_CODE] = "\033[0;36m",
		[STYLE_HEAD] = "\033[0;1;35m", [STYLE_ERROR] = "\033[0;31m",
	};

	return codes[style];
}

void term_style(enum term_style style)
{
	if (!term.color)
		return;
	fputs(term_code(style), stdout);
	term.styled = style != STYLE_PLAIN;
}

static void term_line(enum term_style style, const char *lead, const char *fmt, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), fmt, args);
	fflush(stdout);
	if (term.error_color)
		fputs(term_code(style), stderr);
	fputs(lead, stderr);
	text_show_line(stderr, line, 0);
	if (term.error_color)
		fputs(term_code(STYLE_PLAIN), stderr);
	fputc('\n', stderr);
}

void term_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	term_line(STYLE_ERROR, "convo: ", fmt, args);
	va_end(args);
}

void term_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	term_line(STYLE_DIM, "", fmt, args);
	va_end(args);
}

/* Whoever closed a pipe has read enough and need not be told. */
bool term_flush(void)
{
	int number = fflush(stdout) == 0 ? 0 : errno;

	if (!number && !ferror(stdout))
		return true;
	if (!term.gone && number != EPIPE)
		term_error("cannot write the output: %s", strerror(number ? number : EIO));
	term.gone = true;
	return false;
}
