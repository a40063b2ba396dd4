/*
 * Fuzzing what clients send to /v1/responses and /v1/conversations: whatever it is, it is refused, or becomes
 * messages that a model and the store may get, and the items that these become go in again. The input is the
 * body of a request; its beginning is tried as an id, too.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>

#include "api/items.h"
#include "api/response_ask.h"
#include "api/response_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

/* ---- what of the server is not here ------------------------------------------------------- */

static const struct model only = {.name = "m"};
static size_t refusals;

void http_refuse(struct http_request *request, const struct http_refusal *refusal)
{
	(void)request;
	must(refusal->status >= 400);
	must(refusal->message && *refusal->message);
	refusals++;
}

const char *http_header(const struct http_request *request, const char *name)
{
	(void)request;
	(void)name;
	return NULL;
}

const struct model *models_find(const struct models *models, const char *name)
{
	(void)models;
	(void)name;
	return &only;
}

bool models_add_params(json_t *request, const struct model *model)
{
	(void)request;
	must(model == &only);
	return true;
}

/* ---- items -------------------------------------------------------------------------------- */

static struct convo_event event_of(const struct convo_message *message, char id[CONVO_UUID_SIZE])
{
	convo_turn_event_id(id, "turn", 1);
	return (struct convo_event){
		.id = id, .message = message->json, .message_len = message->len};
}

/* A message becomes items, which become that message. */
static void check_again(struct http_request *request, const struct convo_message *message)
{
	char id[CONVO_UUID_SIZE], found[CONVO_UUID_SIZE];
	const struct convo_event event = event_of(message, id);
	struct messages again = {0};
	json_t *items = json_array();
	size_t i;

	must(items_add(items, &event));
	for (i = 0; i < json_array_size(items); i++) {
		must(item_id_read(found, json_string_at(json_array_get(items, i), "id")));
		must(!strcmp(found, id));
	}
	if (json_array_size(items)) {
		must(items_read(&again, items, "items", request));
		must(again.count == 1);
	}
	messages_clear(&again);
	json_decref(items);
}

/* The events of an answer that is such a message. */
static void check_events(const struct convo_message *message, int64_t after)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = event_of(message, id);
	const struct response_end end = {.event = &event};
	struct response_events events = {.answer_id = id, .after = after};
	json_t *echo = json_object(), *object = response_object("resp_x", echo, &end);

	must(object != NULL);
	response_events_begin(&events, object);
	response_events_catch_up(&events, &event);
	response_events_end(&events, object);
	must(!events.broken && events.number > after);
	response_events_clear(&events);
	json_decref(object);
	json_decref(echo);
}

static void check_token(const char *text)
{
	struct token token;
	char again[TOKEN_SIZE];

	if (token_read_response(&token, text) || token_read_conversation(&token, text)) {
		token_write(again, &token);
		must(!strcmp(again, text));
	}
}

static void check_ask(struct http_request *request)
{
	const struct service service = {0};
	struct response_ask ask = {0};
	size_t before = refusals, i;
	bool ok = response_ask_read(&ask, &service, request);

	must(ok == (refusals == before));
	must(!ok || (ask.said.count && ask.echo && !(ask.stateless && ask.background)));
	for (i = 0; ok && i < ask.said.count; i++) {
		check_again(request, &ask.said.list[i]);
		check_events(&ask.said.list[i], (int64_t)(request->body_len % 64) - 1);
	}
	response_ask_clear(&ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request = {0};
	char *body = malloc(size + 1), *line;

	must(body != NULL);
	memcpy(body, data, size);
	body[size] = '\0';
	request.body = body;
	request.body_len = size;
	check_ask(&request);
	line = strchr(body, '\n');
	if (line)
		*line = '\0';
	check_token(body);
	free(body);
	return 0;
}
