/*
 * Turns: what is said is stored, a model is asked, and its answer streamed and stored; and how that is stopped
 * and taken back. An answer is finished whether or not its reader stays.
 */
#include <stdio.h>
#include <string.h>

#include "api/live.h"
#include "api/native.h"
#include "api/native_turn_ask.h"
#include "api/native_write.h"
#include "api/running.h"
#include "api/sse.h"
#include "auth/auth.h"

/* A turn on its way to who asked. All-zero but for the first three is valid. */
struct telling {
	struct service *service;
	struct http_request *request;
	const struct turn_ask *ask;
	http_stream *stream; /* begun with the first thing to tell; NULL: nothing was sent */
	bool gone;           /* nobody reads any more */
	bool waits;          /* it is counted among those that wait for another turn */
	bool refused;        /* too many do */
	size_t pos[3];       /* bytes that were told, by kind */
};

/* ---- the stream ----------------------------------------------------------------------- */

static void telling_write(struct telling *telling, struct text *events, bool ok)
{
	if (!telling->gone &&
	    (!ok || !http_stream_write(telling->stream, events->data, events->len)))
		telling->gone = true;
	text_clear(events);
}

/* @return whether there is a stream */
static bool telling_begin(struct telling *telling)
{
	const struct turn_ask *ask = telling->ask;
	struct text out = {0};
	bool ok;

	if (telling->stream || telling->gone)
		return telling->stream != NULL;
	telling->stream = http_reply_stream(telling->request);
	telling->gone = !telling->stream;
	if (telling->gone)
		return false;
	ok = sse_begin(&out, "turn", 0) && text_adds(&out, "{\"turn\":") &&
	     json_quotes(&out, ask->turn) && text_adds(&out, ",\"session\":") &&
	     json_quotes(&out, ask->question.session) && text_adds(&out, ",\"model\":") &&
	     json_quotes(&out, ask->model->name) && text_adds(&out, "}") && sse_end(&out, 0);
	telling_write(telling, &out, ok);
	return true;
}

/* A piece of a call: what it is stands in the first one alone. */
static bool call_write(struct text *out, const char *turn, const struct convo_delta *delta)
{
	const size_t from = out->len;

	return sse_begin(out, "delta", 0) && text_adds(out, "{\"turn\":") &&
	       json_quotes(out, turn) &&
	       text_addf(out, ",\"kind\":\"tool_call\",\"call\":%zu", delta->call) &&
	       (!delta->call_id ||
		(text_adds(out, ",\"call_id\":") && json_quotes(out, delta->call_id))) &&
	       (!delta->call_name ||
		(text_adds(out, ",\"name\":") && json_quotes(out, delta->call_name))) &&
	       text_adds(out, ",\"arguments\":") &&
	       json_quote(out, delta->arguments, delta->arguments_len) && text_adds(out, "}") &&
	       sse_end(out, from);
}

static bool piece_write(struct text *out, struct telling *telling, const struct convo_delta *delta)
{
	static const char *const kinds[] = {
		[CONVO_DELTA_TEXT] = NULL,
		[CONVO_DELTA_REASONING] = "reasoning",
		[CONVO_DELTA_REFUSAL] = "refusal",
	};
	const struct sse_delta piece = {.turn = telling->ask->turn,
					.kind = kinds[delta->kind],
					.text = delta->text,
					.pos = telling->pos[delta->kind],
					.len = delta->len};

	telling->pos[delta->kind] += delta->len;
	return sse_delta(out, &piece);
}

/* It waits no more for another turn. */
static void telling_go_on(struct telling *telling)
{
	if (telling->waits)
		running_go_on(telling->service->live->running);
	telling->waits = false;
}

static int turn_hear(void *ctx, const struct convo_delta *delta)
{
	struct telling *telling = ctx;
	struct text out = {0};
	bool ok = false;

	telling_go_on(telling);
	if (!telling->ask->stream || !telling_begin(telling))
		return 0;
	if (delta->kind == CONVO_DELTA_TOOL_CALL)
		ok = call_write(&out, telling->ask->turn, delta);
	else if (delta->kind <= CONVO_DELTA_REFUSAL)
		ok = piece_write(&out, telling, delta);
	telling_write(telling, &out, ok);
	return 0;
}

