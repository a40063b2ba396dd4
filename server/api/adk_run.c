/*
 * Runs in ADK's form: a turn of the runner, whose answer is an event; in a stream its pieces come first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/adk.h"
#include "api/adk_event.h"
#include "auth/auth.h"

struct adk_running {
	struct service *service;
	struct http_request *request;
	json_t *body;
	const char *session;
	const char *turn; /* NULL: a new one */
	char made[CONVO_UUID_SIZE];
	struct adk_messages said;
	bool sse;            /* an answer is events of a stream, not an array */
	bool pieces;         /* and they come as they are said */
	http_stream *stream; /* NULL: not begun */
	bool gone;           /* nobody reads it any more */
};

static int64_t run_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what is asked -------------------------------------------------------------------- */

/* Whether the session is there, and theirs; its changes of state are made. */
static bool run_enter(struct adk_running *run)
{
	struct http_request *request = run->request;
	const struct convo_key key = {request->who.app, request->who.user, run->session};
	const struct convo_window window = {.kind = CONVO_WINDOW_NONE};
	const struct convo_call call = {.cancel = request->cancel};
	convo_session *session = NULL;
	struct convo_item *items = NULL;
	struct text texts = {0};
	struct convo_err err;
	size_t count = 0;
	int rc;
	bool ok;

	rc = convo_store_load(&session, run->service->store, &key, &window, &call, &err);
	convo_session_free(session);
	ok = rc == 0 && adk_state(&items, &count, &texts,
				  adk_member(run->body, "stateDelta", "state_delta"), request);
	if (ok && count)
		rc = convo_store_state_set(run->service->store, &key, items, count, &call, &err);
	if (rc < 0)
		adk_fail(request, OPENAI_STORE, run->session, &err);
	text_clear(&texts);
	free(items);
	return ok && rc == 0;
}

static bool run_read(struct adk_running *run)
{
	struct http_request *request = run->request;
	const char *wrong, *app;

	run->body = adk_body(request);
	if (!run->body)
		return false;
	run->session = adk_text(run->body, "sessionId", "session_id");
	if (!run->session) {
		adk_wrong(request, "sessionId is missing");
		return false;
	}
	if (!adk_text_or_none(request, run->body, "appName", "app_name") ||
	    !adk_text_or_none(request, run->body, "invocationId", "invocation_id"))
		return false;
	app = adk_text(run->body, "appName", "app_name");
	if (!adk_is_theirs(request, app ? app : request->who.app,
			   adk_text(run->body, "userId", "user_id"), run->session))
		return false;
	run->turn = adk_text(run->body, "invocationId", "invocation_id");
	run->pieces = run->sse && json_is_true(adk_member(run->body, "streaming", NULL));
	wrong = adk_content_read(&run->said, adk_member(run->body, "newMessage", "new_message"));
	if (wrong) {
		adk_wrong(request, wrong);
		return false;
	}
	if (!run->turn) {
		convo_uuid_make(run->made);
		run->turn = run->made;
	}
	return run_enter(run);
}

/* ---- what is answered ----------------------------------------------------------------- */

static bool run_begin(struct adk_running *run)
{
	if (run->stream || run->gone)
		return run->stream != NULL;
	run->stream = http_reply_stream(run->request);
	if (run->stream)
		return true;
	run->gone = true;
	adk_no_memory(run->request);
	return false;
}

static void run_send(struct adk_running *run, struct text *event, bool ok)
{
	if (!run->gone && (!ok || !http_stream_write(run->stream, event->data, event->len)))
		run->gone = true;
	text_clear(event);
}

/* A piece is an event of its own, which nobody stores. */
static bool piece_write(struct text *out, const struct adk_running *run,
			const struct convo_delta *delta)
{
	const bool thought = delta->kind == CONVO_DELTA_REASONING;
	struct convo_event event = {
		.time_ms = run_now_ms(),
		.author = "assistant",
		.turn = run->turn,
		.role = "assistant",
	};
	char id[CONVO_UUID_SIZE];
	struct text message = {0};
	bool ok = text_addf(&message, "{\"role\":\"assistant\",\"%s\":",
			    thought ? "reasoning_content" : "content") &&
		  json_quote(&message, delta->text, delta->len) && text_adds(&message, "}");

	convo_uuid_make(id);
	event.id = id;
	event.message = message.data;
	event.message_len = message.len;
	ok = ok && text_adds(out, "data: ") &&
	     adk_event_write(out, &event, run->request->who.app, true) && text_adds(out, "\n\n");
	text_clear(&message);
	return ok;
}

