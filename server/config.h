/*
 * The file of -config: flags by their names, and models. It is JSON, which the server reads anyway; secrets
 * need not stand in it.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "app/flag.h"
#include "core/json.h"
#include "core/models.h"

/** Longest file, in bytes. */
#define CONFIG_MOST ((size_t)1 << 20)

/** A file that was read. All-zero: there is none. */
struct config {
	const char *path; /* borrowed */
	struct text text;
	json_t *root;
};

/** Read it. Says on stderr what is wrong. @return 0 or an exit code */
int config_load(struct config *config, const char *path);

/** Free it; all-zero is fine. */
void config_clear(struct config *config);

/**
 * Set the flags that it names. Strings stay the file's. Says on stderr what is wrong.
 *
 * @return 0 or an exit code
 */
int config_set_flags(const struct config *config, const struct flag_line *line);

/** Whether it names models. */
bool config_has_models(const struct config *config);

/** Open its models. Says on stderr what is wrong. @return 0 or an exit code */
int config_add_models(const struct config *config, struct models *models);

/** Say on stdout which they are. */
void config_show_models(const struct config *config);

/** Say what is wrong with a part, "models[1].url": a line with file, line, part. @return EXIT_USAGE */
int config_wrong(const struct config *config, const char *part, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
