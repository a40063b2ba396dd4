/*
 * Summaries of long sessions: what was said early is still known late, what was taken back is in none, and
 * whatever fails, is killed or happens at once, there is one summary or none, and no question waits.
 */
#include "support/strict_llm.h"
#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convo/convo.h>

#include <base/clock.h>
#include <base/json.h>
#include <runner/runner.h>
#include <runner/summarizer.h>
#include <runner/summary.h>

#include "support/fake_llm.h"
#include "support/oom.h"

static const struct convo_key key = {"app", "ann", "s"};

/* The requests of the conversation, as the endpoint saw them. */
struct seen {
	pthread_mutex_t lock;
	struct cv_buf last, before;
	size_t anew; /* how often one did not begin as the one before */
};

struct fixture {
	struct strict_llm strict;
	struct convo_store_options store_options;
	struct seen seen;
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	struct convo_turn *turn;
};

static void see(void *ctx, const char *messages, size_t len)
{
	struct seen *seen = ctx;

	pthread_mutex_lock(&seen->lock);
	cv_buf_reset(&seen->before);
	cv_buf_add(&seen->before, cv_buf_str(&seen->last), seen->last.len);
	cv_buf_reset(&seen->last);
	cv_buf_add(&seen->last, messages, len);
	/* all but the bracket at its end */
	if (seen->before.len && strncmp(seen->before.data, seen->last.data, seen->before.len - 1))
		seen->anew++;
	pthread_mutex_unlock(&seen->lock);
}

static void open_runner(struct fixture *f, const struct convo_runner_options *opts)
{
	struct convo_runner_options full = opts ? *opts : (struct convo_runner_options){0};
	struct convo_err err;

	full.store = f->store;
	full.model = f->model;
	full.app = "app";
	full.instruction = "You are a helpful assistant.";
	if (!opts)
		full.summaries = CONVO_SUMMARIES_ON;
	must_pass(convo_runner_new(&f->runner, &full, &err));
}

static void begin(struct fixture *f, const struct convo_runner_options *opts)
{
	struct convo_model_options endpoint = {.max_retries = CONVO_OFF};
	struct convo_err err;

	pthread_mutex_init(&f->seen.lock, NULL);
	f->strict.seen = see;
	f->strict.ctx = &f->seen;
	strict_llm_start(&f->strict);
	endpoint.base_url = fake_llm_base(f->strict.server);
	must_pass(convo_store_open(&f->store, "memory:", &f->store_options, &err));
	must_pass(convo_model_open(&f->model, "strict", &endpoint, &err));
	open_runner(f, opts);
}

static void end(struct fixture *f)
{
	f->strict.sums = SUMS_FACTS;
	convo_turn_free(f->turn);
	convo_runner_free(f->runner);
	convo_model_close(f->model);
	convo_store_close(f->store);
	strict_llm_stop(&f->strict);
	cv_buf_clear(&f->seen.last);
	cv_buf_clear(&f->seen.before);
	pthread_mutex_destroy(&f->seen.lock);
}

static void ask(struct fixture *f, const char *text)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = text, .whole = true};
	struct convo_err err;

	convo_turn_free(f->turn);
	f->turn = NULL;
	must_pass(convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
}

/* Until what is to be summed up is. */
static void settle(struct fixture *f)
{
	for (int i = 0; i < 6000 && cv_summarizer_busy(f->runner->summarizer); i++)
		poll(NULL, 0, 5);
	must(!cv_summarizer_busy(f->runner->summarizer));
}

static bool sent(struct fixture *f, const char *words)
{
	bool found;

	pthread_mutex_lock(&f->seen.lock);
	found = strstr(cv_buf_str(&f->seen.last), words) != NULL;
	pthread_mutex_unlock(&f->seen.lock);
	return found;
}

static convo_session *load(convo_store *store)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	return session;
}

static bool is_summary(const struct convo_event *event)
{
	return strcmp(event->role, "control") == 0 && strstr(event->message, "\"summary\"");
}

static size_t count_summaries(convo_store *store)
{
	convo_session *session = load(store);
	size_t count = 0;

	for (size_t i = 0; i < convo_session_count(session); i++)
		count += is_summary(convo_session_event(session, i));
	convo_session_free(session);
	return count;
}

static int64_t number_of(struct cv_text object, const char *name)
{
	struct cv_text value = cv_json_find(object, name);

	must_equal(JSON_KIND_NUMBER, cv_json_kind(value));
	return strtoll(value.data, NULL, 10);
}

