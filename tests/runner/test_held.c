/*
 * Turns that hold their session (contract R1 to R5), through the runner: others wait, refuse or take
 * over; what comes of an answer is saved while it comes.
 */
#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/fail.h>

static const struct convo_key key = {"app", "ann", "s"};

/* What is the test's: one model that says a piece, waits to be let go, and says another. */
struct fixture {
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	atomic_int asked; /* questions that the model was asked */
	atomic_int stays; /* it stays with those up to this one */
	pthread_mutex_t lock;
	char *last;        /* the messages of the last request, one a line; under the lock */
	atomic_int drafts; /* calls of the store, by its trace */
	atomic_int saved;  /* drafts in them */
	atomic_int appends;
	atomic_int others;
	atomic_int busy; /* on_busy */
};

static int hesitant(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		    void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct fixture *f = ctx;
	int mine = atomic_fetch_add(&f->asked, 1) + 1, rc;
	struct cv_buf lines = {0};

	for (size_t i = 0; i < request->count; i++) {
		must_equal(0,
			   cv_buf_add(&lines, request->messages[i].json, request->messages[i].len));
		must_equal(0, cv_buf_addc(&lines, '\n'));
	}
	pthread_mutex_lock(&f->lock);
	free(f->last);
	f->last = cv_buf_take(&lines);
	pthread_mutex_unlock(&f->lock);
	rc = emit(emit_ctx, CONVO_DELTA_REASONING, "hm", 2);
	if (rc == 0)
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, "Hel", 3);
	/* not for ever, if the test has failed elsewhere */
	for (int i = 0; rc == 0 && mine <= atomic_load(&f->stays) && i < 3000; i++) {
		if (convo_cancel_requested(cancel))
			return cv_fail(err, CONVO_E_CANCELED, "stopped");
		poll(NULL, 0, 10);
	}
	return rc ? rc : emit(emit_ctx, CONVO_DELTA_TEXT, "lo", 2);
}

static void count_call(void *ctx, const struct convo_trace_call *call)
{
	struct fixture *f = ctx;

	if (!strcmp(call->op, "draft"))
		atomic_fetch_add(&f->saved, (int)call->events);
	atomic_fetch_add(!strcmp(call->op, "draft")    ? &f->drafts
			 : !strcmp(call->op, "append") ? &f->appends
						       : &f->others,
			 1);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct convo_trace trace = {.on_call = count_call, .ctx = f};
	const struct convo_store_options opts = {.trace = &trace, .clean_interval_ms = -1};
	struct convo_runner_options with = {.app = "app", .lease_ms = 1000};
	struct convo_err err;

	pthread_mutex_init(&f->lock, NULL);
	must_pass(convo_store_open(&f->store, "memory:", &opts, &err));
	must_pass(convo_model_from(&f->model, "hesitant", hesitant, f, &err));
	with.store = f->store;
	with.model = f->model;
	must_pass(convo_runner_new(&f->runner, &with, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	convo_runner_free(f->runner);
	convo_model_close(f->model);
	convo_store_close(f->store);
	pthread_mutex_destroy(&f->lock);
	free(f->last);
	free(f);
	return 0;
}

static int on_busy(void *ctx, int64_t busy_ms)
{
	struct fixture *f = ctx;

	must(busy_ms > 0 && busy_ms <= 1000);
	atomic_fetch_add(&f->busy, 1);
	return 0;
}

static int ask(struct fixture *f, const char *text, enum convo_when_busy when_busy,
	       convo_cancel *cancel, struct convo_turn **turn, struct convo_err *err)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = text, .when_busy = when_busy};
	const struct convo_listener listener = {.ctx = f, .on_busy = on_busy};

	return convo_runner_run(turn, f->runner, &question, &listener, cancel, err);
}

static convo_session *load(struct fixture *f)
{
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, f->store, &key, &window, NULL, &err));
	return session;
}

static void until_asked(struct fixture *f, int questions)
{
	for (int i = 0; atomic_load(&f->asked) < questions && i < 1000; i++)
		poll(NULL, 0, 10);
	must(atomic_load(&f->asked) >= questions);
}

/* Wait until what came so far has been saved. */
static void until_draft(struct fixture *f)
{
	bool there = false;

	until_asked(f, 1);
	for (int i = 0; !there && i < 1000; i++) {
		convo_session *session = load(f);
		const struct convo_event *draft = convo_session_draft(session);

		there = draft != NULL;
		if (there)
			must_equal_str("{\"role\":\"assistant\",\"reasoning_content\":\"hm\","
				       "\"content\":\"Hel\"}",
				       draft->message);
		convo_session_free(session);
		poll(NULL, 0, 10);
	}
	must(there);
}

