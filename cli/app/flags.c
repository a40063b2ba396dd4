/*
 * The flags of the programs: the tables that -help prints too.
 */
#include "app/flags.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define AT(member) offsetof(struct common_flags, member)

static const struct flag common_table[] = {
	{"model", "NAME", "model; 'echo' is the built-in offline one",
	 "MODEL_NAME, else deepseek-chat", AT(model), FLAG_TEXT},
	{"session", "STORE", "{stores}, or a store URL", "inmemory", AT(session), FLAG_TEXT},
	{"event-limit", "N", "most events kept per session; off: no limit", "100", AT(event_limit),
	 FLAG_COUNT},
	{"session-ttl", "TIME", "how long an idle session lives (90s, 1h30m, 7d); off: for ever",
	 "24h", AT(ttl_ms), FLAG_DURATION},
	{"user", "NAME", "whose sessions", "user", AT(user), FLAG_TEXT},
	{"app", "NAME", "of which application", "convo", AT(app), FLAG_TEXT},
	{"table-prefix", "NAME", "of the tables in a SQL database", "convo_", AT(table_prefix),
	 FLAG_TEXT},
	{"key-prefix", "NAME", "of the keys in Redis", "convo", AT(key_prefix), FLAG_TEXT},
	{"cleanup-interval", "TIME", "time between removals of expired sessions; off: never", "5m",
	 AT(clean_ms), FLAG_DURATION},
	{"help", NULL, "print this and exit", NULL, AT(help), FLAG_BOOL},
	{"version", NULL, "print the version and exit", NULL, AT(version), FLAG_BOOL},
};

#undef AT

const struct common_flags common_standard = {
	.session = "inmemory",
	.user = "user",
	.app = "convo",
	.event_limit = 100,
	.ttl_ms = 24 * 3600 * 1000,
	.clean_ms = 5 * 60 * 1000,
};

struct flag_table common_flags(struct common_flags *values)
{
	const struct flag_table table = {common_table, COUNT(common_table), values};

	return table;
}

#define AT(member) offsetof(struct flags, member)

static const struct flag chat_table[] = {
	{"streaming", NULL, "show the answer as it arrives", "true", AT(streaming), FLAG_BOOL},
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
	 "all that the model takes", AT(context), FLAG_CONTEXT},
	{"summary", NULL,
	 "sum up the beginning of a chat before it is too long; a request each time", "true",
	 AT(summary), FLAG_BOOL},
	{"check", NULL, "test key, URL, model and store, and exit", NULL, AT(check), FLAG_BOOL},
	{"color", "WHEN", "auto, always or never; -color alone: always", "auto", AT(color),
	 FLAG_COLOR},
	{"debug", NULL, "tell what happens and how long it takes, on stderr", NULL, AT(debug),
	 FLAG_BOOL},
	{"complete", "WHAT", NULL, NULL, AT(complete), FLAG_TEXT}, /* for the shells: see help.h */
};

/* All that the command line of the chat may hold. */
static struct flag_line chat_line(struct flag_table tables[2], struct flags *flags)
{
	const struct flag_table own = {chat_table, COUNT(chat_table), flags};
	const struct flag_line line = {"convo", tables, 2};

	tables[0] = common_flags(&flags->common);
	tables[1] = own;
	return line;
}

int flags_parse(struct flags *flags, int argc, char **argv)
{
	struct flag_table tables[2];
	const struct flag_line line = chat_line(tables, flags);
	const struct flags standard = {
		.common = common_standard,
		.streaming = true,
		.summary = true,
	};

	*flags = standard;
	return flag_parse(&line, argc, argv, &flags->args, &flags->arg_count);
}

void flags_print(const char *stores)
{
	struct flags unread;
	struct flag_table tables[2];
	const struct flag_line line = chat_line(tables, &unread);

	flag_print(&line, stores);
}

void flags_names(void)
{
	struct flags unread;
	struct flag_table tables[2];
	const struct flag_line line = chat_line(tables, &unread);

	flag_names(&line);
}
