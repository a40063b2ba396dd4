/*
 * Fuzzing the reading of replies, from bytes to the answer that is handed out: no input may upset it,
 * every delta is whole text, every message can be stored, the key is in no error, and how the input
 * is cut changes nothing. The first byte says how large the pieces are, the second what the headers
 * said.
 */
#include <model/reply.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <base/json.h>
#include <base/utf8.h>

#define LARGEST 2048
#define KEY "sk-fuzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The arguments that were heard of each tool call. */
struct ear {
	struct cv_buf args[256];
	size_t count;
};

static int check_call(struct ear *ear, const struct convo_delta *delta)
{
	if (delta->len || *delta->text || strlen(delta->arguments) != delta->arguments_len ||
	    !cv_utf8_valid(delta->arguments, delta->arguments_len) || delta->call >= 256)
		abort();
	if (!delta->call_id != !delta->call_name || (!delta->call_id && !delta->arguments_len))
		abort();
	ear->count += delta->call_id != NULL;
	return cv_buf_add(&ear->args[delta->call], delta->arguments, delta->arguments_len);
}

static int check_delta(void *ctx, const struct convo_delta *delta)
{
	if (delta->kind == CONVO_DELTA_TOOL_CALL)
		return check_call(ctx, delta);
	if (!delta->len || strlen(delta->text) != delta->len ||
	    !cv_utf8_valid(delta->text, delta->len))
		abort();
	return 0;
}

static void check_answer(const struct answer *answer, const struct ear *ear)
{
	const struct convo_answer *pub = &answer->pub;
	struct cv_text message = {pub->message, pub->message_len};

	if (cv_json_check(message, "message", NULL) != JSON_KIND_OBJECT || message.len > LARGEST ||
	    strlen(pub->text) != pub->text_len)
		abort();
	for (size_t i = 0; i < pub->call_count; i++) {
		if (strcmp(convo_answer_call(pub, i)->arguments, cv_buf_str(&ear->args[i])) != 0)
			abort();
	}
	if (pub->call_count && pub->call_count != ear->count)
		abort();
	if (pub->usage && cv_json_check(cv_text_of(pub->usage), "usage", NULL) < 0)
		abort();
}

static int read_reply(struct answer *answer, const char *bytes, size_t len, size_t step,
		      unsigned headers, struct convo_err *err)
{
	static const struct cv_text key = {KEY, sizeof(KEY) - 1};
	static const struct secrets secrets = {&key, 1};
	struct reply reply = {.wire = {.answer = answer, .secrets = &secrets},
			      .base = "http://host/v1",
			      .url = "http://host/v1/chat/completions",
			      .max = LARGEST * 2,
			      .err = err,
			      .collect = headers % 8 == 7,
			      .status = headers % 4 == 3 ? 200 + (int)headers : 200,
			      .says_events = headers & 4};
	int rc = 0;

	cv_reply_begin(&reply);
	for (size_t at = 0; at < len && rc == 0; at += step)
		rc = cv_reply_feed(&reply, bytes + at, len - at < step ? len - at : step);
	if (rc == 0)
		rc = cv_reply_end(&reply, headers & 16 ? "cut" : NULL);
	cv_reply_clear(&reply);
	return rc;
}

/* Leaves the message in `out`, or what was wrong. */
static int ask(struct cv_buf *out, const char *bytes, size_t len, size_t step, unsigned headers)
{
	struct ear ear = {0};
	const struct convo_listener listener = {.on_delta = check_delta, .ctx = &ear};
	struct answer *answer = NULL;
	struct convo_err err = {0};
	int rc = cv_answer_new(&answer, &listener, NULL, LARGEST, &err);

	if (rc == 0)
		rc = read_reply(answer, bytes, len, step, headers, &err);
	rc = cv_answer_end(answer, rc, &err);
	if (rc == 0)
		check_answer(answer, &ear);
	else if (!*err.text || err.code != rc || strstr(err.text, KEY))
		abort();
	if (rc < 0)
		cv_buf_adds(out, err.text);
	else if (!strstr(answer->pub.message, "\"call_")) /* made up ids differ */
		cv_buf_adds(out, answer->pub.message);
	convo_answer_free(&answer->pub);
	for (size_t i = 0; i < 256; i++)
		cv_buf_clear(&ear.args[i]);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_buf whole = {0}, pieces = {0};
	const char *bytes = (const char *)data + 2;
	int rc;

	if (size < 3)
		return 0;
	rc = ask(&whole, bytes, size - 2, size, data[1]);
	if (rc != ask(&pieces, bytes, size - 2, data[0] % 16 + 1u, data[1]) ||
	    strcmp(cv_buf_str(&whole), cv_buf_str(&pieces)) != 0)
		abort();
	cv_buf_clear(&whole);
	cv_buf_clear(&pieces);
	return 0;
}
