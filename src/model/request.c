/*
 * Writing a request's body; see wire.h. Messages and params are checked JSON text, so this is copying
 * bytes: no tree is built.
 */
#include <model/wire.h>

#include <string.h>

#include <base/json.h>

/* Whether a member of an assistant's message is thinking: servers ignore it in the history or refuse
 * it, but where tools are called some want it back. */
static bool request_is_reasoning(struct convo_text name)
{
	return convo_text_is(name, "reasoning_content") || convo_text_is(name, "reasoning");
}

static bool request_must_strip(struct convo_text message)
{
	struct convo_text name, value;
	size_t pos = 0;
	bool reasoning = false;

	while (convo_json_member(message, &pos, &name, &value)) {
		if (convo_text_is(name, "tool_calls") && convo_json_kind(value) == JSON_KIND_ARRAY)
			return false;
		reasoning = reasoning || request_is_reasoning(name);
	}
	return reasoning;
}

static int request_put_member(struct convo_buf *out, struct convo_text name,
			      struct convo_text value)
{
	int rc = convo_buf_addc(out, '"');

	if (rc == 0)
		rc = convo_buf_add(out, name.data, name.len);
	if (rc == 0)
		rc = convo_buf_adds(out, "\":");
	return rc == 0 ? convo_buf_add(out, value.data, value.len) : rc;
}

static int request_put_message(struct convo_buf *out, struct convo_text message)
{
	struct convo_text name, value;
	size_t pos = 0, put = 0;
	int rc;

	if (!request_must_strip(message))
		return convo_buf_add(out, message.data, message.len);
	rc = convo_buf_addc(out, '{');
	while (rc == 0 && convo_json_member(message, &pos, &name, &value)) {
		if (request_is_reasoning(name))
			continue;
		if (put++)
			rc = convo_buf_addc(out, ',');
		if (rc == 0)
			rc = request_put_member(out, name, value);
	}
	return rc == 0 ? convo_buf_addc(out, '}') : rc;
}

static int request_put_messages(struct convo_buf *out, const struct convo_request *request)
{
	int rc = convo_buf_adds(out, ",\"messages\":[");

	for (size_t i = 0; i < request->count && rc == 0; i++) {
		struct convo_text message = {request->messages[i].json, request->messages[i].len};

		if (i)
			rc = convo_buf_addc(out, ',');
		if (rc == 0)
			rc = request_put_message(out, message);
	}
	return rc == 0 ? convo_buf_addc(out, ']') : rc;
}

static int request_put_params(struct convo_buf *out, struct convo_text params)
{
	struct convo_text name, value;
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && convo_json_member(params, &pos, &name, &value)) {
		rc = convo_buf_addc(out, ',');
		if (rc == 0)
			rc = request_put_member(out, name, value);
	}
	return rc;
}

/* Params win: what they hold is not written twice, for servers differ in which one they take. Each
 * piece begins with a comma. */
static int request_put_body(struct convo_buf *out, const char *model,
			    const struct convo_request *request, bool usage)
{
	struct convo_text params = convo_text_of(request->params ? request->params : "{}");
	struct convo_text stream = convo_json_find(params, "stream");
	bool streams = stream.data ? convo_json_kind(stream) == JSON_KIND_TRUE : !request->whole;
	bool named = convo_json_find(params, "model").data;
	int rc = named ? 0 : convo_buf_adds(out, ",\"model\":");

	if (rc == 0 && !named)
		rc = convo_json_quote_to(out, model, strlen(model));
	if (rc == 0 && !stream.data)
		rc = convo_buf_adds(out, streams ? ",\"stream\":true" : ",\"stream\":false");
	if (rc == 0 && streams && usage && !convo_json_find(params, "stream_options").data)
		rc = convo_buf_adds(out, ",\"stream_options\":{\"include_usage\":true}");
	if (rc == 0 && !convo_json_find(params, "messages").data)
		rc = request_put_messages(out, request);
	return rc == 0 ? request_put_params(out, params) : rc;
}

int convo_wire_request(struct convo_buf *out, const char *model,
		       const struct convo_request *request, bool usage, struct convo_err *err)
{
	size_t start = out->len;
	int rc = request_put_body(out, model, request, usage);

	if (rc == 0)
		rc = convo_buf_addc(out, '}');
	if (rc < 0)
		return convo_buf_fail(err, rc);
	out->data[start] = '{'; /* in place of the first comma */
	return 0;
}
