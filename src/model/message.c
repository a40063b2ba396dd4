/*
 * Chat messages as JSON text: making a plain one, and reading its text; see convo/event.h.
 */
#include <convo/event.h>

#include <string.h>

#include <base/check.h>
#include <base/json.h>

int convo_message_make(char **out, const char *role, const char *text, size_t len,
		       struct convo_err *err)
{
	struct cv_buf buf = {0};
	char *made = NULL;
	int rc = cv_check_given(out, "where the message goes", err);

	if (rc < 0)
		return rc;
	if (!role || (!text && len))
		return cv_fail(err, CONVO_E_INVALID, "the message's role or text is missing");
	rc = cv_buf_adds(&buf, "{\"role\":");
	if (rc == 0)
		rc = cv_json_quote_to(&buf, role, strlen(role));
	if (rc == 0)
		rc = cv_buf_adds(&buf, ",\"content\":");
	if (rc == 0)
		rc = cv_json_quote_to(&buf, text, len);
	if (rc == 0)
		rc = cv_buf_addc(&buf, '}');
	if (rc == 0)
		made = cv_buf_take(&buf);
	cv_buf_clear(&buf);
	if (!made)
		return cv_fail_nomem(err);
	*out = made;
	return 0;
}

static int message_add_string(struct cv_buf *out, struct cv_text string)
{
	if (cv_json_kind(string) != JSON_KIND_STRING)
		return 0;
	string.data++;
	string.len -= 2;
	return cv_json_unescape(out, string);
}

static int message_add_parts(struct cv_buf *out, struct cv_text array)
{
	struct cv_text part;
	size_t pos = 0;
	int rc = 0;

	while (rc == 0 && cv_json_element(array, &pos, &part)) {
		if (cv_json_kind(part) == JSON_KIND_OBJECT)
			rc = message_add_string(out, cv_json_find(part, "text"));
	}
	return rc;
}

int convo_message_text(char **out, const char *message, size_t len, struct convo_err *err)
{
	struct cv_text json = {message, len}, content;
	struct cv_buf text = {0};
	char *taken = NULL;
	int rc = cv_check_given(out, "where the text goes", err);

	if (rc < 0)
		return rc;
	rc = cv_check_given(message, "the message", err);
	if (rc < 0)
		return rc;
	rc = cv_json_check(json, "message", err);
	if (rc < 0)
		return rc;
	if (rc != JSON_KIND_OBJECT)
		return cv_fail(err, CONVO_E_INVALID, "message: not a JSON object");
	content = cv_json_find(json, "content");
	rc = cv_json_kind(content) == JSON_KIND_ARRAY ? message_add_parts(&text, content)
						      : message_add_string(&text, content);
	if (rc == 0)
		taken = cv_buf_take(&text);
	cv_buf_clear(&text);
	if (!taken)
		return cv_fail_nomem(err);
	*out = taken;
	return 0;
}
