/*
 * -check; see check.h.
 */
#include "check.h"

#include "app/exit.h"
#include "open.h"

static void check_line(const char *what, const char *text)
{
	term_say("%-8s", what);
	term_show_line(text, 0);
	term_say("\n");
}

static int check_store(const struct settings *settings, const struct service *service)
{
	struct convo_err err = {0};

	if (service_ask_store(service, NULL, &err) < 0)
		return open_store_failed(settings, &err);
	check_line("store", convo_store_describe(service->store));
	return 0;
}

static void check_models(const struct serve_flags *flags, const struct service *service)
{
	if (config_has_models(&flags->config))
		config_show_models(&flags->config);
	else
		check_line("model", models_at(service->models, 0)->name);
}

static void check_who(const struct serve_flags *flags)
{
	struct text line = {0};
	bool ok = true;

	if (flags->keys)
		check_line("who", "whoever has a key: convo key list");
	if (flags->tokens)
		ok = text_addf(&line, "whoever has a token of %s", flags->jwt.issuer);
	else if (!flags->keys)
		ok = text_addf(&line, "everybody, as %s of %s", flags->common.user,
			       flags->common.app);
	if (ok && line.len)
		check_line("who", line.data);
	text_clear(&line);
}

int check_run(const struct serve_flags *flags, const struct settings *settings,
	      const struct service *service, const struct http_listener *listener)
{
	int rc;

	if (flags->config.path)
		check_line("config", flags->config.path);
	rc = check_store(settings, service);
	if (rc)
		return rc;
	check_models(flags, service);
	check_who(flags);
	if (listener->shown.len)
		check_line("listen", listener->shown.data);
	return term_flush() ? 0 : EXIT_FAILED;
}
