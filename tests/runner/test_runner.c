/*
 * The runner: one turn and all that can go wrong in it, over a memory store with models made of
 * functions. Where a store must fail, a memory store's functions are replaced one by one.
 */
#include "support/oom.h"
#include "support/test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

#include <convo/convo.h>

#include <base/clock.h>
#include <base/fail.h>
#include <base/json.h>
#include <store/backend.h>

static const struct convo_key key = {"app", "ann", "s"};

/* ---- a model that does as it is told --------------------------------------------------- */

struct script {
	const char *const *pieces; /* NULL after the last */
	enum convo_delta_kind kind;
	int code;                     /* how it ends */
	bool wait;                    /* for a cancel, after the pieces */
	int pause_ms;                 /* before the pieces */
	void (*meanwhile)(void *ctx); /* called after the pieces */
	void *ctx;
	int asked;
	char *last; /* the messages of the last request, one a line */
};

static void script_record(struct script *script, const struct convo_request *request)
{
	struct cv_buf lines = {0};

	for (size_t i = 0; i < request->count; i++) {
		must_equal(0,
			   cv_buf_add(&lines, request->messages[i].json, request->messages[i].len));
		must_equal(0, cv_buf_addc(&lines, '\n'));
	}
	free(script->last);
	script->last = cv_buf_take(&lines);
	script->asked++;
}

static int script_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			 void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct script *script = ctx;
	int rc = 0;

	script_record(script, request);
	if (script->pause_ms)
		poll(NULL, 0, script->pause_ms);
	for (size_t i = 0; script->pieces && script->pieces[i] && rc == 0; i++)
		rc = emit(emit_ctx, script->kind, script->pieces[i], strlen(script->pieces[i]));
	if (rc == 0 && script->meanwhile)
		script->meanwhile(script->ctx);
	if (rc == 0 && script->wait) {
		struct pollfd fd = {.fd = convo_cancel_fd(cancel), .events = POLLIN};

		while (!convo_cancel_requested(cancel))
			poll(&fd, 1, 5000);
		return cv_fail(err, CONVO_E_CANCELED, "stopped");
	}
	if (rc == 0 && script->code < 0)
		return cv_fail(err, script->code, "the script says so");
	return rc;
}

/* ---- fixture --------------------------------------------------------------------------- */

struct fixture {
	convo_store *store;
	convo_model *model;
	convo_runner *runner;
	struct script script;
	struct convo_turn *turn; /* of the last run */
};

static const char *const hello[] = {"Hel", "lo", NULL};

static void renew(struct fixture *f, const struct convo_runner_options *opts)
{
	struct convo_runner_options full = opts ? *opts : (struct convo_runner_options){0};
	struct convo_err err;

	full.store = f->store;
	full.model = f->model;
	full.app = "app";
	convo_runner_free(f->runner);
	f->runner = NULL;
	must_pass(convo_runner_new(&f->runner, &full, &err));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct convo_err err;

	f->script.pieces = hello;
	must_pass(convo_store_open(&f->store, "memory:", NULL, &err));
	must_pass(convo_model_from(&f->model, "script", script_answer, &f->script, &err));
	renew(f, NULL);
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
	free(f->script.last);
	free(f);
	return 0;
}

static int run_with(struct fixture *f, const char *text, const struct convo_listener *listener,
		    convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_question question = {.user = "ann", .session = "s", .text = text};

	convo_turn_free(f->turn);
	f->turn = NULL;
	return convo_runner_run(&f->turn, f->runner, &question, listener, cancel, err);
}

static int run(struct fixture *f, const char *text, struct convo_err *err)
{
	return run_with(f, text, NULL, NULL, err);
}

static convo_session *load(struct fixture *f)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	return session;
}

/* Each event as role:content with a mark of its status, one after the other. */
static const char *stored(struct fixture *f)
{
	static const char mark[] = {' ', '~', '!'};
	convo_session *session = load(f);
	struct cv_buf all = {0};
	const char *text;
	size_t count;
	const struct convo_event *events = test_events(session, &count);

	for (size_t i = 0; i < count; i++) {
		struct convo_err err;
		char *content = NULL;

		must_pass(convo_message_text(&content, events[i].message, events[i].message_len,
					     &err));
		must_equal(0, cv_buf_addf(&all, "%s%c%c%s", i ? "|" : "", events[i].role[0],
					  mark[events[i].status], content));
		free(content);
	}
	text = test_text("%s", cv_buf_str(&all));
	cv_buf_clear(&all);
	convo_session_free(session);
	return text;
}

/* ---- a turn that goes well ------------------------------------------------------------- */

struct heard {
	char text[64];
	int count, stop_after;
};

static int hear(void *ctx, const struct convo_delta *delta)
{
	struct heard *heard = ctx;

	strncat(heard->text, delta->text, sizeof(heard->text) - strlen(heard->text) - 1);
	return ++heard->count == heard->stop_after;
}

static void a_turn_creates_the_session_and_stores_both_sides(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {0};
	const struct convo_listener listener = {.on_delta = hear, .ctx = &heard};
	convo_session *session;
	const struct convo_event *events;
	struct cv_text extra;
	struct convo_err err;

	must_pass(run_with(f, "Hi there", &listener, NULL, &err));
	must_equal_str("Hello", heard.text);
	must_equal(2, heard.count);
	must(f->turn->created);
	must_equal(1, f->turn->question_seq);
	must_equal(2, f->turn->answer_seq);
	must_equal(1, f->turn->sent);
	must_equal(CONVO_TURN_OK, f->turn->failed);
	must_equal_str("Hello", f->turn->answer->text);
	session = load(f);
	must_equal_str("Hi there", convo_session_meta(session)->title);
	events = test_events(session, NULL);
	must_equal_str("user", events[0].author);
	must_equal_str("assistant", events[1].author);
	must_equal_str(f->turn->id, events[0].turn);
	must_equal_str(f->turn->id, events[1].turn);
	must_equal_str("script", events[1].model);
	must_equal_str("stop", events[1].finish_reason);
	extra = cv_text_of(events[1].extra);
	must(cv_text_is(cv_json_find(extra, "sent_messages"), "1"));
	must(cv_text_is(cv_json_find(extra, "sent_bytes"),
			test_text("%zu", events[0].message_len)));
	must(cv_text_is(cv_json_find(extra, "attempts"), "1"));
	must(cv_json_find(extra, "first_ms").data != NULL);
	must(cv_json_find(extra, "total_ms").data != NULL);
	convo_session_free(session);
}

