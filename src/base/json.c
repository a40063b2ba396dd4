/*
 * The checking JSON scanner; see json.h. It is our own because every append passes through it:
 * building a tree to throw it away would cost more than storing the event.
 */
#include <base/check.h>
#include <base/json.h>

#include <stdint.h>
#include <string.h>

#include <convo/event.h>
#include <convo/text.h>

#include <base/utf8.h>

/* Longer numbers are refused: engines differ in what they do with them. */
#define MAX_NUMBER 512

struct scan {
	const char *start, *pos, *end;
	const char *why; /* set when it fails */
	int depth;
};

static bool scan_fail(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

static void scan_blanks(struct scan *s)
{
	while (s->pos < s->end &&
	       (*s->pos == ' ' || *s->pos == '\n' || *s->pos == '\r' || *s->pos == '\t'))
		s->pos++;
}

static bool scan_is(const struct scan *s, char c)
{
	return s->pos < s->end && *s->pos == c;
}

/* ---- strings -------------------------------------------------------------------------- */

/*
 * Skip printable ASCII but for quote and backslash, eight bytes at a time. The masks have the high
 * bit of every byte set that is below 0x20, a quote, a backslash or not ASCII. Where one is, the
 * bytes up to it are few: they are not worth a second look at the whole word.
 */
static void scan_plain(struct scan *s)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	const char *p = s->pos;

	while (s->end - p >= 8) {
		uint64_t word, quote, slash, stop;

		memcpy(&word, p, 8);
		quote = word ^ ones * '"';
		slash = word ^ ones * '\\';
		stop = word | (word - ones * 0x20) | (quote - ones) | (slash - ones);
		if (stop & high)
			break;
		p += 8;
	}
	while (p < s->end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
	       *p != '\\')
		p++;
	s->pos = p;
}

static int scan_hex4(const char *p, const char *end)
{
	int value = 0, i;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			value = value << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* After "\u": one code unit, or a surrogate pair. */
static bool scan_unicode(struct scan *s)
{
	int unit = scan_hex4(s->pos, s->end), low;

	if (unit < 0)
		return scan_fail(s, "invalid escape");
	if (unit == 0)
		return scan_fail(s, "U+0000 cannot be stored");
	s->pos += 4;
	if (unit < 0xd800 || unit > 0xdfff)
		return true;
	if (unit <= 0xdbff && s->end - s->pos >= 6 && s->pos[0] == '\\' && s->pos[1] == 'u') {
		low = scan_hex4(s->pos + 2, s->end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			s->pos += 6;
			return true;
		}
	}
	return scan_fail(s, "lone surrogate");
}

static bool scan_escape(struct scan *s)
{
	char c;

	if (s->pos == s->end)
		return scan_fail(s, "unterminated string");
	c = *s->pos++;
	if (c == 'u')
		return scan_unicode(s);
	if (c == '\0' || !strchr("\"\\/bfnrt", c))
		return scan_fail(s, "invalid escape");
	return true;
}

/* From within a string to behind its end. */
static bool scan_string_rest(struct scan *s)
{
	for (;;) {
		unsigned char c;
		size_t n;

		scan_plain(s);
		if (s->pos == s->end)
			return scan_fail(s, "unterminated string");
		c = (unsigned char)*s->pos;
		if (c >= 0x80) {
			n = cv_utf8_wide(s->pos, (size_t)(s->end - s->pos));
			if (!n)
				return scan_fail(s, "invalid UTF-8");
			s->pos += n;
			continue;
		}
		if (c < 0x20)
			return scan_fail(s, "control character in a string");
		s->pos++;
		if (c == '"')
			return true;
		if (c == '\\' && !scan_escape(s))
			return false;
	}
}

static bool scan_string(struct scan *s)
{
	s->pos++;
	return scan_string_rest(s);
}

bool cv_json_string_rest(struct cv_text text, size_t *len)
{
	struct scan s = {.start = text.data, .pos = text.data, .end = text.data + text.len};

	if (!scan_string_rest(&s))
		return false;
	*len = (size_t)(s.pos - text.data) - 1;
	return true;
}

/* ---- numbers -------------------------------------------------------------------------- */

static size_t scan_digits(struct scan *s)
{
	const char *start = s->pos;

	while (s->pos < s->end && *s->pos >= '0' && *s->pos <= '9')
		s->pos++;
	return (size_t)(s->pos - start);
}

/* Compare digits, with one point perhaps among them, with plain ones; a shorter one has zeros. */
static int digits_order(const char *p, const char *end, const char *plain)
{
	for (; p < end && *plain; p++) {
		if (*p == '.')
			continue;
		if (*p != *plain)
			return *p < *plain ? -1 : 1;
		plain++;
	}
	return *plain ? -1 : 0; /* the plain ones do not end in a zero */
}

/*
 * Whether the digits (with one point perhaps among them) times 10^exponent fit a normal double: the
 * largest is 1.7976931348623157e308, the smallest 2.2250738585072014e-308.
 */
static bool number_fits(const char *digits, const char *end, long exponent)
{
	const char *p, *point = memchr(digits, '.', (size_t)(end - digits));

	for (p = digits; p < end && (*p == '0' || *p == '.'); p++)
		;
	if (p == end)
		return true; /* zero */
	/* where the first significant digit stands: d.ddd times 10^exponent */
	if (!point)
		exponent += end - p - 1;
	else if (p < point)
		exponent += point - p - 1;
	else
		exponent -= p - point;
	if (exponent == 308)
		return digits_order(p, end, "17976931348623157") <= 0;
	if (exponent == -308)
		return digits_order(p, end, "22250738585072014") >= 0;
	return exponent < 308 && exponent > -308;
}

static bool scan_number(struct scan *s)
{
	const char *start = s->pos, *digits, *digits_end;
	bool negative = false;
	long exponent = 0;

	if (scan_is(s, '-'))
		s->pos++;
	digits = s->pos;
	if (scan_is(s, '0'))
		s->pos++;
	else if (!scan_digits(s))
		return scan_fail(s, "not a JSON value");
	if (scan_is(s, '.')) {
		s->pos++;
		if (!scan_digits(s))
			return scan_fail(s, "invalid number");
	}
	digits_end = s->pos;
	if (scan_is(s, 'e') || scan_is(s, 'E')) {
		const char *p;

		s->pos++;
		negative = scan_is(s, '-');
		if (negative || scan_is(s, '+'))
			s->pos++;
		p = s->pos;
		if (!scan_digits(s))
			return scan_fail(s, "invalid number");
		for (; p < s->pos && exponent < 100000; p++)
			exponent = exponent * 10 + (*p - '0');
	}
	if (s->pos - start > MAX_NUMBER || exponent > 9999 ||
	    !number_fits(digits, digits_end, negative ? -exponent : exponent))
		return scan_fail(s, "number beyond a double");
	return true;
}

/* ---- values --------------------------------------------------------------------------- */

static bool scan_value(struct scan *s);

static bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->pos) < len || memcmp(s->pos, word, len) != 0)
		return scan_fail(s, "not a JSON value");
	s->pos += len;
	return true;
}

