/*
 * N2: text comes back as it was written, or is refused on every backend alike.
 */
#include "contract.h"

#include <stdio.h>

#include <convo/text.h>

/* JSON values that must survive. */
static const char *const good_values[] = {
	"null",
	"true",
	"false",
	"0",
	"-0",
	"1",
	"-1",
	"1.5",
	"-2.5e-3",
	"1e2",
	"1E+2",
	"0.1",
	"3.141592653589793",
	"5e-300",
	"1.7976931348623157e308",
	"1e308",
	"2147483648",
	"4294967296",
	"9007199254740993", /* 2^53 + 1: no double */
	"-9007199254740993",
	"9223372036854775807", /* 2^63 - 1 */
	"-9223372036854775808",
	"18446744073709551616", /* past 64 bits: a double */
	"123456789012345678901234567890",
	"\"\"",
	"\"a\"",
	"\" \"",
	"\"  two  spaces  \"",
	"\"\\u0001\\u001f\\u007f\"",
	"\"\\b\\f\\n\\r\\t\\\"\\\\\\/\"",
	"\"\\u00e9 \xc3\xa9 e\\u0301\"",
	"\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"",
	"\"\\uffff \\ufffd \\ufeff \xef\xbf\xbf\"",
	"\"\\u2028\\u2029\xe2\x80\xa8\"",
	"\"\\\\u0000 \\\\n is text\"",
	"\"'; DROP TABLE x; -- %s $1 ? :name @v `b` \\\"\"",
	"\"<script>&amp;</script>\"",
	"\"null\"",
	"\"123\"",
	"\"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"",
	"[]",
	"{}",
	"[[]]",
	"[{}]",
	"{\"a\":[]}",
	"{\"a\":{}}",
	"{\"\":1}",
	"{\" \":1,\"  \":2}",
	"{\"a\":1,\"A\":2,\"\xc3\xa1\":3}",
	"{\"b\":1,\"a\":2,\"c\":3}",
	"{\"a\":null}",
	"{\"a\":[null,{},[],\"\",0,false]}",
	"[1,[2,[3,[4]]]]",
	"[1,1,1]",
	"[3,1,2]",
	"{\"__proto__\":1,\"constructor\":2}",
	"{\"user:a\":1,\"app:a\":2,\"temp:a\":3}",
	"{\"a.b\":{\"c\":1},\"$.a\":2,\"a[0]\":3}",
	"{\"a\\\"b\":1,\"a\\\\b\":2,\"a\\/b\":3}",
	" {\n\t\"blanks\" : [ 1 , 2 ]\r\n} ",
	"{\"date\":\"2024-02-30T25:61:61Z\"}",
};

#define GOOD_VALUES (sizeof(good_values) / sizeof(good_values[0]))

/* Texts that are refused wherever JSON is taken. */
static const char *const bad_values[] = {
	"",
	" ",
	"nul",
	"True",
	"undefined",
	"NaN",
	"Infinity",
	"-",
	"+1",
	"01",
	"1.",
	".5",
	"1e",
	"0x10",
	"1e999",
	"-1e999",
	"1.8e308",
	"\"",
	"\"a",
	"\"\\\"",
	"'a'",
	"\"a\nb\"", /* raw control characters */
	"\"a\tb\"",
	"\"\x01\"",
	"\"\\x41\"",
	"\"\\u12\"",
	"\"\\u12g4\"",
	"\"\\u0000\"",
	"\"a\\u0000b\"",
	"\"\\ud800\"", /* lone surrogates */
	"\"\\udc00\"",
	"\"\\ud800\\u0041\"",
	"\"\\udc00\\ud800\"",
	"\"\\ud800\\ud800\"",
	"\"\xff\"", /* not UTF-8 */
	"\"\x80\"",
	"\"\xc3\"",
	"\"\xc0\x80\"",
	"\"\xed\xa0\x80\"",
	"\"\xf4\x90\x80\x80\"",
	"[",
	"]",
	"[1,]",
	"[1 2]",
	"[,1]",
	"{",
	"{\"a\"}",
	"{\"a\":}",
	"{\"a\":1,}",
	"{a:1}",
	"{1:1}",
	"{\"\\u0000\":1}",
	"{\"\\ud800\":1}",
	"{\"a\":1}}",
	"[]]",
	"1 2",
	"{} {}",
	"// comment\n1",
	"\357\273\2771", /* byte order mark */
};