static void the_next_turn_sends_what_was_said(void **state)
{
	const struct convo_runner_options opts = {.instruction = "Be brief."};
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, &opts);
	must_pass(run(f, "one", &err));
	must_pass(run(f, "two", &err));
	must(!f->turn->created);
	must_equal(4, f->turn->sent);
	must_equal_str("{\"role\":\"system\",\"content\":\"Be brief.\"}\n"
		       "{\"role\":\"user\",\"content\":\"one\"}\n"
		       "{\"role\":\"assistant\",\"content\":\"Hello\"}\n"
		       "{\"role\":\"user\",\"content\":\"two\"}\n",
		       f->script.last);
	must_equal_str("u one|a Hello|u two|a Hello", stored(f));
}

static void an_existing_session_keeps_its_title(void **state)
{
	const struct convo_create create = {.title = "mine"};
	struct fixture *f = *state;
	struct convo_err err;
	convo_session *session;

	must_pass(convo_store_create(f->store, &key, &create, NULL, NULL, &err));
	must_pass(run(f, "one", &err));
	must(!f->turn->created);
	session = load(f);
	must_equal_str("mine", convo_session_meta(session)->title);
	convo_session_free(session);
}

static void broken_text_is_repaired(void **state)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "a\0b\xff", .text_len = 4};
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
	must_equal_str("u a\xef\xbf\xbd"
		       "b\xef\xbf\xbd|a Hello",
		       stored(f));
}

static void a_bad_question_stores_nothing_and_asks_nobody(void **state)
{
	static const struct convo_question bad[] = {
		{.user = "ann", .session = "s", .text = ""},
		{.user = "ann", .session = "s"},
		{.user = "ann", .text = "x"},
		{.session = "s", .text = "x"},
	};
	struct fixture *f = *state;
	struct convo_err err;
	convo_session *session = NULL;
	char *large = malloc((4u << 20) + 1);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail_with(CONVO_E_INVALID,
			       convo_runner_run(&f->turn, f->runner, &bad[i], NULL, NULL, &err));
	memset(large, 'x', 4u << 20);
	large[4u << 20] = '\0';
	must_fail_with(CONVO_E_TOOBIG, run(f, large, &err));
	memset(large, '\n', 2u << 20); /* two bytes each as JSON */
	must_fail_with(CONVO_E_TOOBIG, run(f, large, &err));
	free(large);
	must(!f->turn);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, f->store, &key, NULL, NULL, &err));
	must_equal(0, f->script.asked);
}

static void the_largest_question_is_kept_whole(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;
	size_t len = (4u << 20) - 8192;
	char *large = malloc(len + 1);

	memset(large, 'x', len);
	large[len] = '\0';
	must_pass(run(f, large, &err));
	must_equal(2, f->turn->answer_seq);
	free(large);
}

static void a_fresh_question_never_joins_a_session(void **state)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "x", .fresh = true};
	struct fixture *f = *state;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
	must(f->turn->created);
	convo_turn_free(f->turn);
	f->turn = NULL;
	must_fail_with(CONVO_E_EXISTS,
		       convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
	must_equal(1, f->script.asked);
	must_pass(convo_store_load(&session, f->store, &(struct convo_key){"app", "ann", "s"}, NULL,
				   NULL, &err));
	must_equal(2, convo_session_meta(session)->count);
	convo_session_free(session);
}

static void bad_names_are_refused(void **state)
{
	const struct convo_question question = {.user = "a\nb", .session = "s", .text = "x"};
	struct fixture *f = *state;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID,
		       convo_runner_run(&f->turn, f->runner, &question, NULL, NULL, &err));
	must_equal(0, f->script.asked);
}

static void a_runner_checks_its_options(void **state)
{
	struct fixture *f = *state;
	struct convo_runner_options opts = {.store = f->store, .model = f->model};
	convo_runner *runner = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	opts.app = "app";
	opts.params = "[1]";
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	opts.params = "{";
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &opts, &err));
	must(!runner);
	convo_runner_free(NULL);
	convo_turn_free(NULL);
}

static void an_error_nobody_wants_is_not_needed(void **state)
{
	struct fixture *f = *state;

	must_equal(CONVO_E_INVALID, run(f, "", NULL));
	f->script.pieces = NULL;
	f->script.code = CONVO_E_IO;
	must_equal(CONVO_E_IO, run(f, "x", NULL));
}

/* ---- models that fail ------------------------------------------------------------------ */