static bool scan_enter(struct scan *s)
{
	s->pos++;
	if (++s->depth > CONVO_JSON_DEPTH)
		return scan_fail(s, "nested too deeply");
	scan_blanks(s);
	return true;
}

static bool scan_leave(struct scan *s)
{
	s->pos++;
	s->depth--;
	return true;
}

static bool scan_array(struct scan *s)
{
	if (!scan_enter(s))
		return false;
	if (scan_is(s, ']'))
		return scan_leave(s);
	for (;;) {
		if (!scan_value(s))
			return false;
		scan_blanks(s);
		if (scan_is(s, ']'))
			return scan_leave(s);
		if (!scan_is(s, ','))
			return scan_fail(s, "expected , or ]");
		s->pos++;
		scan_blanks(s);
	}
}

static bool scan_object(struct scan *s)
{
	if (!scan_enter(s))
		return false;
	if (scan_is(s, '}'))
		return scan_leave(s);
	for (;;) {
		if (!scan_is(s, '"'))
			return scan_fail(s, "expected a member name");
		if (!scan_string(s))
			return false;
		scan_blanks(s);
		if (!scan_is(s, ':'))
			return scan_fail(s, "expected :");
		s->pos++;
		scan_blanks(s);
		if (!scan_value(s))
			return false;
		scan_blanks(s);
		if (scan_is(s, '}'))
			return scan_leave(s);
		if (!scan_is(s, ','))
			return scan_fail(s, "expected , or }");
		s->pos++;
		scan_blanks(s);
	}
}

static bool scan_value(struct scan *s)
{
	if (s->pos == s->end)
		return scan_fail(s, "ends too early");
	switch (*s->pos) {
	case '{':
		return scan_object(s);
	case '[':
		return scan_array(s);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	}
	return scan_number(s);
}

