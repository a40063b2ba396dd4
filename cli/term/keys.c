/*
 * Keys; see keys.h. Bytes are read many at once, so that typing ahead is one step and a block comes
 * whole instead of key by key; and by poll, so that a signal ends the wait.
 */
#include "term/keys.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "term/glyph.h"
#include "term/paste.h"
#include "term/signals.h"

static struct {
	char raw[1 << 16]; /* read from the terminal and not yet used */
	size_t from, to;
} keys;

#define ESC "\033"

/* What begins alike stands together; a sequence is complete where no longer one goes on. */
static const struct {
	const char *bytes;
	enum key key;
} sequences[] = {
	{"\001", KEY_HOME},
	{"\002", KEY_LEFT},
	{"\004", KEY_DELETE_OR_LEAVE},
	{"\005", KEY_END},
	{"\006", KEY_RIGHT},
	{"\007", KEY_CANCEL},
	{"\b", KEY_BACKSPACE},
	{"\t", KEY_COMPLETE},
	{"\n", KEY_NEWLINE},
	{"\013", KEY_CUT_END},
	{"\014", KEY_REDRAW},
	{"\r", KEY_ENTER},
	{"\016", KEY_DOWN},
	{"\020", KEY_UP},
	{"\022", KEY_SEARCH},
	{"\024", KEY_SWAP},
	{"\025", KEY_CUT_HOME},
	{"\027", KEY_CUT_WORD_LEFT},
	{"\031", KEY_PUT_BACK},
	{"\177", KEY_BACKSPACE},
	{ESC "\r", KEY_NEWLINE},
	{ESC "\n", KEY_NEWLINE},
	{ESC "\b", KEY_CUT_WORD_LEFT},
	{ESC "\177", KEY_CUT_WORD_LEFT},
	{ESC "b", KEY_WORD_LEFT},
	{ESC "d", KEY_CUT_WORD_RIGHT},
	{ESC "f", KEY_WORD_RIGHT},
	{ESC "OA", KEY_UP},
	{ESC "OB", KEY_DOWN},
	{ESC "OC", KEY_RIGHT},
	{ESC "OD", KEY_LEFT},
	{ESC "OF", KEY_END},
	{ESC "OH", KEY_HOME},
	{ESC "[A", KEY_UP},
	{ESC "[B", KEY_DOWN},
	{ESC "[C", KEY_RIGHT},
	{ESC "[D", KEY_LEFT},
	{ESC "[F", KEY_END},
	{ESC "[H", KEY_HOME},
	{ESC "[1~", KEY_HOME},
	{ESC "[3~", KEY_DELETE},
	{ESC "[4~", KEY_END},
	{ESC "[7~", KEY_HOME},
	{ESC "[8~", KEY_END},
	{ESC "[1;3C", KEY_WORD_RIGHT},
	{ESC "[1;3D", KEY_WORD_LEFT},
	{ESC "[1;5C", KEY_WORD_RIGHT},
	{ESC "[1;5D", KEY_WORD_LEFT},
	{ESC "[3;5~", KEY_CUT_WORD_RIGHT},
	{ESC "[200~", KEY_PASTE},
};

/* ---- reading -------------------------------------------------------------------------- */

/* Reads more. @return KEY_NONE when there is more, KEY_OVER, or KEY_INTERRUPT. */
static enum key keys_fill(keys_draw draw)
{
	struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
	ssize_t n;

