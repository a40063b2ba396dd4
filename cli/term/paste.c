/*
 * Pasted blocks; see paste.h.
 */
#include "term/paste.h"

#include <string.h>

enum { PASTE_SHOWN_LINES = 8, PASTE_SHOWN_BYTES = 2000, PASTE_KEPT = 16 };

struct paste {
	char label[64];
	struct text text;
};

/* The newest blocks: their labels may still be fetched back from the history of the line. */
static struct paste pastes[PASTE_KEPT];
static size_t pasted; /* so far */

bool paste_add(struct text *block, const char *data, size_t len)
{
	size_t i;
	bool ok = true;

	for (i = 0; ok && i < len; i++) {
		bool after_cr = block->len && block->data[block->len - 1] == '\r';

		if (after_cr)
			block->data[block->len - 1] = '\n';
		if (!(after_cr && data[i] == '\n'))
			ok = text_add(block, &data[i], 1);
	}
	return ok;
}

void paste_end(struct text *block)
{
	if (block->len && block->data[block->len - 1] == '\r')
		block->data[block->len - 1] = '\n';
}

size_t paste_lines(const struct text *block)
{
	size_t i, lines = 1;

	for (i = 0; i + 1 < block->len; i++)
		lines += block->data[i] == '\n';
	return lines;
}

bool paste_is_long(const struct text *block)
{
	return paste_lines(block) > PASTE_SHOWN_LINES || block->len > PASTE_SHOWN_BYTES;
}

/* The oldest blocks go when all together are more than two messages. */
static void paste_forget(size_t extra)
{
	size_t i, total = extra;

	for (i = 0; i < PASTE_KEPT; i++)
		total += pastes[i].text.len;
	for (i = 0; i < PASTE_KEPT && total > 2 * TEXT_MAX; i++) {
		struct paste *paste = &pastes[(pasted + i) % PASTE_KEPT];

		total -= paste->text.len;
		text_clear(&paste->text);
		paste->label[0] = '\0';
	}
}

const char *paste_keep(struct text *block)
{
	struct paste *paste;

	paste_forget(block->len);
	paste = &pastes[pasted++ % PASTE_KEPT];
	text_clear(&paste->text);
	paste->text = *block;
	*block = (struct text){0};
	snprintf(paste->label, sizeof(paste->label), "[paste %zu: %zu lines, %zu bytes]", pasted,
		 paste_lines(&paste->text), paste->text.len);
	return paste->label;
}

bool paste_expand(struct text *out, const struct text *typed)
{
	size_t i = 0, k;
	bool ok = text_add(out, "", 0);

	while (ok && i < typed->len) {
		size_t len = 0;

		for (k = 0; typed->data[i] == '[' && k < PASTE_KEPT && !len; k++) {
			const struct paste *paste = &pastes[k];

			len = strlen(paste->label);
			if (len && !strncmp(typed->data + i, paste->label, len))
				ok = text_add(out, paste->text.data, paste->text.len);
			else
				len = 0;
		}
		if (!len)
			ok = text_add(out, typed->data + i, len = 1);
		i += len;
	}
	return ok;
}

void paste_clear(void)
{
	size_t i;

	for (i = 0; i < PASTE_KEPT; i++) {
		text_clear(&pastes[i].text);
		pastes[i].label[0] = '\0';
	}
}
