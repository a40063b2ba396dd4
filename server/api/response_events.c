/*
 * Events; see response_events.h.
 */
#include "api/response_events.h"

#include <stdlib.h>
#include <string.h>

#include "api/items.h"

/* What may stand in the buffer: a stored answer as pieces, and again as a whole. */
#define EVENTS_MAX ((size_t)64 << 20)

/* Replays have pieces of so many bytes at least, and so many of them at most. */
#define PIECE_LEAST 24
#define PIECES_MOST 2048

/* A part of an item: reasoning, text, refusal, or a call. */
struct response_part {
	enum convo_delta_kind kind;
	size_t call; /* of calls: which one */
	size_t item, content;
	char id[ITEM_ID_SIZE];
	struct text said;
};

/* ---- events --------------------------------------------------------------------------- */

/* An event of this type, with these members beside: the object is taken. */
static void event_put(struct response_events *events, const char *type, json_t *members)
{
	int64_t number = events->number++;
	struct text *out = &events->out;

	out->max = EVENTS_MAX;
	if (!members || !item_set(members, "type", json_string(type)) ||
	    !item_set(members, "sequence_number", json_integer(number)))
		events->broken = true;
	else if (number > events->after)
		events->broken |= !text_addf(out, "event: %s\ndata: ", type) ||
				  !json_write(out, members) || !text_adds(out, "\n\n");
	json_decref(members);
}

/* Members that say where. The others are taken. */
static json_t *part_at(const struct response_part *part, json_t *members)
{
	bool ok = item_set(members, "item_id", json_string(part->id)) &&
		  item_set(members, "output_index", json_integer((json_int_t)part->item));

	if (part->kind != CONVO_DELTA_TOOL_CALL)
		ok = item_set(members, "content_index", json_integer((json_int_t)part->content)) &&
		     ok;
	if (ok)
		return members;
	json_decref(members);
	return NULL;
}

static const struct {
	const char *item, *delta, *done, *member, *id;
} kinds[] = {
	[CONVO_DELTA_TEXT] = {"message", "response.output_text.delta", "response.output_text.done",
			      "text", "msg_"},
	[CONVO_DELTA_REASONING] = {"reasoning", "response.reasoning_text.delta",
				   "response.reasoning_text.done", "text", "rs_"},
	[CONVO_DELTA_REFUSAL] = {"message", "response.refusal.delta", "response.refusal.done",
				 "refusal", "msg_"},
	[CONVO_DELTA_TOOL_CALL] = {"function_call", "response.function_call_arguments.delta",
				   "response.function_call_arguments.done", "arguments", "fc_"},
};

static const char *text_of(const struct text *text)
{
	return text->data ? text->data : "";
}

/* A part of a message with so much text. */
static json_t *content_part(const struct response_part *part, const char *text)
{
	if (part->kind == CONVO_DELTA_REFUSAL)
		return json_pack("{s:s,s:s}", "type", "refusal", "refusal", text);
	if (part->kind == CONVO_DELTA_REASONING)
		return json_pack("{s:s,s:s}", "type", "reasoning_text", "text", text);
	return json_pack("{s:s,s:s,s:[],s:[]}", "type", "output_text", "text", text, "annotations",
			 "logprobs");
}

static json_t *with_logprobs(const struct response_part *part, json_t *members)
{
	if (part->kind == CONVO_DELTA_TEXT && members)
		json_object_set_new(members, "logprobs", json_array());
	return members;
}

/* ---- parts ---------------------------------------------------------------------------- */

/* An item begins. */
static void item_begin(struct response_events *events, const struct response_part *part,
		       const struct convo_delta *delta)
{
	json_t *item = json_pack("{s:s,s:s,s:s}", "id", part->id, "type", kinds[part->kind].item,
				 "status", "in_progress");

	if (part->kind == CONVO_DELTA_TOOL_CALL) {
		item_set(item, "call_id", json_string(delta->call_id ? delta->call_id : ""));
		item_set(item, "name", json_string(delta->call_name ? delta->call_name : ""));
		item_set(item, "arguments", json_string(""));
	} else {
		item_set(item, "content", json_array());
		if (part->kind == CONVO_DELTA_REASONING)
			item_set(item, "summary", json_array());
		else
			item_set(item, "role", json_string("assistant"));
	}
	event_put(events, "response.output_item.added",
		  json_pack("{s:I,s:o}", "output_index", (json_int_t)part->item, "item", item));
}

