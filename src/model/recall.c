/*
 * Answers from events; see recall.h.
 */
#include <model/recall.h>

#include <stdlib.h>

#include <base/json.h>
#include <model/answer.h>

/* The value of a string, without its escapes. */
static int recall_string(struct cv_buf *out, struct cv_text value)
{
	if (cv_json_kind(value) != JSON_KIND_STRING)
		return 0;
	return cv_json_unescape(out, (struct cv_text){value.data + 1, value.len - 2});
}

static int recall_call(struct answer *answer, struct cv_text call, struct convo_err *err)
{
	struct cv_text function = cv_json_find(call, "function"), args;
	struct cv_buf id = {0}, name = {0}, text = {0};
	struct answer_call_piece piece = {.index = (int64_t)answer->call_count};
	int rc = recall_string(&id, cv_json_find(call, "id"));

	if (rc == 0)
		rc = recall_string(&name, cv_json_find(function, "name"));
	args = cv_json_find(function, "arguments");
	if (rc == 0)
		rc = recall_string(&text, args);
	if (rc == 0) {
		piece.id = (struct cv_text){id.data, id.len};
		piece.name = (struct cv_text){name.data, name.len};
		piece.args = (struct cv_text){text.data, text.len};
		rc = cv_answer_call(answer, &piece, err);
	}
	cv_buf_clear(&id);
	cv_buf_clear(&name);
	cv_buf_clear(&text);
	return rc;
}

static int recall_calls(struct answer *answer, struct cv_text message, struct convo_err *err)
{
	struct cv_text list = cv_json_find(message, "tool_calls"), call;
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && cv_json_element(list, &pos, &call)) {
		if (cv_json_kind(call) == JSON_KIND_OBJECT)
			rc = recall_call(answer, call, err);
	}
	return rc < 0 ? rc : cv_calls_end(answer, err);
}

static int64_t recall_count(const char *usage, const char *name)
{
	struct cv_text value = cv_json_find(cv_text_of(usage), name);

	return usage && cv_json_kind(value) == JSON_KIND_NUMBER ? strtoll(value.data, NULL, 10)
								: -1;
}

static int recall_keep(struct cv_buf *buf, const char **shown, const char *text)
{
	if (!text)
		return 0;
	*shown = cv_buf_adds(buf, text) < 0 ? NULL : buf->data;
	return *shown ? 0 : CONVO_E_NOMEM;
}

static int recall_facts(struct answer *answer, const struct convo_event *event)
{
	struct convo_answer *pub = &answer->pub;
	struct cv_text message = {event->message, event->message_len};
	struct cv_buf *text = &answer->part[CONVO_DELTA_TEXT].text;

	if (cv_buf_add(&answer->message, message.data, message.len) < 0 ||
	    recall_keep(&answer->model, &pub->model, event->model) < 0 ||
	    recall_keep(&answer->finish_reason, &pub->finish_reason, event->finish_reason) < 0 ||
	    recall_keep(&answer->usage, &pub->usage, event->usage) < 0 ||
	    recall_keep(&answer->error, &pub->error, event->error) < 0 ||
	    recall_string(text, cv_json_find(message, "content")) < 0)
		return CONVO_E_NOMEM;
	pub->message = answer->message.data;
	pub->message_len = answer->message.len;
	pub->text = cv_buf_str(text);
	pub->text_len = text->len;
	pub->prompt_tokens = recall_count(event->usage, "prompt_tokens");
	pub->completion_tokens = recall_count(event->usage, "completion_tokens");
	pub->status = event->status;
	if (event->status != CONVO_COMPLETE)
		pub->code = event->status == CONVO_INTERRUPTED ? CONVO_E_CANCELED : CONVO_E_IO;
	pub->call_count = answer->call_count;
	pub->first_ms = -1;
	pub->attempts = 0;
	return 0;
}

int cv_answer_recall(struct convo_answer **out, const struct convo_event *event,
		     struct convo_err *err)
{
	struct cv_text message = {event->message, event->message_len};
	struct answer *answer = NULL;
	int rc = cv_answer_new(&answer, NULL, NULL, SIZE_MAX, err);

	if (rc < 0)
		return rc;
	rc = recall_calls(answer, message, err);
	if (rc < 0)
		goto out;
	if (recall_facts(answer, event) < 0) {
		rc = cv_fail_nomem(err);
		goto out;
	}
	*out = &answer->pub;
	answer = NULL;
out:
	convo_answer_free(answer ? &answer->pub : NULL);
	return rc;
}
