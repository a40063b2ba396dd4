/*
 * Telling reasoning from text; see think.h. Only the very beginning counts: later on, "<think>" is
 * something a model may well write about.
 */
#include <model/think.h>

#include <string.h>

#define OPEN "<think>"
#define CLOSE "</think>"

static bool think_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Whether held bytes, blanks first, can still become the opening tag, or are it. */
static bool think_may_open(const struct think *think, bool *opened)
{
	size_t i = 0, rest;

	while (i < think->held_len && think_blank(think->held[i]))
		i++;
	rest = think->held_len - i;
	*opened = rest == strlen(OPEN) && memcmp(think->held + i, OPEN, rest) == 0;
	return rest <= strlen(OPEN) && memcmp(think->held + i, OPEN, rest) == 0 &&
	       think->held_len < sizeof(think->held);
}

static int think_let_go(struct think *think, bool reasoning, think_fn fn, void *ctx)
{
	size_t len = think->held_len;

	think->held_len = 0;
	return len ? fn(ctx, reasoning, think->held, len) : 0;
}

static int think_start(struct think *think, const char **text, const char *end, think_fn fn,
		       void *ctx)
{
	size_t before = think->held_len; /* held from earlier pieces */

	while (*text < end) {
		bool opened;

		think->held[think->held_len++] = *(*text)++;
		if (!think_may_open(think, &opened)) {
			*text -= think->held_len - before;
			think->held_len = before;
			think->state = THINK_OFF;
			return think_let_go(think, false, fn, ctx);
		}
		if (opened) {
			think->held_len = 0;
			think->state = THINK_INSIDE;
			return 0;
		}
	}
	return 0;
}

/* Inside: pass everything on, but hold what may be the beginning of the closing tag. */
static int think_inside(struct think *think, const char **text, const char *end, think_fn fn,
			void *ctx)
{
	const char *from = *text;
	int rc = 0;

	while (*text < end && rc == 0) {
		if (**text == CLOSE[think->held_len]) {
			if (!think->held_len && *text > from)
				rc = fn(ctx, true, from, (size_t)(*text - from));
			think->held[think->held_len++] = *(*text)++;
			from = *text;
			if (think->held_len == strlen(CLOSE)) {
				think->held_len = 0;
				think->state = THINK_AFTER;
				return rc;
			}
		} else if (think->held_len) {
			rc = think_let_go(think, true, fn, ctx); /* and look at the byte again */
		} else {
			(*text)++;
		}
	}
	if (rc == 0 && *text > from)
		rc = fn(ctx, true, from, (size_t)(*text - from));
	return rc;
}

int cv_think_split(struct think *think, const char *text, size_t len, think_fn fn, void *ctx)
{
	const char *end = text + len;
	int rc = 0;

	while (text < end && rc == 0) {
		switch (think->state) {
		case THINK_START:
			rc = think_start(think, &text, end, fn, ctx);
			break;
		case THINK_INSIDE:
			rc = think_inside(think, &text, end, fn, ctx);
			break;
		case THINK_AFTER:
			if (think_blank(*text))
				text++;
			else
				think->state = THINK_OFF;
			break;
		case THINK_OFF:
			return fn(ctx, false, text, (size_t)(end - text));
		}
	}
	return rc;
}

int cv_think_end(struct think *think, think_fn fn, void *ctx)
{
	return think_let_go(think, think->state == THINK_INSIDE, fn, ctx);
}
