/*
 * The command `convo key`; see key.h.
 */
#include "key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <convo/version.h>

#include "app/app.h"
#include "app/stores.h"
#include "auth/keys.h"
#include "open.h"

struct key_flags {
	struct common_flags common;
	const char *rights, *note;
	int64_t expires_ms; /* from now; CONVO_OFF: never */
	int64_t rpm, tpm;   /* CONVO_OFF: no limit */
	char **args;
	int arg_count;
};

struct key_job {
	struct key_flags flags;
	struct settings settings;
	convo_store *store;
};

static int64_t key_now_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

/* ---- the command line ----------------------------------------------------------------- */

#define AT(member) offsetof(struct key_flags, member)

static const struct flag key_table[] = {
	{"rights", "LIST", "what it allows: chat, read, admin, with commas between", "chat,read",
	 AT(rights), FLAG_TEXT},
	{"expires", "TIME", "how long it can be used (12h, 90d); off: for ever", "off",
	 AT(expires_ms), FLAG_DURATION},
	{"rpm", "N", "most requests a minute, on each server; off: no limit", "off", AT(rpm),
	 FLAG_COUNT},
	{"tpm", "N", "the same for tokens", "off", AT(tpm), FLAG_COUNT},
	{"note", "TEXT", "what it is for, shown by list", NULL, AT(note), FLAG_TEXT},
};

static struct flag_line key_line(struct flag_table tables[2], struct key_flags *flags)
{
	const struct flag_table own = {key_table, sizeof(key_table) / sizeof(key_table[0]), flags};
	const struct flag_line line = {"convo key", tables, 2};

	tables[0] = own;
	tables[1] = common_flags(&flags->common);
	return line;
}

static int key_parse(struct key_flags *flags, int argc, char **argv)
{
	struct flag_table tables[2];
	const struct flag_line line = key_line(tables, flags);
	const struct key_flags standard = {
		.common = common_standard,
		.rights = "chat,read",
		.note = "",
		.expires_ms = CONVO_OFF,
		.rpm = CONVO_OFF,
		.tpm = CONVO_OFF,
	};

	*flags = standard;
	flags->common.user = NULL; /* whose key it is must be said */
	return flag_parse(&line, argc, argv, &flags->args, &flags->arg_count);
}

static int key_help(void)
{
	struct key_flags unread;
	struct flag_table tables[2];
	const struct flag_line line = key_line(tables, &unread);
	struct text stores = {0};
	bool ok = stores_list(&stores, ", ", false);

	if (ok) {
		term_say("convo key - the keys of those who may use convo serve -auth keys\n"
			 "\n"
			 "usage: convo key add -user NAME [-app NAME] [flags]   print a new key, "
			 "once\n"
			 "       convo key list [flags]\n"
			 "       convo key revoke ID [flags]\n"
			 "\n");
		flag_print(&line, stores.data);
	} else {
		term_error("out of memory");
	}
	text_clear(&stores);
	return term_flush() && ok ? 0 : EXIT_FAILED;
}

/* ---- the store ------------------------------------------------------------------------ */

static int key_failed(const struct key_job *job, const struct convo_err *err)
{
	if (err->code != CONVO_E_INVALID)
		return open_store_failed(&job->settings, err);
	term_error("%s", err->text);
	return EXIT_USAGE;
}

static int key_open(struct key_job *job)
{
	int rc = settings_load(&job->settings, &job->flags.common);

	if (rc)
		return rc;
	if (!strcmp(job->settings.backend->scheme, "memory")) {
		term_error("keys last no longer than their store: name one by -session");
		return EXIT_USAGE;
	}
	job->settings.store.clean_interval_ms = CONVO_OFF;
	return open_store(&job->store, &job->settings);
}

/* ---- add ------------------------------------------------------------------------------ */

/* What the command line says of a key. @return 0 or an exit code */
static int key_describe(struct key_record *out, const struct key_flags *flags)
{
	const struct common_flags *common = &flags->common;

	if (!common->user) {
		term_error("whose key is it? convo key add -user NAME");
		return EXIT_USAGE;
	}
	if (!name_is_fine("user", common->user) || !app_name_is_fine(common->app))
		return EXIT_USAGE;
	if (!rights_read(&out->rights, flags->rights)) {
		term_error("-rights: '%s' is not chat, read, admin, with commas between",
			   flags->rights);
		return EXIT_USAGE;
	}
	if (flags->rpm > KEY_LIMIT_MAX || flags->tpm > KEY_LIMIT_MAX) {
		term_error("-rpm, -tpm: at most %d", KEY_LIMIT_MAX);
		return EXIT_USAGE;
	}
	if (strlen(flags->note) > KEY_NOTE_MAX) {
		term_error("-note: at most %d bytes", KEY_NOTE_MAX);
		return EXIT_USAGE;
	}
	snprintf(out->app, sizeof(out->app), "%s", common->app);
	snprintf(out->user, sizeof(out->user), "%s", common->user);
	snprintf(out->note, sizeof(out->note), "%s", flags->note);
	out->rpm = flags->rpm > 0 ? flags->rpm : 0;
	out->tpm = flags->tpm > 0 ? flags->tpm : 0;
	out->created_ms = key_now_ms();
	if (flags->expires_ms > 0)
		out->expires_ms = out->created_ms + flags->expires_ms;
	return 0;
}

