/*
 * Settings; see settings.h.
 */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "exit.h"
#include "term/term.h"

static const char default_instruction[] = "You are a helpful assistant.";

/* A backend as the command line calls it, and how its URL comes from the environment. */
struct backend {
	const char *name, *scheme;
	bool (*url)(struct text *url);
	bool keys; /* -key-prefix names its data, not -table-prefix */
};

/* An environment variable that is set and not empty, or the default. */
static const char *env_or(const char *name, const char *standard)
{
	const char *value = getenv(name);

	return value && *value ? value : standard;
}

static bool make_folder(struct text *path)
{
	size_t i;

	for (i = 1; i <= path->len; i++) {
		char c = path->data[i];
		bool made;

		if (c != '/' && c != '\0')
			continue;
		path->data[i] = '\0';
		made = mkdir(path->data, 0700) == 0 || errno == EEXIST || errno == EISDIR ||
		       errno == EROFS;
		path->data[i] = c;
		if (!made)
			return false;
	}
	return true;
}

bool settings_path(struct text *out, const char *variable, const char *fallback, const char *name)
{
	const char *base = env_or(variable, NULL), *home = env_or("HOME", NULL);

	/* The XDG rules want relative paths ignored. */
	if (base && base[0] == '/') {
		if (!text_addf(out, "%s/convo", base))
			return false;
	} else if (!home || !text_addf(out, "%s/%s/convo", home, fallback)) {
		return false;
	}
	return make_folder(out) && text_addf(out, "/%s", name);
}

bool settings_history(struct text *out)
{
	const char *state = env_or("XDG_STATE_HOME", NULL);

	if (state)
		return settings_path(out, "XDG_STATE_HOME", ".local/state", "history");
	return settings_path(out, "XDG_DATA_HOME", ".local/share", "history");
}

static bool sqlite_url(struct text *url)
{
	const char *given = env_or("SQLITE_PATH", NULL);
	struct text path = {0};
	bool ok = given ? text_adds(&path, given)
			: settings_path(&path, "XDG_DATA_HOME", ".local/share", "sessions.db");

	if (!ok)
		term_error("no place for the sessions: cannot make %s; set SQLITE_PATH",
			   path.len ? path.data : "a file without HOME");
	ok = ok && text_adds(url, path.data[0] == '/' ? "sqlite://" : "sqlite:") &&
	     text_add_encoded(url, path.data, "/");
	text_clear(&path);
	return ok;
}

static bool memory_url(struct text *url)
{
	return text_adds(url, "memory:");
}

static bool redis_url(struct text *url)
{
	const char *address = env_or("REDIS_ADDR", "localhost:6379");

	if (strstr(address, "://"))
		return text_adds(url, address);
	return text_adds(url, "redis://") && text_add_encoded(url, address, "[]:/");
}

/* "host:port"; an IPv6 address gets its brackets, a socket's folder is encoded, a list stays. */
static bool add_host(struct text *url, const char *host, const char *port)
{
	if (strchr(host, ','))
		return text_add_encoded(url, host, ",:[]");
	if (strchr(host, ':') && host[0] != '[')
		return text_adds(url, "[") && text_add_encoded(url, host, ":") &&
		       text_addf(url, "]:%s", port);
	return text_add_encoded(url, host, "[]:") && text_addf(url, ":%s", port);
}

/* `names` are those of host, port, user, password and database. */
static bool server_url(struct text *url, const char *scheme, const char *const names[5],
		       const char *standard_port, const char *database)
{
	const char *password = env_or(names[3], NULL), *port = env_or(names[1], standard_port);

	if (port[strspn(port, "0123456789")]) {
		term_error("%s: '%s' is not a port number", names[1], port);
		return false;
	}
	return text_addf(url, "%s://", scheme) &&
	       text_add_encoded(url, env_or(names[2], "root"), "") &&
	       (!password || (text_adds(url, ":") && text_add_encoded(url, password, ""))) &&
	       text_adds(url, "@") && add_host(url, env_or(names[0], "localhost"), port) &&
	       text_adds(url, "/") && text_add_encoded(url, env_or(names[4], database), "");
}

