/*
 * The one table of backends; see <convo/backend.h>. The program, its completions, and what checks
 * the pages are made from it.
 */
#include <store/front/backends.h>

#include <stdio.h>
#include <string.h>

#include <base/fail.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define VARIABLES(name) name##_variables, COUNT(name##_variables)

static const struct convo_backend_variable sqlite_variables[] = {
	{CONVO_PART_PATH, "SQLITE_PATH", "sessions.db"},
};

static const struct convo_backend_variable redis_variables[] = {
	{CONVO_PART_ADDRESS, "REDIS_ADDR", "localhost:6379"},
};

static const struct convo_backend_variable postgres_variables[] = {
	{CONVO_PART_HOST, "PG_HOST", "localhost"},
	{CONVO_PART_PORT, "PG_PORT", "5432"},
	{CONVO_PART_USER, "PG_USER", "root"},
	{CONVO_PART_PASSWORD, "PG_PASSWORD", NULL},
	{CONVO_PART_DATABASE, "PG_DATABASE", "trpc-agent-go"},
};

static const struct convo_backend_variable mysql_variables[] = {
	{CONVO_PART_HOST, "MYSQL_HOST", "localhost"},
	{CONVO_PART_PORT, "MYSQL_PORT", "3306"},
	{CONVO_PART_USER, "MYSQL_USER", "root"},
	{CONVO_PART_PASSWORD, "MYSQL_PASSWORD", NULL},
	{CONVO_PART_DATABASE, "MYSQL_DATABASE", "trpc_agent_go"},
};

static const char *const no_aliases[] = {NULL};
static const char *const redis_aliases[] = {
	"rediss",          "valkey",          "valkeys",          "redis+cluster",
	"rediss+cluster",  "valkey+cluster",  "valkeys+cluster",  "redis+sentinel",
	"rediss+sentinel", "valkey+sentinel", "valkeys+sentinel", NULL};
static const char *const postgres_aliases[] = {"postgresql", NULL};
static const char *const mysql_aliases[] = {"mariadb", NULL};

static const struct backend_row {
	struct convo_backend backend; /* scheme, name, title, aliases, has a schema */
	const struct convo_backend_variable *variables;
	size_t variable_count;
} table[] = {
	{{"memory", "inmemory", "memory", no_aliases, false}, NULL, 0},
	{{"sqlite", "sqlite", "SQLite", no_aliases, true}, VARIABLES(sqlite)},
	{{"redis", "redis", "Redis", redis_aliases, false}, VARIABLES(redis)},
	{{"postgres", "pgsql", "PostgreSQL", postgres_aliases, true}, VARIABLES(postgres)},
	{{"mysql", "mysql", "MySQL", mysql_aliases, true}, VARIABLES(mysql)},
};

/* Those in this build. */
#define BACKEND(name) &cv_backend_##name,
static const struct cv_backend *const built[] = {
#include <store/front/backends.inc>
};
#undef BACKEND

static bool backend_is_called(const struct convo_backend *backend, const char *name)
{
	const char *const *alias;

	if (!strcmp(backend->scheme, name) || !strcmp(backend->name, name))
		return true;
	for (alias = backend->aliases; *alias; alias++) {
		if (!strcmp(*alias, name))
			return true;
	}
	return false;
}

static const struct cv_backend *backend_built(const struct convo_backend *backend)
{
	size_t i;

	for (i = 0; i < COUNT(built); i++) {
		if (!strcmp(built[i]->scheme, backend->scheme))
			return built[i];
	}
	return NULL;
}

const struct convo_backend *convo_backend_at(size_t i)
{
	return i < COUNT(table) ? &table[i].backend : NULL;
}

const struct convo_backend *convo_backend_find(const char *name)
{
	size_t i;

	for (i = 0; name && i < COUNT(table); i++) {
		if (backend_is_called(&table[i].backend, name))
			return &table[i].backend;
	}
	return NULL;
}

const struct convo_backend_variable *convo_backend_variable_at(const struct convo_backend *backend,
							       size_t i)
{
	size_t k;

	for (k = 0; k < COUNT(table); k++) {
		if (&table[k].backend == backend && i < table[k].variable_count)
			return &table[k].variables[i];
	}
	return NULL;
}

bool convo_backend_is_built(const struct convo_backend *backend)
{
	return backend && backend_built(backend);
}

const struct cv_backend *cv_backend_find(const char *scheme, struct convo_err *err)
{
	const struct convo_backend *backend = convo_backend_find(scheme);
	const struct cv_backend *be = backend ? backend_built(backend) : NULL;
	char known[128] = "";
	size_t i, len = 0;

	if (be)
		return be;
	for (i = 0; i < COUNT(built) && len < sizeof(known); i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					built[i]->scheme);
	cv_fail(err, CONVO_E_UNSUPPORTED, "the store '%.40s' is %s, which has: %s", scheme,
		backend ? "not in this build" : "unknown to this build", known);
	return NULL;
}
