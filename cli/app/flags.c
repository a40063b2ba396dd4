/*
 * The flags of the command line: one table that -help prints too.
 */
#include "app/flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/text.h>

#include "app/exit.h"
#include "term/text.h"

enum flag_kind {
	FLAG_TEXT,
	FLAG_BOOL,
	FLAG_COUNT,    /* int64_t, 1 or more, or CONVO_OFF for off and 0 */
	FLAG_DURATION, /* the same, in ms */
	FLAG_CONTEXT,  /* N or Nt */
	FLAG_COLOR,    /* auto, always, never; alone: always */
	FLAG_BUSY      /* wait, refuse, take */
};

struct flag {
	const char *name;
	const char *arg;     /* what -help calls its value; NULL: a boolean */
	const char *meaning; /* NULL: not for people */
	const char *standard;
	size_t offset;
	enum flag_kind kind;
};

#define AT(member) offsetof(struct flags, member)

static const struct flag flag_table[] = {
	{"model", "NAME", "model; 'echo' is the built-in offline one",
	 "MODEL_NAME, else deepseek-chat", AT(model), FLAG_TEXT},
	{"session", "STORE", "{stores}, or a store URL", "inmemory", AT(session), FLAG_TEXT},
	{"streaming", NULL, "show the answer as it arrives", "true", AT(streaming), FLAG_BOOL},
	{"event-limit", "N", "most events kept per session; off: no limit", "100", AT(event_limit),
	 FLAG_COUNT},
	{"session-ttl", "TIME", "how long an idle session lives (90s, 1h30m, 7d); off: for ever",
	 "24h", AT(ttl_ms), FLAG_DURATION},
	{"user", "NAME", "whose sessions", "user", AT(user), FLAG_TEXT},
	{"app", "NAME", "of which application", "convo", AT(app), FLAG_TEXT},
	{"c", NULL, "continue the session used last", NULL, AT(resume), FLAG_BOOL},
	{"p", "TEXT", "ask once, print the answer, exit; piped input is added after a blank line",
	 NULL, AT(ask), FLAG_TEXT},
	{"follow", "ID", "show this session as another program writes it, until Ctrl-C", NULL,
	 AT(follow), FLAG_TEXT},
	{"busy", "WHAT", "while another program is answering there: wait, refuse, or take over",
	 "wait", AT(busy), FLAG_BUSY},
	{"json", NULL, "with -p: one JSON object (answer, session, usage, timing)", NULL, AT(json),
	 FLAG_BOOL},
	{"system", "TEXT", "instruction for the model", "a short built-in one", AT(system),
	 FLAG_TEXT},
	{"context", "N", "most messages sent to the model (N), or most tokens (Nt)",
	 "all that the model takes", AT(context_messages), FLAG_CONTEXT},
	{"summary", NULL,
	 "sum up the beginning of a chat before it is too long; a request each time", "true",
	 AT(summary), FLAG_BOOL},
	{"table-prefix", "NAME", "of the tables in a SQL database", "convo_", AT(table_prefix),
	 FLAG_TEXT},
	{"key-prefix", "NAME", "of the keys in Redis", "convo", AT(key_prefix), FLAG_TEXT},
	{"cleanup-interval", "TIME", "time between removals of expired sessions; off: never", "5m",
	 AT(clean_ms), FLAG_DURATION},
	{"check", NULL, "test key, URL, model and store, and exit", NULL, AT(check), FLAG_BOOL},
	{"color", "WHEN", "auto, always or never; -color alone: always", "auto", AT(color),
	 FLAG_COLOR},
	{"debug", NULL, "tell what happens and how long it takes, on stderr", NULL, AT(debug),
	 FLAG_BOOL},
	{"help", NULL, "print this and exit", NULL, AT(help), FLAG_BOOL},
	{"version", NULL, "print the version and exit", NULL, AT(version), FLAG_BOOL},
	{"complete", "WHAT", NULL, NULL, AT(complete), FLAG_TEXT}, /* for the shells: see help.h */
};

#define FLAG_TOTAL (sizeof(flag_table) / sizeof(flag_table[0]))

static const struct flag *flag_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < FLAG_TOTAL; i++)
		if (strlen(flag_table[i].name) == len && !memcmp(flag_table[i].name, name, len))
			return &flag_table[i];
	if (len == 1 && name[0] == 'h')
		return flag_find("help", 4);
	return NULL;
}

