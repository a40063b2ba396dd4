/*
 * The echo model, models made of a function, and cancelling: all that needs no network.
 */
#include "support/oom.h"
#include "support/test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/json.h>

/* ---- helpers -------------------------------------------------------------------------- */

/* Hears everything, the pieces divided by '|'; stops after `stop_after` pieces if not 0. */
struct ear {
	struct cv_buf heard[3];
	size_t pieces, stop_after;
};

static int ear_hear(void *ctx, const struct convo_delta *delta)
{
	struct ear *ear = ctx;

	must_equal(delta->len, strlen(delta->text));
	must(delta->len > 0);
	must_equal(0, cv_buf_add(&ear->heard[delta->kind], delta->text, delta->len));
	must_equal(0, cv_buf_addc(&ear->heard[delta->kind], '|'));
	return ++ear->pieces == ear->stop_after;
}

static void ear_clear(struct ear *ear)
{
	for (int i = 0; i < 3; i++)
		cv_buf_clear(&ear->heard[i]);
}

static struct convo_message message(const char *json)
{
	struct convo_message made = {json, strlen(json)};

	return made;
}

static void must_be_storable(const struct convo_answer *answer)
{
	struct cv_text json = {0};
	struct convo_err err;

	must(answer != NULL);
	json = (struct cv_text){answer->message, answer->message_len};
	must_equal(JSON_KIND_OBJECT, must_pass(cv_json_check(json, "message", &err)));
	must_equal(answer->message_len, strlen(answer->message));
	must_equal(answer->text_len, strlen(answer->text));
}

static struct convo_answer *ask_echo(const struct convo_message *messages, size_t count)
{
	struct convo_request request = {.messages = messages, .count = count};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	must_pass(convo_model_open(&model, "echo", NULL, &err));
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	convo_model_close(model);
	must_be_storable(answer);
	return answer;
}

/* ---- echo ----------------------------------------------------------------------------- */

static void test_echo__says_what_it_is_and_what_it_was_sent(void **state)
{
	struct convo_message messages[] = {
		message("{\"role\":\"user\",\"content\":\"h\\u00e9llo  there\"}")};
	struct convo_answer *answer = ask_echo(messages, 1);

	(void)state;
	must_equal_str("I am echo, a stand-in and no language model. I was sent 1 message. "
		       "The last one:\nuser: h\xc3\xa9llo  there",
		       answer->text);
	must_equal(CONVO_COMPLETE, answer->status);
	must_equal_str("echo", answer->model);
	must_equal_str("stop", answer->finish_reason);
	must(!answer->usage && !answer->error && !answer->note);
	must_equal(-1, answer->prompt_tokens);
	must_equal(1, answer->attempts);
	must(answer->first_ms >= 0 && answer->first_ms <= answer->total_ms);
	convo_answer_free(answer);
}

static void test_echo__lists_the_history_verbatim(void **state)
{
	struct convo_message messages[] = {
		message("{\"role\":\"system\",\"content\":\"Be brief.\"}"),
		message("{\"role\":\"user\",\"content\":\"one\\n  two\"}"),
		message("{\"role\":\"assistant\",\"content\":null}"),
		message("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
			"{\"type\":\"image_url\"},{\"text\":\"b\"}]}"),
		message("{\"role\":\"user\",\"content\":\"Show our Conversation HISTORY\"}"),
	};
	struct convo_answer *answer = ask_echo(messages, 5);

	(void)state;
	must_equal_str("I am echo, a stand-in and no language model. I was sent 5 messages. "
		       "Before this question:\n1. system: Be brief.\n2. user: one\n  two\n"
		       "3. assistant: (no text)\n4. user: ab",
		       answer->text);
	convo_answer_free(answer);
	answer = ask_echo(messages + 4, 1);
	must(strstr(answer->text, "I was sent 1 message. None before this one."));
	convo_answer_free(answer);
}

static void test_echo__streams_word_by_word(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"a b\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct ear ear = {0};
	struct convo_listener listener = {.on_delta = ear_hear, .ctx = &ear};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	must_pass(convo_model_ask(&answer, model, &request, &listener, NULL, &err));
	must(strstr(cv_buf_str(&ear.heard[CONVO_DELTA_TEXT]), "I |am |echo, |"));
	must(strstr(cv_buf_str(&ear.heard[CONVO_DELTA_TEXT]), "|a |b|"));
	convo_answer_free(answer);
	convo_model_close(model);
	ear_clear(&ear);
}

