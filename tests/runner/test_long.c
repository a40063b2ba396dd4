/*
 * Conversations that grow long, before endpoints that count and insist: what is learned of their limits,
 * and that no question is ever refused for what was said before it.
 */
#include "support/strict_llm.h"
#include "support/test.h"

#include <poll.h>
#include <stdio.h>

#include <convo/convo.h>

#include "support/fake_llm.h"

static const struct convo_key key = {"app", "ann", "s"};

struct fixture {
	struct strict_llm strict;
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	struct convo_turn *turn;
};

static void begin(struct fixture *f, const struct convo_runner_options *opts)
{
	struct convo_runner_options full = opts ? *opts : (struct convo_runner_options){0};
	struct convo_model_options endpoint = {0};
	struct convo_err err;

	strict_llm_start(&f->strict);
	endpoint.base_url = fake_llm_base(f->strict.server);
	must_pass(convo_store_open(&f->store, "memory:", NULL, &err));
	must_pass(convo_model_open(&f->model, "strict", &endpoint, &err));
	full.store = f->store;
	full.model = f->model;
	full.app = "app";
	full.instruction = "You are a helpful assistant.";
	must_pass(convo_runner_new(&f->runner, &full, &err));
}

static void end(struct fixture *f)
{
	convo_turn_free(f->turn);
	convo_runner_free(f->runner);
	convo_model_close(f->model);
	convo_store_close(f->store);
	strict_llm_stop(&f->strict);
}

static int ask(struct fixture *f, const char *session, const char *text, struct convo_err *err)
{
	const struct convo_question question = {
		.user = "ann", .session = session, .text = text, .whole = true};

	convo_turn_free(f->turn);
	f->turn = NULL;
	return convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, err);
}

/* Append turns of so many words each without asking anybody. */
static void fill(struct fixture *f, int turns, size_t words)
{
	struct cv_buf text = {0};
	struct convo_err err;

	convo_store_create(f->store, &key, NULL, NULL, NULL, &err);
	for (size_t i = 0; i < words; i++)
		cv_buf_adds(&text, "word ");
	for (int i = 0; i < turns; i++) {
		struct convo_event events[2] = {{.turn = test_text("t%d", i)},
						{.turn = test_text("t%d", i)}};
		char *said[2];

		must_pass(convo_message_make(&said[0], "user", text.data, text.len, &err));
		must_pass(convo_message_make(&said[1], "assistant", text.data, text.len, &err));
		events[0].message = said[0];
		events[1].message = said[1];
		must_pass(convo_store_append(f->store, &key, NULL, events, 2, NULL, NULL, &err));
		convo_free(said[0]);
		convo_free(said[1]);
	}
	cv_buf_clear(&text);
}

/* ---- too long ------------------------------------------------------------------------------- */

static void what_is_too_long_is_cut_and_asked_once_more(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1, .answer = 20}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(&f, 40, 50); /* some 4000 tokens */
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(2, f.strict.requests);
	must_equal(1, f.strict.too_long);
	must(f.strict.last_tokens <= 1536 && f.strict.last_tokens > 700);
	must_equal(CONVO_COMPLETE, f.turn->answer->status);
	must(f.turn->left_out > 0);
	must(strstr(f.turn->left_out_why, "older messages left out: the model takes 2048 tokens"));
	must_equal(f.turn->sent, f.strict.last_messages);
	/* and from then on it is known */
	for (int i = 0; i < 5; i++)
		must_pass(ask(&f, "s", "and now?", &err));
	must_equal(7, f.strict.requests);
	must_equal(1, f.strict.too_long);
	end(&f);
}

