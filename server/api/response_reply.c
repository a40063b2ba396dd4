/*
 * Replies; see response_reply.h.
 */
#include "api/response_reply.h"

static void reply_flush(struct response_reply *reply)
{
	struct text *out = &reply->events.out;

	if (reply->events.broken)
		reply->gone = true;
	if (!reply->gone && out->len && !http_stream_write(reply->stream, out->data, out->len))
		reply->gone = true;
	text_clear(out);
}

/* An event of the whole object as it is. */
static void reply_put(struct response_reply *reply, const struct response_end *end,
		      void (*put)(struct response_events *events, const json_t *object))
{
	json_t *object = response_object(reply->id, reply->echo, end);

	if (object)
		put(&reply->events, object);
	else
		reply->gone = true;
	json_decref(object);
}

void response_reply_begin(struct response_reply *reply)
{
	const struct response_end begun = {.running = true};

	if (reply->told || !reply->streams)
		return;
	reply->told = true;
	reply->stream = http_reply_stream(reply->request);
	if (!reply->stream) {
		reply->gone = true;
		openai_nomem(reply->request);
		return;
	}
	reply_put(reply, &begun, response_events_begin);
	reply_flush(reply);
}

void response_reply_object(struct response_reply *reply, const struct response_end *end)
{
	json_t *object = response_object(reply->id, reply->echo, end);
	struct text body = {0};

	reply->told = true;
	body.max = 6 * HTTP_BODY_MAX;
	if (object && json_write(&body, object))
		http_reply(reply->request, 200, "application/json", &body);
	else
		openai_nomem(reply->request);
	text_clear(&body);
	json_decref(object);
}

bool response_reply_delta(struct response_reply *reply, const struct convo_delta *delta)
{
	response_reply_begin(reply);
	if (!reply->gone) {
		response_events_delta(&reply->events, delta);
		reply_flush(reply);
	}
	return !reply->gone;
}

bool response_reply_so_far(struct response_reply *reply, const struct convo_event *event)
{
	response_reply_begin(reply);
	if (!reply->gone) {
		response_events_catch_up(&reply->events, event);
		reply_flush(reply);
	}
	return !reply->gone;
}

void response_reply_end(struct response_reply *reply, const struct response_end *end)
{
	if (!reply->streams) {
		if (!reply->told)
			response_reply_object(reply, end);
		return;
	}
	response_reply_begin(reply);
	if (reply->gone)
		return;
	if (end->event)
		response_events_catch_up(&reply->events, end->event);
	reply_put(reply, end, response_events_end);
	reply_flush(reply);
}

void response_reply_fail(struct response_reply *reply, enum openai_side side,
			 const struct convo_err *err)
{
	static const char nothing[] = "{\"role\":\"assistant\",\"content\":null}";
	const struct convo_event event = {
		.id = reply->events.answer_id,
		.status = CONVO_FAILED,
		.message = nothing,
		.message_len = sizeof(nothing) - 1,
		.error = err->text,
	};
	const struct response_end end = {.event = &event};

	if (reply->told && reply->streams)
		response_reply_end(reply, &end);
	else if (!reply->told)
		openai_fail(reply->request, side, err);
}

void response_reply_clear(struct response_reply *reply)
{
	http_stream_end(reply->stream);
	response_events_clear(&reply->events);
}
