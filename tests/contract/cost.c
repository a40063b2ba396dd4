/*
 * P1: round trips. P2: an append costs what it appends. What is compared is counted, not timed: the round trips and
 * the steps of the engine that tracing tells (<convo/trace.h>), and the bytes that the calling thread
 * allocates. What a server does inside itself no count shows here; bench/ measures that.
 */
#include "contract.h"

#include <stdio.h>

#include "support/oom.h"

enum { CALLS = 20, BATCH = 500, BATCHES = 40, SESSIONS = 1000 };

/* The least that an append cost; what is done now and then, as growing a table, does not count. */
struct cost {
	int64_t trips, steps, bytes;
};

static void cost_hear(void *ctx, const struct convo_trace_call *call)
{
	struct convo_trace_call *last = ctx;

	if (!strcmp(call->op, "append"))
		*last = *call;
}

/* A store that tells what its last append cost. */
static convo_store *cost_open(struct fx *fx, struct convo_trace_call *last)
{
	const struct convo_trace trace = {.on_call = cost_hear, .ctx = last};
	const struct convo_store_options opts = {
		.clean_interval_ms = CONVO_OFF, .timeout_ms = 20000, .trace = &trace};

	*last = (struct convo_trace_call){0};
	return fx_open(fx, &opts);
}

/* With `state` the event carries a delta. */
static void cost_append(convo_store *store, const struct convo_trace_call *last,
			const struct convo_key *key, const char *state, struct cost *least)
{
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"x\"}",
				    .state = state};
	size_t before = test_alloc_bytes();
	struct convo_err err;
	struct cost cost;

	must_pass(convo_store_append(store, key, NULL, &event, 1, NULL, NULL, &err));
	must_equal(1, last->events);
	cost = (struct cost){last->round_trips, last->steps,
			     (int64_t)(test_alloc_bytes() - before)};
	if (cost.trips < least->trips)
		least->trips = cost.trips;
	if (cost.steps < least->steps)
		least->steps = cost.steps;
	if (cost.bytes < least->bytes)
		least->bytes = cost.bytes;
}

static const struct cost cost_most = {INT64_MAX, INT64_MAX, INT64_MAX};

/*
 * A tree that is higher by a level or two adds some steps and pages; anything in proportion to the
 * length, the state or the sessions adds thousands here.
 */
static void cost_must_not_differ(const struct cost *small, const struct cost *large)
{
	test_say("round trips %lld, %lld; steps %lld, %lld; bytes %lld, %lld",
		 (long long)small->trips, (long long)large->trips, (long long)small->steps,
		 (long long)large->steps, (long long)small->bytes, (long long)large->bytes);
	must_equal(small->trips, large->trips);
	if (large->steps > small->steps + small->steps / 2 + 100)
		must_not_reach("an append takes %lld steps here, and %lld there",
			       (long long)large->steps, (long long)small->steps);
	if (large->bytes > small->bytes + 1024)
		must_not_reach("an append allocates %lld bytes here, and %lld there",
			       (long long)large->bytes, (long long)small->bytes);
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

static void cost_compare(convo_store *store, const struct convo_trace_call *last,
			 const struct convo_key *small_key, const struct convo_key *large_key,
			 const char *state)
{
	struct cost small = cost_most, large = cost_most;
	int i;

	for (i = 0; i < CALLS; i++) {
		cost_append(store, last, small_key, state, &small);
		cost_append(store, last, large_key, state, &large);
	}
	cost_must_not_differ(&small, &large);
}

static void P2_an_append_does_not_cost_by_the_length_of_the_session(struct fx *fx)
{
	struct convo_key small = fx_key(fx, "short"), large = fx_key(fx, "long");
	struct convo_trace_call last;
	convo_store *store = cost_open(fx, &last);
	int i;

	fx_create(store, &small);
	fx_create(store, &large);
	for (i = 0; i < BATCHES; i++)
		cost_append_batch(store, &large);
	cost_compare(store, &last, &small, &large, NULL);
}

static void P2_an_append_does_not_cost_by_the_size_of_the_state(struct fx *fx)
{
	struct convo_key small = fx_key(fx, "bare"), large = fx_key(fx, "laden");
	char *value = fx_json_of(CONVO_MAX_VALUE - 16);
	const char *const names[] = {"a", "b", "c"};
	struct convo_trace_call last;
	convo_store *store = cost_open(fx, &last);
	size_t i;

	fx_create(store, &small);
	fx_create(store, &large);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fx_set(store, &large, names[i], value);
	free(value);
	cost_compare(store, &last, &small, &large, NULL);
	cost_compare(store, &last, &small, &large, "{\"bb\":1}");
}

static void P2_an_append_does_not_cost_by_the_number_of_sessions(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "one"), other;
	struct cost few = cost_most, many = cost_most;
	struct convo_trace_call last;
	convo_store *store = cost_open(fx, &last);
	char name[16];
	int i;

	fx_create(store, &key);
	for (i = 0; i < CALLS; i++)
		cost_append(store, &last, &key, NULL, &few);
	for (i = 0; i < SESSIONS; i++) {
		snprintf(name, sizeof(name), "other %d", i);
		other = fx_key(fx, name);
		fx_create(store, &other);
	}
	for (i = 0; i < CALLS; i++)
		cost_append(store, &last, &key, NULL, &many);
	cost_must_not_differ(&few, &many);
}

static void trips_add(void *ctx, const struct convo_trace_call *call)
{
	int64_t *trips = ctx;

	*trips += call->round_trips;
}

/* Once the connection stands and the statements are known: one for each, on MySQL two at most. */
static void P1_creating_appending_and_loading_take_one_round_trip(struct fx *fx)
{
	int64_t trips = 0, most = strcmp(fx->contract->name, "mysql") ? 1 : 2;
	const struct convo_trace trace = {.on_call = trips_add, .ctx = &trips};
	const struct convo_store_options opts = {
		.clean_interval_ms = CONVO_OFF, .timeout_ms = 20000, .trace = &trace};
	convo_store *store = fx_open(fx, &opts);

	for (int i = 0; i < 3; i++) {
		struct convo_key key = fx_key(fx, test_text("s%d", i));

		trips = 0;
		fx_create(store, &key);
		must(i == 0 || trips <= most);
		trips = 0;
		fx_say_state(store, &key, "{\"a\":1,\"user:b\":2}");
		must(i == 0 || trips <= most);
		trips = 0;
		fx_say_state(store, &key, "{\"a\":1,\"user:b\":2,\"app:c\":3}");
		must(i == 0 || trips <= (fx->contract->app_apart ? 5 : most));
		trips = 0;
		convo_session_free(fx_load(store, &key));
		must(i == 0 || trips <= most);
	}
}

const struct contract_test contract_cost[] = {
	CONTRACT_TEST(P1_creating_appending_and_loading_take_one_round_trip),
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_length_of_the_session),
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_size_of_the_state),
	CONTRACT_TEST(P2_an_append_does_not_cost_by_the_number_of_sessions),
	{0},
};
