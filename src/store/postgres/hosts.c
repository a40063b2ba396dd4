/*
 * The hosts of a plan; see connect.h. The one that took us last is asked first, so that a dead one
 * costs nothing once another is found, and one that says nothing last and for a short time. Names
 * are looked up here, by a deadline, since libpq would wait for a name server as long as that takes.
 */
#include <store/postgres/connect.h>

#include <netdb.h>

#include <base/clock.h>
#include <base/fail.h>
#include <base/resolve.h>

#define HOSTS_SILENCE_US INT64_C(10000000) /* how long silence is remembered */
#define HOSTS_SILENT_PARTS 4               /* of the time one of them goes to a silent host */

/* A walk over the hosts. */
struct hosts {
	struct pg_attempt *attempt;
	struct pg_shared *shared;
	const struct pg_until *until;
	size_t order[PG_PLAN_HOSTS];
	bool silent[PG_PLAN_HOSTS];
	bool answered; /* one did, though it did not take us */
	struct convo_err why[PG_PLAN_HOSTS];
};

void cv_pg_host_is_silent(struct pg_shared *shared, size_t host)
{
	atomic_store(&shared->silent_us[host], cv_clock_mono_us() + HOSTS_SILENCE_US);
}

/* ---- one host --------------------------------------------------------------------------- */

/* Give an attempt one part of the time. */
static void hosts_share(struct pg_attempt *attempt, const struct pg_until *until, size_t parts)
{
	int64_t now_us = cv_clock_mono_us();

	attempt->until = *until;
	attempt->until.deadline_us = now_us + (until->deadline_us - now_us) / (int64_t)parts;
}

/* Whether a host is a name or an address, not a directory with a socket. */
static bool host_is_network(const char *host)
{
	return *host && *host != '/' && *host != '@';
}

/* Connect to the first address of a host that takes us. */
static int host_connect(struct pg_attempt *attempt, struct convo_err *err)
{
	const struct pg_plan *plan = attempt->plan;
	const char *name = plan->text.data + plan->host[attempt->host].host;
	const struct pg_until until = attempt->until;
	struct addrinfo *list = NULL, *at;
	struct convo_err why = {0};
	char address[64];
	size_t left = 0;
	int rc;

	if (!host_is_network(name))
		return cv_pg_connect_address(attempt, NULL, err);
	rc = cv_resolve(&list, name, 0, until.deadline_us, &why);
	if (rc < 0)
		return cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s", name, why.text);
	for (at = list; at; at = at->ai_next)
		left++;
	for (at = list; at; at = at->ai_next) {
		hosts_share(attempt, &until, left--);
		if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) != 0)
			rc = cv_fail(err, CONVO_E_GONE, "%s has no usable address", name);
		else
			rc = cv_pg_connect_address(attempt, address, err);
		/* A server that answered is not asked again by its other address. */
		if (rc != CONVO_E_GONE && rc != CONVO_E_TIMEOUT)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------ */

static void hosts_order(struct hosts *hosts)
{
	size_t count = hosts->attempt->plan->host_count, n = 0, i;
	size_t first = atomic_load(&hosts->shared->first);
	int64_t now_us = cv_clock_mono_us();
	int silent;

	for (i = 0; i < count; i++)
		hosts->silent[i] = atomic_load(&hosts->shared->silent_us[i]) > now_us;
	for (silent = 0; silent < 2; silent++) {
		for (i = 0; i < count; i++) {
			size_t host = (first + i) % count;

			if (hosts->silent[host] == silent)
				hosts->order[n++] = host;
		}
	}
}

/* In how many parts the time is divided before the nth host in the order gets one. The last one gets
 * all, unless a host that answered is worth asking again. */
static size_t hosts_parts(const struct hosts *hosts, size_t nth)
{
	size_t left = hosts->attempt->plan->host_count - nth;
	size_t least = left > 1 || hosts->answered ? 2 : 1;

	if (hosts->silent[hosts->order[nth]] && least > 1)
		least = HOSTS_SILENT_PARTS;
	return hosts->attempt->plan->host_count == 1 ? 1 : left > least ? left : least;
}

static int hosts_try(struct hosts *hosts, size_t nth)
{
	struct pg_shared *shared = hosts->shared;
	size_t host = hosts->order[nth];
	int rc;

	hosts->attempt->host = host;
	hosts_share(hosts->attempt, hosts->until, hosts_parts(hosts, nth));
	rc = host_connect(hosts->attempt, &hosts->why[host]);
	if (rc == CONVO_E_TIMEOUT) {
		cv_pg_host_is_silent(shared, host);
	} else if (rc != CONVO_E_CANCELED) {
		hosts->answered = true;
		atomic_store(&shared->silent_us[host], 0);
	}
	if (rc >= 0)
		atomic_store(&shared->first, host);
	return rc;
}

/* ---- what is told ----------------------------------------------------------------------- */

/* A code for all: theirs if they agree; while one may come back there is hope. */
static int hosts_code(const struct hosts *hosts)
{
	size_t count = hosts->attempt->plan->host_count, i;
	int code = hosts->why[0].code;
	bool agree = true, hope = false;

	for (i = 0; i < count; i++) {
		agree = agree && hosts->why[i].code == code;
		hope = hope || hosts->why[i].code == CONVO_E_GONE ||
		       hosts->why[i].code == CONVO_E_TIMEOUT;
	}
	return hope && !agree ? CONVO_E_GONE : code;
}

static int hosts_tell(const struct hosts *hosts, struct convo_err *err)
{
	const struct pg_plan *plan = hosts->attempt->plan;
	int code = hosts_code(hosts), rc = 0;
	struct cv_buf causes = {0};
	char host[256];
	size_t i;

	if (plan->host_count == 1)
		return cv_fail(err, code, "%s: %s", plan->where, hosts->why[0].text);
	for (i = 0; rc >= 0 && i < plan->host_count; i++) {
		cv_pg_host_text(plan, i, host, sizeof(host));
		rc = cv_buf_addf(&causes, "%s%s: %s", i ? "; " : "", host, hosts->why[i].text);
	}
	if (rc < 0)
		rc = cv_buf_fail(err, rc);
	else /* what can be done comes first, since a long line is cut */
		rc = cv_fail(err, code, "%s: no host takes %s (%s)", plan->where,
			     plan->writes ? "writes: start or promote one" : "us",
			     cv_buf_str(&causes));
	cv_buf_clear(&causes);
	return rc;
}

int cv_pg_connect(struct pg_attempt *attempt, const struct pg_until *until,
		  struct pg_shared *shared, struct convo_err *err)
{
	struct hosts hosts = {.attempt = attempt, .shared = shared, .until = until};
	int rc = cv_pq_need(err);
	size_t n;

	if (rc < 0)
		return rc;
	hosts_order(&hosts);
	for (n = 0; n < attempt->plan->host_count; n++) {
		rc = hosts_try(&hosts, n);
		if (rc >= 0)
			return rc;
		if (rc == CONVO_E_CANCELED)
			return cv_fail(err, rc, "%s: canceled", attempt->plan->where);
		if (rc == CONVO_E_NOMEM)
			return cv_fail_nomem(err);
	}
	return hosts_tell(&hosts, err);
}