static int key_add(struct key_job *job)
{
	struct key_record record = {0};
	char text[KEY_TEXT_SIZE];
	struct convo_err err = {0};
	int rc = key_describe(&record, &job->flags);

	if (rc == 0)
		rc = key_open(job);
	if (rc)
		return rc;
	if (key_make(text, &err) < 0)
		return key_failed(job, &err);
	if (!key_hash(record.hash, text)) {
		term_error("no hash can be made of the key");
		return EXIT_FAILED;
	}
	key_id(record.id, text);
	if (keys_put(job->store, &record, &err) < 0)
		return key_failed(job, &err);
	term_say("%s\n", text);
	if (!term_flush())
		return EXIT_FAILED;
	term_note("key %s of %s in %s: shown this once, only its hash is kept", record.id,
		  record.user, record.app);
	return 0;
}

/* ---- list and revoke ------------------------------------------------------------------ */

static void key_show_day(int64_t ms)
{
	const time_t seconds = (time_t)(ms / 1000);
	struct tm day;

	if (ms && gmtime_r(&seconds, &day))
		term_say("  %04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
	else
		term_say("  %-10s", "-");
}

static void key_show(void *ctx, const struct key_record *record)
{
	const char *state = "valid";
	struct text rights = {0};

	(void)ctx;
	if (record->revoked_ms)
		state = "revoked";
	else if (!key_record_holds(record, key_now_ms()))
		state = "expired";
	term_say("%s  %-7s", record->id, state);
	key_show_day(record->created_ms);
	key_show_day(record->expires_ms);
	if (rights_write(&rights, record->rights))
		term_say("  %-15s  ", rights.data);
	text_clear(&rights);
	term_show_line(record->user, 0);
	term_say(" in ");
	term_show_line(record->app, 0);
	if (record->rpm)
		term_say(", %lld requests a minute", (long long)record->rpm);
	if (record->tpm)
		term_say(", %lld tokens a minute", (long long)record->tpm);
	if (*record->note) {
		term_say(": ");
		term_show_line(record->note, 0);
	}
	term_say("\n");
}

static int key_list(struct key_job *job)
{
	struct convo_err err = {0};
	int rc = key_open(job);

	if (rc)
		return rc;
	if (keys_each(job->store, key_show, NULL, &err) < 0)
		return key_failed(job, &err);
	return term_flush() ? 0 : EXIT_FAILED;
}

static int key_revoke(struct key_job *job)
{
	struct key_record record;
	struct convo_err err = {0};
	const char *id = job->flags.args[1];
	int rc;

	if (!key_is_id(id)) {
		term_error("'%s' is no key's id: convo key list shows them", id);
		return EXIT_USAGE;
	}
	rc = key_open(job);
	if (rc)
		return rc;
	rc = keys_get(&record, job->store, id, NULL, &err);
	if (rc == CONVO_E_NOTFOUND) {
		term_error("there is no key %s", id);
		return EXIT_FAILED;
	}
	if (rc == 0 && !record.revoked_ms) {
		record.revoked_ms = key_now_ms();
		rc = keys_put(job->store, &record, &err);
	}
	return rc < 0 ? key_failed(job, &err) : 0;
}

/* ---- which of them -------------------------------------------------------------------- */

static const struct {
	const char *name;
	int args;
	int (*run)(struct key_job *job);
} key_commands[] = {{"add", 1, key_add}, {"list", 1, key_list}, {"revoke", 2, key_revoke}};

static int key_choose(struct key_job *job)
{
	const struct key_flags *flags = &job->flags;
	size_t i;

	for (i = 0; i < sizeof(key_commands) / sizeof(key_commands[0]); i++)
		if (flags->arg_count == key_commands[i].args &&
		    !strcmp(flags->args[0], key_commands[i].name))
			return key_commands[i].run(job);
	term_error("usage: convo key add -user NAME | list | revoke ID; convo key -help lists all");
	return EXIT_USAGE;
}

int key_run(int argc, char **argv)
{
	struct key_job job = {0};
	int rc = key_parse(&job.flags, argc, argv);

	if (rc)
		return rc;
	if (job.flags.common.help)
		return key_help();
	if (job.flags.common.version) {
		term_say("convo %s\n", convo_version());
		return term_flush() ? 0 : EXIT_FAILED;
	}
	rc = key_choose(&job);
	convo_store_close(job.store);
	settings_clear(&job.settings);
	return rc;
}
