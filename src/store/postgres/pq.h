/*
 * libpq, loaded with the first connection, and what the files that use it share. It is only used in
 * its non-blocking ways: every wait is a poll() here, with the caller's deadline.
 */
#ifndef STORE_POSTGRES_PQ_H
#define STORE_POSTGRES_PQ_H

#include <libpq-fe.h>

#include <store/postgres/db.h>

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

/** libpq's functions: pq.flush() is PQflush(). */
struct pq_calls {
	PQ_CALLS(PQ_POINTER)
};
/* clang-format on */

extern struct pq_calls cv_pq;
#define pq cv_pq

/** Load it. */
int cv_pq_need(struct convo_err *err);

struct pg_db {
	PGconn *pg;
	const char *where;
	bool stale; /* not to be used again, though the server still answers */
};

/** Wait for the socket. @return 1 when it is ready, 0 at the deadline */
int cv_pg_poll(const PGconn *pg, short events, int64_t deadline_us);

/** What the caller can do about a refusal, by the longest beginning of its SQLSTATE. */
struct pg_refusal {
	const char *state;
	int code;
	bool lost; /* the connection is gone, or soon will be */
};

const struct pg_refusal *cv_pg_refusal_of(const char *state);

/** Run one statement without parameters outside a pipeline. Its first column comes as text. */
int cv_pg_plain(struct pg_db *db, const char *sql, int64_t deadline_us, int64_t *value, bool *found,
		char state[6], enum pool_fate *fate, struct convo_err *err);

#endif
