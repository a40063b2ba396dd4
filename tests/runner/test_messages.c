/*
 * Questions of several messages, and what differs in one turn from its runner: over a memory store, with
 * models made of functions.
 */
#include "support/oom.h"
#include "support/test.h"

#include <stdatomic.h>
#include <stdio.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/fail.h>
#include <model/model.h>

static const struct convo_key key = {"app", "ann", "s"};

/* A model that says what it is told to, and keeps what it was asked. */
struct parrot {
	const char *says;
	int asked;
	char *messages; /* of the last request, one a line */
	char *params;
	int code;  /* how it fails; 0: it does not */
	bool deaf; /* it keeps nothing */
};

struct fixture {
	convo_store *store;
	convo_model *model, *other_model;
	convo_runner *runner;
	struct parrot parrot, other;
	atomic_int appends, loads, creates; /* that the store was asked for */
};

static int parrot_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			 void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct parrot *parrot = ctx;
	struct cv_buf lines = {0};

	(void)cancel;
	if (parrot->deaf)
		return emit(emit_ctx, CONVO_DELTA_TEXT, parrot->says, strlen(parrot->says));
	for (size_t i = 0; i < request->count; i++)
		must_equal(0, cv_buf_addf(&lines, "%.*s\n", (int)request->messages[i].len,
					  request->messages[i].json));
	free(parrot->messages);
	free(parrot->params);
	parrot->messages = cv_buf_take(&lines);
	parrot->params = request->params ? strdup(request->params) : NULL;
	parrot->asked++;
	if (parrot->code)
		return cv_fail(err, parrot->code, "the parrot says so");
	return emit(emit_ctx, CONVO_DELTA_TEXT, parrot->says, strlen(parrot->says));
}

static void count_call(void *ctx, const struct convo_trace_call *call)
{
	struct fixture *f = ctx;

	f->appends += strcmp(call->op, "append") == 0;
	f->loads += strcmp(call->op, "load") == 0;
	f->creates += strcmp(call->op, "create") == 0;
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

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct convo_trace trace = {.on_call = count_call, .ctx = f};
	const struct convo_store_options opts = {.trace = &trace, .clean_interval_ms = CONVO_OFF};
	struct convo_err err;

	f->parrot.says = "Hello";
	f->other.says = "Hullo";
	must_pass(convo_store_open(&f->store, "memory:", &opts, &err));
	must_pass(convo_model_from(&f->model, "parrot", parrot_answer, &f->parrot, &err));
	must_pass(convo_model_from(&f->other_model, "other", parrot_answer, &f->other, &err));
	renew(f, (struct convo_runner_options){0});
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	convo_runner_free(f->runner);
	convo_model_close(f->model);
	convo_model_close(f->other_model);
	convo_store_close(f->store);
	free(f->parrot.messages);
	free(f->parrot.params);
	free(f->other.messages);
	free(f->other.params);
	free(f);
	return 0;
}

static struct convo_message said(const char *json)
{
	return (struct convo_message){json, strlen(json)};
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"

/* Run a turn and free it. @return its code */
static int run(struct fixture *f, const struct convo_question *question, struct convo_err *err)
{
	struct convo_turn *turn = NULL;
	int rc = convo_runner_run(&turn, f->runner, question, NULL, NULL, err);

	convo_turn_free(turn);
	return rc;
}

static int run_text(struct fixture *f, const char *text, const struct convo_turn_options *options,
		    struct convo_err *err)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = text, .options = options};

	return run(f, &question, err);
}

static int run_messages(struct fixture *f, const struct convo_message *messages, size_t count,
			struct convo_err *err)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .messages = messages, .count = count};

	return run(f, &question, err);
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

/* ---- messages --------------------------------------------------------------------------- */

