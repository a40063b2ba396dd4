/*
 * libpq, loaded with the first connection: waiting for it, the results of a connection one by one,
 * and its errors in our words. It is only used in its non-blocking ways: every wait is a poll()
 * here, until the caller's deadline or cancel.
 */
#ifndef STORE_POSTGRES_PQ_H
#define STORE_POSTGRES_PQ_H

#include <libpq-fe.h>

#include <store/postgres/plan.h>
#include <store/postgres/until.h>
#include <store/shared/pool.h>

/* clang-format off */
#define PQ_CALLS(X) \
	X(backendPID) \
	X(cancel) \
	X(clear) \
	X(cmdTuples) \
	X(connectPoll) \
	X(connectStartParams) \
	X(connectionNeedsPassword) \
	X(consumeInput) \
	X(enterPipelineMode) \
	X(errorMessage) \
	X(escapeIdentifier) \
	X(fformat) \
	X(finish) \
	X(flush) \
	X(freeCancel) \
	X(freemem) \
	X(ftype) \
	X(getCancel) \
	X(getResult) \
	X(getisnull) \
	X(getlength) \
	X(getvalue) \
	X(isBusy) \
	X(nfields) \
	X(notifies) \
	X(ntuples) \
	X(parameterStatus) \
	X(pipelineSync) \
	X(resultErrorField) \
	X(resultStatus) \
	X(sendPrepare) \
	X(sendQuery) \
	X(sendQueryParams) \
	X(sendQueryPrepared) \
	X(serverVersion) \
	X(setErrorVerbosity) \
	X(setNoticeReceiver) \
	X(setSingleRowMode) \
	X(setnonblocking) \
	X(socket) \
	X(status) \
	X(user)

#define PQ_POINTER(name) __typeof__(PQ##name) *(name);

/** libpq's functions: pq.flush() is PQflush(). */
struct pq_calls {
	PQ_CALLS(PQ_POINTER)
};
/* clang-format on */

extern struct pq_calls cv_pq;
#define pq cv_pq

/** Load it. @return 0, CONVO_E_UNSUPPORTED */
int cv_pq_need(struct convo_err *err);

/** A connection. */
struct pg_db {
	PGconn *pg;
	const char *where;
	struct pg_shared *shared;
	size_t host;       /* which of the plan's it is */
	uint64_t prepared; /* the statements that the server has, a bit each */
	bool writes;       /* one that is read-only is left for another */
	bool stale;        /* not to be used again, though the server still answers */
	bool silent;       /* it did not answer in time */
	bool busy;         /* it works on what nobody waits for any more */
	bool alone; /* a commit took effect without the standby that it should have waited for */
};

/**
 * Wait for the socket.
 *
 * @return 0 when it is ready, CONVO_E_TIMEOUT, CONVO_E_CANCELED; `err` is not filled
 */
int cv_pq_wait(const PGconn *pg, short events, const struct pg_until *until);

/** Close a connection whose server is at work, and tell it to stop. Does not block. */
void cv_pq_leave(PGconn *pg);

/** What the caller can do about an error of the server, by its SQLSTATE. */
struct pq_refusal {
	const char *state; /* or the beginning of some */
	int code;
	bool lost;        /* the connection is gone, or soon will be */
	const char *hint; /* NULL: the server's words say it all */
};

const struct pq_refusal *cv_pq_refusal_of(const char *state);

/** The lines of a text as one, without libpq's guesses and the server's line numbers. */
void cv_pq_one_line(char *out, size_t size, const char *text);

/** Tell that the connection was lost. */
int cv_pq_lost(struct pg_db *db, enum pool_fate *fate, struct convo_err *err);

/** Fill `err` from an error result. `detail` receives the number in it, if there is one. */
int cv_pq_refused(struct pg_db *db, const PGresult *res, int64_t *detail, enum pool_fate *fate,
		  struct convo_err *err);

/**
 * The next result, or NULL after the last of a statement.
 *
 * @param most bytes that may come for it; a server that sends more is not listened to
 */
int cv_pq_next(struct pg_db *db, const struct pg_until *until, size_t most, PGresult **res,
	       enum pool_fate *fate, struct convo_err *err);

#endif