static void a_model_that_fails_leaves_a_failed_event(void **state)
{
	struct fixture *f = *state;
	const struct convo_event *events;
	convo_session *session;
	struct convo_err err;

	f->script.pieces = NULL;
	f->script.code = CONVO_E_DENIED;
	must_fail_with(CONVO_E_DENIED, run(f, "one", &err));
	must_equal_str("the script says so", err.text);
	must_equal(CONVO_TURN_MODEL, f->turn->failed);
	must(!f->turn->answer);
	must_equal(1, f->turn->question_seq);
	must_equal(2, f->turn->answer_seq);
	session = load(f);
	events = test_events(session, NULL);
	must_equal(CONVO_FAILED, events[1].status);
	must_equal_str("the script says so", events[1].error);
	must(strstr(events[1].message, "null") != NULL);
	convo_session_free(session);
	f->script.pieces = hello;
	f->script.code = 0;
	must_pass(run(f, "two", &err));
	must_equal_str("{\"role\":\"user\",\"content\":\"one\\n\\ntwo\"}\n", f->script.last);
	must_equal(1, f->turn->sent);
	must_equal(1, f->turn->joined);
	must_equal(0, f->turn->left_out);
	must_equal_str("u one|a!|u two|a Hello", stored(f));
	session = load(f);
	events = test_events(session, NULL);
	must(strstr(events[3].extra, "\"sent_messages\":1,") != NULL);
	must(strstr(events[3].extra, "\"joined_messages\":1,") != NULL);
	convo_session_free(session);
	must_pass(run(f, "three", &err));
	must_equal(3, f->turn->sent);
	must_equal(1, f->turn->joined);
}

static void what_came_before_a_failure_is_kept_and_sent(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->script.code = CONVO_E_IO;
	must_pass(run(f, "one", &err));
	must_equal(CONVO_FAILED, f->turn->answer->status);
	must_equal(CONVO_E_IO, f->turn->answer->code);
	must_equal(CONVO_TURN_OK, f->turn->failed);
	must_equal_str("u one|a!Hello", stored(f));
	f->script.code = 0;
	must_pass(run(f, "two", &err));
	must_equal(3, f->turn->sent);
}

static void an_empty_answer_is_a_failure(void **state)
{
	static const char *const nothing[] = {"", NULL};
	struct fixture *f = *state;
	struct convo_err err;

	f->script.pieces = nothing;
	must_fail_with(CONVO_E_REFUSED, run(f, "one", &err));
	must_equal(CONVO_TURN_MODEL, f->turn->failed);
	must_equal_str("u one|a!", stored(f));
}

static void thinking_alone_is_kept_but_not_sent(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->script.kind = CONVO_DELTA_REASONING;
	must_pass(run(f, "one", &err));
	must_equal(CONVO_COMPLETE, f->turn->answer->status);
	f->script.kind = CONVO_DELTA_TEXT;
	must_pass(run(f, "two", &err));
	must_equal(1, f->turn->sent);
}

static void garbage_from_a_model_is_stored_repaired(void **state)
{
	static const char *const garbage[] = {"\xe6\x97", "\xa5\xff", "\xed\xa0\x80", NULL};
	struct fixture *f = *state;
	struct convo_err err;

	f->script.pieces = garbage;
	must_pass(run(f, "one", &err));
	must(f->turn->answer_seq == 2);
	must(strncmp(stored(f), "u one|a \xe6\x97\xa5\xef\xbf\xbd", 14) == 0);
}

static void an_endless_answer_is_cut_and_kept(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;
	const char *pieces[200];
	char *piece = malloc((64u << 10) + 1);

	memset(piece, '\x01', 64u << 10); /* six bytes each as JSON */
	piece[64u << 10] = '\0';
	for (size_t i = 0; i < 199; i++)
		pieces[i] = piece;
	pieces[199] = NULL;
	f->script.pieces = pieces;
	must_pass(run(f, "one", &err));
	must_equal(CONVO_FAILED, f->turn->answer->status);
	must_equal(CONVO_E_TOOBIG, f->turn->answer->code);
	must_equal(2, f->turn->answer_seq);
	must(f->turn->answer->text_len > 400u << 10);
	free(piece);
}

/* ---- cancelling ------------------------------------------------------------------------ */

static void *cancel_later(void *ctx)
{
	poll(NULL, 0, 20);
	convo_cancel_request(ctx);
	return NULL;
}

/* A thread that cancels once the pieces were heard. */
struct canceller {
	convo_cancel *cancel;
	pthread_t thread;
};

static void canceller_start(void *ctx)
{
	struct canceller *canceller = ctx;

	must(pthread_create(&canceller->thread, NULL, cancel_later, canceller->cancel) == 0);
}

static void a_cancel_from_another_thread_keeps_what_came(void **state)
{
	struct fixture *f = *state;
	struct canceller canceller = {0};
	struct convo_err err;

	must_pass(convo_cancel_new(&canceller.cancel, &err));
	f->script.wait = true;
	f->script.meanwhile = canceller_start;
	f->script.ctx = &canceller;
	must_pass(run_with(f, "one", NULL, canceller.cancel, &err));
	pthread_join(canceller.thread, NULL);
	must_equal(CONVO_INTERRUPTED, f->turn->answer->status);
	must_equal_str("u one|a~Hello", stored(f));
	convo_cancel_free(canceller.cancel);
}

static convo_cancel *signal_cancel;

static void on_alarm(int number)
{
	(void)number;
	convo_cancel_request(signal_cancel);
}

