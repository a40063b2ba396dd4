/*
 * Settings; see settings.h.
 */
#include "app/settings.h"

#include <string.h>
#include <strings.h>

#include "app/exit.h"
#include "app/stores.h"
#include "term/term.h"

static const char default_instruction[] = "You are a helpful assistant.";

static int settings_store(struct settings *settings, const struct common_flags *flags)
{
	settings->backend = stores_find(flags->session);
	if (!settings->backend)
		return EXIT_USAGE;
	settings->by_url = strchr(flags->session, ':') != NULL;
	settings->store.ttl_ms = flags->ttl_ms;
	settings->store.event_limit = flags->event_limit;
	settings->store.clean_interval_ms = flags->clean_ms;
	settings->store.prefix =
		settings->backend->has_schema ? flags->table_prefix : flags->key_prefix;
	if (!settings->by_url)
		return stores_url(&settings->url, settings->backend);
	if (text_adds(&settings->url, flags->session))
		return 0;
	term_error("out of memory");
	return EXIT_FAILED;
}

int settings_load(struct settings *settings, const struct common_flags *flags)
{
	memset(settings, 0, sizeof(*settings));
	settings->model = flags->model ? flags->model : stores_env("MODEL_NAME", "deepseek-chat");
	settings->instruction = default_instruction;
	settings->model_options.api_key = stores_env("OPENAI_API_KEY", NULL);
	settings->model_options.base_url = stores_env("OPENAI_BASE_URL", NULL);
	return settings_store(settings, flags);
}

void settings_clear(struct settings *settings)
{
	text_clear(&settings->url);
}

const char *settings_shown_url(const struct settings *settings)
{
	const char *url = settings->model_options.base_url;
	const char *at = url ? strrchr(url, '@') : NULL;

	return at ? at + 1 : url ? url : "https://api.openai.com/v1";
}

/* The three lines for who has set neither key nor URL. */
static void explain_key(void)
{
	term_error("no model to ask: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set");
	term_error("set OPENAI_API_KEY to a key, or OPENAI_BASE_URL to a local server "
		   "(http://localhost:8080/v1)");
	term_error("or try it offline: convo -model echo needs nothing");
}

const char *settings_url_fault(const struct settings *settings)
{
	const char *url = settings->model_options.base_url;

	if (!url || !strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8))
		return NULL;
	return "does not begin with http:// or https://";
}

bool settings_can_ask(const struct settings *settings, const char *model)
{
	const struct convo_model_options *opts = &settings->model_options;
	const char *fault = settings_url_fault(settings);

	if (!strcmp(model, "echo"))
		return true;
	if (!opts->base_url && !opts->api_key)
		explain_key();
	else if (fault)
		term_error("OPENAI_BASE_URL: '%s' %s", settings_shown_url(settings), fault);
	else
		return true;
	return false;
}

bool settings_history(struct text *out)
{
	if (stores_env("XDG_STATE_HOME", NULL))
		return stores_path(out, "XDG_STATE_HOME", ".local/state", "history") == 0;
	return stores_path(out, "XDG_DATA_HOME", ".local/share", "history") == 0;
}
