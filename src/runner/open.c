/*
 * Making a runner: what turns work with. A turn is turn.c's.
 */
#include <runner/runner.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>
#include <runner/cover.h>
#include <runner/keeper.h>
#include <runner/summarizer.h>

/* As convo_lease_options has it. */
#define LEASE_MS 15000
#define LEASE_LEAST_MS 1000
#define LEASE_MOST_MS 600000

static int runner_fill(struct convo_runner *runner, const struct convo_runner_options *opts,
		       struct convo_err *err)
{
	int rc;

	runner->store = opts->store;
	runner->model = opts->model;
	runner->limits.messages = opts->context_messages;
	runner->limits.tokens = opts->context_tokens;
	runner->alternate = opts->alternate;
	runner->lease_ms = opts->lease_ms ? opts->lease_ms : LEASE_MS;
	if (runner->lease_ms < LEASE_LEAST_MS || runner->lease_ms > LEASE_MOST_MS)
		return cv_fail(err, CONVO_E_INVALID, "lease_ms: not %d to %d", LEASE_LEAST_MS,
			       LEASE_MOST_MS);
	rc = cv_keeper_new(&runner->keeper, opts->store, err);
	if (rc < 0)
		return rc;
	runner->app = cv_memdup(opts->app, strlen(opts->app));
	if (!runner->app)
		return cv_fail_nomem(err);
	if (opts->instruction && opts->instruction[0]) {
		rc = convo_message_make(&runner->instruction, "system", opts->instruction,
					strlen(opts->instruction), err);
		if (rc < 0)
			return rc;
	}
	if (!opts->params)
		return 0;
	rc = cv_params_read(&runner->params, opts->params, err);
	if (rc < 0)
		return rc;
	return cv_params_strip(&runner->summary_params, &runner->params) < 0 ? cv_fail_nomem(err)
									     : 0;
}

/* What makes the summaries, and whether it does so by itself. */
static int runner_sum(struct convo_runner *runner, const struct convo_runner_options *opts,
		      struct convo_err *err)
{
	const char *prompt = opts->summary_prompt;

	runner->summary_model = opts->summary_model;
	runner->summary_events = opts->summary_events;
	if (prompt && prompt[0]) {
		runner->summary_prompt = cv_memdup(prompt, strlen(prompt));
		if (!runner->summary_prompt)
			return cv_fail_nomem(err);
	}
	if (opts->summaries == CONVO_SUMMARIES_OFF)
		return 0;
	if (opts->context_tokens && opts->context_tokens < COVER_LEAST_LIMIT)
		return cv_fail(err, CONVO_E_INVALID,
			       "with less than %d context_tokens nothing can be summed up",
			       COVER_LEAST_LIMIT);
	return cv_summarizer_new(&runner->summarizer, runner, err);
}

int convo_runner_new(convo_runner **out, const struct convo_runner_options *opts,
		     struct convo_err *err)
{
	struct convo_runner *runner;
	int rc = cv_check_given(out, "the place for the runner", err);

	if (rc < 0)
		return rc;
	if (!opts || !opts->store || !opts->model || !opts->app)
		return cv_fail(err, CONVO_E_INVALID, "a runner needs a store, a model and an app");
	rc = CHECK_RESERVED(opts, err);
	if (rc < 0)
		return rc;
	if ((unsigned)opts->alternate > CONVO_ALTERNATE_KEEP)
		return cv_fail(err, CONVO_E_INVALID, "no such way to let messages alternate");
	if ((unsigned)opts->summaries > CONVO_SUMMARIES_ON)
		return cv_fail(err, CONVO_E_INVALID, "no such way to sum up");
	runner = cv_alloc(1, sizeof(*runner));
	if (!runner)
		return cv_fail_nomem(err);
	rc = runner_fill(runner, opts, err);
	if (rc < 0)
		goto out;
	rc = runner_sum(runner, opts, err);
	if (rc < 0)
		goto out;
	*out = runner;
	runner = NULL;
out:
	convo_runner_free(runner);
	return rc;
}

void convo_runner_free(convo_runner *runner)
{
	if (!runner)
		return;
	cv_summarizer_free(runner->summarizer);
	cv_keeper_free(runner->keeper);
	free(runner->app);
	free(runner->instruction);
	cv_params_clear(&runner->params);
	free(runner->summary_params);
	free(runner->summary_prompt);
	free(runner);
}