/* Text and refusal are parts of one message. */
static bool same_item(const struct response_part *a, const struct response_part *b)
{
	return !strcmp(a->id, b->id);
}

static struct response_part *part_begin(struct response_events *events,
					const struct convo_delta *delta)
{
	struct response_part *parts = realloc(events->parts, (events->count + 1) * sizeof(*parts));
	struct response_part *part;
	size_t i;

	if (!parts) {
		events->broken = true;
		return NULL;
	}
	events->parts = parts;
	part = &parts[events->count];
	*part = (struct response_part){
		.kind = delta->kind, .call = delta->call, .item = events->items};
	item_id_write(part->id, kinds[delta->kind].id, events->answer_id,
		      delta->kind == CONVO_DELTA_TOOL_CALL ? (int)delta->call : -1);
	for (i = 0; i < events->count; i++) {
		if (!same_item(&parts[i], part))
			continue;
		part->item = parts[i].item;
		part->content++;
	}
	events->count++;
	if (part->item == events->items) {
		events->items++;
		item_begin(events, part, delta);
	}
	if (part->kind != CONVO_DELTA_TOOL_CALL)
		event_put(events, "response.content_part.added",
			  part_at(part, json_pack("{s:o}", "part", content_part(part, ""))));
	return part;
}

static struct response_part *part_of(struct response_events *events,
				     const struct convo_delta *delta)
{
	size_t i;

	for (i = 0; i < events->count; i++)
		if (events->parts[i].kind == delta->kind && events->parts[i].call == delta->call)
			return &events->parts[i];
	return part_begin(events, delta);
}

/* More of a part. Its number is that of its last byte; of what is known already the rest is sent. */
static void part_say(struct response_events *events, struct response_part *part, const char *text,
		     size_t len)
{
	int64_t known = events->after - events->number + 1;
	size_t skip = known > 0 ? (size_t)known : 0;

	if (!len)
		return;
	events->broken |= !text_add(&part->said, text, len);
	if (skip > len)
		skip = len;
	while (skip && skip < len && ((unsigned char)text[skip] & 0xc0) == 0x80)
		skip++;
	events->number += (int64_t)len - 1;
	event_put(events, kinds[part->kind].delta,
		  with_logprobs(part, part_at(part, json_pack("{s:s%}", "delta", text + skip,
							      len - skip))));
}

void response_events_delta(struct response_events *events, const struct convo_delta *delta)
{
	struct response_part *part;
	bool call = delta->kind == CONVO_DELTA_TOOL_CALL;

	if (delta->kind > CONVO_DELTA_TOOL_CALL)
		return;
	part = part_of(events, delta);
	if (part)
		part_say(events, part, call ? delta->arguments : delta->text,
			 call ? delta->arguments_len : delta->len);
}

/* ---- from what is stored -------------------------------------------------------------- */

/* Where a piece ends: behind a word. */
static size_t piece_len(const char *text, size_t len)
{
	size_t least = len / PIECES_MOST > PIECE_LEAST ? len / PIECES_MOST : PIECE_LEAST, n;

	for (n = least; n < len && text[n - 1] != ' ' && text[n - 1] != '\n'; n++)
		if (n > 4 * least && ((unsigned char)text[n] & 0xc0) != 0x80)
			break;
	return n < len ? n : len;
}

/* The rest of a text. */
static void catch_up(struct response_events *events, enum convo_delta_kind kind, const char *text)
{
	struct convo_delta delta = {.kind = kind, .text = "", .arguments = ""};
	size_t len = text ? strlen(text) : 0, at, n;
	struct response_part *part = len ? part_of(events, &delta) : NULL;

	for (at = part ? part->said.len : len; part && at < len; at += n) {
		n = piece_len(text + at, len - at);
		part_say(events, part, text + at, n);
	}
}