static void A1_messages_are_stored_in_one_append(void **state)
{
	static const char picture[] =
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is it?\"},"
		"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]}";
	const struct convo_message messages[] = {
		said("{\"role\":\"developer\",\"content\":\"Be brief.\"}"), said(picture),
		said("{\"role\":\"user\",\"name\":\"bo\",\"content\":\"Quick!\"}")};
	struct fixture *f = *state;
	const struct convo_question question = {
		.user = "ann", .session = "s", .messages = messages, .count = 3};
	struct convo_turn *turn = NULL;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal(2, f->appends);
	must_equal_str("Hello", turn->answer->text);
	must_equal(3, turn->question_count);
	must_equal(1, turn->question_seq);
	must_equal(4, turn->answer_seq);
	must(!turn->repeated);
	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	must_equal(4, convo_session_count(session));
	must_equal_str("What is it?", convo_session_meta(session)->title);
	must_equal_str(convo_session_meta(session)->generation, turn->generation);
	for (size_t i = 0; i < 4; i++) {
		const struct convo_event *event = convo_session_event(session, i);
		char id[CONVO_UUID_SIZE];

		convo_turn_event_id(id, turn->id, i < 3 ? i + 1 : 0);
		must_equal_str(id, event->id);
		must_equal_str(turn->id, event->turn);
		if (i < 3) {
			must_equal_str(messages[i].json, event->message);
			must_equal_str(event->id, turn->question_ids[i]);
			must_equal(event->seq, turn->question_seqs[i]);
		} else {
			must_equal_str(turn->answer_id, event->id);
		}
	}
	must_equal_str(test_text("%s\n%s\n%s\n", messages[0].json, messages[1].json,
				 messages[2].json),
		       f->parrot.messages);
	convo_session_free(session);
	convo_turn_free(turn);
}

static void neighbours_of_the_user_are_sent_as_one(void **state)
{
	const struct convo_message messages[] = {said(USER("a")), said(USER("b"))};
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run_messages(f, messages, 2, &err));
	must_equal_str(USER("a\\n\\nb") "\n", f->parrot.messages);
	must_equal(3, stored(f));
}

static void an_answer_is_put_between_turns_alone(void **state)
{
	const struct convo_message messages[] = {said(USER("a")), said(USER("b"))};
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, (struct convo_runner_options){.alternate = CONVO_ALTERNATE_FILL});
	f->parrot.code = CONVO_E_REFUSED;
	must_fail_with(CONVO_E_REFUSED, run_messages(f, messages, 2, &err));
	must_fail_with(CONVO_E_REFUSED, run_messages(f, messages, 2, &err));
	must_equal_str(
		USER("a\\n\\nb") "\n{\"role\":\"assistant\",\"content\":\"(no answer)\"}\n" USER(
			"a\\n\\nb") "\n",
		f->parrot.messages);
	renew(f, (struct convo_runner_options){.alternate = CONVO_ALTERNATE_KEEP});
	must_fail_with(CONVO_E_REFUSED, run_messages(f, messages, 2, &err));
	must(strstr(f->parrot.messages, USER("a") "\n" USER("b") "\n" USER("a")) != NULL);
}

/* What the assistant has said elsewhere may come along, and goes in its place. */
static void a_question_may_hold_what_was_said_before(void **state)
{
	const struct convo_message messages[] = {said(USER("a")),
						 said("{\"role\":\"assistant\",\"content\":\"A\"}"),
						 said(USER("b"))};
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run_messages(f, messages, 3, &err));
	must_equal_str(USER("a") "\n{\"role\":\"assistant\",\"content\":\"A\"}\n" USER("b") "\n",
		       f->parrot.messages);
	must_pass(run_text(f, "c", NULL, &err));
	must(strstr(f->parrot.messages, USER("b") "\n{\"role\":\"assistant\",\"content\":\"Hello\"}"
						  "\n" USER("c") "\n"));
}

static void the_title_is_of_what_the_user_said(void **state)
{
	const struct convo_message messages[] = {
		said("{\"role\":\"system\",\"content\":\"Be brief.\"}"),
		said(USER("Tea, please\\nNow"))};
	struct fixture *f = *state;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(run_messages(f, messages, 2, &err));
	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	must_equal_str("Tea, please", convo_session_meta(session)->title);
	convo_session_free(session);
}

static void must_refuse(struct fixture *f, int code, const struct convo_message *messages,
			size_t count, const char *names)
{
	struct convo_err err;

	must_fail_with(code, run_messages(f, messages, count, &err));
	if (!strstr(err.text, names))
		must_not_reach("'%s' does not name '%s'", err.text, names);
	must_equal(0, f->appends + f->creates);
	must_equal(0, f->parrot.asked);
}

