/*
 * Chat messages as JSON text: making a plain one, and reading its text; see convo/event.h.
 */
#include <convo/event.h>

#include <stdint.h>
#include <string.h>

#include <base/check.h>
#include <base/json.h>

static int message_put(struct cv_buf *out, const char *role, const char *text, size_t len)
{
	int rc = cv_buf_adds(out, "{\"role\":");

	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, role, strlen(role));
	if (rc < 0)
		return rc;
	rc = cv_buf_adds(out, ",\"content\":");
	if (rc < 0)
		return rc;
	rc = cv_json_quote_to(out, text, len);
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}

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
	if (len > PTRDIFF_MAX)
		return cv_fail(err, CONVO_E_INVALID, "the message's length is negative");
	rc = message_put(&buf, role, text, len);
	if (rc < 0)
		goto out;
	made = cv_buf_take(&buf);
	if (made)
		*out = made;
out:
	cv_buf_clear(&buf);
	return made ? 0 : cv_fail_nomem(err);
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

	while (cv_json_element(array, &pos, &part)) {
		int rc = cv_json_kind(part) == JSON_KIND_OBJECT
				 ? message_add_string(out, cv_json_find(part, "text"))
				 : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
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
	if (rc < 0)
		goto out;
	taken = cv_buf_take(&text);
	if (taken)
		*out = taken;
out:
	cv_buf_clear(&text);
	return taken ? 0 : cv_fail_nomem(err);
}