void response_events_catch_up(struct response_events *events, const struct convo_event *event)
{
	json_t *message = json_read(event->message, event->message_len, NULL);
	const json_t *calls = json_object_get(message, "tool_calls");
	const char *thought = json_string_at(message, "reasoning_content");
	size_t i;

	catch_up(events, CONVO_DELTA_REASONING,
		 thought ? thought : json_string_at(message, "reasoning"));
	catch_up(events, CONVO_DELTA_TEXT, json_string_at(message, "content"));
	catch_up(events, CONVO_DELTA_REFUSAL, json_string_at(message, "refusal"));
	for (i = 0; i < json_array_size(calls); i++) {
		const json_t *call = json_array_get(calls, i);
		const json_t *function = json_object_get(call, "function");
		const char *arguments = json_string_at(function, "arguments");
		const struct convo_delta delta = {
			.kind = CONVO_DELTA_TOOL_CALL,
			.call = i,
			.call_id = json_string_at(call, "id"),
			.call_name = json_string_at(function, "name"),
		};
		struct response_part *part = part_of(events, &delta);
		size_t len = arguments ? strlen(arguments) : 0;

		if (part && part->said.len < len)
			part_say(events, part, arguments + part->said.len, len - part->said.len);
	}
	json_decref(message);
}

/* ---- begin and end -------------------------------------------------------------------- */

static json_t *whole(const json_t *object)
{
	return json_pack("{s:O}", "response", object);
}

void response_events_begin(struct response_events *events, const json_t *object)
{
	event_put(events, "response.created", whole(object));
	event_put(events, "response.in_progress", whole(object));
}

/* The item of a part as it is at last; NULL: it has come to nothing. */
static json_t *item_of(const json_t *object, const struct response_part *part)
{
	const json_t *output = json_object_get(object, "output");
	size_t i;

	for (i = 0; i < json_array_size(output); i++)
		if (item_is(json_array_get(output, i), part->id))
			return json_array_get(output, i);
	return NULL;
}

static void part_end(struct response_events *events, const struct response_part *part,
		     const json_t *item)
{
	const char *said = text_of(&part->said);
	json_t *members = json_pack("{s:s}", kinds[part->kind].member, said);

	if (part->kind == CONVO_DELTA_TOOL_CALL)
		item_set(members, "name", json_string(json_string_at(item, "name")));
	event_put(events, kinds[part->kind].done, with_logprobs(part, part_at(part, members)));
	if (part->kind != CONVO_DELTA_TOOL_CALL)
		event_put(events, "response.content_part.done",
			  part_at(part, json_pack("{s:o}", "part", content_part(part, said))));
}

void response_events_end(struct response_events *events, const json_t *object)
{
	const char *status = json_string_at(object, "status");
	struct text type = {0};
	size_t i, k;

	for (i = 0; i < events->items; i++) {
		json_t *item = NULL;

		for (k = 0; k < events->count; k++) {
			if (events->parts[k].item != i)
				continue;
			item = item_of(object, &events->parts[k]);
			if (item)
				part_end(events, &events->parts[k], item);
		}
		if (item)
			event_put(events, "response.output_item.done",
				  json_pack("{s:I,s:O}", "output_index", (json_int_t)i, "item",
					    item));
	}
	/* There is no event of a cancel: it is a response that is not complete. */
	if (status && !strcmp(status, "cancelled"))
		status = "incomplete";
	/* Who has a higher number, of calls that came to nothing, is told the end all the same. */
	if (events->number <= events->after)
		events->number = events->after + 1;
	events->broken |= !text_addf(&type, "response.%s", status ? status : "failed");
	event_put(events, text_of(&type), whole(object));
	text_clear(&type);
}

void response_events_clear(struct response_events *events)
{
	size_t i;

	for (i = 0; i < events->count; i++)
		text_clear(&events->parts[i].said);
	free(events->parts);
	text_clear(&events->out);
}
