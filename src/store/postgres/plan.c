/*
 * Reading a URL; see plan.h.
 */
#include <store/postgres/plan.h>

#include <stdio.h>
#include <stdlib.h>

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

/* Where ":port" begins in "host:port", "[v6]:port" or "/directory:port"; NULL without one. */
static const char *pg_port_of(const char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9')
		at--;
	if (at < 2 || at == len || text[at - 1] != ':')
		return NULL;
	/* An address without brackets has colons of its own. */
	if (text[at - 2] == ']' || *text == '/' || !memchr(text, ':', at - 1))
		return text + at - 1;
	return NULL;
}

static int pg_plan_host(struct pg_plan *plan, const char *text, size_t len, int port)
{
	struct pg_host *host = &plan->host[plan->host_count];
	const char *colon = pg_port_of(text, len);
	size_t name = colon ? (size_t)(colon - text) : len;
	char number[16];
	int rc = 0;

	if (plan->host_count == PG_PLAN_HOSTS)
		return CONVO_E_TOOBIG;
	host->port = PG_NONE;
	if (colon) {
		rc = pg_keep(plan, colon + 1, len - name - 1, &host->port);
	} else if (port) {
		snprintf(number, sizeof(number), "%d", port);
		rc = pg_keep(plan, number, strlen(number), &host->port);
	}
	if (rc < 0)
		return rc;
	if (name > 1 && *text == '[' && text[name - 1] == ']') {
		text++;
		name -= 2;
	}
	plan->host_count++;
	return pg_keep(plan, text, name, &host->host);
}

static int pg_plan_hosts(struct pg_plan *plan, const struct cv_url *url)
{
	const char *list = cv_url_param(url, "host");
	int rc = 0;

	/* What libpq would take, but it would also look the name up. */
	if (!list && !url->host && !getenv("PGHOSTADDR") && !getenv("PGSERVICE"))
		list = getenv("PGHOST");
	if (!list)
		list = url->host ? url->host : "";
	for (;;) {
		size_t len = strcspn(list, ",");

		rc = pg_plan_host(plan, list, len, url->port);
		if (rc < 0 || !list[len])
			return rc;
		list += len + 1;
	}
}

static void pg_plan_where(const struct pg_plan *plan, char *where, size_t size)
{
	const char *text = plan->text.data;
	size_t i, len = 0;

	for (i = 0; i < plan->host_count && len < size; i++) {
		const struct pg_host *host = &plan->host[i];

		len += (size_t)snprintf(where + len, size - len, "%s%s%s%s", i ? "," : "",
					text[host->host] ? text + host->host : "local",
					host->port == PG_NONE ? "" : ":",
					host->port == PG_NONE ? "" : text + host->port);
	}
	if (len < size && plan->database != PG_NONE)
		snprintf(where + len, size - len, "/%s", text + plan->database);
}

static int pg_plan_fill(struct pg_plan *plan, const struct cv_url *url)
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
	rc = pg_plan_hosts(plan, url);
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
	return rc;
}

int cv_pg_plan_init(struct pg_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err)
{
	int rc = pg_plan_fill(plan, url);

	if (rc < 0)
		return cv_buf_fail(err, rc);
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
