/*
 * The stand-in that insists; see strict_llm.h. It counts otherwise than the library estimates: a word
 * for each four letters, a token for each other character.
 */
#include "support/strict_llm.h"

#include "support/fake_llm.h"
#include "support/test.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>

#include <base/json.h>

#define MESSAGE_COST 5
#define REQUEST_COST 12

static double count_text(const char *text, size_t len)
{
	double tokens = 0;
	size_t word = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (isalpha(c)) {
			tokens += word++ % 4 == 0;
			continue;
		}
		word = 0;
		if (c >= 0xe0)
			tokens += 1;
		else if (c >= 0xc0)
			tokens += 0.6;
		else if (c < 0x80 && c != ' ')
			tokens += 1;
	}
	return tokens;
}

static double count_string(struct cv_text string)
{
	struct cv_buf text = {0};
	double tokens;

	if (cv_json_kind(string) != JSON_KIND_STRING)
		return 0;
	must(cv_json_unescape(&text, (struct cv_text){string.data + 1, string.len - 2}) == 0);
	tokens = count_text(cv_buf_str(&text), text.len);
	cv_buf_clear(&text);
	return tokens;
}

/* Count the messages, and see whether their roles are as they must be. */
static double strict_look(const struct strict_llm *strict, struct cv_text messages, size_t *count,
			  const char **wrong)
{
	double tokens = REQUEST_COST;
	struct cv_text message, part;
	const char *want = "\"user\"";
	size_t pos = 0, at;

	for (*count = 0; cv_json_element(messages, &pos, &message); ++*count) {
		struct cv_text content = cv_json_find(message, "content");
		struct cv_text role = cv_json_find(message, "role");

		tokens += MESSAGE_COST + count_string(content);
		for (at = 0; cv_json_element(content, &at, &part);)
			tokens += count_string(cv_json_find(part, "text"));
		if (cv_text_is(role, "\"system\"") && strict->no_system)
			*wrong = "System role not supported";
		if (cv_text_is(role, "\"system\"") && !*count)
			continue;
		if (!cv_text_is(role, want) && strict->alternates && !*wrong)
			*wrong = "After the optional system message, conversation roles must "
				 "alternate "
				 "user/assistant/user/assistant/...";
		want = cv_text_is(role, "\"user\"") ? "\"assistant\"" : "\"user\"";
	}
	return tokens * strict->rate;
}

static int strict_refuse(struct cv_buf *body, const char *words)
{
	cv_buf_addf(body, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\"}}",
		    words);
	return 400;
}

