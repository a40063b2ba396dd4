/*
 * Words to complete with; see words.h.
 */
#include "term/words.h"

#include <stdlib.h>
#include <string.h>

bool words_add(struct words *words, const char *word)
{
	char *copy = words->count < WORDS_MOST ? strdup(word) : NULL;

	if (!copy)
		return false;
	words->word[words->count++] = copy;
	return true;
}

size_t words_common(const struct words *words)
{
	size_t len, i;

	if (!words->count)
		return 0;
	len = strlen(words->word[0]);
	for (i = 1; i < words->count; i++) {
		size_t same = 0;

		while (same < len && words->word[i][same] == words->word[0][same])
			same++;
		len = same;
	}
	while (len && ((unsigned char)words->word[0][len] & 0xc0) == 0x80)
		len--;
	return len;
}

void words_clear(struct words *words)
{
	while (words->count)
		free(words->word[--words->count]);
}
