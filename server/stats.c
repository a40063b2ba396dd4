/*
 * The command `convo stats`; see stats.h. It reads the store itself and needs no server.
 */
#include "stats.h"

#include <string.h>
#include <time.h>

#include <convo/version.h>

#include "app/app.h"
#include "app/stores.h"
#include "metrics/report.h"
#include "open.h"
#include "stats_show.h"
#include "term/term.h"

#define COLUMNS 80 /* where there is no terminal */

struct stats_flags {
	struct common_flags common;
	int64_t last_ms;
	bool json;
	char **args;
	int arg_count;
};

#define AT(member) offsetof(struct stats_flags, member)

static const struct flag stats_table[] = {
	{"last", "TIME", "how far back, up to 400d", "24h", AT(last_ms), FLAG_DURATION},
	{"json", NULL, "one JSON object, as GET /usage.json has it", "false", AT(json), FLAG_BOOL},
};

static struct flag_line stats_line(struct flag_table tables[2], struct stats_flags *flags)
{
	const struct flag_table own = {stats_table, sizeof(stats_table) / sizeof(stats_table[0]),
				       flags};
	const struct flag_line line = {"convo stats", tables, 2};

	tables[0] = own;
	tables[1] = common_flags(&flags->common);
	return line;
}

static int stats_help(void)
{
	struct stats_flags unread = {.json = false};
	struct flag_table tables[2];
	const struct flag_line line = stats_line(tables, &unread);
	struct text stores = {0};
	bool ok = stores_list(&stores, ", ", false);

	if (ok) {
		term_say("convo stats - what the servers on a store counted: turns, tokens, "
			 "times, errors\n"
			 "\n"
			 "usage: convo stats [-last 7d] [-json] -session STORE [flags]\n"
			 "\n");
		flag_print(&line, stores.data);
	} else {
		term_error("out of memory");
	}
	text_clear(&stores);
	return term_flush() && ok ? 0 : EXIT_FAILED;
}

static int stats_print(const struct stats_flags *flags, convo_store *store,
		       const struct settings *settings)
{
	const int64_t now_s = (int64_t)time(NULL), last_s = flags->last_ms / 1000;
	const enum shelf_step step = last_s <= REPORT_HOURS_S ? SHELF_HOUR : SHELF_DAY;
	/* The hour or day that is going on counts as one of them. */
	const int64_t from_s = shelf_begin(step, now_s) + (int64_t)step - last_s;
	struct report report = {0};
	struct text json = {0};
	struct convo_err err = {0};
	int rc = report_read(&report, store, from_s < now_s ? from_s : now_s, now_s + 1, now_s,
			     NULL, &err);

	if (rc < 0) {
		report_clear(&report);
		return open_store_failed(settings, &err);
	}
	if (!flags->json)
		stats_show(&report, convo_store_describe(store),
			   term_is_shown() ? term_columns() : COLUMNS);
	else if (report_write(&json, &report))
		term_say("%s\n", json.data);
	else
		rc = EXIT_FAILED;
	report_clear(&report);
	text_clear(&json);
	return term_flush() && rc == 0 ? 0 : EXIT_FAILED;
}

/* @return 0 or an exit code, said */
static int stats_check(const struct stats_flags *flags)
{
	if (flags->arg_count > 0)
		term_error("unexpected '%s'; convo stats -help lists all", flags->args[0]);
	else if (flags->last_ms < 1000 || flags->last_ms > SHELF_DAYS_S * 1000)
		term_error("-last: 1s to 400d");
	else
		return 0;
	return EXIT_USAGE;
}

static int stats_read(const struct stats_flags *flags)
{
	struct settings settings = {0};
	convo_store *store = NULL;
	int rc = settings_load(&settings, &flags->common);

	if (rc == 0 && !strcmp(settings.backend->scheme, "memory")) {
		term_error("figures last no longer than their store: name one by -session");
		rc = EXIT_USAGE;
	}
	if (rc == 0) {
		settings.store.clean_interval_ms = CONVO_OFF;
		rc = open_store(&store, &settings);
	}
	if (rc == 0)
		rc = stats_print(flags, store, &settings);
	convo_store_close(store);
	settings_clear(&settings);
	return rc;
}

int stats_run(int argc, char **argv)
{
	struct stats_flags flags = {.common = common_standard, .last_ms = 24 * 3600 * 1000};
	struct flag_table tables[2];
	const struct flag_line line = stats_line(tables, &flags);
	int rc;

	term_open();
	rc = flag_parse(&line, argc, argv, &flags.args, &flags.arg_count);
	if (rc)
		return rc;
	if (flags.common.help)
		return stats_help();
	if (flags.common.version) {
		term_say("convo %s\n", convo_version());
		return term_flush() ? 0 : EXIT_FAILED;
	}
	rc = stats_check(&flags);
	return rc ? rc : stats_read(&flags);
}