static void must_say(const convo_session *session, size_t i, enum convo_status status,
		     const char *words)
{
	const struct convo_event *event = convo_session_event(session, i);

	must(event != NULL);
	must_equal(status, event->status);
	if (!strstr(event->message, words))
		must_not_reach("%zu: %s, not %s", i, event->message, words);
}

/* ---- the tests: the first thread's turn comes first ------------------------------------- */

static void refuse_run(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index == 0) {
		must_pass(ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
		must_equal(2, turn->answer_seq);
	} else {
		until_asked(f, 1);
		poll(NULL, 0, 2500); /* beyond the lease: it is prolonged */
		must_fail_with(CONVO_E_BUSY, ask(f, "two", CONVO_BUSY_REFUSE, NULL, &turn, &err));
		must(err.busy_ms > 0);
		must_equal(0, turn->question_seq);
		must_equal(CONVO_TURN_STORE, turn->failed);
		atomic_store(&f->stays, 0);
	}
	convo_turn_free(turn);
}

static void test_R1_a_turn_that_will_not_wait_stores_nothing(void **state)
{
	struct fixture *f = *state;
	convo_session *session;

	atomic_store(&f->stays, 1);
	test_threads(2, refuse_run, f);
	session = load(f);
	must_equal(2, convo_session_count(session));
	must_say(session, 1, CONVO_COMPLETE, "Hello");
	must_equal(0, convo_session_meta(session)->held_ms);
	must_equal(0, f->busy);
	convo_session_free(session);
}

static void wait_run(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index == 0) {
		must_pass(ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
	} else if (index == 1) {
		until_asked(f, 1);
		must_pass(ask(f, "two", CONVO_BUSY_WAIT, NULL, &turn, &err));
		must_equal(3, turn->question_seq);
		must_equal(3, turn->sent); /* with the answer that came meanwhile */
	} else {
		for (int i = 0; !atomic_load(&f->busy) && i < 1000; i++)
			poll(NULL, 0, 10);
		poll(NULL, 0, 1500);
		must_equal(1, atomic_load(&f->asked));
		atomic_store(&f->stays, 0);
	}
	convo_turn_free(turn);
}

static void test_R1_a_turn_waits_for_the_one_before_it(void **state)
{
	struct fixture *f = *state;
	convo_session *session;

	atomic_store(&f->stays, 1);
	test_threads(3, wait_run, f);
	must_equal(1, f->busy);
	session = load(f);
	must_equal(4, convo_session_count(session));
	must_say(session, 0, CONVO_COMPLETE, "one");
	must_say(session, 1, CONVO_COMPLETE, "Hello");
	must_say(session, 2, CONVO_COMPLETE, "two");
	must(strstr(f->last, "one") && strstr(f->last, "Hello") && strstr(f->last, "two"));
	convo_session_free(session);
}

struct waiter {
	struct fixture *f;
	convo_cancel *cancel;
};

static void cancel_run(void *ctx, int index)
{
	struct waiter *waiter = ctx;
	struct fixture *f = waiter->f;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index == 0) {
		must_pass(ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
	} else if (index == 1) {
		until_asked(f, 1);
		must_fail_with(CONVO_E_CANCELED,
			       ask(f, "two", CONVO_BUSY_WAIT, waiter->cancel, &turn, &err));
		must_equal(0, turn->question_seq);
		atomic_store(&f->stays, 0);
	} else {
		for (int i = 0; !atomic_load(&f->busy) && i < 1000; i++)
			poll(NULL, 0, 10);
		convo_cancel_request(waiter->cancel);
	}
	convo_turn_free(turn);
}

static void test_R1_who_waits_can_be_stopped_and_stores_nothing(void **state)
{
	struct waiter waiter = {.f = *state};
	convo_session *session;
	struct convo_err err;

	atomic_store(&waiter.f->stays, 1);
	must_pass(convo_cancel_new(&waiter.cancel, &err));
	test_threads(3, cancel_run, &waiter);
	session = load(waiter.f);
	must_equal(2, convo_session_count(session));
	convo_session_free(session);
	convo_cancel_free(waiter.cancel);
}

static void draft_run(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index == 0) {
		must_pass(ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
	} else {
		until_draft(f);
		atomic_store(&f->stays, 0);
	}
	convo_turn_free(turn);
}

