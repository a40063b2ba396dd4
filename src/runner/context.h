/*
 * What a model is sent: from a loaded session and a new question to the messages of a request.
 */
#ifndef RUNNER_CONTEXT_H
#define RUNNER_CONTEXT_H

#include <convo/runner.h>

#include <runner/budget.h>
#include <runner/parcel.h>
#include <runner/summary.h>

/** What the messages of a request are made by. All-zero is valid. */
struct context_plan {
	struct context_limits limits;
	struct context_rate rate;
	double extra; /* estimated tokens that go along beside the messages */
	struct parcel_rules rules;
};

/** The messages of a request. All-zero is valid. They are borrowed from what it was made of. */
struct runner_context {
	struct parcel sent;
	double estimate;        /* tokens of the request, before any factor */
	double uncut;           /* and of one that nothing was cut from */
	struct budget budget;   /* what it was made by */
	size_t left_out;        /* messages of the conversation not sent */
	char *why;              /* one line when left_out > 0 */
	struct summary summary; /* what goes for the oldest messages; its text is the session's */
	size_t unsummed;        /* events of the session that it does not cover */
	struct cv_buf lead;     /* the message that it goes as */
};

/**
 * Make the messages of a request: the instruction, the newest summary that is true, the rest of the
 * conversation as far as the limits let it, the question. A conversation that is cut begins with a user's message; a call of tools goes with
 * all its results or not at all. Neighbouring messages of the user are sent as one (join.h), unless
 * the plan says otherwise.
 *
 * A model's window is cut in steps, so that most requests begin with the bytes that the one before
 * began with: endpoints remember those.
 *
 * @param session     what the store held before the question; NULL: nothing
 * @param instruction a system message; json NULL: none
 * @param question    `count` messages with their roles, always sent, and so are the calls that they
 *                    answer; none: these are the messages before it
 * @return 0, CONVO_E_NOMEM; to be cleared either way
 */
int cv_context_make(struct runner_context *out, const convo_session *session,
		    const struct context_plan *plan, struct convo_message instruction,
		    const struct convo_event *question, size_t count, struct convo_err *err);

/**
 * Whether the outputs of tools in a question are those that the conversation, or the question itself,
 * waits for.
 *
 * @return 0, CONVO_E_INVALID with the message that is not, CONVO_E_NOMEM
 */
int cv_context_check(const convo_session *session, const struct convo_event *question, size_t count,
		     struct convo_err *err);

void cv_context_clear(struct runner_context *context);

#endif
