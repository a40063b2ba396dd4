/*
 * Connecting to PostgreSQL; see db.h. Names of hosts are looked up here, by a deadline, since libpq
 * would wait for a name server as long as that takes.
 */
#include <store/postgres/db.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/resolve.h>
#include <store/postgres/pq.h>

#define PG_OLDEST 120000 /* of the servers that we know */
#define PG_NONE SIZE_MAX

/* One connection being made. */
struct pg_attempt {
	const struct pg_plan *plan;
	const char *database;
	struct pg_until until;
	PGconn *pg;
	char state[6]; /* the SQLSTATE of the failure, or "" */
	bool made;     /* there was a connection, */
	bool closed;   /* which the other end has closed */
};

static void pg_quiet(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

/* ---- failures ------------------------------------------------------------------------- */

/* Take libpq's prefix from what it says of a connection that failed, and find the SQLSTATE:
 * 'connection to server at "h", port 1 failed: FATAL:  28P01: password ...\nLOCATION: ...' */
static const char *pg_cause(const char *text, char state[6])
{
	const char *cause = strstr(text, " failed: ");
	const char *fatal;

	cause = cause ? cause + strlen(" failed: ") : text;
	fatal = strstr(cause, ":  ");
	state[0] = '\0';
	if (fatal && strspn(fatal + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
	    fatal[8] == ':') {
		memcpy(state, fatal + 3, 5);
		state[5] = '\0';
		cause = fatal + 9 + strspn(fatal + 9, " ");
	}
	return cause;
}

static int pg_failed(struct pg_attempt *attempt, struct convo_err *err)
{
	const char *cause = pg_cause(pq.errorMessage(attempt->pg), attempt->state);
	const char *where = attempt->plan->where, *user = pq.user(attempt->pg);
	/* Without a connection nobody is there; what fails on one is another matter. */
	int code = attempt->made && !attempt->closed ? CONVO_E_IO : CONVO_E_GONE;
	char line[sizeof(err->text)];

	if (pq.connectionNeedsPassword(attempt->pg))
		return cv_fail(err, CONVO_E_DENIED,
			       "%s: it wants the password of '%s': PG_PASSWORD, or in the URL",
			       where, user ? user : "");
	if (*attempt->state)
		code = cv_pq_refusal_of(attempt->state)->code;
	cv_pq_one_line(line, sizeof(line), cause);
	return cv_fail(err, code < 0 ? code : CONVO_E_IO, "%s: %s", where, line);
}

static int pg_ended(const struct pg_attempt *attempt, int rc, struct convo_err *err)
{
	return cv_fail(err, rc, "%s: %s", attempt->plan->where,
		       rc == CONVO_E_CANCELED ? "canceled" : "cannot connect in time");
}

/* ---- one connection ------------------------------------------------------------------- */

/* Whether a connection is to a server that we can work with. */
static int pg_connect_check(const struct pg_plan *plan, PGconn *pg, struct convo_err *err)
{
	const char *encoding = pq.parameterStatus(pg, "server_encoding");

	if (pq.serverVersion(pg) < PG_OLDEST)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "%s: PostgreSQL 12 or later is needed",
			       plan->where);
	if (encoding && strcmp(encoding, "UTF8") != 0)
		return cv_fail(err, CONVO_E_UNSUPPORTED,
			       "%s: the database has the encoding %s, and convo needs UTF8",
			       plan->where, encoding);
	if (pq.setnonblocking(pg, 1) != 0)
		return cv_fail_nomem(err);
	return 0;
}

/* Look at how far it is, before libpq closes what failed. */
static void pg_observe(struct pg_attempt *attempt)
{
	ConnStatusType status = pq.status(attempt->pg);
	ssize_t n;
	char byte;

	attempt->made = attempt->made || (status != CONNECTION_STARTED && status != CONNECTION_BAD);
	if (!attempt->made)
		return;
	n = recv(pq.socket(attempt->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	attempt->closed = n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE));
}

static int pg_connect_wait(struct pg_attempt *attempt, struct convo_err *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;
	PGconn *pg = attempt->pg;
	int rc;

	while (next != PGRES_POLLING_OK) {
		if (pq.status(pg) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
			return pg_failed(attempt, err);
		rc = cv_pq_wait(pg, next == PGRES_POLLING_READING ? POLLIN : POLLOUT,
				&attempt->until);
		if (rc < 0)
			return pg_ended(attempt, rc, err);
		pg_observe(attempt);
		next = pq.connectPoll(pg);
	}
	return pg_connect_check(attempt->plan, pg, err);
}

/* Connect to an address of a host; NULL leaves it to libpq, for the directories of sockets. */
static int pg_connect_address(struct pg_attempt *attempt, const struct pg_host *host,
			      const char *address, struct convo_err *err)
{
	const struct pg_plan *plan = attempt->plan;
	const char *name[PG_PLAN_OPTIONS + 8], *value[PG_PLAN_OPTIONS + 8];
	const char *text = plan->text.data;
	size_t n = 0, i;
	int rc;

	attempt->state[0] = '\0';
	attempt->made = attempt->closed = false;
#define PG_SET(key, what) (name[n] = (key), value[n++] = (what))
	/* What stands first gives way to what the URL says. */
	PG_SET("application_name", "convo");
	PG_SET("gssencmode", "disable");   /* it would block in the Kerberos library */
	PG_SET("host", text + host->host); /* what a certificate is compared with */
	if (address)
		PG_SET("hostaddr", address);
	if (host->port != PG_NONE)
		PG_SET("port", text + host->port);
	if (attempt->database)
		PG_SET("dbname", attempt->database);
	for (i = 0; i < plan->option_count; i++)
		PG_SET(text + plan->option[i].name, text + plan->option[i].value);
	PG_SET("client_encoding", "UTF8");
	PG_SET(NULL, NULL);
#undef PG_SET
	attempt->pg = pq.connectStartParams(name, value, 0);
	if (!attempt->pg)
		return cv_fail_nomem(err);
	pq.setErrorVerbosity(attempt->pg, PQERRORS_VERBOSE); /* with the SQLSTATE */
	pq.setNoticeReceiver(attempt->pg, pg_quiet, NULL);
	rc = pg_connect_wait(attempt, err);
	if (rc < 0) {
		pq.finish(attempt->pg);
		attempt->pg = NULL;
	}
	return rc;
}

/* ---- hosts ---------------------------------------------------------------------------- */

/* Give an attempt its share of the time, where `others` come after it. */
static void pg_share(struct pg_attempt *attempt, const struct pg_until *until, size_t others)
{
	int64_t now_us = cv_clock_mono_us();

	attempt->until = *until;
	attempt->until.deadline_us = now_us + (until->deadline_us - now_us) / (int64_t)(others + 1);
}

/* Whether a host is a name or an address, not a directory with a socket. */
static bool pg_is_network(const char *host)
{
	return *host && *host != '/' && *host != '@';
}

/* Connect to the first address of a host that takes us. */
static int pg_connect_host(struct pg_attempt *attempt, const struct pg_host *host,
			   struct convo_err *err)
{
	const char *name = attempt->plan->text.data + host->host;
	const struct pg_until until = attempt->until;
	struct addrinfo *list = NULL, *at;
	struct convo_err why = {0};
	char address[64];
	size_t others = 0;
	int rc;

	if (!pg_is_network(name))
		return pg_connect_address(attempt, host, NULL, err);
	rc = cv_resolve(&list, name, 0, until.deadline_us, &why);
	if (rc < 0)
		return cv_fail(err, rc == CONVO_E_IO ? CONVO_E_GONE : rc, "%s: %s: %s",
			       attempt->plan->where, name, why.text);
	for (at = list; at; at = at->ai_next)
		others++;
	for (at = list; at; at = at->ai_next) {
		pg_share(attempt, &until, --others);
		if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) != 0)
			rc = cv_fail(err, CONVO_E_GONE, "%s: %s has no usable address",
				     attempt->plan->where, name);
		else
			rc = pg_connect_address(attempt, host, address, err);
		/* A server that answered is not asked again by its other address. */
		if (rc != CONVO_E_GONE && rc != CONVO_E_TIMEOUT)
			break;
	}
	freeaddrinfo(list);
	return rc;
}

