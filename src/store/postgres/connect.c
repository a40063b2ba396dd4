/*
 * Connecting to PostgreSQL; see db.h.
 */
#include <store/postgres/pq.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/fail.h>

#define PG_OLDEST 120000 /* of the servers that we know */
#define PG_NONE SIZE_MAX

static void pg_quiet(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

/* Find the SQLSTATE and the cause in what libpq says of a connection that failed:
 * 'connection to server at "h", port 1 failed: FATAL:  28P01: password ...\nLOCATION: ...' */
static int pg_connect_failed(const struct pg_plan *plan, const PGconn *pg, char state[6],
			     struct convo_err *err)
{
	const char *text = pq.errorMessage(pg), *cause = strstr(text, " failed: ");
	const char *fatal;

	cause = cause ? cause + strlen(" failed: ") : text;
	fatal = strstr(cause, ":  ");
	state[0] = '\0';
	if (fatal && strspn(fatal + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
	    fatal[8] == ':') {
		memcpy(state, fatal + 3, 5);
		state[5] = '\0';
		cause = fatal + 10;
	}
	if (pq.connectionNeedsPassword(pg))
		return cv_fail(err, CONVO_E_DENIED, "%s: it wants a password", plan->where);
	return cv_fail(err, *state ? cv_pg_refusal_of(state)->code : CONVO_E_IO, "%s: %.*s",
		       plan->where, (int)strcspn(cause, "\n"), cause);
}

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

static int pg_connect_wait(const struct pg_plan *plan, PGconn *pg, int64_t deadline_us,
			   char state[6], struct convo_err *err)
{
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (next != PGRES_POLLING_OK) {
		if (pq.status(pg) == CONNECTION_BAD || next == PGRES_POLLING_FAILED)
			return pg_connect_failed(plan, pg, state, err);
		if (!cv_pg_poll(pg, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us))
			return cv_fail(err, CONVO_E_TIMEOUT, "%s: cannot connect in time",
				       plan->where);
		next = pq.connectPoll(pg);
	}
	return pg_connect_check(plan, pg, err);
}

/* Connect to one host. */
static int pg_connect_host(const struct pg_plan *plan, const struct pg_host *host,
			   const char *database, int64_t deadline_us, PGconn **out, char state[6],
			   struct convo_err *err)
{
	const char *name[PG_PLAN_OPTIONS + 8], *value[PG_PLAN_OPTIONS + 8];
	const char *text = plan->text.data;
	size_t n = 0, i;
	PGconn *pg;
	int rc;

#define PG_SET(key, what) (name[n] = (key), value[n++] = (what))
	/* What stands first gives way to what the URL says. */
	PG_SET("application_name", "convo");
	PG_SET("gssencmode", "disable"); /* it would block in the Kerberos library */
	PG_SET("host", text + host->host);
	if (host->port != PG_NONE)
		PG_SET("port", text + host->port);
	if (database)
		PG_SET("dbname", database);
	for (i = 0; i < plan->option_count; i++)
		PG_SET(text + plan->option[i].name, text + plan->option[i].value);
	PG_SET("client_encoding", "UTF8");
	PG_SET(NULL, NULL);
#undef PG_SET
	pg = pq.connectStartParams(name, value, 0);
	if (!pg)
		return cv_fail_nomem(err);
	pq.setErrorVerbosity(pg, PQERRORS_VERBOSE); /* with the SQLSTATE */
	pq.setNoticeReceiver(pg, pg_quiet, NULL);
	rc = pg_connect_wait(plan, pg, deadline_us, state, err);
	if (rc < 0)
		pq.finish(pg);
	else
		*out = pg;
	return rc;
}

/* Connect to the first host that takes us; one that does not answer leaves time for the rest. */
static int pg_connect(const struct pg_plan *plan, const char *database, int64_t deadline_us,
		      PGconn **out, char state[6], struct convo_err *err)
{
	int rc = cv_pq_need(err);
	size_t i;

	if (rc < 0)
		return rc;
	for (i = 0; i < plan->host_count; i++) {
		int64_t now_us = cv_clock_mono_us();
		int64_t share_us = (deadline_us - now_us) / (int64_t)(plan->host_count - i);

		state[0] = '\0';
		rc = pg_connect_host(plan, &plan->host[i], database, now_us + share_us, out, state,
				     err);
		if (rc >= 0)
			break;
	}
	return rc;
}

static struct pg_db *pg_wrap(const struct pg_plan *plan, PGconn *pg, struct convo_err *err)
{
	struct pg_db *db = cv_alloc(1, sizeof(*db));

	if (!db) {
		pq.finish(pg);
		cv_fail_nomem(err);
		return NULL;
	}
	db->pg = pg;
	db->where = plan->where;
	return db;
}

/* ---- a missing database --------------------------------------------------------------- */

/* Create it, by way of the database that every server has. Somebody else may do so at the same
 * moment. */
static int pg_create_database(const struct pg_plan *plan, int64_t deadline_us,
			      struct convo_err *err)
{
	enum pool_fate fate = POOL_KEEP;
	struct cv_buf sql = {0};
	struct pg_db *db = NULL;
	PGconn *pg = NULL;
	char state[6], *name = NULL;
	int rc = pg_connect(plan, "postgres", deadline_us, &pg, state, err);

	if (rc >= 0) {
		db = pg_wrap(plan, pg, err);
		rc = db ? 0 : CONVO_E_NOMEM;
	}
	if (rc < 0)
		goto out;
	name = pq.escapeIdentifier(pg, plan->text.data + plan->database,
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
	rc = cv_pg_plain(db, sql.data, deadline_us, NULL, NULL, state, &fate, err);
	if (rc < 0 && (strcmp(state, "42P04") == 0 || strcmp(state, "23505") == 0))
		rc = 0;
out:
	pq.freemem(name);
	cv_buf_clear(&sql);
	cv_pg_close(db);
	return rc;
}

struct pg_db *cv_pg_open(const struct pg_plan *plan, int64_t deadline_us, struct convo_err *err)
{
	const char *database = plan->database == PG_NONE ? NULL : plan->text.data + plan->database;
	char state[6];
	PGconn *pg = NULL;
	int rc = pg_connect(plan, database, deadline_us, &pg, state, err);

	if (rc < 0 && strcmp(state, "3D000") == 0 && plan->create_database && database) {
		rc = pg_create_database(plan, deadline_us, err);
		if (rc >= 0)
			rc = pg_connect(plan, database, deadline_us, &pg, state, err);
	}
	return rc < 0 ? NULL : pg_wrap(plan, pg, err);
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