/* Append turns of so many words each without asking anybody; the first says a fact. */
static void fill(convo_store *store, const char *fact, int turns, size_t words)
{
	struct cv_buf text = {0};
	struct convo_err err;

	convo_store_create(store, &key, NULL, NULL, NULL, &err);
	for (int i = 0; i < turns; i++) {
		const char *turn = test_text("%s-%d", fact, i);
		struct convo_event events[2] = {{.turn = turn}, {.turn = turn}};
		char *said[2];

		cv_buf_reset(&text);
		cv_buf_addf(&text, "%s ", i ? "well" : fact);
		for (size_t w = 0; w < words; w++)
			cv_buf_adds(&text, "word ");
		must_pass(convo_message_make(&said[0], "user", text.data, text.len, &err));
		must_pass(convo_message_make(&said[1], "assistant", "yes, I see", 10, &err));
		events[0].message = said[0];
		events[1].message = said[1];
		must_pass(convo_store_append(store, &key, NULL, events, 2, NULL, NULL, &err));
		convo_free(said[0]);
		convo_free(said[1]);
	}
	cv_buf_clear(&text);
}

static int summarize(convo_runner *runner, struct convo_err *err)
{
	return convo_runner_summarize(runner, "ann", "s", NULL, err);
}

/* ---- remembering ------------------------------------------------------------------------------ */

static void what_was_said_in_turn_3_is_sent_in_turn_200(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1.1, .lists = true, .answer = 20}};

	(void)state;
	begin(&f, NULL);
	for (int i = 1; i <= 200; i++) {
		ask(&f, i == 3 ? "remember this: fact-zanzibar"
			       : test_text("and what of number %d, please?", i));
		settle(&f);
	}
	must(sent(&f, "fact-zanzibar"));
	must(sent(&f, "Summary of the conversation so far: "));
	must(f.strict.too_long <= 1); /* where the list came late */
	must_equal(0, f.turn->left_out);
	must(f.turn->summarized > 300 && f.turn->summary_seq > 0);
	/* big steps: each takes some turns */
	must(f.strict.summaries >= 3 && f.strict.summaries <= 50);
	must_equal(f.strict.summaries, count_summaries(f.store));
	/* and each moves the beginning once */
	must(f.seen.anew <= f.strict.summaries + 1 + 2 * f.strict.too_long);
	test_say("%zu summaries of %zu messages, %zu requests begun anew", f.strict.summaries,
		 f.turn->summarized, f.seen.anew);
	end(&f);
}

static void no_question_waits_for_a_summary(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1, .lists = true, .answer = 20}};

	(void)state;
	f.strict.sums = SUMS_NEVER;
	begin(&f, NULL);
	for (int i = 1; i <= 60; i++)
		ask(&f,
		    i == 3 ? "remember this: fact-zanzibar" : "and what of this, please, tell me?");
	must_equal(1, f.strict.summaries);
	must_equal(0, f.turn->summarized);
	must(f.turn->left_out > 0); /* the window is cut as ever */
	must(f.strict.too_long <= 1);
	must(!sent(&f, "fact-zanzibar"));
	/* and when it comes at last, it is used: what was asked meanwhile does not make it void */
	f.strict.sums = SUMS_FACTS;
	settle(&f);
	ask(&f, "and now?");
	settle(&f);
	ask(&f, "and now?");
	must(sent(&f, "fact-zanzibar"));
	end(&f);
}

static void what_an_event_limit_removes_is_summed_up_before(void **state)
{
	const struct convo_runner_options opts = {.summaries = CONVO_SUMMARIES_ON,
						  .summary_events = 28};
	struct fixture f = {.strict = {.rate = 1, .answer = 5},
			    .store_options = {.event_limit = 40}};

	(void)state;
	begin(&f, &opts);
	for (int i = 1; i <= 150; i++) {
		ask(&f, i == 1 ? "remember this: fact-zanzibar" : "and what of this?");
		settle(&f);
	}
	must(sent(&f, "fact-zanzibar"));
	must(f.turn->summarized >= 250);
	must(f.strict.summaries < 25);
	end(&f);
}

/* With a bound on messages the newest summary is farther back than what is sent. */
static void a_summary_is_found_behind_a_bound_on_messages(void **state)
{
	const struct convo_runner_options opts = {
		.summaries = CONVO_SUMMARIES_ON, .summary_events = 60, .context_messages = 5};
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};

	(void)state;
	begin(&f, &opts);
	for (int i = 1; i <= 100; i++) {
		ask(&f, i == 1 ? "remember this: fact-zanzibar" : "and what of this?");
		settle(&f);
	}
	must(sent(&f, "fact-zanzibar"));
	must(f.strict.summaries <= 6);
	must(f.turn->left_out > 0 && f.turn->summarized > 0);
	end(&f);
}

