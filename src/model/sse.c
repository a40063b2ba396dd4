/*
 * The reader of server-sent events; see sse.h. Lines are cut on bytes, so that a character split
 * between two reads is whole again before anybody looks at it. A line that came in one piece is
 * not copied.
 */
#include <model/sse.h>

#include <string.h>

static int sse_dispatch(struct sse *sse, bool unfinished)
{
	struct sse_event event = {
		.name = {cv_buf_str(&sse->name), sse->name.len},
		.data = {cv_buf_str(&sse->data), sse->data.len},
		.unfinished = unfinished,
	};
	int rc = event.data.len ? sse->on_event(sse->ctx, &event) : 0;

	cv_buf_reset(&sse->name);
	cv_buf_reset(&sse->data);
	sse->any = false;
	return rc;
}

static int sse_add_data(struct sse *sse, struct cv_text value)
{
	int rc;

	sse->data.max = sse->max;
	rc = sse->any ? cv_buf_addc(&sse->data, '\n') : 0;
	if (rc < 0)
		return rc;
	sse->any = true;
	return cv_buf_add(&sse->data, value.data, value.len);
}

static int sse_set_name(struct sse *sse, struct cv_text value)
{
	sse->name.max = sse->max;
	cv_buf_reset(&sse->name);
	return cv_buf_add(&sse->name, value.data, value.len);
}

/* `id` and `retry` are for readers that reconnect; asking again would be a new request. */
static int sse_field(struct sse *sse, struct cv_text name, struct cv_text value)
{
	int rc;

	if (cv_text_is(name, "data"))
		return sse_add_data(sse, value);
	if (cv_text_is(name, "event"))
		return sse_set_name(sse, value);
	if (!cv_text_is(name, "error") || !value.len)
		return 0;
	rc = sse_set_name(sse, name); /* as older llama-server builds write errors */
	return rc < 0 ? rc : sse_add_data(sse, value);
}

static int sse_line(struct sse *sse, const char *line, size_t len)
{
	const char *colon = len ? memchr(line, ':', len) : NULL;
	struct cv_text name = {line, colon ? (size_t)(colon - line) : len};
	struct cv_text value = {line + len, 0};

	if (!len)
		return sse_dispatch(sse, false);
	if (colon == line)
		return 0; /* a comment */
	if (colon) {
		value.data = colon + 1;
		value.len = len - name.len - 1;
		if (value.len && *value.data == ' ') {
			value.data++;
			value.len--;
		}
	}
	return sse_field(sse, name, value);
}

/* Drop a byte order mark, which may be split, at the very start. */
static int sse_skip_bom(struct sse *sse, const char **bytes, const char *end)
{
	static const char mark[] = "\xef\xbb\xbf";

	while (sse->bom < 3 && *bytes < end && **bytes == mark[sse->bom]) {
		sse->bom++;
		(*bytes)++;
	}
	if (sse->bom < 3 && *bytes < end) {
		unsigned part = sse->bom;

		sse->bom = 3;
		return part ? cv_buf_add(&sse->line, mark, part) : 0;
	}
	return 0;
}

/* Take the line that ends at `end`; its beginning may be waiting. */
static int sse_take_line(struct sse *sse, const char *start, const char *end)
{
	size_t len = (size_t)(end - start);
	int rc;

	if (!sse->line.len)
		return len > sse->max ? CONVO_E_TOOBIG : sse_line(sse, start, len);
	rc = cv_buf_add(&sse->line, start, len);
	if (rc < 0)
		return rc;
	rc = sse_line(sse, sse->line.data, sse->line.len);
	cv_buf_reset(&sse->line);
	return rc;
}

static const char *sse_line_end(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));
	const char *cr = memchr(at, '\r', (size_t)((lf ? lf : end) - at));

	return cr ? cr : lf;
}

int cv_sse_feed(struct sse *sse, const char *bytes, size_t len)
{
	const char *end = bytes + len, *stop;
	int rc;

	sse->line.max = sse->max;
	rc = sse_skip_bom(sse, &bytes, end);
	while (rc == 0 && bytes < end) {
		if (sse->cr && *bytes == '\n')
			bytes++;
		sse->cr = false;
		if (bytes == end)
			break;
		stop = sse_line_end(bytes, end);
		if (!stop)
			return cv_buf_add(&sse->line, bytes, (size_t)(end - bytes));
		sse->cr = *stop == '\r';
		rc = sse_take_line(sse, bytes, stop);
		bytes = stop + 1;
	}
	return rc;
}

int cv_sse_end(struct sse *sse)
{
	int rc = sse->line.len ? sse_line(sse, sse->line.data, sse->line.len) : 0;

	cv_buf_reset(&sse->line);
	return rc ? rc : sse_dispatch(sse, true);
}

void cv_sse_clear(struct sse *sse)
{
	cv_buf_clear(&sse->line);
	cv_buf_clear(&sse->name);
	cv_buf_clear(&sse->data);
}
