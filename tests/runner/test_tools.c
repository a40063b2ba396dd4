/*
 * Function tools through the runner: calls are stored and heard, outputs come back as questions, and half
 * of one never reaches the model, an endpoint that refuses such requests as real ones do.
 */
#include "support/fake_llm.h"
#include "support/strict_llm.h"
#include "support/test.h"

#include <stdio.h>

#include <convo/convo.h>

#include <base/buf.h>

static const struct convo_key key = {"app", "ann", "s"};

struct fixture {
	struct strict_llm strict;
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	struct convo_turn *turn; /* of the last run */
	struct cv_buf heard;     /* tool calls, as they came */
	bool intrudes;           /* once the session is loaded, somebody says something */
	char *seen;              /* the messages of the last request */
};

static void see(void *ctx, const char *messages, size_t len)
{
	struct fixture *f = ctx;

	free(f->seen);
	f->seen = strndup(messages, len);
}

static void renew(struct fixture *f, struct convo_runner_options opts)
{
	struct convo_err err;

	opts.store = f->store;
	opts.model = f->model;
	opts.app = "app";
	convo_runner_free(f->runner);
	f->runner = NULL;
	must_pass(convo_runner_new(&f->runner, &opts, &err));
}

static void intrude(void *ctx, const struct convo_trace_call *call)
{
	static const struct convo_event event = {
		.message = "{\"role\":\"user\",\"content\":\"Me first.\"}"};
	struct fixture *f = ctx;
	struct convo_err err;

	if (!f->intrudes || strcmp(call->op, "load") != 0)
		return;
	f->intrudes = false;
	must_pass(convo_store_append(f->store, &key, NULL, &event, 1, NULL, NULL, &err));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct convo_trace trace = {.on_call = intrude, .ctx = f};
	const struct convo_store_options store_opts = {.trace = &trace};
	struct convo_model_options endpoint = {.max_retries = CONVO_OFF};
	struct convo_err err;

	f->strict.rate = 1;
	f->strict.pairs = true;
	f->strict.seen = see;
	f->strict.ctx = f;
	f->strict.answer = 3;
	strict_llm_start(&f->strict);
	endpoint.base_url = fake_llm_base(f->strict.server);
	must_pass(convo_store_open(&f->store, "memory:", &store_opts, &err));
	must_pass(convo_model_open(&f->model, "strict", &endpoint, &err));
	renew(f, (struct convo_runner_options){0});
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	convo_turn_free(f->turn);
	convo_runner_free(f->runner);
	convo_model_close(f->model);
	convo_store_close(f->store);
	strict_llm_stop(&f->strict);
	cv_buf_clear(&f->heard);
	free(f->seen);
	free(f);
	return 0;
}

static int hear(void *ctx, const struct convo_delta *delta)
{
	struct fixture *f = ctx;

	if (delta->kind != CONVO_DELTA_TOOL_CALL)
		return 0;
	if (delta->call_id)
		cv_buf_addf(&f->heard, "%zu %s:", delta->call, delta->call_name);
	return cv_buf_addf(&f->heard, "%s|", delta->arguments);
}

static int run(struct fixture *f, const struct convo_question *question, struct convo_err *err)
{
	const struct convo_listener listener = {.on_delta = hear, .ctx = f};

	convo_turn_free(f->turn);
	f->turn = NULL;
	return convo_runner_run(&f->turn, f->runner, question, &listener, NULL, err);
}

static int say(struct fixture *f, const char *text, struct convo_err *err)
{
	const struct convo_question question = {.user = "ann", .session = "s", .text = text};

	return run(f, &question, err);
}

static int say_messages(struct fixture *f, const char *const *json, size_t count,
			struct convo_err *err)
{
	struct convo_message messages[16];
	const struct convo_question question = {
		.user = "ann", .session = "s", .messages = messages, .count = count};

	must(count <= 16);
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct convo_message){json[i], strlen(json[i])};
	return run(f, &question, err);
}

static const char *output(const char *id)
{
	return test_text("{\"role\":\"tool\",\"tool_call_id\":\"%s\",\"content\":\"of %s\"}", id,
			 id);
}

