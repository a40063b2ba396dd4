/*
 * A title for a new session, from what was said first. Nobody chose it, so it must be fit to be
 * shown anywhere: one line, no controls, nothing that turns the direction of what follows.
 */
#include <runner/runner.h>

#include <string.h>

#include <base/utf8.h>

#define TITLE_COLUMNS 60
#define ELLIPSIS "\xe2\x80\xa6"

struct range {
	uint32_t first, last;
};

static bool title_within(uint32_t cp, const struct range *ranges, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	}
	return false;
}

/* C0, DEL, C1, line and paragraph separators, bidirectional controls, the byte order mark. */
static bool title_hides(uint32_t cp)
{
	static const struct range hidden[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},
					      {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
					      {0xfeff, 0xfeff}};

	return title_within(cp, hidden, sizeof(hidden) / sizeof(hidden[0]));
}

/* The columns of a character, near enough to cut a line: the C library's answer depends on the
 * locale of the program. */
static int title_width(uint32_t cp)
{
	static const struct range none[] = {
		{0x300, 0x36f}, {0x200b, 0x200d}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}};
	static const struct range wide[] = {{0x1100, 0x115f},   {0x2e80, 0xa4cf},  {0xac00, 0xd7a3},
					    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},  {0xff00, 0xff60},
					    {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};

	if (title_within(cp, none, sizeof(none) / sizeof(none[0])))
		return 0;
	return title_within(cp, wide, sizeof(wide) / sizeof(wide[0])) ? 2 : 1;
}

struct title {
	char *out;
	size_t len, end; /* `end`: where an ellipsis may still stand */
	int columns;
	bool blank; /* a blank waits for the next character */
};

/* Add a character; false when it does not fit. */
static bool title_put(struct title *t, const char *bytes, size_t len, int width)
{
	size_t blank = t->blank && t->len ? 1 : 0;

	if (t->columns + (int)blank + width > TITLE_COLUMNS ||
	    t->len + blank + len > CONVO_MAX_NAME)
		return false;
	if (blank)
		t->out[t->len++] = ' ';
	memcpy(t->out + t->len, bytes, len);
	t->len += len;
	t->columns += (int)blank + width;
	t->blank = false;
	if (t->columns < TITLE_COLUMNS && t->len + strlen(ELLIPSIS) <= CONVO_MAX_NAME)
		t->end = t->len;
	return true;
}

void cv_title_make(char out[TITLE_SIZE], const char *text, size_t len)
{
	struct title t = {.out = out};
	const char *end = text + len;

	while (text < end) {
		uint32_t cp = 0;
		size_t n = cv_utf8_next(text, (size_t)(end - text), &cp);

		if (!n || ((cp == '\n' || cp == '\r') && t.len))
			break;
		if (cp <= ' ')
			t.blank = true;
		else if (!title_hides(cp) && !title_put(&t, text, n, title_width(cp))) {
			memcpy(out + t.end, ELLIPSIS, strlen(ELLIPSIS));
			t.len = t.end + strlen(ELLIPSIS);
			break;
		}
		text += n;
	}
	out[t.len] = '\0';
}
