/*
 * Rights; see rights.h.
 */
#include "auth/rights.h"

#include <string.h>

static const struct {
	const char *name;
	unsigned right;
} rights[] = {{"chat", AUTH_CHAT}, {"read", AUTH_READ}, {"admin", AUTH_ADMIN}};

#define COUNT (sizeof(rights) / sizeof(rights[0]))

bool rights_read(unsigned *out, const char *list)
{
	unsigned found = 0;
	size_t len, i;

	do {
		len = strcspn(list, ",");
		for (i = 0; i < COUNT; i++)
			if (strlen(rights[i].name) == len && !memcmp(rights[i].name, list, len))
				break;
		if (i == COUNT)
			return false;
		found |= rights[i].right;
		list += len;
	} while (*list++);
	*out = found;
	return true;
}

bool rights_write(struct text *out, unsigned which)
{
	const char *between = "";
	size_t i;

	for (i = 0; i < COUNT; i++) {
		if (!(which & rights[i].right))
			continue;
		if (!text_adds(out, between) || !text_adds(out, rights[i].name))
			return false;
		between = ",";
	}
	return true;
}
