/*
 * N2: numbers come back as they were, in every place where JSON is kept.
 */
#include "contract.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS 300

static struct test_rng rng;

static size_t below(size_t n)
{
	return test_rng_below(&rng, n);
}

/* A double of any bits that is a normal one, with the digits that it takes to tell it. */
static const char *any_double(void)
{
	double number;

	do {
		uint64_t bits = test_rng_next(&rng);

		memcpy(&number, &bits, sizeof(number));
	} while (!isnormal(number) || fabs(number) > 1e300 || fabs(number) < 1e-300);
	return test_text("%.17g", number);
}

/* One between 0 and 1, as programs write most of them. */
static const char *small_double(void)
{
	return test_text("%.*g", 1 + (int)below(17),
			 (double)(test_rng_next(&rng) >> 11) / 9007199254740992.0);
}

static const char *digits(void)
{
	char text[48];
	size_t i, len = 1 + below(40);

	text[0] = (char)('1' + below(9));
	for (i = 1; i < len; i++)
		text[i] = (char)('0' + below(10));
	text[len] = '\0';
	return test_text("%s", text);
}

static const char *any_number(void)
{
	switch (below(4)) {
	case 0:
		return any_double();
	case 1:
		return small_double();
	case 2:
		return test_text("%s.%se%d", digits(), digits(), (int)below(60) - 30);
	default:
		return test_text("%s%s", below(2) ? "-" : "", digits());
	}
}

/* A value with a number in it, at a random place. */
static const char *any_value(void)
{
	switch (below(4)) {
	case 0:
		return any_number();
	case 1:
		return test_text("[%s, \"1.23456789012345678\", %s]", any_number(), any_number());
	case 2:
		return test_text("{\"a\": {\"b\": [%s]}, \"c\": %s}", any_number(), any_number());
	default:
		return test_text("{\"a\": %s, \"\\u0061b\": %s, \"a\": %s}", any_number(),
				 any_number(), any_number());
	}
}

static void must_be_same(const char *want, const char *got)
{
	if (!got || !json_same(want, got))
		must_not_reach("%s came back as %s", want, got ? got : "nothing");
}

static void N2_numbers_in_events_come_back(struct fx *fx)
{
	const char *message[NUMBERS], *usage[NUMBERS], *extra[NUMBERS];
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *events;
	convo_session *session;
	struct convo_err err;
	size_t i, n;

	test_rng_init(&rng);
	fx_create(fx->store, &key);
	for (i = 0; i < NUMBERS; i++) {
		struct convo_event event = {0};

		message[i] = test_text("{\"role\":\"user\",\"content\":%s}", any_value());
		usage[i] = test_text("{\"cost\":%s}", any_value());
		extra[i] = test_text("{\"score\":%s}", any_value());
		event.message = message[i];
		event.usage = i % 3 ? usage[i] : NULL;
		event.extra = i % 2 ? extra[i] : NULL;
		must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	session = fx_load(fx->store, &key);
	events = test_events(session, &n);
	must_equal(NUMBERS, n);
	for (i = 0; i < n; i++) {
		must_be_same(message[i], events[i].message);
		if (i % 3)
			must_be_same(usage[i], events[i].usage);
		else
			must(!events[i].usage);
		if (i % 2)
			must_be_same(extra[i], events[i].extra);
		else
			must(!events[i].extra);
	}
	convo_session_free(session);
}

static void N2_numbers_in_state_come_back(struct fx *fx)
{
	static const char *const scopes[] = {"", "user:", "app:"};
	struct convo_key key = fx_key(fx, "s");
	const char *set[NUMBERS], *delta[NUMBERS];
	const struct convo_event *events;
	convo_session *session;
	size_t i, n;

	test_rng_init(&rng);
	fx_create(fx->store, &key);
	for (i = 0; i < NUMBERS; i++) {
		set[i] = any_value();
		delta[i] = test_text("{\"%sd%zu\": %s}", scopes[i % 3], i, any_value());
		fx_set(fx->store, &key, test_text("%ss%zu", scopes[i % 3], i), set[i]);
		fx_say_state(fx->store, &key, delta[i]);
	}
	session = fx_load(fx->store, &key);
	events = test_events(session, &n);
	must_equal(NUMBERS, n);
	for (i = 0; i < n; i++) {
		const char *name = test_text("%sd%zu", scopes[i % 3], i);
		const char *value = test_text("%.*s", (int)(strlen(delta[i]) - strlen(name) - 6),
					      delta[i] + strlen(name) + 5);

		must_be_same(delta[i], events[i].state);
		fx_must_have(fx->store, &key, name, value);
		fx_must_have(fx->store, &key, test_text("%ss%zu", scopes[i % 3], i), set[i]);
	}
	convo_session_free(session);
}

/* The one that was reported. */
static void N2_a_number_with_17_digits_comes_back(struct fx *fx)
{
	const struct convo_event event = {.message = "{\"role\":\"user\"}",
					  .extra = "{\"x\":0.11947143682048289}"};
	struct convo_key key = fx_key(fx, "s");
	convo_session *session;
	struct convo_err err;
	size_t n;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	must_be_same(event.extra, test_events(session, &n)[0].extra);
	convo_session_free(session);
}

/* MySQL takes no name of 64 KiB. */
static void N2_a_long_name_comes_back(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *name = fx_repeat('n', 70000), *value = malloc(70100), *delta = malloc(70100);

	must(value && delta);
	snprintf(value, 70100, "{\"%s\": 1}", name);
	snprintf(delta, 70100, "{\"delta\": %s}", value);
	fx_create(fx->store, &key);
	fx_set(fx->store, &key, "long", value);
	fx_must_have(fx->store, &key, "long", value);
	fx_say_state(fx->store, &key, delta);
	fx_must_have(fx->store, &key, "delta", value);
	free(delta);
	free(value);
	free(name);
}

const struct contract_test contract_numbers[] = {
	CONTRACT_TEST(N2_a_number_with_17_digits_comes_back),
	CONTRACT_TEST(N2_numbers_in_events_come_back),
	CONTRACT_TEST(N2_numbers_in_state_come_back),
	CONTRACT_TEST(N2_a_long_name_comes_back),
	{0},
};
