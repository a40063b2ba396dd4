/*
 * Settings: what flags and environment together say about store and model.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <convo/model.h>
#include <convo/store.h>

#include "flags.h"
#include "term/text.h"

/** What to open. Strings are the environment's or the flags', but for `url`. */
struct settings {
	struct text url; /* of the store; may hold a password */
	struct convo_store_options store;
	struct convo_model_options model_options;
	const char *model;
	const char *instruction;
};

/** Work them out. Says on stderr what is wrong. @return 0, EXIT_USAGE or EXIT_FAILED. */
int settings_load(struct settings *settings, const struct flags *flags);

void settings_clear(struct settings *settings);

/** Whether the model can be asked at all: echo, or a key or base URL is set. */
bool settings_can_ask(const struct settings *settings, const char *model);

/** The three lines for who has set neither key nor URL, on stderr. */
void settings_explain_key(void);

/**
 * Where a file of ours goes: $`variable`/convo/`name`, else ~/`fallback`/convo/`name`. The folder is
 * made, for its owner alone, if it is missing. @return false when there is no such place.
 */
bool settings_path(struct text *out, const char *variable, const char *fallback, const char *name);

/** The file of what was typed. @return false when there is no place for it. */
bool settings_history(struct text *out);

/** The scheme of a store by its name on the command line: "pgsql" is "postgres"; or NULL. */
const char *settings_scheme(const char *name);

#endif
