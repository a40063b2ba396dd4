/*
 * A connection to PostgreSQL; see postgres_db.h. libpq is only used in its non-blocking ways: every
 * wait is a poll() here, with the caller's deadline.
 */
#include <store/postgres/db.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <libpq-fe.h>

#include <base/alloc.h>
#include <base/clock.h>
#include <base/dl.h>
#include <base/fail.h>

#define PG_OLDEST 120000 /* of the servers that we know */
#define PG_COLUMNS 24
#define PG_NONE SIZE_MAX

struct pg_db {
	PGconn *pg;
	const char *where;
	bool stale; /* not to be used again, though the server still answers */
};

/* ---- libpq, loaded with the first connection ------------------------------------------ */

/* clang-format off */
#define PQ_CALLS(X) \
	X(clear) \
	X(cmdTuples) \
	X(connectPoll) \
	X(connectStartParams) \
	X(connectionNeedsPassword) \
	X(consumeInput) \
	X(enterPipelineMode) \
	X(errorMessage) \
	X(escapeIdentifier) \
	X(finish) \
	X(flush) \
	X(freemem) \
	X(getResult) \
	X(getisnull) \
	X(getlength) \
	X(getvalue) \
	X(isBusy) \
	X(nfields) \
	X(ntuples) \
	X(parameterStatus) \
	X(pipelineSync) \
	X(resultErrorField) \
	X(resultStatus) \
	X(sendQuery) \
	X(sendQueryParams) \
	X(serverVersion) \
	X(setErrorVerbosity) \
	X(setNoticeReceiver) \
	X(setSingleRowMode) \
	X(setnonblocking) \
	X(socket) \
	X(status)

#define PQ_POINTER(name) __typeof__(PQ##name) *(name);
#define PQ_SYMBOL(name) {"PQ" #name, (void **)&pq.name},

static struct {
	PQ_CALLS(PQ_POINTER)
} pq;
/* clang-format on */

static const struct cv_symbol pq_symbols[] = {PQ_CALLS(PQ_SYMBOL)};
static struct cv_library pq_library = CONVO_LIBRARY("libpq.so.5", pq_symbols);

/* ---- the plan ------------------------------------------------------------------------- */

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

/* Keep a string; its offset, or a negative code in *rc. */
static size_t pg_keep(struct pg_plan *plan, const char *text, size_t len, int *rc)
{
	size_t at = plan->text.len;

	if (*rc == 0)
		*rc = cv_buf_add(&plan->text, text, len);
	if (*rc == 0)
		*rc = cv_buf_addc(&plan->text, '\0');
	return at;
}

static int pg_plan_option(struct pg_plan *plan, const char *name, const char *value)
{
	struct pg_option *option = &plan->option[plan->option_count];
	int rc = 0;

	if (!value)
		return 0;
	if (plan->option_count == PG_PLAN_OPTIONS)
		return CONVO_E_TOOBIG;
	option->name = pg_keep(plan, name, strlen(name), &rc);
	option->value = pg_keep(plan, value, strlen(value), &rc);
	plan->option_count++;
	return rc;
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
		host->port = pg_keep(plan, colon + 1, len - name - 1, &rc);
	} else if (port) {
		snprintf(number, sizeof(number), "%d", port);
		host->port = pg_keep(plan, number, strlen(number), &rc);
	}
	if (name > 1 && *text == '[' && text[name - 1] == ']') {
		text++;
		name -= 2;
	}
	host->host = pg_keep(plan, text, name, &rc);
	plan->host_count++;
	return rc;
}