static void test_R2_what_came_is_saved_and_gone_with_the_answer(void **state)
{
	struct fixture *f = *state;
	convo_session *session;

	atomic_store(&f->stays, 1);
	test_threads(2, draft_run, f);
	must_equal(1, f->drafts);
	session = load(f);
	must_equal(2, convo_session_count(session));
	must_say(session, 1, CONVO_COMPLETE, "Hello");
	must(convo_session_draft(session) == NULL);
	must_equal(0, convo_session_meta(session)->held_ms);
	convo_session_free(session);
}

/* As many turns as TURNS, each in a session of its own, and who waits until all have been saved. */
enum { TURNS = 8 };

static void many_run(void *ctx, int index)
{
	struct fixture *f = ctx;
	const struct convo_question question = {
		.user = "ann", .session = test_text("s%d", index), .text = "one"};
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index < TURNS) {
		must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
		convo_turn_free(turn);
		return;
	}
	for (int i = 0; atomic_load(&f->saved) < TURNS && i < 1000; i++)
		poll(NULL, 0, 10);
	atomic_store(&f->stays, 0);
}

static void test_R2_turns_that_run_at_once_are_saved_in_one_call(void **state)
{
	struct fixture *f = *state;

	atomic_store(&f->stays, TURNS);
	test_threads(TURNS + 1, many_run, f);
	must(f->drafts < f->saved);
}

static void take_run(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	if (index == 0) {
		must_fail_with(CONVO_E_CONFLICT, ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
		must_equal(CONVO_TURN_STORE, turn->failed);
		must_equal(0, turn->answer_seq);
		must(turn->answer && strstr(turn->answer->text, "Hel"));
	} else {
		until_draft(f);
		must_pass(ask(f, "two", CONVO_BUSY_TAKE, NULL, &turn, &err));
		must_equal(3, turn->question_seq);
		poll(NULL, 0, 1500); /* the other one learns of it */
		atomic_store(&f->stays, 0);
	}
	convo_turn_free(turn);
}

static void test_R4_a_turn_that_was_taken_over_ends(void **state)
{
	struct fixture *f = *state;
	const struct convo_event *cut;
	convo_session *session;

	atomic_store(&f->stays, 1);
	test_threads(2, take_run, f);
	session = load(f);
	must_equal(4, convo_session_count(session));
	must_say(session, 0, CONVO_COMPLETE, "one");
	must_say(session, 1, CONVO_INTERRUPTED, "Hel"); /* R5 */
	must_say(session, 2, CONVO_COMPLETE, "two");
	must_say(session, 3, CONVO_COMPLETE, "Hello");
	cut = convo_session_event(session, 1);
	must_equal_str(convo_session_event(session, 0)->turn, cut->turn);
	must_equal_str("hesitant", cut->model);
	must(strstr(f->last, "Hel\"") != NULL); /* the next one was sent it */
	convo_session_free(session);
}

static void test_R2_a_short_answer_costs_no_call_more(void **state)
{
	struct fixture *f = *state;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	must_pass(ask(f, "one", CONVO_BUSY_WAIT, NULL, &turn, &err));
	convo_turn_free(turn);
	turn = NULL;
	f->others = f->appends = 0;
	must_pass(ask(f, "two", CONVO_BUSY_WAIT, NULL, &turn, &err));
	must_equal(0, f->drafts);
	must_equal(2, f->appends);
	must_equal(1, f->others); /* the load */
	convo_turn_free(turn);
}

static void test_R1_a_lease_out_of_range_is_refused(void **state)
{
	struct fixture *f = *state;
	struct convo_runner_options opts = {
		.store = f->store, .model = f->model, .app = "app", .lease_ms = 999};
	convo_runner *runner = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	opts.lease_ms = 600001;
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	must(runner == NULL);
}

#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HELD_TEST(test_R1_a_turn_that_will_not_wait_stores_nothing),
		HELD_TEST(test_R1_a_turn_waits_for_the_one_before_it),
		HELD_TEST(test_R1_who_waits_can_be_stopped_and_stores_nothing),
		HELD_TEST(test_R1_a_lease_out_of_range_is_refused),
		HELD_TEST(test_R2_what_came_is_saved_and_gone_with_the_answer),
		HELD_TEST(test_R2_turns_that_run_at_once_are_saved_in_one_call),
		HELD_TEST(test_R2_a_short_answer_costs_no_call_more),
		HELD_TEST(test_R4_a_turn_that_was_taken_over_ends),
	};

	return TEST_RUN(tests);
}
