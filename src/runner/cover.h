/*
 * What of a session a summary is to cover, and when that is due.
 */
#ifndef RUNNER_COVER_H
#define RUNNER_COVER_H

#include <runner/runner.h>

/** The least tokens of a request with which a summary makes sense. */
#define COVER_LEAST_LIMIT 256

/** Of the limit, a summary has no more than this. */
#define COVER_SUMMARY_SHARE 0.25

/** A message that no summary covers. */
struct cover_part {
	const struct convo_event *event;
	double estimate; /* of its tokens */
	bool begins;     /* what is kept may begin with it */
};

/** What there is to sum up. All-zero but for the first two is valid. */
struct cover {
	const struct convo_runner *runner;
	convo_model *model; /* makes the summary */

	convo_session *session;
	struct summary former;
	struct budget budget; /* of a request of the conversation */
	double uncut;         /* its tokens were nothing cut, by estimate */
	size_t unsummed;      /* events that the summary before does not cover */
	struct cover_part *parts;
	size_t count, covered; /* so many of the first are to be summed up */
	double room;           /* most tokens of those, by estimate; 0: no bound */
	double former_share;   /* how much of the summary before there is room for, 1: all */
};

/**
 * Whether a conversation has grown so long that its beginning is to be summed up.
 *
 * @param uncut    its tokens as a request, by estimate, were nothing cut
 * @param unsummed events that no summary covers
 */
bool cv_cover_is_due(const struct convo_runner *runner, const struct budget *budget, double uncut,
		     size_t unsummed);

/**
 * Load the session, and choose what to cover in one step: as much as the model takes at once.
 *
 * @param wanted it was asked for: also before it is due
 * @return 0, `covered` tells; CONVO_E_INVALID when the limit is too low; or a store's code; to be
 *         cleared either way
 */
int cv_cover_plan(struct cover *cover, const struct convo_key *key, bool wanted,
		  const struct convo_call *call, struct convo_err *err);

/** Choose again, for less room. */
void cv_cover_choose(struct cover *cover, bool wanted);

/** The tokens of what is covered, by estimate. */
double cv_cover_estimate(const struct cover *cover);

void cv_cover_clear(struct cover *cover);

#endif
