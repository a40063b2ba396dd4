/*
 * Estimating tokens; see tokens.h.
 *
 * A vocabulary is made of words and pieces of words, so what a text costs is the sum over its
 * characters of what one of that kind costs, and a start for each run of a group: words, digits,
 * blanks, ends of lines, marks. Two lookups for each byte, one pass, nothing allocated.
 */
#include <runner/tokens.h>

#include <stdint.h>

#include <base/json.h>

#define IMAGE_TOKENS 800

/*
 * In 1,024ths of a token, each character and each begin of a run: fitted by bench/fit_tokens.py on the
 * vocabularies of gpt-3.5, gpt-4o, llama 3.1, qwen 3, deepseek v3 and gemma 3, and texts in 21
 * languages, C and Python. A character is known by its first byte; the others of it count nothing
 * (REST). A blank goes with the word behind it, which is why a run of them costs little.
 */
/* clang-format off */
#define KINDS(X) \
	X(LOWER,     WORDS,   197,    0) \
	X(UPPER,     WORDS,   302,    0) \
	X(DIGIT,     DIGITS,  574,  870) \
	X(BLANK,     BLANKS,   64,  182) /* and the tab */ \
	X(LINE,      LINES,   292,  237) \
	X(MARK,      MARKS,   101,  758) /* what else ASCII has */ \
	X(LATIN,     WORDS,  1120,  146) /* to U+00FF */ \
	X(LATIN_EXT, WORDS,  2032,    0) /* to U+037F */ \
	X(GREEK,     WORDS,   564,  159) \
	X(CYRILLIC,  WORDS,   217,  307) /* and Armenian */ \
	X(SEMITIC,   WORDS,   409,  400) /* Hebrew, Arabic */ \
	X(INDIC,     WORDS,   476,  833) /* to Thai and Lao */ \
	X(FAR,       WORDS,   256,    5) /* U+1000: Burmese to Vietnamese */ \
	X(SYMBOL,    WORDS,   271, 1036) /* U+2000: dashes, quotes, arrows */ \
	X(KANA,      WORDS,   649,  190) /* with its marks, U+3000 */ \
	X(HAN,       WORDS,   734,  101) \
	X(HANGUL,    WORDS,   663,  225) \
	X(WIDE,      WORDS,   338,   56) /* U+E000: full width */ \
	X(EMOJI,     WORDS,  1766,  795) /* from U+10000 on */ \
	X(REST,      WORDS,     0,    0)

enum group { WORDS, DIGITS, BLANKS, LINES, MARKS, GROUPS };

#define KIND_FACTS(kind, group, each, begins) \
	OF_##kind = group, EACH_##kind = each, BEGINS_##kind = begins,
enum { KINDS(KIND_FACTS) };

#define TWO(x) x, x
#define FOUR(x) TWO(x), TWO(x)
#define EIGHT(x) FOUR(x), FOUR(x)
#define SIXTEEN(x) EIGHT(x), EIGHT(x)
#define ALPHABET(x) SIXTEEN(x), EIGHT(x), TWO(x)

/* Something of the kind that each byte is, in the order of the bytes. */
#define BYTES(X, g) \
	EIGHT(X(MARK, g)), X(MARK, g), X(BLANK, g), X(LINE, g), TWO(X(MARK, g)), X(LINE, g), TWO(X(MARK, g)), /* 00 */ \
	SIXTEEN(X(MARK, g)), \
	X(BLANK, g), EIGHT(X(MARK, g)), FOUR(X(MARK, g)), TWO(X(MARK, g)), X(MARK, g), /* 20 */ \
	EIGHT(X(DIGIT, g)), TWO(X(DIGIT, g)), FOUR(X(MARK, g)), TWO(X(MARK, g)), \
	X(MARK, g), ALPHABET(X(UPPER, g)), FOUR(X(MARK, g)), X(MARK, g), /* 40 */ \
	X(MARK, g), ALPHABET(X(LOWER, g)), FOUR(X(MARK, g)), X(MARK, g), /* 60 */ \
	SIXTEEN(X(REST, g)), SIXTEEN(X(REST, g)), SIXTEEN(X(REST, g)), SIXTEEN(X(REST, g)), /* 80 */ \
	TWO(X(MARK, g)), TWO(X(LATIN, g)), EIGHT(X(LATIN_EXT, g)), TWO(X(LATIN_EXT, g)), TWO(X(GREEK, g)), /* C0 */ \
	FOUR(X(CYRILLIC, g)), TWO(X(CYRILLIC, g)), EIGHT(X(SEMITIC, g)), TWO(X(SEMITIC, g)), /* D0 */ \
	X(INDIC, g), X(FAR, g), X(SYMBOL, g), X(KANA, g), FOUR(X(HAN, g)), TWO(X(HAN, g)), /* E0 */ \
	FOUR(X(HANGUL, g)), TWO(X(WIDE, g)), \
	FOUR(X(EMOJI, g)), X(EMOJI, g), EIGHT(X(MARK, g)), TWO(X(MARK, g)), X(MARK, g) /* F0 */