#define BAD_VALUES (sizeof(bad_values) / sizeof(bad_values[0]))

/* Brackets nested `depth` deep around a number. */
static const char *value_nested(int depth, char open, char close)
{
	char text[512] = "";
	size_t len = 0;

	for (int i = 0; i < depth; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%c%s", open,
					open == '{' ? "\"k\":" : "");
	len += (size_t)snprintf(text + len, sizeof(text) - len, "1");
	for (int i = 0; i < depth; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%c", close);
	return test_text("%s", text);
}

static void N2_state_values_come_back(struct fx *fx)
{
	static const char *const scopes[] = {"", "user:", "app:"};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	for (size_t s = 0; s < 3; s++) {
		for (size_t i = 1; i < GOOD_VALUES; i++) /* the first, null, removes */
			fx_set(fx->store, &key, test_text("%sv%zu", scopes[s], i), good_values[i]);
		for (size_t i = 1; i < GOOD_VALUES; i++)
			fx_must_have(fx->store, &key, test_text("%sv%zu", scopes[s], i),
				     good_values[i]);
	}
}

static void N2_state_values_come_back_from_create_and_delta(struct fx *fx)
{
	struct convo_item items[GOOD_VALUES];
	struct convo_key key = fx_key(fx, "s");
	struct convo_create create = {.state = items, .state_count = GOOD_VALUES - 1};
	struct convo_err err;

	for (size_t i = 1; i < GOOD_VALUES; i++)
		items[i - 1] =
			(struct convo_item){.name = test_text("v%zu", i), .json = good_values[i]};
	must_pass(convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	for (size_t i = 1; i < GOOD_VALUES; i++)
		fx_say_state(fx->store, &key, test_text("{\"d%zu\": %s}", i, good_values[i]));
	for (size_t i = 1; i < GOOD_VALUES; i++) {
		fx_must_have(fx->store, &key, test_text("v%zu", i), good_values[i]);
		fx_must_have(fx->store, &key, test_text("d%zu", i), good_values[i]);
	}
}

static void N2_messages_come_back(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_session *session;
	const struct convo_event *events;
	struct convo_err err;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < GOOD_VALUES; i++) {
		struct convo_event event = {
			.message = test_text("{\"role\":\"user\",\"content\":%s}", good_values[i]),
			.usage = test_text("{\"u\":%s}", good_values[i]),
			.extra = test_text("{\"e\":%s}", good_values[i]),
		};

		must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, GOOD_VALUES);
	events = test_events(session, NULL);
	for (size_t i = 0; i < GOOD_VALUES; i++) {
		const char *want = test_text("{\"role\":\"user\",\"content\":%s}", good_values[i]);

		if (!json_same(want, events[i].message))
			must_not_reach("%s came back as %s", want, events[i].message);
		must(json_same(test_text("{\"u\":%s}", good_values[i]), events[i].usage));
		must(json_same(test_text("{\"e\":%s}", good_values[i]), events[i].extra));
		must_equal(strlen(events[i].message), events[i].message_len);
	}
	convo_session_free(session);
}

/* Everything an event can hold, and everything it can leave out. */
static void N2_event_fields_come_back(struct fx *fx)
{
	static const char odd[] = "\xf0\x9f\x98\x80 it's \"q\" \\ % $1 {}:*  ";
	struct convo_key key = fx_key(fx, "s");
	struct convo_event given[] = {
		{
			.id = "0191e2a4-7b2c-7000-8000-0123456789AB",
			.author = odd,
			.turn = odd,
			.status = CONVO_INTERRUPTED,
			.message = "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}",
			.model = odd,
			.finish_reason = odd,
			.error = odd,
			.usage = "{\"total_tokens\":9223372036854775807}",
			.state = "{\"a\":[],\"user:b\":null}",
			.extra = "{\"x\":{}}",
		},
		{.message = "{\"role\":\"tool\",\"content\":\"t\"}", .status = CONVO_FAILED},
		{.message = "{\"role\":\"us\\u0065r\"}",
		 .turn = "",
		 .model = "",
		 .finish_reason = "",
		 .error = "",
		 .usage = "{}",
		 .state = "{}",
		 .extra = "{}"},
	};
	const struct convo_event *e;
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, given, 3, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 3);
	e = test_events(session, NULL);
	must_equal_str("0191e2a4-7b2c-7000-8000-0123456789ab", e[0].id);
	must_equal_str(odd, e[0].author);
	must_equal_str(odd, e[0].turn);
	must_equal_str("assistant", e[0].role);
	must_equal(CONVO_INTERRUPTED, e[0].status);
	must(json_same(given[0].message, e[0].message));
	must_equal_str(odd, e[0].model);
	must_equal_str(odd, e[0].finish_reason);
	must_equal_str(odd, e[0].error);
	must(json_same(given[0].usage, e[0].usage));
	must(json_same(given[0].state, e[0].state));
	must(json_same(given[0].extra, e[0].extra));
	must(e[0].time_ms > 0);

	must_equal_str("tool", e[1].role);
	must_equal_str("tool", e[1].author); /* the role stands in */
	must_equal(CONVO_FAILED, e[1].status);
	must(!e[1].turn && !e[1].model && !e[1].finish_reason && !e[1].error);
	must(!e[1].usage && !e[1].state && !e[1].extra);
	must_equal(36, strlen(e[1].id));

	must_equal_str("user", e[2].role);
	must(e[2].usage && json_same("{}", e[2].usage));
	must(e[2].extra && json_same("{}", e[2].extra));
	convo_session_free(session);
}