	memmove(keys.raw, keys.raw + keys.from, keys.to - keys.from);
	keys.to -= keys.from;
	keys.from = 0;
	/* While more is there already, what was would be drawn for nobody. */
	if (poll(&more, 1, 0) == 0)
		draw(false, false);
	do {
		bool elsewhere;

		while (!signals_wait(STDIN_FILENO)) {
			if (signals_interrupted() || signals_leaving())
				return KEY_INTERRUPT;
			if (signals_redraw(&elsewhere))
				draw(true, elsewhere);
		}
		n = read(STDIN_FILENO, keys.raw + keys.to, sizeof(keys.raw) - keys.to);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return KEY_OVER;
	keys.to += (size_t)n;
	return KEY_NONE;
}

/* ---- telling apart -------------------------------------------------------------------- */

/* How long the sequence of a key is that is not in the table, as ECMA-48 builds them; 0: not whole. */
static size_t keys_unknown(const char *s, size_t have)
{
	size_t len = 2;

	if (s[0] != '\033')
		return 1;
	if (have < 2)
		return 0;
	if (s[1] == 'O')
		return have < 3 ? 0 : 3;
	if (s[1] != '[')
		return s[1] > ' ' && s[1] < 0x7f ? 2 : 1;
	while (len < have && s[len] >= 0x20 && s[len] <= 0x3f)
		len++;
	return len == have ? 0 : len + 1;
}

/* The key at the front. @return its bytes, or 0 when more must come to tell. */
static size_t keys_match(const char *s, size_t have, enum key *key)
{
	size_t i;

	for (i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		size_t len = strlen(sequences[i].bytes), same = have < len ? have : len;

		if (memcmp(s, sequences[i].bytes, same) != 0)
			continue;
		*key = sequences[i].key;
		return have < len ? 0 : len;
	}
	*key = KEY_NONE;
	return keys_unknown(s, have);
}

static bool keys_is_text(char c)
{
	return (unsigned char)c >= 0x20 && c != 0x7f;
}

/* How many bytes the code point at the front has, going by its first byte. */
static size_t keys_wanted(char c)
{
	unsigned char first = (unsigned char)c;

	return first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
}

/* How much text stands at the front, in whole code points. */
static size_t keys_run(const char *s, size_t have)
{
	size_t len = 0;
	uint32_t cp;
	bool bad;

	while (len < have && keys_is_text(s[len]) && have - len >= keys_wanted(s[len]))
		len += glyph_decode(s + len, have - len, &cp, &bad);
	return len;
}

enum key keys_next(struct keys_text *text, keys_draw draw)
{
	enum { QUOTE = 0x16 }; /* Ctrl-V: the next byte is text, whatever it is */

	for (;;) {
		const char *s = keys.raw + keys.from;
		size_t have = keys.to - keys.from, len = 0;
		enum key key = KEY_TEXT;

		if (have > 1 && s[0] == QUOTE) {
			*text = (struct keys_text){s + 1, 1};
			keys.from += 2;
			return KEY_TEXT;
		}
		if (have && keys_is_text(s[0]))
			len = keys_run(s, have);
		else if (have && s[0] != QUOTE)
			len = keys_match(s, have, &key);
		if (len) {
			*text = (struct keys_text){s, len};
			keys.from += len;
			return key;
		}
		/* What is begun and cannot end any more is nothing. */
		if (have == sizeof(keys.raw))
			keys.from = keys.to;
		key = keys_fill(draw);
		if (key != KEY_NONE)
			return key;
	}
}

enum key keys_paste(struct text *block, keys_draw draw)
{
	static const char mark[] = ESC "[201~";
	const size_t mark_len = sizeof(mark) - 1;
	bool fits = text_add(block, "", 0);

	for (;;) {
		const char *s = keys.raw + keys.from;
		size_t have = keys.to - keys.from, take = 0;
		enum key key;

		while (take < have && s[take] != mark[0])
			take++;
		if (have - take >= mark_len && !memcmp(s + take, mark, mark_len)) {
			fits = fits && paste_add(block, s, take);
			keys.from += take + mark_len;
			paste_end(block);
			return fits ? KEY_PASTE : KEY_NONE;
		}
		if (take < have &&
		    memcmp(s + take, mark, have - take < mark_len ? have - take : mark_len) != 0)
			take++;
		fits = fits && paste_add(block, s, take);
		keys.from += take;
		if (take)
			continue;
		key = keys_fill(draw);
		if (key != KEY_NONE)
			return key;
	}
}