enum json_kind cv_json_kind(struct cv_text text)
{
	struct scan s = {.pos = text.data, .end = text.data ? text.data + text.len : NULL};

	scan_blanks(&s);
	if (s.pos == s.end)
		return JSON_KIND_NONE;
	switch (*s.pos) {
	case '{':
		return JSON_KIND_OBJECT;
	case '[':
		return JSON_KIND_ARRAY;
	case '"':
		return JSON_KIND_STRING;
	case 't':
		return JSON_KIND_TRUE;
	case 'f':
		return JSON_KIND_FALSE;
	case 'n':
		return JSON_KIND_NULL;
	}
	return JSON_KIND_NUMBER;
}

int cv_json_check(struct cv_text text, const char *what, struct convo_err *err)
{
	struct scan s = {.start = text.data, .pos = text.data};

	s.end = text.data ? text.data + text.len : NULL;
	scan_blanks(&s);
	if (scan_value(&s)) {
		scan_blanks(&s);
		if (s.pos == s.end)
			return (int)cv_json_kind(text);
		s.why = "text after the JSON value";
	}
	return cv_fail(err, CONVO_E_INVALID, "%s: %s at byte %zu", what, s.why,
		       (size_t)(s.pos - s.start));
}

/* ---- reading checked text ------------------------------------------------------------- */

/* From an opening quote to behind the closing one. */
static void skip_string(struct scan *s)
{
	s->pos++;
	while (s->pos < s->end) {
		const char *quote = memchr(s->pos, '"', (size_t)(s->end - s->pos)), *p;

		if (!quote) {
			s->pos = s->end;
			return;
		}
		for (p = quote; p > s->pos && p[-1] == '\\'; p--)
			;
		s->pos = quote + 1;
		if ((quote - p) % 2 == 0)
			return;
	}
}

static void skip_value(struct scan *s)
{
	int depth = 0;

	while (s->pos < s->end) {
		char c = *s->pos;

		if (c == '"') {
			skip_string(s);
		} else if (c == '{' || c == '[') {
			depth++;
			s->pos++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return;
			depth--;
			s->pos++;
		} else if (depth == 0 &&
			   (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
			return;
		} else {
			s->pos++;
			continue; /* within a number or a word */
		}
		if (depth == 0)
			return;
	}
}

bool cv_json_member(struct cv_text object, size_t *pos, struct cv_text *name, struct cv_text *value)
{
	struct scan s = {
		.start = object.data, .pos = object.data + *pos, .end = object.data + object.len};

	scan_blanks(&s);
	if (*pos == 0 && scan_is(&s, '{'))
		s.pos++;
	scan_blanks(&s);
	if (scan_is(&s, ','))
		s.pos++;
	scan_blanks(&s);
	if (!scan_is(&s, '"'))
		return false;
	name->data = s.pos + 1;
	skip_string(&s);
	name->len = (size_t)(s.pos - 1 - name->data);
	scan_blanks(&s);
	if (!scan_is(&s, ':'))
		return false;
	s.pos++;
	scan_blanks(&s);
	value->data = s.pos;
	skip_value(&s);
	value->len = (size_t)(s.pos - value->data);
	*pos = (size_t)(s.pos - s.start);
	return true;
}

bool cv_json_element(struct cv_text array, size_t *pos, struct cv_text *value)
{
	struct scan s;

	if (!array.data)
		return false;
	s = (struct scan){
		.start = array.data, .pos = array.data + *pos, .end = array.data + array.len};
	scan_blanks(&s);
	if (!scan_is(&s, *pos == 0 ? '[' : ','))
		return false;
	s.pos++;
	scan_blanks(&s);
	if (s.pos == s.end || scan_is(&s, ']'))
		return false;
	value->data = s.pos;
	skip_value(&s);
	value->len = (size_t)(s.pos - value->data);
	*pos = (size_t)(s.pos - s.start);
	return true;
}

bool cv_json_name_is(struct cv_text raw, const char *name)
{
	struct cv_buf plain = {0};
	bool same;

	if (!memchr(raw.data, '\\', raw.len))
		return cv_text_is(raw, name);
	same = cv_json_unescape(&plain, raw) == 0 && strcmp(cv_buf_str(&plain), name) == 0;
	cv_buf_clear(&plain);
	return same;
}

struct cv_text cv_json_find(struct cv_text object, const char *name)
{
	struct cv_text found = {0}, member, value;
	size_t pos = 0;

	while (cv_json_member(object, &pos, &member, &value)) {
		if (cv_json_name_is(member, name))
			found = value;
	}
	return found;
}

static int add_code_point(struct cv_buf *out, uint32_t cp)
{
	char utf8[4];
	size_t len;

	if (cp < 0x80) {
		utf8[0] = (char)cp;
		len = 1;
	} else if (cp < 0x800) {
		utf8[0] = (char)(0xc0 | cp >> 6);
		len = 2;
	} else if (cp < 0x10000) {
		utf8[0] = (char)(0xe0 | cp >> 12);
		utf8[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		len = 3;
	} else {
		utf8[0] = (char)(0xf0 | cp >> 18);
		utf8[1] = (char)(0x80 | (cp >> 12 & 0x3f));
		utf8[2] = (char)(0x80 | (cp >> 6 & 0x3f));
		len = 4;
	}
	if (len > 1)
		utf8[len - 1] = (char)(0x80 | (cp & 0x3f));
	return cv_buf_add(out, utf8, len);
}

/* One escape, `p` behind its backslash; returns where it ends. */
static const char *unescape_one(const char *p, const char *end, uint32_t *cp)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *known;
	int unit, low;

	if (*p != 'u') {
		known = strchr(from, *p);
		*cp = known && *p ? (uint32_t)to[known - from] : (unsigned char)*p;
		return p + 1;
	}
	unit = scan_hex4(p + 1, end);
	*cp = unit < 0 ? 0xfffd : (uint32_t)unit;
	if (unit < 0)
		return end;
	p += 5;
	if (unit < 0xd800 || unit > 0xdbff || end - p < 6)
		return p;
	low = scan_hex4(p + 2, end);
	*cp = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return p + 6;
}

int cv_json_unescape(struct cv_buf *out, struct cv_text raw)
{
	const char *p = raw.data, *end = p + raw.len;
	int rc;

	for (;;) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		uint32_t cp;

		rc = cv_buf_add(out, p, (size_t)((slash ? slash : end) - p));
		if (rc < 0 || !slash || slash + 1 == end)
			return rc;
		p = unescape_one(slash + 1, end, &cp);
		rc = add_code_point(out, cp);
		if (rc < 0)
			return rc;
	}
}

