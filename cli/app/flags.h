/*
 * The flags of the command line.
 */
#ifndef CLI_APP_FLAGS_H
#define CLI_APP_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convo/runner.h>

#include "term/term.h"

/** What the command line says. Strings are argv's. */
struct flags {
	const char *model;   /* NULL: the environment's */
	const char *session; /* which store */
	const char *user, *app;
	const char *ask;    /* -p; NULL: chat */
	const char *follow; /* a session; NULL: none */
	const char *system; /* NULL: the built-in instruction */
	const char *table_prefix, *key_prefix;
	const char *complete;                    /* what a shell wants to know; NULL: nothing */
	int64_t event_limit, ttl_ms, clean_ms;   /* or CONVO_OFF */
	size_t context_messages, context_tokens; /* 0: no bound */
	enum term_color color;
	enum convo_when_busy busy;
	bool streaming, summary, resume, json, check, help, version, debug;
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
