/*
 * The reply to one request, from its first byte to its last: tells a stream from a whole answer, a
 * page and an error, knows when it is complete, and puts failures into words. Knows nothing of
 * connections.
 */
#ifndef MODEL_REPLY_H
#define MODEL_REPLY_H

#include <model/refusal.h>
#include <model/sse.h>
#include <model/wire.h>

enum reply_form {
	REPLY_UNKNOWN = 0, /* too little has come to tell */
	REPLY_EVENTS,
	REPLY_WHOLE, /* one JSON text */
	REPLY_PAGE,  /* HTML or other text */
	REPLY_BODY,  /* kept as it is */
	REPLY_ERROR  /* the status says so; the body tells why */
};

/** All-zero but for the first seven is ready. */
struct reply {
	struct wire wire; /* its first two set */
	const char *base; /* where, for messages: the base URL without secrets */
	const char *url;  /* what was called */
	size_t max;       /* most bytes of an event or of a whole body */
	struct convo_err *err;
	bool collect; /* it is no answer: just keep its body */

	int status;       /* HTTP's; 0: there was none */
	bool says_events; /* its Content-Type is text/event-stream */
	char id[64];      /* the request id of the server, or "" */
	char location[160];
	enum reply_form form;
	bool started;           /* a byte of the body came */
	bool done;              /* nothing more will be read */
	bool json;              /* an error's body was JSON */
	struct refusal refusal; /* what the server's error teaches */
	struct sse sse;
	struct cv_buf body;
};

/** Begin to read the body, when status and headers are known. */
void cv_reply_begin(struct reply *reply);

/** Take some bytes of the body. @return 0, or a code to fail with; reply->done may be set */
int cv_reply_feed(struct reply *reply, const char *bytes, size_t len);

/**
 * The reply ended: done, closed by the server, or cut.
 *
 * @param cut why the connection broke; NULL: it was closed in order
 * @return 0 for a complete answer, else a code with `err` filled
 */
int cv_reply_end(struct reply *reply, const char *cut);

/** Free what it holds. */
void cv_reply_clear(struct reply *reply);

#endif
