/*
 * Turns of several programs on one database, and what takes seconds: a store that stays away.
 */
#include "support/test.h"

#include <stdio.h>

#include <convo/convo.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/backend.h>

#define PROGRAMS 4
#define TURNS 20

static const struct convo_key key = {"app", "ann", "s"};

/* Answers with the question, in two pieces. */
static int parrot(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		  void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_message *last = &request->messages[request->count - 1];
	char *text = NULL;
	int rc = convo_message_text(&text, last->json, last->len, err);

	const char *own = text, *gap;

	(void)ctx;
	(void)cancel;
	/* the questions of others that wait for their answers stand before ours */
	while (rc == 0 && (gap = strstr(own, "\n\n")))
		own = gap + 2;
	if (rc == 0)
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, own, 1);
	if (rc == 0)
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, own + 1, strlen(own) - 1);
	free(text);
	return rc;
}

struct program {
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
};

static void program_open(struct program *program, const char *url)
{
	struct convo_runner_options opts = {.app = "app", .context_messages = 11};
	struct convo_err err;

	must_pass(convo_store_open(&program->store, url, NULL, &err));
	must_pass(convo_model_from(&program->model, "parrot", parrot, NULL, &err));
	opts.store = program->store;
	opts.model = program->model;
	must_pass(convo_runner_new(&program->runner, &opts, &err));
}

static void program_close(struct program *program)
{
	convo_runner_free(program->runner);
	convo_model_close(program->model);
	convo_store_close(program->store);
}

static void program_talk(const struct program *program, int index)
{
	struct convo_err err;

	for (int i = 0; i < TURNS; i++) {
		const char *text = test_text("%d.%d", index, i);
		const struct convo_question question = {
			.user = "ann", .session = "s", .text = text};
		struct convo_turn *turn = NULL;

		must_pass(convo_runner_run(&turn, program->runner, &question, NULL, NULL, &err));
		must_equal_str(text, turn->answer->text);
		must(turn->question_seq < turn->answer_seq);
		must(turn->sent <= 11);
		convo_turn_free(turn);
	}
}

/* All turns are there, each whole, its answer right after its question in the conversation. */
static void must_be_whole(convo_store *store, size_t turns)
{
	const struct convo_event *events, **order = calloc(2 * turns, sizeof(*order));
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &count);
	must_equal(2 * turns, count);
	for (size_t i = 0; i < count; i++)
		must_equal(i + 1, events[i].seq);
	must_equal(count, convo_session_conversation(session, order));
	for (size_t i = 0; i < count; i += 2) {
		char *asked = NULL, *answered = NULL;

		must_equal_str("user", order[i]->role);
		must_equal_str("assistant", order[i + 1]->role);
		must_equal_str(order[i]->turn, order[i + 1]->turn);
		must_pass(
			convo_message_text(&asked, order[i]->message, order[i]->message_len, &err));
		must_pass(convo_message_text(&answered, order[i + 1]->message,
					     order[i + 1]->message_len, &err));
		must_equal_str(asked, answered);
		free(asked);
		free(answered);
	}
	convo_session_free(session);
	free(order);
}

static void talk_as_a_program(void *ctx, int index)
{
	struct program program = {0};

	program_open(&program, ctx);
	program_talk(&program, index);
	program_close(&program);
}

static void many_programs_talk_in_one_session(void **state)
{
#ifdef CONVO_WITH_SQLITE
	const char *url = test_text("sqlite://%s", test_path(test_dir(), "turns.db"));
	struct program program = {0};

	(void)state;
	test_processes(PROGRAMS, talk_as_a_program, (void *)url);
	program_open(&program, url);
	must_be_whole(program.store, PROGRAMS * TURNS);
	program_close(&program);
#else
	(void)state;
	test_skip("no SQLite in this build");
#endif
}

/* ---- a store that stays away ----------------------------------------------------------- */

static struct cv_backend away;
static int away_appends;

static int away_append(convo_store *store, const struct store_call *call, const struct convo_key *k,
		       struct store_append *append, struct convo_err *err)
{
	int rc;

	if (++away_appends > 1)
		return cv_fail(err, CONVO_E_IO, "away");
	store->be = &cv_backend_memory;
	rc = cv_backend_memory.append(store, call, k, append, err);
	store->be = &away;
	return rc;
}

static int away_load(convo_store *store, const struct store_call *call, const struct convo_key *k,
		     const struct store_window *window, struct convo_session *into,
		     struct convo_err *err)
{
	(void)store;
	(void)call;
	(void)k;
	(void)window;
	(void)into;
	return cv_fail(err, CONVO_E_NOTFOUND, "new");
}

static int away_create(convo_store *store, const struct store_call *call, const struct convo_key *k,
		       const struct store_create *create, struct convo_err *err)
{
	int rc;

	store->be = &cv_backend_memory;
	rc = cv_backend_memory.create(store, call, k, create, err);
	store->be = &away;
	return rc;
}

static void an_answer_is_not_stored_for_ever(void **state)
{
	const struct convo_question question = {.user = "ann", .session = "s", .text = "hi"};
	struct program program = {0};
	struct convo_turn *turn = NULL;
	struct convo_err err;
	int64_t began = cv_clock_mono_us(), took;

	(void)state;
	program_open(&program, "memory:");
	away = cv_backend_memory;
	away.load = away_load;
	away.create = away_create;
	away.append = away_append;
	program.store->be = &away;
	must_fail_with(CONVO_E_IO,
		       convo_runner_run(&turn, program.runner, &question, NULL, NULL, &err));
	took = (cv_clock_mono_us() - began) / 1000;
	must(took > 3000 && took < 6000);
	must(!err.maybe);
	must(away_appends > 5);
	must_equal(CONVO_TURN_STORE, turn->failed);
	must_equal_str("hi", turn->answer->text);
	must_equal(0, turn->answer_seq);
	convo_turn_free(turn);
	program.store->be = &cv_backend_memory;
	program_close(&program);
}

int main(void)
{
	const struct CMUnitTest turns[] = {
		cmocka_unit_test(many_programs_talk_in_one_session),
		cmocka_unit_test(an_answer_is_not_stored_for_ever),
	};

	return TEST_RUN(turns);
}
