/*
 * A turn while it runs: begin.c stores the question, turn.c asks, end.c stores the answer.
 */
#ifndef RUNNER_RUN_H
#define RUNNER_RUN_H

#include <runner/ask.h>
#include <runner/keeper.h>
#include <runner/question.h>

/** What the caller gets, with what its pointers point to. */
struct turn {
	struct convo_turn base;
	struct question said; /* its messages are the caller's, and looked at no more once it ran */
	char generation[CONVO_UUID_SIZE];
	char *why;
	struct convo_answer *answer;
};

/** All-zero but for the first and key.app is ready. */
struct run {
	const struct convo_runner *runner;
	struct convo_key key;
	struct turn *turn;
	struct params params;   /* the question's own, over the runner's */
	char *instruction;      /* likewise, as a system message */
	bool fresh;             /* the session must not exist */
	int64_t after_seq;      /* what it must end with; 0: anything */
	struct convo_call call; /* of the store, before the model is asked */
	bool hurry;             /* it was cancelled: each call is short, and made once */
	const struct convo_listener *listener;
	enum convo_when_busy when_busy;
	convo_lease *lease;
	bool held;  /* the session, by that */
	bool waits; /* for the turn that holds the session */
	bool known; /* the question was stored by an earlier run of the turn */
	struct kept *kept;
	convo_session *session; /* NULL when the turn created it */
	struct ask ask;
	int64_t asked_us;
};

/**
 * Open the session and store the question.
 *
 * @return 0; 1 when an earlier run of the turn has stored the answer, which is given back; or a code
 */
int cv_run_begin(struct run *run, convo_cancel *cancel, struct convo_err *err);

/** Store how the asking ended; its own failure is worth more to the caller than that of storing. */
int cv_run_end(struct run *run, int code, struct convo_err *err);

#endif