static int turn_wait(void *ctx, const struct convo_wait *wait)
{
	struct telling *telling = ctx;
	struct text out = {0};
	bool ok;

	if (!telling->ask->stream || !telling_begin(telling))
		return 0;
	ok = sse_begin(&out, "wait", 0) && text_adds(&out, "{\"turn\":") &&
	     json_quotes(&out, telling->ask->turn) &&
	     text_addf(&out, ",\"attempt\":%d,\"wait_ms\":%d,\"reason\":", wait->attempt,
		       wait->wait_ms) &&
	     json_quotes(&out, wait->reason) && text_adds(&out, "}") && sse_end(&out, 0);
	telling_write(telling, &out, ok);
	return 0;
}

static int turn_busy(void *ctx, int64_t busy_ms)
{
	struct telling *telling = ctx;
	struct text out = {0};
	bool ok;

	telling->waits = running_wait(telling->service->live->running);
	telling->refused = !telling->waits;
	if (telling->refused)
		return 1;
	if (!telling->ask->stream || !telling_begin(telling))
		return 0;
	ok = sse_begin(&out, "busy", 0) && text_adds(&out, "{\"turn\":") &&
	     json_quotes(&out, telling->ask->turn) &&
	     text_addf(&out, ",\"busy_ms\":%lld}", (long long)busy_ms) && sse_end(&out, 0);
	telling_write(telling, &out, ok);
	return 0;
}

/* ---- its end -------------------------------------------------------------------------- */

/* What is known of a turn that was stored: the members of `done`, but for the brace that closes it. */
static bool done_write(struct text *out, const struct turn_ask *ask, const struct convo_turn *turn)
{
	static const char *const statuses[] = {"complete", "interrupted", "failed"};
	const struct convo_answer *answer = turn->answer;

	return text_adds(out, "{\"turn\":") && json_quotes(out, turn->id) &&
	       text_adds(out, ",\"session\":") && json_quotes(out, ask->question.session) &&
	       text_addf(out,
			 ",\"generation\":\"%s\",\"created\":%s,\"repeated\":%s,\"status\":\"%s\","
			 "\"question_seq\":%lld,\"answer_seq\":%lld,\"sent_messages\":%zu,"
			 "\"left_out\":%zu",
			 turn->generation, turn->created ? "true" : "false",
			 turn->repeated ? "true" : "false", statuses[answer->status],
			 (long long)turn->question_seq, (long long)turn->answer_seq, turn->sent,
			 turn->left_out) &&
	       (!turn->left_out_why ||
		(text_adds(out, ",\"left_out_why\":") && json_quotes(out, turn->left_out_why))) &&
	       (!answer->note ||
		(text_adds(out, ",\"note\":") && json_quotes(out, answer->note))) &&
	       (!answer->error ||
		(text_adds(out, ",\"error\":") && json_quotes(out, answer->error)));
}

/* The turn's events as they are stored. NULL: they cannot be had. */
static convo_session *turn_load(const struct telling *telling, const struct convo_turn *turn)
{
	const struct http_request *request = telling->request;
	const struct convo_key key = native_key(request);
	const int64_t first = turn->question_seq ? turn->question_seq : turn->answer_seq;
	const int64_t count = turn->answer_seq - first + 1;
	const struct convo_window window = {
		.kind = CONVO_WINDOW_AFTER,
		.seq = first - 1,
		.n = count > 0 && count < 200 ? (size_t)count : 200,
	};
	convo_session *session = NULL;

	if (turn->answer_seq)
		convo_store_load(&session, telling->service->store, &key, &window, NULL, NULL);
	return session;
}

/* Whether an event belongs to a turn: between them may stand those of others, who hold nothing. */
static bool event_is_of(const struct convo_event *event, const struct convo_turn *turn)
{
	return event->turn && !strcmp(event->turn, turn->id);
}

static void tell_stream(struct telling *telling, const struct convo_turn *turn,
			const convo_session *stored)
{
	const struct convo_event *event;
	struct text out = {0};
	bool ok;
	size_t i, from;

	if (!telling_begin(telling))
		return;
	for (i = 0; (event = convo_session_event(stored, i)); i++) {
		if (!event_is_of(event, turn))
			continue;
		ok = sse_event(&out, event);
		telling_write(telling, &out, ok);
	}
	from = out.len;
	ok = sse_begin(&out, "done", 0) && done_write(&out, telling->ask, turn) &&
	     text_adds(&out, "}") && sse_end(&out, from);
	telling_write(telling, &out, ok);
}