static void N2_hostile_messages_are_refused_by_their_number(void **state)
{
	static const char *const bad[] = {
		"",
		"x",
		"[]",
		"\"user\"",
		"{\"role\":\"user\",\"content\":\"x\"",
		"{\"role\":\"user\",\"content\":\"x\"}}",
		"{\"content\":\"x\"}",
		"{\"role\":7,\"content\":\"x\"}",
		"{\"role\":\"\",\"content\":\"x\"}",
		"{\"role\":\"control\",\"content\":\"undo\"}",
		"{\"role\":\"function\",\"content\":\"x\"}",
		"{\"role\":\"User\",\"content\":\"x\"}",
		"{\"role\":\"us\\u0065r\",\"content\":\"x\"}",
		"{\"role\":\"user\",\"role\":\"user\",\"content\":\"x\"}",
		"{\"role\":\"user\",\"r\\u006fle\":\"control\",\"content\":\"x\"}",
		"{\"role\":\"user\",\"content\":\"x\",\"content\":\"y\"}",
		"{\"role\":\"user\"}",
		"{\"role\":\"user\",\"content\":null}",
		"{\"role\":\"user\",\"content\":7}",
		"{\"role\":\"user\",\"content\":{}}",
		"{\"role\":\"user\",\"content\":[]}",
		"{\"role\":\"user\",\"content\":[\"x\"]}",
		"{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}",
		"{\"role\":\"user\",\"content\":[{\"type\":1}]}",
		"{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[]}",
		"{\"role\":\"assistant\",\"content\":null}",
		"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}",
		"{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":{}}",
		"{\"role\":\"tool\",\"content\":\"x\"}",
		"{\"role\":\"tool\",\"tool_call_id\":null,\"content\":\"x\"}",
		"{\"role\":\"tool\",\"tool_call_id\":\"\",\"content\":\"x\"}",
		"{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}",
		"{\"role\":\"user\",\"content\":\"\\u0000\"}",
		"{\"role\":\"user\",\"content\":\"\\ud800\"}",
		"{\"role\":\"user\",\"content\":\"\xff\"}",
		"{\"role\":\"user\",\"content\":\"\xed\xa0\x80\"}",
		"{\"role\":\"user\",\"content\":\"x\",\"n\":1e999}",
		"{\"role\":\"user\",\"content\":\"x\",\"n\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]"
		"]]]]]]"
		"]]]]]]]]]]]]]]]}",
	};
	struct fixture *f = *state;
	struct convo_message messages[] = {said(USER("a")), {0}, said(USER("b"))};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		messages[1] = said(bad[i]);
		must_refuse(f, CONVO_E_INVALID, messages, 3, "messages[1]: ");
	}
	messages[1] = (struct convo_message){"{\"role\":\"user\",\"content\":\"a\0b\"}", 31};
	must_refuse(f, CONVO_E_INVALID, messages, 3, "messages[1]: ");
	messages[1] = (struct convo_message){NULL, 5};
	must_refuse(f, CONVO_E_INVALID, messages, 3, "messages[1]: ");
	messages[1] = said("{\"role\":\"assistant\",\"content\":\"x\"}");
	must_refuse(f, CONVO_E_INVALID, messages, 2, "messages[1]: ");
}

static void N3_what_is_too_large_is_named(void **state)
{
	struct fixture *f = *state;
	struct convo_message *many = calloc(1001, sizeof(*many));
	struct cv_buf large = {0};

	must_equal(0, cv_buf_adds(&large, "{\"role\":\"user\",\"content\":\""));
	memset(cv_buf_room(&large, 4u << 20), 'x', 4u << 20);
	large.len += 4u << 20;
	must_equal(0, cv_buf_adds(&large, "\"}"));
	for (size_t i = 0; i < 1001; i++)
		many[i] = said(USER("x"));
	must_refuse(f, CONVO_E_TOOBIG, many, 1001, "messages[1000]: ");
	many[2] = (struct convo_message){large.data, large.len};
	must_refuse(f, CONVO_E_TOOBIG, many, 3, "messages[2]: ");
	/* each would do, but not all of them */
	memmove(large.data + large.len - 8194, "\"}", 2);
	for (size_t i = 0; i < 5; i++)
		many[i] = (struct convo_message){large.data, large.len - 8192};
	must_refuse(f, CONVO_E_TOOBIG, many, 5, "messages[4]: ");
	cv_buf_clear(&large);
	free(many);
}

