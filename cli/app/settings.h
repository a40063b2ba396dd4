/*
 * Settings: what flags and environment together say about store and model.
 */
#ifndef CLI_APP_SETTINGS_H
#define CLI_APP_SETTINGS_H

#include <convo/backend.h>
#include <convo/model.h>
#include <convo/store.h>

#include "app/flags.h"
#include "term/text.h"

/** What to open. Strings are the environment's or the flags', but for `url`. */
struct settings {
	struct text url;                     /* of the store; may hold a password */
	const struct convo_backend *backend; /* what it is; NULL before settings_load() */
	bool by_url;                         /* a URL was given, not the name of a backend */
	struct convo_store_options store;
	struct convo_model_options model_options;
	const char *model;
	const char *instruction;
};

/**
 * Work them out; the instruction is the built-in one. Says on stderr what is wrong.
 *
 * @return 0, EXIT_USAGE or EXIT_FAILED
 */
int settings_load(struct settings *settings, const struct common_flags *flags);

void settings_clear(struct settings *settings);

/**
 * Whether a model can be asked: echo, or a key or a base URL is set, and the URL is one. Says what
 * is wrong.
 */
bool settings_can_ask(const struct settings *settings, const char *model);

/** What is wrong with the base URL, after its name and value, or NULL. */
const char *settings_url_fault(const struct settings *settings);

/** The base URL without what may be a password in it, or the standard one. */
const char *settings_shown_url(const struct settings *settings);

/** The file of what was typed. @return false when there is no place for it. */
bool settings_history(struct text *out);

#endif
