/*
 * One turn: the question into the store, the conversation to the model, the answer back into the
 * store. Which messages are sent is context.c's, in which order conversation.c's.
 */
#include <runner/runner.h>

#include <convo/watch.h>

#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/buf.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/utf8.h>
#include <runner/ask.h>
#include <runner/keeper.h>
#include <runner/load.h>
#include <runner/summarizer.h>

/* How often a session may vanish, or appear, under our hands before we give up. */
#define BEGIN_ROUNDS 4

/* What is kept of an answer that the store refuses. */
#define KEEP_BYTES (512u << 10)

/* What an event may hold beside its message. */
#define EVENT_REST 4096u

/* Once a turn is cancelled, its question is stored if the store does so within this time. */
#define HURRY_MS 1000

/* While another turn holds the session: how often to look without news of it. */
#define BUSY_LOOK_MS 1000

/* ---- a turn --------------------------------------------------------------------------- */

/* What the caller gets, with what its pointers point to. */
struct turn {
	struct convo_turn base;
	char id[CONVO_UUID_SIZE];
	char *why;
	struct convo_answer *answer;
};

/* A turn while it runs. */
struct run {
	const struct convo_runner *runner;
	struct convo_key key;
	struct turn *turn;
	struct convo_message question; /* owned */
	char title[TITLE_SIZE];
	bool fresh;             /* the session must not exist */
	struct convo_call call; /* of the store, before the model is asked */
	bool hurry;             /* it was cancelled: each call has HURRY_MS, once */
	char question_id[CONVO_UUID_SIZE], answer_id[CONVO_UUID_SIZE];
	char generation[CONVO_UUID_SIZE];
	const struct convo_listener *listener;
	enum convo_when_busy when_busy;
	convo_lease *lease;
	bool held;  /* the session, by that */
	bool waits; /* for the turn that holds the session */
	struct kept *kept;
	convo_session *session; /* NULL when the turn created it */
	struct ask ask;
	int64_t asked_us;
};

void convo_turn_free(struct convo_turn *turn)
{
	struct turn *own = (struct turn *)turn;

	if (!own)
		return;
	convo_answer_free(own->answer);
	free(own->why);
	free(own);
}

static void run_clear(struct run *run)
{
	cv_kept_free(run->kept);
	convo_lease_free(run->lease);
	convo_turn_free(run->turn ? &run->turn->base : NULL);
	convo_session_free(run->session);
	free((char *)run->question.json);
}

/* The question as a message, and a title in case the session is new. */
static int run_read(struct run *run, const char *said, size_t len, struct convo_err *err)
{
	struct cv_buf text = {.max = CONVO_MAX_EVENT};
	char *json = NULL;
	int rc = cv_buf_repair(&text, said, len);

	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
	} else {
		cv_title_make(run->title, text.data, text.len);
		rc = convo_message_make(&json, "user", text.data, text.len, err);
	}
	cv_buf_clear(&text);
	if (rc < 0)
		return rc;
	run->question.json = json;
	run->question.len = strlen(json);
	return 0;
}

/* Everything that can be wrong with a question itself is found before anything is stored. */
static int run_init(struct run *run, const struct convo_question *question, struct convo_err *err)
{
	size_t len;
	int rc;

	if (!question || !question->user || !question->session || !question->text)
		return cv_fail(err, CONVO_E_INVALID, "a question needs user, session and text");
	rc = CHECK_RESERVED(question, err);
	if (rc < 0)
		return rc;
	len = question->text_len ? question->text_len : strlen(question->text);
	if (!len)
		return cv_fail(err, CONVO_E_INVALID, "the question is empty");
	rc = len > CONVO_MAX_EVENT ? CONVO_E_TOOBIG : run_read(run, question->text, len, err);
	if (rc == CONVO_E_TOOBIG || (rc >= 0 && run->question.len > CONVO_MAX_EVENT - EVENT_REST))
		return cv_fail(err, CONVO_E_TOOBIG, "the question has more than 4 MiB");
	if (rc < 0)
		return rc;
	run->key.user = question->user;
	run->key.session = question->session;
	run->ask.whole = question->whole;
	cv_ask_plan(&run->ask, run->runner);
	run->fresh = question->fresh;
	run->when_busy = question->when_busy;
	if ((unsigned)run->when_busy > CONVO_BUSY_TAKE)
		return cv_fail(err, CONVO_E_INVALID, "what to do when it is busy is unknown");
	rc = convo_lease_new(&run->lease,
			     &(struct convo_lease_options){.ms = run->runner->lease_ms}, err);
	if (rc < 0)
		return rc;
	run->turn = cv_alloc(1, sizeof(*run->turn));
	if (!run->turn)
		return cv_fail_nomem(err);
	convo_uuid_make(run->turn->id);
	convo_uuid_make(run->question_id);
	convo_uuid_make(run->answer_id);
	run->turn->base.id = run->turn->id;
	return 0;
}

