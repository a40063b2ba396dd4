/*
 * Loading libpq, waiting for it, and its errors; see pq.h.
 */
#include <store/postgres/pq.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <base/clock.h>
#include <base/dl.h>
#include <base/fail.h>
#include <store/shared/wait.h>

struct pq_calls cv_pq;

/* clang-format off */
#define PQ_SYMBOL(name) {"PQ" #name, (void **)&pq.name},
static const struct cv_symbol pq_symbols[] = {PQ_CALLS(PQ_SYMBOL)};
/* clang-format on */
static struct cv_library pq_library = CONVO_LIBRARY("libpq.so.5", pq_symbols);

int cv_pq_need(struct convo_err *err)
{
	return cv_dl_need(&pq_library, NULL, err);
}

/* ---- waiting -------------------------------------------------------------------------- */

int cv_pq_wait(const PGconn *pg, short events, const struct pg_until *until)
{
	struct pollfd fd[1 + PG_CANCELS] = {{.fd = pq.socket(pg), .events = events}};
	struct store_wait wait = cv_wait_until(until->deadline_us, until->patience);
	int left_ms, n;
	size_t i;

	for (i = 0; i < until->cancels; i++)
		fd[1 + i] =
			(struct pollfd){.fd = convo_cancel_fd(until->cancel[i]), .events = POLLIN};
	do {
		left_ms = cv_wait_left_ms(&wait, fd[0].fd);
		if (!left_ms)
			return CONVO_E_TIMEOUT;
		n = poll(fd, 1 + (nfds_t)until->cancels, left_ms);
	} while (n == 0 || (n < 0 && errno == EINTR));
	for (i = 0; i < until->cancels; i++) {
		if (fd[1 + i].revents)
			return CONVO_E_CANCELED;
	}
	return 0;
}

/* ---- errors --------------------------------------------------------------------------- */

/* clang-format off */
static const struct pq_refusal pq_refusals[] = {
	{"CV003", CONVO_E_TOOBIG, false, NULL},  /* our own */
	{"40001", PG_AGAIN, false, NULL},        /* serialization failure */
	{"40P01", PG_AGAIN, false, NULL},        /* deadlock */
	{"55P03", PG_AGAIN, false, NULL},        /* a lock_timeout of the administrator's */
	{"26000", PG_AGAIN, false, NULL},        /* a prepared statement is not there, */
	{"42P05", PG_AGAIN, false, NULL},        /* or is already: see pq_refused_by_pooler() */
	{"42501", CONVO_E_DENIED, false, NULL},  /* insufficient privilege, row level security */
	{"3F000", CONVO_E_DENIED, false, "search_path"}, /* no schema to create in */
	{"42P01", CONVO_E_VERSION, false, NULL}, /* undefined table, function, column: not our schema */
	{"42883", CONVO_E_VERSION, false, NULL},
	{"42703", CONVO_E_VERSION, false, NULL},
	{"0A000", CONVO_E_VERSION, false, NULL},  /* a function now answers in another way */
	{"23505", CONVO_E_EXISTS, false, NULL},   /* unique violation */
	{"25006", CONVO_E_READONLY, false, NULL}, /* a standby, or told to be read-only */
	{"53100", CONVO_E_FULL, false, NULL},     /* the disk */
	{"53200", CONVO_E_FULL, false, NULL},     /* the server's memory */
	{"53300", CONVO_E_GONE, false, NULL},     /* its connections */
	{"28", CONVO_E_DENIED, false, NULL},      /* authentication */
	{"22003", CONVO_E_IO, false, NULL}, /* a sum of what is stored has no place in a bigint */
	{"22", CONVO_E_INVALID, false, NULL},     /* data */
	{"54", CONVO_E_TOOBIG, false, NULL},      /* beyond a limit of the server */
	/* Before a commit, so that nothing was done; our own cancel is not listened to any more. */
	{"57014", CONVO_E_TIMEOUT, false, "statement_timeout, or an administrator"},
	{"25P03", CONVO_E_TIMEOUT, true, NULL}, /* our own: the transaction stood still for too long */
	{"25P04", CONVO_E_TIMEOUT, true, "transaction_timeout"},
	{"57", CONVO_E_GONE, true, NULL},       /* shutting down, starting up, crashed */
	{"08", CONVO_E_GONE, true, NULL},
	{"", CONVO_E_IO, false, NULL},
};
/* clang-format on */

const struct pq_refusal *cv_pq_refusal_of(const char *state)
{
	const struct pq_refusal *refusal = pq_refusals;

	while (strncmp(state, refusal->state, strlen(refusal->state)) != 0)
		refusal++;
	return refusal;
}

/* Lines of libpq's and the server's that tell a person nothing about the cause. */
static bool pq_line_is_noise(const char *line, size_t len)
{
	static const char *const noise[] = {"LOCATION:", "\tIs the server running",
					    "\tThis probably means the server",
					    "\tbefore or while processing"};
	size_t i;

	for (i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
		if (strncmp(line, noise[i], strlen(noise[i])) == 0)
			return true;
	}
	return len == 0;
}