/* The outputs of the calls of the last answer, the last one first, and `more` if it is not NULL. */
static int say_outputs(struct fixture *f, const char *more, struct convo_err *err)
{
	size_t count = f->turn->answer->call_count, n = 0;
	const char *json[16];

	must(count > 0 && count < 15);
	for (size_t i = count; i--;)
		json[n++] = output(convo_answer_call(f->turn->answer, i)->id);
	if (more)
		json[n++] = more;
	return say_messages(f, json, n, err);
}

static size_t stored(struct fixture *f)
{
	convo_session *session = NULL;
	size_t count = 0;

	if (convo_store_load(&session, f->store, &key, NULL, NULL, NULL) == 0)
		count = convo_session_count(session);
	convo_session_free(session);
	return count;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"

/* ---- both ways -------------------------------------------------------------------------- */

static void parallel_calls_come_back_in_any_order(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->strict.calls = 3;
	must_pass(say(f, "Look thrice.", &err));
	must_equal_str("tool_calls", f->turn->answer->finish_reason);
	must_equal(3, f->turn->answer->call_count);
	must_equal_str("look", convo_answer_call(f->turn->answer, 2)->name);
	must_equal_str("{\"n\":2}", convo_answer_call(f->turn->answer, 2)->arguments);
	must_equal_str("0 look:|{\"n\":|0}|1 look:|{\"n\":|1}|2 look:|{\"n\":|2}|",
		       cv_buf_str(&f->heard));
	must_pass(say_outputs(f, NULL, &err));
	must_equal_str("stop", f->turn->answer->finish_reason);
	must_equal(3, f->turn->question_count);
	must_equal(0, f->turn->left_out);
	must_equal(5, f->turn->sent);
	must_equal(6, stored(f));
	must_pass(say(f, "Thanks.", &err));
	must_equal(7, f->turn->sent);
	must_equal(0, f->strict.bad_pairs);
}

static void outputs_may_come_with_what_the_user_says(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->strict.calls = 2;
	must_pass(say(f, "Look.", &err));
	must_pass(say_outputs(f, USER("And hurry."), &err));
	must_equal(5, f->turn->sent);
	must_equal(0, f->strict.bad_pairs);
}

static void calls_may_come_with_their_outputs(void **state)
{
	static const char *const json[] = {
		USER("a"),
		("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c/"
		 "1\",\"type\":"
		 "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"),
		"{\"role\":\"tool\",\"tool_call_id\":\"c/1\",\"content\":\"x\"}"};
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(say_messages(f, json, 3, &err));
	must_equal(3, f->turn->sent);
	must_equal(0, f->strict.bad_pairs);
}

/* Whoever answers may write an id with other escapes than whoever called. */
static void ids_are_compared_as_they_are_meant(void **state)
{
	static const char *const json[] = {
		USER("a"),
		("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c/"
		 "1\",\"type\":"
		 "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"),
		"{\"role\":\"tool\",\"tool_call_id\":\"c\\/\\u0031\",\"content\":\"x\"}"};
	struct fixture *f = *state;
	struct convo_err err;

	f->strict.pairs = false;
	must_pass(say_messages(f, json, 3, &err));
	must_equal(3, f->turn->sent);
}

/* ---- halves ----------------------------------------------------------------------------- */

static void a_call_that_is_passed_over_is_not_sent(void **state)
{
	struct fixture *f = *state;
	const char *late;
	struct convo_err err;

	f->strict.calls = 2;
	must_pass(say(f, "Look.", &err));
	late = output(convo_answer_call(f->turn->answer, 0)->id);
	must_pass(say(f, "Never mind.", &err));
	must_equal(1, f->turn->left_out);
	must_equal_str("1 unanswered tool call left out", f->turn->left_out_why);
	must(!strstr(f->seen, "tool_calls"));
	must_fail_with(CONVO_E_INVALID, say_messages(f, &late, 1, &err));
	must_equal_str("messages[0]: no tool call waits for this output", err.text);
	must_equal(0, f->strict.bad_pairs);
	must_equal(4, stored(f));
}

static void outputs_without_their_calls_are_refused(void **state)
{
	const char *json[] = {USER("a"), output("c")};
	struct fixture *f = *state;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, say_messages(f, json + 1, 1, &err));
	must_equal_str("messages[0]: no tool call waits for this output", err.text);
	must_fail_with(CONVO_E_INVALID, say_messages(f, json, 2, &err));
	must(strstr(err.text, "messages[1]: ") != NULL);
	must_fail_with(CONVO_E_NOTFOUND, convo_store_rename(f->store, &key, "x", NULL, &err));
	must_pass(say(f, "Hello.", &err));
	must_fail_with(CONVO_E_INVALID, say_messages(f, json + 1, 1, &err));
	must_equal(2, stored(f));
	must_equal(1, f->strict.requests);
}