/* ---- making --------------------------------------------------------------------------- */

static int quote_byte(struct cv_buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		return cv_buf_adds(out, "\\\"");
	case '\\':
		return cv_buf_adds(out, "\\\\");
	case '\n':
		return cv_buf_adds(out, "\\n");
	case '\r':
		return cv_buf_adds(out, "\\r");
	case '\t':
		return cv_buf_adds(out, "\\t");
	}
	return cv_buf_addf(out, "\\u%04x", c);
}

static int escape_valid(struct cv_buf *out, const char *data, size_t len)
{
	const char *end = data + len, *p = data;
	int rc = 0;

	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (rc < 0)
			return rc;
		rc = cv_buf_add(out, data, (size_t)(p - data));
		if (rc < 0)
			return rc;
		rc = quote_byte(out, c);
		data = p + 1;
	}
	return rc < 0 ? rc : cv_buf_add(out, data, (size_t)(p - data));
}

int cv_json_escape_to(struct cv_buf *out, const char *data, size_t len)
{
	struct cv_buf clean = {.max = out->max};
	int rc;

	if (!len) /* when data may be NULL */
		return 0;
	if (cv_utf8_valid(data, len) && !memchr(data, 0, len))
		return escape_valid(out, data, len);
	rc = cv_buf_repair(&clean, data, len);
	if (rc < 0)
		goto out;
	rc = escape_valid(out, cv_buf_str(&clean), clean.len);
out:
	cv_buf_clear(&clean);
	return rc;
}

int cv_json_quote_to(struct cv_buf *out, const char *data, size_t len)
{
	int rc = cv_buf_addc(out, '"');

	if (rc >= 0)
		rc = cv_json_escape_to(out, data, len);
	return rc < 0 ? rc : cv_buf_addc(out, '"');
}

int convo_json_quote(char **out, const char *text, size_t len, struct convo_err *err)
{
	struct cv_buf buf = {0};
	char *taken;
	int rc = cv_check_given(out, "where the string goes", err);

	if (rc < 0)
		return rc;
	if (!text && len)
		return cv_check_given(NULL, "the text", err);
	rc = cv_json_quote_to(&buf, text, len);
	taken = rc < 0 ? NULL : cv_buf_take(&buf);
	cv_buf_clear(&buf);
	if (!taken)
		return cv_buf_fail(err, rc < 0 ? rc : CONVO_E_NOMEM);
	*out = taken;
	return 0;
}