static void N2_empty_is_not_absent(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "");
	const struct convo_event *e;
	convo_session *session;
	struct convo_err err;

	event.turn = event.model = event.finish_reason = event.error = "";
	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	e = test_events(session, NULL);
	must_equal_str("", e->turn);
	must_equal_str("", e->model);
	must_equal_str("", e->finish_reason);
	must_equal_str("", e->error);
	convo_session_free(session);
}

static void N2_message_len_bounds_the_message(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = {.message = "{\"role\":\"user\"}, and what follows",
				    .message_len = 15};
	struct convo_item item = {.name = "n", .json = "12345", .json_len = 3};
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	must_pass(convo_store_state_set(fx->store, &key, &item, 1, NULL, &err));
	session = fx_load(fx->store, &key);
	must(json_same("{\"role\":\"user\"}", test_events(session, NULL)->message));
	must(json_same("123", convo_session_state_get(session, "n")->json));
	must_equal(3, convo_session_state_get(session, "n")->json_len);
	convo_session_free(session);
}

static void N2_nesting_is_kept_to_the_depth_and_refused_beyond(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int kind = 0; kind < 2; kind++) {
		char open = kind ? '{' : '[', close = kind ? '}' : ']';
		const char *deep = value_nested(CONVO_JSON_DEPTH, open, close);
		const char *deeper = value_nested(CONVO_JSON_DEPTH + 1, open, close);
		const char *in = value_nested(CONVO_JSON_DEPTH - 1, open, close);
		struct convo_item item = {.name = "n", .json = deeper};
		struct convo_event event = {
			.message = test_text("{\"role\":\"user\",\"content\":%s}", deep)};

		fx_set(fx->store, &key, "n", deep);
		fx_must_have(fx->store, &key, "n", deep);
		must_fail_with(CONVO_E_INVALID,
			       convo_store_state_set(fx->store, &key, &item, 1, NULL, &err));
		must_fail_with(CONVO_E_INVALID, convo_store_append(fx->store, &key, NULL, &event, 1,
								   NULL, NULL, &err));
		event.message = test_text("{\"role\":\"user\",\"content\":%s}", in);
		must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	must_equal(2, fx_last_seq(fx->store, &key));
}