static void test_echo__stopped_by_its_listener_keeps_what_came(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"a b\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct ear ear = {.stop_after = 3};
	struct convo_listener listener = {.on_delta = ear_hear, .ctx = &ear};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	must_pass(convo_model_ask(&answer, model, &request, &listener, NULL, &err));
	must_equal(CONVO_INTERRUPTED, answer->status);
	must_equal(CONVO_E_CANCELED, answer->code);
	must_equal_str("I am echo, ", answer->text);
	must_equal_str("{\"role\":\"assistant\",\"content\":\"I am echo, \"}", answer->message);
	must(!answer->finish_reason);
	convo_answer_free(answer);
	convo_model_close(model);
	ear_clear(&ear);
}

static void test_ask__refuses_what_is_no_request(void **state)
{
	struct convo_message messages[] = {message("[]")};
	struct convo_request request = {.messages = messages, .count = 0};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "a\nb", NULL, &err));
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	request.count = 1;
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	messages[0] = message("{\"role\":\"user\",\"content\":\"\\u0000\"}");
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	messages[0] = message("{\"role\":\"user\"}");
	request.params = "[1]";
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must(!answer);
	convo_model_close(model);
}

/* ---- a model made of a function -------------------------------------------------------- */

/* What the function says, piece by piece, and how it ends. */
struct script {
	const char *piece[8];
	int rc;
	const char *why;
};

static int script_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			 void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct script *script = ctx;

	(void)request;
	(void)cancel;
	for (size_t i = 0; script->piece[i]; i++) {
		int rc = emit(emit_ctx, CONVO_DELTA_TEXT, script->piece[i],
			      strlen(script->piece[i]));

		if (rc)
			return rc;
	}
	if (script->why)
		return cv_fail(err, script->rc, "%s", script->why);
	return script->rc;
}

static int ask_script(struct convo_answer **answer, struct script *script, struct ear *ear,
		      struct convo_err *err)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"q\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct convo_listener listener = {.on_delta = ear ? ear_hear : NULL, .ctx = ear};
	convo_model *model = NULL;
	int rc = convo_model_from(&model, "mine", script_answer, script, err);

	if (rc == 0)
		rc = convo_model_ask(answer, model, &request, &listener, NULL, err);
	convo_model_close(model);
	return rc;
}

static void test_function__characters_may_be_split(void **state)
{
	struct script script = {.piece = {"a\xf0\x9f", "\x98", "\x80z\xc3", "\xa9", "\xe2\x82"}};
	struct convo_answer *answer = NULL;
	struct ear ear = {0};
	struct convo_err err;

	(void)state;
	must_pass(ask_script(&answer, &script, &ear, &err));
	must_be_storable(answer);
	must_equal_str("a\xf0\x9f\x98\x80z\xc3\xa9\xef\xbf\xbd", answer->text);
	must_equal_str("a|\xf0\x9f\x98\x80z|\xc3\xa9|\xef\xbf\xbd|",
		       cv_buf_str(&ear.heard[CONVO_DELTA_TEXT]));
	convo_answer_free(answer);
	ear_clear(&ear);
}

static void test_function__surrogate_halves_are_joined(void **state)
{
	struct script script = {
		.piece = {"\xed\xa0\xbd", "\xed\xb8\x80", "\xed\xa0\xbd", "x", "\xed\xb8\x80"}};
	struct convo_answer *answer = NULL;
	struct ear ear = {0};
	struct convo_err err;

	(void)state;
	must_pass(ask_script(&answer, &script, &ear, &err));
	must_be_storable(answer);
	must(strncmp(answer->text, "\xf0\x9f\x98\x80\xef\xbf\xbd", 7) == 0);
	convo_answer_free(answer);
	ear_clear(&ear);
}

static void test_function__failing_late_keeps_what_came(void **state)
{
	struct script script = {.piece = {"half"}, .rc = CONVO_E_IO, .why = "engine on fire"};
	struct convo_answer *answer = NULL;
	struct convo_err err;

	(void)state;
	must_pass(ask_script(&answer, &script, NULL, &err));
	must(answer != NULL);
	must_equal(CONVO_FAILED, answer->status);
	must_equal(CONVO_E_IO, answer->code);
	must_equal_str("engine on fire", answer->error);
	must_equal_str("half", answer->text);
	convo_answer_free(answer);
	answer = NULL;
	script.piece[0] = NULL;
	must_fail_with(CONVO_E_IO, ask_script(&answer, &script, NULL, &err));
	must_equal_str("engine on fire", err.text);
	script.why = NULL;
	must_fail_with(CONVO_E_IO, ask_script(&answer, &script, NULL, &err));
	script.rc = 0;
	must_fail_with(CONVO_E_REFUSED, ask_script(&answer, &script, NULL, &err));
	must(!answer);
}

