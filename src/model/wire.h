/*
 * The OpenAI chat completions JSON: a request's body out; chunks, whole answers and errors in, in
 * all the shapes that servers send. Knows nothing of HTTP, events and retries.
 */
#ifndef MODEL_WIRE_H
#define MODEL_WIRE_H

#include <convo/model.h>

#include <base/buf.h>
#include <base/text.h>
#include <model/answer.h>
#include <model/error.h>
#include <model/think.h>

/**
 * Write the body of a request whose messages and params are checked JSON.
 *
 * @param usage ask for usage at the end of a stream
 */
int cv_wire_request(struct cv_buf *out, const char *model, const struct convo_request *request,
		    bool usage, struct convo_err *err);

/** Reads what a server sends for one request. All-zero but for the first two is ready. */
struct wire {
	struct answer *answer;
	const struct secrets *secrets; /* NULL: none */

	struct think think;
	bool choices;  /* something like a completion came */
	bool finished; /* a finish reason came */
	bool gave_up;  /* and it was "error" */
	bool broken;   /* the last text was no JSON */
	bool failed;   /* the server reported an error; `error` tells */
	struct wire_error error;
};

/**
 * Take a chunk of a stream or a whole completion; what follows the JSON value is ignored.
 *
 * @param is_error the server marked it as an error (an event of that name)
 * @return 0; CONVO_E_REFUSED: an error or no JSON, the flags tell, the caller puts it into words;
 *         or a code of the answer with `err` filled
 */
int cv_wire_read(struct wire *wire, struct cv_text json, bool is_error, struct convo_err *err);

/** The server has said all it will. */
int cv_wire_end(struct wire *wire, struct convo_err *err);

/**
 * How many tokens an endpoint's list of models says that this one takes, or the only one there is;
 * 0: it does not say.
 */
int64_t cv_wire_window(struct cv_text body, const char *model);

/** Whether an endpoint's list of models holds this one: 1, 0, or -1 when it is no such list. */
int cv_wire_has_model(struct cv_text body, const char *model);

#endif
