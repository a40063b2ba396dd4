/*
 * What MySQL's JSON type keeps; see exact.h.
 */
#include <store/mysql/exact.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <convo/event.h>

#define EXACT_DIGITS 15
#define EXACT_POWER 22
#define EXACT_INTEGER "9223372036854775807"
#define EXACT_NAME 65535 /* longest name that MySQL takes */

/* Names that are told apart, of one text; a power of two, at most half of it in use. */
#define EXACT_SLOTS 1024

struct exact_scan {
	const char *at, *end;
	uint32_t object[CONVO_JSON_DEPTH + 2]; /* the number of each that is open; 0: an array */
	size_t depth;
	uint32_t objects;
	size_t names;
	uint64_t seen[EXACT_SLOTS]; /* hashes; 0 is free */
};

/* ---- numbers ---------------------------------------------------------------------------- */

static bool exact_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A whole number of `count` digits, without its sign. */
static bool exact_integer(const char *digits, size_t count)
{
	const size_t most = sizeof(EXACT_INTEGER) - 1;

	return count < most || (count == most && memcmp(digits, EXACT_INTEGER, most) <= 0);
}

/* The power of ten after 'e'; anything large is only that. */
static int exact_power(struct exact_scan *scan)
{
	bool negative = false;
	int power = 0;

	scan->at++;
	if (*scan->at == '+' || *scan->at == '-')
		negative = *scan->at++ == '-';
	for (; scan->at < scan->end && exact_is_digit(*scan->at); scan->at++) {
		if (power < 10000)
			power = power * 10 + (*scan->at - '0');
	}
	return negative ? -power : power;
}

static bool exact_number(struct exact_scan *scan)
{
	bool negative = *scan->at == '-', whole = true;
	size_t digits = 0, fraction = 0; /* digits from the first that is not 0 */
	const char *first;
	int power = 0;

	scan->at += negative;
	first = scan->at;
	for (; scan->at < scan->end && (exact_is_digit(*scan->at) || *scan->at == '.');
	     scan->at++) {
		if (*scan->at == '.') {
			whole = false;
			continue;
		}
		digits += digits || *scan->at != '0';
		fraction += !whole;
	}
	if (whole && (scan->at == scan->end || (*scan->at | 0x20) != 'e'))
		return digits ? exact_integer(first, digits) : !negative;
	if (scan->at < scan->end && (*scan->at | 0x20) == 'e')
		power = exact_power(scan);
	if (!digits)
		return !negative && power <= EXACT_POWER && power >= -EXACT_POWER;
	power -= (int)(fraction > 1000 ? 1000 : fraction);
	return digits <= EXACT_DIGITS && power <= EXACT_POWER && power >= -EXACT_POWER;
}

/* ---- names ------------------------------------------------------------------------------ */

/* Move behind a string's closing quote. @return its bytes between the quotes */
static struct cv_text exact_string(struct exact_scan *scan)
{
	const char *from = ++scan->at;
	struct cv_text text = {from, 0};

	while (scan->at < scan->end && *scan->at != '"')
		scan->at += *scan->at == '\\' ? 2 : 1;
	if (scan->at > scan->end)
		scan->at = scan->end;
	text.len = (size_t)(scan->at - from);
	scan->at += scan->at < scan->end;
	return text;
}

/* Whether no name of this object was like it. Two names with one hash pass for alike, and so may
 * one with escapes be like any: that costs a copy, and nothing else. */
static bool exact_name(struct exact_scan *scan, struct cv_text name)
{
	uint64_t hash = UINT64_C(14695981039346656037) + scan->object[scan->depth - 1];
	size_t i;

	if (scan->names++ == EXACT_SLOTS / 2)
		return false;
	for (i = 0; i < name.len; i++) {
		if (name.data[i] == '\\')
			return false;
		hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(1099511628211);
	}
	hash |= 1;
	for (i = hash >> 32 & (EXACT_SLOTS - 1); scan->seen[i]; i = (i + 1) & (EXACT_SLOTS - 1)) {
		if (scan->seen[i] == hash)
			return false;
	}
	scan->seen[i] = hash;
	return true;
}

/* ---- the text --------------------------------------------------------------------------- */

static void exact_open(struct exact_scan *scan, bool object)
{
	if (scan->depth < sizeof(scan->object) / sizeof(scan->object[0]))
		scan->object[scan->depth] = object ? ++scan->objects : 0;
	scan->depth++;
}

/* Whether a string that was just read names a member: only then a colon follows. */
static bool exact_is_name(const struct exact_scan *scan)
{
	const char *at = scan->at;

	while (at < scan->end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at < scan->end && *at == ':';
}

static enum my_exact exact_member(struct exact_scan *scan, struct cv_text name)
{
	if (name.len > EXACT_NAME)
		return MY_EXACT_REFUSED;
	return exact_name(scan, name) ? MY_EXACT_KEPT : MY_EXACT_COPIED;
}

enum my_exact cv_my_exact(struct cv_text json)
{
	enum my_exact worst = MY_EXACT_KEPT, now;
	struct exact_scan scan;
	struct cv_text text;

	memset(&scan, 0, sizeof(scan));
	scan.at = json.data;
	scan.end = json.data + json.len;
	while (scan.at < scan.end && worst != MY_EXACT_REFUSED) {
		now = MY_EXACT_KEPT;
		switch (*scan.at) {
		case '"':
			text = exact_string(&scan);
			if (scan.depth && exact_is_name(&scan))
				now = exact_member(&scan, text);
			break;
		case '{':
		case '[':
			exact_open(&scan, *scan.at++ == '{');
			break;
		case '}':
		case ']':
			scan.depth -= scan.depth > 0;
			scan.at++;
			break;
		default:
			if (*scan.at != '-' && !exact_is_digit(*scan.at))
				scan.at++;
			else if (!exact_number(&scan))
				now = MY_EXACT_COPIED;
			break;
		}
		if (now > worst)
			worst = now;
	}
	return worst;
}