static void N2_bad_json_is_refused_as_state(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	struct convo_err err;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < BAD_VALUES; i++) {
		const struct convo_item items[] = {{.name = "good", .json = "1"},
						   {.name = "bad", .json = bad_values[i]}};
		const struct convo_create create = {.state = items, .state_count = 2};

		must_fail_with(CONVO_E_INVALID,
			       convo_store_state_set(fx->store, &key, items, 2, NULL, &err));
		must_fail_with(CONVO_E_INVALID,
			       convo_store_create(fx->store, &other, &create, NULL, NULL, &err));
		must(!err.maybe);
	}
	fx_must_have(fx->store, &key, "good", NULL);
	fx_must_be_absent(fx->store, &other);
}

static void value_event_must_be_refused(struct fx *fx, const struct convo_key *key,
					struct convo_event bad)
{
	struct convo_event events[] = {fx_event(NULL, "good"), bad, fx_event(NULL, "good")};
	struct convo_err err;
	int64_t seqs[3] = {-7, -7, -7};
	int rc;

	rc = must_fail_with(CONVO_E_INVALID,
			    convo_store_append(fx->store, key, NULL, events, 3, seqs, NULL, &err));
	must_equal(CONVO_E_INVALID, rc);
	must(!err.maybe);
	for (int i = 0; i < 3; i++)
		must_equal(-7, seqs[i]);
}

static void N2_bad_json_is_refused_in_events(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	for (size_t i = 0; i < BAD_VALUES; i++) {
		const char *bad = bad_values[i];
		struct convo_event event = fx_event(NULL, "x");

		value_event_must_be_refused(fx, &key, (struct convo_event){.message = bad});
		event.message = test_text("{\"role\":\"user\",\"content\":%s}", bad);
		value_event_must_be_refused(fx, &key, event);
		event = fx_event(NULL, "x");
		event.usage = test_text("{\"n\":%s}", bad);
		value_event_must_be_refused(fx, &key, event);
		event = fx_event(NULL, "x");
		event.extra = test_text("{\"n\":%s}", bad);
		value_event_must_be_refused(fx, &key, event);
		event = fx_event(NULL, "x");
		event.state = test_text("{\"n\":%s}", bad);
		value_event_must_be_refused(fx, &key, event);
	}
	must_equal(0, fx_last_seq(fx->store, &key));
}

static void N2_events_of_the_wrong_shape_are_refused(struct fx *fx)
{
	static const char *const messages[] = {
		"null",
		"[]",
		"\"user\"",
		"1",
		"{}",
		"{\"role\":null}",
		"{\"role\":1}",
		"{\"content\":\"no role\"}",
		"{\"role\":{}}",
		"{\"role\":\"\"}",
	};
	static const char *const not_objects[] = {"null", "[]", "1", "\"a\"", "true"};
	const char *long_text = test_text("%0256d", 1);
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event;

	fx_create(fx->store, &key);
	value_event_must_be_refused(fx, &key, (struct convo_event){0});
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		value_event_must_be_refused(fx, &key, (struct convo_event){.message = messages[i]});
	for (size_t i = 0; i < sizeof(not_objects) / sizeof(not_objects[0]); i++) {
		event = fx_event(NULL, "x");
		event.usage = not_objects[i];
		value_event_must_be_refused(fx, &key, event);
		event = fx_event(NULL, "x");
		event.state = not_objects[i];
		value_event_must_be_refused(fx, &key, event);
		event = fx_event(NULL, "x");
		event.extra = not_objects[i];
		value_event_must_be_refused(fx, &key, event);
	}
	for (int i = 0; i < 12; i++) {
		const char *text = i / 4 == 0   ? long_text
				   : i / 4 == 1 ? "bad \xff"
						: "cut \xe2\x82";

		event = fx_event(NULL, "x");
		*(i % 4 == 0   ? &event.author
		  : i % 4 == 1 ? &event.turn
		  : i % 4 == 2 ? &event.model
			       : &event.finish_reason) = text;
		value_event_must_be_refused(fx, &key, event);
	}
	event = fx_event(NULL, "x");
	event.author = "";
	value_event_must_be_refused(fx, &key, event);
	event = fx_event(NULL, "x");
	event.error = "bad \xff";
	value_event_must_be_refused(fx, &key, event);
	event = fx_event(NULL, "x");
	event.status = (enum convo_status)3;
	value_event_must_be_refused(fx, &key, event);
	must_equal(0, fx_last_seq(fx->store, &key));
}