static void outputs_of_some_calls_alone_are_refused(void **state)
{
	struct fixture *f = *state;
	const char *json[3];
	struct convo_err err;

	f->strict.calls = 2;
	must_pass(say(f, "Look.", &err));
	json[0] = output(convo_answer_call(f->turn->answer, 1)->id);
	json[1] = USER("And?");
	json[2] = output(convo_answer_call(f->turn->answer, 0)->id);
	must_fail_with(CONVO_E_INVALID, say_messages(f, json, 1, &err));
	must_equal_str("messages[0]: a call that was made with its own has no output", err.text);
	must_fail_with(CONVO_E_INVALID, say_messages(f, json, 3, &err));
	json[1] = json[0];
	must_fail_with(CONVO_E_INVALID, say_messages(f, json, 3, &err));
	must_equal_str("messages[1]: no tool call waits for this output", err.text);
	json[1] = json[2];
	must_pass(say_messages(f, json, 2, &err));
	must_equal(0, f->strict.bad_pairs);
	must_equal(5, stored(f));
}

/* Half of a call that an earlier version, or another program, has stored. */
static void outputs_that_are_stored_count(void **state)
{
	struct fixture *f = *state;
	struct convo_event half = {0};
	const char *json;
	struct convo_err err;

	f->strict.calls = 2;
	must_pass(say(f, "Look.", &err));
	half.message = output(convo_answer_call(f->turn->answer, 1)->id);
	half.turn = f->turn->id;
	json = output(convo_answer_call(f->turn->answer, 0)->id);
	must_pass(convo_store_append(f->store, &key, NULL, &half, 1, NULL, NULL, &err));
	must_pass(say_messages(f, &json, 1, &err));
	must_equal(4, f->turn->sent);
	must_equal(0, f->strict.bad_pairs);
}

static void outputs_may_be_given_again_when_no_answer_came(void **state)
{
	struct fixture *f = *state;
	const char *json[2];
	struct convo_err err;

	f->strict.calls = 2;
	must_pass(say(f, "Look.", &err));
	json[0] = output(convo_answer_call(f->turn->answer, 1)->id);
	json[1] = output(convo_answer_call(f->turn->answer, 0)->id);
	f->strict.out = true;
	must_fail_with(CONVO_E_REFUSED, say_messages(f, json, 2, &err));
	f->strict.out = false;
	must_pass(say_messages(f, json, 2, &err));
	must_equal_str("2 tool results without their call left out", f->turn->left_out_why);
	must_pass(say(f, "Thanks.", &err));
	must_fail_with(CONVO_E_INVALID, say_messages(f, json, 2, &err));
	must_equal(0, f->strict.bad_pairs);
}

/* What was looked at is what is stored behind. */
static void outputs_that_come_too_late_are_refused(void **state)
{
	struct fixture *f = *state;
	const char *json;
	struct convo_err err;

	f->strict.calls = 1;
	must_pass(say(f, "Look.", &err));
	json = output(convo_answer_call(f->turn->answer, 0)->id);
	f->intrudes = true;
	must_fail_with(CONVO_E_INVALID, say_messages(f, &json, 1, &err));
	must(!f->intrudes);
	must_equal(3, stored(f));
	must_equal(1, f->strict.requests);
}

/* ---- limits ----------------------------------------------------------------------------- */

