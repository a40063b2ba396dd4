/*
 * What would go with the next question, without asking it.
 */
#include <convo/runner.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/fail.h>
#include <model/model.h>
#include <runner/ask.h>
#include <runner/load.h>
#include <runner/summarizer.h>

/* What the caller gets, with what its pointer points to. */
struct preview {
	struct convo_context base;
	char *why, *trouble;
};

void convo_context_free(struct convo_context *context)
{
	struct preview *own = (struct preview *)context;

	if (!own)
		return;
	free(own->why);
	free(own->trouble);
	free(own);
}

static void preview_describe(struct preview *preview, const struct convo_runner *runner,
			     const struct runner_context *context)
{
	struct convo_context *out = &preview->base;
	struct model_facts facts;

	cv_learned_get(&runner->model->learned, &facts);
	out->messages = context->sent.count;
	out->joined = context->sent.joined;
	out->left_out = context->left_out;
	out->left_out_why = preview->why;
	out->tokens = (int64_t)cv_budget_tokens(&context->budget, context->estimate);
	out->factor = context->budget.factor;
	out->measured = context->budget.measured;
	out->limit = (int64_t)context->budget.tokens;
	out->window = facts.window;
	out->summarized = (size_t)context->summary.messages;
	out->summary_seq = context->summary.seq;
	out->summary_error = preview->trouble;
	if (context->budget.by_window)
		out->limit_from = facts.refused ? CONVO_LIMIT_REFUSAL : CONVO_LIMIT_ENDPOINT;
	else if (out->limit)
		out->limit_from = CONVO_LIMIT_OPTION;
}

static int preview_make(struct convo_context **out, const struct convo_runner *runner,
			const struct convo_key *key, const convo_session *session,
			const struct context_plan *plan, struct convo_err *err)
{
	const char *instruction = runner->instruction;
	struct convo_message system = {instruction, instruction ? strlen(instruction) : 0};
	struct preview *preview = cv_alloc(1, sizeof(*preview));
	struct runner_context context = {0};
	int rc;

	if (!preview)
		return cv_fail_nomem(err);
	rc = cv_context_make(&context, session, plan, system, NULL, 0, err);
	if (rc < 0) {
		free(preview);
		goto out;
	}
	preview->why = context.why;
	context.why = NULL;
	preview->trouble = cv_summarizer_trouble(runner->summarizer, key);
	preview_describe(preview, runner, &context);
	*out = &preview->base;
out:
	cv_context_clear(&context);
	return rc;
}

int convo_runner_context(struct convo_context **out, convo_runner *runner, const char *user,
			 const char *session, const struct convo_call *call, struct convo_err *err)
{
	convo_session *loaded = NULL;
	struct convo_key key;
	struct ask ask = {0};
	int rc = cv_check_given(out, "the place for the context", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(runner, "the runner", err);
	if (rc < 0)
		return rc;
	key = (struct convo_key){runner->app, user, session};
	cv_ask_plan(&ask, runner);
	rc = cv_session_load(&loaded, runner, &key, &ask.plan.limits, 0, 0, call, err);
	if (rc < 0)
		return rc;
	rc = preview_make(out, runner, &key, loaded, &ask.plan, err);
	convo_session_free(loaded);
	return rc;
}