/* The session as it is, or a new one. */
static int run_open(struct run *run, struct convo_err *err)
{
	struct convo_create create = {.title = run->title};
	struct convo_created created;
	int rc;

	convo_session_free(run->session);
	run->session = NULL;
	run->turn->base.created = false;
	rc = cv_session_load(&run->session, run->runner, &run->key, &run->ask.plan.limits, 0,
			     &run->call, err);
	if (rc >= 0 && run->fresh)
		return cv_fail(err, CONVO_E_EXISTS, "session '%s' exists already",
			       run->key.session);
	if (rc >= 0) {
		memcpy(run->generation, convo_session_meta(run->session)->generation,
		       sizeof(run->generation));
		return 0;
	}
	if (rc != CONVO_E_NOTFOUND)
		return rc;
	rc = convo_store_create(run->runner->store, &run->key, &create, &created, &run->call, err);
	if (rc < 0)
		return rc;
	memcpy(run->generation, created.generation, sizeof(run->generation));
	run->turn->base.created = true;
	return 0;
}

/* Store the question, and take the session with it. In a hurry it is only stored. */
static int run_store_question(struct run *run, struct convo_err *err)
{
	struct convo_expect expect = {.generation = run->generation};
	const struct convo_event event = {.id = run->question_id,
					  .turn = run->turn->id,
					  .message = run->question.json,
					  .message_len = run->question.len};
	int rc;

	if (!run->hurry) {
		expect.lease = run->lease;
		expect.hold =
			run->when_busy == CONVO_BUSY_TAKE ? CONVO_HOLD_FORCE : CONVO_HOLD_TAKE;
	}
	rc = cv_runner_append(run->runner, &run->key, &expect, &event,
			      run->hurry ? APPEND_ONCE : APPEND_SETTLE, &run->call,
			      &run->turn->base.question_seq, err);
	run->held = rc >= 0 && expect.lease;
	return rc;
}

/* Until the turn that holds the session has ended: look at every news of it, and now and then. */
static int run_wait(struct run *run, convo_watch *watch, struct convo_err *err)
{
	int rc = convo_watch_add(watch, &run->key, NULL, err);

	while (rc >= 0) {
		const struct convo_call call = {.cancel = run->call.cancel,
						.timeout_ms = err->busy_ms < BUSY_LOOK_MS
								      ? err->busy_ms + 1
								      : BUSY_LOOK_MS};

		rc = convo_watch_next(watch, NULL, NULL, &call, err);
		if (rc < 0 && rc != CONVO_E_TIMEOUT)
			return rc;
		rc = run_store_question(run, err);
		if (rc != CONVO_E_BUSY)
			return rc;
		rc = 0;
	}
	return rc;
}

/* Store the question and take the session, if need be after the turn that holds it. */
static int run_take(struct run *run, struct convo_err *err)
{
	const struct convo_listener *to = run->listener;
	convo_watch *watch = NULL;
	int rc = run_store_question(run, err);

	if (rc != CONVO_E_BUSY || run->when_busy != CONVO_BUSY_WAIT)
		return rc;
	run->waits = true;
	if (to && to->on_busy && to->on_busy(to->ctx, err->busy_ms))
		return cv_fail(err, CONVO_E_CANCELED, "stopped while it waited");
	rc = convo_watch_new(&watch, run->runner->store, err);
	if (rc >= 0)
		rc = run_wait(run, watch, err);
	convo_watch_free(watch);
	run->waits = rc == CONVO_E_CANCELED;
	return rc;
}

/*
 * What others have appended since the session was loaded, an answer that was waited for above all, is
 * a part of the conversation.
 */
static void run_reload(struct run *run)
{
	int64_t seq = run->turn->base.question_seq;
	int64_t known = run->session ? convo_session_meta(run->session)->last_seq : 0;
	convo_session *session = NULL;

	if (seq <= known + 1 || run->hurry ||
	    cv_session_load(&session, run->runner, &run->key, &run->ask.plan.limits, seq,
			    &run->call, NULL) < 0)
		return;
	convo_session_free(run->session);
	run->session = session;
}