static void a_new_runner_goes_on_with_the_summary_that_is_stored(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1, .answer = 20}};
	const struct convo_runner_options off = {0};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 20, 10);
	must_pass(summarize(f.runner, &err));
	convo_runner_free(f.runner);
	open_runner(&f, &off);
	ask(&f, "and now?");
	must(sent(&f, "fact-zanzibar"));
	must_equal(32, f.turn->summarized);
	must_equal(0, f.turn->left_out);
	must_equal(0, f.turn->joined);
	must_equal(10, f.turn->sent); /* the instruction, 8 messages, the question */
	end(&f);
}

/* ---- what is never in one --------------------------------------------------------------------- */

static void what_is_taken_back_is_in_no_summary_that_is_sent(void **state)
{
	struct fixture f = {.strict = {.window = 1024, .rate = 1, .lists = true, .answer = 10}};
	bool gone[120] = {false};
	int last[120], depth = 0;
	struct test_rng rng;
	struct convo_err err;

	(void)state;
	test_rng_init(&rng);
	begin(&f, NULL);
	fill(f.store, "fact-first", 30, 30); /* so that the window is soon known */
	for (int i = 0; i < 120; i++) {
		ask(&f, test_text("this is fact-n%d, with some words around it", i));
		last[depth++] = i;
		if (test_rng_below(&rng, 2))
			settle(&f);
		/* now and then many: back behind a summary */
		for (size_t n = test_rng_below(&rng, 8) ? test_rng_below(&rng, 2)
							: test_rng_below(&rng, 15);
		     n && depth; n--) {
			must_pass(convo_runner_undo(NULL, f.runner, "ann", "s", NULL, &err));
			gone[last[--depth]] = true;
		}
		for (int j = 0; j < i; j++) {
			if (!gone[j] || last[depth ? depth - 1 : 0] == i)
				continue;
			must(!sent(&f, test_text("fact-n%d.", j)) || gone[j]);
		}
	}
	settle(&f);
	ask(&f, "and now?");
	settle(&f);
	ask(&f, "and now?");
	for (int j = 0; j < 120; j++) {
		bool there =
			sent(&f, test_text("fact-n%d.", j)) || sent(&f, test_text("fact-n%d,", j));

		if (there == gone[j])
			must_not_reach("fact %d is %s", j, gone[j] ? "not gone" : "lost");
	}
	must(sent(&f, "fact-first."));
	test_say("%zu summaries", f.strict.summaries);
	end(&f);
}

static void a_turn_that_is_taken_back_while_it_is_summed_up_makes_that_void(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_NEVER;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 12, 10);
	cv_summarizer_offer(f.runner, &key,
			    &(struct ask){.budget = {.tokens = 1000, .factor = 1}, .uncut = 5000},
			    &(struct convo_answer){.message = "{}", .message_len = 2});
	settle(&f); /* it is not due: no limit is known */
	must_equal(0, f.strict.summaries);
	f.strict.sums = SUMS_FACTS;
	must_pass(summarize(f.runner, &err));
	must_equal(1, count_summaries(f.store));
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar."));
	/* 4 turns are kept, and one was asked: the sixth is covered */
	for (int i = 0; i < 5; i++)
		must_pass(convo_runner_undo(NULL, f.runner, "ann", "s", NULL, &err));
	ask(&f, "now?");
	must(sent(&f, "Summary of the conversation"));
	must_pass(convo_runner_undo(NULL, f.runner, "ann", "s", NULL, &err));
	must_pass(convo_runner_undo(NULL, f.runner, "ann", "s", NULL, &err));
	ask(&f, "now?");
	must(!sent(&f, "Summary of the conversation"));
	must(sent(&f, "fact-zanzibar "));
	must_equal(0, f.turn->summarized);
	must_equal(0, f.turn->left_out);
	end(&f);
}