static void N3_as_much_as_may_be_is_stored(void **state)
{
	struct fixture *f = *state;
	struct convo_message *many = calloc(1000, sizeof(*many));
	struct convo_err err;

	for (size_t i = 0; i < 1000; i++)
		many[i] = said(USER("x"));
	must_pass(run_messages(f, many, 1000, &err));
	must_equal(1001, stored(f));
	free(many);
}

static void a_question_is_a_text_or_messages(void **state)
{
	const struct convo_message message = said(USER("a"));
	struct fixture *f = *state;
	struct convo_question question = {.user = "ann", .session = "s"};
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	question.messages = &message;
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	question.count = 1;
	question.text = "b";
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	question.messages = NULL;
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	question.text = NULL;
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	must_equal(0, f->creates + f->appends + f->loads);
}

static void a_turn_of_messages_is_taken_back_whole(void **state)
{
	const struct convo_message messages[] = {said("{\"role\":\"system\",\"content\":\"x\"}"),
						 said(USER("a")), said(USER("b"))};
	struct fixture *f = *state;
	char *text = NULL;
	struct convo_err err;

	must_pass(run_text(f, "first", NULL, &err));
	must_pass(run_messages(f, messages, 3, &err));
	must_pass(convo_runner_undo(&text, f->runner, "ann", "s", NULL, &err));
	must_equal_str("a\n\nb", text);
	free(text);
	must_pass(run_text(f, "next", NULL, &err));
	must_equal_str(USER("first") "\n{\"role\":\"assistant\",\"content\":\"Hello\"}\n" USER(
			       "next") "\n",
		       f->parrot.messages);
}

/* ---- what differs in one turn ----------------------------------------------------------- */

static void params_of_a_turn_lie_over_the_runners(void **state)
{
	struct fixture *f = *state;
	struct convo_turn_options options = {
		.params = "{\"t\\u006fp_p\":0.5, \"tools\":null,\"stop\" : [\"x\"]}"};
	struct convo_err err;

	renew(f, (struct convo_runner_options){
			 .params = "{\"temperature\":1,\"top_p\":0.1,\"tools\":[{}]}"});
	must_pass(run_text(f, "a", &options, &err));
	must_equal_str("{\"temperature\":1,\"t\\u006fp_p\":0.5,\"stop\" : [\"x\"]}",
		       f->parrot.params);
	must_pass(run_text(f, "b", NULL, &err));
	must_equal_str("{\"temperature\":1,\"top_p\":0.1,\"tools\":[{}]}", f->parrot.params);
	options.params = "{\"temperature\":null,\"top_p\":null,\"tools\":null}";
	must_pass(run_text(f, "c", &options, &err));
	must_equal_str("{}", f->parrot.params);
	renew(f, (struct convo_runner_options){0});
	options.params = "{\"seed\":7}";
	must_pass(run_text(f, "d", &options, &err));
	must_equal_str("{\"seed\":7}", f->parrot.params);
}

static void params_that_are_not_a_turns_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "[]",
					  "{",
					  "{\"x\":\"\\ud800\"}",
					  "{\"messages\":[]}",
					  "{\"m\\u006fdel\":\"x\"}",
					  "{\"seed\":1,\"stream\":false}",
					  "{\"messages\":null}"};
	struct fixture *f = *state;
	struct convo_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct convo_turn_options options = {.params = bad[i]};

		must_fail_with(CONVO_E_INVALID, run_text(f, "a", &options, &err));
		must(strncmp(err.text, "params: ", 8) == 0);
	}
	must_equal(0, f->creates + f->appends + f->loads);
}

static void an_instruction_of_a_turn_is_sent_instead(void **state)
{
	struct fixture *f = *state;
	struct convo_turn_options options = {.instruction = "Be \"brief\"."};
	struct convo_err err;

	renew(f, (struct convo_runner_options){.instruction = "Be long."});
	must_pass(run_text(f, "a", &options, &err));
	must_equal_str("{\"role\":\"system\",\"content\":\"Be \\\"brief\\\".\"}\n" USER("a") "\n",
		       f->parrot.messages);
	must_equal(2, stored(f));
	options.instruction = "";
	must_pass(run_text(f, "b", &options, &err));
	must(strncmp(f->parrot.messages, USER("a"), strlen(USER("a"))) == 0);
	must_pass(run_text(f, "c", NULL, &err));
	must(strstr(f->parrot.messages, "Be long.") != NULL);
}

