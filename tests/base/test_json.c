/*
 * The JSON scanner, against a table and against jansson on random texts, and the makers.
 */
#include <support/json_same.h>
#include <support/test.h>

#include <jansson.h>
#include <stdio.h>

#include <convo/text.h>

#include <base/json.h>
#include <base/utf8.h>

static int check(const char *text, struct convo_err *err)
{
	return cv_json_check(cv_text_of(text), "the text", err);
}

static void test_json__tells_the_kind(void **state)
{
	static const struct {
		const char *text;
		enum json_kind kind;
	} cases[] = {
		{" {} ", JSON_KIND_OBJECT},      {"[ ]", JSON_KIND_ARRAY},
		{"\"\"", JSON_KIND_STRING},      {"-0.5e3", JSON_KIND_NUMBER},
		{"true", JSON_KIND_TRUE},        {"false", JSON_KIND_FALSE},
		{"\t\r\n null", JSON_KIND_NULL},
	};
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		must_equal(cases[i].kind, must_pass(check(cases[i].text, &err)));
		must_equal(cases[i].kind, cv_json_kind(cv_text_of(cases[i].text)));
	}
	must_equal(JSON_KIND_NONE, cv_json_kind((struct cv_text){0}));
	must_fail_with(CONVO_E_INVALID, cv_json_check((struct cv_text){0}, "x", &err));
}

static void test_json__errors_name_the_text_and_the_place(void **state)
{
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, check("[1,2,x]", &err));
	must(strstr(err.text, "the text") && strstr(err.text, "byte 5"));
}

/* Bytes after the length are not looked at. */
static void test_json__keeps_to_the_length(void **state)
{
	struct convo_err err;
	char text[] = "[1,22]";

	(void)state;
	for (size_t len = 0; len < 6; len++)
		must_fail_with(CONVO_E_INVALID,
			       cv_json_check((struct cv_text){text, len}, "x", &err));
	must_pass(cv_json_check((struct cv_text){text, 6}, "x", &err));
	must_fail_with(CONVO_E_INVALID, cv_json_check((struct cv_text){"\"a\0b\"", 5}, "x", &err));
	must_fail_with(CONVO_E_INVALID, cv_json_check((struct cv_text){"1\0", 2}, "x", &err));
}

