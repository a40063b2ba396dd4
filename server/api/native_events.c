/*
 * Appending events.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>

#include "api/native.h"

bool native_repeat_key(char out[KEY_HEX_SIZE], bool *given, struct http_request *request,
		       const char *what)
{
	const char *value = http_header(request, "Idempotency-Key");
	struct text whole = {0};
	bool ok;

	*given = value != NULL;
	if (!value)
		return true;
	if (!*value || strlen(value) > 255 || http_header_count(request, "Idempotency-Key") > 1)
		return native_wrong(request, "Idempotency-Key", "must be one of 1 to 255 bytes");
	/* No name and no header holds a newline. */
	ok = text_addf(&whole, "%s\n%s\n%s\n%s\n%s\n%s", what, request->who.app, request->who.user,
		       request->who.key, request->param[0], value) &&
	     key_hash(out, whole.data);
	text_clear(&whole);
	return ok || native_nomem(request);
}

/* ---- what is expected ----------------------------------------------------------------- */

/* If-Match, "generation/last_seq". What it points at is in `copy`. */
static bool expect_read(struct convo_expect *out, char copy[CONVO_UUID_SIZE],
			struct http_request *request)
{
	const char *value = http_header(request, "If-Match");
	const char *digits;
	size_t len;

	if (!value || !strcmp(value, "*"))
		return true;
	len = strlen(value);
	digits = value + (len < CONVO_UUID_SIZE + 1 ? len : CONVO_UUID_SIZE + 1);
	if (http_header_count(request, "If-Match") == 1 && len > CONVO_UUID_SIZE + 2 &&
	    len < CONVO_UUID_SIZE + 20 && value[0] == '"' && value[CONVO_UUID_SIZE] == '/' &&
	    strspn(value + 1, "0123456789abcdef-") == CONVO_UUID_SIZE - 1 &&
	    strspn(digits, "0123456789") == len - CONVO_UUID_SIZE - 2 && value[len - 1] == '"') {
		memcpy(copy, value + 1, CONVO_UUID_SIZE - 1);
		copy[CONVO_UUID_SIZE - 1] = '\0';
		out->generation = copy;
		out->check_seq = true;
		out->after_seq = strtoll(digits, NULL, 10);
		return true;
	}
	return native_wrong(request, "If-Match", "must be \"generation/last_seq\", as ETag has it");
}

/* ---- the events ----------------------------------------------------------------------- */

/* What is appended. All-zero is valid. */
struct batch {
	json_t *list;
	size_t count;
	struct convo_event *events;
	char (*ids)[CONVO_UUID_SIZE];
	int64_t *seqs;
};

static void batch_clear(struct batch *batch)
{
	size_t i;

	for (i = 0; batch->events && i < batch->count; i++) {
		const struct convo_event *event = &batch->events[i];
		const char *const texts[] = {event->message, event->usage, event->state,
					     event->extra};
		size_t k;

		for (k = 0; k < 4; k++)
			free((char *)(uintptr_t)texts[k]);
	}
	free(batch->events);
	free(batch->ids);
	free(batch->seqs);
	json_decref(batch->list);
}

static bool status_read(enum convo_status *out, const char *word)
{
	static const char *const words[] = {"complete", "interrupted", "failed"};
	int i;

	if (!word)
		return true;
	for (i = 0; i < 3 && strcmp(word, words[i]) != 0; i++)
		;
	*out = (enum convo_status)i;
	return i < 3;
}

/* JSON text of a member, the event's. @return success */
static bool object_take(const char **out, const json_t *object)
{
	if (object)
		*out = json_dumps(object, JSON_COMPACT);
	return !object || *out;
}

static bool event_read(struct convo_event *out, char id[CONVO_UUID_SIZE], const json_t *from,
		       struct http_request *request, size_t i)
{
	const json_t *message = NULL, *usage = NULL, *state = NULL, *extra = NULL, *told = NULL;
	const char *status = NULL, *given = NULL;
	const struct native_member members[] = {
		{"id", NATIVE_STRING, &given},
		{"author", NATIVE_STRING, &out->author},
		{"turn", NATIVE_STRING, &out->turn},
		{"status", NATIVE_STRING, &status},
		{"message", NATIVE_OBJECT, &message},
		{"model", NATIVE_STRING, &out->model},
		{"finish_reason", NATIVE_STRING, &out->finish_reason},
		{"error", NATIVE_STRING, &out->error},
		{"usage", NATIVE_OBJECT, &usage},
		{"state", NATIVE_OBJECT, &state},
		{"extra", NATIVE_OBJECT, &extra},
		/* What an event has when it is read is the store's. */
		{"seq", NATIVE_ANY, &told},
		{"time_ms", NATIVE_ANY, &told},
		{"role", NATIVE_ANY, &told},
	};
	char within[32], param[48];

