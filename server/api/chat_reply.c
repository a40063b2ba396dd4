/*
 * Writing answers; see chat_reply.h.
 */
#include "api/chat_reply.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool reply_head(struct text *out, struct chat_reply *reply, const char *object)
{
	if (!reply->created)
		reply->created = (int64_t)time(NULL);
	return text_addf(out,
			 "{\"id\":\"chatcmpl-%s\",\"object\":\"%s\",\"created\":%lld,\"model\":",
			 reply->request->id, object, (long long)reply->created) &&
	       json_quotes(out, reply->ask->model->name);
}

static const char *reply_finish_reason(const struct convo_answer *answer)
{
	return answer->finish_reason ? answer->finish_reason : "stop";
}

/* Clients take it for granted, also where an endpoint does not tell. */
static const char *reply_usage(const struct convo_answer *answer)
{
	return answer->usage ? answer->usage
			     : "{\"prompt_tokens\":0,\"completion_tokens\":0,"
			       "\"total_tokens\":0}";
}

/* ---- chunks --------------------------------------------------------------------------- */

static bool reply_begin(struct chat_reply *reply)
{
	const struct convo_err err = {.code = CONVO_E_NOMEM, .text = "out of memory"};

	if (reply->stream || reply->gone)
		return reply->stream != NULL;
	reply->stream = http_reply_stream(reply->request);
	if (!reply->stream) {
		reply->gone = true;
		openai_fail(reply->request, OPENAI_REQUEST, &err);
	}
	return reply->stream != NULL;
}

static void reply_write(struct chat_reply *reply, struct text *event, bool ok)
{
	if (!reply->gone && (!ok || !http_stream_write(reply->stream, event->data, event->len)))
		reply->gone = true;
	text_clear(event);
}

static bool chunk_begin(struct text *out, struct chat_reply *reply)
{
	return text_adds(out, "data: ") && reply_head(out, reply, "chat.completion.chunk");
}

/* A chunk whose delta is this JSON text. */
static void reply_chunk(struct chat_reply *reply, const char *delta)
{
	struct text out = {0};
	bool ok = chunk_begin(&out, reply) &&
		  text_adds(&out, ",\"choices\":[{\"index\":0,\"delta\":") &&
		  text_adds(&out, delta) && text_adds(&out, ",\"finish_reason\":null}]}\n\n");

	reply_write(reply, &out, ok);
}

/* A piece of a call: what it is stands in the first one alone. */
static bool call_write(struct text *out, const struct convo_delta *delta)
{
	return text_addf(out, "{\"tool_calls\":[{\"index\":%zu,", delta->call) &&
	       (!delta->call_id || (text_adds(out, "\"id\":") && json_quotes(out, delta->call_id) &&
				    text_adds(out, ",\"type\":\"function\","))) &&
	       text_adds(out, "\"function\":{") &&
	       (!delta->call_name || (text_adds(out, "\"name\":") &&
				      json_quotes(out, delta->call_name) && text_adds(out, ","))) &&
	       text_adds(out, "\"arguments\":") &&
	       json_quote(out, delta->arguments, delta->arguments_len) && text_adds(out, "}}]}");
}

static bool piece_write(struct text *out, const struct convo_delta *delta)
{
	static const char *const names[] = {
		[CONVO_DELTA_TEXT] = "content",
		[CONVO_DELTA_REASONING] = "reasoning_content",
		[CONVO_DELTA_REFUSAL] = "refusal",
	};

	return text_addf(out, "{\"%s\":", names[delta->kind]) &&
	       json_quote(out, delta->text, delta->len) && text_adds(out, "}");
}

bool chat_reply_delta(struct chat_reply *reply, const struct convo_delta *delta)
{
	bool call = delta->kind == CONVO_DELTA_TOOL_CALL, first = !reply->stream;
	struct text piece = {0};

	if (!call && delta->kind > CONVO_DELTA_REFUSAL) /* of a kind that is not OpenAI's */
		return !reply->gone;
	if (!reply_begin(reply))
		return false;
	if (first)
		reply_chunk(reply, "{\"role\":\"assistant\",\"content\":\"\"}");
	reply->called |= call;
	if (call ? call_write(&piece, delta) : piece_write(&piece, delta))
		reply_chunk(reply, piece.data);
	else
		reply->gone = true;
	text_clear(&piece);
	return !reply->gone;
}

