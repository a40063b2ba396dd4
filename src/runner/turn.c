/*
 * One turn: the question into the store (begin.c), the conversation to the model, the answer back into the
 * store (end.c). Which messages are sent is context.c's, in which order conversation.c's.
 */
#include <runner/run.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>

void convo_turn_free(struct convo_turn *turn)
{
	struct turn *own = (struct turn *)turn;

	if (!own)
		return;
	convo_answer_free(own->answer);
	cv_question_clear(&own->said);
	free(own->why);
	free(own);
}

static void run_clear(struct run *run)
{
	cv_kept_free(run->kept);
	convo_lease_free(run->lease);
	convo_turn_free(run->turn ? &run->turn->base : NULL);
	convo_session_free(run->session);
	cv_params_clear(&run->params);
	free(run->instruction);
}

/* What is other in this turn than the runner has it. */
static int run_differ(struct run *run, const struct convo_turn_options *options,
		      struct convo_err *err)
{
	const char *instruction = options->instruction;
	size_t len = instruction ? strlen(instruction) : 0;
	int rc = 0;

	run->ask.model = options->model;
	run->after_seq = options->after_seq;
	if (options->params) {
		rc = cv_params_merge(&run->params, &run->runner->params, options->params, err);
		run->ask.params = &run->params;
	}
	if (rc < 0 || !instruction)
		return rc;
	run->ask.instruction = "";
	if (len > CONVO_MAX_EVENT)
		return cv_fail(err, CONVO_E_TOOBIG, "the instruction has more than 4 MiB");
	if (len)
		rc = convo_message_make(&run->instruction, "system", instruction, len, err);
	if (run->instruction)
		run->ask.instruction = run->instruction;
	return rc;
}

/* What the caller is told of the turn whatever becomes of it. */
static void run_describe(struct run *run)
{
	struct convo_turn *turn = &run->turn->base;
	const struct question *said = &run->turn->said;

	turn->id = said->turn;
	turn->generation = run->turn->generation;
	turn->question_count = said->count;
	turn->question_seqs = said->seqs;
	turn->question_ids = said->id;
	turn->answer_id = said->answer_id;
}

/* Everything that can be wrong with a question itself is found before anything is stored. */
static int run_init(struct run *run, const struct convo_question *question, struct convo_err *err)
{
	int rc;

	run->turn = cv_alloc(1, sizeof(*run->turn));
	if (!run->turn)
		return cv_fail_nomem(err);
	rc = cv_question_read(&run->turn->said, question, err);
	if (rc < 0)
		return rc;
	run_describe(run);
	run->key.user = question->user;
	run->key.session = question->session;
	run->fresh = question->fresh;
	run->when_busy = question->when_busy;
	run->ask.whole = question->whole;
	run->ask.question = run->turn->said.events;
	run->ask.questions = run->turn->said.count;
	rc = question->options ? run_differ(run, question->options, err) : 0;
	if (rc < 0)
		return rc;
	cv_ask_plan(&run->ask, run->runner);
	return convo_lease_new(&run->lease,
			       &(struct convo_lease_options){.ms = run->runner->lease_ms}, err);
}

static int run_ask(struct run *run, const struct convo_listener *listener, convo_cancel *cancel,
		   struct convo_err *err)
{
	struct convo_turn *turn = &run->turn->base;
	int rc;

	if (run->held) {
		const struct keep keep = {
			.key = run->key,
			.lease = run->lease,
			.lease_ms = run->runner->lease_ms,
			.id = turn->answer_id,
			.turn = turn->id,
			.model = convo_model_name(run->ask.model),
			.listener = listener,
		};

		rc = cv_kept_new(&run->kept, run->runner->keeper, &keep, err);
		if (rc < 0)
			return rc;
		listener = cv_kept_listener(run->kept);
	}
	run->asked_us = cv_clock_mono_us();
	run->ask.session = run->session;
	rc = cv_ask(&run->turn->answer, &run->ask, listener, cancel, err);
	cv_kept_stop(run->kept);
	turn->sent = run->ask.sent;
	turn->joined = run->ask.joined;
	turn->left_out = run->ask.left_out;
	turn->summarized = (size_t)run->ask.summarized;
	turn->summary_seq = run->ask.summary_seq;
	turn->left_out_why = run->turn->why = run->ask.why;
	run->ask.why = NULL;
	return rc;
}

/* The question is stored: tell so, and ask. */
static int run_go(struct run *run, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_listener *to = run->listener;

	if (to && to->on_begun && to->on_begun(to->ctx, &run->turn->base))
		return cv_fail(err, CONVO_E_CANCELED, "stopped before the model was asked");
	return run_ask(run, to, cancel, err);
}

int convo_runner_run(struct convo_turn **out, convo_runner *runner,
		     const struct convo_question *question, const struct convo_listener *listener,
		     convo_cancel *cancel, struct convo_err *err)
{
	struct run run = {.runner = runner};
	struct convo_err failure = {0};
	int rc = cv_check_given(out, "the place for the turn", &failure);

	if (rc < 0)
		goto out;
	rc = cv_check_given(runner, "the runner", &failure);
	if (rc < 0)
		goto out;
	run.key.app = runner->app;
	rc = run_init(&run, question, &failure);
	if (rc < 0)
		goto out;
	run.listener = listener;
	rc = cv_run_begin(&run, cancel, &failure);
	if (rc == 0)
		rc = cv_run_end(&run, run_go(&run, cancel, &failure), &failure);
	else if (rc < 0 && rc != CONVO_E_CANCELED)
		run.turn->base.failed = CONVO_TURN_STORE;
	*out = &run.turn->base;
	run.turn = NULL;
out:
	if (rc < 0 && err)
		*err = failure;
	run_clear(&run);
	return rc < 0 ? rc : 0;
}
