/*
 * Responses; see response.h.
 */
#include "api/response.h"

#include <string.h>

#include <convo/runner.h>

#include "api/items.h"
#include "core/fail.h"

/* ---- the object ----------------------------------------------------------------------- */

/* Why an answer that is whole ends early; NULL: it does not. */
static const char *cut_reason(const struct convo_event *event)
{
	const char *finish = event->finish_reason ? event->finish_reason : "";

	if (!strcmp(finish, "length"))
		return "max_output_tokens";
	return strcmp(finish, "content_filter") ? NULL : "content_filter";
}

const char *response_status(const struct response_end *end)
{
	if (end->running)
		return "in_progress";
	if (end->cancelled)
		return "cancelled";
	if (!end->event || end->event->status == CONVO_INTERRUPTED)
		return "incomplete";
	if (end->event->status == CONVO_FAILED)
		return "failed";
	return cut_reason(end->event) ? "incomplete" : "completed";
}

static json_t *count_of(const json_t *usage, const char *name)
{
	return json_integer(json_integer_value(json_object_get(usage, name)));
}

static json_t *usage_object(const struct convo_event *event)
{
	json_t *usage =
		event && event->usage ? json_read(event->usage, strlen(event->usage), NULL) : NULL;
	const json_t *in = json_object_get(usage, "prompt_tokens_details");
	const json_t *out = json_object_get(usage, "completion_tokens_details");
	json_t *object = NULL;

	if (usage)
		object = json_pack("{s:o,s:{s:o},s:o,s:{s:o},s:o}", "input_tokens",
				   count_of(usage, "prompt_tokens"), "input_tokens_details",
				   "cached_tokens", count_of(in, "cached_tokens"), "output_tokens",
				   count_of(usage, "completion_tokens"), "output_tokens_details",
				   "reasoning_tokens", count_of(out, "reasoning_tokens"),
				   "total_tokens", count_of(usage, "total_tokens"));
	json_decref(usage);
	return object ? object : json_null();
}

json_t *response_object(const char *id, const json_t *echo, const struct response_end *end)
{
	const char *status = response_status(end);
	const char *cut = end->event ? cut_reason(end->event) : NULL;
	json_t *object = json_copy((json_t *)(uintptr_t)echo), *output = json_array();
	json_t *error = json_null(), *details = json_null();
	bool ok = true;

	json_object_del(object, "count");
	if (!strcmp(status, "failed"))
		error = json_pack("{s:s,s:s}", "code", "server_error", "message",
				  end->event->error ? end->event->error : "the answer failed");
	if (!strcmp(status, "incomplete"))
		details = json_pack("{s:s}", "reason", cut ? cut : "interrupted");
	if (end->event)
		ok = items_add(output, end->event);
	ok &= item_set(object, "id", json_string(id));
	ok &= item_set(object, "status", json_string(status));
	ok &= item_set(object, "output", output);
	ok &= item_set(object, "error", error);
	ok &= item_set(object, "incomplete_details", details);
	ok &= item_set(object, "usage", usage_object(end->running ? NULL : end->event));
	if (ok)
		return object;
	json_decref(object);
	return NULL;
}

struct convo_event response_event(const struct convo_answer *answer, const char *id)
{
	const struct convo_event event = {
		.id = id,
		.role = "assistant",
		.status = answer->status,
		.message = answer->message,
		.message_len = answer->message_len,
		.model = answer->model,
		.finish_reason = answer->finish_reason,
		.error = answer->error,
		.usage = answer->usage,
	};

	return event;
}

/* ---- in the store --------------------------------------------------------------------- */

static int stored_answer(struct response_stored *out, const struct service *service,
			 const struct http_request *request, const struct token *token,
			 struct convo_err *err)
{
	const struct convo_event *draft = convo_session_draft(out->question);
	const struct convo_meta *meta = convo_session_meta(out->question);
	char id[CONVO_UUID_SIZE];
	const struct convo_window window = {.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id};
	int rc;

	convo_turn_event_id(id, token->turn, 0);
	rc = kept_load(&out->answer, service, request, token, &window, err);
	if (rc == 0) {
		out->end.event = convo_session_event(out->answer, 0);
		out->session_seq = convo_session_meta(out->answer)->last_seq;
		out->last_seq = out->end.event ? out->end.event->seq : out->last_seq;
		out->end.cancelled = out->end.event &&
				     out->end.event->status == CONVO_INTERRUPTED &&
				     kept_is(out->answer, KEPT_CANCELLED, token->turn);
		return 0;
	}
	if (rc != CONVO_E_NOTFOUND)
		return rc;
	if (draft && strcmp(draft->id, id) == 0)
		out->end.event = draft;
	/* Another turn's question stands behind this one's. */
	out->end.running = meta->held_ms > 0 && (out->end.event || meta->last_seq == out->last_seq);
	return 0;
}

int response_load(struct response_stored *out, const struct service *service,
		  const struct http_request *request, const struct token *token,
		  struct convo_err *err)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_window window = {
		.kind = CONVO_WINDOW_AROUND, .n = 1, .id = id, .with = CONVO_WITH_DRAFT};
	const struct convo_event *event;
	json_t *extra;
	int rc;

	convo_turn_event_id(id, token->turn, 1);
	rc = kept_load(&out->question, service, request, token, &window, err);
	if (rc < 0)
		return rc;
	event = convo_session_event(out->question, 0);
	extra = event && event->extra ? json_read(event->extra, strlen(event->extra), NULL) : NULL;
	out->echo = json_incref(json_object_get(extra, "response"));
	json_decref(extra);
	if (!event || !json_is_object(out->echo) || !kept_shows(out->question, event))
		return fail(err, CONVO_E_NOTFOUND, "no such response");
	out->first_seq = event->seq;
	out->last_seq = event->seq - 1 + json_integer_value(json_object_get(out->echo, "count"));
	out->session_seq = convo_session_meta(out->question)->last_seq;
	return stored_answer(out, service, request, token, err);
}

void response_stored_clear(struct response_stored *stored)
{
	json_decref(stored->echo);
	convo_session_free(stored->question);
	convo_session_free(stored->answer);
	memset(stored, 0, sizeof(*stored));
}
