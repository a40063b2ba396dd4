/*
 * Neighbouring messages of the user that are sent as one.
 */
#include "support/oom.h"
#include "support/test.h"

#include <convo/convo.h>

#include <base/json.h>
#include <runner/join.h>

static struct convo_message message_of(const char *json)
{
	return (struct convo_message){json, strlen(json)};
}

#define MOST 4

/* Join the messages, up to NULL, and give the content. */
static const char *joined(const char *const *jsons)
{
	struct convo_message messages[MOST];
	struct cv_buf out = {0};
	struct cv_text content;
	size_t count = 0;
	struct convo_err err;
	const char *text;

	for (; jsons[count]; count++) {
		messages[count] = message_of(jsons[count]);
		must(count == 0 || cv_join_fits(&messages[count - 1], &messages[count]));
	}
	must_equal(0, cv_join(&out, messages, count, NULL));
	must_equal(JSON_KIND_OBJECT,
		   must_pass(cv_json_check((struct cv_text){out.data, out.len}, "it", &err)));
	content = cv_json_find((struct cv_text){out.data, out.len}, "content");
	text = test_text("%.*s", (int)content.len, content.data);
	cv_buf_clear(&out);
	return text;
}

#define must_join(want, ...) \
	must_equal_str((want), joined((const char *const[]){__VA_ARGS__, NULL}))

#define USER(content) "{\"role\":\"user\",\"content\":" content "}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define IMAGE "{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}"

static void texts_stay_a_text_with_an_empty_line_between(void **state)
{
	(void)state;
	must_join("\"a\\n\\nb\"", USER("\"a\""), USER("\"b\""));
	must_join("\"\\\"a\\n\\n\\u00e9\\n\\nc\"", USER("\"\\\"a\""), USER("\"\\u00e9\""),
		  USER("\"c\""));
	must_join("\"b\"", USER("\"\""), USER("\"b\""));
	must_join("\"a\"", USER("\"a\""), USER("\"\""));
	must_join("\"\"", USER("\"\""), USER("\"\""));
}

static void parts_go_in_one_array(void **state)
{
	(void)state;
	must_join("[" TEXT("a") "," IMAGE "," TEXT("\\n\\nb") "]",
		  USER("[" TEXT("a") "," IMAGE "]"), USER("[ " TEXT("b") " ]"));
	must_join("[" TEXT("a") "," TEXT("\\n\\nb") "]", USER("\"a\""), USER("[" TEXT("b") "]"));
	must_join("[" TEXT("a") "," TEXT("\\n\\nb") "]", USER("[" TEXT("a") "]"), USER("\"b\""));
	must_join("[" TEXT("a\\n\\n") "," IMAGE "," TEXT("b") "]", USER("\"a\""),
		  USER("[" IMAGE "," TEXT("b") "]"));
	must_join("[" IMAGE "," IMAGE "]", USER("[" IMAGE "]"), USER("[" IMAGE "]"));
	must_join("[" TEXT("a") "," TEXT("\\n\\nb") "," TEXT("\\n\\nc") "]",
		  USER("[" TEXT("a") "]"), USER("\"b\""), USER("\"c\""));
	must_join("[" TEXT("b") "]", USER("[]"), USER("\"b\""));
	must_join("[" TEXT("a") "]", USER("[" TEXT("a") "]"), USER("\"\""));
	must_join("[" TEXT("a\\n\\n") ",7]", USER("\"a\""), USER("[7]"));
}

static void other_members_are_kept(void **state)
{
	const struct convo_message two[] = {
		message_of("{\"name\":\"ann\" , \"content\":\"a\",\"role\" : \"user\"}"),
		message_of("{\"role\":\"user\",\"content\":\"b\",\"name\":\"ann\"}")};
	struct cv_buf out = {0};

	(void)state;
	must(cv_join_fits(&two[0], &two[1]));
	must_equal(0, cv_join(&out, two, 2, NULL));
	must_equal_str("{\"name\":\"ann\",\"role\" : \"user\",\"content\":\"a\\n\\nb\"}",
		       cv_buf_str(&out));
	cv_buf_clear(&out);
}

static void what_differs_otherwise_stays_apart(void **state)
{
	static const char *const apart[][2] = {
		{"{\"role\":\"user\",\"content\":\"a\",\"name\":\"ann\"}", USER("\"b\"")},
		{USER("\"a\""), "{\"role\":\"user\",\"content\":\"b\",\"name\":\"bob\"}"},
		{"{\"role\":\"user\",\"content\":\"a\",\"name\":\"ann\"}",
		 "{\"role\":\"user\",\"content\":\"b\",\"name\":\"bob\"}"},
		{USER("null"), USER("\"b\"")},
		{USER("\"a\""), "{\"role\":\"user\"}"},
		{USER("\"a\""), USER("{}")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
		struct convo_message one = message_of(apart[i][0]), two = message_of(apart[i][1]);

		must(!cv_join_fits(&one, &two));
	}
}

/* A name may be written with escapes: it is the content all the same, and is not there twice. */
static void an_escaped_name_is_the_same_name(void **state)
{
	const struct convo_message two[] = {
		message_of("{\"role\":\"user\",\"cont\\u0065nt\":\"a\"}"),
		message_of(USER("\"b\""))};
	struct cv_buf out = {0};

	(void)state;
	must(cv_join_fits(&two[0], &two[1]));
	must_equal(0, cv_join(&out, two, 2, NULL));
	must_equal_str(USER("\"a\\n\\nb\""), cv_buf_str(&out));
	cv_buf_clear(&out);
}

static void every_allocation_of_a_join_may_fail(void **state)
{
	const struct convo_message two[] = {message_of(USER("\"a\"")),
					    message_of(USER("[" IMAGE "," TEXT("b") "]"))};

	(void)state;
	for (size_t n = 1; test_oom_at(n); n++) {
		struct cv_buf out = {0};
		int rc = cv_join(&out, two, 2, NULL);

		must_equal(test_oom_end() ? CONVO_E_NOMEM : 0, rc);
		cv_buf_clear(&out);
	}
}

int main(void)
{
	const struct CMUnitTest join[] = {
		cmocka_unit_test(texts_stay_a_text_with_an_empty_line_between),
		cmocka_unit_test(parts_go_in_one_array),
		cmocka_unit_test(other_members_are_kept),
		cmocka_unit_test(what_differs_otherwise_stays_apart),
		cmocka_unit_test(an_escaped_name_is_the_same_name),
		cmocka_unit_test(every_allocation_of_a_join_may_fail),
	};

	return TEST_RUN(join);
}
