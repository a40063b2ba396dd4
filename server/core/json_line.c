/*
 * Lines; see json_line.h. A parser keeps no places, so the text is gone through once more.
 */
#include "core/json_line.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* From a quote to behind the one that ends it. */
static const char *skip_string(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : at;
}

static const char *skip_value(const char *at)
{
	size_t depth = 0;

	do {
		if (*at == '"') {
			at = skip_string(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		at++;
	} while (*at && (depth || !strchr(",]} \t\r\n", *at)));
	return at;
}

/* The value of a member, or NULL. */
static const char *find_member(const char *object, const char *name, size_t len)
{
	const char *at = object, *key, *value;

	if (*at != '{')
		return NULL;
	for (at = skip_space(at + 1); *at == '"'; at = skip_space(at + 1)) {
		key = at + 1;
		at = skip_string(at);
		value = skip_space(skip_space(at) + 1);
		if ((size_t)(at - key) == len + 1 && !memcmp(key, name, len))
			return value;
		at = skip_space(skip_value(value));
		if (*at != ',')
			break;
	}
	return NULL;
}

/* The element of an array, or NULL. */
static const char *find_element(const char *array, size_t i)
{
	const char *at = array;

	if (*at != '[')
		return NULL;
	for (at = skip_space(at + 1); *at && *at != ']'; at = skip_space(at + 1)) {
		if (!i--)
			return at;
		at = skip_space(skip_value(at));
		if (*at != ',')
			break;
	}
	return NULL;
}

size_t json_line(const char *text, const char *path)
{
	const char *at = skip_space(text), *next = at, *c;
	size_t line = 1, len;
	char *end;

	while (next && *path) {
		if (*path == '[') {
			next = find_element(at, strtoul(path + 1, &end, 10));
			path = end + (*end == ']');
		} else {
			path += *path == '.';
			len = strcspn(path, ".[");
			next = find_member(at, path, len);
			path += len;
		}
		at = next ? next : at;
	}
	for (c = text; c < at; c++)
		line += *c == '\n';
	return line;
}