static void alarm_set(void *ctx)
{
	const struct itimerval timer = {.it_value = {.tv_usec = 20000}};

	(void)ctx;
	must(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void a_cancel_from_a_signal_handler_keeps_what_came(void **state)
{
	const struct sigaction act = {.sa_handler = on_alarm};
	struct fixture *f = *state;
	struct sigaction before;
	struct convo_err err;

	must_pass(convo_cancel_new(&signal_cancel, &err));
	f->script.wait = true;
	must(sigaction(SIGALRM, &act, &before) == 0);
	f->script.meanwhile = alarm_set;
	must_pass(run_with(f, "one", NULL, signal_cancel, &err));
	sigaction(SIGALRM, &before, NULL);
	must_equal_str("u one|a~Hello", stored(f));
	convo_cancel_free(signal_cancel);
}

static void a_cancel_before_anything_came_is_told_as_such(void **state)
{
	struct fixture *f = *state;
	convo_cancel *cancel = NULL;
	struct convo_err err;

	must_pass(convo_cancel_new(&cancel, &err));
	convo_cancel_request(cancel);
	must_fail_with(CONVO_E_CANCELED, run_with(f, "one", NULL, cancel, &err));
	must_equal(CONVO_TURN_OK, f->turn->failed);
	must_equal(1, f->turn->question_seq);
	must_equal_str("u one|a~", stored(f));
	convo_cancel_reset(cancel);
	must_pass(run_with(f, "two", NULL, cancel, &err));
	must_equal(1, f->turn->sent);
	convo_cancel_free(cancel);
}

static void a_listener_can_stop_the_answer(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {.stop_after = 1};
	const struct convo_listener listener = {.on_delta = hear, .ctx = &heard};
	struct convo_err err;

	must_pass(run_with(f, "one", &listener, NULL, &err));
	must_equal(CONVO_INTERRUPTED, f->turn->answer->status);
	must_equal_str("u one|a~Hel", stored(f));
}

/* ---- sessions that go away ------------------------------------------------------------- */

static void delete_session(void *ctx)
{
	struct convo_err err;

	must_pass(convo_store_delete(ctx, &key, NULL, &err));
}

static void replace_session(void *ctx)
{
	struct convo_err err;

	delete_session(ctx);
	must_pass(convo_store_create(ctx, &key, NULL, NULL, NULL, &err));
}

static void a_deleted_session_gets_no_late_answer(void **state)
{
	struct fixture *f = *state;
	convo_session *session = NULL;
	struct convo_err err;

	f->script.meanwhile = delete_session;
	f->script.ctx = f->store;
	must_fail_with(CONVO_E_NOTFOUND, run(f, "one", &err));
	must_equal(CONVO_TURN_STORE, f->turn->failed);
	must_equal(1, f->turn->question_seq);
	must_equal(0, f->turn->answer_seq);
	must_equal_str("Hello", f->turn->answer->text);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_load(&session, f->store, &key, NULL, NULL, &err));
}

static void another_life_of_the_session_gets_no_late_answer(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->script.meanwhile = replace_session;
	f->script.ctx = f->store;
	must_fail_with(CONVO_E_CONFLICT, run(f, "one", &err));
	must_equal(CONVO_TURN_STORE, f->turn->failed);
	must_equal_str("", stored(f));
}

/* ---- stores that fail ------------------------------------------------------------------ */

/* What happens to the calls of a memory store, by the number of the call. */
static struct {
	struct cv_backend table;
	int loads, creates, appends;
	int fail_append, fail_count; /* from this append on, so many fail */
	int code;
	bool maybe, carried_out;
	convo_cancel *cancel_in_load, *cancel_in_append; /* asked for within the call */
	int bounded;                                     /* calls that had the hurry's time */
	int cancellable;                                 /* calls that were given a cancel */
	void (*after_load)(convo_store *store);
	void (*before_create)(convo_store *store);
} hooks;

/* Run a call with the true functions in place. */
static void hooks_off(convo_store *store)
{
	store->be = &cv_backend_memory;
}

static void hooks_on(convo_store *store)
{
	store->be = &hooks.table;
}

static void hook_bounds(const struct store_call *call)
{
	hooks.cancellable += call->cancel != NULL;
	hooks.bounded += call->deadline_us - cv_clock_mono_us() <= 1000 * 1000;
}

static int hook_load(convo_store *store, const struct store_call *call, const struct convo_key *k,
		     const struct store_window *window, struct convo_session *into,
		     struct convo_err *err)
{
	int rc;

	hooks.loads++;
	hook_bounds(call);
	if (hooks.cancel_in_load && call->cancel) {
		convo_cancel_request(hooks.cancel_in_load);
		return cv_fail(err, CONVO_E_CANCELED, "as asked");
	}
	hooks_off(store);
	rc = cv_backend_memory.load(store, call, k, window, into, err);
	if (hooks.after_load)
		hooks.after_load(store);
	hooks_on(store);
	return rc;
}

static int hook_create(convo_store *store, const struct store_call *call, const struct convo_key *k,
		       const struct store_create *create, struct convo_err *err)
{
	int rc;

	hooks.creates++;
	hooks_off(store);
	if (hooks.before_create)
		hooks.before_create(store);
	rc = cv_backend_memory.create(store, call, k, create, err);
	hooks_on(store);
	return rc;
}

static int hook_append(convo_store *store, const struct store_call *call, const struct convo_key *k,
		       struct store_append *append, struct convo_err *err)
{
	int rc = 0;
	bool fails = ++hooks.appends >= hooks.fail_append &&
		     hooks.appends < hooks.fail_append + hooks.fail_count;

	hook_bounds(call);
	if (hooks.cancel_in_append && call->cancel) {
		convo_cancel_request(hooks.cancel_in_append);
		hooks_off(store);
		rc = hooks.carried_out ? cv_backend_memory.append(store, call, k, append, err) : 0;
		hooks_on(store);
		return cv_fail_maybe(err, CONVO_E_CANCELED, "as asked");
	}
	hooks_off(store);
	if (!fails || hooks.carried_out)
		rc = cv_backend_memory.append(store, call, k, append, err);
	hooks_on(store);
	if (!fails)
		return rc;
	if (hooks.maybe)
		return cv_fail_maybe(err, hooks.code, "as asked");
	return cv_fail(err, hooks.code, "as asked");
}

static void hooks_set(struct fixture *f)
{
	memset(&hooks, 0, sizeof(hooks));
	hooks.table = cv_backend_memory;
	hooks.table.load = hook_load;
	hooks.table.create = hook_create;
	hooks.table.append = hook_append;
	hooks_on(f->store);
}

static void fail_appends(int first, int count, int code, bool maybe, bool carried_out)
{
	hooks.fail_append = first;
	hooks.fail_count = count;
	hooks.code = code;
	hooks.maybe = maybe;
	hooks.carried_out = carried_out;
}

static void a_question_of_unknown_fate_is_stored_once(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(1, 2, CONVO_E_TIMEOUT, true, true);
	must_pass(run(f, "one", &err));
	must_equal(1, f->turn->question_seq);
	must_equal(4, hooks.appends);
	hooks_off(f->store);
	must_equal_str("u one|a Hello", stored(f));
}

static void a_question_that_cannot_be_stored_is_not_asked(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(1, 1000, CONVO_E_IO, false, false);
	must_fail_with(CONVO_E_IO, run(f, "one", &err));
	must_equal(CONVO_TURN_STORE, f->turn->failed);
	must_equal(0, f->turn->question_seq);
	must_equal(0, f->script.asked);
	must_equal(1, hooks.appends);
	hooks_off(f->store);
}

static void a_cancel_ends_the_storing_of_a_question(void **state)
{
	struct fixture *f = *state;
	convo_cancel *cancel = NULL;
	struct convo_err err;

	must_pass(convo_cancel_new(&cancel, &err));
	convo_cancel_request(cancel);
	hooks_set(f);
	fail_appends(1, 1000, CONVO_E_TIMEOUT, true, false);
	must_fail_with(CONVO_E_TIMEOUT, run_with(f, "one", NULL, cancel, &err));
	must(err.maybe);
	must_equal(1, hooks.appends);
	hooks_off(f->store);
	convo_cancel_free(cancel);
}

/* The cancel reaches the store (L2); what was typed is kept all the same, in a second at most. */
static void a_cancel_while_loading_keeps_the_question(void **state)
{
	struct fixture *f = *state;
	convo_cancel *cancel = NULL;
	struct convo_err err;

	must_pass(convo_cancel_new(&cancel, &err));
	hooks_set(f);
	hooks.cancel_in_load = cancel;
	must_fail_with(CONVO_E_CANCELED, run_with(f, "one", NULL, cancel, &err));
	must_equal(CONVO_TURN_OK, f->turn->failed);
	must_equal(2, hooks.loads);
	must_equal(1, hooks.cancellable);
	must_equal(2,
		   hooks.bounded); /* the second load, and the question; the answer has its time */
	must_equal(1, f->turn->question_seq);
	hooks_off(f->store);
	must_equal_str("u one|a~", stored(f));
	convo_cancel_free(cancel);
}

static void a_cancel_while_storing_stores_the_question_once(void **state)
{
	struct fixture *f = *state;
	convo_cancel *cancel = NULL;
	struct convo_err err;

	must_pass(convo_cancel_new(&cancel, &err));
	hooks_set(f);
	hooks.cancel_in_append = cancel;
	hooks.carried_out = true;
	must_fail_with(CONVO_E_CANCELED, run_with(f, "one", NULL, cancel, &err));
	must_equal(1, f->turn->question_seq);
	hooks_off(f->store);
	must_equal_str("u one|a~", stored(f));
	convo_cancel_free(cancel);
}

/* What a fresh question must not join is somebody else's, also when the first look was stopped. */
static void a_cancelled_fresh_question_joins_no_session(void **state)
{
	const struct convo_question question = {
		.user = "ann", .session = "s", .text = "x", .fresh = true};
	struct fixture *f = *state;
	convo_cancel *cancel = NULL;
	struct convo_err err;

	must_pass(run(f, "one", &err));
	convo_turn_free(f->turn);
	f->turn = NULL;
	must_pass(convo_cancel_new(&cancel, &err));
	hooks_set(f);
	hooks.cancel_in_load = cancel;
	must_fail_with(CONVO_E_EXISTS,
		       convo_runner_run(&f->turn, f->runner, &question, NULL, cancel, &err));
	hooks_off(f->store);
	must_equal_str("u one|a Hello", stored(f));
	convo_cancel_free(cancel);
}

static void a_lost_connection_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(1, 1, CONVO_E_GONE, true, true); /* of the question: it may be stored */
	must_pass(run(f, "one", &err));
	fail_appends(hooks.appends + 2, 2, CONVO_E_GONE, false, false); /* of the answer */
	must_pass(run(f, "two", &err));
	hooks_off(f->store);
	must_equal_str("u one|a Hello|u two|a Hello", stored(f));
}

