/*
 * Reading a command line; see flag.h.
 */
#include "app/flag.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>
#include <convo/text.h>

#include "app/exit.h"
#include "term/term.h"
#include "term/text.h"

/* One that is found, and where its value goes. */
struct flag_place {
	const struct flag *flag;
	void *values;
};

static struct flag_place flag_find(const struct flag_line *line, const char *name, size_t len)
{
	const struct flag_place none = {NULL, NULL};
	size_t t, i;

	for (t = 0; t < line->count; t++)
		for (i = 0; i < line->tables[t].count; i++) {
			const struct flag *flag = &line->tables[t].flags[i];
			const struct flag_place place = {flag, line->tables[t].values};

			if (strlen(flag->name) == len && !memcmp(flag->name, name, len))
				return place;
		}
	return len == 1 && name[0] == 'h' ? flag_find(line, "help", 4) : none;
}

/* The name that a word misses by little, or NULL. */
static const char *flag_near(const struct flag_line *line, const char *word)
{
	const char *best = NULL;
	size_t t, i, least = SIZE_MAX;

	for (t = 0; t < line->count; t++)
		for (i = 0; i < line->tables[t].count; i++) {
			const struct flag *flag = &line->tables[t].flags[i];
			size_t d = text_nearness(word, flag->name);

			if (flag->meaning && d < least) {
				least = d;
				best = flag->name;
			}
		}
	return best;
}

static int flag_unknown(const struct flag_line *line, const char *given, const char *name,
			size_t len)
{
	char word[48];
	const char *best;

	snprintf(word, sizeof(word), "%.*s", (int)(len < 47 ? len : 47), name);
	best = flag_near(line, word);
	if (best)
		term_error("unknown flag %s: did you mean -%s? %s -help lists all", given, best,
			   line->program);
	else
		term_error("unknown flag %s: %s -help lists all", given, line->program);
	return EXIT_USAGE;
}

static bool flag_bool(bool *out, const char *value)
{
	if (!value || !strcmp(value, "true") || !strcmp(value, "1"))
		*out = true;
	else if (!strcmp(value, "false") || !strcmp(value, "0"))
		*out = false;
	else
		return false;
	return true;
}

static bool flag_count(int64_t *out, const char *value, const char **end)
{
	long long n;
	char *stop;

	if (!value || value[0] < '0' || value[0] > '9')
		return false;
	errno = 0;
	n = strtoll(value, &stop, 10);
	*end = stop;
	*out = n;
	return !errno;
}

/* Where something can be turned off: 0 does it, too. */
static bool flag_off(int64_t *out, const char *value, bool fine)
{
	if (value && !strcmp(value, "off"))
		*out = 0;
	else if (!fine)
		return false;
	if (!*out)
		*out = CONVO_OFF;
	return true;
}

static bool flag_context(struct flag_context *out, const char *value)
{
	const char *end = "";
	int64_t n;

	if (!flag_count(&n, value, &end))
		return false;
	out->messages = out->tokens = 0;
	if (!*end)
		out->messages = (size_t)n;
	else if (!strcmp(end, "t"))
		out->tokens = (size_t)n;
	else
		return false;
	return true;
}

static bool flag_color(enum term_color *out, const char *value)
{
	if (!value || !strcmp(value, "always") || !strcmp(value, "true"))
		*out = COLOR_ALWAYS;
	else if (!strcmp(value, "never") || !strcmp(value, "false"))
		*out = COLOR_NEVER;
	else if (!strcmp(value, "auto"))
		*out = COLOR_AUTO;
	else
		return false;
	return true;
}

static bool flag_busy(enum convo_when_busy *out, const char *value)
{
	static const char *const words[] = {"wait", "refuse", "take"};
	unsigned i;

	for (i = 0; value && i < 3 && strcmp(value, words[i]) != 0; i++)
		;
	if (!value || i == 3)
		return false;
	*out = (enum convo_when_busy)i;
	return true;
}

