/*
 * An answer in the making: models add pieces as they come, the listener hears each at once, and at
 * the end it is what convo_model_ask() hands out. Knows nothing of HTTP, and makes JSON but reads
 * none.
 */
#ifndef MODEL_ANSWER_H
#define MODEL_ANSWER_H

#include <convo/model.h>

#include <base/buf.h>
#include <base/text.h>
#include <model/refusal.h>

#define ANSWER_KINDS 3 /* of enum convo_delta_kind: those that are text */

/** Pieces of one kind: what is whole, and bytes that wait for the rest of their character. */
struct answer_part {
	struct cv_buf text, waiting;
};

/** A tool call in the making. `args` may not be JSON before the answer ended. */
struct answer_call {
	int64_t index; /* where the server puts it; -1: it does not say */
	struct cv_buf id, name, args;
	bool begun;  /* the listener knows its id and its name */
	size_t told; /* bytes of the arguments that it knows */
	struct convo_tool_call pub;
};

struct answer {
	struct convo_answer pub; /* first, so that one pointer serves both */
	const struct convo_listener *listener;
	const convo_cancel *cancel;
	int64_t began_us;
	size_t max, used; /* bytes of the message's JSON: most, and up to now */
	struct answer_part part[ANSWER_KINDS];
	struct answer_call *calls;
	size_t call_count, call_cap;
	bool full;
	struct cv_buf message, model, finish_reason, usage, error;
	struct refusal refusal; /* what the last attempt taught by failing */
};

/** Begin an answer of at most `max` bytes of JSON. Freed by convo_answer_free(). */
int cv_answer_new(struct answer **out, const struct convo_listener *listener,
		  const convo_cancel *cancel, size_t max, struct convo_err *err);

/**
 * Add a piece and tell the listener. Any bytes: a character or a surrogate pair (as two three-byte
 * halves) that is split between pieces is put together, what stays broken becomes U+FFFD.
 *
 * @return 0; CONVO_E_CANCELED: the listener or a cancel asked to stop; CONVO_E_TOOBIG: the answer
 *         is full, and holds what went into it; CONVO_E_NOMEM
 */
int cv_answer_add(struct answer *answer, enum convo_delta_kind kind, const char *data, size_t len,
		  struct convo_err *err);

/** A piece of a tool call; absent texts say nothing. */
struct answer_call_piece {
	int64_t index; /* -1: absent */
	struct cv_text id, name, args;
};

/** Merge a piece into the tool call it belongs to, or begin a new one, and tell the listener. */
int cv_answer_call(struct answer *answer, const struct answer_call_piece *piece,
		   struct convo_err *err);

/** Keep the server's name of the model, or its finish reason, each at most 255 bytes of valid UTF-8;
 * the last one wins. */
int cv_answer_set_model(struct answer *answer, struct cv_text name, struct convo_err *err);
int cv_answer_set_finish(struct answer *answer, struct cv_text reason, struct convo_err *err);

/** Keep usage: a JSON object; the last one wins. One that could not be stored is left out. */
int cv_answer_set_usage(struct answer *answer, struct cv_text json, int64_t prompt_tokens,
			int64_t completion_tokens, struct convo_err *err);

/** Whether the listener has heard anything: from then on, nothing may be asked again. */
bool cv_answer_heard(const struct answer *answer);

/** Whether it has refused a piece because it is full. */
bool cv_answer_full(const struct answer *answer);

/**
 * End the answer: fill in `pub`. If `rc` is a failure and some text came, that becomes an answer that
 * ended early. Tool calls are kept only by a complete answer: half of one must not run.
 *
 * @param rc  how the asking ended
 * @param err what it left; filled if this fails
 * @return 0: the answer can be handed out; else the code to fail with
 */
int cv_answer_end(struct answer *answer, int rc, struct convo_err *err);

/* ---- for calls.c ---------------------------------------------------------------------- */

/** Let the listener hear a piece. @return 0, CONVO_E_CANCELED */
int cv_answer_hear(struct answer *answer, const struct convo_delta *delta, struct convo_err *err);

/** Append text that stands in the message's JSON. @return 0, CONVO_E_TOOBIG, CONVO_E_NOMEM */
int cv_answer_extend(struct answer *answer, struct cv_buf *buf, struct cv_text more,
		     struct convo_err *err);

/** Refuse a piece because the answer is full. @return CONVO_E_TOOBIG */
int cv_answer_overflow(struct answer *answer, struct convo_err *err);

/** The answer is complete: give each call what it lacks, and tell what is not told. */
int cv_calls_end(struct answer *answer, struct convo_err *err);

/** Append the member "tool_calls". @return 0, or a code of cv_buf_add() */
int cv_calls_put(struct cv_buf *out, const struct answer *answer);

/** Forget all calls. */
void cv_calls_clear(struct answer *answer);

#endif
