/*
 * Chat completions: OpenAI's first API, which most clients speak. Without a session a request goes to the
 * model as it came; in one, what is new goes there with what the store holds, by a turn of the runner.
 */
#include <stdio.h>

#include "api/apis.h"
#include "api/chat_ask.h"
#include "api/chat_reply.h"
#include "auth/auth.h"

/* In a session the answer is finished and stored, whether or not its reader stays. */
static int chat_hear(void *ctx, const struct convo_delta *delta)
{
	struct chat_reply *reply = ctx;

	return chat_reply_delta(reply, delta) || reply->ask->session ? 0 : 1;
}

/* What came of asking: an answer that is whole, or why it is not. */
static void chat_tell(struct service *service, struct chat_reply *reply,
		      const struct convo_answer *answer, const struct chat_place *place)
{
	struct convo_err err = {.code = answer->code};

	if (!place->repeated)
		auth_spend(service->auth, reply->request, answer);
	if (answer->status == CONVO_COMPLETE) {
		chat_reply_end(reply, answer, place);
		return;
	}
	if (answer->status == CONVO_INTERRUPTED)
		err.code = CONVO_E_CANCELED;
	snprintf(err.text, sizeof(err.text), "%s",
		 answer->error ? answer->error : "the answer was interrupted");
	chat_reply_fail(reply, OPENAI_MODEL, &err);
}

static void chat_pass_through(struct service *service, struct chat_reply *reply,
			      const struct convo_listener *listener)
{
	const struct chat_ask *ask = reply->ask;
	const struct convo_request question = {
		.messages = ask->said.list,
		.count = ask->said.count,
		.whole = !ask->stream,
		.params = ask->params.len ? ask->params.data : NULL,
	};
	const struct chat_place nowhere = {0};
	struct convo_answer *answer = NULL;
	struct convo_err err = {0};

	if (ask->stream)
		http_cancel_when_gone(reply->request);
	if (convo_model_ask(&answer, ask->model->open, &question, listener, reply->request->cancel,
			    &err) < 0)
		chat_reply_fail(reply, OPENAI_MODEL, &err);
	else
		chat_tell(service, reply, answer, &nowhere);
	convo_answer_free(answer);
}

static void chat_turn(struct service *service, struct chat_reply *reply, convo_runner *runner,
		      const struct convo_listener *listener)
{
	const struct chat_ask *ask = reply->ask;
	const struct convo_turn_options options = {
		.turn = *ask->once ? ask->once : NULL,
		.instruction = ask->instruction,
		.params = ask->params.len ? ask->params.data : NULL,
		.after_seq = ask->after_seq,
	};
	const struct convo_question question = {
		.user = reply->request->who.user,
		.session = ask->session,
		.messages = ask->said.list,
		.count = ask->said.count,
		.whole = !ask->stream,
		.options = &options,
	};
	struct chat_place place = {.session = ask->session};
	struct text name = {0};
	struct convo_turn *turn = NULL;
	struct convo_err err = {0};
	int rc;

	if (text_add_encoded(&name, ask->session, "/:@"))
		http_add_header(reply->request, "X-Convo-Session", name.data);
	text_clear(&name);
	rc = convo_runner_run(&turn, runner, &question, listener, reply->request->cancel, &err);
	if (rc < 0) {
		chat_reply_fail(reply,
				turn && turn->failed == CONVO_TURN_MODEL ? OPENAI_MODEL
									 : OPENAI_STORE,
				&err);
	} else {
		place.seq = turn->answer_seq;
		place.repeated = turn->repeated;
		chat_tell(service, reply, turn->answer, &place);
	}
	convo_turn_free(turn);
}

static void chat_complete(void *ctx, struct http_request *request)
{
	struct service *service = ctx;
	struct chat_ask ask = {0};
	struct chat_reply reply = {.request = request, .ask = &ask};
	const struct convo_listener listener = {.on_delta = chat_hear, .ctx = &reply};
	convo_runner *runner;
	struct convo_err err;

	if (!chat_ask_read(&ask, service, request))
		goto out;
	if (!ask.session)
		chat_pass_through(service, &reply, ask.stream ? &listener : NULL);
	else if (models_runner(&runner, service->models, ask.model, request->who.app, &err) < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else
		chat_turn(service, &reply, runner, ask.stream ? &listener : NULL);
out:
	chat_ask_clear(&ask);
}

static const struct http_route chat_routes[] = {
	{HTTP_POST, "/v1/chat/completions", chat_complete, AUTH_CHAT, HTTP_LONG},
};

struct http_api chat_api(struct service *service)
{
	return openai_api(chat_routes, 1, service);
}