static void tell_whole(struct telling *telling, const struct convo_turn *turn,
		       const convo_session *stored)
{
	struct text body = {.max = 4 * HTTP_BODY_MAX};
	const struct convo_event *event;
	const char *between = "";
	bool ok = done_write(&body, telling->ask, turn) && text_adds(&body, ",\"events\":[");
	size_t i;

	for (i = 0; ok && (event = convo_session_event(stored, i)); i++) {
		if (!event_is_of(event, turn))
			continue;
		ok = text_adds(&body, between) && native_write_event(&body, event, true);
		between = ",";
	}
	native_reply(telling->request, 200, &body, ok && text_adds(&body, "]}"));
}

static void tell_failure(struct telling *telling, enum openai_side side,
			 const struct convo_err *err)
{
	const struct convo_err crowded = {
		.code = CONVO_E_BUSY,
		.text = "another answer is being given in this session, and many wait already",
	};
	struct http_refusal refusal;
	struct text out = {0};
	bool ok;

	if (telling->refused)
		err = &crowded;
	if (!telling->stream) {
		if (!telling->gone)
			native_fail(telling->request, side, err);
		return;
	}
	refusal = openai_refusal(side, err);
	ok = sse_begin(&out, "error", 0) && native_form(&out, &refusal) && sse_end(&out, 0);
	telling_write(telling, &out, ok);
}

static void turn_run(struct telling *telling, convo_runner *runner)
{
	const struct turn_ask *ask = telling->ask;
	struct http_request *request = telling->request;
	struct running *running = telling->service->live->running;
	struct running_turn entry = {native_key(request), ask->turn, request->cancel, NULL, NULL};
	const struct convo_listener listener = {
		.on_delta = turn_hear, .on_wait = turn_wait, .on_busy = turn_busy, .ctx = telling};
	struct convo_turn *turn = NULL;
	convo_session *stored;
	struct convo_err err = {0};
	int rc;

	running_begin(running, &entry);
	rc = convo_runner_run(&turn, runner, &ask->question, &listener, request->cancel, &err);
	running_end(running, &entry);
	telling_go_on(telling);
	if (turn && turn->answer && !turn->repeated)
		auth_spend(telling->service->auth, request, turn->answer);
	if (rc < 0 || !turn || !turn->answer) {
		tell_failure(telling,
			     turn && turn->failed == CONVO_TURN_MODEL ? OPENAI_MODEL : OPENAI_STORE,
			     &err);
	} else {
		stored = turn_load(telling, turn);
		if (ask->stream)
			tell_stream(telling, turn, stored);
		else
			tell_whole(telling, turn, stored);
		convo_session_free(stored);
	}
	http_stream_end(telling->stream);
	convo_turn_free(turn);
}

void native_turn(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	struct turn_ask ask = {0};
	struct telling telling = {.service = service, .request = request, .ask = &ask};
	convo_runner *runner;
	struct convo_err err;

	if (!turn_ask_read(&ask, service, request))
		goto out;
	if (models_runner(&runner, service->models, ask.model, request->who.app, &err) < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		turn_run(&telling, runner);
out:
	turn_ask_clear(&ask);
}

/* ---- stopping, taking back ------------------------------------------------------------ */

void native_cancel(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct http_refusal none = {
		.status = 404,
		.code = "not_found",
		.message = "no turn of that id is under way on this server",
	};
	struct text body = {0};

	if (!native_query_only(request, ""))
		return;
	if (!running_cancel(service->live->running, &key, request->param[1])) {
		http_refuse(request, &none);
		return;
	}
	native_reply(request, 202, &body,
		     text_adds(&body, "{\"turn\":") && json_quotes(&body, request->param[1]) &&
			     text_adds(&body, "}"));
}

void native_undo(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_call call = native_call(request);
	struct text body = {.max = 4 * HTTP_BODY_MAX};
	struct convo_err err = {0};
	json_t *nothing = NULL;
	convo_runner *runner;
	char *text = NULL;

	if (!native_query_only(request, "") || !native_body(&nothing, request, false, false) ||
	    !native_members(request, nothing, "", NULL, 0))
		goto out;
	if (models_runner(&runner, service->models, models_at(service->models, 0), request->who.app,
			  &err) < 0 ||
	    convo_runner_undo(&text, runner, request->who.user, request->param[0], &call, &err) < 0)
		native_fail(request, OPENAI_STORE, &err);
	else
		native_reply(request, 200, &body,
			     text_adds(&body, "{\"text\":") && json_quotes(&body, text) &&
				     text_adds(&body, "}"));
out:
	convo_free(text);
	json_decref(nothing);
}
