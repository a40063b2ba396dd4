/*
 * Keeping a line; see keep.h.
 */
#include <model/keep.h>

#include <stdint.h>

#include <base/utf8.h>
#include <model/guard.h>

/* The length of the secret that stands at `p`, the longest of several; 0: none does. */
static size_t keep_secret(const char *p, const char *end, const struct secrets *secrets)
{
	size_t longest = 0;

	for (size_t i = 0; secrets && i < secrets->count; i++) {
		struct cv_text secret = secrets->item[i];

		if (secret.len >= SHORTEST_SECRET && secret.len > longest &&
		    (size_t)(end - p) >= secret.len && memcmp(p, secret.data, secret.len) == 0)
			longest = secret.len;
	}
	return longest;
}

/* What to show for the text at `p`: the character, or what stands for it. Gives how much of the text
 * that was. */
static size_t keep_next(const char *p, const char *end, const struct secrets *secrets,
			struct cv_text *shown)
{
	size_t secret = keep_secret(p, end, secrets), len;
	uint32_t cp = 0;

	if (secret) {
		*shown = cv_text_of("***");
		return secret;
	}
	len = cv_utf8_next(p, (size_t)(end - p), &cp);
	*shown =
		!cp || cv_guard_is_mark(cp) ? cv_text_of("\xef\xbf\xbd") : (struct cv_text){p, len};
	return len ? len : 1;
}

static bool keep_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void cv_keep(char *out, size_t size, struct cv_text text, const struct secrets *secrets)
{
	const char *p = text.data ? text.data : "", *end = p + text.len;
	struct cv_text shown;
	size_t len = 0;

	while (p < end && keep_blank(*p))
		p++;
	while (p < end && *p != '\n' && *p != '\r') {
		p += keep_next(p, end, secrets, &shown);
		if (shown.len >= size - len)
			break;
		memcpy(out + len, shown.data, shown.len);
		len += shown.len;
	}
	while (len && keep_blank(out[len - 1]))
		len--;
	out[len] = '\0';
}
