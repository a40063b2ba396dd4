/*
 * What is said in a turn: from a text or messages to the events that are stored.
 */
#ifndef RUNNER_QUESTION_H
#define RUNNER_QUESTION_H

#include <runner/runner.h>

/** A question that was checked. All-zero is empty. */
struct question {
	char turn[CONVO_MAX_NAME + 1];
	bool given; /* that id, by the caller: the turn may have been run before */
	char answer_id[CONVO_UUID_SIZE];
	struct convo_event
		*events; /* `count`, with ids, turn and roles; their messages are borrowed,
	                               but for `made` */
	size_t count;
	char (*ids)[CONVO_UUID_SIZE];
	const char **id; /* the same as pointers */
	int64_t *seqs;
	char *made;             /* a text as a message */
	char title[TITLE_SIZE]; /* "" when the user said nothing */
	bool outputs;           /* outputs of tools are among them */
};

/**
 * Check everything that can be wrong with a question itself.
 *
 * @return 0, CONVO_E_INVALID, CONVO_E_TOOBIG, CONVO_E_NOMEM; to be cleared either way
 */
int cv_question_read(struct question *out, const struct convo_question *asked,
		     struct convo_err *err);

void cv_question_clear(struct question *question);

#endif
