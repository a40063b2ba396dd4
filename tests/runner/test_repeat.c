/*
 * Turns that are run again under their id (contract A2): the question is stored once, the model is asked
 * once, and everybody gets its answer, whoever else talks meanwhile and whatever became of the first run.
 */
#include "support/test.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/clock.h>
#include <base/fail.h>

static const struct convo_key key = {"app", "ann", "s"};

struct fixture {
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	atomic_int asked, pause_ms, code;
	char *last; /* the messages of the last request, one a line */
	struct convo_turn *turn;
};

static int count_asked(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		       void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct fixture *f = ctx;
	int mine = atomic_fetch_add(&f->asked, 1) + 1;
	struct cv_buf lines = {0};
	const char *text = test_text("answer %d", mine);

	(void)cancel;
	for (size_t i = 0; i < request->count; i++)
		must_equal(0, cv_buf_addf(&lines, "%.*s\n", (int)request->messages[i].len,
					  request->messages[i].json));
	free(f->last);
	f->last = cv_buf_take(&lines);
	poll(NULL, 0, f->pause_ms);
	if (f->code)
		return cv_fail(err, f->code, "the model says no");
	return emit(emit_ctx, CONVO_DELTA_TEXT, text, strlen(text));
}

static void renew(struct fixture *f, struct convo_runner_options opts)
{
	struct convo_err err;

	opts.store = f->store;
	opts.model = f->model;
	opts.app = "app";
	opts.lease_ms = 1000;
	convo_runner_free(f->runner);
	f->runner = NULL;
	must_pass(convo_runner_new(&f->runner, &opts, &err));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct convo_err err;

	must_pass(convo_store_open(&f->store, "memory:", NULL, &err));
	must_pass(convo_model_from(&f->model, "counter", count_asked, f, &err));
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
	free(f->last);
	free(f);
	return 0;
}

static int run(struct fixture *f, const char *turn, const char *text, struct convo_err *err)
{
	const struct convo_turn_options options = {.turn = turn};
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = text, .options = &options};

	convo_turn_free(f->turn);
	f->turn = NULL;
	return convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, err);
}

static size_t stored(struct fixture *f)
{
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	count = convo_session_count(session);
	convo_session_free(session);
	return count;
}

static int64_t held_ms(struct fixture *f)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int64_t ms;

	must_pass(convo_store_load(&session, f->store, &key, &none, NULL, &err));
	ms = convo_session_meta(session)->held_ms;
	convo_session_free(session);
	return ms;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"

/* Store what a run that has ended in the middle of things had stored of its question. */
static void store_question(struct fixture *f, const char *turn, const char *json,
			   const struct convo_expect *expect)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .turn = turn, .message = json};
	struct convo_err err;

	convo_turn_event_id(id, turn, 1);
	must_pass(convo_store_append(f->store, &key, expect, &event, 1, NULL, NULL, &err));
}

/* ---- one after the other ---------------------------------------------------------------- */

static void A2_an_answered_turn_gives_its_answer_back(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "one", "hi", &err));
	must(!f->turn->repeated && f->turn->created);
	must_pass(run(f, "two", "ho", &err));
	for (int i = 0; i < 2; i++) {
		must_pass(run(f, "one", "hi", &err));
		must(f->turn->repeated && !f->turn->created);
		must_equal_str("one", f->turn->id);
		must_equal(1, f->turn->question_seq);
		must_equal(1, f->turn->question_seqs[0]);
		must_equal(2, f->turn->answer_seq);
		must_equal(CONVO_COMPLETE, f->turn->answer->status);
		must_equal_str("answer 1", f->turn->answer->text);
		must_equal_str("{\"role\":\"assistant\",\"content\":\"answer 1\"}",
			       f->turn->answer->message);
		must_equal_str("stop", f->turn->answer->finish_reason);
		must_equal_str("counter", f->turn->answer->model);
	}
	must_equal(2, f->asked);
	must_equal(4, stored(f));
	must_equal(0, held_ms(f));
}

