/*
 * POST /v1/responses: a turn, in a conversation, behind another response, or in a session of its own; or
 * nothing that is kept. What is asked of responses that are stored is in responses_stored.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/text.h>

#include "api/apis.h"
#include "api/response_ask.h"
#include "api/response_reply.h"
#include "api/responses_stored.h"
#include "auth/auth.h"
#include "core/fail.h"

/* A turn under way. */
struct responding {
	struct service *service;
	struct http_request *request;
	const struct response_ask *ask;
	struct response_reply reply;
	struct token token; /* of the response: where it goes, and its turn */
	char answer_id[CONVO_UUID_SIZE];
	bool once;         /* the turn may have been run before */
	int64_t after_seq; /* what the session must end with; 0: anything */
	struct response_stored previous;
	struct response_stored before; /* it itself, as an earlier run left it */
};

/* ---- where it goes -------------------------------------------------------------------- */

/* A name for a session of its own; of a replay the same one. */
static void place_new(struct responding *r)
{
	char name[CONVO_UUID_SIZE];

	if (r->once)
		convo_turn_event_id(name, r->token.turn, 0);
	else
		convo_uuid_make(name);
	memcpy(r->token.session, name, sizeof(name));
	*r->token.generation = '\0';
	r->after_seq = 0;
}

/* Whether a session holds the turn already; its generation then is the token's. */
static bool place_holds(struct responding *r)
{
	const struct convo_key key = kept_key(r->request, &r->token);
	char id[CONVO_UUID_SIZE];
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id};
	convo_session *session = NULL;

	convo_turn_event_id(id, r->token.turn, 1);
	if (convo_store_load(&session, r->service->store, &key, &window, NULL, NULL) < 0)
		return false;
	memcpy(r->token.generation, convo_session_meta(session)->generation, CONVO_UUID_SIZE);
	convo_session_free(session);
	return true;
}

/* Another turn follows the response: this one goes into a copy of what was said up to there. */
static int place_fork(struct responding *r, struct convo_err *err)
{
	const struct convo_key source = kept_key(r->request, &r->ask->previous);
	struct convo_fork fork = {.upto_seq = r->previous.last_seq};
	struct convo_created created;
	int rc;

	place_new(r);
	fork.session = r->token.session;
	rc = convo_store_fork(r->service->store, &source, &fork, &created, NULL, err);
	if (rc == CONVO_E_EXISTS && r->once)
		return 0; /* an earlier run of this request has made it */
	if (rc == 0)
		memcpy(r->token.generation, created.generation, CONVO_UUID_SIZE);
	return rc;
}

static bool place_follow(struct responding *r)
{
	struct convo_err err;
	int rc = response_load(&r->previous, r->service, r->request, &r->ask->previous, &err);

	if (rc == CONVO_E_NOTFOUND)
		return openai_absent(r->request, "response");
	if (rc == 0 && r->previous.end.running)
		rc = fail(&err, CONVO_E_BUSY, "the previous response is still in progress");
	if (rc == 0) {
		memcpy(r->token.session, r->ask->previous.session, sizeof(r->token.session));
		memcpy(r->token.generation, r->ask->previous.generation, CONVO_UUID_SIZE);
		if (r->once && place_holds(r))
			return true;
		r->after_seq = r->previous.last_seq;
		if (r->previous.session_seq != r->previous.last_seq)
			rc = place_fork(r, &err);
	}
	if (rc < 0)
		openai_fail(r->request, OPENAI_STORE, &err);
	return rc == 0;
}

static bool place_converse(struct responding *r)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int rc = kept_load(&session, r->service, r->request, &r->ask->conversation, &none, &err);

	convo_session_free(session);
	memcpy(r->token.session, r->ask->conversation.session, sizeof(r->token.session));
	memcpy(r->token.generation, r->ask->conversation.generation, CONVO_UUID_SIZE);
	if (rc == CONVO_E_NOTFOUND)
		return openai_absent(r->request, "conversation");
	if (rc < 0)
		openai_fail(r->request, OPENAI_STORE, &err);
	return rc == 0;
}

static bool place_find(struct responding *r)
{
	const struct response_ask *ask = r->ask;
	char named[TOKEN_SIZE] = "";

	if (*ask->previous.session)
		token_write(named, &ask->previous);
	else if (*ask->conversation.session)
		token_write(named, &ask->conversation);
	if (!openai_once(r->token.turn, r->request, named))
		return false;
	r->once = *r->token.turn;
	if (!r->once)
		convo_uuid_make(r->token.turn);
	convo_turn_event_id(r->answer_id, r->token.turn, 0);
	r->reply.events.answer_id = r->answer_id;
	if (*ask->previous.session)
		return place_follow(r);
	if (*ask->conversation.session)
		return place_converse(r);
	place_new(r);
	return true;
}

