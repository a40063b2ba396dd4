/*
 * convo serve: sessions for clients that speak OpenAI's API. Here the parts are opened in order, and closed
 * when a signal says so.
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <convo/version.h>

#include "api/apis.h"
#include "api/live.h"
#include "app/app.h"
#include "auth/auth.h"
#include "check.h"
#include "core/fetch.h"
#include "flags.h"
#include "key.h"
#include "log.h"
#include "metrics/metrics.h"
#include "metrics/usage.h"
#include "notify.h"
#include "open.h"
#include "routes.h"
#include "stats.h"

/* How long answers may take to be stored once they were cancelled. */
#define STORE_MS 10000

struct serve {
	struct serve_flags flags;
	struct settings settings;
	struct service service;
	struct http_listener listener;
	struct auth *auth;
	struct convo_trace trace; /* of the store */
	struct access_log *log;   /* NULL: none is kept */
	struct http_api apis[APIS_MOST];
	struct text tls_cert, tls_key;
	struct http_server *server;
	sigset_t signals; /* that end it */
};

static int serve_failed(const char *what, const struct convo_err *err)
{
	term_error("%s%s%s", what, *what ? ": " : "", err->text);
	return err->code == CONVO_E_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

/* ---- opening -------------------------------------------------------------------------- */

static int serve_open_models(struct serve *serve)
{
	const struct model_config config = {
		.name = serve->settings.model,
		.options = serve->settings.model_options,
	};
	struct convo_err err = {0};

	if (models_new(&serve->service.models, serve->service.store, &err) < 0)
		return serve_failed("", &err);
	models_listen(serve->service.models, metrics_model, serve->service.metrics);
	if (config_has_models(&serve->flags.config))
		return config_add_models(&serve->flags.config, serve->service.models);
	if (models_add(serve->service.models, &config, &err) < 0)
		return serve_failed(config.name, &err);
	return 0;
}

/* It hears the store from its opening on. */
static int serve_open_metrics(struct serve *serve)
{
	struct convo_err err = {0};

	if (metrics_new(&serve->service.metrics, &err) < 0)
		return serve_failed("", &err);
	serve->trace.on_call = metrics_store_call;
	serve->trace.ctx = serve->service.metrics;
	serve->settings.store.trace = &serve->trace;
	return 0;
}

/* Who needs no key may do all: so nobody beyond this machine may reach it. */
static int serve_check_reach(const struct serve *serve)
{
	if (serve->flags.keys || serve->flags.tokens || serve->listener.local)
		return 0;
	term_error("%s can be reached from other machines, and nobody is asked for a key: -auth "
		   "keys or jwt asks, or listen on 127.0.0.1, [::1] or unix:PATH",
		   serve->listener.shown.data);
	return EXIT_USAGE;
}

/* A store that ends with the server has no keys, and never will. */
static int serve_check_keys(const struct serve *serve)
{
	if (!serve->flags.keys || strcmp(serve->settings.backend->scheme, "memory") != 0)
		return 0;
	term_error("-auth keys wants a store that holds keys: -session names one, convo key add "
		   "-session ... makes them");
	return EXIT_USAGE;
}

static int serve_open_store(struct serve *serve)
{
	return open_store(&serve->service.store, &serve->settings);
}

static int serve_open_auth(struct serve *serve)
{
	const struct common_flags *flags = &serve->flags.common;
	const struct auth_ways ways = {
		.store = serve->flags.keys ? serve->service.store : NULL,
		.jwt = serve->flags.tokens ? &serve->flags.jwt : NULL,
	};
	struct convo_err err = {0};

	if (!ways.store && !ways.jwt) {
		if (auth_one_user(&serve->auth, flags->app, flags->user, &err) < 0)
			return serve_failed("", &err);
	} else if (auth_by(&serve->auth, &ways, &err) < 0) {
		serve_failed(ways.jwt ? "-jwt-keys" : "", &err);
		return EXIT_USAGE;
	}
	serve->service.auth = serve->auth;
	return 0;
}

static int serve_read_file(struct text *out, const char *path)
{
	struct convo_err err = {0};

	if (fetch_file(out, path, TEXT_MAX, &err) == 0 && out->len)
		return 0;
	term_error("%s: %s", path, err.code ? err.text : "is empty");
	return EXIT_USAGE;
}

static int serve_read_tls(struct serve *serve)
{
	const struct serve_flags *flags = &serve->flags;
	int rc = 0;

	if (flags->tls_cert)
		rc = serve_read_file(&serve->tls_cert, flags->tls_cert);
	if (rc == 0 && flags->tls_key)
		rc = serve_read_file(&serve->tls_key, flags->tls_key);
	return rc;
}

static void serve_done(void *ctx, const struct http_done *done)
{
	struct serve *serve = ctx;

	metrics_done(serve->service.metrics, done);
	if (serve->log)
		log_done(serve->log, done);
}

static int serve_start(struct serve *serve)
{
	const struct serve_flags *flags = &serve->flags;
	struct http_options options = {
		.listener = &serve->listener,
		.apis = serve->apis,
		.api_count = apis_all(serve->apis, &serve->service),
		.admit = auth_admit,
		.admit_ctx = serve->auth,
		.done = serve_done,
		.done_ctx = serve,
		.hosts = flags->hosts,
		.origins = flags->origins,
		.workers = (unsigned)flags->workers,
	};
	struct convo_err err = {0};

	if (metrics_set_routes(serve->service.metrics, serve->apis, options.api_count,
			       AUTH_READ | AUTH_CHAT, &err) < 0)
		return serve_failed("", &err);
	if (usage_start(&serve->service.usage, serve->service.metrics, serve->service.store, &err) <
	    0)
		return serve_failed("", &err);
	if (flags->access_log && log_open(&serve->log, &err) < 0)
		return serve_failed("", &err);
	options.tls_cert = serve->tls_cert.data;
	options.tls_key = serve->tls_key.data;
	if (http_server_start(&serve->server, &options, &err) < 0)
		return serve_failed("", &err);
	metrics_set_server(serve->service.metrics, serve->server);
	return 0;
}

/* As many connections as the system lets us have. */
static void serve_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Signals are waited for: no thread is interrupted by one. */
static void serve_take_signals(struct serve *serve)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&serve->signals);
	sigaddset(&serve->signals, SIGTERM);
	sigaddset(&serve->signals, SIGINT);
	sigaddset(&serve->signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &serve->signals, NULL);
}