static void A2_an_answer_is_found_however_old_it_is(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, (struct convo_runner_options){.context_messages = 1});
	must_pass(run(f, "old", "hi", &err));
	for (int i = 0; i < 40; i++)
		must_pass(run(f, NULL, "and", &err));
	must_pass(run(f, "old", "hi", &err));
	must(f->turn->repeated);
	must_equal_str("answer 1", f->turn->answer->text);
	must_equal(1, f->turn->question_seq);
	must_equal(2, f->turn->answer_seq);
	must_equal(41, f->asked);
	must_equal(82, stored(f));
	must_equal(0, held_ms(f)); /* it was taken for a moment, and given back */
}

static void A2_tool_calls_and_usage_are_given_back(void **state)
{
	struct fixture *f = *state;
	char id[CONVO_UUID_SIZE];
	const struct convo_event answer = {
		.id = id,
		.turn = "t",
		.message = "{\"role\":\"assistant\",\"content\":\"A "
			   "\\u00e9\",\"tool_calls\":[{\"id\":\"c\","
			   "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{"
			   "\\\"a\\\":1}\"}}"
			   ",{\"id\":\"d\",\"type\":\"function\",\"function\":{\"name\":\"g\","
			   "\"arguments\":\"{}\"}}]}",
		.model = "m",
		.finish_reason = "tool_calls",
		.usage = "{\"prompt_tokens\":7,\"completion_tokens\":12,\"x\":null}"};
	const struct convo_tool_call *call;
	struct convo_err err;

	must_pass(convo_store_create(f->store, &key, NULL, NULL, NULL, &err));
	store_question(f, "t", USER("hi"), NULL);
	convo_turn_event_id(id, "t", 0);
	must_pass(convo_store_append(f->store, &key, NULL, &answer, 1, NULL, NULL, &err));
	must_pass(run(f, "t", "hi", &err));
	must_equal(0, f->asked);
	must_equal_str("A é", f->turn->answer->text);
	must_equal_str("m", f->turn->answer->model);
	must_equal_str(answer.usage, f->turn->answer->usage);
	must_equal(7, f->turn->answer->prompt_tokens);
	must_equal(12, f->turn->answer->completion_tokens);
	must_equal_str("tool_calls", f->turn->answer->finish_reason);
	must_equal(2, f->turn->answer->call_count);
	call = convo_answer_call(f->turn->answer, 0);
	must_equal_str("c", call->id);
	must_equal_str("f", call->name);
	must_equal_str("{\"a\":1}", call->arguments);
	must_equal_str("g", convo_answer_call(f->turn->answer, 1)->name);
	must(!convo_answer_call(f->turn->answer, 2));
}

static void A2_a_failed_answer_is_an_answer(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->code = CONVO_E_REFUSED;
	must_fail_with(CONVO_E_REFUSED, run(f, "one", "hi", &err));
	f->code = 0;
	must_pass(run(f, "one", "hi", &err));
	must(f->turn->repeated);
	must_equal(CONVO_FAILED, f->turn->answer->status);
	must_equal(CONVO_E_IO, f->turn->answer->code);
	must_equal_str("the model says no", f->turn->answer->error);
	must_equal_str("", f->turn->answer->text);
	must_equal(1, f->asked);
}

/* What came after the question is no part of its conversation. */
static void A2_a_question_without_an_answer_is_answered(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "zero", "first", &err));
	store_question(f, "one", USER("hi"), NULL);
	must_pass(run(f, "two", "later", &err));
	must_pass(run(f, "one", "hi", &err));
	must(!f->turn->repeated);
	must_equal(3, f->turn->question_seq);
	must_equal_str(USER("first") "\n{\"role\":\"assistant\",\"content\":\"answer 1\"}\n" USER(
			       "hi") "\n",
		       f->last);
	must_equal(6, stored(f));
	must_pass(run(f, "one", "hi", &err));
	must(f->turn->repeated);
	must_equal(3, f->asked);
}

