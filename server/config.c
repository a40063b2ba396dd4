/*
 * The file of -config; see config.h. Its models are in config_models.c.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/exit.h"
#include "core/fetch.h"
#include "core/json_line.h"
#include "term/term.h"

int config_wrong(const struct config *config, const char *part, const char *fmt, ...)
{
	char what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	term_error("%s:%zu: %s%s%s", config->path, json_line(config->text.data, part), part,
		   *part ? ": " : "", what);
	return EXIT_USAGE;
}

int config_load(struct config *config, const char *path)
{
	struct convo_err err = {0};

	config->path = path;
	if (fetch_file(&config->text, path, CONFIG_MOST, &err) == 0)
		config->root = json_read(config->text.data ? config->text.data : "",
					 config->text.len, &err);
	if (!config->root) {
		term_error("%s: %s", path, err.text);
		return EXIT_USAGE;
	}
	if (!json_is_object(config->root))
		return config_wrong(config, "", "an object is wanted: {\"models\": [...]}");
	return 0;
}

void config_clear(struct config *config)
{
	json_decref(config->root);
	text_clear(&config->text);
	memset(config, 0, sizeof(*config));
}

/* ---- flags ---------------------------------------------------------------------------- */

/* A value as the command line would have it, in `room` if it is none of the file's strings. NULL: it is none. */
static const char *config_value(char room[32], const json_t *value)
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (!json_is_integer(value))
		return NULL;
	snprintf(room, 32, "%lld", (long long)json_integer_value(value));
	return room;
}

/* What makes sense on a command line alone. */
static bool config_is_for_once(const char *name)
{
	static const char *const names[] = {"config", "check", "help", "version"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int config_set_flag(const struct config *config, const struct flag_line *line,
			   const char *name, const json_t *value)
{
	char room[32];
	const char *text = config_value(room, value), *wanted;

	if (config_is_for_once(name))
		return config_wrong(config, name, "goes on the command line alone");
	if (!text)
		return config_wrong(config, name, "a text, a number, true or false is wanted");
	wanted = flag_give(line, name, text, json_is_string(value));
	if (!wanted)
		return 0;
	return *wanted ? config_wrong(config, name, "'%s' is not %s", text, wanted)
		       : config_wrong(config, name, "there is no such flag, and it is not models");
}

int config_set_flags(const struct config *config, const struct flag_line *line)
{
	const char *name;
	json_t *value;
	int rc;

	json_object_foreach(config->root, name, value)
	{
		if (!strcmp(name, "models"))
			continue;
		rc = config_set_flag(config, line, name, value);
		if (rc)
			return rc;
	}
	if (config_has_models(config) && json_object_get(config->root, "model"))
		return config_wrong(config, "model", "models names them already");
	return 0;
}
