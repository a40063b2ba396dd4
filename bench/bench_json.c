/*
 * The JSON scanner, which every append passes through: GB/s over a string of ASCII, of Chinese, and
 * of a language with some accents, beside a loop that asks cv_utf8_next() for each character.
 *
 *     bench_json [MIB]    how much to scan for each line, 256 by default
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/json.h>
#include <base/utf8.h>

#define TEXT_BYTES 4096

struct sample {
	const char *name, *piece;
};

static const struct sample samples[] = {
	{"ASCII", "The quick brown fox jumps over the lazy dog. "},
	{"ASCII with escapes", "one line\\nand \\\"another\\\" "},
	{"French", "D\xc3\xa8s No\xc3\xabl o\xc3\xb9 un z\xc3\xa9phyr ha\xc3\xaf me v\xc3\xaat. "},
	{"Chinese",
	 "\xe5\xa4\xa9\xe5\x9c\xb0\xe7\x8e\x84\xe9\xbb\x84\xef\xbc\x8c\xe5\xae\x87\xe5\xae"
	 "\x99\xe6\xb4\xaa\xe8\x8d\x92\xe3\x80\x82"},
	{"emoji", "\xf0\x9f\x98\x80\xf0\x9f\x91\x8d"},
};

static size_t fill(char *text, const char *piece)
{
	size_t len = 0, n = strlen(piece);

	text[len++] = '"';
	while (len + n + 1 < TEXT_BYTES) {
		memcpy(text + len, piece, n);
		len += n;
	}
	text[len++] = '"';
	return len;
}

static double rate(size_t bytes, int64_t began_us)
{
	return (double)bytes / 1e3 / (double)(cv_clock_mono_us() - began_us + 1);
}

static size_t one_by_one(const char *text, size_t len)
{
	size_t i = 0, n = 1;

	for (; i < len && n; i += n)
		n = cv_utf8_next(text + i, len - i, NULL);
	return i;
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 256, bytes = mib << 20;
	char text[TEXT_BYTES];

	printf("%-20s %12s %12s %12s\n", "GB/s", "check", "utf8 valid", "one by one");
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		size_t len = fill(text, samples[i].piece), rounds = bytes / len + 1, k, seen = 0;
		double check, valid, raw;
		int64_t began;

		began = cv_clock_mono_us();
		for (k = 0; k < rounds; k++)
			seen += cv_json_check((struct cv_text){text, len}, "text", NULL) > 0;
		check = rate(rounds * len, began);
		began = cv_clock_mono_us();
		for (k = 0; k < rounds; k++)
			seen += cv_utf8_valid(text, len);
		valid = rate(rounds * len, began);
		began = cv_clock_mono_us();
		for (k = 0; k < rounds; k++)
			seen += one_by_one(text, len) == len;
		raw = rate(rounds * len, began);
		if (seen != 3 * rounds)
			return 1;
		printf("%-20s %12.2f %12.2f %12.2f\n", samples[i].name, check, valid, raw);
	}
	return 0;
}