/* Turns of several programs alternate; calls have results. No summary ends amid any of them. */
static void no_summary_ends_within_a_turn(void **state)
{
	struct test_rng rng;
	struct convo_err err;
	size_t made = 0;

	(void)state;
	test_rng_init(&rng);
	for (int round = 0; round < 40; round++) {
		struct fixture f = {.strict = {.rate = 1, .answer = 5}};
		convo_session *session;
		struct summary summary;
		int rc;

		begin(&f, NULL);
		must_pass(convo_store_create(f.store, &key, NULL, NULL, NULL, &err));
		for (int i = 0; i < 40; i++) {
			const char *said[] = {
				"{\"role\":\"user\",\"content\":\"fact-a and some more words\"}",
				("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
				 "\"1\"}]}"),
				"{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"result\"}",
				"{\"role\":\"assistant\",\"content\":\"yes\"}"};
			size_t turn = (size_t)i / 4 + test_rng_below(&rng, 2);
			struct convo_event event = {.turn = test_text("t%zu", turn),
						    .message = said[test_rng_below(&rng, 4)]};

			must_pass(convo_store_append(f.store, &key, NULL, &event, 1, NULL, NULL,
						     &err));
		}
		rc = summarize(f.runner, &err);
		must(rc == 0 || rc == CONVO_E_NOTFOUND);
		session = load(f.store);
		must(cv_summary_find(&summary, session) == 0);
		made += summary.seq != 0;
		for (size_t i = 0; i < convo_session_count(session) && summary.seq; i++) {
			const struct convo_event *one = convo_session_event(session, i);

			for (size_t j = 0; j < convo_session_count(session) && one->turn; j++) {
				const struct convo_event *other = convo_session_event(session, j);

				must(!other->turn || strcmp(one->turn, other->turn) != 0 ||
				     (one->seq <= summary.upto_seq) ==
					     (other->seq <= summary.upto_seq));
			}
		}
		convo_session_free(session);
		end(&f);
	}
	must(made > 5);
	test_say("%zu of 40 had a place to end at", made);
}

/* Whoever can write can write nonsense. */
static void what_makes_no_sense_is_no_summary(void **state)
{
	static const char *const extras[] = {
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":99,\"messages\":3,\"text\":\"x\"}}",
		"{\"summary\":{\"from_seq\":3,\"upto_seq\":2,\"messages\":3,\"text\":\"x\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":2,\"messages\":3,\"text\":\"\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":2,\"messages\":3,\"text\":7}}",
		"{\"summary\":{\"from_seq\":-1,\"upto_seq\":2,\"text\":\"x\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":2.5,\"text\":\"x\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":1234567890123456789012,\"text\":\"x\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":2,\"text\":\"x\",\"turns\":\"other\"}}",
		"{\"summary\":{\"from_seq\":1,\"upto_seq\":2,\"text\":\"x\"}}",
		"{\"summary\":[1]}",
		"{\"summary\":null}"};
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 3, 10);
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		const struct convo_event event = {
			.message = "{\"role\":\"control\",\"content\":\"summary\"}",
			.extra = extras[i]};

		must_pass(convo_store_append(f.store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	ask(&f, "now?");
	must(!sent(&f, "Summary of the conversation"));
	must(sent(&f, "fact-zanzibar"));
	must_equal(0, f.turn->summarized);
	end(&f);
}

/* ---- what a model can give ---------------------------------------------------------------------- */

static void an_empty_summary_is_a_failure(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_context *context = NULL;
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_NOTHING;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 20, 10);
	must_fail_with(CONVO_E_REFUSED, summarize(f.runner, &err));
	must_equal(0, count_summaries(f.store));
	must_pass(convo_runner_context(&context, f.runner, "ann", "s", NULL, &err));
	must(context->summary_error != NULL);
	must_equal(0, context->summary_seq);
	convo_context_free(context);
	f.strict.sums = SUMS_FACTS;
	must_pass(summarize(f.runner, &err));
	must_pass(convo_runner_context(&context, f.runner, "ann", "s", NULL, &err));
	must_equal_str(NULL, context->summary_error);
	must_equal(41, context->summary_seq);
	must_equal(32, context->summarized);
	convo_context_free(context);
	end(&f);
}

static void a_summary_that_is_too_long_is_cut_at_a_sentence(void **state)
{
	const struct convo_runner_options opts = {.summaries = CONVO_SUMMARIES_ON,
						  .context_tokens = 1000};
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct summary summary;
	convo_session *session;
	struct cv_text facts;
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_AT_LENGTH;
	begin(&f, &opts);
	fill(f.store, "fact-zanzibar", 20, 50);
	must_pass(summarize(f.runner, &err));
	session = load(f.store);
	must(cv_summary_find(&summary, session) == 0 && summary.seq);
	must(strncmp(summary.text.data + summary.text.len - 8, "little.\"", 8) == 0);
	facts = cv_json_find(
		cv_text_of(convo_session_event(session, (size_t)summary.seq - 1)->extra),
		"summary");
	must(number_of(facts, "tokens") <= 250 && number_of(facts, "tokens") > 150);
	must_equal(1, number_of(facts, "prompt"));
	must_equal(summary.upto_seq, number_of(facts, "messages"));
	convo_session_free(session);
	end(&f);
}

static void a_summary_that_is_longer_than_what_it_sums_up_is_refused(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_AT_LENGTH;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 20, 10);
	must_fail_with(CONVO_E_REFUSED, summarize(f.runner, &err));
	must(strstr(err.text, "longer than what it sums up"));
	must_equal(0, count_summaries(f.store));
	end(&f);
}