static void a_refusal_without_a_number_is_enough(void **state)
{
	struct fixture f = {.strict = {.window = 3000, .rate = 1, .answer = 20, .mute = true}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(&f, 40, 50);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(2, f.strict.requests);
	must(f.strict.last_tokens > 1000);
	for (int i = 0; i < 5; i++)
		must_pass(ask(&f, "s", "and now?", &err));
	must_equal(1, f.strict.too_long);
	end(&f);
}

/* Where a model counts three times what is estimated, the number of the refusal is what helps. */
static void a_refusal_teaches_the_factor_too(void **state)
{
	struct fixture f = {.strict = {.window = 4096, .rate = 2.5, .answer = 20}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(&f, 40, 50);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(2, f.strict.requests);
	must(f.strict.last_tokens <= 4096 && f.strict.last_tokens > 1500);
	end(&f);
}

static void a_question_that_is_too_long_alone_is_not_asked_twice(void **state)
{
	struct fixture f = {.strict = {.window = 300, .rate = 1}};
	struct cv_buf text = {0};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	for (int i = 0; i < 500; i++)
		cv_buf_adds(&text, "word ");
	must_fail_with(CONVO_E_TOOBIG, ask(&f, "s", text.data, &err));
	must_equal(1, f.strict.requests);
	must_equal(CONVO_TURN_MODEL, f.turn->failed);
	must(strstr(err.text, "the conversation is too long for the model"));
	must(f.turn->question_seq == 1 && f.turn->answer_seq == 2);
	cv_buf_clear(&text);
	end(&f);
}

/* What is refused after it was cut stays refused: an endpoint that lies is not asked for ever. */
static void an_endpoint_that_refuses_all_is_asked_twice(void **state)
{
	struct fixture f = {.strict = {.window = 1, .rate = 1, .mute = true}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(&f, 40, 50);
	must_fail_with(CONVO_E_TOOBIG, ask(&f, "s", "and now?", &err));
	must_equal(2, f.strict.requests);
	end(&f);
}

static void wait_for_list(struct fixture *f)
{
	for (int i = 0; i < 500 && !f->strict.lists_read; i++)
		poll(NULL, 0, 10);
	poll(NULL, 0, 50);
}

static void a_long_conversation_has_the_endpoint_asked_for_its_window(void **state)
{
	struct fixture f = {.strict = {.window = 4096, .rate = 1, .lists = true, .answer = 20}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	must_pass(ask(&f, "short", "hello", &err));
	fill(&f, 15, 50);
	must_equal(0, f.strict.lists_read); /* nobody cares yet */
	must_pass(ask(&f, "s", "and now?", &err));
	wait_for_list(&f);
	must_equal(1, f.strict.lists_read);
	fill(&f, 40, 50);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(0, f.strict.too_long);
	must(f.turn->left_out > 0 && strstr(f.turn->left_out_why, "4096"));
	for (int i = 0; i < 3; i++)
		must_pass(ask(&f, "s", "and now?", &err));
	must_equal(1, f.strict.lists_read);
	end(&f);
}

static void a_list_that_says_nothing_changes_nothing(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 20}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(&f, 40, 50);
	must_pass(ask(&f, "s", "and now?", &err));
	wait_for_list(&f);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(0, f.turn->left_out);
	must_equal(1, f.strict.lists_read);
	end(&f);
}

static struct convo_context *look(struct fixture *f)
{
	struct convo_context *context = NULL;
	struct convo_err err;

	must_pass(convo_runner_context(&context, f->runner, "ann", "s", NULL, &err));
	return context;
}

static void what_would_go_can_be_seen_before_it_goes(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1.2, .answer = 20}};
	struct convo_context *context = NULL;
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_runner_context(&context, f.runner, "ann", "s", NULL, &err));
	fill(&f, 5, 50);
	context = look(&f);
	must_equal(11, context->messages);
	must_equal(CONVO_LIMIT_NONE, context->limit_from);
	must(!context->measured && !context->limit && !context->left_out && context->factor == 1);
	convo_context_free(context);
	fill(&f, 40, 50);
	must_pass(ask(&f, "s", "and now?", &err));
	context = look(&f);
	must_equal(CONVO_LIMIT_REFUSAL, context->limit_from);
	must_equal(2048, context->window);
	must(context->measured && context->factor > 0.6 && context->factor < 2);
	must(context->limit > 1000 && context->limit < 2048 && context->tokens <= context->limit);
	must(context->left_out > 0 && strstr(context->left_out_why, "2048"));
	convo_context_free(context);
	must_equal(2, f.strict.requests); /* nobody was asked */
	end(&f);
}

/* ---- roles in turn -------------------------------------------------------------------------- */

static void say_json(struct fixture *f, const char *message)
{
	struct convo_event event = {.message = message};
	struct convo_err err;

	convo_store_create(f->store, &key, NULL, NULL, NULL, &err);
	must_pass(convo_store_append(f->store, &key, NULL, &event, 1, NULL, NULL, &err));
}

static void roles_are_made_to_alternate_once_the_endpoint_insists(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .alternates = true, .answer = 3}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	say_json(&f, "{\"role\":\"user\",\"content\":\"a\",\"name\":\"ann\"}");
	say_json(&f, "{\"role\":\"user\",\"content\":\"b\",\"name\":\"bob\"}");
	say_json(&f, "{\"role\":\"assistant\",\"content\":\"c\"}");
	say_json(&f, "{\"role\":\"assistant\",\"content\":\"d\"}");
	say_json(&f, "{\"role\":\"system\",\"content\":\"e\"}");
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(2, f.strict.requests);
	must_equal(1, f.strict.bad_roles);
	must_equal(4, f.strict.last_messages);
	must_equal(3, f.turn->joined);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(3, f.strict.requests);
	end(&f);
}

static void messages_that_are_to_be_kept_apart_stay_so(void **state)
{
	struct convo_runner_options opts = {.alternate = CONVO_ALTERNATE_KEEP};
	struct fixture f = {.strict = {.rate = 1, .alternates = true, .answer = 3}};
	struct convo_err err;

	(void)state;
	begin(&f, &opts);
	say_json(&f, "{\"role\":\"user\",\"content\":\"a\"}");
	must_fail_with(CONVO_E_REFUSED, ask(&f, "s", "and now?", &err));
	must_equal(1, f.strict.requests);
	end(&f);
}

