/*
 * What is learned from the words of a refusal: sentences of servers, and sentences that only look like
 * them.
 */
#include "support/test.h"

#include <stdio.h>

#include <model/refusal.h>

static void the_window_is_read_from_what_servers_say(void **state)
{
	static const struct {
		const char *words;
		int64_t window, asked;
	} said[] = {
		{"This model's maximum context length is 4097 tokens. However, your messages "
		 "resulted "
		 "in 5000 tokens. Please reduce the length of the messages.",
		 4097, 5000},
		{"This model's maximum context length is 2048 tokens. However, you requested 2300 "
		 "tokens (1900 in the messages, 400 in the completion).",
		 2048, 2300},
		{"The decoder prompt (length 5000) is longer than the maximum model length of "
		 "2048. "
		 "Make sure that `max_model_len` is no smaller than the number of text tokens.",
		 2048, 5000},
		{"request (5000 tokens) exceeds the available context size (2048 tokens), try "
		 "increasing it",
		 2048, 5000},
		{"the request exceeds the available context size. try increasing the context size",
		 0, 0},
		{"Trying to keep the first 5123 tokens when context the overflows. However, the "
		 "model "
		 "is loaded with context length of only 4096 tokens, which is not enough.",
		 4096, 5123},
		{"prompt is too long: 208310 tokens > 200000 maximum", 200000, 208310},
		{"prompt is too long: 208,310 tokens > 200,000 maximum", 200000, 208310},
		{"The input token count (1048577) exceeds the maximum number of tokens allowed "
		 "(1048576).",
		 1048576, 1048577},
		{"Prompt contains 40211 tokens and 0 draft tokens, too large for model with 32768 "
		 "maximum context length",
		 32768, 40211},
		{"The input (5000 tokens) is longer than the model's context length (2048 tokens).",
		 2048, 5000},
		{"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
		 "Given: "
		 "5000 `inputs` tokens and 200 `max_new_tokens`",
		 4096, 5000},
		{"This endpoint's maximum context length is 32768 tokens. However, you requested "
		 "about 40000 tokens (39000 of text input, 1000 in the output).",
		 32768, 40000},
		{"Please reduce the length of the messages: context window exceeded", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct refusal got = {0};

		cv_refusal_read(&got, said[i].words, false);
		if (!got.too_long || got.window != said[i].window || got.asked != said[i].asked)
			must_not_reach("'%s': %d, %lld, %lld", said[i].words, got.too_long,
				       (long long)got.window, (long long)got.asked);
	}
}

static void roles_in_turn_are_read_from_what_templates_say(void **state)
{
	static const char *const said[] = {
		"Conversation roles must alternate user/assistant/user/assistant/...",
		("After the optional system message, conversation roles must alternate "
		 "user/assistant/user/assistant/..."),
		"messages: roles must alternate between \"user\" and \"assistant\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct refusal got = {0};

		cv_refusal_read(&got, said[i], false);
		must(got.alternate && !got.too_long && !got.no_system);
	}
}

static void a_template_without_a_system_role_is_known(void **state)
{
	struct refusal got = {0};

	(void)state;
	cv_refusal_read(&got, "System role not supported", false);
	must(got.no_system && !got.alternate && !got.too_long);
}

static void other_errors_teach_nothing(void **state)
{
	static const char *const said[] = {
		"",
		"You exceeded your current quota, please check your plan and billing details.",
		"Unknown parameter: 'foo' of request 12345678",
		"The model `gpt-4-32768` does not exist",
		"max_tokens is too large: 100000",
		"system message too funny",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct refusal got = {0};

		cv_refusal_read(&got, said[i], false);
		if (got.too_long || got.window || got.asked || got.alternate || got.no_system)
			must_not_reach("'%s' teaches something", said[i]);
	}
}

static void numbers_that_cannot_be_a_window_are_passed_over(void **state)
{
	static const char *const said[] = {
		"context length of 12 tokens",
		"maximum context length is 99999999999999999999999999 tokens",
		"context length of gpt-4096 or v1.8192 exceeded",
		"context length -1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct refusal got = {0};

		cv_refusal_read(&got, said[i], false);
		if (!got.too_long || got.window || got.asked)
			must_not_reach("'%s': %lld", said[i], (long long)got.window);
	}
}

static void what_was_known_is_kept(void **state)
{
	struct refusal got = {.window = 4096, .asked = 5000};

	(void)state;
	cv_refusal_read(&got, "maximum context length is 8192 tokens, not 9000", true);
	must_equal(4096, got.window);
	must_equal(5000, got.asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_is_read_from_what_servers_say),
		cmocka_unit_test(roles_in_turn_are_read_from_what_templates_say),
		cmocka_unit_test(a_template_without_a_system_role_is_known),
		cmocka_unit_test(other_errors_teach_nothing),
		cmocka_unit_test(numbers_that_cannot_be_a_window_are_passed_over),
		cmocka_unit_test(what_was_known_is_kept),
	};

	return TEST_RUN(tests);
}