/* Connect to the first host that takes us; one that does not answer leaves time for the rest. */
static int pg_connect(struct pg_attempt *attempt, const struct pg_until *until,
		      struct convo_err *err)
{
	const struct pg_plan *plan = attempt->plan;
	int rc = cv_pq_need(err);
	size_t i;

	if (rc < 0)
		return rc;
	for (i = 0; i < plan->host_count; i++) {
		pg_share(attempt, until, plan->host_count - i - 1);
		rc = pg_connect_host(attempt, &plan->host[i], err);
		if (rc >= 0 || rc == CONVO_E_CANCELED)
			break;
	}
	return rc;
}

static struct pg_db *pg_wrap(struct pg_attempt *attempt, atomic_bool *unprepared,
			     struct convo_err *err)
{
	struct pg_db *db = cv_alloc(1, sizeof(*db));

	if (!db) {
		pq.finish(attempt->pg);
		cv_fail_nomem(err);
		return NULL;
	}
	db->pg = attempt->pg;
	db->where = attempt->plan->where;
	db->unprepared = unprepared;
	return db;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it, by way of the database that every server has. Somebody else may do so at the same
 * moment. */
static int pg_create_database(const struct pg_plan *plan, const struct pg_until *until,
			      atomic_bool *unprepared, struct convo_err *err)
{
	struct pg_attempt attempt = {.plan = plan, .database = "postgres"};
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	struct pg_db *db = NULL;
	char state[6], *name = NULL;
	int rc = pg_connect(&attempt, until, err);

	if (rc < 0)
		return rc;
	db = pg_wrap(&attempt, unprepared, err);
	if (!db)
		return CONVO_E_NOMEM;
	name = pq.escapeIdentifier(db->pg, plan->text.data + plan->database,
				   strlen(plan->text.data + plan->database));
	rc = name ? cv_buf_addf(&sql,
				"CREATE DATABASE %s ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' "
				"TEMPLATE template0",
				name)
		  : CONVO_E_NOMEM;
	if (rc < 0) {
		cv_buf_fail(err, rc);
		goto out;
	}
	rc = cv_pg_plain(db, sql.data, until, NULL, NULL, state, &fate, err);
	if (rc < 0 && (strcmp(state, "42P04") == 0 || strcmp(state, "23505") == 0))
		rc = 0;
out:
	pq.freemem(name);
	cv_buf_clear(&sql);
	cv_pg_close(db);
	return rc;
}

struct pg_db *cv_pg_open(const struct pg_plan *plan, const struct pg_until *until,
			 atomic_bool *unprepared, struct convo_err *err)
{
	struct pg_attempt attempt = {.plan = plan};
	int rc;

	if (plan->database != PG_NONE)
		attempt.database = plan->text.data + plan->database;
	rc = pg_connect(&attempt, until, err);
	if (rc < 0 && strcmp(attempt.state, "3D000") == 0 && plan->create_database &&
	    attempt.database) {
		rc = pg_create_database(plan, until, unprepared, err);
		if (rc >= 0)
			rc = pg_connect(&attempt, until, err);
	}
	return rc < 0 ? NULL : pg_wrap(&attempt, unprepared, err);
}

void cv_pg_close(struct pg_db *db)
{
	if (!db)
		return;
	pq.finish(db->pg);
	free(db);
}

bool cv_pg_usable(const struct pg_db *db)
{
	struct pollfd fd = {.fd = pq.socket(db->pg), .events = POLLIN};

	/* An idle server says nothing; what there is to read is its farewell. */
	return !db->stale && pq.status(db->pg) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}
