/*
 * The terminal: what it can do, how it was found, colours, and lines for a person.
 */
#ifndef CLI_TERM_TERM_H
#define CLI_TERM_TERM_H

#include <stdbool.h>
#include <stddef.h>

enum term_style { STYLE_PLAIN = 0, STYLE_DIM, STYLE_BOLD, STYLE_CODE, STYLE_HEAD, STYLE_ERROR };

/** When to use colour. */
enum term_color { COLOR_AUTO = 0, COLOR_ALWAYS, COLOR_NEVER };

/** Look at the terminal and remember how it is. Call before anything is written. */
void term_open(void);

/** Use colour when? COLOR_AUTO until told: where a person looks, and does not mind. */
void term_set_color(enum term_color when);

/** Leave the terminal as it was found. Also runs at exit. */
void term_close(void);

/** The same from a signal handler: async-signal-safe. */
void term_restore(void);

/** Go back to the mode that was set last, after term_restore(). Async-signal-safe. */
void term_resume(void);

/** Whether a person sits there: both standard input and output are a terminal. */
bool term_is_live(void);

/** Whether standard output alone is a terminal. */
bool term_is_shown(void);

/** Whether the cursor can be moved and lines edited: live, and no TERM=dumb. */
bool term_can_edit(void);

/**
 * While an answer runs: keys are kept for the next prompt instead of being echoed into it. The
 * opposite is how the terminal was found. No effect unless term_can_edit().
 */
void term_hold_keys(bool hold);

/** Bracketed paste on or off. */
void term_paste_marks(bool on);

/** Columns and rows now. */
size_t term_columns(void);
size_t term_rows(void);

/** Print on stdout: a format, or text from elsewhere made safe to show. */
void term_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void term_show(const char *s, size_t len);
void term_show_line(const char *s, size_t cols);

/** Switch the style of standard output; nothing without colour. */
void term_style(enum term_style style);

/** Send what was printed. @return false when standard output is gone, said once on stderr. */
bool term_flush(void);

/** One line on stderr, "convo: ...", made safe to show. */
void term_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** One dim line on stderr, made safe to show: notes and -debug. */
void term_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
