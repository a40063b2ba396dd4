/*
 * What is new of a client's history; see chat_history.h.
 */
#include "api/chat_history.h"

#include <stdlib.h>
#include <string.h>

#include <convo/runner.h>

#include "api/openai.h"

/* So many messages of either side are compared at most: more than that are not appended at once. */
#define HISTORY_MOST 1024

/* What two messages are the same by. */
struct traces {
	struct text list[HISTORY_MOST];
	size_t count;
};

static bool trace_write(struct text *out, const char *message, size_t len)
{
	json_t *tree = json_read(message, len, NULL);
	const json_t *calls = json_object_get(tree, "tool_calls");
	char *text = NULL;
	bool ok = tree && convo_message_text(&text, message, len, NULL) == 0 &&
		  json_quotes(out, json_string_at(tree, "role")) &&
		  json_quotes(out, json_string_at(tree, "tool_call_id"));
	size_t i;

	for (i = 0; i < json_array_size(calls); i++)
		ok = ok && json_quotes(out, json_string_at(json_array_get(calls, i), "id"));
	ok = ok && json_quotes(out, text);
	convo_free(text);
	json_decref(tree);
	return ok;
}

static bool traces_add(struct traces *traces, const char *message, size_t len)
{
	struct text *trace = &traces->list[traces->count++];

	trace->max = 8 * HTTP_BODY_MAX;
	return trace_write(trace, message, len);
}

static void traces_free(struct traces *traces)
{
	size_t i;

	for (i = 0; traces && i < traces->count; i++)
		text_clear(&traces->list[i]);
	free(traces);
}

/* The last messages that the client sent. */
static struct traces *traces_of_client(const struct messages *said)
{
	struct traces *traces = calloc(1, sizeof(*traces));
	size_t i = said->count > HISTORY_MOST ? said->count - HISTORY_MOST : 0;
	bool ok = traces != NULL;

	for (; ok && i < said->count; i++)
		ok = traces_add(traces, said->list[i].json, said->list[i].len);
	if (ok)
		return traces;
	traces_free(traces);
	return NULL;
}

/* What takes part in the conversation, of a session that was loaded. */
static struct traces *traces_of_session(const convo_session *session)
{
	const struct convo_event *events[HISTORY_MOST];
	struct traces *traces = calloc(1, sizeof(*traces));
	int64_t count = convo_session_conversation(session, events), i;
	bool ok = traces && count >= 0;

	for (i = 0; ok && i < count; i++)
		ok = traces_add(traces, events[i]->message, events[i]->message_len);
	if (ok)
		return traces;
	traces_free(traces);
	return NULL;
}

static bool trace_same(const struct text *a, const struct text *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* A message is there when it is, behind the same one as here: "yes" alone says little. */
static bool trace_there(const struct traces *ours, const struct traces *theirs, size_t i)
{
	size_t j;

	for (j = ours->count; j-- > 0;)
		if (trace_same(&ours->list[j], &theirs->list[i]) &&
		    (!i || !j || trace_same(&ours->list[j - 1], &theirs->list[i - 1])))
			return true;
	return false;
}

/* How many of the last messages of the client's are new. */
static size_t count_new(const struct traces *ours, const struct traces *theirs)
{
	size_t i = theirs->count - 1;

	while (i && !trace_there(ours, theirs, i - 1))
		i--;
	return theirs->count - i;
}

static int session_load(convo_session **out, const struct service *service,
			const struct http_request *request, const char *name, struct convo_err *err)
{
	const struct convo_key key = {request->who.app, request->who.user, name};
	const struct convo_window window = {.kind = CONVO_WINDOW_LAST, .n = HISTORY_MOST};
	const struct convo_call call = {.cancel = request->cancel};
	int rc = convo_store_load(out, service->store, &key, &window, &call, err);

	return rc == CONVO_E_NOTFOUND ? 0 : rc;
}

bool chat_history_keep_new(struct messages *said, int64_t *after_seq, const char *name,
			   const struct service *service, struct http_request *request)
{
	struct traces *theirs = NULL, *ours = NULL;
	convo_session *session = NULL;
	struct convo_err err = {0};
	size_t fresh = said->count;
	bool ok = true;

	*after_seq = 0;
	if (session_load(&session, service, request, name, &err) < 0) {
		openai_fail(request, OPENAI_STORE, &err);
		return false;
	}
	if (session) {
		*after_seq = convo_session_meta(session)->last_seq;
		theirs = traces_of_client(said);
		ours = traces_of_session(session);
		ok = theirs && ours;
	}
	if (ok && session) {
		size_t count = count_new(ours, theirs);

		/* Where none is there of so many, all are new. */
		if (count < theirs->count)
			fresh = count;
	}
	memmove(said->list, said->list + said->count - fresh, fresh * sizeof(*said->list));
	said->count = fresh;
	traces_free(theirs);
	traces_free(ours);
	convo_session_free(session);
	return ok || openai_nomem(request);
}