/* ---- what is missing -------------------------------------------------------------------- */

static void N1_null_handles_and_arguments_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct convo_question question = {.user = "ann", .session = "s", .text = "x"};
	const struct convo_runner_options opts = {
		.store = f->store, .model = f->model, .app = "app"};
	struct convo_runner_options without = opts, newer = opts;
	struct convo_question strange = question;
	convo_runner *runner = NULL;
	struct convo_turn *turn = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_INVALID, convo_runner_new(NULL, &opts, &err));
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, NULL, &err));
	without.app = NULL;
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &without, &err));
	newer.reserved[0] = &newer;
	must_fail_with(CONVO_E_INVALID, convo_runner_new(&runner, &newer, &err));
	convo_runner_free(NULL);
	convo_turn_free(NULL);
	must_fail_with(CONVO_E_INVALID, convo_runner_run(&turn, NULL, &question, NULL, NULL, &err));
	must(strstr(err.text, "runner") != NULL);
	must_fail_with(CONVO_E_INVALID,
		       convo_runner_run(NULL, f->runner, &question, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_runner_run(&turn, f->runner, NULL, NULL, NULL, &err));
	strange.reserved[1] = &strange;
	must_fail_with(CONVO_E_INVALID,
		       convo_runner_run(&turn, f->runner, &strange, NULL, NULL, &err));
	strange = question;
	strange.text_len = (size_t)-1;
	must_fail_with(CONVO_E_TOOBIG,
		       convo_runner_run(&turn, f->runner, &strange, NULL, NULL, &err));
	must_equal(CONVO_E_INVALID, convo_runner_run(&turn, NULL, NULL, NULL, NULL, NULL));
	must_fail_with(CONVO_E_INVALID, convo_runner_undo(NULL, NULL, "ann", "s", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_runner_undo(NULL, f->runner, NULL, "s", NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_runner_undo(NULL, f->runner, "ann", NULL, NULL, &err));
	must_equal(0, convo_session_conversation(NULL, NULL));
	must(!turn && !runner);
	must_pass(run(f, "x", &err));
	{
		convo_session *session = load(f);

		must_equal(CONVO_E_INVALID, convo_session_conversation(session, NULL));
		convo_session_free(session);
	}
}

static void an_unknown_fate_stays_unknown_when_the_store_is_gone(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(1, 1, CONVO_E_TIMEOUT, true, false);
	must_pass(run(f, "one", &err));
	must_equal(3, hooks.appends);
	hooks_off(f->store);
}

static void an_answer_waits_for_the_store_to_come_back(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(2, 3, CONVO_E_IO, false, false);
	must_pass(run(f, "one", &err));
	must_equal(2, f->turn->answer_seq);
	must_equal(5, hooks.appends);
	hooks_off(f->store);
}

static void an_answer_the_store_refuses_is_kept_in_part(void **state)
{
	struct fixture *f = *state;
	const struct convo_event *events;
	convo_session *session;
	struct convo_err err;

	hooks_set(f);
	fail_appends(2, 1, CONVO_E_TOOBIG, false, false);
	must_pass(run(f, "one", &err));
	must_equal(2, f->turn->answer_seq);
	must_equal(CONVO_COMPLETE, f->turn->answer->status);
	hooks_off(f->store);
	must_equal_str("u one|a!Hello", stored(f));
	session = load(f);
	events = test_events(session, NULL);
	must_equal_str("the answer could not be stored whole", events[1].error);
	convo_session_free(session);
}

static void an_answer_that_cannot_be_stored_is_still_handed_out(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	fail_appends(2, 1000, CONVO_E_DENIED, false, false);
	must_fail_with(CONVO_E_DENIED, run(f, "one", &err));
	must_equal(CONVO_TURN_STORE, f->turn->failed);
	must_equal_str("Hello", f->turn->answer->text);
	must_equal(0, f->turn->answer_seq);
	hooks_off(f->store);
}

static void the_models_failure_is_worth_more_than_the_stores(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	f->script.pieces = NULL;
	f->script.code = CONVO_E_REFUSED;
	fail_appends(2, 1000, CONVO_E_DENIED, false, false);
	must_fail_with(CONVO_E_REFUSED, run(f, "one", &err));
	must_equal(CONVO_TURN_MODEL, f->turn->failed);
	must_equal(0, f->turn->answer_seq);
	hooks_off(f->store);
}

static void create_first(convo_store *store)
{
	struct convo_err err;

	hooks.before_create = NULL;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
}

static void losing_the_race_to_create_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	hooks_set(f);
	hooks.before_create = create_first;
	must_pass(run(f, "one", &err));
	must(!f->turn->created);
	must_equal(2, hooks.loads);
	must_equal(1, hooks.creates);
	hooks_off(f->store);
	must_equal_str("u one|a Hello", stored(f));
}

static void delete_once(convo_store *store)
{
	hooks.after_load = NULL;
	delete_session(store);
}

static void replace_once(convo_store *store)
{
	hooks.after_load = NULL;
	replace_session(store);
}

static void a_session_that_vanishes_before_the_question_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "old", &err));
	hooks_set(f);
	hooks.after_load = delete_once;
	must_pass(run(f, "one", &err));
	must(f->turn->created);
	must_equal(1, f->turn->sent);
	hooks.after_load = replace_once;
	must_pass(run(f, "two", &err));
	must(!f->turn->created);
	must_equal(1, f->turn->sent);
	hooks_off(f->store);
	must_equal_str("u two|a Hello", stored(f));
}

