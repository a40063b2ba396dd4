/*
 * Asking the model with a conversation: which of it goes, and what a refusal or an answer teaches of how
 * much may.
 */
#ifndef RUNNER_ASK_H
#define RUNNER_ASK_H

#include <model/refusal.h>
#include <runner/runner.h>

/** A question to the model, and what was sent for it. All-zero is valid. */
struct ask {
	const struct convo_runner *runner;
	const convo_session *session;       /* NULL: nothing was said before */
	const struct convo_event *question; /* `questions` of them */
	size_t questions;
	convo_model *model;          /* NULL: the runner's */
	const struct params *params; /* NULL: the runner's */
	const char *instruction;     /* as a system message; NULL: the runner's, "": none */
	bool whole;
	struct context_plan plan;

	size_t sent, joined, left_out, bytes; /* as runner_context has them */
	double estimate, uncut;
	struct budget budget;
	int64_t summary_seq, summarized; /* the summary's event, and the messages it stood for */
	size_t unsummed;
	char *why; /* whoever takes it sets NULL */
};

/** Set the runner and what of it holds for this one, and plan by what is known of the model. */
void cv_ask_plan(struct ask *ask, const struct convo_runner *runner);

/**
 * Ask, and once more for each thing that a refusal teaches: how long a conversation may be, what roles
 * it must have. Nothing was heard of what was refused.
 *
 * @return as convo_model_ask()
 */
int cv_ask(struct convo_answer **out, struct ask *ask, const struct convo_listener *listener,
	   convo_cancel *cancel, struct convo_err *err);

#endif