static void what_failed_rests_before_it_is_tried_again(void **state)
{
	struct fixture f = {.strict = {.window = 1024, .rate = 1, .lists = true, .answer = 10}};
	int64_t then;

	(void)state;
	f.strict.sums = SUMS_REFUSED;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 60, 30);
	ask(&f, "now?"); /* refused once: from then on the window is known */
	settle(&f);
	must_equal(1, f.strict.summaries);
	for (int i = 0; i < 5; i++) {
		ask(&f, "now?");
		settle(&f);
	}
	must_equal(1, f.strict.summaries); /* a minute has not passed */
	must(f.turn->left_out > 0);
	convo_runner_free(f.runner);
	open_runner(&f, NULL);
	cv_summarizer_rest(f.runner->summarizer, 300000);
	f.strict.summaries = 0;
	then = cv_clock_mono_us();
	while (f.strict.summaries < 3) {
		ask(&f, "now?");
		settle(&f);
	}
	must(cv_clock_mono_us() - then >= 900000); /* once, twice */
	f.strict.sums = SUMS_FACTS;
	for (int i = 0; i < 400 && !f.turn->summarized; i++) {
		poll(NULL, 0, 20);
		ask(&f, "now?");
		settle(&f);
	}
	must(sent(&f, "fact-zanzibar."));
	end(&f);
}

static void what_is_longer_than_the_model_takes_is_summed_up_in_steps(void **state)
{
	struct fixture f = {.strict = {.window = 2048, .rate = 1, .answer = 10}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 100, 50);
	fill(f.store, "fact-madagascar", 100, 50);
	must_pass(summarize(f.runner, &err)); /* nothing is known at first: some are refused */
	must(f.strict.summaries >= 5);
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar.") && sent(&f, "fact-madagascar."));
	must_equal(0, f.turn->left_out);
	end(&f);
}

/* Another model, with more room, made it: it leaves none for anything else. */
static void a_summary_that_another_model_had_room_for_is_made_shorter(void **state)
{
	const struct convo_runner_options all = {0}, few = {.summaries = CONVO_SUMMARIES_ON,
							    .context_tokens = 700};
	struct fixture f = {.strict = {.rate = 1, .answer = 10}};
	struct convo_err err;

	(void)state;
	begin(&f, &all);
	for (int i = 0; i < 300; i++)
		fill(f.store, test_text("fact-zanzibar-%d", i), 1, 3);
	must_pass(summarize(f.runner, &err));
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar-0.") && sent(&f, "fact-zanzibar-295."));
	must_equal(592, f.turn->summarized);
	convo_runner_free(f.runner);
	open_runner(&f, &few);
	ask(&f, "now?"); /* without it: the newest that fit */
	must_equal(0, f.turn->summarized);
	must(f.turn->left_out > 500);
	settle(&f);
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar-0.") && !sent(&f, "fact-zanzibar-200."));
	must(f.turn->summarized >= 592);
	end(&f);
}

/* One message that the model could never read whole. */
static void a_message_that_is_longer_than_all_is_cut(void **state)
{
	struct fixture f = {.strict = {.window = 1024, .rate = 1, .lists = true, .answer = 10}};

	(void)state;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 1, 5000);
	fill(f.store, "fact-madagascar", 20, 10);
	ask(&f, "now?");
	settle(&f);
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar.") && sent(&f, "fact-madagascar"));
	end(&f);
}

/* ---- arguments --------------------------------------------------------------------------------- */

static void too_low_a_limit_is_refused(void **state)
{
	struct convo_runner_options opts = {.summaries = CONVO_SUMMARIES_ON, .context_tokens = 256};
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	convo_runner *runner = NULL;
	struct convo_err err;

	(void)state;
	begin(&f, &opts);
	opts.store = f.store;
	opts.model = f.model;
	opts.app = "app";
	opts.context_tokens = 255;
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	opts.context_tokens = 0;
	opts.summaries = 2;
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	opts.summaries = CONVO_SUMMARIES_OFF;
	opts.context_tokens = 255;
	must_pass(convo_runner_new(&runner, &opts, &err));
	must_fail_with(CONVO_E_NOTFOUND, summarize(runner, &err));
	fill(f.store, "fact-zanzibar", 20, 10);
	must_fail_with(CONVO_E_INVALID, summarize(runner, &err));
	convo_runner_free(runner);
	end(&f);
}