/* ---- the turn ------------------------------------------------------------------------- */

/* It may have been begun before: what was asked then counts, also where it is only said again. */
static int responding_recall(struct responding *r, struct convo_err *err)
{
	int rc;

	response_stored_clear(&r->before);
	r->reply.echo = r->ask->echo;
	rc = response_load(&r->before, r->service, r->request, &r->token, err);
	if (rc == 0)
		r->reply.echo = r->before.echo;
	return rc;
}

/* The question is stored: from here on the response can be found. */
static int responding_begun(void *ctx, const struct convo_turn *turn)
{
	struct responding *r = ctx;
	const struct response_end running = {.running = true};

	if (*r->token.generation && strcmp(r->token.generation, turn->generation) != 0)
		return 1; /* the name has another life by now */
	memcpy(r->token.generation, turn->generation, CONVO_UUID_SIZE);
	token_write(r->reply.id, &r->token);
	if (r->once)
		responding_recall(r, NULL);
	if (r->ask->background && !r->ask->stream)
		response_reply_object(&r->reply, &running);
	else
		response_reply_begin(&r->reply);
	return 0;
}

/* The answer is finished and stored, whether or not its reader stays. */
static int responding_hear(void *ctx, const struct convo_delta *delta)
{
	struct responding *r = ctx;

	response_reply_delta(&r->reply, delta);
	return 0;
}

/* It went wrong. What is stored of it counts: another one may have cancelled it, say. */
static void responding_fail(struct responding *r, const struct convo_turn *turn,
			    const struct convo_err *err)
{
	bool model = turn && turn->failed == CONVO_TURN_MODEL;
	struct response_stored stored = {0};

	if (turn && turn->answer && !turn->repeated)
		auth_spend(r->service->auth, r->request, turn->answer);
	if (turn && turn->question_seq && (!model || r->reply.told) &&
	    response_load(&stored, r->service, r->request, &r->token, NULL) == 0 &&
	    !stored.end.running)
		response_reply_end(&r->reply, &stored.end);
	else
		response_reply_fail(&r->reply, model ? OPENAI_MODEL : OPENAI_STORE, err);
	response_stored_clear(&stored);
}

/* It was run before: what is stored of it is told again. */
static void responding_repeat(struct responding *r)
{
	struct convo_err err;

	if (responding_recall(r, &err) < 0)
		response_reply_fail(&r->reply, OPENAI_STORE, &err);
	else
		response_reply_end(&r->reply, &r->before.end);
}

static void responding_end(struct responding *r, const struct convo_turn *turn)
{
	const struct convo_event event = response_event(turn->answer, turn->answer_id);
	const struct response_end end = {.event = &event};

	memcpy(r->token.generation, turn->generation, CONVO_UUID_SIZE);
	token_write(r->reply.id, &r->token);
	if (turn->repeated) {
		responding_repeat(r);
		return;
	}
	auth_spend(r->service->auth, r->request, turn->answer);
	response_reply_end(&r->reply, &end);
}

/* Whether it was not begun since another turn was quicker: then it goes into a copy. */
static bool responding_forks(const struct responding *r, int rc, const struct convo_turn *turn)
{
	return (rc == CONVO_E_CONFLICT || rc == CONVO_E_BUSY) && r->after_seq && turn &&
	       !turn->question_seq;
}

static int responding_run(struct responding *r, struct convo_turn **turn, convo_runner *runner,
			  const char *extra, struct convo_err *err)
{
	const struct response_ask *ask = r->ask;
	const struct convo_turn_options options = {
		.turn = r->token.turn,
		.instruction = ask->instructions,
		.params = ask->params.len ? ask->params.data : NULL,
		.extra = extra,
		.after_seq = r->after_seq,
	};
	const struct convo_question question = {
		.user = r->request->who.user,
		.session = r->token.session,
		.messages = ask->said.list,
		.count = ask->said.count,
		.whole = !ask->stream && !ask->background,
		.when_busy = r->after_seq ? CONVO_BUSY_REFUSE : CONVO_BUSY_WAIT,
		.options = &options,
	};
	const struct convo_listener listener = {
		.on_delta = ask->stream ? responding_hear : NULL,
		.on_begun = responding_begun,
		.ctx = r,
	};

	return convo_runner_run(turn, runner, &question, &listener, r->request->cancel, err);
}

