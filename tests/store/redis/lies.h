/*
 * What a Redis server may say that is not true: in place of an answer, in place of a part of one, and
 * without an end.
 */
#ifndef TESTS_STORE_REDIS_LIES_H
#define TESTS_STORE_REDIS_LIES_H

#include <support/test.h>

#include <support/fake_redis.h>

struct bytes {
	char *data;
	size_t len, room;
};

static inline void bytes_add(struct bytes *to, const void *data, size_t len)
{
	if (to->len + len + 1 > to->room) {
		to->room = 2 * (to->len + len + 1);
		to->data = realloc(to->data, to->room);
		must(to->data != NULL);
	}
	if (len)
		memcpy(to->data + to->len, data, len);
	to->len += len;
	to->data[to->len] = '\0';
}

static inline void bytes_adds(struct bytes *to, const char *text)
{
	bytes_add(to, text, strlen(text));
}

struct lie {
	const char *data;
	size_t len, again;
	bool close;
};

#define LIE(text)                                \
	{                                        \
		text, sizeof(text) - 1, 0, false \
	}
#define FOREVER(text, again)                         \
	{                                            \
		text, sizeof(text) - 1, again, false \
	}

/* In place of a whole reply. */
static const struct lie lies[] = {
	LIE("$-1\r\n"),
	LIE("*-1\r\n"),
	LIE("*0\r\n"),
	LIE("*1\r\n$-1\r\n"),
	LIE("*1\r\n+OK\r\n"),
	LIE("*1\r\n*1\r\n:0\r\n"),
	LIE("*1\r\n-ERR inside\r\n"),
	LIE("*1\r\n:-1\r\n"),
	LIE("*1\r\n:7\r\n"),
	LIE("*1\r\n:9223372036854775807\r\n"),
	LIE("*1\r\n:-9223372036854775808\r\n"),
	LIE("*1\r\n:-3\r\n"),
	LIE("*1\r\n:-6\r\n"),
	LIE("*2\r\n:-3\r\n$0\r\n\r\n"),
	LIE("*2\r\n:-6\r\n:-9223372036854775808\r\n"),
	LIE("*2\r\n:-6\r\n*0\r\n"),
	LIE("*2\r\n:0\r\n$1\r\nx\r\n"),
	LIE("*3\r\n:-6\r\n$-1\r\n$-1\r\n"),
	LIE("+\r\n"),
	LIE("+OK\r\n"),
	LIE("+a\0b\r\n"),
	LIE("$0\r\n\r\n"),
	LIE("$3\r\n\0\0\0\r\n"),
	LIE(":0\r\n"),
	LIE(":99999999999999999999\r\n"),
	LIE(":x\r\n"),
	LIE("-\r\n"),
	LIE("-NOSCRIPT No matching script.\r\n"),
	LIE("-ERR first line\ncause\r\n"),
	LIE("-ERR \0\r\n"),
	LIE("-ERR unknown command\r\n"),
	LIE("-ERR unknown command `\r\n"),
	LIE("-OOM command not allowed\r\n"),
	LIE("-READONLY no\r\n"),
	LIE("-NOAUTH no\r\n"),
	LIE("-WRONGTYPE no\r\n"),
	LIE("-MOVED 1 127.0.0.1:1\r\n"),
	LIE("-\xff\xfe\x80\r\n"),
	LIE("HTTP/1.1 400 Bad Request\r\n\r\n"),
	LIE("\0\0\0\0"),
	LIE("$-2\r\n"),
	LIE("$-9223372036854775808\r\n"),
	LIE("$99999999999999999999999\r\n"),
	LIE("*-2\r\n"),
	LIE("*2147483647\r\n"),
	LIE("*4294967297\r\n"),
	LIE("*9223372036854775807\r\n"),
	LIE("*x\r\n"),
	LIE("$x\r\n"),
	LIE("$3\r\nabcde\r\n"),
	LIE("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:0\r\n"),
	/* Of a newer protocol, which nobody asked for. */
	LIE("_\r\n"),
	LIE("#t\r\n"),
	LIE(",1.5\r\n"),
	LIE("(12345678901234567890\r\n"),
	LIE("=5\r\ntxt:x\r\n"),
	LIE("%1\r\n+a\r\n:1\r\n"),
	LIE("~1\r\n:1\r\n"),
	LIE(">1\r\n:1\r\n"),
	LIE("*2\r\n:0\r\n,1.5\r\n"),
	LIE("*2\r\n:0\r\n#t\r\n"),
};