/* Calls of tools that came in no pieces. */
static void reply_tool_calls(struct chat_reply *reply, const struct convo_answer *answer)
{
	json_t *message = json_read(answer->message, answer->message_len, NULL);
	json_t *calls = json_object_get(message, "tool_calls");
	struct text piece = {0};

	for (size_t i = 0; i < json_array_size(calls); i++)
		json_object_set_new(json_array_get(calls, i), "index", json_integer((json_int_t)i));
	if (json_array_size(calls) && text_adds(&piece, "{\"tool_calls\":") &&
	    json_write(&piece, calls) && text_adds(&piece, "}"))
		reply_chunk(reply, piece.data);
	text_clear(&piece);
	json_decref(message);
}

static bool place_write(struct text *out, const struct chat_place *place)
{
	return !place->session ||
	       (text_adds(out, ",\"convo\":{\"session\":") && json_quotes(out, place->session) &&
		text_addf(out, ",\"seq\":%lld}", (long long)place->seq));
}

static void reply_last_chunks(struct chat_reply *reply, const struct convo_answer *answer,
			      const struct chat_place *place)
{
	struct text out = {0};
	bool ok;

	/* Of a turn that was run before there were no pieces. */
	if (!reply->stream && answer->text_len)
		chat_reply_delta(reply, &(struct convo_delta){.kind = CONVO_DELTA_TEXT,
							      .text = answer->text,
							      .len = answer->text_len});
	if (!reply_begin(reply))
		return;
	if (!reply->called)
		reply_tool_calls(reply, answer);
	ok = chunk_begin(&out, reply) &&
	     text_adds(&out, ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":") &&
	     json_quotes(&out, reply_finish_reason(answer)) && text_adds(&out, "}]") &&
	     place_write(&out, place) && text_adds(&out, "}\n\n");
	if (ok && reply->ask->stream_usage)
		ok = chunk_begin(&out, reply) &&
		     text_addf(&out, ",\"choices\":[],\"usage\":%s}\n\n", reply_usage(answer));
	reply_write(reply, &out, ok && text_adds(&out, "data: [DONE]\n\n"));
	http_stream_end(reply->stream);
}

/* ---- whole ---------------------------------------------------------------------------- */

static bool reply_whole(struct text *out, struct chat_reply *reply,
			const struct convo_answer *answer)
{
	return reply_head(out, reply, "chat.completion") &&
	       text_adds(out, ",\"choices\":[{\"index\":0,\"message\":") &&
	       text_add(out, answer->message, answer->message_len) &&
	       text_adds(out, ",\"logprobs\":null,\"finish_reason\":") &&
	       json_quotes(out, reply_finish_reason(answer)) && text_adds(out, "}]") &&
	       text_addf(out, ",\"usage\":%s}", reply_usage(answer));
}

void chat_reply_end(struct chat_reply *reply, const struct convo_answer *answer,
		    const struct chat_place *place)
{
	const struct convo_err nomem = {.code = CONVO_E_NOMEM, .text = "out of memory"};
	struct text body = {0};
	char seq[24];

	if (reply->ask->stream) {
		reply_last_chunks(reply, answer, place);
		return;
	}
	if (place->session) {
		snprintf(seq, sizeof(seq), "%lld", (long long)place->seq);
		http_add_header(reply->request, "X-Convo-Seq", seq);
	}
	if (reply_whole(&body, reply, answer)) {
		http_reply(reply->request, 200, "application/json", &body);
		return;
	}
	text_clear(&body);
	chat_reply_fail(reply, OPENAI_REQUEST, &nomem);
}

void chat_reply_fail(struct chat_reply *reply, enum openai_side side, const struct convo_err *err)
{
	const struct http_refusal refusal = openai_refusal(side, err);
	struct text out = {0};
	bool ok;

	if (!reply->stream) {
		if (!reply->gone)
			http_refuse(reply->request, &refusal);
		return;
	}
	ok = text_adds(&out, "data: ") && openai_form(&out, &refusal) && text_adds(&out, "\n\n");
	reply_write(reply, &out, ok);
	http_stream_end(reply->stream);
}
