/*
 * The options of a store; see options.h.
 */
#include <store/front/options.h>

#include <stdio.h>
#include <string.h>

#include <convo/text.h>

#include <base/fail.h>
#include <store/front/call.h>

#define DEFAULT_TIMEOUT_MS 5000
#define DEFAULT_TRASH_MS (INT64_C(7) * 24 * 3600 * 1000)
#define DEFAULT_CLEAN_MS (INT64_C(5) * 60 * 1000)
#define DEFAULT_CONNECTIONS 8
#define MAX_CONNECTIONS 1000
#define MAX_EVENT_LIMIT INT64_C(1000000000)

int cv_options_prefix(const char *prefix, struct convo_err *err)
{
	size_t len = strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789_");

	if (!len || len > 32 || prefix[len])
		return cv_fail(err, CONVO_E_INVALID,
			       "the prefix must be 1 to 32 letters, digits or _");
	return 0;
}

/* A duration; "off" and 0 mean none where that can be. */
static int read_duration(const struct cv_url *url, const char *name, bool can_be_off, int64_t *ms,
			 struct convo_err *err)
{
	const char *text = cv_url_param(url, name);
	struct convo_err why;

	if (!text)
		return 0;
	if (can_be_off && strcmp(text, "off") == 0) {
		*ms = CONVO_OFF;
		return 0;
	}
	if (convo_duration_parse(ms, text, &why) < 0)
		return cv_fail(err, CONVO_E_INVALID, "the URL option %s: %s", name, why.text);
	if (*ms == 0 && !can_be_off)
		return cv_fail(err, CONVO_E_INVALID, "the URL option %s must be more than 0", name);
	if (*ms == 0)
		*ms = CONVO_OFF;
	return 0;
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
	const char *limit = cv_url_param(url, "limit");
	int64_t connections = opts->max_connections;
	int rc = read_duration(url, "timeout", false, &opts->timeout_ms, err);

	if (rc < 0)
		return rc;
	rc = read_duration(url, "ttl", true, &opts->ttl_ms, err);
	if (rc < 0)
		return rc;
	rc = read_duration(url, "trash", true, &opts->trash_ms, err);
	if (rc < 0)
		return rc;
	rc = read_duration(url, "clean", true, &opts->clean_interval_ms, err);
	if (rc < 0)
		return rc;
	if (limit && strcmp(limit, "off") == 0)
		opts->event_limit = CONVO_OFF;
	else
		rc = read_number(url, "limit", MAX_EVENT_LIMIT, &opts->event_limit, err);
	if (rc < 0)
		return rc;
	rc = read_number(url, "pool", MAX_CONNECTIONS, &connections, err);
	if (rc < 0)
		return rc;
	if (schema && strcmp(schema, "check") != 0 && strcmp(schema, "auto") != 0)
		return cv_fail(err, CONVO_E_INVALID, "the URL option schema must be check or auto");
	if (schema)
		opts->check_schema = strcmp(schema, "check") == 0;
	if (prefix)
		opts->prefix = prefix;
	opts->max_connections = (int)connections;
	return 0;
}

/* ---- what an option may be -------------------------------------------------------------- */

/* Check a member and resolve it: 0 becomes the default, CONVO_OFF 0 where that can be. */
static int resolve(int64_t *value, const char *name, int64_t fallback, bool can_be_off, int64_t max,
		   struct convo_err *err)
{
	if (*value == 0)
		*value = fallback;
	else if (*value == CONVO_OFF && can_be_off)
		*value = 0;
	else if (*value < 0 || *value > max)
		return cv_fail(err, CONVO_E_INVALID, "the store option %s must be 1 to %lld%s",
			       name, (long long)max, can_be_off ? ", 0 or CONVO_OFF" : " or 0");
	return 0;
}

static int resolve_all(struct convo_store_options *o, struct convo_err *err)
{
	int64_t connections = o->max_connections;
	int rc = resolve(&o->timeout_ms, "timeout_ms", DEFAULT_TIMEOUT_MS, false,
			 CONVO_MAX_DURATION, err);

	if (rc < 0)
		return rc;
	rc = resolve(&o->ttl_ms, "ttl_ms", 0, true, CONVO_MAX_DURATION, err);
	if (rc < 0)
		return rc;
	rc = resolve(&o->event_limit, "event_limit", 0, true, MAX_EVENT_LIMIT, err);
	if (rc < 0)
		return rc;
	rc = resolve(&o->trash_ms, "trash_ms", DEFAULT_TRASH_MS, true, CONVO_MAX_DURATION, err);
	if (rc < 0)
		return rc;
	rc = resolve(&o->clean_interval_ms, "clean_interval_ms", DEFAULT_CLEAN_MS, true,
		     CONVO_MAX_DURATION, err);
	if (rc < 0)
		return rc;
	rc = resolve(&connections, "max_connections", DEFAULT_CONNECTIONS, false, MAX_CONNECTIONS,
		     err);
	o->max_connections = (int)connections;
	return rc;
}

/* Every parameter of the URL is ours or the backend's, and none stands there twice. */
static int check_params(const struct cv_backend *be, const struct cv_url *url,
			struct convo_err *err)
{
	static const char *const ours[] = {"timeout", "ttl",    "trash",  "clean", "limit",
					   "pool",    "prefix", "schema", NULL};
	const char *const *lists[2] = {ours, be->params};
	size_t i, j;

	for (i = 0; i < url->count; i++) {
		const char *name = url->param[i].name;
		bool known = false;

		for (j = 0; j < 2; j++) {
			const char *const *list = lists[j];

			for (; list && *list && !known; list++)
				known = strcmp(*list, name) == 0;
		}
		if (!known)
			return cv_fail(err, CONVO_E_INVALID, "a %s URL has no option '%.40s'",
				       be->scheme, name);
		for (j = 0; j < i; j++) {
			if (strcmp(url->param[j].name, name) == 0)
				return cv_fail(err, CONVO_E_INVALID,
					       "the URL option %.40s stands there twice", name);
		}
	}
	return 0;
}

int cv_options_apply(struct convo_store *store, const struct convo_store_options *opts,
		     const struct cv_url *url, struct convo_err *err)
{
	struct convo_store_options *o = &store->opts;
	int rc;

	if (opts) {
		rc = CHECK_RESERVED(opts, err);
		if (rc < 0)
			return rc;
		*o = *opts;
	}
	rc = check_params(store->be, url, err);
	if (rc < 0)
		return rc;
	rc = read_url(o, url, err);
	if (rc < 0)
		return rc;
	rc = resolve_all(o, err);
	if (rc < 0)
		return rc;
	if (!o->prefix)
		o->prefix = store->be->default_prefix;
	rc = cv_options_prefix(o->prefix, err);
	if (rc < 0)
		return rc;
	memcpy(store->prefix, o->prefix, strlen(o->prefix) + 1);
	o->prefix = store->prefix;
	return 0;
}