static void a_session_that_keeps_vanishing_is_given_up(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "old", &err));
	hooks_set(f);
	hooks.after_load = (void (*)(convo_store *))replace_session;
	must_fail_with(CONVO_E_CONFLICT, run(f, "one", &err));
	must_equal(CONVO_TURN_STORE, f->turn->failed);
	hooks_off(f->store);
}

/* ---- undo ------------------------------------------------------------------------------ */

static void must_undo(struct fixture *f, const char *want)
{
	struct convo_err err;
	char *text = NULL;

	must_pass(convo_runner_undo(&text, f->runner, "ann", "s", NULL, &err));
	must_equal_str(want, text);
	free(text);
}

static void undo_takes_back_one_turn_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "one", &err));
	must_pass(run(f, "two", &err));
	must_pass(run(f, "three", &err));
	must_undo(f, "three");
	must_undo(f, "two");
	must_pass(run(f, "four", &err));
	must_equal(3, f->turn->sent);
	must_undo(f, "four");
	must_undo(f, "one");
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_runner_undo(NULL, f->runner, "ann", "s", NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_runner_undo(NULL, f->runner, "ann", "no", NULL, &err));
}

static void undo_takes_back_a_failed_turn(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	f->script.pieces = NULL;
	f->script.code = CONVO_E_IO;
	must_fail_with(CONVO_E_IO, run(f, "one", &err));
	must_undo(f, "one");
	f->script.pieces = hello;
	f->script.code = 0;
	must_pass(run(f, "one", &err));
	must_equal(1, f->turn->sent);
}