static int flag_unknown(const char *given, const char *name, size_t len)
{
	char word[48];
	const char *best = NULL;
	size_t i, least = SIZE_MAX;

	snprintf(word, sizeof(word), "%.*s", (int)(len < 47 ? len : 47), name);
	for (i = 0; i < FLAG_TOTAL; i++) {
		size_t d = text_nearness(word, flag_table[i].name);

		if (flag_table[i].meaning && d < least) {
			least = d;
			best = flag_table[i].name;
		}
	}
	if (best)
		term_error("unknown flag %s: did you mean -%s? convo -help lists all", given, best);
	else
		term_error("unknown flag %s: convo -help lists all", given);
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

static bool flag_context(struct flags *flags, const char *value)
{
	const char *end = "";
	int64_t n;

	if (!flag_count(&n, value, &end))
		return false;
	flags->context_messages = flags->context_tokens = 0;
	if (!*end)
		flags->context_messages = (size_t)n;
	else if (!strcmp(end, "t"))
		flags->context_tokens = (size_t)n;
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

static bool flag_set(struct flags *flags, const struct flag *flag, const char *value)
{
	void *at = (char *)flags + flag->offset;
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
		return flag_context(flags, value);
	case FLAG_COLOR:
		return flag_color(at, value);
	case FLAG_BUSY:
		return flag_busy(at, value);
	}
	return false;
}

static int flag_wrong(const struct flag *flag, const char *value)
{
	static const char *const wanted[] = {
		[FLAG_TEXT] = "some text",
		[FLAG_BOOL] = "true or false",
		[FLAG_COUNT] = "a whole number, or off",
		[FLAG_DURATION] = "a duration such as 90s, 1h30m or 7d, or off",
		[FLAG_CONTEXT] = "a number of messages (20) or of tokens (4000t)",
		[FLAG_COLOR] = "auto, always or never",
		[FLAG_BUSY] = "wait, refuse or take",
	};

	term_error("-%s: '%s' is not %s", flag->name, value, wanted[flag->kind]);
	return EXIT_USAGE;
}

static bool flag_is_color_word(const char *word)
{
	enum term_color color;

	return word && flag_color(&color, word) && strcmp(word, "true") && strcmp(word, "false");
}

/* Reads the flag at argv[*i], and moves *i onto its value if that is a word of its own. */
static int flag_read(struct flags *flags, char **argv, int *i)
{
	const char *name = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct flag *flag = flag_find(name, len);

	if (!flag)
		return flag_unknown(argv[*i], name, len);
	if (!value && flag->kind == FLAG_COLOR && flag_is_color_word(argv[*i + 1]))
		value = argv[++*i];
	if (!value && flag->arg && flag->kind != FLAG_COLOR) {
		value = argv[++*i];
		if (!value) {
			term_error("-%s wants a value: -%s %s", flag->name, flag->name, flag->arg);
			return EXIT_USAGE;
		}
	}
	return flag_set(flags, flag, value) ? 0 : flag_wrong(flag, value);
}

int flags_parse(struct flags *flags, int argc, char **argv)
{
	static const struct flags standard = {
		.session = "inmemory",
		.user = "user",
		.app = "convo",
		.event_limit = 100,
		.ttl_ms = 24 * 3600 * 1000,
		.clean_ms = 5 * 60 * 1000,
		.streaming = true,
		.summary = true,
	};
	bool only_args = false;
	int i, rc;

	*flags = standard;
	flags->args = argv + 1;
	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !argv[i][1] || only_args) {
			flags->args[flags->arg_count++] = argv[i];
			continue;
		}
		only_args = !strcmp(argv[i], "--");
		if (only_args)
			continue;
		rc = flag_read(flags, argv, &i);
		if (rc)
			return rc;
	}
	return 0;
}

void flags_print(const char *stores)
{
	static const char brace[] = "{stores}";
	size_t i;

	for (i = 0; i < FLAG_TOTAL; i++) {
		const struct flag *flag = &flag_table[i];
		const char *meaning = flag->meaning;
		bool named = meaning && !strncmp(meaning, brace, sizeof(brace) - 1);
		char head[40];

		if (!meaning)
			continue;
		snprintf(head, sizeof(head), "-%s%s%s", flag->name, flag->arg ? " " : "",
			 flag->arg ? flag->arg : "");
		printf("  %-24s %s%s", head, named ? stores : "",
		       meaning + (named ? sizeof(brace) - 1 : 0));
		if (flag->standard)
			printf(" (%s)", flag->standard);
		putchar('\n');
	}
}

void flags_names(void)
{
	size_t i;

	for (i = 0; i < FLAG_TOTAL; i++)
		if (flag_table[i].meaning)
			printf("%s\n", flag_table[i].name);
}
