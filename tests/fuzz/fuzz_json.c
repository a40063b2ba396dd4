/*
 * Fuzzing the JSON scanner alone: what it takes, jansson takes, and its walk over members and its
 * unescaping stay within the text. Any bytes at all can be quoted, and that is JSON again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <base/json.h>
#include <base/utf8.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void walk(struct cv_text object, json_t *json)
{
	struct cv_text name, value;
	size_t pos = 0;

	while (cv_json_member(object, &pos, &name, &value)) {
		struct cv_buf plain = {0};

		must(pos <= object.len);
		must(name.data >= object.data && name.data + name.len <= object.data + object.len);
		must(value.data > name.data && value.data + value.len <= object.data + object.len);
		must(cv_json_unescape(&plain, name) == 0);
		must(cv_utf8_valid(cv_buf_str(&plain), plain.len));
		must(json_object_get(json, cv_buf_str(&plain)) != NULL);
		must(cv_json_check(value, "a member", NULL) > 0);
		cv_buf_clear(&plain);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_text text = {(const char *)data, size};
	int kind = cv_json_check(text, "the text", NULL);
	json_t *json = json_loadb(text.data, size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	struct cv_buf quoted = {0};

	if (kind > 0) {
		must(json != NULL);
		must(kind == (int)cv_json_kind(text));
		must((kind == JSON_KIND_OBJECT) == (json_is_object(json) != 0));
		if (kind == JSON_KIND_OBJECT)
			walk(text, json);
	}
	/* any bytes at all can be quoted */
	must(cv_json_quote_to(&quoted, text.data, size) == 0);
	must(cv_json_check((struct cv_text){quoted.data, quoted.len}, "quoted", NULL) ==
	     JSON_KIND_STRING);
	cv_buf_clear(&quoted);
	json_decref(json);
	return 0;
}
