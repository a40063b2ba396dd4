/*
 * Stored responses; see responses_stored.h.
 */
#include "api/responses_stored.h"

#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>
#include <convo/watch.h>

#include "api/items.h"
#include "api/openai.h"
#include "api/paging.h"
#include "api/response_reply.h"

/* How often a response that runs may change under our hands before we give up. */
#define CANCEL_ROUNDS 4

/* Without news of a response that runs it is looked at so often. */
#define LOOK_MS 2000

/* The response that the path names. @return false: refused */
static bool stored_find(struct response_stored *out, struct token *token,
			const struct service *service, struct http_request *request)
{
	struct convo_err err;
	int rc = CONVO_E_NOTFOUND;

	if (token_read_response(token, request->param[0]))
		rc = response_load(out, service, request, token, &err);
	if (rc == CONVO_E_NOTFOUND)
		return openai_absent(request, "response");
	if (rc < 0)
		openai_fail(request, OPENAI_STORE, &err);
	return rc == 0;
}

/* ---- looking -------------------------------------------------------------------------- */

static bool stored_after(int64_t *out, struct http_request *request)
{
	const char *after = http_query(request, "starting_after");
	char *end = NULL;

	*out = after ? strtoll(after, &end, 10) : -1;
	return (!after || (*after && !*end && *out >= 0)) ||
	       openai_wrong(request, "starting_after", "starting_after is a sequence_number");
}

/* Tell its events as they come, until it has ended or nobody reads any more. */
static void stored_follow(const struct service *service, struct response_reply *reply,
			  const struct token *token, convo_watch *watch)
{
	const struct convo_call call = {.timeout_ms = LOOK_MS, .cancel = reply->request->cancel};
	const struct convo_key key = kept_key(reply->request, token);
	struct response_stored stored = {0};
	struct convo_err err = {0};
	bool running = true;
	int rc = convo_watch_add(watch, &key, NULL, &err);

	while (rc >= 0 && running) {
		response_stored_clear(&stored);
		rc = convo_watch_next(watch, NULL, NULL, &call, &err);
		if (rc < 0 && rc != CONVO_E_TIMEOUT)
			break;
		rc = response_load(&stored, service, reply->request, token, &err);
		running = rc >= 0 && stored.end.running;
		if (running && stored.end.event && !response_reply_so_far(reply, stored.end.event))
			break;
	}
	if (rc < 0)
		response_reply_fail(reply, OPENAI_STORE, &err);
	else if (!running)
		response_reply_end(reply, &stored.end);
	response_stored_clear(&stored);
}

static void stored_stream(const struct service *service, struct http_request *request,
			  const struct response_stored *stored, const struct token *token)
{
	struct response_reply reply = {.request = request, .echo = stored->echo, .streams = true};
	char answer_id[CONVO_UUID_SIZE];
	convo_watch *watch = NULL;
	struct convo_err err;

	convo_turn_event_id(answer_id, token->turn, 0);
	reply.events.answer_id = answer_id;
	token_write(reply.id, token);
	if (!stored_after(&reply.events.after, request))
		return;
	if (!stored->end.running) {
		response_reply_end(&reply, &stored->end);
	} else if (convo_watch_new(&watch, service->store, &err) < 0) {
		openai_fail(request, OPENAI_STORE, &err);
	} else {
		http_cancel_when_gone(request);
		response_reply_begin(&reply);
		stored_follow(service, &reply, token, watch);
	}
	convo_watch_free(watch);
	response_reply_clear(&reply);
}

void responses_get(void *ctx, struct http_request *request)
{
	const char *stream = http_query(request, "stream");
	struct response_stored stored = {0};
	struct token token;

	if (!stored_find(&stored, &token, ctx, request))
		goto out;
	if (stream && !strcmp(stream, "true"))
		stored_stream(ctx, request, &stored, &token);
	else
		paging_reply_object(request,
				    response_object(request->param[0], stored.echo, &stored.end));
out:
	response_stored_clear(&stored);
}