void cv_pq_one_line(char *out, size_t size, const char *text)
{
	size_t used = 0;

	out[0] = '\0';
	while (*text) {
		size_t len = strcspn(text, "\r\n"), skip, copy;

		skip = pq_line_is_noise(text, len) ? len : strspn(text, " \t");
		if (skip > len)
			skip = len;
		copy = len - skip;
		if (copy && used + 1 < size) {
			if (used)
				out[used++] = ' ';
			if (copy > size - 1 - used)
				copy = size - 1 - used;
			memcpy(out + used, text + skip, copy);
			used += copy;
			out[used] = '\0';
		}
		text += len + strspn(text + len, "\r\n");
	}
}

int cv_pq_lost(struct pg_db *db, enum pool_fate *fate, struct convo_err *err)
{
	*fate = POOL_LOST;
	return cv_fail_maybe(err, CONVO_E_GONE, "%s: connection lost", db->where);
}

/* A pooler that gives each transaction another connection of its own does not have on it what was
 * prepared on the last. From now on nothing is prepared. */
static void pq_refused_by_pooler(struct pg_db *db, const char *state)
{
	if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0)
		atomic_store(&db->shared->unprepared, true);
}

/* The next connection may find another server, or the one that took over. Where one that takes
 * writes was asked for this is none any more, and the call goes on elsewhere. */
static int pq_read_only(struct pg_db *db, const char *line, enum pool_fate *fate,
			struct convo_err *err)
{
	db->stale = true;
	if (!db->writes)
		return cv_fail(err, CONVO_E_READONLY, "%s: %s", db->where, line);
	*fate = POOL_UNSENT;
	return cv_fail(err, CONVO_E_GONE, "%s: %s", db->where, line);
}

/* The planner of a standby sees that a table is unlogged, as those of ears are, before the executor sees
 * that the statement writes; and says so without a code of its own. */
static bool pq_is_standbys(const PGresult *res, const char *state)
{
	const char *function = pq.resultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	return strcmp(state, "0A000") == 0 && function &&
	       strcmp(function, "get_relation_info") == 0;
}

int cv_pq_refused(struct pg_db *db, const PGresult *res, int64_t *detail, enum pool_fate *fate,
		  struct convo_err *err)
{
	const char *state = pq.resultErrorField(res, PG_DIAG_SQLSTATE);
	const char *text = pq.resultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *more = pq.resultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const struct pq_refusal *refusal;
	char line[sizeof(err->text)];

	if (!state)
		state = "08000"; /* from libpq itself */
	if (pq_is_standbys(res, state))
		state = "25006";
	refusal = cv_pq_refusal_of(state);
	pq_refused_by_pooler(db, state);
	/* Class 22 repeats the data it does not like. */
	if (strcmp(state, "22003") == 0)
		text = "the database is damaged";
	else if (strncmp(state, "22", 2) == 0 || !text)
		text = "the server refused the data";
	if (refusal->lost)
		*fate = POOL_LOST;
	*detail = more ? strtoll(more, NULL, 10) : 0;
	cv_pq_one_line(line, sizeof(line), text);
	if (refusal->code == CONVO_E_READONLY)
		return pq_read_only(db, line, fate, err);
	cv_fail(err, refusal->code, "%s: %s%s%s%s", db->where, line, refusal->hint ? " (" : "",
		refusal->hint ? refusal->hint : "", refusal->hint ? ")" : "");
	return refusal->code;
}

/* ---- results -------------------------------------------------------------------------- */

static int pq_ended(struct pg_db *db, int rc, size_t got, enum pool_fate *fate,
		    struct convo_err *err)
{
	*fate = POOL_LOST;
	db->silent = rc == CONVO_E_TIMEOUT && !got;
	/* One that is telling its answer notices by itself that nobody listens. */
	db->busy = !got;
	return cv_fail_maybe(err, rc, "%s: %s", db->where,
			     rc == CONVO_E_CANCELED ? "canceled" : "no answer in time");
}

int cv_pq_next(struct pg_db *db, const struct pg_until *until, size_t most, PGresult **res,
	       enum pool_fate *fate, struct convo_err *err)
{
	size_t got = 0;

	while (pq.isBusy(db->pg)) {
		int unsent = pq.flush(db->pg), waiting = 0, rc;

		if (unsent < 0)
			return cv_pq_lost(db, fate, err);
		rc = cv_pq_wait(db->pg, unsent ? POLLIN | POLLOUT : POLLIN, until);
		if (rc < 0)
			return pq_ended(db, rc, got, fate, err);
		if (ioctl(pq.socket(db->pg), FIONREAD, &waiting) == 0 && waiting > 0)
			got += (size_t)waiting;
		if (!pq.consumeInput(db->pg))
			return cv_pq_lost(db, fate, err);
		if (got > most) {
			*fate = POOL_LOST;
			return cv_fail_maybe(err, CONVO_E_IO, "%s: it answers without end",
					     db->where);
		}
	}
	*res = pq.getResult(db->pg);
	if (pq.status(db->pg) == CONNECTION_BAD) {
		pq.clear(*res);
		return cv_pq_lost(db, fate, err);
	}
	return 0;
}
