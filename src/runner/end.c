/*
 * The end of a turn: its answer into the store, or what became of it; see run.h.
 */
#include <runner/run.h>

#include <stdlib.h>

#include <base/buf.h>
#include <base/clock.h>
#include <base/fail.h>
#include <base/utf8.h>
#include <runner/summarizer.h>

/* What is kept of an answer that the store refuses. */
#define KEEP_BYTES (512u << 10)

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
	struct convo_expect expect = {.generation = run->turn->generation};

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
	part.model = convo_model_name(run->ask.model);
	part.error = "the answer could not be stored whole";
	rc = cv_runner_append(run->runner, &run->key, &expect, &part, 1, APPEND_PERSIST, NULL,
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
	struct convo_event event = {.id = run->turn->said.answer_id,
				    .turn = run->turn->base.id,
				    .model = convo_model_name(run->ask.model),
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
	rc = cv_runner_append(run->runner, &run->key, &expect, &event, 1, APPEND_PERSIST, NULL,
			      &run->turn->base.answer_seq, err);
	if (answer && (rc == CONVO_E_TOOBIG || rc == CONVO_E_INVALID))
		rc = answer_store_part(run, &event, answer->text, answer->text_len, err);
out:
	cv_buf_clear(&extra);
	return rc;
}

int cv_run_end(struct run *run, int code, struct convo_err *err)
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