void responses_input(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	struct response_stored stored = {0};
	struct convo_window window = {.kind = CONVO_WINDOW_AFTER};
	convo_session *session = NULL;
	json_t *all = json_array();
	struct token token;
	struct page page;
	struct convo_err err;
	size_t i;

	if (!paging_read(&page, request) || !stored_find(&stored, &token, service, request))
		goto out;
	window.seq = stored.first_seq - 1;
	window.n = (size_t)json_integer_value(json_object_get(stored.echo, "count"));
	if (kept_load(&session, service, request, &token, &window, &err) < 0) {
		openai_fail(request, OPENAI_STORE, &err);
		goto out;
	}
	for (i = 0; i < convo_session_count(session); i++)
		items_add(all, convo_session_event(session, i));
	paging_reply_part(request, &page, all);
out:
	convo_session_free(session);
	response_stored_clear(&stored);
	json_decref(all);
}

/* ---- ending --------------------------------------------------------------------------- */

void responses_delete(void *ctx, struct http_request *request)
{
	struct response_stored stored = {0};
	struct token token;
	struct convo_err err;

	if (!stored_find(&stored, &token, ctx, request))
		goto out;
	if (kept_undo(ctx, request, &token, token.turn, &err) < 0)
		openai_fail(request, OPENAI_STORE, &err);
	else
		paging_reply_object(request, json_pack("{s:s,s:s,s:b}", "id", request->param[0],
						       "object", "response", "deleted", 1));
out:
	response_stored_clear(&stored);
}

/*
 * Take the session from the turn, which stores what has come of the answer, as interrupted, and end that. The
 * turn's own server finds out when it next saves what came.
 */
static int cancel_turn(const struct service *service, const struct http_request *request,
		       const struct token *token, int64_t seq, struct convo_err *err)
{
	const struct convo_key key = kept_key(request, token);
	struct convo_expect expect = {.generation = token->generation,
				      .check_seq = true,
				      .after_seq = seq,
				      .hold = CONVO_HOLD_FORCE};
	char id[CONVO_UUID_SIZE];
	const struct convo_event nothing = {
		.id = id,
		.turn = token->turn,
		.status = CONVO_INTERRUPTED,
		.error = "cancelled",
		.message = "{\"role\":\"assistant\",\"content\":null}",
	};
	convo_lease *lease = NULL;
	int rc = convo_lease_new(&lease, NULL, err);

	if (rc < 0)
		return rc;
	convo_turn_event_id(id, token->turn, 0);
	expect.lease = lease;
	rc = convo_store_append(service->store, &key, &expect, NULL, 0, NULL, NULL, err);
	expect.check_seq = false;
	expect.hold = CONVO_HOLD_END;
	/* Where something had come that is stored already, under the same id. */
	if (rc == 0)
		rc = convo_store_append(service->store, &key, &expect, &nothing, 1, NULL, NULL,
					err);
	convo_lease_free(lease);
	return rc < 0 ? rc : kept_cancelled(service, request, token, token->turn, err);
}

void responses_cancel(void *ctx, struct http_request *request)
{
	struct response_stored stored = {0};
	struct token token;
	struct convo_err err;
	int round, rc = 0;

	for (round = 0; round < CANCEL_ROUNDS; round++) {
		response_stored_clear(&stored);
		if (!stored_find(&stored, &token, ctx, request))
			goto out;
		if (!stored.end.running)
			break;
		rc = cancel_turn(ctx, request, &token, stored.session_seq, &err);
		if (rc < 0 && rc != CONVO_E_CONFLICT)
			break;
	}
	if (rc < 0 && stored.end.running)
		openai_fail(request, OPENAI_STORE, &err);
	else
		paging_reply_object(request,
				    response_object(request->param[0], stored.echo, &stored.end));
out:
	response_stored_clear(&stored);
}
