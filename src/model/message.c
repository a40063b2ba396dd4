/*
 * Chat messages as JSON text: making a plain one, and reading its text; see convo/event.h.
 */
#include <convo/event.h>

#include <string.h>

#include <base/json.h>

int convo_message_make(char **out, const char *role, const char *text, size_t len,
		       struct convo_err *err)
{
	struct convo_buf buf = {0};
	char *made = NULL;
	int rc;

	if (!role || (!text && len))
		return convo_fail(err, CONVO_E_INVALID, "the message's role or text is missing");
	rc = convo_buf_adds(&buf, "{\"role\":");
	if (rc == 0)
		rc = convo_json_quote_to(&buf, role, strlen(role));
	if (rc == 0)
		rc = convo_buf_adds(&buf, ",\"content\":");
	if (rc == 0)
		rc = convo_json_quote_to(&buf, text, len);
	if (rc == 0)
		rc = convo_buf_addc(&buf, '}');
	if (rc == 0)
		made = convo_buf_take(&buf);
	convo_buf_clear(&buf);
	if (!made)
		return convo_fail_nomem(err);
	*out = made;
	return 0;
}

static int message_add_string(struct convo_buf *out, struct convo_text string)
{
	if (convo_json_kind(string) != JSON_KIND_STRING)
		return 0;
	string.data++;
	string.len -= 2;
	return convo_json_unescape(out, string);
}

static int message_add_parts(struct convo_buf *out, struct convo_text array)
{
	struct convo_text part;
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && convo_json_element(array, &pos, &part)) {
		if (convo_json_kind(part) == JSON_KIND_OBJECT)
			rc = message_add_string(out, convo_json_find(part, "text"));
	}
	return rc;
}

int convo_message_text(char **out, const char *message, size_t len, struct convo_err *err)
{
	struct convo_text json = {message, len}, content;
	struct convo_buf text = {0};
	char *taken = NULL;
	int rc;

	if (!message)
		return convo_fail(err, CONVO_E_INVALID, "the message is missing");
	rc = convo_json_check(json, "message", err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return convo_fail(err, CONVO_E_INVALID, "message: not a JSON object");
	content = convo_json_find(json, "content");
	rc = convo_json_kind(content) == JSON_KIND_ARRAY ? message_add_parts(&text, content)
							 : message_add_string(&text, content);
	if (rc == 0)
		taken = convo_buf_take(&text);
	convo_buf_clear(&text);
	if (!taken)
		return convo_fail_nomem(err);
	*out = taken;
	return 0;
}