static void responding_turn(struct responding *r, convo_runner *runner)
{
	struct convo_turn *turn = NULL;
	struct text extra = {0};
	struct convo_err err = {0};
	int rc = CONVO_E_NOMEM;

	extra.max = 2 * HTTP_BODY_MAX;
	if (!text_adds(&extra, "{\"response\":") || !json_write(&extra, r->ask->echo) ||
	    !text_adds(&extra, "}")) {
		openai_nomem(r->request);
		goto out;
	}
	rc = responding_run(r, &turn, runner, extra.data, &err);
	if (responding_forks(r, rc, turn)) {
		convo_turn_free(turn);
		turn = NULL;
		rc = place_fork(r, &err);
		if (rc == 0)
			rc = responding_run(r, &turn, runner, extra.data, &err);
	}
	if (rc < 0)
		responding_fail(r, turn, &err);
	else if (turn)
		responding_end(r, turn);
out:
	convo_turn_free(turn);
	text_clear(&extra);
}

/* ---- nothing is kept ------------------------------------------------------------------ */

static int stateless_hear(void *ctx, const struct convo_delta *delta)
{
	return response_reply_delta(ctx, delta) ? 0 : 1;
}

static void stateless_tell(struct responding *r, const struct convo_answer *answer)
{
	const struct convo_event event = response_event(answer, r->answer_id);
	const struct response_end end = {.event = &event};

	auth_spend(r->service->auth, r->request, answer);
	response_reply_end(&r->reply, &end);
}

static void stateless_ask(struct responding *r, struct convo_message *list, size_t count)
{
	const struct response_ask *ask = r->ask;
	const struct convo_request question = {
		.messages = list,
		.count = count,
		.whole = !ask->stream,
		.params = ask->params.len ? ask->params.data : NULL,
	};
	const struct convo_listener listener = {.on_delta = stateless_hear, .ctx = &r->reply};
	struct convo_answer *answer = NULL;
	struct convo_err err = {0};

	if (ask->stream)
		http_cancel_when_gone(r->request);
	if (convo_model_ask(&answer, ask->model->open, &question, ask->stream ? &listener : NULL,
			    r->request->cancel, &err) < 0)
		response_reply_fail(&r->reply, OPENAI_MODEL, &err);
	else
		stateless_tell(r, answer);
	convo_answer_free(answer);
}

static void respond_stateless(struct responding *r)
{
	const struct response_ask *ask = r->ask;
	struct convo_message *list = calloc(ask->said.count + 1, sizeof(*list));
	const char *said = ask->instructions ? ask->instructions : "";
	size_t count = *said ? 1 : 0;
	char *instruction = NULL;

	convo_uuid_make(r->token.turn);
	convo_turn_event_id(r->answer_id, r->token.turn, 0);
	r->reply.events.answer_id = r->answer_id;
	token_write(r->reply.id, &r->token);
	if (!list ||
	    (count && convo_message_make(&instruction, "system", said, strlen(said), NULL) < 0)) {
		openai_nomem(r->request);
		free(list);
		return;
	}
	if (instruction)
		list[0] = (struct convo_message){instruction, strlen(instruction)};
	memcpy(list + count, ask->said.list, ask->said.count * sizeof(*list));
	stateless_ask(r, list, count + ask->said.count);
	convo_free(instruction);
	free(list);
}

/* ---- requests ------------------------------------------------------------------------- */

static void responses_create(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	struct response_ask ask = {0};
	struct responding r = {.service = service, .request = request, .ask = &ask};
	convo_runner *runner;
	struct convo_err err;

	if (!response_ask_read(&ask, service, request))
		goto out;
	r.reply.request = request;
	r.reply.echo = ask.echo;
	r.reply.streams = ask.stream;
	r.reply.events.after = -1;
	if (ask.stateless)
		respond_stateless(&r);
	else if (models_runner(&runner, service->models, ask.model, request->who.app, &err) < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else if (place_find(&r))
		responding_turn(&r, runner);
out:
	response_reply_clear(&r.reply);
	response_stored_clear(&r.previous);
	response_stored_clear(&r.before);
	response_ask_clear(&ask);
}

static const struct http_route responses_routes[] = {
	{HTTP_POST, "/v1/responses", responses_create, AUTH_CHAT, HTTP_LONG},
	{HTTP_GET, "/v1/responses/{id}", responses_get, AUTH_READ, HTTP_LONG},
	{HTTP_DELETE, "/v1/responses/{id}", responses_delete, AUTH_CHAT, HTTP_QUICK},
	{HTTP_POST, "/v1/responses/{id}/cancel", responses_cancel, AUTH_CHAT, HTTP_QUICK},
	{HTTP_GET, "/v1/responses/{id}/input_items", responses_input, AUTH_READ, HTTP_QUICK},
};

struct http_api responses_api(struct service *service)
{
	struct http_api api = openai_api(
		responses_routes, sizeof(responses_routes) / sizeof(responses_routes[0]), service);

	api.too_slow =
		"event: error\ndata: {\"type\":\"error\",\"code\":\"too_slow\",\"message\":\"the "
		"reader is too slow: 256 kB wait for it\",\"param\":null,"
		"\"sequence_number\":0}\n\n";
	return api;
}
