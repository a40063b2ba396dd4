/*
 * Reading a command line by tables of flags. Each program has its own tables, and those that several
 * share stand beside each other (flags.h).
 */
#ifndef CLI_APP_FLAG_H
#define CLI_APP_FLAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flag_kind {
	FLAG_TEXT,     /* const char *, argv's */
	FLAG_BOOL,     /* bool */
	FLAG_COUNT,    /* int64_t, 1 or more, or CONVO_OFF for off and 0 */
	FLAG_DURATION, /* the same, in ms */
	FLAG_CONTEXT,  /* struct flag_context: N or Nt */
	FLAG_COLOR,    /* enum term_color: auto, always, never; alone: always */
	FLAG_BUSY      /* enum convo_when_busy: wait, refuse, take */
};

/** How much of a conversation goes along; 0: no bound. */
struct flag_context {
	size_t messages, tokens;
};

struct flag {
	const char *name;
	const char *arg; /* what -help calls its value; NULL: a boolean */
	const char *
		meaning; /* NULL: not for people. "{stores}" at its beginning: what -session takes */
	const char *standard;
	size_t offset; /* of its value, in the struct that the table fills */
	enum flag_kind kind;
};

/** Flags that belong together, and the struct that they fill. */
struct flag_table {
	const struct flag *flags;
	size_t count;
	void *values; /* may be NULL where nothing is read */
};

/** What a program's command line may hold. */
struct flag_line {
	const char *program;             /* how a person starts it: "convo" */
	const struct flag_table *tables; /* names are unique over all */
	size_t count;
};

/**
 * Read a command line into the tables' structs, which hold the standards. Says on stderr what is wrong.
 *
 * @param args set to what is left after the flags, in argv's own room
 * @return 0, or EXIT_USAGE
 */
int flag_parse(const struct flag_line *line, int argc, char **argv, char ***args, int *arg_count);

/**
 * Set one by its name, as from a file.
 *
 * @param lasts whether the value stays as long as the flags: texts are not copied
 * @return NULL; or, and nothing was set, what its value must be ("true or false"), "" when there is none of that
 *         name
 */
const char *flag_give(const struct flag_line *line, const char *name, const char *value,
		      bool lasts);

/** Print them for -help on stdout, a line each; `stores` is what -session can name. */
void flag_print(const struct flag_line *line, const char *stores);

/** Print their names alone. */
void flag_names(const struct flag_line *line);

#endif
