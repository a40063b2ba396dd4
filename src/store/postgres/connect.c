/*
 * One connection to PostgreSQL, by the libpq that is polled; see connect.h. Also a database that is
 * missing, and what a connection is to those who use it (db.h).
 */
#include <store/postgres/connect.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <base/alloc.h>
#include <base/fail.h>

#define PG_OLDEST 120000 /* of the servers that we know */
#define PG_NONE SIZE_MAX

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

/* Whether it was libpq that did not want a server which had taken us: that may change, and another
 * one may do. */
static bool pg_not_wanted(const struct pg_attempt *attempt)
{
	return attempt->plan->picky && !attempt->closed && !*attempt->state &&
	       pq.parameterStatus(attempt->pg, "server_version");
}

static int pg_failed(struct pg_attempt *attempt, struct convo_err *err)
{
	const char *cause = pg_cause(pq.errorMessage(attempt->pg), attempt->state);
	const char *user = pq.user(attempt->pg);
	/* Without a connection nobody is there; what fails on one is another matter. */
	int code = attempt->made && !attempt->closed ? CONVO_E_IO : CONVO_E_GONE;
	char line[sizeof(err->text)];

	if (pq.connectionNeedsPassword(attempt->pg))
		return cv_fail(err, CONVO_E_DENIED,
			       "it wants the password of '%s': PG_PASSWORD, or in the URL",
			       user ? user : "");
	if (*attempt->state)
		code = cv_pq_refusal_of(attempt->state)->code;
	else if (pg_not_wanted(attempt))
		code = CONVO_E_GONE;
	attempt->nameless = attempt->nameless || strcmp(attempt->state, "3D000") == 0;
	cv_pq_one_line(line, sizeof(line), cause);
	return cv_fail(err, code < 0 ? code : CONVO_E_IO, "%s", line);
}

static int pg_ended(int rc, struct convo_err *err)
{
	return cv_fail(err, rc, "%s",
		       rc == CONVO_E_CANCELED ? "canceled" : "cannot connect in time");
}

/* ---- one connection ------------------------------------------------------------------- */

/* Whether a connection is to a server that we can work with. */
static int pg_connect_check(PGconn *pg, struct convo_err *err)
{
	const char *encoding = pq.parameterStatus(pg, "server_encoding");

	if (pq.serverVersion(pg) < PG_OLDEST)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "PostgreSQL 12 or later is needed");
	if (encoding && strcmp(encoding, "UTF8") != 0)
		return cv_fail(err, CONVO_E_UNSUPPORTED,
			       "the database has the encoding %s, and convo needs UTF8", encoding);
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
			return pg_ended(rc, err);
		pg_observe(attempt);
		next = pq.connectPoll(pg);
	}
	return pg_connect_check(pg, err);
}

int cv_pg_connect_address(struct pg_attempt *attempt, const char *address, struct convo_err *err)
{
	const struct pg_plan *plan = attempt->plan;
	const struct pg_host *host = &plan->host[attempt->host];
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

/* The one notice that matters: somebody has ended the waiting of a commit for its standby. */
static void pg_notice(void *ctx, const PGresult *res)
{
	const char *function = pq.resultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
	struct pg_db *db = ctx;

	db->alone = db->alone || (function && strcmp(function, "SyncRepWaitForLSN") == 0);
}

static struct pg_db *pg_wrap(struct pg_attempt *attempt, struct pg_shared *shared,
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
	db->host = attempt->host;
	db->writes = attempt->plan->writes;
	db->shared = shared;
	pq.setNoticeReceiver(db->pg, pg_notice, db);
	return db;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it, by way of the database that every server has. Somebody else may do so at the same
 * moment. */
static int pg_create_database(const struct pg_plan *plan, const struct pg_until *until,
			      struct pg_shared *shared, struct convo_err *err)
{
	struct pg_attempt attempt = {.plan = plan, .database = "postgres"};
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	struct pg_db *db = NULL;
	char state[6], *name = NULL;
	int rc = cv_pg_connect(&attempt, until, shared, err);

	if (rc < 0)
		return rc;
	db = pg_wrap(&attempt, shared, err);
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
			 struct pg_shared *shared, struct convo_err *err)
{
	struct pg_attempt attempt = {.plan = plan};
	int rc;

	if (plan->database != PG_NONE)
		attempt.database = plan->text.data + plan->database;
	rc = cv_pg_connect(&attempt, until, shared, err);
	if (rc < 0 && attempt.nameless && plan->create_database && attempt.database) {
		rc = pg_create_database(plan, until, shared, err);
		if (rc >= 0)
			rc = cv_pg_connect(&attempt, until, shared, err);
	}
	return rc < 0 ? NULL : pg_wrap(&attempt, shared, err);
}

void cv_pg_close(struct pg_db *db)
{
	if (!db)
		return;
	if (db->silent)
		cv_pg_host_is_silent(db->shared, db->host);
	if (db->busy)
		cv_pq_leave(db->pg);
	else
		pq.finish(db->pg);
	free(db);
}

bool cv_pg_usable(const struct pg_db *db)
{
	struct pollfd fd = {.fd = pq.socket(db->pg), .events = POLLIN};

	/* An idle server says nothing; what there is to read is its farewell. */
	return !db->stale && pq.status(db->pg) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}

int cv_pg_socket(const struct pg_db *db)
{
	return pq.socket(db->pg);
}