/* Calls come whole, with the end. The answer is finished and stored, whether or not its reader stays. */
static int run_hear(void *ctx, const struct convo_delta *delta)
{
	struct adk_running *run = ctx;
	struct text out = {0};

	if (delta->kind != CONVO_DELTA_TOOL_CALL && run_begin(run))
		run_send(run, &out, piece_write(&out, run, delta));
	return 0;
}

static bool answer_write(struct text *out, const struct adk_running *run,
			 const struct convo_turn *turn)
{
	const struct convo_answer *answer = turn->answer;
	const struct convo_event event = {
		.time_ms = run_now_ms(),
		.id = turn->answer_id,
		.author = "assistant",
		.turn = turn->id,
		.role = "assistant",
		.status = answer->status,
		.message = answer->message,
		.message_len = answer->message_len,
		.usage = answer->usage,
		.error = answer->error,
	};

	return adk_event_write(out, &event, run->request->who.app, false);
}

static void run_tell(struct adk_running *run, const struct convo_turn *turn)
{
	struct text out = {0};

	auth_spend(run->service->auth, run->request, turn->answer);
	if (!run->sse) {
		adk_reply(run->request, &out,
			  text_adds(&out, "[") && answer_write(&out, run, turn) &&
				  text_adds(&out, "]"));
		return;
	}
	if (!run_begin(run))
		return;
	run_send(run, &out,
		 text_adds(&out, "data: ") && answer_write(&out, run, turn) &&
			 text_adds(&out, "\n\n"));
	http_stream_end(run->stream);
}

/* A stream of ADK's tells its errors in an event, and is 200. */
static void run_fail(struct adk_running *run, enum openai_side side, const struct convo_err *err)
{
	struct text out = {0};
	bool ok;

	if (!run->sse) {
		adk_fail(run->request, side, run->session, err);
		return;
	}
	if (!run_begin(run))
		return;
	ok = text_adds(&out, "data: {\"error\":") && json_quotes(&out, err->text) &&
	     text_adds(&out, ",\"error_details\":{\"error_type\":") &&
	     json_quotes(&out, openai_refusal(side, err).code) &&
	     text_adds(&out, ",\"error_message\":") && json_quotes(&out, err->text) &&
	     text_addf(&out, ",\"timestamp\":%lld.0}}\n\n", (long long)(run_now_ms() / 1000));
	run_send(run, &out, ok);
	http_stream_end(run->stream);
}

/* ---- the turn ------------------------------------------------------------------------- */

static void run_turn(struct adk_running *run, convo_runner *runner, const struct model *model)
{
	const struct convo_turn_options options = {.turn = run->turn, .params = model->params};
	const struct convo_listener listener = {.on_delta = run_hear, .ctx = run};
	const struct convo_question question = {
		.user = run->request->who.user,
		.session = run->session,
		.messages = run->said.list,
		.count = run->said.count,
		.whole = !run->pieces,
		.options = &options,
	};
	struct convo_turn *turn = NULL;
	struct convo_err err = {0};
	int rc = convo_runner_run(&turn, runner, &question, run->pieces ? &listener : NULL,
				  run->request->cancel, &err);

	if (rc == 0 && turn && turn->answer)
		run_tell(run, turn);
	else
		run_fail(run,
			 turn && turn->failed == CONVO_TURN_MODEL ? OPENAI_MODEL : OPENAI_STORE,
			 &err);
	convo_turn_free(turn);
}

/* Of several models the first one speaks: ADK's clients name none. */
static void run_any(struct service *service, struct http_request *request, bool sse)
{
	const struct model *model = models_at(service->models, 0);
	struct adk_running run = {.service = service, .request = request, .sse = sse};
	convo_runner *runner = NULL;
	struct convo_err err;

	if (!run_read(&run))
		goto out;
	if (models_runner(&runner, service->models, model, request->who.app, &err) < 0)
		adk_fail(request, OPENAI_STORE, run.session, &err);
	else
		run_turn(&run, runner, model);
out:
	adk_messages_clear(&run.said);
	json_decref(run.body);
}

void adk_run(void *service, struct http_request *request)
{
	run_any(service, request, false);
}

void adk_run_sse(void *service, struct http_request *request)
{
	run_any(service, request, true);
}