static void another_model_may_answer(void **state)
{
	struct fixture *f = *state;
	const struct convo_turn_options options = {.model = f->other_model};
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "b", .options = &options};
	struct convo_turn *turn = NULL;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(run_text(f, "a", NULL, &err));
	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal_str("Hullo", turn->answer->text);
	must_equal(1, f->parrot.asked);
	must_equal(1, f->other.asked);
	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	must_equal_str("parrot", convo_session_event(session, 1)->model);
	must_equal_str("other", convo_session_event(session, 3)->model);
	convo_session_free(session);
	convo_turn_free(turn);
}

/* One takes 300 tokens, the other any number. */
static void what_a_model_takes_is_the_models(void **state)
{
	struct fixture *f = *state;
	const struct convo_turn_options options = {.model = f->other_model};
	struct convo_question question = {.user = "ann", .session = "s"};
	struct convo_turn *turn = NULL;
	char text[800];
	struct convo_err err;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 6 ? 'a' : ' ';
	text[sizeof(text) - 1] = '\0';
	question.text = text;
	for (int i = 0; i < 4; i++)
		must_pass(run(f, &question, &err));
	cv_learned_window(&f->other_model->learned, 300);
	question.options = &options;
	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must(turn->left_out > 0);
	convo_turn_free(turn);
	question.options = NULL;
	must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
	must_equal(0, turn->left_out);
	convo_turn_free(turn);
}

static void extra_is_stored_with_the_question(void **state)
{
	const struct convo_message messages[] = {said(USER("a")), said(USER("b"))};
	struct convo_turn_options options = {.extra = "{\"metadata\":{\"x\":\"y\"}}"};
	struct convo_question question = {.user = "ann",
					  .session = "s",
					  .messages = messages,
					  .count = 2,
					  .options = &options};
	struct fixture *f = *state;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(run(f, &question, &err));
	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	must_equal_str(options.extra, convo_session_event(session, 0)->extra);
	must_equal_str(NULL, convo_session_event(session, 1)->extra);
	convo_session_free(session);
	options.extra = "[]";
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	options.extra = "{\"a\":\"\\u0000\"}";
	must_fail_with(CONVO_E_INVALID, run(f, &question, &err));
	must_equal(3, stored(f));
}

static void reserved_options_are_refused(void **state)
{
	struct fixture *f = *state;
	struct convo_turn_options options = {0};
	struct convo_err err;

	options.reserved[5] = f;
	must_fail_with(CONVO_E_INVALID, run_text(f, "a", &options, &err));
	must_equal(0, f->creates);
}

/* ---- ids -------------------------------------------------------------------------------- */

/* Those of events that are stored somewhere: they must never change. */
static void event_ids_follow_from_the_turns(void **state)
{
	static const struct {
		const char *turn;
		size_t n;
		const char *id;
	} ids[] = {
		{"resp_1", 0, "f0246b55-0700-835d-90a1-fe005f368cd2"},
		{"resp_1", 1, "d2717a43-2ff4-8079-9d5c-80122047079d"},
		{"resp_1", 1000, "a51a4eb4-7885-8d59-ab99-1180cb247d91"},
		{"0191e2a4-7b2c-7abc-8def-0123456789ab", 0, "0191e2a4-7b2c-8f30-bd75-d9003eff2082"},
		{"0191e2a4-7b2c-7abc-8def-0123456789ab", 1, "0191e2a4-7b2c-8e7a-8af5-769e83428da0"},
	};
	char id[CONVO_UUID_SIZE] = "", longest[CONVO_MAX_NAME + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		convo_turn_event_id(id, ids[i].turn, ids[i].n);
		must_equal_str(ids[i].id, id);
	}
	memset(longest, 'x', CONVO_MAX_NAME);
	longest[CONVO_MAX_NAME] = '\0';
	convo_turn_event_id(id, longest, 0);
	must_equal_str("ec7d18a2-965f-8404-8a7d-f9c4f18b584a", id);
	convo_turn_event_id(id, NULL, 0);
	convo_turn_event_id(NULL, longest, 0);
	must_equal_str("ec7d18a2-965f-8404-8a7d-f9c4f18b584a", id);
}

