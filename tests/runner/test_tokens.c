/*
 * The estimate of tokens: near what real vocabularies count, the same for a text however its JSON
 * escapes it, and of every part of a message that is sent.
 */
#include "support/test.h"

#include <math.h>
#include <stdio.h>

#include <base/buf.h>
#include <base/json.h>
#include <runner/tokens.h>

static double text_tokens(const char *text)
{
	return cv_tokens_text(cv_text_of(text));
}

static double message_tokens(const char *json)
{
	struct cv_text message = cv_text_of(json);

	must_equal(JSON_KIND_OBJECT, cv_json_check(message, "message", NULL));
	return cv_tokens_message(message);
}

static void must_be_near(double want, double got, double within)
{
	if (fabs(got - want) > within)
		must_not_reach("%.2f tokens, not %.2f", got, want);
}

/* The counts are of gpt-4o, llama 3.1, qwen 3 and gemma 3, the least and the most of the four. */
static void a_sentence_has_about_as_many_tokens_as_vocabularies_count(void **state)
{
	static const struct {
		const char *text;
		int least, most;
	} said[] = {
		{"The session is stored before the model is asked, so nothing that was typed is "
		 "lost "
		 "when the network breaks.",
		 22, 22},
		{"Die Frage wird gespeichert, bevor das Modell gefragt wird; so geht nichts "
		 "verloren, "
		 "wenn das Netz ausfällt.",
		 23, 30},
		{"La question est enregistrée avant que le modèle ne soit interrogé, et rien n'est "
		 "perdu si le réseau tombe.",
		 24, 27},
		{"Вопрос сохраняется до того, как он отправлен модели, поэтому ничего не теряется "
		 "при "
		 "обрыве сети.",
		 24, 27},
		{"问题在发送给模型之前就已保存，所以网络中断时不会丢失任何内容。", 19, 21},
		{"質問はモデルに送られる前に保存されるので、回線が切れても何も失われません。", 22,
		 26},
		{"질문은 모델에 보내기 전에 저장되므로 네트워크가 끊겨도 아무것도 잃지 않습니다.",
		 23, 32},
		{"يتم حفظ السؤال قبل إرساله إلى النموذج، لذلك لا يضيع شيء عند انقطاع الشبكة.", 23,
		 32},
		{"for (i = 0; i < count; i++) {\\n\\tif (items[i].fate != "
		 "SENT)\\n\\t\\tcontinue;\\n\\t"
		 "tokens += item_tokens(&items[i]);\\n}\\n",
		 37, 45},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		double got = text_tokens(said[i].text);

		if (got < said[i].least * 0.85 || got > said[i].most * 1.15)
			must_not_reach("text %zu: %.1f tokens, not %d to %d", i, got, said[i].least,
				       said[i].most);
	}
}