/*
 * Whether to begin once more. Others may create the session, delete it or let it expire between two
 * of our steps; a creation may have been carried out; and what was typed is to be kept when a cancel
 * ended a call, if the store is quick.
 */
static bool run_again(struct run *run, int rc, bool opened, const struct convo_err *err)
{
	if (rc == CONVO_E_CANCELED && run->waits)
		return false; /* it is not begun, and another one is being answered */
	if (rc == CONVO_E_CANCELED && !run->hurry) {
		run->hurry = true;
		run->call = (struct convo_call){.timeout_ms = HURRY_MS};
		return true;
	}
	if (rc == CONVO_E_EXISTS && !opened && run->fresh)
		return false;
	if (err->maybe && !opened && !run->hurry)
		return true;
	return rc == CONVO_E_EXISTS || rc == CONVO_E_NOTFOUND || rc == CONVO_E_CONFLICT;
}

/* Open the session and store the question. */
static int run_begin(struct run *run, convo_cancel *cancel, struct convo_err *err)
{
	int round, rc = 0;

	run->call = (struct convo_call){.cancel = cancel};
	for (round = 0; round < BEGIN_ROUNDS; round++) {
		bool opened;

		err->maybe = false;
		rc = run_open(run, err);
		opened = rc >= 0;
		if (opened)
			rc = run_take(run, err);
		if (rc >= 0) {
			run_reload(run);
			return 0;
		}
		if (!run_again(run, rc, opened, err))
			break;
		/* What is there at a second look may be our own doing: then it counts as fresh. */
		if (opened || err->maybe || rc != CONVO_E_CANCELED)
			run->fresh = false;
	}
	return rc;
}

static int run_ask(struct run *run, const struct convo_listener *listener, convo_cancel *cancel,
		   struct convo_err *err)
{
	struct convo_turn *turn = &run->turn->base;
	int rc;

	if (run->held) {
		const struct keep keep = {
			.key = run->key,
			.lease = run->lease,
			.lease_ms = run->runner->lease_ms,
			.id = run->answer_id,
			.turn = run->turn->id,
			.model = convo_model_name(run->runner->model),
			.listener = listener,
		};

		rc = cv_kept_new(&run->kept, run->runner->keeper, &keep, err);
		if (rc < 0)
			return rc;
		listener = cv_kept_listener(run->kept);
	}
	run->asked_us = cv_clock_mono_us();
	run->ask.session = run->session;
	run->ask.question = run->question;
	rc = cv_ask(&run->turn->answer, &run->ask, listener, cancel, err);
	cv_kept_stop(run->kept);
	turn->sent = run->ask.sent;
	turn->joined = run->ask.joined;
	turn->left_out = run->ask.left_out;
	turn->summarized = (size_t)run->ask.summarized;
	turn->summary_seq = run->ask.summary_seq;
	turn->left_out_why = run->turn->why = run->ask.why;
	run->ask.why = NULL;
	return rc;
}

/* ---- the answer ----------------------------------------------------------------------- */

static int answer_extra(struct cv_buf *extra, const struct run *run,
			const struct convo_answer *answer)
{
	const struct convo_turn *turn = &run->turn->base;
	int64_t total_ms = (cv_clock_mono_us() - run->asked_us) / 1000;
	int rc =
		cv_buf_addf(extra, "{\"sent_messages\":%zu,\"sent_bytes\":%zu,\"sent_tokens\":%.0f",
			    turn->sent, run->ask.bytes, run->ask.estimate);

	if (rc < 0)
		return rc;
	rc = turn->joined ? cv_buf_addf(extra, ",\"joined_messages\":%zu", turn->joined) : 0;
	if (rc < 0)
		return rc;
	if (answer && answer->first_ms >= 0) {
		rc = cv_buf_addf(extra, ",\"first_ms\":%lld", (long long)answer->first_ms);
		if (rc < 0)
			return rc;
	}
	rc = answer ? cv_buf_addf(extra, ",\"attempts\":%d", answer->attempts) : 0;
	if (rc < 0)
		return rc;
	return cv_buf_addf(extra, ",\"total_ms\":%lld}",
			   (long long)(answer ? answer->total_ms : total_ms));
}

/* What the append of an answer goes with: it ends the lease (R3). */
static struct convo_expect answer_expect(const struct run *run)
{
	struct convo_expect expect = {.generation = run->generation};

	if (run->held) {
		expect.lease = run->lease;
		expect.hold = CONVO_HOLD_END;
	}
	return expect;
}