/* Whether strtod() finds the number finite decides, except for what is too small to keep. */
static void test_json__numbers_are_within_a_double(void **state)
{
	static const char *const good[] = {
		"1.7976931348623157e308",
		"-1.7976931348623157e308",
		"17976931348623157e292",
		"0.17976931348623157e309",
		"1e308",
		"9.99e307",
		"2.3e-307",
		"2.3e-308",
		"2.2250738585072014e-308",
		"-22250738585072014e-324",
		"0.000022250738585072014e-303",
		"3e-308",
		"0e9999",
		"0.0e-99",
		"0.000000000000000000000000000000000000000000001e300",
	};
	static const char *const bad[] = {
		"1.7976931348623159e308",
		"1.8e308",
		"2e308",
		"-2e308",
		"1e309",
		"10e308",
		"1e999",
		"1e99999999999999999999",
		"100000e304",
		"0.1e310",
		"1e-400",
		"2.2250738585072013e-308",
		"2.2e-308",
		"2e-308",
		"0.1e-307",
		"1e-323",
	};
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		must_pass(check(good[i], &err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail_with(CONVO_E_INVALID, check(bad[i], &err));
}

/*
 * Every character, whole and with any one of its bytes changed or cut, at every distance from the
 * end: the quick ways through a string take what cv_utf8_next() takes.
 */
static void test_json__characters_are_checked_wherever_they_stand(void **state)
{
	static const char *const characters[] = {"\xc2\x80",         "\xdf\xbf",
						 "\xe0\xa0\x80",     "\xe4\xb8\xad",
						 "\xed\x9f\xbf",     "\xee\x80\x80",
						 "\xef\xbf\xbf",     "\xf0\x90\x80\x80",
						 "\xf3\xa0\x80\x80", "\xf4\x8f\xbf\xbf"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		size_t n = strlen(characters[i]);

		for (size_t at = 0; at < n; at++) {
			for (int byte = 1; byte < 256; byte++) {
				for (size_t after = 0; after < 9; after++) {
					size_t len = (size_t)snprintf(text, sizeof(text),
								      "\"%s%.*s\"", characters[i],
								      (int)after, "plain text");
					bool right;

					text[1 + at] = (char)byte;
					if (byte == '"' || byte == '\\' || byte < 0x20)
						continue;
					right = true;
					for (size_t k = 0; k < len && right;) {
						size_t step = cv_utf8_next(text + k, len - k, NULL);

						right = step > 0;
						k += step;
					}
					must_equal(right, cv_utf8_valid(text, len));
					must_equal(right, cv_json_check((struct cv_text){text, len},
									"x", NULL) > 0);
				}
			}
		}
	}
}

/* ---- against jansson -------------------------------------------------------------------- */

static size_t random_put(struct test_rng *rng, char *out, size_t size, size_t len)
{
	static const char *const pieces[] = {
		"{",
		"}",
		"[",
		"]",
		",",
		":",
		"\"",
		"\"a\"",
		"\"b\":",
		"{}",
		"[]",
		"1",
		"-",
		"0",
		".",
		"e",
		"E+",
		"5",
		"12",
		"true",
		"false",
		"null",
		"nul",
		" ",
		"\n",
		"\t",
		"\\",
		"\\n",
		"\\u",
		"\\u0041",
		"\\ud83d",
		"\\ude00",
		"\\u0000",
		"\\x",
		"\\\"",
		"a",
		"\xc3\xa9",
		"\xf0\x9f\x98\x80",
		"\xff",
		"\xc3",
		"\xed\xa0\x80",
		"\x01",
		"\x7f",
		"/",
		"{\"k\":",
		"[1,",
		"\"\\u00e9\"",
		"0.5",
		"1e5",
		"-0",
	};
	const char *piece = pieces[test_rng_below(rng, sizeof(pieces) / sizeof(pieces[0]))];
	size_t n = strlen(piece);

	if (len + n >= size)
		return len;
	memcpy(out + len, piece, n);
	return len + n;
}

/* A valid text grown at random. */
static size_t random_value(struct test_rng *rng, char *out, size_t size, size_t len, int depth)
{
	size_t kind = test_rng_below(rng, depth > 4 ? 4 : 6), n;
	static const char *const scalars[] = {"1", "-2.5e3", "\"a\\u00e9\\n\"", "null"};

	if (len + 64 > size || kind < 4)
		return len + (size_t)snprintf(out + len, size - len, "%s", scalars[kind % 4]);
	n = test_rng_below(rng, 4);
	out[len++] = kind == 4 ? '[' : '{';
	for (size_t i = 0; i < n && len + 64 < size; i++) {
		if (i)
			out[len++] = ',';
		if (kind == 5)
			len += (size_t)snprintf(out + len, size - len, "\"k%zu\": ", i);
		len = random_value(rng, out, size, len, depth + 1);
	}
	out[len++] = kind == 4 ? ']' : '}';
	return len;
}

static bool jansson_takes(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

	json_decref(json);
	return json != NULL;
}

static void test_json__agrees_with_jansson_on_random_texts(void **state)
{
	size_t good = 0, bad = 0;
	struct test_rng rng;
	char text[512];

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 60000; i++) {
		size_t len = 0, n = 1 + test_rng_below(&rng, 8);
		bool ours;

		if (i % 2) {
			for (size_t k = 0; k < n; k++)
				len = random_put(&rng, text, sizeof(text), len);
		} else {
			len = random_value(&rng, text, sizeof(text), 0, 0);
			if (i % 4) /* break one byte */
				text[test_rng_below(&rng, len)] = (char)test_rng_next(&rng);
		}
		text[len < sizeof(text) ? len : sizeof(text) - 1] = '\0';
		ours = cv_json_check((struct cv_text){text, len}, "x", NULL) >= 0;
		if (ours != jansson_takes(text, len))
			must_not_reach("%s, jansson does not: %zu bytes: %.500s",
				       ours ? "taken" : "refused", len, text);
		good += ours;
		bad += !ours;
	}
	must(good > 10000 && bad > 10000);
}

/* ---- members ---------------------------------------------------------------------------- */

static void test_json__members_are_walked_in_order(void **state)
{
	const struct cv_text object = cv_text_of(
		" { \"a\" : [1,{\"x\":\"}\"}] , \"b\\\"\":\"\\\\\",\"\":{} ,\"n\":-1.5e3\n} ");
	static const char *const want[][2] = {
		{"a", "[1,{\"x\":\"}\"}]"}, {"b\\\"", "\"\\\\\""}, {"", "{}"}, {"n", "-1.5e3"}};
	struct cv_text name, value;
	size_t pos = 0, n = 0;

	(void)state;
	while (cv_json_member(object, &pos, &name, &value)) {
		must(n < 4);
		must(cv_text_is(name, want[n][0]));
		must(cv_text_is(value, want[n][1]));
		n++;
	}
	must_equal(4, n);
	pos = 0;
	must(!cv_json_member(cv_text_of("{}"), &pos, &name, &value));
	pos = 0;
	must(!cv_json_member(cv_text_of(" { } "), &pos, &name, &value));
}

static void test_json__find_gives_the_last_of_a_name(void **state)
{
	const struct cv_text object =
		cv_text_of("{\"a\":1,\"b\":{\"a\":2},\"\\u0061\":3,\"ab\":4}");

	(void)state;
	must(cv_text_is(cv_json_find(object, "a"), "3"));
	must(cv_text_is(cv_json_find(object, "b"), "{\"a\":2}"));
	must(cv_json_find(object, "c").data == NULL);
	must(cv_json_find(object, "").data == NULL);
}

static void test_json__members_agree_with_jansson(void **state)
{
	struct test_rng rng;
	char text[512];

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 5000; i++) {
		size_t len = random_value(&rng, text, sizeof(text) - 1, 0, 0), pos = 0, n = 0;
		struct cv_text name, value;
		json_t *json;

		text[len] = '\0';
		if (text[0] != '{')
			continue;
		json = json_loads(text, 0, NULL);
		must(json != NULL);
		while (cv_json_member((struct cv_text){text, len}, &pos, &name, &value)) {
			const char *key = test_text("%.*s", (int)name.len, name.data);
			char *dump = json_dumps(json_object_get(json, key), JSON_ENCODE_ANY);

			must(dump != NULL);
			must(json_same(test_text("%.*s", (int)value.len, value.data), dump));
			free(dump);
			n++;
		}
		must_equal(json_object_size(json), n);
		json_decref(json);
	}
}

