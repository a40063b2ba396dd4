/*
 * Making a summary: what a model is asked for it, and what of its answer is stored. When, and by whom, is
 * summarizer.c's.
 */
#ifndef RUNNER_DIGEST_H
#define RUNNER_DIGEST_H

#include <runner/runner.h>

/**
 * Make one summary and store it, if there is something to sum up: one step, that covers as much as its
 * model takes at once.
 *
 * @param wanted it was asked for: make it before it is due
 * @param call   bounds each call to the store; its cancel ends the asking, too
 * @return 1 when one was stored; 0: there is nothing to do; CONVO_E_CONFLICT when another was faster,
 *         or what it covers was taken back; else as convo_runner_summarize()
 */
int cv_digest_make(const struct convo_runner *runner, const struct convo_key *key, bool wanted,
		   const struct convo_call *call, struct convo_err *err);

#endif