/* However little may go, the calls that are answered do, and the question that they are of. */
static void what_outputs_answer_goes_along_whatever_the_limit(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, (struct convo_runner_options){.context_messages = 1});
	must_pass(say(f, "Hello.", &err));
	f->strict.calls = 1;
	must_pass(say(f, "Look on and on.", &err));
	for (int i = 0; i < 20; i++) {
		f->strict.calls = 2;
		must_pass(say_outputs(f, NULL, &err));
		must(strstr(f->seen, "Look on and on.") != NULL);
		must(f->turn->sent <= 4);
	}
	must_equal(0, f->strict.bad_pairs);
}

static void of_a_long_chain_the_newest_goes(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, (struct convo_runner_options){.context_messages = 9});
	f->strict.calls = 1;
	must_pass(say(f, "Look on and on.", &err));
	for (int i = 0; i < 20; i++) {
		f->strict.calls = 1;
		must_pass(say_outputs(f, NULL, &err));
	}
	must(f->turn->sent >= 8);
	must(strncmp(f->seen, "[" USER("Look on and on."), strlen(USER("Look on and on."))) == 0);
	must_equal(0, f->strict.bad_pairs);
}

/* Where each question begins with a system message there are places to sum up to, all the same. */
static void questions_with_system_messages_are_summed_up(void **state)
{
	static const char *const json[] = {"{\"role\":\"system\",\"content\":\"Hurry.\"}",
					   USER("Tell me of fact-otters.")};
	struct fixture *f = *state;
	struct convo_err err;

	for (int i = 0; i < 12; i++)
		must_pass(say_messages(f, json, 2, &err));
	must_pass(convo_runner_summarize(f->runner, "ann", "s", NULL, &err));
	must_pass(say(f, "And?", &err));
	must(f->turn->summarized > 0 && f->turn->summarized % 3 == 0);
}

/* ---- whatever is said ------------------------------------------------------------------- */

/* Do one thing of many. What is refused is refused at the question, never by the endpoint. */
static void say_something(struct fixture *f, struct test_rng *rng)
{
	const struct convo_answer *last = f->turn ? f->turn->answer : NULL;
	struct convo_err err;

	f->strict.calls = test_rng_below(rng, 3) ? test_rng_below(rng, 4) : 0;
	f->strict.out = test_rng_below(rng, 12) == 0;
	switch (test_rng_below(rng, 8)) {
	case 0:
		convo_runner_undo(NULL, f->runner, "ann", "s", NULL, &err);
		break;
	case 1: {
		const char *stray = output("call_1_0");

		say_messages(f, &stray, 1, &err);
		break;
	}
	case 2:
	case 3:
		say(f, "And now?", &err);
		break;
	default:
		if (last && last->call_count)
			say_outputs(f, test_rng_below(rng, 4) ? NULL : USER("Hm."), &err);
		else
			say(f, "Look.", &err);
	}
}

static void no_half_of_a_call_reaches_the_model(void **state)
{
	struct fixture *f = *state;
	struct test_rng rng;

	test_rng_init(&rng);
	for (int i = 0; i < 300; i++) {
		if (i % 50 == 0)
			renew(f,
			      (struct convo_runner_options){
				      .context_messages = test_rng_below(&rng, 12),
				      .context_tokens = test_rng_below(&rng, 2) * 300,
				      .alternate = (enum convo_alternate)test_rng_below(&rng, 3)});
		say_something(f, &rng);
		must_equal(0, f->strict.bad_pairs);
	}
	must(f->strict.requests > 150);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tools[] = {
		T(parallel_calls_come_back_in_any_order),
		T(outputs_may_come_with_what_the_user_says),
		T(calls_may_come_with_their_outputs),
		T(ids_are_compared_as_they_are_meant),
		T(a_call_that_is_passed_over_is_not_sent),
		T(outputs_without_their_calls_are_refused),
		T(outputs_of_some_calls_alone_are_refused),
		T(outputs_that_are_stored_count),
		T(outputs_may_be_given_again_when_no_answer_came),
		T(outputs_that_come_too_late_are_refused),
		T(what_outputs_answer_goes_along_whatever_the_limit),
		T(of_a_long_chain_the_newest_goes),
		T(questions_with_system_messages_are_summed_up),
		T(no_half_of_a_call_reaches_the_model),
	};

	return TEST_RUN(tools);
}
