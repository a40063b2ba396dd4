/*
 * See json_same.h. Quadratic in the members of an object; test texts are small.
 */
#include "json_same.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The end of the value at p, or NULL. Believes in balanced brackets rather than in grammar. */
static const char *value_end(const char *p)
{
	int depth = 0;

	for (; *p; p++) {
		if (*p == '"') {
			for (p++; *p && *p != '"'; p++)
				if (*p == '\\' && p[1])
					p++;
			if (!*p)
				return NULL;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if (*p == '}' || *p == ']') {
			if (depth == 0)
				return p;
			depth--;
		} else if (depth == 0 && (*p == ',' || *p == ':')) {
			return p;
		}
	}
	return depth ? NULL : p;
}

static const char *blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/* Take one code point of a JSON string. @return false at its end or when it is broken */
static bool string_next(const char **at, uint32_t *cp)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *p = *at, *known;
	unsigned long unit;
	char hex[5] = "";

	if (*p == '"' || *p == '\0')
		return false;
	if (*p != '\\') {
		*cp = (unsigned char)*p; /* bytes compare as well as characters do */
		*at = p + 1;
		return true;
	}
	if (p[1] != 'u') {
		known = p[1] ? strchr(from, p[1]) : NULL;
		if (!known)
			return false;
		*cp = (unsigned char)to[known - from];
		*at = p + 2;
		return true;
	}
	strncpy(hex, p + 2, 4);
	unit = strtoul(hex, NULL, 16);
	*at = p + 6;
	if (unit >= 0xd800 && unit < 0xdc00 && p[6] == '\\') {
		strncpy(hex, p + 8, 4);
		unit = 0x10000 + ((unit - 0xd800) << 10) + (strtoul(hex, NULL, 16) - 0xdc00);
		*at = p + 12;
	}
	*cp = (uint32_t)unit;
	return true;
}

/* The bytes of a JSON string, NUL-terminated; the caller's. U+0000 cannot occur. */
static char *string_of(const char *p)
{
	char *out = malloc(strlen(p) + 1), *o = out;
	uint32_t cp;

	if (!out)
		abort();
	for (p++; *p != '"';) {
		bool escaped = *p == '\\' && p[1] == 'u';

		if (!string_next(&p, &cp))
			break;
		if (!escaped || cp < 0x80) {
			*o++ = (char)cp;
		} else if (cp < 0x800) {
			*o++ = (char)(0xc0 | cp >> 6);
			*o++ = (char)(0x80 | (cp & 63));
		} else if (cp < 0x10000) {
			*o++ = (char)(0xe0 | cp >> 12);
			*o++ = (char)(0x80 | (cp >> 6 & 63));
			*o++ = (char)(0x80 | (cp & 63));
		} else {
			*o++ = (char)(0xf0 | cp >> 18);
			*o++ = (char)(0x80 | (cp >> 12 & 63));
			*o++ = (char)(0x80 | (cp >> 6 & 63));
			*o++ = (char)(0x80 | (cp & 63));
		}
	}
	*o = '\0';
	return out;
}

static bool strings_same(const char *a, const char *b)
{
	char *left = string_of(a), *right = string_of(b);
	bool same = strcmp(left, right) == 0;

	free(left);
	free(right);
	return same;
}

/* Digits alone that fit 64 bits; others are doubles. */
static bool number_is_integer(const char *p, int64_t *value)
{
	char *end;
	size_t digits;

	digits = strspn(p + (*p == '-'), "0123456789");
	if (digits > 19)
		return false;
	end = (char *)p + (*p == '-') + digits;
	if (*end == '.' || *end == 'e' || *end == 'E')
		return false;
	if (digits == 19 && strncmp(p + (*p == '-'), "9223372036854775807", 19) > 0)
		return false;
	*value = strtoll(p, NULL, 10);
	return true;
}

static bool numbers_same(const char *a, const char *b)
{
	int64_t left, right;
	bool left_integer = number_is_integer(a, &left);

	/* 1 and 1.0 may become each other; an integer may not lose digits */
	if (left_integer && number_is_integer(b, &right))
		return left == right;
	if (left_integer && (left > INT64_C(1) << 53 || left < -(INT64_C(1) << 53)))
		return false;
	return strtod(a, NULL) == strtod(b, NULL);
}

static bool values_same(const char *a, const char *b);

/* The value of the last member that has the name of the member at `name`; NULL: none. */
static const char *object_find(const char *object, const char *name)
{
	const char *p = blanks(object + 1), *found = NULL;

	while (*p == '"') {
		const char *member = p;

		p = value_end(p);
		if (!p || *p != ':')
			return NULL;
		p = blanks(p + 1);
		if (strings_same(member, name))
			found = p;
		p = value_end(p);
		if (!p)
			return NULL;
		p = blanks(*p == ',' ? p + 1 : p);
	}
	return found;
}

/* Whether each member of a stands in b; with `deep`, with the same value. */
static bool object_in(const char *a, const char *b, bool deep)
{
	const char *p = blanks(a + 1);

	while (*p == '"') {
		const char *left = object_find(a, p), *right = object_find(b, p);

		if (!left || !right || (deep && !values_same(left, right)))
			return false;
		p = value_end(p);
		p = p ? value_end(p + 1) : NULL;
		if (!p)
			return false;
		p = blanks(*p == ',' ? p + 1 : p);
	}
	return *p == '}';
}

static bool arrays_same(const char *a, const char *b)
{
	a = blanks(a + 1);
	b = blanks(b + 1);
	while (*a != ']' && *b != ']') {
		if (!values_same(a, b))
			return false;
		a = value_end(a);
		b = value_end(b);
		if (!a || !b)
			return false;
		a = blanks(*a == ',' ? a + 1 : a);
		b = blanks(*b == ',' ? b + 1 : b);
	}
	return *a == ']' && *b == ']';
}

static bool values_same(const char *a, const char *b)
{
	a = blanks(a);
	b = blanks(b);
	if (*a == '-' || isdigit((unsigned char)*a))
		return (*b == '-' || isdigit((unsigned char)*b)) && numbers_same(a, b);
	if (!*a || *a != *b)
		return false;
	if (*a == '"')
		return strings_same(a, b);
	if (*a == '[')
		return arrays_same(a, b);
	if (*a == '{')
		return object_in(a, b, true) && object_in(b, a, false);
	return true; /* true, false, null: told by their first letter */
}

bool json_same(const char *a, const char *b)
{
	return a && b && value_end(a) && value_end(b) && values_same(a, b);
}