/* What a byte costs behind one of each group, and where the costs are behind this byte. */
#define COST(kind, g) EACH_##kind + ((int)OF_##kind == (int)(g) ? 0 : BEGINS_##kind)
#define ROW(kind, unused) OF_##kind * 256
static const int16_t tokens_cost[] = {
	BYTES(COST, WORDS), BYTES(COST, DIGITS), BYTES(COST, BLANKS), BYTES(COST, LINES), BYTES(COST, MARKS)};
static const uint16_t tokens_row[] = {BYTES(ROW, )};
/* clang-format on */
_Static_assert(sizeof(tokens_row) == sizeof(uint16_t) * 256, "a byte is missing");
_Static_assert(sizeof(tokens_cost) == sizeof(int16_t) * 256 * GROUPS, "a byte is missing");

/* ---- texts ------------------------------------------------------------------------------------ */

static unsigned tokens_hex(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return (unsigned)((c | 0x20) - 'a') + 10;
}

/* The first byte that a character of the basic plane has as UTF-8. Of a pair of surrogates, the second
 * is the rest of the first. */
static unsigned char tokens_first_byte(unsigned cp)
{
	if (cp < 0x80)
		return (unsigned char)cp;
	if (cp < 0x800)
		return (unsigned char)(0xc0 | cp >> 6);
	if (cp >= 0xd800 && cp < 0xdc00)
		return 0xf0;
	if (cp >= 0xdc00 && cp < 0xe000)
		return 0x80;
	return (unsigned char)(0xe0 | cp >> 12);
}

/* The byte that an escape stands for; the last byte of the escape is left to the caller. */
static unsigned char tokens_escape(const char **p, const char *end)
{
	unsigned cp = 0;

	if (end - *p < 2)
		return '/';
	switch (*++*p) {
	case 'n':
	case 'r':
		return '\n';
	case 't':
		return '\t';
	case 'u':
		break;
	default:
		return '/'; /* a mark like the others */
	}
	for (int i = 0; i < 4 && end - *p > 1; i++)
		cp = cp << 4 | (tokens_hex(*++*p) & 0xf);
	return tokens_first_byte(cp);
}

double cv_tokens_text(struct cv_text text)
{
	const char *p = text.data, *end = p + text.len;
	unsigned row = tokens_row['\n'];
	int64_t sum = 0;

	for (; p < end; p++) {
		unsigned char byte = (unsigned char)*p;

		if (byte == '\\')
			byte = tokens_escape(&p, end);
		sum += tokens_cost[row + byte];
		row = tokens_row[byte];
	}
	return (double)sum / 1024;
}

/* ---- messages --------------------------------------------------------------------------------- */

static double tokens_string(struct cv_text value)
{
	if (cv_json_kind(value) != JSON_KIND_STRING)
		return 0;
	return cv_tokens_text((struct cv_text){value.data + 1, value.len - 2});
}

static double tokens_content(struct cv_text content)
{
	double tokens = 0;
	struct cv_text part;
	size_t pos = 0;

	if (cv_json_kind(content) == JSON_KIND_STRING)
		return tokens_string(content);
	while (cv_json_element(content, &pos, &part)) {
		struct cv_text text = {0};

		if (cv_json_kind(part) == JSON_KIND_OBJECT)
			text = cv_json_find(part, "text");
		tokens +=
			cv_json_kind(text) == JSON_KIND_STRING ? tokens_string(text) : IMAGE_TOKENS;
	}
	return tokens;
}

double cv_tokens_message(struct cv_text message)
{
	double tokens = MESSAGE_TOKENS, thinking = 0;
	struct cv_text name, value;
	bool calls = false;
	size_t pos = 0;

	while (cv_json_member(message, &pos, &name, &value)) {
		if (cv_text_is(name, "content")) {
			tokens += tokens_content(value);
		} else if (cv_text_is(name, "tool_calls")) {
			tokens += cv_tokens_text(value);
			calls = cv_json_kind(value) == JSON_KIND_ARRAY;
		} else if (cv_text_is(name, "reasoning_content") || cv_text_is(name, "reasoning")) {
			thinking += tokens_string(value);
		} else if (!cv_text_is(name, "role")) {
			tokens += tokens_string(value); /* a refusal, a name, an id */
		}
	}
	return calls ? tokens + thinking : tokens;
}
