/*
 * P2: an append costs what it appends. Least times are compared, since what disturbs a measurement
 * only adds to it; work in proportion to the length, the state or the sessions would cost
 * milliseconds here, where the comparison allows a fraction of one.
 */
#include "contract.h"

#include <stdio.h>

#include <base/clock.h>

enum { CALLS = 60, BATCH = 500, BATCHES = 40, SESSIONS = 1000, ALLOWED_US = 300 };

/* With `state` the event carries a delta. */
static int64_t cost_append_us(convo_store *store, const struct convo_key *key, const char *state)
{
	int64_t begin_us = cv_clock_mono_us();

	if (state)
		fx_say_state(store, key, state);
	else
		fx_say(store, key, "x");
	return cv_clock_mono_us() - begin_us;
}

static void cost_append_batch(convo_store *store, const struct convo_key *key)
{
	struct convo_event events[BATCH];
	struct convo_err err;
	int i;

	for (i = 0; i < BATCH; i++)
		events[i] = fx_event(NULL, "x");
	must_pass(convo_store_append(store, key, NULL, events, BATCH, NULL, NULL, &err));
}

static void cost_note(int64_t *least_us, int64_t us)
{
	if (us < *least_us)
		*least_us = us;
}

static void cost_must_not_differ(int64_t small_us, int64_t large_us)
{
	if (large_us > 2 * small_us + ALLOWED_US)
		must_not_reach("an append costs %lld us here, and %lld us there",
			       (long long)large_us, (long long)small_us);
}

/* Append to both in turn, so that what disturbs one disturbs the other. */
static void cost_compare(struct fx *fx, const struct convo_key *small,
			 const struct convo_key *large, const char *state)
{
	int64_t small_us = INT64_MAX, large_us = INT64_MAX;
	int i;

	for (i = 0; i < CALLS; i++) {
		cost_note(&small_us, cost_append_us(fx->store, small, state));
		cost_note(&large_us, cost_append_us(fx->store, large, state));
	}
	cost_must_not_differ(small_us, large_us);
}

static void P2_an_append_does_not_cost_by_the_length_of_the_session(struct fx *fx)
{
	struct convo_key small = fx_key(fx, "short"), large = fx_key(fx, "long");
	int i;

	fx_create(fx->store, &small);
	fx_create(fx->store, &large);
	for (i = 0; i < BATCHES; i++)
		cost_append_batch(fx->store, &large);
	cost_compare(fx, &small, &large, NULL);
}

static void P2_an_append_does_not_cost_by_the_size_of_the_state(struct fx *fx)
{
	struct convo_key small = fx_key(fx, "bare"), large = fx_key(fx, "laden");
	char *value = fx_json_of(CONVO_MAX_VALUE - 16);
	const char *const names[] = {"a", "b", "c"};
	size_t i;

	fx_create(fx->store, &small);
	fx_create(fx->store, &large);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fx_set(fx->store, &large, names[i], value);
	free(value);
	cost_compare(fx, &small, &large, NULL);
	cost_compare(fx, &small, &large, "{\"bb\":1}");
}

static void P2_an_append_does_not_cost_by_the_number_of_sessions(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "one"), other;
	int64_t few_us = INT64_MAX, many_us = INT64_MAX;
	char name[16];
	int i;

	fx_create(fx->store, &key);
	for (i = 0; i < CALLS; i++)
		cost_note(&few_us, cost_append_us(fx->store, &key, NULL));
	for (i = 0; i < SESSIONS; i++) {
		snprintf(name, sizeof(name), "other %d", i);
		other = fx_key(fx, name);
		fx_create(fx->store, &other);
	}
	for (i = 0; i < CALLS; i++)
		cost_note(&many_us, cost_append_us(fx->store, &key, NULL));
	cost_must_not_differ(few_us, many_us);
}

const struct contract_test contract_cost[] = {
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_length_of_the_session),
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_size_of_the_state),
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_number_of_sessions),
	{0},
};