static void N2_a_name_twice_in_one_delta_is_refused(struct fx *fx)
{
	const struct convo_item items[] = {{.name = "a", .json = "1"}, {.name = "a", .json = "2"}};
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, &key, items, 2, NULL, &err));
	event.state = "{\"a\":1,\"\\u0061\":2}";
	value_event_must_be_refused(fx, &key, event);
	fx_must_have(fx->store, &key, "a", NULL);
}

/* Within a message names may stand twice; the last counts. */
static void N2_a_name_twice_in_a_message_means_its_last(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = {
		.message = "{\"role\":\"user\",\"a\":1,\"a\":2,\"role\":\"tool\"}"};
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	must_equal_str("tool", test_events(session, NULL)->role);
	must(json_same("{\"role\":\"tool\",\"a\":2}", test_events(session, NULL)->message));
	convo_session_free(session);
}

static void N2_titles_come_back_or_are_refused(struct fx *fx)
{
	static const char odd[] = "\xf0\x9f\x98\x80 'title' \"\\ %s ; -- ";
	const char *const bad[] = {"a\nb", "\x7f", "\xff", test_text("%0256d", 1)};
	struct convo_key key = fx_key(fx, "s");
	const struct convo_create create = {.title = odd};
	convo_session *session;
	struct convo_err err;

	must_pass(convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail_with(CONVO_E_INVALID,
			       convo_store_rename(fx->store, &key, bad[i], NULL, &err));
	session = fx_load(fx->store, &key);
	must_equal_str(odd, convo_session_meta(session)->title);
	convo_session_free(session);
	must_pass(convo_store_rename(fx->store, &key, test_text("%0255d", 1), NULL, &err));
	session = fx_load(fx->store, &key);
	must_equal_str(test_text("%0255d", 1), convo_session_meta(session)->title);
	convo_session_free(session);
}

/* Made from any bytes at all, a message can be stored. */
static void N2_made_messages_can_always_be_stored(struct fx *fx)
{
	static const char nasty[] = "a\0b\xff\xed\xa0\x80\xc3(\x01\x7f\"\\\n";
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = {0};
	convo_session *session;
	struct convo_err err;
	char *made = NULL, *text = NULL;

	fx_create(fx->store, &key);
	must_pass(convo_message_make(&made, "user", nasty, sizeof(nasty) - 1, &err));
	event.message = made;
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	event = *test_events(session, NULL);
	must(json_same(made, event.message));
	must_pass(convo_message_text(&text, event.message, event.message_len, &err));
	must_equal_str("a\xef\xbf\xbd"
		       "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		       "\xef\xbf\xbd(\x01\x7f\"\\\n",
		       text);
	free(text);
	free(made);
	convo_session_free(session);
}

const struct contract_test contract_values[] = {
	CONTRACT_TEST(N2_state_values_come_back),
	CONTRACT_TEST(N2_state_values_come_back_from_create_and_delta),
	CONTRACT_TEST(N2_messages_come_back),
	CONTRACT_TEST(N2_event_fields_come_back),
	CONTRACT_TEST(N2_empty_is_not_absent),
	CONTRACT_TEST(N2_message_len_bounds_the_message),
	CONTRACT_TEST(N2_nesting_is_kept_to_the_depth_and_refused_beyond),
	CONTRACT_TEST(N2_bad_json_is_refused_as_state),
	CONTRACT_TEST(N2_bad_json_is_refused_in_events),
	CONTRACT_TEST(N2_events_of_the_wrong_shape_are_refused),
	CONTRACT_TEST(N2_a_name_twice_in_one_delta_is_refused),
	CONTRACT_TEST(N2_a_name_twice_in_a_message_means_its_last),
	CONTRACT_TEST(N2_titles_come_back_or_are_refused),
	CONTRACT_TEST(N2_made_messages_can_always_be_stored),
	{0},
};
