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

static int my_plan_check(const struct cv_url *url, struct convo_err *err)
{
	if (url->host && strchr(url->host, ','))
		return cv_fail(err, CONVO_E_INVALID, "a mysql URL has one host");
	return 0;
}

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

int cv_my_plan_init(struct my_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err)
{
	const char *database = url->path && *url->path == '/' ? url->path + 1 : url->path;
	int rc = my_plan_check(url, err);

	if (rc == 0)
		rc = my_plan_tls(plan, url, err);
	if (rc < 0)
		return rc;
	if (!database || !*database)
		return cv_fail(err, CONVO_E_INVALID, "the mysql URL names no database");
	plan->port = url->port ? (unsigned)url->port : MY_PORT;
	if (!my_plan_dup(&plan->host, url->host ? url->host : "localhost") ||
	    !my_plan_dup(&plan->user, url->user) || !my_plan_dup(&plan->password, url->password) ||
	    !my_plan_dup(&plan->database, database) ||
	    !my_plan_dup(&plan->socket, cv_url_param(url, "socket")) ||
	    !my_plan_dup(&plan->ca, cv_url_param(url, "ca")) ||
	    !my_plan_dup(&plan->cert, cv_url_param(url, "cert")) ||
	    !my_plan_dup(&plan->key, cv_url_param(url, "key")))
		return cv_fail_nomem(err);
	if (plan->socket)
		snprintf(where, size, "%s/%s", plan->socket, plan->database);
	else
		snprintf(where, size, "%s:%u/%s", plan->host, plan->port, plan->database);
	return 0;
}

void cv_my_plan_clear(struct my_plan *plan)
{
	volatile char *wipe = plan->password;

	while (wipe && *wipe)
		*wipe++ = 0;
	free(plan->host);
	free(plan->user);
	free(plan->password);
	free(plan->database);
	free(plan->socket);
	free(plan->ca);
	free(plan->cert);
	free(plan->key);
	memset(plan, 0, sizeof(*plan));
}