static void an_escape_counts_as_what_it_stands_for(void **state)
{
	static const struct {
		const char *escaped, *plain;
	} texts[] = {
		{"caf\\u00e9 \\u00E9t\\u00e9", "café été"}, {"\\u4f60\\u597d", "你好"},
		{"\\u041f\\u0440\\u0438 \\u0434", "При д"}, {"\\ud83d\\ude00 ok", "😀 ok"},
		{"\\u0061\\u0062c 1\\u0032", "abc 12"},     {"a\\/b", "a/b"},
		{"\\u20ac\\ud55c\\uff0c", "€한，"},         {"a\\u0020b\\u005cc", "a b\\\\c"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		must_be_near(text_tokens(texts[i].plain), text_tokens(texts[i].escaped), 1e-9);
	must_be_near(text_tokens("a\\nb"), text_tokens("a\\u000ab"), 1e-9);
	must_be_near(text_tokens("a\\tb"), text_tokens("a b"), 1e-9);
	must(text_tokens("a\\nb") > text_tokens("a b"));
}

/* Every message is counted for itself, so long ones must not count otherwise than their parts do. */
static void a_text_costs_about_what_its_parts_cost(void **state)
{
	const char *whole =
		"When it rains in Spain, 1,234 people say: \\\"où est mon parapluie?\\\" 你好";
	double all = text_tokens(whole);
	size_t len = strlen(whole);

	(void)state;
	for (size_t at = 1; at < len; at++) {
		double parts = cv_tokens_text((struct cv_text){whole, at}) +
			       cv_tokens_text((struct cv_text){whole + at, len - at});

		must_be_near(all, parts, 3);
	}
}

static void any_bytes_have_tokens_and_at_most_a_few_each(void **state)
{
	struct test_rng rng;
	char bytes[256];

	(void)state;
	test_rng_init(&rng);
	for (int round = 0; round < 20000; round++) {
		size_t len = test_rng_below(&rng, sizeof(bytes));
		bool dense = test_rng_below(&rng, 2);
		double got;

		for (size_t i = 0; i < len; i++)
			bytes[i] = dense ? "\\un0df {{"[test_rng_below(&rng, 8)]
					 : (char)test_rng_below(&rng, 256);
		got = cv_tokens_text((struct cv_text){bytes, len});
		must(got >= 0 && got <= 3 * (double)len);
	}
	must_be_near(0, cv_tokens_text((struct cv_text){"", 0}), 1e-9);
}

static void a_message_costs_what_it_says_and_a_little(void **state)
{
	double said = text_tokens("How are you?");

	(void)state;
	must_be_near(MESSAGE_TOKENS, message_tokens("{\"role\":\"assistant\",\"content\":null}"),
		     1e-9);
	must_be_near(MESSAGE_TOKENS + said,
		     message_tokens("{\"role\":\"user\",\"content\":\"How are you?\"}"), 1e-9);
	must_be_near(MESSAGE_TOKENS + said,
		     message_tokens("{\"role\":\"user\",\"content\":[{\"type\":\"text\","
				    "\"text\":\"How are you?\"}]}"),
		     1e-9);
	must_be_near(MESSAGE_TOKENS + said,
		     message_tokens("{\"role\":\"assistant\",\"refusal\":\"How are you?\"}"), 1e-9);
}

static void a_picture_counts_the_same_however_long_it_is(void **state)
{
	struct cv_buf small = {0}, large = {0};
	double cost;

	(void)state;
	cv_buf_adds(&small, "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
			    "{\"url\":\"data:image/png;base64,");
	cv_buf_adds(&large, small.data);
	for (int i = 0; i < 10000; i++)
		cv_buf_adds(&large, "iVBORw0KGgo");
	cv_buf_adds(&small, "\"}}]}");
	cv_buf_adds(&large, "\"}}]}");
	cost = message_tokens(small.data);
	must(cost > 100);
	must_be_near(cost, message_tokens(large.data), 1e-9);
	cv_buf_clear(&small);
	cv_buf_clear(&large);
}

static void thinking_counts_where_it_is_sent_with_calls(void **state)
{
	double call, both;

	(void)state;
	must_be_near(message_tokens("{\"role\":\"assistant\",\"content\":\"yes\"}"),
		     message_tokens("{\"role\":\"assistant\",\"content\":\"yes\","
				    "\"reasoning_content\":\"let me think about it\"}"),
		     1e-9);
	call = message_tokens("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
			      "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}");
	both = message_tokens("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
			      "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}],"
			      "\"reasoning\":\"let me think about it\"}");
	must(call > MESSAGE_TOKENS + 10);
	must_be_near(call + text_tokens("let me think about it"), both, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sentence_has_about_as_many_tokens_as_vocabularies_count),
		cmocka_unit_test(an_escape_counts_as_what_it_stands_for),
		cmocka_unit_test(a_text_costs_about_what_its_parts_cost),
		cmocka_unit_test(any_bytes_have_tokens_and_at_most_a_few_each),
		cmocka_unit_test(a_message_costs_what_it_says_and_a_little),
		cmocka_unit_test(a_picture_counts_the_same_however_long_it_is),
		cmocka_unit_test(thinking_counts_where_it_is_sent_with_calls),
	};

	return TEST_RUN(tests);
}