static void a_turn_can_be_loaded_by_its_id(void **state)
{
	struct fixture *f = *state;
	const struct convo_turn_options options = {.turn = "resp_7"};
	char id[CONVO_UUID_SIZE];
	struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 3, .id = id};
	convo_session *session = NULL;
	struct convo_err err;

	for (int i = 0; i < 5; i++)
		must_pass(run_text(f, "before", NULL, &err));
	must_pass(run_text(f, "this", &options, &err));
	for (int i = 0; i < 5; i++)
		must_pass(run_text(f, "after", NULL, &err));
	convo_turn_event_id(id, "resp_7", 1);
	must_pass(convo_store_load(&session, f->store, &key, &window, NULL, &err));
	must_equal(3, convo_session_count(session));
	must_equal_str(USER("this"), convo_session_event(session, 1)->message);
	must_equal_str("resp_7", convo_session_event(session, 2)->turn);
	convo_session_free(session);
}

static void N1_a_turns_id_is_a_printable_name(void **state)
{
	static const char *const bad[] = {"", "a\nb", "\x7f", "\xff", "\xed\xa0\x80"};
	struct fixture *f = *state;
	struct convo_turn_options options = {0};
	char long_id[CONVO_MAX_NAME + 2];
	struct convo_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options.turn = bad[i];
		must_fail_with(CONVO_E_INVALID, run_text(f, "a", &options, &err));
	}
	memset(long_id, 'x', sizeof(long_id));
	long_id[CONVO_MAX_NAME + 1] = '\0';
	options.turn = long_id;
	must_fail_with(CONVO_E_INVALID, run_text(f, "a", &options, &err));
	must_equal(0, f->creates);
	long_id[CONVO_MAX_NAME] = '\0';
	must_pass(run_text(f, "a", &options, &err));
	options.turn = "ok: é/%*'\"\\";
	must_pass(run_text(f, "a", &options, &err));
}

static void every_allocation_of_a_question_may_fail(void **state)
{
	const struct convo_message messages[] = {
		said(USER("a")),
		said("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"\\u0063\"}"
		     "]}"),
		said("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}"),
		said(USER("b"))};
	struct convo_turn_options options = {
		.params = "{\"tools\":[{}]}", .instruction = "x", .extra = "{}"};
	struct convo_question question = {.user = "ann",
					  .session = "s",
					  .messages = messages,
					  .count = 4,
					  .options = &options};
	struct fixture *f = *state;

	f->parrot.deaf = true;
	renew(f, (struct convo_runner_options){.params = "{\"temperature\":1}", .lease_ms = 1000});
	for (size_t n = 1;; n++) {
		struct convo_turn *turn = NULL;
		struct convo_err err = {0};
		bool failed;
		int rc;

		question.session = options.turn = test_text("turn %zu", n);
		if (!test_oom_at(n))
			break;
		rc = convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err);
		failed = test_oom_end();
		must(rc == 0 || rc == CONVO_E_NOMEM || err.code == rc);
		convo_turn_free(turn);
		turn = NULL;
		/* with memory the same turn is carried out, or was */
		rc = convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err);
		must_equal(0, rc);
		must_equal(4, turn->question_count);
		must(turn->question_seq > 0 && turn->answer_seq > 0);
		convo_turn_free(turn);
		if (!failed)
			break;
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest messages[] = {
		T(A1_messages_are_stored_in_one_append),
		T(neighbours_of_the_user_are_sent_as_one),
		T(an_answer_is_put_between_turns_alone),
		T(a_question_may_hold_what_was_said_before),
		T(the_title_is_of_what_the_user_said),
		T(N2_hostile_messages_are_refused_by_their_number),
		T(N3_what_is_too_large_is_named),
		T(N3_as_much_as_may_be_is_stored),
		T(a_question_is_a_text_or_messages),
		T(a_turn_of_messages_is_taken_back_whole),
		T(params_of_a_turn_lie_over_the_runners),
		T(params_that_are_not_a_turns_are_refused),
		T(an_instruction_of_a_turn_is_sent_instead),
		T(another_model_may_answer),
		T(what_a_model_takes_is_the_models),
		T(extra_is_stored_with_the_question),
		T(reserved_options_are_refused),
		T(event_ids_follow_from_the_turns),
		T(a_turn_can_be_loaded_by_its_id),
		T(N1_a_turns_id_is_a_printable_name),
		T(every_allocation_of_a_question_may_fail),
	};

	return TEST_RUN(messages);
}