static void undo_takes_the_turn_that_began_last(void **state)
{
	struct fixture *f = *state;
	const struct convo_event events[] = {
		{.turn = "1", .message = "{\"role\":\"user\",\"content\":\"a\"}"},
		{.turn = "2", .message = "{\"role\":\"user\",\"content\":\"b\"}"},
		{.turn = "2", .message = "{\"role\":\"assistant\",\"content\":\"B\"}"},
		{.turn = "1", .message = "{\"role\":\"assistant\",\"content\":\"A\"}"},
		{.message = "{\"role\":\"user\",\"content\":\"no turn\"}"},
	};
	struct convo_err err;

	must_pass(convo_store_create(f->store, &key, NULL, NULL, NULL, &err));
	must_pass(convo_store_append(f->store, &key, NULL, events, 5, NULL, NULL, &err));
	must_undo(f, "b");
	must_undo(f, "a");
}

static void undo_looks_as_far_back_as_it_takes(void **state)
{
	struct fixture *f = *state;
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"x\"}"};
	struct convo_err err;

	must_pass(run(f, "one", &err));
	for (int i = 0; i < 700; i++)
		must_pass(convo_store_append(f->store, &key, NULL, &event, 1, NULL, NULL, &err));
	must_undo(f, "one");
	/* a turn that began before the first window and ended in it */
	must_pass(run(f, "two", &err));
	event.turn = f->turn->id;
	event.message = "{\"role\":\"assistant\",\"content\":\"more\"}";
	for (int i = 0; i < 100; i++)
		must_pass(convo_store_append(f->store, &key, NULL, &event, 1, NULL, NULL, &err));
	must_undo(f, "two");
}

static void undo_of_unknown_fate_takes_back_one_turn(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	must_pass(run(f, "one", &err));
	must_pass(run(f, "two", &err));
	hooks_set(f);
	fail_appends(1, 2, CONVO_E_IO, true, true);
	must_undo(f, "two");
	hooks_off(f->store);
	must_undo(f, "one");
}

static void turns_taken_back_do_not_starve_the_context(void **state)
{
	const struct convo_runner_options opts = {.context_messages = 5};
	struct fixture *f = *state;
	struct convo_err err;

	renew(f, &opts);
	must_pass(run(f, "one", &err));
	must_pass(run(f, "two", &err));
	for (int i = 0; i < 40; i++) {
		must_pass(run(f, "no", &err));
		must_undo(f, "no");
	}
	must_pass(run(f, "three", &err));
	must_equal(5, f->turn->sent);
	must_equal(0, f->turn->left_out);
	must_pass(run(f, "four", &err));
	must_equal(5, f->turn->sent);
	must(f->turn->left_out > 0);
	must(strstr(f->turn->left_out_why, "the context is 5 messages") != NULL);
}

/* ---- at once --------------------------------------------------------------------------- */

#define THREADS 4
#define TURNS 25

static void talk(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_err err;

	for (int i = 0; i < TURNS; i++) {
		const char *text = test_text("%d.%d", index, i);
		const struct convo_question question = {
			.user = "ann", .session = "s", .text = text};
		struct convo_turn *turn = NULL;

		must_pass(convo_runner_run(&turn, f->runner, &question, NULL, NULL, &err));
		must(turn->question_seq < turn->answer_seq);
		convo_turn_free(turn);
	}
}

static int polite_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			 void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_message *last = &request->messages[request->count - 1];
	char *text = NULL;
	int rc = convo_message_text(&text, last->json, last->len, err);

	(void)ctx;
	(void)cancel;
	if (rc == 0) {
		const char *gap = strstr(text, "\n\n"), *own = text;

		/* the questions of others that wait for their answers stand before ours */
		for (; gap; gap = strstr(own, "\n\n"))
			own = gap + 2;
		rc = emit(emit_ctx, CONVO_DELTA_TEXT, own, strlen(own));
	}
	free(text);
	return rc;
}

/* Every turn is whole, and in the conversation its answer follows its question. */
static void must_be_whole(struct fixture *f, size_t turns)
{
	convo_session *session = load(f);
	const struct convo_event *order[2 * THREADS * TURNS];
	size_t count;
	const struct convo_event *events = test_events(session, &count);

	must_equal(2 * turns, count);
	for (size_t i = 0; i < count; i++)
		must_equal(i + 1, events[i].seq);
	must_equal(count, convo_session_conversation(session, order));
	for (size_t i = 0; i < count; i += 2) {
		struct convo_err err;
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
}

static void many_threads_talk_in_one_session(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	convo_model_close(f->model);
	f->model = NULL;
	must_pass(convo_model_from(&f->model, "polite", polite_answer, NULL, &err));
	renew(f, NULL);
	test_threads(THREADS, talk, f);
	must_be_whole(f, THREADS * TURNS);
}

static void undo_often(void *ctx, int index)
{
	struct fixture *f = ctx;
	struct convo_err err;
	int undone = 0;

	if (index % 2) {
		talk(ctx, index);
		return;
	}
	while (undone < TURNS) {
		int rc = convo_runner_undo(NULL, f->runner, "ann", "s", NULL, &err);

		must(rc == 0 || rc == CONVO_E_NOTFOUND);
		undone += rc == 0;
	}
}

static void undoing_while_others_talk_takes_back_each_turn_once(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;
	convo_session *session;
	const struct convo_event *order[1];

	convo_model_close(f->model);
	f->model = NULL;
	must_pass(convo_model_from(&f->model, "polite", polite_answer, NULL, &err));
	renew(f, NULL);
	test_threads(THREADS, undo_often, f);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_runner_undo(NULL, f->runner, "ann", "s", NULL, &err));
	session = load(f);
	must_equal(3 * (THREADS / 2) * TURNS, convo_session_meta(session)->count);
	must_equal(0, convo_session_conversation(session, order));
	convo_session_free(session);
}

/* ---- without memory -------------------------------------------------------------------- */

