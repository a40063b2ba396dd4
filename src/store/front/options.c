/*
 * The table of backends, and the options of a store; see options.h.
 */
#include <store/front/options.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <convo/text.h>

#include <base/fail.h>

#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_TRASH_MS (INT64_C(7) * 24 * 3600 * 1000)
#define DEFAULT_CLEAN_MS (INT64_C(5) * 60 * 1000)
#define DEFAULT_CONNECTIONS 8
#define MAX_CONNECTIONS 1000

/* ---- backends --------------------------------------------------------------------------- */

#define BACKEND(name) &cv_backend_##name,
static const struct cv_backend *const backends[] = {
#include <store/front/backends.inc>
};
#undef BACKEND

#define BACKEND(name) #name,
static const char *const backend_names[] = {
#include <store/front/backends.inc>
	NULL,
};
#undef BACKEND

const char *const *convo_store_backends(void)
{
	return backend_names;
}

static bool backend_has(const struct cv_backend *be, const char *scheme)
{
	const char *const *alias = be->aliases;

	if (strcmp(be->scheme, scheme) == 0)
		return true;
	for (; alias && *alias; alias++) {
		if (strcmp(*alias, scheme) == 0)
			return true;
	}
	return false;
}

const struct cv_backend *cv_backend_find(const char *scheme, struct convo_err *err)
{
	char known[128] = "";
	size_t i, len = 0;

	for (i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (backend_has(backends[i], scheme))
			return backends[i];
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
					backends[i]->scheme);
	}
	cv_fail(err, CONVO_E_UNSUPPORTED,
		"the store '%.40s' is unknown or not in this build, which has: %s", scheme, known);
	return NULL;
}

/* ---- options ---------------------------------------------------------------------------- */

int cv_options_prefix(const char *prefix, struct convo_err *err)
{
	size_t len = strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789_");

	if (!len || len > 32 || prefix[len])
		return cv_fail(err, CONVO_E_INVALID,
			       "the prefix must be 1 to 32 letters, digits or _");
	return 0;
}

static int read_duration(const struct cv_url *url, const char *name, int64_t *ms,
			 struct convo_err *err)
{
	const char *text = cv_url_param(url, name);

	return text ? convo_duration_parse(ms, text, err) : 0;
}

/* A duration where the option's 0 means the default: 0 in the URL means none. */
static int read_duration_or_none(const struct cv_url *url, const char *name, int64_t *ms,
				 struct convo_err *err)
{
	int rc = read_duration(url, name, ms, err);

	if (rc >= 0 && cv_url_param(url, name) && *ms == 0)
		*ms = -1;
	return rc;
}

static int read_number(const struct cv_url *url, const char *name, int64_t max, int64_t *out,
		       struct convo_err *err)
{
	const char *text = cv_url_param(url, name), *p = text;
	int64_t value = 0;

	if (!text)
		return 0;
	for (; *p >= '0' && *p <= '9' && value <= max; p++)
		value = value * 10 + (*p - '0');
	if (p == text || *p || value > max)
		return cv_fail(err, CONVO_E_INVALID, "%s must be a number from 0 to %lld", name,
			       (long long)max);
	*out = value;
	return 0;
}

static int read_url(struct convo_store_options *opts, const struct cv_url *url,
		    struct convo_err *err)
{
	const char *schema = cv_url_param(url, "schema");
	const char *prefix = cv_url_param(url, "prefix");
	int64_t timeout_ms = opts->timeout_ms, connections = opts->max_connections;
	int rc = read_duration(url, "timeout", &timeout_ms, err);

	if (rc >= 0)
		rc = read_duration(url, "ttl", &opts->ttl_ms, err);
	if (rc >= 0)
		rc = read_duration_or_none(url, "trash", &opts->trash_ms, err);
	if (rc >= 0)
		rc = read_duration_or_none(url, "clean", &opts->clean_interval_ms, err);
	if (rc >= 0)
		rc = read_number(url, "limit", INT64_C(1000000000), &opts->event_limit, err);
	if (rc >= 0)
		rc = read_number(url, "pool", MAX_CONNECTIONS, &connections, err);
	if (rc < 0)
		return rc;
	if (schema && strcmp(schema, "check") != 0 && strcmp(schema, "auto") != 0)
		return cv_fail(err, CONVO_E_INVALID, "schema must be check or auto");
	if (schema)
		opts->check_schema = strcmp(schema, "check") == 0;
	if (prefix)
		opts->prefix = prefix;
	opts->timeout_ms = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
	opts->max_connections = (int)connections;
	return 0;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
	if (value == 0)
		return fallback;
	return value < 0 ? 0 : value;
}

int cv_options_apply(struct convo_store *store, const struct convo_store_options *opts,
		     const struct cv_url *url, struct convo_err *err)
{
	struct convo_store_options *o = &store->opts;
	int rc;

	if (opts)
		*o = *opts;
	rc = read_url(o, url, err);
	if (rc < 0)
		return rc;
	if (o->timeout_ms < 0 || o->ttl_ms < 0 || o->event_limit < 0 || o->max_connections < 0 ||
	    o->max_connections > MAX_CONNECTIONS || o->ttl_ms > INT64_MAX / 4000 ||
	    o->trash_ms > INT64_MAX / 4000)
		return cv_fail(err, CONVO_E_INVALID, "a store option is out of range");
	if (!o->prefix)
		o->prefix = store->be->default_prefix;
	rc = cv_options_prefix(o->prefix, err);
	if (rc < 0)
		return rc;
	memcpy(store->prefix, o->prefix, strlen(o->prefix) + 1);
	o->prefix = store->prefix;
	o->timeout_ms = (int)or_default(o->timeout_ms, DEFAULT_TIMEOUT_MS);
	o->max_connections = (int)or_default(o->max_connections, DEFAULT_CONNECTIONS);
	o->trash_ms = or_default(o->trash_ms, DEFAULT_TRASH_MS);
	o->clean_interval_ms = or_default(o->clean_interval_ms, DEFAULT_CLEAN_MS);
	return 0;
}