static void a_template_without_system_messages_gets_none(void **state)
{
	struct fixture f = {
		.strict = {.rate = 1, .alternates = true, .no_system = true, .answer = 3}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	must_pass(ask(&f, "s", "hello", &err));
	must_equal(2, f.strict.requests);
	must_equal(1, f.strict.last_messages);
	must_pass(ask(&f, "s", "and now?", &err));
	must_equal(3, f.strict.requests);
	must_equal(3, f.strict.last_messages);
	end(&f);
}

/* ---- any session ---------------------------------------------------------------------------- */

static void say_anything(struct cv_buf *text, struct test_rng *rng, size_t words)
{
	static const char *const said[][4] = {
		{"tell me", "about the weather in Spain", "please,", "and why it rains."},
		{"Объясни,", "почему небо синее", "и что это", "значит для нас?"},
		{"请告诉我", "为什么天空是蓝色的，", "以及这对我们", "意味着什么？"},
		{"for (i = 0; i < n; i++) {\n", "\tx[i] = y[i] * 2;\n", "}\n", "return NULL;\n"},
		{"Erkläre mir", "die Öffnungszeiten", "der Bücherei,", "bitte ausführlich."},
	};
	size_t language = test_rng_below(rng, 5);

	cv_buf_reset(text);
	do
		cv_buf_addf(text, "%s ", said[language][test_rng_below(rng, 4)]);
	while (words--);
}

/* One session: questions of all lengths that fit, some taken back, some unanswered, strangers amid. */
static void live(struct fixture *f, struct test_rng *rng, const char *session)
{
	const struct convo_key here = {"app", "ann", session};
	size_t turns = 1 + test_rng_below(rng, 24), most = f->strict.window / 80;
	struct cv_buf text = {0};
	struct convo_err err;

	for (size_t i = 0; i < turns; i++) {
		int rc;

		say_anything(&text, rng, test_rng_below(rng, most + 1));
		f->strict.answer = test_rng_below(rng, 30);
		rc = ask(f, session, text.data, &err);
		if (rc < 0)
			must_not_reach("turn %zu: %s (window %zu, rate %.1f)", i, err.text,
				       f->strict.window, f->strict.rate);
		if (test_rng_below(rng, 8) == 0)
			must_pass(convo_runner_undo(NULL, f->runner, "ann", session, NULL, &err));
		if (test_rng_below(rng, 6) == 0) {
			struct convo_event event = {.message = "{\"role\":\"user\",\"content\":"
							       "\"me too\",\"name\":\"bob\"}"};

			must_pass(convo_store_append(f->store, &here, NULL, &event, 1, NULL, NULL,
						     &err));
		}
	}
	cv_buf_clear(&text);
}

static void no_question_of_any_session_is_refused(void **state)
{
	size_t requests = 0, refused = 0, endpoints = 0;
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (; endpoints < 30; endpoints++) {
		struct fixture f = {.strict = {.window = 512 + test_rng_below(&rng, 3584),
					       .rate = 0.7 + (double)test_rng_below(&rng, 12) / 10,
					       .lists = test_rng_below(&rng, 2),
					       .mute = test_rng_below(&rng, 3) == 0,
					       .alternates = test_rng_below(&rng, 2),
					       .no_system = test_rng_below(&rng, 4) == 0}};

		begin(&f, NULL);
		for (int i = 0; i < 6; i++)
			live(&f, &rng, test_text("s%d", i));
		requests += f.strict.requests;
		refused += f.strict.too_long + f.strict.bad_roles;
		end(&f);
	}
	test_say("%zu requests to %zu endpoints, %zu refused before they were learned", requests,
		 endpoints, refused);
	must(refused <= endpoints * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_too_long_is_cut_and_asked_once_more),
		cmocka_unit_test(a_refusal_without_a_number_is_enough),
		cmocka_unit_test(a_refusal_teaches_the_factor_too),
		cmocka_unit_test(a_question_that_is_too_long_alone_is_not_asked_twice),
		cmocka_unit_test(an_endpoint_that_refuses_all_is_asked_twice),
		cmocka_unit_test(a_long_conversation_has_the_endpoint_asked_for_its_window),
		cmocka_unit_test(a_list_that_says_nothing_changes_nothing),
		cmocka_unit_test(what_would_go_can_be_seen_before_it_goes),
		cmocka_unit_test(roles_are_made_to_alternate_once_the_endpoint_insists),
		cmocka_unit_test(messages_that_are_to_be_kept_apart_stay_so),
		cmocka_unit_test(a_template_without_system_messages_gets_none),
		cmocka_unit_test(no_question_of_any_session_is_refused),
	};

	return TEST_RUN(tests);
}
