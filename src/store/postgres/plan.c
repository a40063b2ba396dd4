/*
 * Reading a URL; see plan.h.
 */
#include <store/postgres/plan.h>

#include <stdio.h>
#include <stdlib.h>

#include <base/fail.h>

#define PG_NONE SIZE_MAX

/* What a URL may say besides the options of every store; libpq's names. */
const char *const cv_pg_params[] = {"host",
				    "application_name",
				    "channel_binding",
				    "gssencmode",
				    "keepalives",
				    "keepalives_idle",
				    "keepalives_interval",
				    "keepalives_count",
				    "krbsrvname",
				    "options",
				    "passfile",
				    "sslcert",
				    "sslcrl",
				    "sslkey",
				    "sslmode",
				    "sslpassword",
				    "sslrootcert",
				    "sslsni",
				    "ssl_min_protocol_version",
				    "tcp_user_timeout",
				    "target_session_attrs",
				    NULL};

/* Keep a string. @return 0, or a negative code of cv_buf */
static int pg_keep(struct pg_plan *plan, const char *text, size_t len, size_t *at)
{
	int rc;

	*at = plan->text.len;
	rc = cv_buf_add(&plan->text, text, len);
	return rc < 0 ? rc : cv_buf_addc(&plan->text, '\0');
}

static int pg_plan_option(struct pg_plan *plan, const char *name, const char *value)
{
	struct pg_option *option = &plan->option[plan->option_count];
	int rc;

	if (!value)
		return 0;
	if (plan->option_count == PG_PLAN_OPTIONS)
		return CONVO_E_TOOBIG;
	rc = pg_keep(plan, name, strlen(name), &option->name);
	if (rc < 0)
		return rc;
	plan->option_count++;
	return pg_keep(plan, value, strlen(value), &option->value);
}

static int pg_plan_host(struct pg_plan *plan, const struct cv_url_host *from)
{
	struct pg_host *host = &plan->host[plan->host_count];
	char number[16];
	int rc = 0;

	if (plan->host_count == PG_PLAN_HOSTS)
		return CONVO_E_TOOBIG;
	host->port = PG_NONE;
	if (from->port) {
		snprintf(number, sizeof(number), "%d", from->port);
		rc = pg_keep(plan, number, strlen(number), &host->port);
	}
	if (rc < 0)
		return rc;
	plan->host_count++;
	return pg_keep(plan, from->name.data, from->name.len, &host->host);
}

/* An IPv6 address as libpq takes it too, without brackets and so without a port. */
static bool pg_is_bare(const char *text)
{
	const char *colon = strchr(text, ':');

	return colon && strchr(colon + 1, ':') && !strpbrk(text, "[/,");
}

/* @return as cv_url_host_in() */
static int pg_next_host(const struct cv_url *url, const char *list, size_t i,
			struct cv_url_host *out, struct convo_err *err)
{
	int rc;

	if (!list && url->host)
		return cv_url_host_at(url, i, out);
	*out = (struct cv_url_host){cv_text_of(list ? list : ""), 0};
	rc = list && !pg_is_bare(list) ? cv_url_host_in(list, i, out, err) : i == 0;
	if (!out->port)
		out->port = url->port;
	return rc;
}

static int pg_plan_hosts(struct pg_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	const char *list = cv_url_param(url, "host");
	struct cv_url_host host;
	size_t i;
	int rc = 0;

	/* What libpq would take, but it would also look the name up. */
	if (!list && !url->host && !getenv("PGHOSTADDR") && !getenv("PGSERVICE"))
		list = getenv("PGHOST");
	for (i = 0; rc >= 0; i++) {
		rc = pg_next_host(url, list, i, &host, err);
		if (rc <= 0)
			return rc;
		rc = pg_plan_host(plan, &host);
	}
	return rc;
}

/* Which servers will do. Of several hosts one that takes writes is wanted, unless somebody says
 * otherwise: a standby that comes first in the list is of no use to a store. */
static int pg_plan_attrs(struct pg_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	const char *attrs = cv_url_param(url, "target_session_attrs");
	int rc = 0;

	if (!attrs)
		attrs = getenv("PGTARGETSESSIONATTRS");
	if (!attrs && plan->host_count > 1) {
		attrs = "read-write";
		rc = pg_plan_option(plan, "target_session_attrs", attrs);
	}
	plan->picky = attrs && strcmp(attrs, "any") != 0;
	plan->writes = attrs && (strcmp(attrs, "read-write") == 0 || strcmp(attrs, "primary") == 0);
	/* It is about all hosts at once, and libpq is given one at a time. */
	if (attrs && plan->host_count > 1 && strcmp(attrs, "prefer-standby") == 0)
		return cv_fail(err, CONVO_E_INVALID,
			       "target_session_attrs=prefer-standby: not with several hosts");
	return rc;
}

int cv_pg_host_text(const struct pg_plan *plan, size_t i, char *out, size_t size)
{
	const char *host = plan->text.data + plan->host[i].host;
	size_t port = plan->host[i].port;
	bool brackets = strchr(host, ':') && port != PG_NONE;

	return snprintf(out, size, "%s%s%s%s%s", brackets ? "[" : "", *host ? host : "local",
			brackets ? "]" : "", port == PG_NONE ? "" : ":",
			port == PG_NONE ? "" : plan->text.data + port);
}

static void pg_plan_where(const struct pg_plan *plan, char *where, size_t size)
{
	size_t i, len = 0;

	for (i = 0; i < plan->host_count && len < size; i++) {
		if (i)
			len += (size_t)snprintf(where + len, size - len, ",");
		if (len < size)
			len += (size_t)cv_pg_host_text(plan, i, where + len, size - len);
	}
	if (len < size && plan->database != PG_NONE)
		snprintf(where + len, size - len, "/%s", plan->text.data + plan->database);
}

static int pg_plan_fill(struct pg_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	const char *database = url->path && *url->path == '/' ? url->path + 1 : url->path;
	size_t i;
	int rc;

	plan->database = PG_NONE;
	if (database && *database) {
		rc = pg_keep(plan, database, strlen(database), &plan->database);
		if (rc < 0)
			return rc;
	}
	rc = pg_plan_hosts(plan, url, err);
	if (rc < 0)
		return rc;
	rc = pg_plan_option(plan, "user", url->user);
	if (rc < 0)
		return rc;
	rc = pg_plan_option(plan, "password", url->password);
	for (i = 0; rc >= 0 && i < url->count; i++) {
		const char *const *list = cv_pg_params + 1;

		/* The front lets through its own and ours; "host" is read by pg_plan_hosts(). */
		while (*list && strcmp(*list, url->param[i].name) != 0)
			list++;
		if (*list)
			rc = pg_plan_option(plan, *list, url->param[i].value);
	}
	return rc < 0 ? rc : pg_plan_attrs(plan, url, err);
}

int cv_pg_plan_init(struct pg_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err)
{
	int rc = pg_plan_fill(plan, url, err);

	if (rc < 0)
		return rc == CONVO_E_INVALID ? rc : cv_buf_fail(err, rc);
	pg_plan_where(plan, where, size);
	return 0;
}

void cv_pg_plan_clear(struct pg_plan *plan)
{
	volatile char *wipe = plan->text.data;
	size_t i;

	for (i = 0; i < plan->text.len; i++)
		wipe[i] = 0;
	cv_buf_clear(&plan->text);
	memset(plan, 0, sizeof(*plan));
}
