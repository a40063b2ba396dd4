/*
 * Reading refusals; see refusal.h. tests/model/test_refusal.c holds the sentences of the servers.
 */
#include <model/refusal.h>

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* How near to a number the word must stand that says what it is. */
#define NEAR 32

/* One of these says that it was too long. */
static const char *const refusal_long[] = {
	"context length",  "context window",      "context size",      "context_length",
	"context limit",   "max_model_len",       "maximum model len", "maximum number of tokens",
	"too many tokens", "prompt is too long",  "input is too long", "token limit",
	"`inputs` tokens", "input tokens exceed",
};

/* Behind one of these, or before the last of them, stands the window. */
static const char *const refusal_window[] = {
	"context", "maximum", "max_model_len", "allowed", "limit", "<=",
};

static const char *refusal_find(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++) {
		if (strncasecmp(text + i, word, n) == 0)
			return text + i;
	}
	return NULL;
}

static bool refusal_says(const char *words, const char *word)
{
	return refusal_find(words, strlen(words), word) != NULL;
}

static bool refusal_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number at `*p`, with commas between thousands; moves behind it. */
static int64_t refusal_number(const char **p)
{
	int64_t value = 0;

	for (;; (*p)++) {
		bool comma = **p == ',' && refusal_is_digit((*p)[1]) && refusal_is_digit((*p)[2]) &&
			     refusal_is_digit((*p)[3]) && !refusal_is_digit((*p)[4]);

		if (!comma && !refusal_is_digit(**p))
			return value;
		if (!comma && value <= LARGEST_WINDOW)
			value = value * 10 + (**p - '0');
	}
}

/* Whether the words between the number before and this one, or right behind it, call it the window. */
static bool refusal_is_window(const char *before, const char *number, const char *behind)
{
	size_t len = (size_t)(number - before);

	if (len > NEAR) {
		before = number - NEAR;
		len = NEAR;
	}
	for (size_t i = 0; i < sizeof(refusal_window) / sizeof(refusal_window[0]); i++) {
		if (refusal_find(before, len, refusal_window[i]))
			return true;
	}
	return strncasecmp(behind, " maximum", 8) == 0;
}

static void refusal_read_numbers(struct refusal *out, const char *words)
{
	const char *p = words, *before = words;
	int64_t window = 0, asked = 0;

	while (*p) {
		const char *number = p;
		bool within = p > words && (p[-1] == '_' || p[-1] == '-' || p[-1] == '.');
		int64_t value;

		if (!refusal_is_digit(*p)) {
			p++;
			continue;
		}
		value = refusal_number(&p);
		if (within || value < SMALLEST_WINDOW || value > LARGEST_WINDOW)
			continue; /* a part of a name, or none of ours */
		if (!window && refusal_is_window(before, number, p))
			window = value;
		else if (value > asked)
			asked = value;
		before = p;
	}
	if (!out->window)
		out->window = window;
	if (!out->asked && asked > out->window && out->window)
		out->asked = asked;
}

void cv_refusal_read(struct refusal *out, const char *words, bool too_long)
{
	for (size_t i = 0; i < sizeof(refusal_long) / sizeof(refusal_long[0]); i++)
		too_long = too_long || refusal_says(words, refusal_long[i]);
	if (too_long) {
		out->too_long = true;
		refusal_read_numbers(out, words);
		return;
	}
	out->alternate = out->alternate || refusal_says(words, "alternat");
	if (refusal_says(words, "system role") || refusal_says(words, "system message"))
		out->no_system = out->no_system || refusal_says(words, "not support") ||
				 refusal_says(words, "not allowed");
}