static void too_little_is_not_summed_up(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_err err;

	(void)state;
	begin(&f, NULL);
	must_fail_with(CONVO_E_NOTFOUND, summarize(f.runner, &err));
	fill(f.store, "fact-zanzibar", 4, 10);
	must_fail_with(CONVO_E_NOTFOUND, summarize(f.runner, &err));
	must_equal(0, f.strict.summaries);
	fill(f.store, "fact-madagascar", 4, 10);
	must_pass(summarize(f.runner, &err));
	must_fail_with(CONVO_E_NOTFOUND, summarize(f.runner, &err));
	must_equal(1, f.strict.summaries);
	end(&f);
}

/* Another model and other words; and what shapes answers is not sent with it. */
static int parrot(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		  void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct cv_buf *said = ctx;

	(void)cancel;
	(void)err;
	cv_buf_add(said, request->messages[0].json, request->messages[0].len);
	cv_buf_addf(said, "|%s", request->params ? request->params : "none");
	return emit(emit_ctx, CONVO_DELTA_TEXT, "fact-polly.", 11);
}

static void a_summary_can_be_made_by_another_model_in_other_words(void **state)
{
	struct convo_runner_options opts = {.summary_prompt = "Say it in short.",
					    .params = "{\"temperature\": 0.5, \"tools\":[{}],"
						      "\"max_tokens\":9 ,\"seed\":7}"};
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct cv_buf said = {0};
	struct convo_err err;

	(void)state;
	begin(&f, &opts);
	fill(f.store, "fact-zanzibar", 20, 10);
	must_pass(convo_model_from(&opts.summary_model, "parrot", parrot, &said, &err));
	convo_runner_free(f.runner);
	open_runner(&f, &opts);
	must_pass(summarize(f.runner, &err));
	must(strstr(said.data, "\"Say it in short.\\n\\n# Messages") && strstr(said.data, "|none"));
	must_equal(0, f.strict.requests);
	ask(&f, "now?");
	must(sent(&f, "fact-polly."));
	convo_runner_free(f.runner);
	convo_model_close(f.model);
	f.model = opts.summary_model;
	opts.summary_model = NULL;
	cv_buf_reset(&said);
	fill(f.store, "fact-madagascar", 20, 10);
	open_runner(&f, &opts);
	must_pass(summarize(f.runner, &err));
	must(strstr(said.data, "fact-polly.") && strstr(said.data, "fact-madagascar"));
	must(!strstr(said.data, "fact-zanzibar"));
	must(strstr(said.data, "|{\"temperature\": 0.5,\"seed\":7}"));
	end(&f);
	cv_buf_clear(&said);
}

/* ---- at once, and killed ------------------------------------------------------------------------- */

struct racer {
	convo_runner *runner[2];
	atomic_int won, lost;
	struct strict_llm *strict;
};

static void race(void *ctx, int index)
{
	struct racer *racer = ctx;
	struct convo_err err = {0};
	int rc;

	if (index == 2) { /* both have asked, then both are answered */
		while (racer->strict->summaries < 2)
			poll(NULL, 0, 1);
		racer->strict->sums = SUMS_FACTS;
		return;
	}
	rc = summarize(racer->runner[index], &err);
	must(rc == 0 || rc == CONVO_E_CONFLICT);
	racer->won += rc == 0;
	racer->lost += rc == CONVO_E_CONFLICT;
}

static void of_two_runners_at_once_one_stores_its_summary(void **state)
{
	struct fixture f = {.strict = {.rate = 1, .answer = 5}};
	struct convo_runner_options opts = {.app = "app"};
	struct racer racer = {.strict = &f.strict};
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_NEVER;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 20, 10);
	opts.store = f.store;
	opts.model = f.model;
	racer.runner[0] = f.runner;
	must_pass(convo_runner_new(&racer.runner[1], &opts, &err));
	test_threads(3, race, &racer);
	must_equal(1, racer.won);
	must_equal(1, racer.lost);
	must_equal(1, count_summaries(f.store));
	convo_runner_free(racer.runner[1]);
	end(&f);
}

/* Within a runner nobody asks twice. */
static void within_a_runner_one_waits_for_the_other(void **state)
{
	struct fixture f = {.strict = {.window = 1024, .rate = 1, .lists = true, .answer = 10}};
	struct convo_call call = {0};
	struct convo_err err;

	(void)state;
	f.strict.sums = SUMS_NEVER;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 60, 30);
	ask(&f, "now?");
	while (f.strict.summaries < 1)
		poll(NULL, 0, 1);
	must_pass(convo_cancel_new(&call.cancel, &err));
	convo_cancel_request(call.cancel);
	must_fail_with(CONVO_E_CANCELED, convo_runner_summarize(f.runner, "ann", "s", &call, &err));
	must_equal(1, f.strict.summaries);
	convo_cancel_free(call.cancel);
	end(&f);
}