	snprintf(within, sizeof(within), "events[%zu].", i);
	if (!json_is_object(from)) {
		within[strlen(within) - 1] = '\0';
		return native_wrong(request, within, "must be an object");
	}
	if (!native_members(request, from, within, members, sizeof(members) / sizeof(members[0])))
		return false;
	snprintf(param, sizeof(param), "%sstate", within);
	if (!native_state_allowed(request, state, param))
		return false;
	snprintf(param, sizeof(param), "%sstatus", within);
	if (!status_read(&out->status, status))
		return native_wrong(request, param, "must be complete, interrupted or failed");
	snprintf(param, sizeof(param), "%smessage", within);
	if (!message)
		return native_wrong(request, param, "a message is what an event is of");
	if (given && strlen(given) != CONVO_UUID_SIZE - 1) {
		snprintf(param, sizeof(param), "%sid", within);
		return native_wrong(request, param, "must be a UUID");
	}
	if (given)
		memcpy(id, given, CONVO_UUID_SIZE);
	out->id = id;
	return (object_take(&out->message, message) && object_take(&out->usage, usage) &&
		object_take(&out->state, state) && object_take(&out->extra, extra)) ||
	       native_nomem(request);
}

/* Events without an id of their own have one that follows from the header, or a fresh one. */
static bool batch_read(struct batch *out, struct http_request *request)
{
	char key[KEY_HEX_SIZE];
	bool given;
	size_t i;

	if (!native_query_only(request, "") || !native_body(&out->list, request, true, true) ||
	    !native_repeat_key(key, &given, request, "events"))
		return false;
	out->count = json_array_size(out->list);
	if (!out->count || out->count > CONVO_MAX_BATCH_EVENTS)
		return native_wrong(request, "events", "1 to 1,000 events can be appended");
	out->events = calloc(out->count, sizeof(*out->events));
	out->ids = calloc(out->count, sizeof(*out->ids));
	out->seqs = calloc(out->count, sizeof(*out->seqs));
	if (!out->events || !out->ids || !out->seqs)
		return native_nomem(request);
	for (i = 0; i < out->count; i++) {
		if (given)
			convo_turn_event_id(out->ids[i], key, i + 1);
		else
			convo_uuid_make(out->ids[i]);
		if (!event_read(&out->events[i], out->ids[i], json_array_get(out->list, i), request,
				i))
			return false;
	}
	return true;
}

static bool batch_write(struct text *out, const struct batch *batch)
{
	bool ok = text_adds(out, "{\"events\":[");
	size_t i, k;

	for (i = 0; ok && i < batch->count; i++) {
		for (k = 0; batch->ids[i][k]; k++)
			batch->ids[i][k] = (char)tolower((unsigned char)batch->ids[i][k]);
		ok = text_addf(out, "%s{\"id\":\"%s\",\"seq\":%lld}", i ? "," : "", batch->ids[i],
			       (long long)batch->seqs[i]);
	}
	return ok && text_adds(out, "]}");
}

/* The store says which of several events is at fault; of one it says what alone. */
static void append_fail(struct http_request *request, const struct batch *batch,
			const struct convo_err *err)
{
	struct convo_err named = *err;

	if (batch->count == 1 && (err->code == CONVO_E_INVALID || err->code == CONVO_E_TOOBIG) &&
	    strncmp(err->text, "the session id", strlen("the session id")) != 0)
		snprintf(named.text, sizeof(named.text), "events[0]: %.200s", err->text);
	native_fail(request, OPENAI_STORE, &named);
}

void native_append(void *ctx, struct http_request *request)
{
	const struct service *service = ctx;
	const struct convo_key key = native_key(request);
	const struct convo_call call = native_call(request);
	struct convo_expect expect = {0};
	char generation[CONVO_UUID_SIZE];
	struct batch batch = {0};
	struct text body = {0};
	struct convo_err err = {0};

	if (!batch_read(&batch, request) || !expect_read(&expect, generation, request))
		goto out;
	if (convo_store_append(service->store, &key, &expect, batch.events, batch.count, batch.seqs,
			       &call, &err) < 0)
		append_fail(request, &batch, &err);
	else
		native_reply(request, 200, &body, batch_write(&body, &batch));
out:
	batch_clear(&batch);
}