static int pg_plan_hosts(struct pg_plan *plan, const struct cv_url *url)
{
	const char *list = cv_url_param(url, "host");
	int rc = 0;

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

static int pg_plan_fill(struct pg_plan *plan, const struct cv_url *url, struct convo_err *err)
{
	const char *database = url->path && *url->path == '/' ? url->path + 1 : url->path;
	size_t i;
	int rc = 0;

	plan->database = PG_NONE;
	if (database && *database)
		plan->database = pg_keep(plan, database, strlen(database), &rc);
	if (rc == 0)
		rc = pg_plan_hosts(plan, url);
	if (rc == 0)
		rc = pg_plan_option(plan, "user", url->user);
	if (rc == 0)
		rc = pg_plan_option(plan, "password", url->password);
	for (i = 0; rc == 0 && i < url->count; i++) {
		const char *name = url->param[i].name;
		const char *const *list;

		/* The front lets through its own and ours; "host" is read by pg_plan_hosts(). */
		for (list = cv_pg_params + 1; *list && strcmp(*list, name) != 0; list++)
			;
		if (*list)
			rc = pg_plan_option(plan, name, url->param[i].value);
	}
	return rc < 0 ? cv_buf_fail(err, rc) : 0;
}

int cv_pg_plan_init(struct pg_plan *plan, const struct cv_url *url, char *where, size_t size,
		    struct convo_err *err)
{
	int rc = pg_plan_fill(plan, url, err);

	if (rc == 0)
		pg_plan_where(plan, where, size);
	return rc;
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

/* ---- waiting -------------------------------------------------------------------------- */

/* Wait for the socket. @return 1 when it is ready, 0 at the deadline */
static int pg_poll(const PGconn *pg, short events, int64_t deadline_us)
{
	struct pollfd fd = {.fd = pq.socket(pg), .events = events};
	int n;

	do {
		int64_t left_ms = (deadline_us - cv_clock_mono_us() + 999) / 1000;

		if (left_ms <= 0)
			return 0;
		n = poll(&fd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	return 1;
}

/* ---- errors --------------------------------------------------------------------------- */

/* What the caller can do about a refusal, by the longest beginning of its SQLSTATE. */
static const struct pg_refusal {
	const char *state;
	int code;
	bool lost; /* the connection is gone, or soon will be */
} pg_refusals[] = {
	{"CV003", CONVO_E_TOOBIG, false},  /* our own */
	{"40001", PG_AGAIN, false},        /* serialization failure */
	{"40P01", PG_AGAIN, false},        /* deadlock */
	{"42501", CONVO_E_DENIED, false},  /* insufficient privilege */
	{"42P01", CONVO_E_VERSION, false}, /* undefined table, function, column: not our schema */
	{"42883", CONVO_E_VERSION, false}, {"42703", CONVO_E_VERSION, false},
	{"23505", CONVO_E_EXISTS, false},  /* unique violation */
	{"28", CONVO_E_DENIED, false},     /* authentication */
	{"22", CONVO_E_INVALID, false},    /* data */
	{"54", CONVO_E_TOOBIG, false},     /* beyond a limit of the server */
	{"57014", CONVO_E_TIMEOUT, false}, /* a statement_timeout of the administrator's */
	{"55P03", CONVO_E_TIMEOUT, false}, /* or a lock_timeout */
	{"57", CONVO_E_IO, true},          /* shutting down, starting up, crashed */
	{"08", CONVO_E_IO, true},          {"", CONVO_E_IO, false},
};

static const struct pg_refusal *pg_refusal_of(const char *state)
{
	const struct pg_refusal *refusal = pg_refusals;

	while (strncmp(state, refusal->state, strlen(refusal->state)) != 0)
		refusal++;
	return refusal;
}

static int pg_timeout(const struct pg_db *db, struct convo_err *err)
{
	return cv_fail_maybe(err, CONVO_E_TIMEOUT, "%s: no answer in time", db->where);
}

/* Fill `err` from an error result. Class 22 repeats the data it does not like, so its text stays
 * out. */
static int pg_refused(struct pg_db *db, const PGresult *res, int64_t *detail, enum pool_fate *fate,
		      struct convo_err *err)
{
	const char *state = pq.resultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = pq.resultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *more = pq.resultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const struct pg_refusal *refusal;

	if (!state)
		state = "08000"; /* from libpq itself */
	refusal = pg_refusal_of(state);
	if (strncmp(state, "22", 2) == 0 || !text)
		text = "the server refused the data";
	if (refusal->lost)
		*fate = POOL_LOST;
	/* A standby, or a primary that has become one: the next connection may find another. */
	if (strcmp(state, "25006") == 0)
		db->stale = true;
	*detail = more ? strtoll(more, NULL, 10) : 0;
	cv_fail(err, refusal->code, "%s: %s", db->where, text);
	return refusal->code;
}

static int pg_lost(struct pg_db *db, enum pool_fate *fate, struct convo_err *err)
{
	*fate = POOL_LOST;
	return cv_fail_maybe(err, CONVO_E_IO, "%s: connection lost", db->where);
}

/* ---- results -------------------------------------------------------------------------- */

/* The next result, or NULL after the last of a statement. */
static int pg_next(struct pg_db *db, int64_t deadline_us, PGresult **res, enum pool_fate *fate,
		   struct convo_err *err)
{
	while (pq.isBusy(db->pg)) {
		int unsent = pq.flush(db->pg);

		if (unsent < 0)
			return pg_lost(db, fate, err);
		if (!pg_poll(db->pg, unsent ? POLLIN | POLLOUT : POLLIN, deadline_us)) {
			*fate = POOL_LOST;
			return pg_timeout(db, err);
		}
		if (!pq.consumeInput(db->pg))
			return pg_lost(db, fate, err);
	}
	*res = pq.getResult(db->pg);
	if (pq.status(db->pg) == CONNECTION_BAD) {
		pq.clear(*res);
		return pg_lost(db, fate, err);
	}
	return 0;
}

static int pg_rows(struct pg_query *query, const PGresult *res, struct convo_err *err)
{
	struct cv_text column[PG_COLUMNS];
	int columns = pq.nfields(res), row, i, rc = 0;

	for (row = 0; rc == 0 && row < pq.ntuples(res); row++) {
		query->count++;
		if (!query->row)
			continue;
		for (i = 0; i < columns && i < PG_COLUMNS; i++) {
			column[i].data =
				pq.getisnull(res, row, i) ? NULL : pq.getvalue(res, row, i);
			column[i].len = (size_t)pq.getlength(res, row, i);
		}
		rc = query->row(query->ctx, column, err);
	}
	return rc;
}

/* Take all results of one statement. `rc` is that of the statements before it: the first failure is
 * the one that is told. */
static int pg_take(struct pg_db *db, struct pg_query *query, int64_t deadline_us, int rc,
		   enum pool_fate *fate, struct convo_err *err)
{
	PGresult *res;
	int lost;

	for (;;) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0)
			return rc ? rc : lost;
		if (!res)
			return rc;
		switch (pq.resultStatus(res)) {
		case PGRES_COMMAND_OK:
			query->count = strtoll(pq.cmdTuples(res), NULL, 10);
			break;
		case PGRES_TUPLES_OK:
		case PGRES_SINGLE_TUPLE:
			if (!rc)
				rc = pg_rows(query, res, err);
			break;
		default: /* refused, or skipped because one before was */
			if (!rc)
				rc = pg_refused(db, res, &query->detail, fate, err);
			break;
		}
		pq.clear(res);
	}
}

/* Take the end of the pipeline, where the transaction takes effect or does not. */
static int pg_take_end(struct pg_db *db, int64_t deadline_us, int rc, enum pool_fate *fate,
		       struct convo_err *err)
{
	ExecStatusType status = PGRES_COMMAND_OK;
	PGresult *res;
	int64_t detail;
	int lost;

	while (status != PGRES_PIPELINE_SYNC) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0)
			return rc ? rc : lost;
		status = pq.resultStatus(res);
		if (res && status != PGRES_PIPELINE_SYNC && !rc)
			rc = pg_refused(db, res, &detail, fate, err);
		pq.clear(res);
	}
	return rc;
}