static void a_runner_that_is_freed_stops_at_once(void **state)
{
	struct fixture f = {.strict = {.window = 1024, .rate = 1, .lists = true, .answer = 10}};
	int64_t then;

	(void)state;
	f.strict.sums = SUMS_NEVER;
	begin(&f, NULL);
	fill(f.store, "fact-zanzibar", 60, 30);
	ask(&f, "now?");
	while (f.strict.summaries < 1)
		poll(NULL, 0, 1);
	then = cv_clock_mono_us();
	convo_runner_free(f.runner);
	must(cv_clock_mono_us() - then < 5000000);
	must_equal(0, count_summaries(f.store));
	f.strict.sums = SUMS_FACTS;
	open_runner(&f, NULL);
	ask(&f, "now?");
	settle(&f);
	ask(&f, "now?");
	must(sent(&f, "fact-zanzibar."));
	end(&f);
}

/* A program that sums up, until it is killed. Its endpoint is its own: threads survive no fork(). */
static void program(const char *url)
{
	struct strict_llm strict = {.rate = 1, .answer = 5};
	struct convo_runner_options opts = {.app = "app"};
	struct convo_model_options endpoint = {0};
	convo_runner *runner = NULL;
	struct convo_err err;

	strict_llm_start(&strict);
	endpoint.base_url = fake_llm_base(strict.server);
	if (convo_store_open(&opts.store, url, NULL, &err) < 0 ||
	    convo_model_open(&opts.model, "strict", &endpoint, &err) < 0 ||
	    convo_runner_new(&runner, &opts, &err) < 0)
		_exit(1);
	_exit(summarize(runner, &err) < 0);
}

static void a_program_that_is_killed_leaves_one_summary_or_none(void **state)
{
#ifdef CONVO_WITH_SQLITE
	const char *url = test_text("sqlite://%s", test_path(test_dir(), "killed.db"));
	size_t before = 0, made = 0;
	convo_store *store = NULL;
	struct test_rng rng;
	struct convo_err err;

	(void)state;
	test_rng_init(&rng);
	for (int round = 0; round < 40; round++) {
		size_t after;
		int status;
		pid_t pid;

		must_pass(convo_store_open(&store, url, NULL, &err));
		fill(store, test_text("fact-n%d", round), 8, 10);
		convo_store_close(store);
		pid = fork();
		if (pid == 0)
			program(url);
		must(pid > 0);
		poll(NULL, 0, (int)test_rng_below(&rng, 60));
		if (round < 39) /* the last one lives */
			kill(pid, SIGKILL);
		must_equal(pid, waitpid(pid, &status, 0));
		must_pass(convo_store_open(&store, url, NULL, &err));
		after = count_summaries(store);
		convo_store_close(store);
		must(after == before || after == before + 1);
		made += after - before;
		before = after;
	}
	must(made > 0);
	test_say("%zu of 40 were done before they were killed", made);
#else
	(void)state;
	test_skip("no SQLite in this build");
#endif
}

static int plain_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	(void)ctx;
	(void)request;
	(void)cancel;
	(void)err;
	return emit(emit_ctx, CONVO_DELTA_TEXT, "A plain text. And more.", 23);
}

static void every_allocation_of_a_summary_may_fail(void **state)
{
	struct convo_runner_options opts = {.app = "app", .context_tokens = 1000};
	struct convo_context *context = NULL;
	convo_runner *runner = NULL;
	struct convo_err err;
	size_t failed = 0;

	(void)state;
	must_pass(convo_store_open(&opts.store, "memory:", NULL, &err));
	must_pass(convo_model_from(&opts.model, "plain", plain_answer, NULL, &err));
	must_pass(convo_runner_new(&runner, &opts, &err));
	fill(opts.store, "fact-zanzibar", 20, 10);
	must_pass(summarize(runner, &err));
	for (size_t n = 1; test_oom_at(n); n++) {
		int rc = summarize(runner, NULL);
		bool hit = test_oom_end();

		failed += hit;
		must(rc == CONVO_E_NOTFOUND || rc == CONVO_E_NOMEM);
		must(hit || rc == CONVO_E_NOTFOUND);
		if (rc == CONVO_E_NOTFOUND) /* one was stored, or there was nothing left */
			fill(opts.store, "fact-madagascar", 10, 10);
	}
	must(failed > 20);
	for (size_t n = 1; test_oom_at(n); n++) {
		int rc = convo_runner_context(&context, runner, "ann", "s", NULL, NULL);

		must_equal(test_oom_end() ? CONVO_E_NOMEM : 0, rc);
		convo_context_free(context);
		context = NULL;
	}
	convo_runner_free(runner);
	convo_model_close(opts.model);
	convo_store_close(opts.store);
}

