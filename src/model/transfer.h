/*
 * One request and its reply over HTTP: options, timeouts, cancelling. What travels is left to wire.c
 * and reply.c, whether to ask again to openai.c.
 */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include <model/access.h>
#include <model/curl.h>
#include <model/endpoint.h>
#include <model/reply.h>

/** A request on its way. */
struct transfer {
	const struct endpoint *endpoint;
	const struct access *access;
	struct curl_link *link;
	convo_cancel *cancel;
	struct convo_err *err;
	struct reply reply;
	struct cv_buf body; /* of the request; empty: it is a GET */

	int rc;         /* what a callback failed with */
	bool begun;     /* the reply's body was begun */
	bool timed_out; /* by the idle limit */
	bool over;      /* libcurl has finished, with `result` */
	CURLcode result;
	int64_t bytes; /* that moved in either direction, and when the last did */
	int64_t moved_us;
	int64_t finish_us; /* when it need not go on; 0: not yet known */
	char why[CURL_ERROR_SIZE];
	struct curl_slist *headers;
};

void cv_transfer_init(struct transfer *transfer, const struct endpoint *endpoint,
		      const struct access *access, struct curl_link *link, convo_cancel *cancel,
		      struct convo_err *err);

/**
 * Send the request and read the reply until it is over, complete, cancelled or silent for too long.
 *
 * @param accept the header Accept, whole
 * @return 0, for cv_transfer_end() to judge; or a code with `err` filled
 */
int cv_transfer_run(struct transfer *transfer, const char *url, const char *accept);

/** How it ended. @return 0 for a complete reply, else a code with `err` filled */
int cv_transfer_end(struct transfer *transfer);

/** Tell the reply what the headers say, once; done by the first byte of a body. */
void cv_transfer_begin_reply(struct transfer *transfer);

/** A header of the reply, or NULL. Valid until the transfer is cleared. */
const char *cv_transfer_header(const struct transfer *transfer, const char *name);

/** Leaves the link ready for the next; an unfinished transfer's connection is closed. */
void cv_transfer_clear(struct transfer *transfer);

/* ---- trouble.c: what keeps a transfer from reaching its server --------------------------- */

/** Put into words why no reply came. @return a code with `err` filled */
int cv_trouble_fail(const struct transfer *transfer);

/** Whether asking once more may help: the connection was refused, cut or not made in time. */
bool cv_trouble_passes(const struct transfer *transfer);

#endif
