/*
 * Writing a request's body; see wire.h. Messages and params are checked JSON text, so this is copying
 * bytes: no tree is built.
 */
#include <model/wire.h>

#include <string.h>

#include <base/json.h>

/* Whether a member of an assistant's message is thinking: servers ignore it in the history or refuse
 * it, but where tools are called some want it back. */
static bool request_is_reasoning(struct cv_text name)
{
	return cv_text_is(name, "reasoning_content") || cv_text_is(name, "reasoning");
}

static bool request_must_strip(struct cv_text message)
{
	struct cv_text name, value;
	size_t pos = 0;
	bool reasoning = false;

	while (cv_json_member(message, &pos, &name, &value)) {
		if (cv_text_is(name, "tool_calls") && cv_json_kind(value) == JSON_KIND_ARRAY)
			return false;
		reasoning = reasoning || request_is_reasoning(name);
	}
	return reasoning;
}

static int request_put_member(struct cv_buf *out, struct cv_text name, struct cv_text value)
{
	int rc = cv_buf_addc(out, '"');

	if (rc < 0)
		return rc;
	rc = cv_buf_add(out, name.data, name.len);
	if (rc < 0)
		return rc;
	rc = cv_buf_adds(out, "\":");
	return rc < 0 ? rc : cv_buf_add(out, value.data, value.len);
}

static int request_put_message(struct cv_buf *out, struct cv_text message)
{
	struct cv_text name, value;
	size_t pos = 0, put = 0;
	int rc;

	if (!request_must_strip(message))
		return cv_buf_add(out, message.data, message.len);
	rc = cv_buf_addc(out, '{');
	while (cv_json_member(message, &pos, &name, &value)) {
		if (rc < 0)
			return rc;
		if (request_is_reasoning(name))
			continue;
		rc = put++ ? cv_buf_addc(out, ',') : 0;
		if (rc < 0)
			return rc;
		rc = request_put_member(out, name, value);
	}
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}

static int request_put_messages(struct cv_buf *out, const struct convo_request *request)
{
	int rc = cv_buf_adds(out, ",\"messages\":[");

	for (size_t i = 0; i < request->count; i++) {
		struct cv_text message = {request->messages[i].json, request->messages[i].len};

		if (rc < 0)
			return rc;
		rc = i ? cv_buf_addc(out, ',') : 0;
		if (rc < 0)
			return rc;
		rc = request_put_message(out, message);
	}
	return rc < 0 ? rc : cv_buf_addc(out, ']');
}

static int request_put_params(struct cv_buf *out, struct cv_text params)
{
	struct cv_text name, value;
	size_t pos = 0;
	int rc;

	while (cv_json_member(params, &pos, &name, &value)) {
		rc = cv_buf_addc(out, ',');
		if (rc < 0)
			return rc;
		rc = request_put_member(out, name, value);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Params win: what they hold is not written twice, for servers differ in which one they take. Each
 * piece begins with a comma. */
static int request_put_body(struct cv_buf *out, const char *model,
			    const struct convo_request *request, bool usage)
{
	struct cv_text params = cv_text_of(request->params ? request->params : "{}");
	struct cv_text stream = cv_json_find(params, "stream");
	bool streams = stream.data ? cv_json_kind(stream) == JSON_KIND_TRUE : !request->whole;
	int rc;

	if (!cv_json_find(params, "model").data) {
		rc = cv_buf_adds(out, ",\"model\":");
		if (rc < 0)
			return rc;
		rc = cv_json_quote_to(out, model, strlen(model));
		if (rc < 0)
			return rc;
	}
	if (!stream.data) {
		rc = cv_buf_adds(out, streams ? ",\"stream\":true" : ",\"stream\":false");
		if (rc < 0)
			return rc;
	}
	if (streams && usage && !cv_json_find(params, "stream_options").data) {
		rc = cv_buf_adds(out, ",\"stream_options\":{\"include_usage\":true}");
		if (rc < 0)
			return rc;
	}
	rc = cv_json_find(params, "messages").data ? 0 : request_put_messages(out, request);
	return rc < 0 ? rc : request_put_params(out, params);
}

int cv_wire_request(struct cv_buf *out, const char *model, const struct convo_request *request,
		    bool usage, struct convo_err *err)
{
	size_t start = out->len;
	int rc = request_put_body(out, model, request, usage);

	if (rc < 0)
		return cv_buf_fail(err, rc);
	rc = cv_buf_addc(out, '}');
	if (rc < 0)
		return cv_buf_fail(err, rc);
	out->data[start] = '{'; /* in place of the first comma */
	return 0;
}
