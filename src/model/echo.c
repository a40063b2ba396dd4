/*
 * The echo model: offline, deterministic, and honest about being no model. It tells what it was
 * sent, and so shows what a real model would have been given.
 */
#include <model/model.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <base/json.h>

/* A question that holds these words, in any case, asks for the messages before it. */
#define HISTORY_WORDS "conversation history"

struct echo {
	convo_emit_fn emit;
	void *emit_ctx;
	struct convo_err *err;
};

/* Emit word by word, each with the blanks after it, as a model streams its tokens. */
static int echo_say(const struct echo *echo, const char *text)
{
	while (*text) {
		size_t word = strcspn(text, " \t\n"), rest = strspn(text + word, " \t\n");
		int rc = echo->emit(echo->emit_ctx, CONVO_DELTA_TEXT, text, word + rest);

		if (rc)
			return rc;
		text += word + rest;
	}
	return 0;
}

static int echo_role(struct cv_buf *role, const struct convo_message *message)
{
	struct cv_text json = {message->json, message->len};
	struct cv_text value = cv_json_find(json, "role");

	cv_buf_reset(role);
	if (cv_json_kind(value) != JSON_KIND_STRING)
		return cv_buf_adds(role, "nobody");
	value.data++;
	value.len -= 2;
	return cv_json_unescape(role, value);
}

/* "role: text", or what a message without text is. */
static int echo_quote(const struct echo *echo, const struct convo_message *message)
{
	struct cv_buf role = {0};
	char *text = NULL;
	int rc = convo_message_text(&text, message->json, message->len, echo->err);

	if (rc)
		return rc;
	rc = echo_role(&role, message);
	if (rc < 0) {
		rc = cv_fail_nomem(echo->err);
		goto out;
	}
	rc = echo_say(echo, cv_buf_str(&role));
	if (rc)
		goto out;
	rc = echo_say(echo, *text ? ": " : ": (no text)");
	if (rc)
		goto out;
	rc = echo_say(echo, text);
out:
	cv_buf_clear(&role);
	free(text);
	return rc;
}

static int echo_greet(const struct echo *echo, size_t count)
{
	char line[160];

	snprintf(line, sizeof(line),
		 "I am echo, a stand-in and no language model. I was sent %zu message%s.", count,
		 count == 1 ? "" : "s");
	return echo_say(echo, line);
}

static int echo_history(const struct echo *echo, const struct convo_request *request)
{
	size_t before = request->count - 1;
	char number[32];
	int rc = echo_greet(echo, request->count);

	if (rc)
		return rc;
	rc = echo_say(echo, before ? " Before this question:" : " None before this one.");
	for (size_t i = 0; i < before; i++) {
		if (rc)
			return rc;
		snprintf(number, sizeof(number), "\n%zu. ", i + 1);
		rc = echo_say(echo, number);
		if (rc)
			return rc;
		rc = echo_quote(echo, &request->messages[i]);
	}
	return rc;
}

static int echo_last(const struct echo *echo, const struct convo_request *request)
{
	int rc = echo_greet(echo, request->count);

	if (rc)
		return rc;
	rc = echo_say(echo, " The last one:\n");
	return rc ? rc : echo_quote(echo, &request->messages[request->count - 1]);
}

static bool echo_asks_history(const char *text)
{
	size_t len = strlen(HISTORY_WORDS);

	for (; *text; text++) {
		if (strncasecmp(text, HISTORY_WORDS, len) == 0)
			return true;
	}
	return false;
}

int cv_echo_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		   void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct convo_message *last = &request->messages[request->count - 1];
	struct echo echo = {emit, emit_ctx, err};
	char *text = NULL;
	int rc;

	(void)ctx;
	(void)cancel; /* emit() looks at it for every word */
	rc = convo_message_text(&text, last->json, last->len, err);
	if (rc < 0)
		return rc;
	rc = echo_asks_history(text) ? echo_history(&echo, request) : echo_last(&echo, request);
	free(text);
	return rc;
}