static bool flag_set(void *values, const struct flag *flag, const char *value)
{
	void *at = (char *)values + flag->offset;
	const char *end = "";

	switch (flag->kind) {
	case FLAG_TEXT:
		*(const char **)at = value;
		return true;
	case FLAG_BOOL:
		return flag_bool(at, value);
	case FLAG_COUNT:
		return flag_off(at, value, flag_count(at, value, &end) && !*end);
	case FLAG_DURATION:
		return flag_off(at, value, convo_duration_parse(at, value, NULL) == 0);
	case FLAG_CONTEXT:
		return flag_context(at, value);
	case FLAG_COLOR:
		return flag_color(at, value);
	case FLAG_BUSY:
		return flag_busy(at, value);
	}
	return false;
}

/* What a value of the kind is. */
static const char *const flag_wanted[] = {
	[FLAG_TEXT] = "some text",
	[FLAG_BOOL] = "true or false",
	[FLAG_COUNT] = "a whole number, or off",
	[FLAG_DURATION] = "a duration such as 90s, 1h30m or 7d, or off",
	[FLAG_CONTEXT] = "a number of messages (20) or of tokens (4000t)",
	[FLAG_COLOR] = "auto, always or never",
	[FLAG_BUSY] = "wait, refuse or take",
};

static int flag_wrong(const struct flag *flag, const char *value)
{
	term_error("-%s: '%s' is not %s", flag->name, value, flag_wanted[flag->kind]);
	return EXIT_USAGE;
}

const char *flag_give(const struct flag_line *line, const char *name, const char *value, bool lasts)
{
	const struct flag_place place = flag_find(line, name, strlen(name));

	if (!place.flag || !place.flag->meaning)
		return "";
	if ((place.flag->kind != FLAG_TEXT || lasts) && flag_set(place.values, place.flag, value))
		return NULL;
	return flag_wanted[place.flag->kind];
}

static bool flag_is_color_word(const char *word)
{
	enum term_color color;

	return word && flag_color(&color, word) && strcmp(word, "true") && strcmp(word, "false");
}

/* Reads the flag at argv[*i], and moves *i onto its value if that is a word of its own. */
static int flag_read(const struct flag_line *line, char **argv, int *i)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct flag_place place = flag_find(line, name, len);
	const struct flag *flag = place.flag;

	if (!flag)
		return flag_unknown(line, argv[*i], name, len);
	if (!value && flag->kind == FLAG_COLOR && flag_is_color_word(argv[*i + 1]))
		value = argv[++*i];
	if (!value && flag->arg && flag->kind != FLAG_COLOR) {
		value = argv[++*i];
		if (!value) {
			term_error("-%s wants a value: -%s %s", flag->name, flag->name, flag->arg);
			return EXIT_USAGE;
		}
	}
	return flag_set(place.values, flag, value) ? 0 : flag_wrong(flag, value);
}

int flag_parse(const struct flag_line *line, int argc, char **argv, char ***args, int *arg_count)
{
	bool only_args = false;
	int i, rc;

	*args = argv + 1;
	*arg_count = 0;
	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1] || only_args) {
			(*args)[(*arg_count)++] = argv[i];
			continue;
		}
		only_args = !strcmp(argv[i], "--");
		if (only_args)
			continue;
		rc = flag_read(line, argv, &i);
		if (rc)
			return rc;
	}
	return 0;
}

static void flag_print_one(const struct flag *flag, const char *stores)
{
	static const char brace[] = "{stores}";
	const char *meaning = flag->meaning;
	bool named = !strncmp(meaning, brace, sizeof(brace) - 1);
	char head[40];

	snprintf(head, sizeof(head), "-%s%s%s", flag->name, flag->arg ? " " : "",
		 flag->arg ? flag->arg : "");
	printf("  %-24s %s%s", head, named ? stores : "",
	       meaning + (named ? sizeof(brace) - 1 : 0));
	if (flag->standard)
		printf(" (%s)", flag->standard);
	putchar('\n');
}

void flag_print(const struct flag_line *line, const char *stores)
{
	size_t t, i;

	for (t = 0; t < line->count; t++)
		for (i = 0; i < line->tables[t].count; i++)
			if (line->tables[t].flags[i].meaning)
				flag_print_one(&line->tables[t].flags[i], stores);
}

void flag_names(const struct flag_line *line)
{
	size_t t, i;

	for (t = 0; t < line->count; t++)
		for (i = 0; i < line->tables[t].count; i++)
			if (line->tables[t].flags[i].meaning)
				printf("%s\n", line->tables[t].flags[i].name);
}