static bool postgres_url(struct text *url)
{
	static const char *const names[] = {"PG_HOST", "PG_PORT", "PG_USER", "PG_PASSWORD",
					    "PG_DATABASE"};

	return server_url(url, "postgres", names, "5432", "trpc-agent-go");
}

static bool mysql_url(struct text *url)
{
	static const char *const names[] = {"MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER",
					    "MYSQL_PASSWORD", "MYSQL_DATABASE"};

	return server_url(url, "mysql", names, "3306", "trpc_agent_go");
}

static const struct backend backends[] = {
	{"inmemory", "memory", memory_url, false},     {"sqlite", "sqlite", sqlite_url, false},
	{"redis", "redis", redis_url, true},           {"pgsql", "postgres", postgres_url, false},
	{"postgres", "postgres", postgres_url, false}, {"mysql", "mysql", mysql_url, false},
};

#define BACKEND_TOTAL (sizeof(backends) / sizeof(backends[0]))

static const struct backend *backend_find(const char *name)
{
	size_t i;

	for (i = 0; i < BACKEND_TOTAL; i++)
		if (!strcmp(backends[i].name, name))
			return &backends[i];
	return NULL;
}

const char *settings_scheme(const char *name)
{
	const struct backend *backend = backend_find(name);

	return backend ? backend->scheme : NULL;
}

static bool backend_is_built(const char *scheme)
{
	const char *const *built;

	for (built = convo_store_backends(); *built; built++)
		if (!strcmp(*built, scheme))
			return true;
	return false;
}

/* One line that says which stores there are. */
static void settings_list_stores(const char *wanted)
{
	char list[128] = "";
	size_t i, len = 0;

	for (i = 0; i < BACKEND_TOTAL; i++) {
		if (!strcmp(backends[i].name, "postgres") || !backend_is_built(backends[i].scheme))
			continue;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "",
					backends[i].name);
	}
	if (settings_scheme(wanted))
		term_error("-session %s: not in this build, which has: %s", wanted, list);
	else
		term_error("-session %s: no such store; there are: %s", wanted, list);
}

static int settings_store(struct settings *settings, const struct flags *flags)
{
	const struct backend *backend = backend_find(flags->session);
	bool keys = backend ? backend->keys : !strncmp(flags->session, "redis", 5);

	settings->store.ttl_ms = flags->ttl_ms;
	settings->store.event_limit = flags->event_limit;
	settings->store.clean_interval_ms = flags->clean_ms ? flags->clean_ms : -1;
	settings->store.prefix = keys ? flags->key_prefix : flags->table_prefix;
	if (!backend && strchr(flags->session, ':'))
		return text_adds(&settings->url, flags->session) ? 0 : EXIT_FAILED;
	if (!backend || !backend_is_built(backend->scheme)) {
		settings_list_stores(flags->session);
		return EXIT_USAGE;
	}
	return backend->url(&settings->url) ? 0 : EXIT_USAGE;
}

int settings_load(struct settings *settings, const struct flags *flags)
{
	memset(settings, 0, sizeof(*settings));
	settings->model = flags->model ? flags->model : env_or("MODEL_NAME", "deepseek-chat");
	settings->instruction = flags->system ? flags->system : default_instruction;
	settings->model_options.api_key = env_or("OPENAI_API_KEY", NULL);
	settings->model_options.base_url = env_or("OPENAI_BASE_URL", NULL);
	return settings_store(settings, flags);
}

void settings_clear(struct settings *settings)
{
	text_clear(&settings->url);
}

bool settings_can_ask(const struct settings *settings, const char *model)
{
	return settings->model_options.api_key || settings->model_options.base_url ||
	       !strcmp(model, "echo");
}

void settings_explain_key(void)
{
	term_error("no model to ask: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set");
	term_error("set OPENAI_API_KEY to a key, or OPENAI_BASE_URL to a local server "
		   "(http://localhost:8080/v1)");
	term_error("or try it offline: convo -model echo needs nothing");
}
