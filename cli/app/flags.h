/*
 * The flags of the programs: those of every one that opens a store and asks a model, and those of the
 * chat.
 */
#ifndef CLI_APP_FLAGS_H
#define CLI_APP_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/runner.h>

#include "app/flag.h"
#include "term/term.h"

/** What every program takes. Strings are argv's. */
struct common_flags {
	const char *model;   /* NULL: the environment's */
	const char *session; /* which store */
	const char *user, *app;
	const char *table_prefix, *key_prefix;
	int64_t event_limit, ttl_ms, clean_ms; /* or CONVO_OFF */
	bool help, version;
};

/** They as they are without a word of a user. */
extern const struct common_flags common_standard;

/** Their table. */
struct flag_table common_flags(struct common_flags *values);

/** What the command line of the chat says. */
struct flags {
	struct common_flags common;
	const char *ask;             /* -p; NULL: chat */
	const char *follow;          /* a session; NULL: none */
	const char *system;          /* NULL: the built-in instruction */
	const char *complete;        /* what a shell wants to know; NULL: nothing */
	struct flag_context context; /* of the history */
	enum term_color color;
	enum convo_when_busy busy;
	bool streaming, summary, resume, json, check, debug;
	char **args; /* what is left after the flags */
	int arg_count;
};

/** Read the command line. Says on stderr what is wrong. @return 0, or 2 for wrong use. */
int flags_parse(struct flags *flags, int argc, char **argv);

/** Print them for -help on stdout, a line each; `stores` is what -session can name. */
void flags_print(const char *stores);

/** Print their names alone. */
void flags_names(void);

#endif
