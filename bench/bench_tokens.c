/*
 * The estimate of tokens, which every message that is sent passes through: GB/s over texts and whole
 * messages, beside a loop with one lookup for each byte and memchr().
 *
 *     bench_tokens [MIB]        how much to read for each figure, 64 by default
 *     bench_tokens -estimate    estimates of the texts on stdin, each ended by a NUL; for fit_tokens.py
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/json.h>
#include <runner/tokens.h>

#define TEXT_BYTES 65536
#define PASSES 8

struct sample {
	const char *name, *piece;
};

static const struct sample samples[] = {
	{"ASCII", "The quick brown fox jumps over the lazy dog. "},
	{"code", "\\tif (rc < 0)\\n\\t\\treturn cv_fail(err, rc, \\\"%s\\\", text);\\n"},
	{"French", "D\xc3\xa8s No\xc3\xabl o\xc3\xb9 un z\xc3\xa9phyr ha\xc3\xaf me v\xc3\xaat. "},
	{"Chinese",
	 "\xe5\xa4\xa9\xe5\x9c\xb0\xe7\x8e\x84\xe9\xbb\x84\xef\xbc\x8c\xe5\xae\x87\xe5\xae"
	 "\x99\xe6\xb4\xaa\xe8\x8d\x92\xe3\x80\x82"},
};

static size_t fill(char *message, const char *piece)
{
	static const char head[] = "{\"role\":\"user\",\"content\":\"";
	size_t len = sizeof(head) - 1, n = strlen(piece);

	memcpy(message, head, len);
	while (len + n + 2 < TEXT_BYTES) {
		memcpy(message + len, piece, n);
		len += n;
	}
	memcpy(message + len, "\"}", 2);
	return len + 2;
}

/* The least that a pass with a table can cost. */
static double look_up(struct cv_text text)
{
	static int table[256] = {[' '] = 1};
	int sum = 0;

	for (size_t i = 0; i < text.len; i++)
		sum += table[(unsigned char)text.data[i]];
	return sum;
}

static double find(struct cv_text text)
{
	return memchr(text.data, 0, text.len) ? 1 : 0;
}

/* What passes give: somewhere for it to go, so that they are not left out by the compiler. */
static volatile double heard;

/* The best of many short passes: what others do on the machine is left out. */
static double rate(double (*pass)(struct cv_text), struct cv_text text, size_t bytes)
{
	size_t rounds = bytes / PASSES / text.len + 1;
	int64_t best_us = INT64_MAX;

	for (size_t i = 0; i < rounds; i++) {
		int64_t began = cv_clock_mono_us(), took;

		for (size_t k = 0; k < PASSES; k++)
			heard += pass(text);
		took = cv_clock_mono_us() - began + 1;
		best_us = took < best_us ? took : best_us;
	}
	return (double)(PASSES * text.len) / 1e3 / (double)best_us;
}

static int estimate(void)
{
	struct cv_buf text = {0}, json = {0};
	int c, rc = 0;

	while (rc == 0 && (c = getchar()) != EOF) {
		if (c) {
			rc = cv_buf_addc(&text, (char)c);
			continue;
		}
		rc = cv_json_quote_to(&json, cv_buf_str(&text), text.len);
		if (rc == 0)
			printf("%.3f\n",
			       cv_tokens_text((struct cv_text){json.data + 1, json.len - 2}));
		cv_buf_reset(&text);
		cv_buf_reset(&json);
	}
	cv_buf_clear(&text);
	cv_buf_clear(&json);
	return rc < 0;
}

int main(int argc, char **argv)
{
	size_t bytes;
	char *message;

	if (argc > 1 && strcmp(argv[1], "-estimate") == 0)
		return estimate();
	bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	message = malloc(TEXT_BYTES);
	if (!message)
		return 1;
	printf("%-12s %8s %8s %8s %8s\n", "GB/s", "text", "message", "look up", "memchr");
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct cv_text whole = {message, fill(message, samples[i].piece)};
		struct cv_text text = cv_json_find(whole, "content");

		printf("%-12s %8.2f %8.2f %8.2f %8.2f\n", samples[i].name,
		       rate(cv_tokens_text, text, bytes), rate(cv_tokens_message, whole, bytes),
		       rate(look_up, text, bytes), rate(find, text, bytes));
	}
	free(message);
	return 0;
}