/*
 * The store does not take the event as it is: a server with a lower limit than ours, an endpoint
 * with a strange name for its model. Keep what surely can be kept, the beginning of the text.
 */
static int answer_store_part(struct run *run, const struct convo_event *event, const char *text,
			     size_t len, struct convo_err *err)
{
	const struct convo_expect expect = answer_expect(run);
	struct convo_event part = {.id = event->id, .turn = event->turn, .status = CONVO_FAILED};
	char *message = NULL;
	int rc;

	if (len > KEEP_BYTES) {
		len = KEEP_BYTES;
		len -= cv_utf8_tail(text, len);
	}
	rc = convo_message_make(&message, "assistant", text, len, err);
	if (rc < 0)
		return rc;
	part.message = message;
	part.model = convo_model_name(run->runner->model);
	part.error = "the answer could not be stored whole";
	rc = cv_runner_append(run->runner, &run->key, &expect, &part, APPEND_PERSIST, NULL,
			      &run->turn->base.answer_seq, err);
	free(message);
	return rc;
}

/* What came of the answer, as an event. */
static void answer_describe(struct convo_event *event, const struct convo_answer *answer)
{
	event->message = answer->message;
	event->message_len = answer->message_len;
	event->status = answer->status;
	event->error = answer->error;
	event->finish_reason = answer->finish_reason;
	event->usage = answer->usage;
	if (answer->model)
		event->model = answer->model;
}

/* Append the answer, or without one that the asking failed with `failure`. */
static int answer_store(struct run *run, const struct convo_answer *answer,
			const struct convo_err *failure, struct convo_err *err)
{
	const struct convo_expect expect = answer_expect(run);
	struct convo_event event = {.id = run->answer_id,
				    .turn = run->turn->id,
				    .model = convo_model_name(run->runner->model),
				    .message = "{\"role\":\"assistant\",\"content\":null}",
				    .status = CONVO_FAILED,
				    .error = failure->text};
	struct cv_buf extra = {.max = 1024};
	int rc = answer_extra(&extra, run, answer);

	if (rc < 0) {
		rc = cv_buf_fail(err, rc);
		goto out;
	}
	event.extra = extra.data;
	if (answer)
		answer_describe(&event, answer);
	else if (failure->code == CONVO_E_CANCELED)
		event.status = CONVO_INTERRUPTED;
	rc = cv_runner_append(run->runner, &run->key, &expect, &event, APPEND_PERSIST, NULL,
			      &run->turn->base.answer_seq, err);
	if (answer && (rc == CONVO_E_TOOBIG || rc == CONVO_E_INVALID))
		rc = answer_store_part(run, &event, answer->text, answer->text_len, err);
out:
	cv_buf_clear(&extra);
	return rc;
}

/* Store how the asking ended; its own failure is worth more to the caller than that of storing. */
static int run_end(struct run *run, int code, struct convo_err *err)
{
	struct convo_turn *turn = &run->turn->base;
	struct convo_err none = {0};
	int rc;

	if (code < 0) {
		answer_store(run, NULL, err, &none);
		turn->failed = code == CONVO_E_CANCELED ? CONVO_TURN_OK : CONVO_TURN_MODEL;
		return code;
	}
	turn->answer = run->turn->answer;
	rc = answer_store(run, turn->answer, &none, err);
	if (rc < 0)
		turn->failed = CONVO_TURN_STORE;
	else
		cv_summarizer_offer(run->runner, &run->key, &run->ask, turn->answer);
	return rc;
}

int convo_runner_run(struct convo_turn **out, convo_runner *runner,
		     const struct convo_question *question, const struct convo_listener *listener,
		     convo_cancel *cancel, struct convo_err *err)
{
	struct run run = {.runner = runner};
	struct convo_err failure = {0};
	int rc = cv_check_given(out, "the place for the turn", &failure);

	if (rc < 0)
		goto out;
	rc = cv_check_given(runner, "the runner", &failure);
	if (rc < 0)
		goto out;
	run.key.app = runner->app;
	rc = run_init(&run, question, &failure);
	if (rc < 0)
		goto out;
	run.listener = listener;
	rc = run_begin(&run, cancel, &failure);
	if (rc >= 0)
		rc = run_end(&run, run_ask(&run, listener, cancel, &failure), &failure);
	else if (rc != CONVO_E_CANCELED)
		run.turn->base.failed = CONVO_TURN_STORE;
	*out = &run.turn->base;
	run.turn = NULL;
out:
	if (rc < 0 && err)
		*err = failure;
	run_clear(&run);
	return rc;
}