/* ---- any endpoint -------------------------------------------------------------------------------- */

static void roles_alternate_with_a_summary_in_front(void **state)
{
	enum convo_alternate ways[] = {CONVO_ALTERNATE_JOIN, CONVO_ALTERNATE_FILL,
				       CONVO_ALTERNATE_KEEP};
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct convo_runner_options opts = {.alternate = ways[i % 3]};
		struct fixture f = {
			.strict = {
				.rate = 1, .alternates = true, .no_system = i >= 3, .answer = 5}};

		if (i == 4 || i == 5)
			continue; /* without a system message nothing but joining helps */
		begin(&f, &opts);
		fill(f.store, "fact-zanzibar", 20, 10);
		must_pass(summarize(f.runner, &err));
		must_equal(0, f.strict.bad_roles);
		ask(&f, "now?");
		must_equal(i >= 3, f.strict.bad_roles);
		must(sent(&f, "fact-zanzibar."));
		must_equal(i >= 3 ? 1 : 0, f.turn->joined);
		end(&f);
	}
}

static void no_question_is_refused_because_of_a_summary(void **state)
{
	size_t requests = 0, summaries = 0, refused = 0;
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 20; i++) {
		struct fixture f = {.strict = {.window = 600 + test_rng_below(&rng, 3500),
					       .rate = 0.7 + (double)test_rng_below(&rng, 12) / 10,
					       .lists = test_rng_below(&rng, 2),
					       .mute = test_rng_below(&rng, 3) == 0,
					       .alternates = test_rng_below(&rng, 2),
					       .no_system = test_rng_below(&rng, 4) == 0}};

		begin(&f, NULL);
		for (int turn = 0; turn < 60; turn++) {
			struct cv_buf text = {0};

			for (size_t n = test_rng_below(&rng, 30); n; n--)
				cv_buf_addf(&text, "fact-n%d-%zu and ", turn, n);
			cv_buf_adds(&text, "what of it?");
			f.strict.answer = test_rng_below(&rng, 40);
			ask(&f, text.data);
			if (test_rng_below(&rng, 2))
				settle(&f);
			cv_buf_clear(&text);
		}
		settle(&f);
		requests += f.strict.requests;
		summaries += f.strict.summaries;
		refused += f.strict.too_long + f.strict.bad_roles;
		end(&f);
	}
	test_say("%zu requests, %zu of them for summaries, %zu refused before they were learned",
		 requests, summaries, refused);
	must(refused <= 20 * 4);
	must(summaries > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_said_in_turn_3_is_sent_in_turn_200),
		cmocka_unit_test(no_question_waits_for_a_summary),
		cmocka_unit_test(what_an_event_limit_removes_is_summed_up_before),
		cmocka_unit_test(a_summary_is_found_behind_a_bound_on_messages),
		cmocka_unit_test(a_new_runner_goes_on_with_the_summary_that_is_stored),
		cmocka_unit_test(what_is_taken_back_is_in_no_summary_that_is_sent),
		cmocka_unit_test(a_turn_that_is_taken_back_while_it_is_summed_up_makes_that_void),
		cmocka_unit_test(no_summary_ends_within_a_turn),
		cmocka_unit_test(what_makes_no_sense_is_no_summary),
		cmocka_unit_test(an_empty_summary_is_a_failure),
		cmocka_unit_test(a_summary_that_is_too_long_is_cut_at_a_sentence),
		cmocka_unit_test(a_summary_that_is_longer_than_what_it_sums_up_is_refused),
		cmocka_unit_test(what_failed_rests_before_it_is_tried_again),
		cmocka_unit_test(what_is_longer_than_the_model_takes_is_summed_up_in_steps),
		cmocka_unit_test(a_summary_that_another_model_had_room_for_is_made_shorter),
		cmocka_unit_test(a_message_that_is_longer_than_all_is_cut),
		cmocka_unit_test(too_low_a_limit_is_refused),
		cmocka_unit_test(too_little_is_not_summed_up),
		cmocka_unit_test(a_summary_can_be_made_by_another_model_in_other_words),
		cmocka_unit_test(of_two_runners_at_once_one_stores_its_summary),
		cmocka_unit_test(within_a_runner_one_waits_for_the_other),
		cmocka_unit_test(a_runner_that_is_freed_stops_at_once),
		cmocka_unit_test(a_program_that_is_killed_leaves_one_summary_or_none),
		cmocka_unit_test(every_allocation_of_a_summary_may_fail),
		cmocka_unit_test(roles_alternate_with_a_summary_in_front),
		cmocka_unit_test(no_question_is_refused_because_of_a_summary),
	};

	return TEST_RUN(tests);
}