/* These do not end. */
static const struct lie endless[] = {
	{"", 0, 0, true},
	FOREVER("", 0),
	FOREVER("+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32),
	FOREVER("-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32),
	FOREVER("$1000000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 28),
	FOREVER("*1000000\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", 32),
	FOREVER("*8000000\r\n*1000000\r\n", 10),
	FOREVER("*1\r\n", 4),
};

/* In place of a part of a reply. None of them is right anywhere. */
static const struct lie parts[] = {
	LIE("-ERR inside\r\n"),          LIE(":-1\r\n"),        LIE(":-9223372036854775808\r\n"),
	LIE(":9223372036854775807\r\n"), LIE("$3\r\na\0b\r\n"), LIE("*1\r\n$-1\r\n"),
	LIE("*3\r\n:1\r\n:2\r\n:3\r\n"),
};

/* These may happen to be right: what counts is that nothing breaks. */
static const struct lie perhaps[] = {
	LIE("$-1\r\n"),
	LIE("*-1\r\n"),
	LIE("*0\r\n"),
	LIE(":0\r\n"),
	LIE(":1\r\n"),
	LIE(":3\r\n"),
	LIE("$0\r\n\r\n"),
	LIE("$1\r\n0\r\n"),
	LIE("$20\r\n-9223372036854775808\r\n"),
	LIE("$19\r\n9223372036854775807\r\n"),
	LIE("$20\r\n99999999999999999999\r\n"),
	LIE("$3\r\n1.5\r\n"),
	LIE("$3\r\nnan\r\n"),
	LIE("$5\r\n1e400\r\n"),
	LIE("$2\r\n\xff\xfe\r\n"),
	LIE("*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
	LIE("*2\r\n$-1\r\n$-1\r\n"),
	LIE("*1\r\n$1\r\na\r\n"),
};

/* ---- saying it --------------------------------------------------------------------------- */

static inline struct fake_reply reply_of(const struct lie *lie)
{
	return (struct fake_reply){lie->data, lie->len, lie->again, lie->close};
}

/* What was said lives until the end: the server may still be at it for a client that has left. */
static char **kept;
static size_t kept_count;

static inline void keep(char *data)
{
	kept = realloc(kept, (kept_count + 1) * sizeof(*kept));
	must(kept != NULL);
	kept[kept_count++] = data;
}

static inline void kept_free(void)
{
	while (kept_count)
		free(kept[--kept_count]);
	free(kept);
	kept = NULL;
}

static inline void must_be_told(int rc, const struct convo_err *err, const char *what,
				size_t number)
{
	if (rc >= 0 || err->code != rc || !err->text[0] || strpbrk(err->text, "\r\n"))
		must_not_reach("%s, lie %zu: %d, '%s'", what, number, rc, rc < 0 ? err->text : "");
}

/* The length of the RESP value at `at`. */
static inline size_t resp_len(const char *at)
{
	size_t len = (size_t)(strstr(at, "\r\n") + 2 - at);
	long count = strtol(at + 1, NULL, 10);

	if (*at == '$' && count >= 0)
		len += (size_t)count + 2;
	for (; *at == '*' && count > 0; count--)
		len += resp_len(at + len);
	return len;
}

/* Where the next value begins, inside or behind that at `at`. */
static inline size_t resp_next(const char *at)
{
	return *at == '*' ? (size_t)(strstr(at, "\r\n") + 2 - at) : resp_len(at);
}

/* A truth with something else in the place of the value at `at`. */
static inline struct bytes truth_with(const struct bytes *truth, size_t at, const struct lie *lie)
{
	size_t end = at + resp_len(truth->data + at);
	struct bytes out = {0};

	bytes_add(&out, truth->data, at);
	bytes_add(&out, lie->data, lie->len);
	bytes_add(&out, truth->data + end, truth->len - end);
	return out;
}

#endif