static void A2_outputs_of_tools_are_known_again(void **state)
{
	struct fixture *f = *state;
	static const char call[] =
		"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":"
		"\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}";
	static const char output[] = "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}";
	const struct convo_event before[] = {{.message = USER("a"), .turn = "a"},
					     {.message = call, .turn = "a"}};
	const struct convo_message message = {output, sizeof(output) - 1};
	const struct convo_turn_options options = {.turn = "t"};
	const struct convo_question question = {.user = "ann",
						.session = "s",
						.messages = &message,
						.count = 1,
						.options = &options};
	struct convo_err err;

	renew(f, (struct convo_runner_options){.context_messages = 1});
	must_pass(convo_store_create(f->store, &key, NULL, NULL, NULL, &err));
	must_pass(convo_store_append(f->store, &key, NULL, before, 2, NULL, NULL, &err));
	store_question(f, "t", output, NULL);
	for (int i = 0; i < 100; i++)
		must_pass(run(f, NULL, "and", &err));
	convo_turn_free(f->turn);
	f->turn = NULL;
	must_pass(convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
	must(strstr(f->last, output) != NULL && strstr(f->last, "\"c\"") != NULL);
	must_equal(204, stored(f));
}

static void A2_a_fresh_turn_is_known_again(void **state)
{
	const struct convo_turn_options options = {.turn = "one"}, other = {.turn = "two"};
	struct convo_question question = {
		.user = "ann", .session = "s", .text = "hi", .fresh = true, .options = &options};
	struct fixture *f = *state;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	convo_turn_free(turn);
	turn = NULL;
	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must(turn->repeated);
	convo_turn_free(turn);
	turn = NULL;
	question.options = &other;
	must_fail_with(CONVO_E_EXISTS,
		       convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	convo_turn_free(turn);
	must_equal(2, stored(f));
}

/* ---- after a program that is gone ------------------------------------------------------- */

static void R5_what_a_program_that_is_gone_had_saved_is_given_back(void **state)
{
	struct fixture *f = *state;
	char id[CONVO_UUID_SIZE];
	const struct convo_event draft = {
		.id = id, .turn = "one", .message = "{\"role\":\"assistant\",\"content\":\"Hal\"}"};
	convo_lease *lease = NULL;
	struct convo_expect take = {.hold = CONVO_HOLD_TAKE};
	struct convo_err err;

	must_pass(convo_lease_new(&lease, &(struct convo_lease_options){.ms = 1000}, &err));
	must_pass(convo_store_create(f->store, &key, NULL, NULL, NULL, &err));
	take.lease = lease;
	store_question(f, "one", USER("hi"), &take);
	convo_turn_event_id(id, "one", 0);
	must_pass(convo_store_draft(f->store, &key, lease, &draft, NULL, &err));
	must_pass(run(f, "one", "hi", &err));
	must(f->turn->repeated);
	must_equal(CONVO_INTERRUPTED, f->turn->answer->status);
	must_equal(CONVO_E_CANCELED, f->turn->answer->code);
	must_equal_str("Hal", f->turn->answer->text);
	must_equal(2, f->turn->answer_seq);
	must_equal(0, f->asked);
	must_equal(2, stored(f));
	must_equal(0, held_ms(f));
	convo_lease_free(lease);
}

/* ---- at once ---------------------------------------------------------------------------- */

#define RUNS 8

static void run_at_once(void *ctx, int index)
{
	struct fixture *f = ctx;
	const struct convo_turn_options options = {.turn = index % 2 ? "odd" : "even"};
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "hi", .options = &options};
	struct convo_turn *turn = NULL;
	struct convo_err err;

	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal(CONVO_COMPLETE, turn->answer->status);
	must_equal(7 + 1, turn->answer->text_len);
	must(turn->answer_seq == turn->question_seq + 1);
	convo_turn_free(turn);
}

static void A2_of_many_at_once_one_asks(void **state)
{
	struct fixture *f = *state;

	f->pause_ms = 50;
	test_threads(RUNS, run_at_once, f);
	must_equal(2, f->asked);
	must_equal(4, stored(f));
	must_equal(0, held_ms(f));
}

#ifdef CONVO_WITH_SQLITE
static void run_as_a_program(void *ctx, int index)
{
	struct fixture f = {0};
	struct convo_err err;

	(void)index;
	f.pause_ms = 50;
	must_pass(convo_store_open(&f.store, ctx, NULL, &err));
	must_pass(convo_model_from(&f.model, "counter", count_asked, &f, &err));
	renew(&f, (struct convo_runner_options){0});
	for (int i = 0; i < 5; i++) {
		must_pass(run(&f, test_text("turn %d", i), "hi", &err));
		must_equal(2 * i + 2, f.turn->answer_seq);
	}
	convo_turn_free(f.turn);
	convo_runner_free(f.runner);
	convo_model_close(f.model);
	convo_store_close(f.store);
	free(f.last);
}
#endif

static void A2_of_many_programs_one_asks(void **state)
{
#ifdef CONVO_WITH_SQLITE
	const char *url = test_text("sqlite://%s", test_path(test_dir(), "repeat.db"));
	struct fixture f = {0};
	struct convo_err err;

	(void)state;
	test_processes(4, run_as_a_program, (void *)url);
	must_pass(convo_store_open(&f.store, url, NULL, &err));
	must_equal(10, stored(&f));
	convo_store_close(f.store);
#else
	(void)state;
	test_skip("no SQLite in this build");
#endif
}

/* ---- where it goes, and that it has begun ------------------------------------------------- */

static void A3_a_turn_goes_behind_the_seq_it_expects_or_nowhere(void **state)
{
	struct fixture *f = *state;
	struct convo_turn_options options = {.turn = "two", .after_seq = 2};
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "more", .options = &options};
	struct convo_turn *turn = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_CONFLICT,
		       convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal(CONVO_TURN_STORE, turn->failed);
	convo_turn_free(turn);
	must_pass(run(f, "one", "hi", &err));
	for (int again = 0; again < 2; again++) {
		must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
		must_equal(3, turn->question_seq);
		must_equal(again, turn->repeated);
		convo_turn_free(turn);
	}
	options.turn = "three";
	must_fail_with(CONVO_E_CONFLICT,
		       convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal(4, err.last_seq);
	convo_turn_free(turn);
	must_equal(4, stored(f));
	must_equal(2, f->asked);
}

static int hear_begin(void *ctx, const struct convo_turn *turn)
{
	struct fixture *f = ctx;

	must_equal(stored(f), turn->question_seq);
	must(held_ms(f) > 0);
	must_equal(36, strlen(turn->generation));
	must_equal(0, f->asked);
	return f->code;
}

static void a_listener_is_told_when_the_question_is_stored(void **state)
{
	struct fixture *f = *state;
	const struct convo_listener listener = {.on_begun = hear_begin, .ctx = f};
	const struct convo_turn_options options = {.turn = "one"};
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "hi", .options = &options};
	struct convo_turn *turn = NULL;
	struct convo_err err;

	f->code = 1;
	must_fail_with(CONVO_E_CANCELED,
		       convo_runner_run(&turn, f->runner, &question, &listener, NULL, &err));
	must_equal(2, turn->answer_seq);
	must_equal(0, f->asked);
	must_equal(0, held_ms(f));
	convo_turn_free(turn);
	/* What was stopped has its answer, and is not begun again. */
	must_pass(run(f, "one", "hi", &err));
	must_equal(CONVO_INTERRUPTED, f->turn->answer->status);
	must_equal(0, f->asked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest repeat[] = {
		cmocka_unit_test(A2_of_many_programs_one_asks),
		T(A2_an_answered_turn_gives_its_answer_back),
		T(A2_an_answer_is_found_however_old_it_is),
		T(A2_tool_calls_and_usage_are_given_back),
		T(A2_a_failed_answer_is_an_answer),
		T(A2_a_question_without_an_answer_is_answered),
		T(A2_outputs_of_tools_are_known_again),
		T(A2_a_fresh_turn_is_known_again),
		T(R5_what_a_program_that_is_gone_had_saved_is_given_back),
		T(A3_a_turn_goes_behind_the_seq_it_expects_or_nowhere),
		T(a_listener_is_told_when_the_question_is_stored),
		T(A2_of_many_at_once_one_asks),
	};

	return TEST_RUN(repeat);
}