static void strict_say(const struct strict_llm *strict, struct cv_buf *body, size_t tokens)
{
	static const char *const words[] = {
		"certainly", "the answer", "что-то", "没有问题", "if (x) {\\n\\treturn y;\\n}",
		"très bien"};

	cv_buf_addf(body, "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"well");
	for (size_t i = 0; i < strict->answer; i++)
		cv_buf_addf(body, " %s", words[(strict->requests + i / 8) % 6]);
	cv_buf_addf(body,
		    "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%zu,"
		    "\"completion_tokens\":%zu}}",
		    tokens, strict->answer);
}

/* ---- tools ---------------------------------------------------------------------------------- */

static bool role_is(struct cv_text message, const char *role)
{
	return cv_text_is(cv_json_find(message, "role"), role);
}

/* Whether one of the messages right behind `pos` is the output of this call. */
static bool pairs_answered(struct cv_text messages, size_t pos, struct cv_text id)
{
	struct cv_text message;

	while (cv_json_element(messages, &pos, &message) && role_is(message, "\"tool\"")) {
		struct cv_text answers = cv_json_find(message, "tool_call_id");

		if (answers.len == id.len && memcmp(answers.data, id.data, id.len) == 0)
			return true;
	}
	return false;
}

/* What is wrong with the tools of a request, in the words of those who refuse it; NULL: nothing. */
static const char *strict_pairs(struct cv_text messages)
{
	struct cv_text message, call;
	size_t pos = 0, waits = 0;

	while (cv_json_element(messages, &pos, &message)) {
		struct cv_text calls = cv_json_find(message, "tool_calls");
		size_t at = 0;

		if (role_is(message, "\"tool\"")) {
			if (!waits--)
				return "messages with role 'tool' must be a response to a "
				       "preceeding message with 'tool_calls'.";
			continue;
		}
		if (waits)
			return "An assistant message with 'tool_calls' must be followed by tool "
			       "messages responding to each 'tool_call_id'.";
		while (cv_json_element(calls, &at, &call)) {
			if (!pairs_answered(messages, pos, cv_json_find(call, "id")))
				return "An assistant message with 'tool_calls' must be followed by "
				       "tool messages responding to each 'tool_call_id'.";
			waits++;
		}
	}
	return NULL;
}

/* A stream, since that is how calls come in pieces. */
static void strict_call(struct strict_llm *strict, struct cv_buf *body, size_t calls)
{
	for (size_t i = 0; i < calls; i++)
		cv_buf_addf(body,
			    "data: "
			    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%zu,"
			    "\"id\":\"call_%zu_%zu\",\"type\":\"function\",\"function\":{\"name\":"
			    "\"look\",\"arguments\":\"\"}}]}}]}\n\n"
			    "data: "
			    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%zu,"
			    "\"function\":{\"arguments\":\"{\\\"n\\\":\"}}]}}]}\n\n"
			    "data: "
			    "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":%zu,"
			    "\"function\":{\"arguments\":\"%zu}\"}}]}}]}\n\n",
			    i, (size_t)strict->requests, i, i, i, i);
	cv_buf_adds(body, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
			  "\"tool_calls\"}]}\n\ndata: [DONE]\n\n");
}

/* ---- summing up ----------------------------------------------------------------------------- */

/* The facts of a text, each once, with its sentence's end. */
static void sum_facts(struct cv_buf *out, const char *text)
{
	const char *at = text;

	while ((at = strstr(at, "fact-"))) {
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-");
		char word[64];

		snprintf(word, sizeof(word), "%.*s.", (int)(len < 60 ? len : 60), at);
		if (!strstr(cv_buf_str(out), word))
			cv_buf_addf(out, "%s%s", out->len ? " " : "", word);
		at += len;
	}
	if (!out->len)
		cv_buf_adds(out, "Small talk.");
}

static int strict_sum(struct strict_llm *strict, struct cv_buf *body, const char *request,
		      size_t tokens)
{
	struct cv_buf text = {0};

	strict->summaries++;
	if (strict->sums == SUMS_REFUSED)
		return strict_refuse(body, "not today");
	while (strict->sums == SUMS_NEVER)
		poll(NULL, 0, 5);
	if (strict->sums == SUMS_FACTS)
		sum_facts(&text, request);
	for (int i = 0; strict->sums == SUMS_AT_LENGTH && i < 4000; i++)
		cv_buf_addf(&text, "Sentence %d says little. ", i);
	cv_buf_addf(body,
		    "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},"
		    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%zu,"
		    "\"completion_tokens\":%zu}}",
		    cv_buf_str(&text), tokens, text.len / 4);
	cv_buf_clear(&text);
	return 200;
}

static int strict_list(struct strict_llm *strict, struct cv_buf *body)
{
	strict->lists_read++;
	cv_buf_addf(body,
		    "{\"data\":[{\"id\":\"other\",\"max_model_len\":999999},{\"id\":\"strict\"");
	if (strict->lists)
		cv_buf_addf(body, ",\"max_model_len\":%zu", strict->window);
	cv_buf_addf(body, "}]}");
	return 200;
}

static int strict_answer(void *ctx, const char *request, struct cv_buf *body)
{
	struct strict_llm *strict = ctx;
	const char *json = strstr(request, "\r\n\r\n");
	const char *wrong = NULL;
	struct cv_text list;
	char words[160];
	size_t tokens, messages, calls;
	bool sums;

	if (strncmp(request, "GET ", 4) == 0)
		return strict_list(strict, body);
	strict->requests++;
	must(json != NULL);
	sums = strstr(json, "Write the summary now.") != NULL;
	list = cv_json_find(cv_text_of(json + 4), "messages");
	tokens = (size_t)strict_look(strict, list, &messages, &wrong);
	if (!sums && strict->seen)
		strict->seen(strict->ctx, list.data, list.len);
	if (!sums) {
		strict->last_messages = messages;
		strict->last_tokens = tokens;
	}
	if (strict->out) {
		cv_buf_adds(body, "{\"error\":{\"message\":\"out of order\"}}");
		return 500;
	}
	if (strict->pairs && strict_pairs(list)) {
		strict->bad_pairs++;
		return strict_refuse(body, strict_pairs(list));
	}
	if (wrong) {
		strict->bad_roles++;
		return strict_refuse(body, wrong);
	}
	if (!strict->window || tokens <= strict->window) {
		if (sums)
			return strict_sum(strict, body, json, tokens);
		calls = atomic_exchange(&strict->calls, 0);
		if (calls)
			strict_call(strict, body, calls);
		else
			strict_say(strict, body, tokens);
		return 200;
	}
	strict->too_long++;
	snprintf(words, sizeof(words),
		 "This model's maximum context length is %zu tokens. However, your messages "
		 "resulted in %zu tokens.",
		 strict->window, tokens);
	return strict_refuse(
		body, strict->mute ? "Please reduce the length: context window exceeded" : words);
}

void strict_llm_start(struct strict_llm *strict)
{
	strict->server = fake_llm_think(strict_answer, strict);
}

void strict_llm_stop(struct strict_llm *strict)
{
	fake_llm_stop(strict->server);
}
