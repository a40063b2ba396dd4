/*
 * Fuzzing questions that are messages: whatever others' programs send, and whatever stands in the session,
 * what is taken can be stored, and what is sent to a model holds no half of a tool call. The input is
 * lines: params; messages of the session, up to an empty line; messages of the question.
 */
#include <convo/convo.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <base/json.h>
#include <runner/context.h>
#include <runner/params.h>
#include <runner/question.h>

#define MOST 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int truth)
{
	if (!truth)
		abort();
}

/* ---- what may be sent --------------------------------------------------------------------- */

static int role_is(const struct convo_message *message, const char *role)
{
	return cv_text_is(cv_json_find((struct cv_text){message->json, message->len}, "role"),
			  role);
}

static size_t count_calls(const struct convo_message *message)
{
	struct cv_text json = {message->json, message->len}, call;
	struct cv_text calls = cv_json_find(json, "tool_calls");
	size_t pos = 0, count = 0;

	while (role_is(message, "\"assistant\"") && cv_json_element(calls, &pos, &call))
		count++;
	return count;
}

/* As many outputs as calls, right behind them, and none elsewhere. */
static void check_sent(const struct parcel *sent)
{
	size_t waits = 0;

	for (size_t i = 0; i < sent->count; i++) {
		const struct convo_message *message = &sent->messages[i];

		must(cv_json_check((struct cv_text){message->json, message->len}, "message",
				   NULL) == JSON_KIND_OBJECT);
		if (role_is(message, "\"tool\"")) {
			must(waits-- > 0);
			continue;
		}
		must(waits == 0);
		waits = count_calls(message);
	}
	must(waits == 0);
}

/* ---- one input ----------------------------------------------------------------------------- */

struct lines {
	struct convo_message line[2 * MOST];
	size_t count;
};

static void read_lines(struct lines *out, const char *text, size_t len)
{
	const char *end = text + len;

	while (text <= end && out->count < 2 * MOST) {
		const char *at = memchr(text, '\n', (size_t)(end - text));

		if (!at)
			at = end;
		out->line[out->count++] = (struct convo_message){text, (size_t)(at - text)};
		text = at + 1;
	}
}

static void check_params(const struct convo_message *line)
{
	static struct params under = {.json = (char *)"{\"temperature\":1,\"tools\":[{}],\"n\":2}"};
	struct params merged = {0};
	char *text = strndup(line->json, line->len);
	struct cv_text json;
	int rc = cv_params_merge(&merged, &under, text, NULL);

	if (rc == 0) {
		json = (struct cv_text){merged.json, strlen(merged.json)};
		must(cv_json_check(json, "params", NULL) == JSON_KIND_OBJECT);
		must(!cv_json_find(json, "messages").data && !cv_json_find(json, "model").data);
	} else {
		must(rc == CONVO_E_INVALID);
	}
	cv_params_clear(&merged);
	free(text);
}

static convo_store *store_of(void)
{
	static convo_store *store;
	const struct convo_store_options opts = {.trash_ms = CONVO_OFF,
						 .clean_interval_ms = CONVO_OFF};

	if (!store)
		must(convo_store_open(&store, "memory:", &opts, NULL) == 0);
	return store;
}

static const struct convo_key key = {"a", "u", "s"};

/* What the store takes of the lines as a session. */
static convo_session *make_session(const struct convo_message *lines, size_t count)
{
	convo_session *session = NULL;

	must(convo_store_delete(store_of(), &key, NULL, NULL) == 0);
	must(convo_store_create(store_of(), &key, NULL, NULL, NULL, NULL) == 0);
	for (size_t i = 0; i < count; i++) {
		const struct convo_event event = {.message = lines[i].json,
						  .message_len = lines[i].len};

		if (lines[i].len)
			convo_store_append(store_of(), &key, NULL, &event, 1, NULL, NULL, NULL);
	}
	must(convo_store_load(&session, store_of(), &key, NULL, NULL, NULL) == 0);
	return session;
}

static void check_question(const convo_session *session, const struct question *said)
{
	const struct convo_message none = {0};
	struct context_plan plan = {0};

	if (cv_context_check(session, said->events, said->count, NULL) != 0)
		return;
	for (size_t limit = 0; limit < 5; limit++) {
		struct runner_context context = {0};

		plan.limits.messages = limit;
		plan.limits.window = limit == 4 ? 40 : 0;
		must(cv_context_make(&context, session, &plan, none, said->events, said->count,
				     NULL) == 0);
		check_sent(&context.sent);
		cv_context_clear(&context);
	}
	must(convo_store_append(store_of(), &key, NULL, said->events, said->count, NULL, NULL,
				NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lines lines = {0};
	struct convo_question question = {.user = "u", .session = "s"};
	struct question said = {0};
	convo_session *session;
	size_t gap = 1;

	read_lines(&lines, (const char *)data, size);
	if (lines.count < 3)
		return 0;
	check_params(&lines.line[0]);
	while (gap < lines.count && lines.line[gap].len)
		gap++;
	question.messages = &lines.line[gap + 1];
	question.count = gap + 1 < lines.count ? lines.count - gap - 1 : 0;
	if (cv_question_read(&said, &question, NULL) == 0) {
		session = make_session(&lines.line[1], gap - 1);
		check_question(session, &said);
		convo_session_free(session);
	}
	cv_question_clear(&said);
	return 0;
}