/* The address of a server that runs is taken, and it is no mistake to look at its next settings. */
static int serve_listen(struct serve *serve)
{
	const bool check = serve->flags.check;
	struct convo_err err = {0};

	if (check && !strcmp(serve->flags.listen, "systemd"))
		return 0;
	if (http_listen(&serve->listener, serve->flags.listen, &err) == 0)
		return serve_check_reach(serve);
	if (!check || err.code != CONVO_E_IO)
		return serve_failed("-listen", &err);
	term_note("-listen: %s", err.text);
	return 0;
}

static int serve_settle(struct serve *serve)
{
	const struct common_flags *flags = &serve->flags.common;
	int rc;

	if (!name_is_fine("user", flags->user) || !app_name_is_fine(flags->app))
		return EXIT_USAGE;
	rc = settings_load(&serve->settings, flags);
	if (rc == 0 && !config_has_models(&serve->flags.config) &&
	    !settings_can_ask(&serve->settings, serve->settings.model))
		rc = EXIT_USAGE;
	return rc ? rc : serve_check_keys(serve);
}

static int serve_open_live(struct serve *serve)
{
	struct convo_err err;

	return live_open(&serve->service.live, serve->service.store, &err) < 0
		       ? serve_failed("", &err)
		       : 0;
}

/* Opens all but the server itself. */
static int serve_open(struct serve *serve)
{
	int (*const steps[])(struct serve *) = {serve_settle,       serve_listen,
						serve_open_metrics, serve_open_store,
						serve_open_auth,    serve_open_models,
						serve_open_live,    serve_read_tls};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](serve);
	return rc;
}

/* ---- running and ending --------------------------------------------------------------- */

/* Whether one more signal came. */
static bool serve_is_urged(const struct serve *serve)
{
	const struct timespec now = {0, 0};

	return sigtimedwait(&serve->signals, NULL, &now) > 0;
}

/* Waits for what runs. @return whether all of it ended in time and without another signal */
static bool serve_wait(const struct serve *serve, int64_t ms)
{
	const int step = 50;

	for (; ms > 0; ms -= step) {
		if (http_server_wait(serve->server, ms < step ? (int)ms : step))
			return true;
		if (serve_is_urged(serve))
			return false;
	}
	return http_server_wait(serve->server, 0);
}

static void serve_run(struct serve *serve)
{
	int number = 0;

	term_note("convo serves on %s%s", serve->flags.tls_cert ? "https://" : "",
		  serve->listener.shown.data);
	notify_say("READY=1");
	while (sigwait(&serve->signals, &number) != 0)
		;
	notify_say("STOPPING=1");
	atomic_store(&serve->service.draining, true);
	http_server_drain(serve->server);
	if (serve_wait(serve, serve->flags.drain_ms))
		return;
	http_server_cancel(serve->server);
	serve_wait(serve, STORE_MS);
}

static void serve_close(struct serve *serve)
{
	if (serve->service.metrics)
		metrics_set_server(serve->service.metrics, NULL);
	http_server_stop(serve->server);
	usage_stop(serve->service.usage);
	log_close(serve->log);
	http_unlisten(&serve->listener);
	live_close(serve->service.live);
	models_free(serve->service.models);
	convo_store_close(serve->service.store);
	metrics_free(serve->service.metrics);
	auth_free(serve->auth);
	text_clear(&serve->tls_cert);
	text_clear(&serve->tls_key);
	settings_clear(&serve->settings);
}

/* What the flags ask for. */
static int serve_do(struct serve *serve)
{
	const struct serve_flags *flags = &serve->flags;
	int rc;

	if (flags->complete)
		return serve_flags_complete(flags->complete);
	if (flags->common.help)
		return serve_flags_help();
	if (flags->common.version) {
		term_say("convo %s\n", convo_version());
		return term_flush() ? 0 : EXIT_FAILED;
	}
	if (flags->routes)
		return routes_print();
	serve_raise_limit();
	serve_take_signals(serve);
	rc = serve_open(serve);
	if (rc == 0 && flags->check)
		rc = check_run(flags, &serve->settings, &serve->service, &serve->listener);
	else if (rc == 0)
		rc = serve_start(serve);
	if (rc == 0 && !flags->check)
		serve_run(serve);
	serve_close(serve);
	return rc;
}

int main(int argc, char **argv)
{
	struct serve serve = {.listener = {.fd = -1}};
	int rc;

	setlocale(LC_CTYPE, "C.UTF-8");
	if (argc > 1 && !strcmp(argv[1], "key"))
		return key_run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "stats"))
		return stats_run(argc - 1, argv + 1);
	rc = serve_flags_parse(&serve.flags, argc, argv);
	if (rc == 0)
		rc = serve_do(&serve);
	serve_flags_clear(&serve.flags);
	return rc;
}