/* What was heard of an asking. */
struct heard_asks {
	int count, code;
	bool answered;
	int64_t duration_us;
};

static void hear_ask(void *ctx, const struct convo_trace_ask *ask)
{
	struct heard_asks *heard = ctx;

	heard->count++;
	heard->code = ask->code;
	heard->answered = ask->answer != NULL;
	heard->duration_us = ask->duration_us;
}

static void test_trace__each_asking_is_told_as_it_ends(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"a b\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct ear ear = {.stop_after = 3};
	const struct convo_listener listener = {.on_delta = ear_hear, .ctx = &ear};
	struct heard_asks heard = {0};
	struct convo_model_trace trace = {.on_ask = hear_ask, .ctx = &heard};
	const struct convo_model_options opts = {.trace = &trace, .max_answer = 1024};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_model_open(&model, "echo", &opts, &err));
	trace.on_ask = NULL; /* it was copied */
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must(heard.count == 1 && heard.code == CONVO_OK && heard.answered);
	must(heard.duration_us >= 0 && heard.duration_us / 1000 <= answer->total_ms + 1);
	convo_answer_free(answer);
	must_pass(convo_model_ask(&answer, model, &request, &listener, NULL, &err));
	must(heard.count == 2 && heard.code == CONVO_E_CANCELED && heard.answered);
	convo_answer_free(answer);
	ear_clear(&ear);
	messages[0] = message("[]");
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must_equal(2, heard.count); /* what is no request asks nobody */
	convo_model_close(model);
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "echo", &opts, &err));
	trace.on_ask = hear_ask;
	trace.reserved[1] = &trace;
	must_fail_with(CONVO_E_INVALID, convo_model_open(&model, "echo", &opts, &err));
}

static void test_trace__a_model_that_cannot_be_reached_is_told(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"a\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct heard_asks heard = {0};
	const struct convo_model_trace trace = {.on_ask = hear_ask, .ctx = &heard};
	const struct convo_model_options opts = {
		.base_url = "http://127.0.0.1:1/v1", .max_retries = CONVO_OFF, .trace = &trace};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;
	int rc;

	(void)state;
	must_pass(convo_model_open(&model, "gone", &opts, &err));
	rc = convo_model_ask(&answer, model, &request, NULL, NULL, &err);
	must(rc < 0);
	must(heard.count == 1 && heard.code == rc && !heard.answered);
	convo_model_close(model);
}

static int odd_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		      void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	(void)request, (void)cancel, (void)err;
	if (*(int *)ctx)
		return *(int *)ctx;
	emit(emit_ctx, (enum convo_delta_kind)9, "x", 1);
	return 0; /* as if nothing had been wrong */
}

static void test_function__mistakes_are_told(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;
	int rc = 0;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_model_from(&model, "mine", NULL, NULL, &err));
	must_pass(convo_model_from(&model, "mine", odd_answer, &rc, &err));
	must_equal_str("mine", convo_model_name(model));
	must_pass(convo_model_check(model, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	rc = 1;
	must_fail_with(CONVO_E_CANCELED,
		       convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	convo_model_close(model);
}

static int ask_echo_once(struct convo_err *err)
{
	struct convo_message messages[] = {message("{\"content\":\"a\"}"),
					   message("{\"role\":\"user\",\"content\":"
						   "\"show our conversation history\"}")};
	struct convo_request request = {.messages = messages, .count = 2};
	struct convo_answer *answer = NULL;
	convo_cancel *cancel = NULL;
	convo_model *model = NULL;
	int rc = convo_cancel_new(&cancel, err);

	if (rc == 0)
		rc = convo_model_open(&model, "echo", NULL, err);
	if (rc == 0)
		rc = convo_model_ask(&answer, model, &request, NULL, cancel, err);
	if (rc == 0 && answer->status == CONVO_COMPLETE)
		must(strstr(answer->text, "\n1. nobody: a") != NULL);
	if (rc == 0)
		rc = answer->code;
	convo_answer_free(answer);
	convo_model_close(model);
	convo_cancel_free(cancel);
	return rc;
}

static void test_oom__each_allocation_failing_is_an_error(void **state)
{
	size_t failed = 0;

	(void)state;
	for (size_t n = 1; test_oom_at(n); n++) {
		struct convo_err err = {0};
		int rc = ask_echo_once(&err);
		bool hit = test_oom_end();

		must_equal(hit ? CONVO_E_NOMEM : 0, rc);
		failed += hit;
	}
	must(failed > 5);
}

/* Says "\x01" for ever: six bytes of JSON each. */
static int flood_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	char bytes[4096];
	int rc = 0;

	(void)ctx, (void)request, (void)cancel, (void)err;
	memset(bytes, 1, sizeof(bytes));
	while (rc == 0)
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, bytes, sizeof(bytes));
	return rc;
}