static int plain_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	(void)ctx;
	(void)request;
	(void)cancel;
	(void)err;
	return emit(emit_ctx, CONVO_DELTA_TEXT, "Hello", 5);
}

static void every_allocation_of_a_turn_may_fail(void **state)
{
	const struct convo_runner_options opts = {
		.instruction = "be", .params = "{}", .context_messages = 2, .context_tokens = 900};
	struct fixture *f = *state;
	size_t failed = 0;
	struct convo_err err;

	convo_model_close(f->model);
	f->model = NULL;
	must_pass(convo_model_from(&f->model, "plain", plain_answer, NULL, &err));
	renew(f, &opts);
	must_pass(run(f, "one", &err));
	must_pass(run(f, "two", &err));
	convo_turn_free(f->turn);
	f->turn = NULL;
	for (size_t n = 1; test_oom_at(n); n++) {
		int rc = run(f, "three", NULL);
		bool hit = test_oom_end();

		failed += hit;
		must(rc == 0 || (hit && rc == CONVO_E_NOMEM));
		/* That of a draft may fail for itself: then there is none. */
		if (hit && rc == 0)
			must(f->turn->answer->code == CONVO_E_NOMEM ||
			     !strcmp(f->turn->answer->text, "Hello"));
		if (rc == 0)
			must(f->turn->question_seq && f->turn->answer_seq);
	}
	must(failed > 10);
	must_pass(run(f, "four", &err));
}

static void every_allocation_of_an_undo_may_fail(void **state)
{
	struct fixture *f = *state;
	struct convo_err err;

	for (int i = 0; i < 3; i++)
		must_pass(run(f, "one", &err));
	for (size_t n = 1; test_oom_at(n); n++) {
		char *text = NULL;
		int rc = convo_runner_undo(&text, f->runner, "ann", "s", NULL, NULL);

		must_equal(test_oom_end() ? CONVO_E_NOMEM : 0, rc);
		must(!text == (rc < 0));
		free(text);
	}
	must_undo(f, "one");
}

static void every_allocation_of_a_runner_may_fail(void **state)
{
	struct fixture *f = *state;
	const struct convo_runner_options opts = {.store = f->store,
						  .model = f->model,
						  .app = "app",
						  .instruction = "be",
						  .params = "{}"};

	for (size_t n = 1; test_oom_at(n); n++) {
		convo_runner *runner = NULL;
		int rc = convo_runner_new(&runner, &opts, NULL);

		must_equal(test_oom_end() ? CONVO_E_NOMEM : 0, rc);
		must(!runner == (rc < 0));
		convo_runner_free(runner);
	}
}

#define turn_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest runner[] = {
		turn_test(a_turn_creates_the_session_and_stores_both_sides),
		turn_test(the_next_turn_sends_what_was_said),
		turn_test(a_fresh_question_never_joins_a_session),
		turn_test(an_existing_session_keeps_its_title),
		turn_test(broken_text_is_repaired),
		turn_test(a_bad_question_stores_nothing_and_asks_nobody),
		turn_test(the_largest_question_is_kept_whole),
		turn_test(bad_names_are_refused),
		turn_test(a_runner_checks_its_options),
		turn_test(an_error_nobody_wants_is_not_needed),
		turn_test(a_model_that_fails_leaves_a_failed_event),
		turn_test(what_came_before_a_failure_is_kept_and_sent),
		turn_test(an_empty_answer_is_a_failure),
		turn_test(thinking_alone_is_kept_but_not_sent),
		turn_test(garbage_from_a_model_is_stored_repaired),
		turn_test(an_endless_answer_is_cut_and_kept),
		turn_test(a_cancel_from_another_thread_keeps_what_came),
		turn_test(a_cancel_from_a_signal_handler_keeps_what_came),
		turn_test(a_cancel_before_anything_came_is_told_as_such),
		turn_test(a_listener_can_stop_the_answer),
		turn_test(a_deleted_session_gets_no_late_answer),
		turn_test(another_life_of_the_session_gets_no_late_answer),
		turn_test(a_question_of_unknown_fate_is_stored_once),
		turn_test(a_question_that_cannot_be_stored_is_not_asked),
		turn_test(a_cancel_ends_the_storing_of_a_question),
		turn_test(a_cancel_while_loading_keeps_the_question),
		turn_test(a_cancel_while_storing_stores_the_question_once),
		turn_test(a_cancelled_fresh_question_joins_no_session),
		turn_test(a_lost_connection_is_tried_again),
		turn_test(N1_null_handles_and_arguments_are_refused),
		turn_test(an_unknown_fate_stays_unknown_when_the_store_is_gone),
		turn_test(an_answer_waits_for_the_store_to_come_back),
		turn_test(an_answer_the_store_refuses_is_kept_in_part),
		turn_test(an_answer_that_cannot_be_stored_is_still_handed_out),
		turn_test(the_models_failure_is_worth_more_than_the_stores),
		turn_test(losing_the_race_to_create_is_no_failure),
		turn_test(a_session_that_vanishes_before_the_question_is_made_anew),
		turn_test(a_session_that_keeps_vanishing_is_given_up),
		turn_test(undo_takes_back_one_turn_after_the_other),
		turn_test(undo_takes_back_a_failed_turn),
		turn_test(undo_takes_the_turn_that_began_last),
		turn_test(undo_looks_as_far_back_as_it_takes),
		turn_test(undo_of_unknown_fate_takes_back_one_turn),
		turn_test(turns_taken_back_do_not_starve_the_context),
		turn_test(many_threads_talk_in_one_session),
		turn_test(undoing_while_others_talk_takes_back_each_turn_once),
		turn_test(every_allocation_of_a_turn_may_fail),
		turn_test(every_allocation_of_an_undo_may_fail),
		turn_test(every_allocation_of_a_runner_may_fail),
	};

	return TEST_RUN(runner);
}
