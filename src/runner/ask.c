/*
 * Asking, and learning from how it ended; see ask.h.
 */
#include <runner/ask.h>

#include <stdlib.h>
#include <string.h>

#include <model/model.h>

/* Conversations of as many tokens are worth asking the endpoint how many it takes. */
#define SEEK_TOKENS 1024

/* Of what the model takes, so much is sent after it refused more. */
#define AGAIN_SHARE 0.7

/* What an estimate grows by that was thought to fit and did not, if the refusal names no number. */
#define UNTOLD_FACTOR 1.1

void cv_ask_plan(struct ask *ask, const struct convo_runner *runner)
{
	struct context_plan *plan = &ask->plan;
	struct model_facts facts;

	ask->runner = runner;
	if (!ask->model)
		ask->model = runner->model;
	if (!ask->params)
		ask->params = &runner->params;
	if (!ask->instruction)
		ask->instruction = runner->instruction;
	cv_learned_get(&ask->model->learned, &facts);
	plan->extra = ask->params->extra;
	plan->rules.alternate = runner->alternate;
	plan->rules.strict = facts.alternate;
	plan->rules.no_system = facts.no_system;
	plan->limits.messages = runner->limits.messages;
	plan->limits.tokens = runner->limits.tokens;
	plan->limits.answer = ask->params->answer;
	plan->limits.window = (size_t)facts.window;
	if (!plan->rate.exact)
		plan->rate.factor = facts.factor;
}

static int ask_prepare(struct ask *ask, struct runner_context *context, struct convo_err *err)
{
	struct convo_message system = {0};
	int rc;

	if (ask->instruction && *ask->instruction)
		system = (struct convo_message){ask->instruction, strlen(ask->instruction)};
	rc = cv_context_make(context, ask->session, &ask->plan, system, ask->question,
			     ask->questions, err);

	if (rc < 0)
		return rc;
	free(ask->why);
	ask->sent = context->sent.count;
	ask->joined = context->sent.joined;
	ask->bytes = context->sent.bytes;
	ask->left_out = context->left_out;
	ask->estimate = context->estimate;
	ask->uncut = context->uncut;
	ask->budget = context->budget;
	ask->summary_seq = context->summary.seq;
	ask->summarized = context->summary.messages;
	ask->unsummed = context->unsummed;
	ask->why = context->why;
	context->why = NULL;
	return 0;
}

/* ---- learning ---------------------------------------------------------------------------- */

/* The conversation was too long: learn how long it may be, and plan for less. */
static void ask_learn_length(struct ask *ask, const struct runner_context *context,
			     const struct refusal *refusal)
{
	double tokens = cv_budget_tokens(&context->budget, context->estimate);
	double window = (double)refusal->window, known = (double)ask->plan.limits.window;
	struct context_rate *rate = &ask->plan.rate;

	if (window <= 0)
		window = known > 0 && known < tokens ? known : tokens;
	rate->exact = true;
	if (refusal->asked > 0)
		rate->factor = cv_budget_factor((double)refusal->asked, context->estimate);
	else if (tokens <= window)
		rate->factor = context->budget.factor * window / tokens * UNTOLD_FACTOR;
	else
		rate->exact = false;
	ask->plan.limits.again = (size_t)(window * AGAIN_SHARE);
	cv_learned_window(&ask->model->learned, (int64_t)window);
}

/* Whether a refusal taught what another request may do better. */
static bool ask_learn(struct ask *ask, const struct runner_context *context,
		      const struct refusal *refusal)
{
	bool alternate = refusal->alternate && !ask->plan.rules.strict;
	bool no_system = refusal->no_system && !ask->plan.rules.no_system;
	bool too_long = refusal->too_long && !ask->plan.limits.again;

	if (too_long)
		ask_learn_length(ask, context, refusal);
	if (alternate || no_system)
		cv_learned_roles(&ask->model->learned, alternate, no_system);
	if (!too_long && !alternate && !no_system)
		return false;
	cv_ask_plan(ask, ask->runner);
	return true;
}

/* What the endpoint counted is for the next turn, of any session. */
static void ask_learn_factor(const struct ask *ask, const struct convo_answer *answer)
{
	if (answer && answer->prompt_tokens > 0)
		cv_learned_factor(&ask->model->learned,
				  cv_budget_factor((double)answer->prompt_tokens, ask->estimate));
}

/* ---- asking ------------------------------------------------------------------------------ */

static int ask_once(struct convo_answer **out, const struct ask *ask,
		    const struct runner_context *context, const struct convo_listener *listener,
		    convo_cancel *cancel, struct refusal *refusal, struct convo_err *err)
{
	const struct convo_request request = {.messages = context->sent.messages,
					      .count = context->sent.count,
					      .whole = ask->whole,
					      .params = ask->params->json};

	return cv_model_ask(out, ask->model, &request, listener, cancel, refusal, err);
}

/* Put together what the plan now lets pass. @return whether that is another request. */
static bool ask_renew(struct ask *ask, struct runner_context *context)
{
	struct runner_context next = {0};
	struct convo_err none;
	bool other =
		ask_prepare(ask, &next, &none) >= 0 && !cv_parcel_same(&context->sent, &next.sent);

	if (!other) {
		cv_context_clear(&next);
		return false;
	}
	cv_context_clear(context);
	*context = next;
	return true;
}

int cv_ask(struct convo_answer **out, struct ask *ask, const struct convo_listener *listener,
	   convo_cancel *cancel, struct convo_err *err)
{
	struct runner_context context = {0};
	int rc;

	cv_ask_plan(ask, ask->runner);
	rc = ask_prepare(ask, &context, err);
	if (rc < 0)
		goto out;
	for (;;) {
		struct refusal refusal = {0};

		rc = ask_once(out, ask, &context, listener, cancel, &refusal, err);
		if (rc >= 0 || !ask_learn(ask, &context, &refusal) || !ask_renew(ask, &context))
			break;
	}
	if (rc >= 0)
		ask_learn_factor(ask, *out);
	/* Not before: it would take the connection that the question goes by. */
	if (ask->estimate >= SEEK_TOKENS)
		cv_model_seek(ask->model);
out:
	cv_context_clear(&context);
	return rc;
}
