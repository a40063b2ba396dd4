/*
 * What a model is sent: from a loaded session and a new question to the messages of a request.
 */
#ifndef RUNNER_CONTEXT_H
#define RUNNER_CONTEXT_H

#include <convo/runner.h>

/** How much of a conversation goes along. All-zero: everything. */
struct context_limits {
	size_t messages; /* most messages of history, the question included; 0: no bound */
	size_t tokens;   /* most estimated tokens of the whole request; 0: no bound */
};

/**
 * The messages of a request. All-zero is valid. They are borrowed from what it was made of, but for
 * those that had to be put together.
 */
struct runner_context {
	struct convo_message *messages;
	size_t count;
	size_t joined; /* messages that are a part of the one before them, sent as one */
	char **made;   /* the texts of those put together */
	size_t made_count, made_cap;
	size_t bytes;    /* of the messages, less the reasoning that the wire leaves out */
	size_t left_out; /* messages of the conversation not sent */
	char *why;       /* one line when left_out > 0 */
};

/**
 * Make the messages of a request: the instruction, the conversation as far as the limits let it,
 * the question. A conversation that is cut begins with a user's message; a call of tools goes with
 * all its results or not at all. Neighbouring messages of the user are sent as one (join.h).
 *
 * @param session     what the store held before the question; NULL: nothing
 * @param instruction a system message; json NULL: none
 * @param question    always sent
 * @return 0, CONVO_E_NOMEM; to be cleared either way
 */
int cv_context_make(struct runner_context *out, const convo_session *session,
		    const struct context_limits *limits, struct convo_message instruction,
		    struct convo_message question, struct convo_err *err);

void cv_context_clear(struct runner_context *context);

/** The most messages before a question that the limits can let pass; SIZE_MAX: no bound. */
size_t cv_context_reach(const struct context_limits *limits);

#endif
