/*
 * A conversation as a text to read; see script.h.
 */
#include <runner/script.h>

#include <stdlib.h>

#include <base/json.h>
#include <base/utf8.h>

/* What of a call of tools is told. */
#define CALL_BYTES 1000

static int script_cut(struct cv_buf *out, const char *text, size_t len, size_t most)
{
	int rc;

	if (!most || len <= most)
		return cv_buf_add(out, text, len);
	most -= cv_utf8_tail(text, most);
	rc = cv_buf_add(out, text, most);
	return rc < 0 ? rc : cv_buf_adds(out, " [...]");
}

int cv_script_add(struct cv_buf *out, const struct convo_event *event, size_t most)
{
	struct cv_text message = {event->message, event->message_len};
	struct cv_text calls = cv_json_find(message, "tool_calls");
	char *text = NULL;
	int rc = convo_message_text(&text, message.data, message.len, NULL);

	if (rc < 0)
		return rc;
	rc = cv_buf_addf(out, "%s: ", event->role);
	if (rc < 0)
		goto out;
	rc = script_cut(out, text, strlen(text), most);
	if (rc < 0)
		goto out;
	if (cv_json_kind(calls) == JSON_KIND_ARRAY) {
		rc = cv_buf_adds(out, " calls ");
		if (rc < 0)
			goto out;
		rc = script_cut(out, calls.data, calls.len,
				most && most < CALL_BYTES ? most : CALL_BYTES);
		if (rc < 0)
			goto out;
	}
	rc = cv_buf_adds(out, "\n\n");
out:
	free(text);
	return rc;
}

/* Whether a sentence ends with the byte before `at`. */
static bool script_ends(const char *text, size_t at)
{
	static const char *const wide[] = {"\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
	char last = text[at - 1], next = text[at];

	if (last == '\n')
		return true;
	if (last == '.' || last == '!' || last == '?')
		return !next || next == ' ' || next == '\n';
	for (size_t i = 0; at >= 3 && i < sizeof(wide) / sizeof(wide[0]); i++) {
		if (memcmp(text + at - 3, wide[i], 3) == 0)
			return true;
	}
	return false;
}

size_t cv_script_sentence(const char *text, size_t len)
{
	size_t at;

	for (at = len; at && !script_ends(text, at); at--)
		;
	if (!at)
		for (at = len; at && text[at - 1] != ' '; at--)
			;
	if (!at)
		at = len - cv_utf8_tail(text, len);
	while (at && (text[at - 1] == ' ' || text[at - 1] == '\n'))
		at--;
	return at;
}
