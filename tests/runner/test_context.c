/*
 * What a model is sent: the order of a conversation, what is left out of it, and what is told of
 * that. Histories are kept in a memory store, so that every window is a real one.
 */
#include "support/oom.h"
#include "support/test.h"

#include <stdio.h>

#include <convo/convo.h>

#include <base/alloc.h>
#include <base/buf.h>
#include <base/json.h>
#include <runner/conversation.h>
#include <runner/runner.h>

static const struct convo_key key = {"app", "ann", "s"};

struct fixture {
	convo_store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct convo_err err;

	must_pass(convo_store_open(&f->store, "memory:", NULL, &err));
	must_pass(convo_store_create(f->store, &key, NULL, NULL, NULL, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	convo_store_close(f->store);
	free(f);
	return 0;
}

/* ---- saying --------------------------------------------------------------------------- */

static void say_event(struct fixture *f, const struct convo_event *event)
{
	struct convo_err err;

	must_pass(convo_store_append(f->store, &key, NULL, event, 1, NULL, NULL, &err));
}

static void say_json(struct fixture *f, const char *turn, const char *message)
{
	say_event(f, &(struct convo_event){.turn = turn, .message = message});
}

static void say(struct fixture *f, const char *turn, const char *role, const char *text)
{
	struct convo_err err;
	char *message = NULL;

	must_pass(convo_message_make(&message, role, text, strlen(text), &err));
	say_json(f, turn, message);
	free(message);
}

static void say_undo(struct fixture *f, const char *turn)
{
	say_event(f, &(struct convo_event){
			     .message = "{\"role\":\"control\",\"content\":\"undo\"}",
			     .extra = test_text("{\"undo\":\"%s\"}", turn),
		     });
}

/* ---- asking --------------------------------------------------------------------------- */

struct sent {
	struct runner_context context;
	convo_session *session;
};

static struct convo_message message_of(const char *json)
{
	return (struct convo_message){json, json ? strlen(json) : 0};
}

#define QUESTION "{\"role\":\"user\",\"content\":\"?\"}"

static const struct convo_event asked = {
	.role = "user", .message = QUESTION, .message_len = sizeof(QUESTION) - 1};

static void make_plan(struct sent *sent, struct fixture *f, size_t window,
		      const struct context_plan *plan)
{
	const struct convo_window last = {.n = window};
	struct convo_err err;

	memset(sent, 0, sizeof(*sent));
	must_pass(convo_store_load(&sent->session, f->store, &key, &last, NULL, &err));
	must_pass(cv_context_make(&sent->context, sent->session, plan, message_of(NULL), &asked, 1,
				  &err));
}

static void make(struct sent *sent, struct fixture *f, size_t window, size_t messages,
		 size_t tokens)
{
	const struct context_plan plan = {.limits = {.messages = messages, .tokens = tokens}};

	make_plan(sent, f, window, &plan);
}

static void sent_clear(struct sent *sent)
{
	cv_context_clear(&sent->context);
	convo_session_free(sent->session);
}

/* The texts of the messages, one letter or word each, joined by blanks; those sent as one by +. */
static const char *sent_text(const struct sent *sent)
{
	struct cv_buf all = {0};
	const char *joined;

	for (size_t i = 0; i < sent->context.sent.count; i++) {
		const struct convo_message *m = &sent->context.sent.messages[i];
		struct convo_err err;
		char *text = NULL;

		must_pass(convo_message_text(&text, m->json, m->len, &err));
		must_equal(0, cv_buf_addf(&all, "%s", i ? " " : ""));
		for (const char *c = text; *c; c++) {
			bool gap = strncmp(c, "\n\n", 2) == 0;

			must_equal(0, cv_buf_addc(&all, gap ? '+' : *c));
			c += gap;
		}
		free(text);
	}
	joined = test_text("%s", cv_buf_str(&all));
	cv_buf_clear(&all);
	return joined;
}

static void must_send_window(struct fixture *f, size_t window, size_t messages, const char *want,
			     const char *why)
{
	struct sent sent;

	make(&sent, f, window, messages, 0);
	must_equal_str(want, sent_text(&sent));
	must_equal_str(why, sent.context.why);
	must_equal(!why, sent.context.left_out == 0);
	sent_clear(&sent);
}

static void must_send(struct fixture *f, const char *want, const char *why)
{
	must_send_window(f, 0, 0, want, why);
}

/* ---- order ---------------------------------------------------------------------------- */

static void an_empty_session_sends_the_question_alone(void **state)
{
	must_send(*state, "?", NULL);
}

static void no_session_sends_instruction_and_question(void **state)
{
	const struct context_plan plan = {0};
	struct runner_context context = {0};
	struct convo_message instruction = message_of("{\"role\":\"system\",\"content\":\"be\"}");
	struct convo_err err;

	(void)state;
	must_pass(cv_context_make(&context, NULL, &plan, instruction, &asked, 1, &err));
	must_equal(2, context.sent.count);
	must(context.sent.messages[0].json == instruction.json);
	must_equal(instruction.len + strlen(QUESTION), context.sent.bytes);
	cv_context_clear(&context);
}

static void turns_that_ran_at_once_are_put_together(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say(f, "2", "user", "b");
	say(f, "2", "assistant", "B");
	say(f, "1", "assistant", "A");
	say(f, NULL, "user", "c");
	say(f, NULL, "assistant", "C");
	must_send(f, "a A b B c C ?", NULL);
}

static void a_turn_taken_back_is_not_sent(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say(f, "1", "assistant", "A");
	say(f, "2", "user", "b");
	say_undo(f, "2");
	say(f, "2", "assistant", "late");
	say_undo(f, "unknown");
	must_send(f, "a A ?", NULL);
}

static void a_marker_may_escape_the_turn(void **state)
{
	struct fixture *f = *state;

	say(f, "a\"b", "user", "a");
	say_undo(f, "\\u0061\\\"b");
	must_send(f, "?", NULL);
}

static void a_control_event_that_names_nothing_is_harmless(void **state)
{
	static const char *const extras[] = {NULL, "{}", "{\"undo\":1}", "{\"undo\":\"\"}",
					     "{\"undo\":null}"};
	struct fixture *f = *state;
	char long_name[1000];

	say(f, "1", "user", "a");
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		say_event(f, &(struct convo_event){.message = "{\"role\":\"control\"}",
						   .extra = extras[i]});
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	say_undo(f, long_name);
	must_send(f, "a+?", NULL);
}

static void answers_without_content_are_not_sent(void **state)
{
	static const char *const empty[] = {
		"{\"role\":\"assistant\"}",
		"{\"role\":\"assistant\",\"content\":null}",
		"{\"role\":\"assistant\",\"content\":\"\"}",
		"{\"role\":\"assistant\",\"content\":[ ]}",
		"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}",
		"{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":\"hm\"}",
	};
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
		say_json(f, "1", empty[i]);
	must_send(f, "a+?", NULL);
}

static void answers_of_every_kind_are_sent(void **state)
{
	struct fixture *f = *state;
	struct sent sent;

	say(f, "1", "user", "a");
	say_json(f, "1", "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}");
	say_event(f, &(struct convo_event){
			     .message = "{\"role\":\"assistant\",\"content\":\"cu\"}",
			     .status = CONVO_INTERRUPTED,
		     });
	say_json(f, "1",
		 "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}");
	make(&sent, f, 0, 0, 0);
	must_equal(5, sent.context.sent.count);
	sent_clear(&sent);
}

static void thinking_is_not_counted_as_sent(void **state)
{
	struct fixture *f = *state;
	struct sent with, without;

	say(f, "1", "user", "a");
	say_json(f, "1", "{\"role\":\"assistant\",\"content\":\"A\",\"reasoning_content\":\"\"}");
	make(&without, f, 0, 0, 0);
	say_undo(f, "1");
	say(f, "2", "user", "a");
	say_json(f, "2",
		 "{\"role\":\"assistant\",\"content\":\"A\",\"reasoning_content\":\"12345678\"}");
	make(&with, f, 0, 0, 0);
	must_equal(without.context.sent.bytes - 2, with.context.sent.bytes);
	sent_clear(&with);
	sent_clear(&without);
}

/* ---- tool calls ----------------------------------------------------------------------- */

#define CALL(id) "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\"}}"
#define CALLS(text, list) \
	"{\"role\":\"assistant\",\"content\":\"" text "\",\"tool_calls\":[" list "]}"
#define RESULT(text, id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"

static void answered_calls_are_sent_with_their_results(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say_json(f, "1", CALLS("call", CALL("x") "," CALL("y")));
	say_json(f, "1", RESULT("ry", "y"));
	say_json(f, "1", RESULT("rx", "x"));
	say(f, "1", "assistant", "A");
	must_send(f, "a call ry rx A ?", NULL);
}

static void an_unanswered_call_is_left_out_and_said(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say_json(f, "1", CALLS("call", CALL("x")));
	must_send(f, "a+?", "1 unanswered tool call left out");
	say(f, "2", "user", "b");
	say_json(f, "2", CALLS("call", CALL("x") "," CALL("y")));
	say_json(f, "2", RESULT("rx", "x"));
	must_send(f, "a+b+?",
		  "2 unanswered tool calls left out; 1 tool result without its call left out");
}

static void results_that_nobody_called_for_are_left_out(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say_json(f, "1", RESULT("stray", "x"));
	say_json(f, "1", CALLS("call", CALL("x")));
	say_json(f, "1", RESULT("rx", "x"));
	say_json(f, "1", RESULT("twice", "x"));
	say_json(f, "1", RESULT("other", "y"));
	say_json(f, "1", "{\"role\":\"tool\",\"content\":\"no id\"}");
	must_send(f, "a call rx ?", "4 tool results without their call left out");
}

static void calls_with_one_id_need_as_many_results(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say_json(f, "1", CALLS("call", CALL("x") "," CALL("x")));
	say_json(f, "1", RESULT("r", "x"));
	must_send(f, "a+?",
		  "1 unanswered tool call left out; 1 tool result without its call left out");
	say_undo(f, "1");
	say(f, "2", "user", "b");
	say_json(f, "2", CALLS("call", CALL("x") "," CALL("x")));
	say_json(f, "2", RESULT("r", "x"));
	say_json(f, "2", RESULT("s", "x"));
	must_send(f, "b call r s ?", NULL);
}

static void calls_without_ids_or_objects_are_unanswered(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say_json(f, "1", CALLS("c", "1,{},{\"id\":null}"));
	say_json(f, "1", "{\"role\":\"tool\",\"tool_call_id\":null,\"content\":\"r\"}");
	must_send(f, "a+?",
		  "1 unanswered tool call left out; 1 tool result without its call left out");
}

/* ---- limits --------------------------------------------------------------------------- */

static void say_turns(struct fixture *f, int turns)
{
	for (int i = 0; i < turns; i++) {
		const char *turn = test_text("%d", i);

		say(f, turn, "user", test_text("q%d", i));
		say(f, turn, "assistant", test_text("a%d", i));
	}
}

static void the_newest_messages_are_sent_the_question_included(void **state)
{
	struct fixture *f = *state;

	say_turns(f, 3);
	must_send_window(f, 0, 5, "q1 a1 q2 a2 ?",
			 "2 older messages left out: the context is 5 messages");
	must_send_window(f, 0, 1, "?", "6 older messages left out: the context is 1 message");
	must_send_window(f, 0, 7, "q0 a0 q1 a1 q2 a2 ?", NULL);
	must_send_window(f, 0, 0, "q0 a0 q1 a1 q2 a2 ?", NULL);
}

static void a_cut_never_begins_with_an_answer(void **state)
{
	struct fixture *f = *state;

	say_turns(f, 3);
	must_send_window(f, 0, 4, "q2 a2 ?",
			 "4 older messages left out: the context is 4 messages");
	must_send_window(f, 0, 2, "?", "6 older messages left out: the context is 2 messages");
}

static void events_outside_the_window_count_as_left_out(void **state)
{
	struct fixture *f = *state;

	say_turns(f, 4);
	must_send_window(f, 5, 3, "q3 a3 ?",
			 "6 older messages left out: the context is 3 messages");
	must_send_window(f, 4, 5, "q2 a2 q3 a3 ?",
			 "4 older messages left out: the context is 5 messages");
}

static void a_conversation_that_begins_with_an_answer_says_so(void **state)
{
	struct fixture *f = *state;

	say(f, NULL, "system", "be");
	say(f, NULL, "assistant", "hello");
	say(f, "1", "user", "a");
	must_send(f, "be a+?", "1 answer without its question left out");
}

/* A history whose last answer tells what its request took. */
static void say_measured(struct fixture *f, const char *turn, int counted, int estimated)
{
	say(f, turn, "user", "q");
	say_event(f, &(struct convo_event){
			     .turn = turn,
			     .message = "{\"role\":\"assistant\",\"content\":\"a\"}",
			     .usage = test_text("{\"prompt_tokens\":%d}", counted),
			     .extra = test_text("{\"sent_tokens\":%d}", estimated),
		     });
}

static size_t count_planned(struct fixture *f, const struct context_plan *plan)
{
	struct sent sent;
	size_t count;

	make_plan(&sent, f, 0, plan);
	count = sent.context.sent.count;
	must(!sent.context.budget.tokens || count == 1 ||
	     cv_budget_tokens(&sent.context.budget, sent.context.estimate) <=
		     (double)sent.context.budget.tokens);
	sent_clear(&sent);
	return count;
}

static size_t count_sent(struct fixture *f, size_t tokens)
{
	return count_planned(f, &(struct context_plan){.limits = {.tokens = tokens}});
}

/* Messages of 100 tokens by estimate. */
static void say_hundreds(struct fixture *f, int turns)
{
	char text[500];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < turns; i++) {
		say(f, test_text("%d", i), "user", text);
		say(f, test_text("%d", i), "assistant", text);
	}
}

static void a_token_limit_is_kept_by_estimate(void **state)
{
	struct fixture *f = *state;
	struct sent sent;

	say_hundreds(f, 10);
	must_equal(21, count_sent(f, 0));
	must_equal(21, count_sent(f, 5000));
	must_equal(5, count_sent(f, 500));
	must_equal(1, count_sent(f, 1));
	make(&sent, f, 0, 0, 500);
	must_equal_str("16 older messages left out: the context is 500 tokens", sent.context.why);
	sent_clear(&sent);
	make(&sent, f, 0, 4, 500);
	must_equal_str("18 older messages left out: the context is 4 messages", sent.context.why);
	sent_clear(&sent);
}

static void the_last_answer_tells_what_an_estimate_is_worth(void **state)
{
	struct fixture *f = *state;

	say_hundreds(f, 10);
	must_equal(21, count_sent(f, 2100));
	say_measured(f, "m", 4000, 2000); /* twice as many */
	must_equal(13, count_sent(f, 2100));
	say_measured(f, "n", 1500, 3000); /* half as many */
	must_equal(25, count_sent(f, 1150));
}

static void what_no_factor_explains_is_not_in_the_messages(void **state)
{
	struct fixture *f = *state;

	say_hundreds(f, 10);
	say_measured(f, "m", 3 * 500 + 1000, 500); /* 1000 tokens of tools */
	must_equal(7, count_sent(f, 1000 + 3 * 450));
	must_equal(1, count_sent(f, 1000));
}

static void a_short_request_teaches_little(void **state)
{
	(void)state;
	must(cv_budget_factor(30, 12) < 1.3);
	must(cv_budget_factor(6000, 3000) > 1.9);
	must(cv_budget_factor(1, 100000) >= 0.5);
	must(cv_budget_factor(1e12, 1) <= 3);
}

static void useless_measures_are_passed_over(void **state)
{
	struct fixture *f = *state;

	say_hundreds(f, 10);
	say_measured(f, "m", 0, 600);
	say_measured(f, "n", 100, 0);
	say_measured(f, "o", -5, 600);
	say_event(f, &(struct convo_event){
			     .message = "{\"role\":\"assistant\",\"content\":\"a\"}",
			     .usage = "{\"prompt_tokens\":\"many\"}",
			     .extra = "{\"sent_tokens\":[]}",
		     });
	must_equal(28, count_sent(f, 2150));
	must(count_sent(f, 2000) < 28);
}

static void a_factor_of_the_model_counts_until_the_session_has_its_own(void **state)
{
	struct context_plan plan = {.limits = {.tokens = 1000}, .rate = {.factor = 2}};
	struct fixture *f = *state;

	say_hundreds(f, 10);
	must_equal(5, count_planned(f, &plan));
	say_measured(f, "m", 2000, 2000);
	must_equal(11, count_planned(f, &plan));
	plan.rate.exact = true; /* a refusal of this very request knows better */
	must_equal(7, count_planned(f, &plan));
}

/* ---- windows of models ---------------------------------------------------------------------- */

static void a_window_keeps_room_for_the_answer_and_says_so(void **state)
{
	struct context_plan plan = {.limits = {.window = 2048}};
	struct fixture *f = *state;
	struct sent sent;
	double tokens;

	say_hundreds(f, 20);
	say_measured(f, "m", 4000, 4000);
	make_plan(&sent, f, 0, &plan);
	tokens = cv_budget_tokens(&sent.context.budget, sent.context.estimate);
	must(tokens > 1000 && tokens <= 2048 * 0.75);
	must(strstr(sent.context.why, "older messages left out: the model takes 2048 tokens"));
	sent_clear(&sent);
	plan.limits.answer = 1500; /* max_tokens: the server adds it */
	make_plan(&sent, f, 0, &plan);
	must(cv_budget_tokens(&sent.context.budget, sent.context.estimate) <= 2048 - 1500);
	sent_clear(&sent);
	plan.limits.answer = 5000;
	must_equal(1, count_planned(f, &plan));
	plan.limits = (struct context_limits){.window = 2048, .tokens = 500};
	make_plan(&sent, f, 0, &plan);
	must(strstr(sent.context.why, ": the context is 500 tokens"));
	sent_clear(&sent);
	plan.limits = (struct context_limits){.window = 2048, .again = 700};
	make_plan(&sent, f, 0, &plan);
	must(cv_budget_tokens(&sent.context.budget, sent.context.estimate) <= 700);
	sent_clear(&sent);
}

static void before_an_answer_a_window_is_filled_less(void **state)
{
	struct context_plan plan = {.limits = {.window = 100000}};
	struct budget unsure, sure;

	(void)state;
	cv_budget_make(&unsure, &plan.limits, &plan.rate, NULL);
	plan.rate.factor = 1.1;
	cv_budget_make(&sure, &plan.limits, &plan.rate, NULL);
	must_equal(70000, unsure.tokens);
	must_equal((int64_t)((100000 - 8192) * 0.95), sure.tokens);
	must(unsure.by_window && sure.by_window);
}

/* The endpoint remembers how a request began: it begins the same for some turns. */
static void a_window_is_cut_in_steps(void **state)
{
	const struct context_plan plan = {.limits = {.window = 4096}};
	struct fixture *f = *state;
	const char *first = NULL;
	int moved = 0;

	say_hundreds(f, 30);
	for (int i = 0; i < 24; i++) {
		struct sent sent;
		const char *begins = "";

		say(f, test_text("t%d", i), "user", test_text("question %d", i));
		say(f, test_text("t%d", i), "assistant", test_text("%0480d", i));
		make_plan(&sent, f, 0, &plan);
		must(sent.context.left_out > 0);
		for (size_t k = 0; k < convo_session_count(sent.session); k++) {
			const struct convo_event *event = convo_session_event(sent.session, k);

			if (event->message == sent.context.sent.messages[0].json)
				begins = test_text("%lld", (long long)event->seq);
		}
		moved += first && strcmp(first, begins) != 0;
		first = begins;
		sent_clear(&sent);
	}
	must(moved >= 1 && moved <= 16);
}

/* ---- roles in turn -------------------------------------------------------------------------- */

static void must_send_rules(struct fixture *f, struct parcel_rules rules, const char *want)
{
	const struct context_plan plan = {.rules = rules};
	struct sent sent;

	make_plan(&sent, f, 0, &plan);
	must_equal_str(want, sent_text(&sent));
	sent_clear(&sent);
}

static void neighbours_are_joined_filled_or_kept(void **state)
{
	struct fixture *f = *state;

	say(f, "1", "user", "a");
	say(f, "2", "user", "b");
	say(f, "3", "assistant", "c");
	say(f, "4", "user", "d");
	must_send_rules(f, (struct parcel_rules){.alternate = CONVO_ALTERNATE_JOIN}, "a+b c d+?");
	must_send_rules(f, (struct parcel_rules){.alternate = CONVO_ALTERNATE_FILL},
			"a (no answer) b c d (no answer) ?");
	must_send_rules(f, (struct parcel_rules){.alternate = CONVO_ALTERNATE_KEEP}, "a b c d ?");
}

static void strict_turns_join_whatever_can_be_joined(void **state)
{
	struct fixture *f = *state;

	say_json(f, "1", "{\"role\":\"user\",\"content\":\"a\",\"name\":\"ann\"}");
	say_json(f, "2", "{\"role\":\"user\",\"content\":\"b\",\"name\":\"bob\"}");
	say(f, "2", "assistant", "c");
	say(f, "2", "assistant", "d");
	say(f, "3", "system", "be kind");
	must_send_rules(f, (struct parcel_rules){0}, "a b c d be kind ?");
	must_send_rules(f, (struct parcel_rules){.strict = true}, "a+b c+d be kind+?");
}

static void without_a_system_role_the_instruction_is_the_users(void **state)
{
	const struct context_plan plan = {.rules = {.no_system = true}};
	struct convo_message instruction = message_of("{\"role\":\"system\",\"content\":\"be\"}");
	struct runner_context context = {0};
	struct convo_err err;

	(void)state;
	must_pass(cv_context_make(&context, NULL, &plan, instruction, &asked, 1, &err));
	must_equal(1, context.sent.count);
	must_equal_str("{\"role\":\"user\",\"content\":\"be\\n\\n?\"}",
		       context.sent.messages[0].json);
	must_equal(context.sent.messages[0].len, context.sent.bytes);
	cv_context_clear(&context);
}

static void the_reach_of_limits_bounds_what_must_be_loaded(void **state)
{
	(void)state;
	must(cv_budget_reach(&(struct context_limits){0}) == SIZE_MAX);
	must_equal(0, cv_budget_reach(&(struct context_limits){.messages = 1}));
	must_equal(19, cv_budget_reach(&(struct context_limits){.messages = 20}));
	must_equal(25, cv_budget_reach(&(struct context_limits){.tokens = 100}));
	must_equal(19, cv_budget_reach(&(struct context_limits){.messages = 20, .tokens = 4000}));
	must_equal(512, cv_budget_reach(&(struct context_limits){.tokens = 4000, .window = 2048}));
}

/* ---- any history, any window ---------------------------------------------------------- */

#define OPEN_TURNS 3

struct open_turn {
	int number; /* 0: none */
	int said;
	int calls; /* of the last message, that wait for results */
};

struct history {
	struct fixture *f;
	struct test_rng rng;
	struct open_turn turn[OPEN_TURNS];
	int turns, events;
	bool undone[256];
};

/* A message that tells where it comes from: "<turn>.<event>". */
static void history_say(struct history *h, struct open_turn *turn, const char *role,
			const char *more)
{
	struct convo_err err;
	char message[2048], name[16];
	const struct convo_event event = {.turn = name, .message = message};

	h->events++;
	snprintf(name, sizeof(name), "t%d", turn->number);
	snprintf(message, sizeof(message), "{\"role\":\"%s\",\"content\":\"%d.%d\"%s}", role,
		 turn->number, h->events, more);
	must_pass(convo_store_append(h->f->store, &key, NULL, &event, 1, NULL, NULL, &err));
	turn->said++;
}

static void history_call(struct history *h, struct open_turn *turn)
{
	char list[512];
	size_t n = test_rng_below(&h->rng, 3) + 1, len = 0;

	len += (size_t)snprintf(list, sizeof(list), ",\"tool_calls\":[");
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s{\"id\":\"c%zu\"}",
					i ? "," : "", i);
	snprintf(list + len, sizeof(list) - len, "]");
	history_say(h, turn, "assistant", list);
	turn->calls = (int)n;
}

static void history_step(struct history *h)
{
	struct open_turn *turn = &h->turn[test_rng_below(&h->rng, OPEN_TURNS)];
	char more[64];

	if (!turn->number) {
		*turn = (struct open_turn){.number = ++h->turns};
		if (test_rng_below(&h->rng, 10))
			history_say(h, turn, "user", "");
		return;
	}
	switch (test_rng_below(&h->rng, turn->calls ? 3 : 8)) {
	case 0: /* close it, answered or not */
		if (test_rng_below(&h->rng, 4))
			history_say(h, turn, "assistant", "");
		turn->number = 0;
		return;
	case 1:
	case 2:
		snprintf(more, sizeof(more), ",\"tool_call_id\":\"c%d\"", turn->calls - 1);
		history_say(h, turn, "tool", more);
		turn->calls -= turn->calls ? 1 : 0;
		return;
	case 3:
		history_call(h, turn);
		return;
	case 4:
		say_undo(h->f, test_text("t%d", turn->number));
		h->undone[turn->number] = true;
		h->events++;
		return;
	case 5:
		say_json(h->f, test_text("t%d", turn->number),
			 "{\"role\":\"assistant\",\"content\":null}");
		h->events++;
		return;
	default:
		history_say(h, turn, test_rng_below(&h->rng, 2) ? "user" : "assistant", "");
	}
}

static bool message_role(const struct convo_message *m, const char *role)
{
	struct cv_text json = {m->json, m->len};

	return cv_text_is(cv_json_find(json, "role"), test_text("\"%s\"", role));
}

static bool message_calls(const struct convo_message *m)
{
	return cv_message_look(m->json, m->len).calls;
}

/* The results after a call are exactly those it asked for; returns where they end. */
static size_t check_pair(const struct runner_context *context, size_t i)
{
	struct cv_text json = {context->sent.messages[i].json, context->sent.messages[i].len}, call;
	struct cv_text list = cv_json_find(json, "tool_calls");
	size_t pos = 0, calls = 0, end = i + 1;

	while (end < context->sent.count && message_role(&context->sent.messages[end], "tool"))
		end++;
	while (cv_json_element(list, &pos, &call)) {
		struct cv_text id = cv_json_find(call, "id");
		size_t found = 0;

		calls++;
		for (size_t j = i + 1; j < end; j++) {
			struct cv_text m = {context->sent.messages[j].json,
					    context->sent.messages[j].len};
			struct cv_text of = cv_json_find(m, "tool_call_id");

			found += of.len == id.len && memcmp(of.data, id.data, id.len) == 0;
		}
		must_equal(1, found);
	}
	must_equal(calls, end - i - 1);
	return end;
}

/* What a message says, which may be several things said one after the other: each tells its turn. */
static void check_said(const struct history *h, char *text, int *turn, int *event, bool cut)
{
	char *next;

	for (; text; text = next) {
		int was = *turn, before = *event;

		next = strstr(text, "\n\n");
		if (next) {
			*next = '\0';
			next += 2;
		}
		if (strcmp(text, "?") == 0) {
			must(!next);
			return;
		}
		must_equal(2, sscanf(text, "%d.%d", turn, event));
		must(*turn != was || *event > before);
		must(!h->undone[*turn] || cut);
	}
}

static void check_rules(const struct history *h, const struct sent *sent, size_t messages)
{
	const struct runner_context *context = &sent->context;
	size_t n = context->sent.count - 1, i = 0;
	int turn = 0, event = 0;

	must(n == 0 || message_role(&context->sent.messages[0], "user"));
	must(!messages || context->sent.count <= messages);
	must(message_role(&context->sent.messages[n], "user"));
	while (i < n) {
		must(!message_role(&context->sent.messages[i], "tool"));
		i = message_calls(&context->sent.messages[i]) ? check_pair(context, i) : i + 1;
	}
	for (i = 0; i <= n; i++) {
		const struct convo_message *m = &context->sent.messages[i];
		struct convo_err err;
		char *text = NULL;

		must(!message_role(m, "control"));
		must(!i || !message_role(m, "user") || !message_role(m - 1, "user"));
		must_pass(convo_message_text(&text, m->json, m->len, &err));
		must(i < n || strcmp(text + strlen(text) - 1, "?") == 0);
		check_said(h, text, &turn, &event, messages != 0);
		free(text);
	}
}

/* Every message of the session is either sent or counted. */
static void check_count(const struct sent *sent)
{
	size_t loaded;
	const struct convo_event **events, *all = test_events(sent->session, &loaded);
	int64_t used, unseen = convo_session_meta(sent->session)->count - (int64_t)loaded;

	(void)all;
	events = calloc(loaded + 1, sizeof(struct convo_event *));
	used = convo_session_conversation(sent->session, events);
	free(events);
	must_equal(used + unseen, sent->context.sent.count - 1 + sent->context.sent.joined +
					  sent->context.left_out);
	must_equal(sent->context.left_out == 0, !sent->context.why);
}

static void every_window_of_any_history_obeys_the_rules(void **state)
{
	struct history h = {.f = *state};
	struct convo_err err;

	test_rng_init(&h.rng);
	for (int run = 0; run < 30; run++) {
		struct sent sent;

		memset(h.turn, 0, sizeof(h.turn));
		memset(h.undone, 0, sizeof(h.undone));
		h.turns = h.events = 0;
		while (h.turns < 12)
			history_step(&h);
		for (int window = 0; window <= h.events; window++) {
			make(&sent, h.f, (size_t)window, 0, 0);
			/* a window may begin after the marker of a turn that ended later */
			check_rules(&h, &sent, window ? SIZE_MAX : 0);
			check_count(&sent);
			sent_clear(&sent);
			make(&sent, h.f, 0, (size_t)window + 1, 0);
			check_rules(&h, &sent, (size_t)window + 1);
			check_count(&sent);
			sent_clear(&sent);
		}
		must_pass(convo_store_delete(h.f->store, &key, NULL, &err));
		must_pass(convo_store_create(h.f->store, &key, NULL, NULL, NULL, &err));
	}
}

static void every_allocation_of_a_context_may_fail(void **state)
{
	const struct context_plan plan = {.limits = {.messages = 4, .tokens = 1000},
					  .rules = {.strict = true, .no_system = true}};
	struct fixture *f = *state;
	convo_session *session = NULL;
	struct convo_err err;

	say_turns(f, 3);
	say_json(f, "x", CALLS("call", CALL("x")));
	say(f, "z", "user", "unanswered");
	say_undo(f, "\\u0078y");
	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	for (size_t n = 1; test_oom_at(n); n++) {
		struct runner_context context = {0};
		int rc = cv_context_make(&context, session, &plan, message_of(NULL), &asked, 1,
					 NULL);

		must_equal(test_oom_end() ? CONVO_E_NOMEM : 0, rc);
		cv_context_clear(&context);
	}
	convo_session_free(session);
}

/* ---- titles --------------------------------------------------------------------------- */

static void must_title(const char *want, const char *text)
{
	char title[TITLE_SIZE];

	cv_title_make(title, text, strlen(text));
	must_equal_str(want, title);
}

static void titles_are_one_clean_line(void **state)
{
	(void)state;
	must_title("Hello there", "Hello there");
	must_title("one line", "\n\t  one \t line \nand another");
	must_title("red", "\x1b"
			  "red");
	must_title("[31mred", "\x1b[31mred\xc2\x9b\xe2\x80\xae");
	must_title("", "");
	must_title("", "\x01\x02 \n ");
}

static void long_titles_are_cut_at_a_whole_character(void **state)
{
	static const char dots[] = "\xe2\x80\xa6";
	char sixty[61], family[2000] = "";

	(void)state;
	memset(sixty, 'x', 60);
	sixty[60] = '\0';
	must_title(sixty, sixty);
	must_title(test_text("%.59s%s", sixty, dots), test_text("%sy", sixty));
	must_title(test_text("%.58s%s", sixty, dots),
		   test_text("%.58s\xe6\x97\xa5\xe6\x9c\xac", sixty));
	must_title(test_text("%.58s\xe6\x97\xa5", sixty), test_text("%.58s\xe6\x97\xa5", sixty));
	/* combining characters take no column, but they take bytes */
	for (int i = 0; i < 500; i++)
		strcat(family, "\xcc\x81");
	must(strlen(test_text("%s", family)) == 1000);
	{
		char title[TITLE_SIZE];

		cv_title_make(title, family, strlen(family));
		must_equal(255, strlen(title));
		must(strcmp(title + strlen(title) - 3, dots) == 0);
	}
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest context[] = {
		with_store(an_empty_session_sends_the_question_alone),
		cmocka_unit_test(no_session_sends_instruction_and_question),
		with_store(turns_that_ran_at_once_are_put_together),
		with_store(a_turn_taken_back_is_not_sent),
		with_store(a_marker_may_escape_the_turn),
		with_store(a_control_event_that_names_nothing_is_harmless),
		with_store(answers_without_content_are_not_sent),
		with_store(answers_of_every_kind_are_sent),
		with_store(thinking_is_not_counted_as_sent),
		with_store(answered_calls_are_sent_with_their_results),
		with_store(an_unanswered_call_is_left_out_and_said),
		with_store(results_that_nobody_called_for_are_left_out),
		with_store(calls_with_one_id_need_as_many_results),
		with_store(calls_without_ids_or_objects_are_unanswered),
		with_store(the_newest_messages_are_sent_the_question_included),
		with_store(a_cut_never_begins_with_an_answer),
		with_store(events_outside_the_window_count_as_left_out),
		with_store(a_conversation_that_begins_with_an_answer_says_so),
		with_store(a_token_limit_is_kept_by_estimate),
		with_store(the_last_answer_tells_what_an_estimate_is_worth),
		with_store(what_no_factor_explains_is_not_in_the_messages),
		with_store(useless_measures_are_passed_over),
		with_store(a_factor_of_the_model_counts_until_the_session_has_its_own),
		with_store(a_window_keeps_room_for_the_answer_and_says_so),
		with_store(a_window_is_cut_in_steps),
		with_store(neighbours_are_joined_filled_or_kept),
		with_store(strict_turns_join_whatever_can_be_joined),
		cmocka_unit_test(a_short_request_teaches_little),
		cmocka_unit_test(before_an_answer_a_window_is_filled_less),
		cmocka_unit_test(without_a_system_role_the_instruction_is_the_users),
		cmocka_unit_test(the_reach_of_limits_bounds_what_must_be_loaded),
		with_store(every_window_of_any_history_obeys_the_rules),
		with_store(every_allocation_of_a_context_may_fail),
		cmocka_unit_test(titles_are_one_clean_line),
		cmocka_unit_test(long_titles_are_cut_at_a_whole_character),
	};

	return TEST_RUN(context);
}