/* ---- makers ----------------------------------------------------------------------------- */

static void test_json__quoting_and_unescaping_are_each_others_way_back(void **state)
{
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 5000; i++) {
		struct cv_buf quoted = {0}, plain = {0};
		struct convo_err err;
		char text[64];
		size_t len = test_rng_below(&rng, sizeof(text));

		for (size_t k = 0; k < len; k++)
			text[k] = (char)(1 + test_rng_below(&rng, 127));
		must_equal(0, cv_json_quote_to(&quoted, text, len));
		must_equal(JSON_KIND_STRING, must_pass(check(cv_buf_str(&quoted), &err)));
		must_equal(0, cv_json_unescape(&plain,
					       (struct cv_text){quoted.data + 1, quoted.len - 2}));
		must(plain.len == len && memcmp(cv_buf_str(&plain), text, len) == 0);
		cv_buf_clear(&quoted);
		cv_buf_clear(&plain);
	}
}

static void test_json__unescapes_every_escape(void **state)
{
	struct cv_buf plain = {0};

	(void)state;
	must_equal(0, cv_json_unescape(&plain, cv_text_of("\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9"
							  "\\u20ac\\ud83d\\uDE00\\udbff\\udfff")));
	must_equal_str("\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
		       cv_buf_str(&plain));
	cv_buf_clear(&plain);
}

static void test_json__quoting_repairs_what_is_broken(void **state)
{
	struct convo_err err;
	char *quoted = NULL;

	(void)state;
	must_pass(convo_json_quote(&quoted, "a\0\xff\xc3\xa9\n", 6, &err));
	must_equal_str("\"a\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\\n\"", quoted);
	free(quoted);
	must_pass(convo_json_quote(&quoted, "", 0, &err));
	must_equal_str("\"\"", quoted);
	free(quoted);
}

int main(void)
{
	const struct CMUnitTest json[] = {
		cmocka_unit_test(test_json__tells_the_kind),
		cmocka_unit_test(test_json__errors_name_the_text_and_the_place),
		cmocka_unit_test(test_json__keeps_to_the_length),
		cmocka_unit_test(test_json__numbers_are_within_a_double),
		cmocka_unit_test(test_json__characters_are_checked_wherever_they_stand),
		cmocka_unit_test(test_json__agrees_with_jansson_on_random_texts),
		cmocka_unit_test(test_json__members_are_walked_in_order),
		cmocka_unit_test(test_json__find_gives_the_last_of_a_name),
		cmocka_unit_test(test_json__members_agree_with_jansson),
		cmocka_unit_test(test_json__quoting_and_unescaping_are_each_others_way_back),
		cmocka_unit_test(test_json__unescapes_every_escape),
		cmocka_unit_test(test_json__quoting_repairs_what_is_broken),
	};

	return TEST_RUN(json);
}