static int pg_send(struct pg_db *db, const struct pg_query *query)
{
	static const struct pg_args none;
	const struct pg_args *args = query->args ? query->args : &none;

	return pq.sendQueryParams(db->pg, query->sql, args->count, args->type, args->value,
				  args->length, args->format, 1);
}

int cv_pg_run(struct pg_db *db, struct pg_query *queries, size_t count, int64_t deadline_us,
	      enum pool_fate *fate, struct convo_err *err)
{
	int ok = pq.enterPipelineMode(db->pg), rc = 0;
	size_t i;

	for (i = 0; ok && i < count; i++) {
		queries[i].count = queries[i].detail = 0;
		if (queries[i].begin)
			queries[i].begin(queries[i].ctx);
		ok = pg_send(db, &queries[i]);
	}
	/* Before its end has been sent, nothing of a pipeline can take effect. */
	if (!ok || !pq.pipelineSync(db->pg)) {
		*fate = POOL_UNSENT;
		return cv_fail(err, CONVO_E_IO, "%s: cannot send", db->where);
	}
	if (count == 1 && queries->large)
		pq.setSingleRowMode(db->pg);
	for (i = 0; *fate == POOL_KEEP && i < count; i++)
		rc = pg_take(db, &queries[i], deadline_us, rc, fate, err);
	if (*fate == POOL_KEEP)
		rc = pg_take_end(db, deadline_us, rc, fate, err);
	return rc;
}

