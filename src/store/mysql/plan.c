/*
 * What a URL says of how to connect; see plan.h.
 */
#include <store/mysql/plan.h>

#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/fail.h>

#define MY_PORT 3306

const char *const cv_my_params[] = {"socket", "tls", "ca", "cert", "key", NULL};

static int my_plan_tls(struct my_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	const char *tls = cv_url_param(url, "tls");

	plan->tls = tls || cv_url_param(url, "ca");
	plan->verify = plan->tls;
	if (!tls || strcmp(tls, "verify") == 0)
		return 0;
	plan->verify = false;
	if (strcmp(tls, "off") == 0)
		plan->tls = false;
	else if (strcmp(tls, "unverified") != 0)
		return cv_fail(err, CONVO_E_INVALID, "tls must be verify, unverified or off");
	return 0;
}

static bool my_plan_dup(char **out, const char *text)
{
	if (text && *text)
		*out = cv_memdup(text, strlen(text));
	return !text || !*text || *out;
}

/* "host:port", as a URL has it. */
static int my_plan_address(struct cv_buf *out, const struct my_host *host)
{
	bool brackets = strchr(host->name, ':');

	return cv_buf_addf(out, "%s%s%s:%u", brackets ? "[" : "", host->name, brackets ? "]" : "",
			   host->port);
}

/* What to call one host of several. */
static int my_plan_where(const struct my_plan *plan, struct my_host *host)
{
	struct cv_buf where = {0};
	int rc = cv_buf_adds(&where, "MySQL (");

	if (rc == 0)
		rc = my_plan_address(&where, host);
	if (rc == 0)
		rc = cv_buf_addf(&where, "/%s)", plan->database);
	if (rc == 0 && !(host->where = cv_buf_take(&where)))
		rc = CONVO_E_NOMEM;
	cv_buf_clear(&where);
	return rc;
}

static int my_plan_host(struct my_plan *plan, const struct cv_url_host *from, struct convo_err *err)
{
	struct my_host *host = &plan->host[plan->host_count];

	if (plan->host_count == MY_HOSTS)
		return cv_fail(err, CONVO_E_INVALID, "a mysql URL has at most %d hosts", MY_HOSTS);
	plan->host_count++;
	host->port = from->port ? (unsigned)from->port : MY_PORT;
	host->name = cv_memdup(from->name.data, from->name.len);
	return host->name ? 0 : cv_fail_nomem(err);
}

static int my_plan_hosts(struct my_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	struct cv_url_host host = {.name = cv_text_of("localhost"), .port = url->port};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && cv_url_host_at(url, i, &host) > 0; i++)
		rc = my_plan_host(plan, &host, err);
	if (rc == 0 && !i)
		rc = my_plan_host(plan, &host, err);
	if (rc == 0 && plan->socket && i > 1)
		rc = cv_fail(err, CONVO_E_INVALID, "socket= and several hosts exclude each other");
	for (i = 0; rc == 0 && plan->host_count > 1 && i < plan->host_count; i++) {
		rc = my_plan_where(plan, &plan->host[i]);
		if (rc < 0)
			cv_buf_fail(err, rc);
	}
	return rc;
}

/* "a:3306,b:3306/chat" */
static int my_plan_place(const struct my_plan *plan, char *where, size_t size,
			 struct convo_err *err)
{
	struct cv_buf place = {0};
	size_t i;
	int rc = plan->socket ? cv_buf_adds(&place, plan->socket) : 0;

	for (i = 0; rc == 0 && !plan->socket && i < plan->host_count; i++) {
		rc = i ? cv_buf_addc(&place, ',') : 0;
		if (rc == 0)
			rc = my_plan_address(&place, &plan->host[i]);
	}
	if (rc == 0)
		rc = cv_buf_addf(&place, "/%s", plan->database);
	snprintf(where, size, "%s", cv_buf_str(&place));
	cv_buf_clear(&place);
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

const char *cv_my_host_where(const struct my_plan *plan, size_t host)
{
	return plan->host[host].where ? plan->host[host].where : plan->where;
}

int cv_my_plan_init(struct my_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err)
{
	const char *database = url->path && *url->path == '/' ? url->path + 1 : url->path;
	int rc = my_plan_tls(plan, url, err);

	if (rc < 0)
		return rc;
	if (!database || !*database)
		return cv_fail(err, CONVO_E_INVALID, "the mysql URL names no database");
	if (!my_plan_dup(&plan->user, url->user) || !my_plan_dup(&plan->password, url->password) ||
	    !my_plan_dup(&plan->database, database) ||
	    !my_plan_dup(&plan->socket, cv_url_param(url, "socket")) ||
	    !my_plan_dup(&plan->ca, cv_url_param(url, "ca")) ||
	    !my_plan_dup(&plan->cert, cv_url_param(url, "cert")) ||
	    !my_plan_dup(&plan->key, cv_url_param(url, "key")))
		return cv_fail_nomem(err);
	rc = my_plan_hosts(plan, url, err);
	return rc < 0 ? rc : my_plan_place(plan, where, size, err);
}

void cv_my_plan_clear(struct my_plan *plan)
{
	volatile char *wipe = plan->password;
	size_t i;

	while (wipe && *wipe)
		*wipe++ = 0;
	for (i = 0; i < plan->host_count; i++) {
		free(plan->host[i].name);
		free(plan->host[i].where);
	}
	free(plan->user);
	free(plan->password);
	free(plan->database);
	free(plan->socket);
	free(plan->ca);
	free(plan->cert);
	free(plan->key);
	memset(plan, 0, sizeof(*plan));
}