static void test_function__an_endless_answer_is_cut_storable(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"q\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_model_from(&model, "flood", flood_answer, NULL, &err));
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, &err));
	must_equal(CONVO_FAILED, answer->status);
	must_equal(CONVO_E_TOOBIG, answer->code);
	must_be_storable(answer);
	must(answer->message_len <= 3u << 20);
	must(answer->message_len > (3u << 20) - 1024);
	convo_answer_free(answer);
	convo_model_close(model);
}

/* ---- cancelling ----------------------------------------------------------------------- */

static convo_cancel *signalled;

static void on_signal(int number)
{
	(void)number;
	convo_cancel_request(signalled);
}

static bool readable(const convo_cancel *cancel)
{
	struct pollfd fd = {.fd = convo_cancel_fd(cancel), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void test_cancel__wakes_poll_once_and_for_all(void **state)
{
	convo_cancel *cancel = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&cancel, &err));
	must(!convo_cancel_requested(cancel) && !readable(cancel));
	for (int i = 0; i < 100000; i++)
		convo_cancel_request(cancel);
	must(convo_cancel_requested(cancel) && readable(cancel));
	convo_cancel_reset(cancel);
	must(!convo_cancel_requested(cancel) && !readable(cancel));
	must(!convo_cancel_requested(NULL));
	convo_cancel_free(cancel);
	convo_cancel_free(NULL);
}

static void test_cancel__works_in_a_signal_handler_and_keeps_errno(void **state)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&signalled, &err));
	must_equal(0, sigaction(SIGUSR1, &action, &before));
	errno = ENOENT;
	raise(SIGUSR1);
	must_equal(ENOENT, errno);
	must(convo_cancel_requested(signalled) && readable(signalled));
	sigaction(SIGUSR1, &before, NULL);
	convo_cancel_free(signalled);
}

static void test_cancel__before_anything_came_is_canceled(void **state)
{
	struct convo_message messages[] = {message("{\"role\":\"user\",\"content\":\"q\"}")};
	struct convo_request request = {.messages = messages, .count = 1};
	struct convo_answer *answer = NULL;
	convo_cancel *cancel = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_cancel_new(&cancel, &err));
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	convo_cancel_request(cancel);
	must_fail_with(CONVO_E_CANCELED,
		       convo_model_ask(&answer, model, &request, NULL, cancel, &err));
	convo_cancel_reset(cancel);
	must_pass(convo_model_ask(&answer, model, &request, NULL, cancel, &err));
	convo_answer_free(answer);
	convo_answer_free(NULL);
	convo_model_close(model);
	convo_model_close(NULL);
	convo_cancel_free(cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo__says_what_it_is_and_what_it_was_sent),
		cmocka_unit_test(test_echo__lists_the_history_verbatim),
		cmocka_unit_test(test_echo__streams_word_by_word),
		cmocka_unit_test(test_echo__stopped_by_its_listener_keeps_what_came),
		cmocka_unit_test(test_ask__refuses_what_is_no_request),
		cmocka_unit_test(test_function__characters_may_be_split),
		cmocka_unit_test(test_function__surrogate_halves_are_joined),
		cmocka_unit_test(test_function__failing_late_keeps_what_came),
		cmocka_unit_test(test_function__an_endless_answer_is_cut_storable),
		cmocka_unit_test(test_function__mistakes_are_told),
		cmocka_unit_test(test_trace__each_asking_is_told_as_it_ends),
		cmocka_unit_test(test_trace__a_model_that_cannot_be_reached_is_told),
		cmocka_unit_test(test_oom__each_allocation_failing_is_an_error),
		cmocka_unit_test(test_cancel__wakes_poll_once_and_for_all),
		cmocka_unit_test(test_cancel__works_in_a_signal_handler_and_keeps_errno),
		cmocka_unit_test(test_cancel__before_anything_came_is_canceled),
	};

	return TEST_RUN(tests);
}