/* ---- connecting ----------------------------------------------------------------------- */

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
	return cv_fail(err, *state ? pg_refusal_of(state)->code : CONVO_E_IO, "%s: %.*s",
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
		if (!pg_poll(pg, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us))
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
	int rc = cv_dl_need(&pq_library, NULL, err);
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

/* ---- plain statements ----------------------------------------------------------------- */

/* Run one statement without parameters outside a pipeline; for migrations. Its first column comes
 * as text. */
static int pg_plain(struct pg_db *db, const char *sql, int64_t deadline_us, int64_t *value,
		    bool *found, char state[6], enum pool_fate *fate, struct convo_err *err)
{
	int64_t detail;
	PGresult *res;
	int rc = 0, lost;

	state[0] = '\0';
	if (!pq.sendQuery(db->pg, sql))
		return pg_lost(db, fate, err);
	for (;;) {
		lost = pg_next(db, deadline_us, &res, fate, rc ? NULL : err);
		if (lost < 0 || !res)
			return rc ? rc : lost;
		if (pq.resultStatus(res) == PGRES_FATAL_ERROR && !rc) {
			const char *s = pq.resultErrorField(res, PG_DIAG_SQLSTATE);

			snprintf(state, 6, "%s", s ? s : "");
			rc = pg_refused(db, res, &detail, fate, err);
		} else if (value && pq.ntuples(res) > 0) {
			*found = true;
			*value = strtoll(pq.getvalue(res, 0, 0), NULL, 10);
		}
		pq.clear(res);
	}
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
	rc = pg_plain(db, sql.data, deadline_us, NULL, NULL, state, &fate, err);
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

/* ---- migrations ----------------------------------------------------------------------- */

struct pg_migration {
	struct pg_db *db;
	const char *lock;
	int64_t deadline_us;
	enum pool_fate *fate;
};

static int pg_migration_get(void *ctx, const char *sql, int64_t *value, bool *found,
			    struct convo_err *err)
{
	struct pg_migration *m = ctx;
	char state[6];

	*found = false;
	return pg_plain(m->db, sql, m->deadline_us, value, found, state, m->fate, err);
}

static int pg_migration_exec(void *ctx, const char *sql, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	char state[6];

	return pg_plain(m->db, sql, m->deadline_us, NULL, NULL, state, m->fate, err);
}

static int pg_migration_begin(void *ctx, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	/* Others' tables must show once the lock is ours, whatever the server's default is. */
	int rc = pg_migration_exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED", err);

	return rc < 0 ? rc : pg_migration_exec(ctx, m->lock, err);
}

static int pg_migration_end(void *ctx, int rc, struct convo_err *err)
{
	struct pg_migration *m = ctx;
	struct convo_err ignored;

	if (rc >= 0)
		return pg_migration_exec(ctx, "COMMIT", err);
	if (*m->fate == POOL_KEEP && pg_migration_exec(ctx, "ROLLBACK", &ignored) < 0)
		*m->fate = POOL_LOST;
	return rc;
}

int cv_pg_migrate(struct pg_db *db, const struct sql_dialect *dialect, const char *lock,
		  const char *prefix, bool check, int64_t deadline_us, enum pool_fate *fate,
		  struct convo_err *err)
{
	struct pg_migration m = {db, lock, deadline_us, fate};
	struct sql_conn conn = {
		.ctx = &m,
		.where = db->where,
		.get = pg_migration_get,
		.exec = pg_migration_exec,
		.begin = pg_migration_begin,
		.end = pg_migration_end,
	};

	return cv_sql_migrate(dialect, &conn, prefix, check, err);
}

/* ---- columns -------------------------------------------------------------------------- */

static int64_t pg_big_endian(const char *data, size_t len)
{
	/* Sign-extends, whatever the width. */
	uint64_t value = len && (unsigned char)data[0] & 0x80 ? UINT64_MAX : 0;
	size_t i;

	for (i = 0; i < len; i++)
		value = value << 8 | (unsigned char)data[i];
	return (int64_t)value;
}

int64_t cv_pg_int(struct cv_text column)
{
	return column.data ? pg_big_endian(column.data, column.len) : 0;
}

int64_t cv_pg_int_at(struct cv_text column, size_t n)
{
	size_t at = 20 + n * 12 + 4; /* after the header, and the length of each element */

	return column.data && at + 8 <= column.len ? pg_big_endian(column.data + at, 8) : 0;
}

struct cv_text cv_pg_json(struct cv_text column)
{
	if (column.data) {
		column.data++; /* the version of the format */
		column.len--;
	}
	return column;
}
