/*
 * Joining messages; see join.h. They are checked JSON and stay the bytes they are: a text is put
 * into another between their quotes.
 */
#include <runner/join.h>

#include <base/json.h>

#define GAP "\\n\\n" /* an empty line, inside a JSON string */

static struct cv_text join_text(const struct convo_message *message)
{
	return (struct cv_text){message->json, message->len};
}

static struct cv_text join_content(const struct convo_message *message)
{
	return cv_json_find(join_text(message), "content");
}

/* A string without its quotes. */
static struct cv_text join_inside(struct cv_text string)
{
	return (struct cv_text){string.data + 1, string.len - 2};
}

/* ---- what fits ------------------------------------------------------------------------- */

static bool join_same(struct cv_text a, struct cv_text b)
{
	return a.data && b.data && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Whether `other` has every member of `message` but for the content, with the same value. */
static bool join_within(const struct convo_message *message, const struct convo_message *other)
{
	struct cv_text name, value, theirs, ours;
	size_t pos = 0, at;

	while (cv_json_member(join_text(message), &pos, &name, &value)) {
		bool found = cv_json_name_is(name, "content");

		for (at = 0; !found && cv_json_member(join_text(other), &at, &theirs, &ours);)
			found = join_same(name, theirs) && join_same(value, ours);
		if (!found)
			return false;
	}
	return true;
}

bool cv_join_speaks(const struct convo_message *message)
{
	enum json_kind kind = cv_json_kind(join_content(message));

	return kind == JSON_KIND_STRING || kind == JSON_KIND_ARRAY;
}

bool cv_join_fits(const struct convo_message *first, const struct convo_message *second)
{
	return cv_join_speaks(first) && cv_join_speaks(second) && join_within(first, second) &&
	       join_within(second, first);
}

bool cv_join_is_role(const struct convo_message *message, const char *role)
{
	struct cv_text value = cv_json_find(join_text(message), "role");

	return cv_json_kind(value) == JSON_KIND_STRING && cv_json_name_is(join_inside(value), role);
}

/* ---- putting together ------------------------------------------------------------------ */

/* The members of the first message, with another content. */
static int join_begin(struct cv_buf *out, const struct convo_message *message)
{
	struct cv_text name, value;
	size_t pos = 0;
	int rc = cv_buf_addc(out, '{');

	while (rc == 0 && cv_json_member(join_text(message), &pos, &name, &value)) {
		if (cv_json_name_is(name, "content"))
			continue;
		/* the name with its quotes and colon, up to the end of the value */
		rc = cv_buf_add(out, name.data - 1,
				(size_t)(value.data + value.len - name.data) + 1);
		if (rc < 0)
			break;
		rc = cv_buf_addc(out, ',');
	}
	return rc < 0 ? rc : cv_buf_adds(out, "\"content\":");
}

static int join_strings(struct cv_buf *out, const struct convo_message *messages, size_t count)
{
	int rc = cv_buf_addc(out, '"');
	bool said = false;

	for (size_t i = 0; i < count && rc == 0; i++) {
		struct cv_text text = join_inside(join_content(&messages[i]));

		if (text.len && said)
			rc = cv_buf_adds(out, GAP);
		if (rc < 0)
			break;
		said = said || text.len;
		rc = cv_buf_add(out, text.data, text.len);
	}
	return rc < 0 ? rc : cv_buf_addc(out, '"');
}

/* The parts in the making. */
struct parts {
	struct cv_buf *out;
	size_t text_end; /* behind the text of the part put last; 0: it is no text */
	bool any;
};

/* Where the text of a part is, if it is one: a string member "text". */
static struct cv_text parts_text(struct cv_text part)
{
	struct cv_text text = {0};

	if (cv_json_kind(part) == JSON_KIND_OBJECT)
		text = cv_json_find(part, "text");
	return cv_json_kind(text) == JSON_KIND_STRING ? join_inside(text) : (struct cv_text){0};
}

/* Put bytes into what is written already. */
static int parts_insert(struct cv_buf *out, size_t at, const char *text)
{
	size_t len = strlen(text);
	char *room = cv_buf_room(out, len);

	if (!room)
		return CONVO_E_NOMEM;
	memmove(out->data + at + len, out->data + at, out->len - at + 1);
	memcpy(out->data + at, text, len);
	out->len += len;
	return 0;
}

/*
 * Put a part behind the others. The gap between two messages goes into a text beside it: an endpoint
 * may refuse a part of blanks alone. Between two pictures there is none.
 */
static int parts_put(struct parts *parts, struct cv_text part, bool begins)
{
	struct cv_text text = parts_text(part);
	struct cv_buf *out = parts->out;
	bool gap = begins && parts->any;
	size_t start;
	int rc;

	if (gap && !text.data && parts->text_end) {
		rc = parts_insert(out, parts->text_end, GAP);
		if (rc < 0)
			return rc;
	}
	if (parts->any) {
		rc = cv_buf_addc(out, ',');
		if (rc < 0)
			return rc;
	}
	start = out->len;
	rc = cv_buf_add(out, part.data, part.len);
	if (rc < 0)
		return rc;
	parts->any = true;
	parts->text_end = 0;
	if (!text.data)
		return 0;
	parts->text_end = start + (size_t)(text.data + text.len - part.data);
	if (!gap)
		return 0;
	parts->text_end += strlen(GAP);
	return parts_insert(out, start + (size_t)(text.data - part.data), GAP);
}

/* A text as the part it would be. */
static int parts_put_string(struct parts *parts, struct cv_text string)
{
	struct cv_buf part = {0};
	int rc;

	if (string.len == 2)
		return 0; /* "" says nothing */
	rc = cv_buf_adds(&part, "{\"type\":\"text\",\"text\":");
	if (rc < 0)
		goto out;
	rc = cv_buf_add(&part, string.data, string.len);
	if (rc < 0)
		goto out;
	rc = cv_buf_addc(&part, '}');
	if (rc < 0)
		goto out;
	rc = parts_put(parts, (struct cv_text){part.data, part.len}, true);
out:
	cv_buf_clear(&part);
	return rc;
}

static int join_parts(struct cv_buf *out, const struct convo_message *messages, size_t count)
{
	struct parts parts = {.out = out};
	int rc = cv_buf_addc(out, '[');

	for (size_t i = 0; i < count && rc == 0; i++) {
		struct cv_text content = join_content(&messages[i]), part;
		bool begins = true;
		size_t pos = 0;

		if (cv_json_kind(content) == JSON_KIND_STRING)
			rc = parts_put_string(&parts, content);
		while (rc == 0 && cv_json_element(content, &pos, &part)) {
			rc = parts_put(&parts, part, begins);
			begins = false;
		}
	}
	return rc < 0 ? rc : cv_buf_addc(out, ']');
}

int cv_join(struct cv_buf *out, const struct convo_message *messages, size_t count,
	    const char *role)
{
	bool plain = true;
	int rc = role ? cv_buf_addf(out, "{\"role\":\"%s\",\"content\":", role)
		      : join_begin(out, &messages[0]);

	for (size_t i = 0; i < count; i++)
		plain = plain && cv_json_kind(join_content(&messages[i])) == JSON_KIND_STRING;
	if (rc < 0)
		return rc;
	rc = plain ? join_strings(out, messages, count) : join_parts(out, messages, count);
	return rc < 0 ? rc : cv_buf_addc(out, '}');
}
