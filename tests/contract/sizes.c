/*
 * N3: the largest sizes, and one byte beyond.
 */
#include "contract.h"

#include <stdio.h>

/* Load the last event and compare its message byte for byte up to JSON's equivalences: length. */
static void size_must_be_stored(struct fx *fx, const struct convo_key *key, const char *message)
{
	const struct convo_window last = {.n = 1};
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, fx->store, key, &last, NULL, &err));
	must(json_same(message, test_events(session, NULL)->message));
	convo_session_free(session);
}

static void N3_an_event_of_4_MiB_is_stored(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *message = fx_message_of(CONVO_MAX_EVENT);
	struct convo_event event = {.message = message};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	size_must_be_stored(fx, &key, message);
	free(message);
}

static void N3_a_larger_event_is_too_big(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *message = fx_message_of(CONVO_MAX_EVENT + 1);
	struct convo_event event = {.message = message};
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	/* the parts count together */
	event.message_len = 0;
	message[CONVO_MAX_EVENT - 10] = '\0';
	memcpy(message + CONVO_MAX_EVENT - 12, "\"}", 2);
	event.extra = "{\"parts\":1}";
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	must(!err.maybe);
	must_equal(0, fx_last_seq(fx->store, &key));
	free(message);
}

static void N3_a_batch_of_1000_events_is_stored(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event *events = calloc(CONVO_MAX_BATCH_EVENTS + 1, sizeof(*events));
	int64_t *seqs = calloc(CONVO_MAX_BATCH_EVENTS + 1, sizeof(*seqs));
	convo_session *session;
	struct convo_err err;

	must(events && seqs);
	for (size_t i = 0; i <= CONVO_MAX_BATCH_EVENTS; i++)
		events[i] = fx_event(NULL, test_text("%zu", i));
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(fx->store, &key, NULL, events, CONVO_MAX_BATCH_EVENTS + 1,
					  seqs, NULL, &err));
	must_equal(0, fx_last_seq(fx->store, &key));
	must_pass(convo_store_append(fx->store, &key, NULL, events, CONVO_MAX_BATCH_EVENTS, seqs,
				     NULL, &err));
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, CONVO_MAX_BATCH_EVENTS);
	for (size_t i = 0; i < CONVO_MAX_BATCH_EVENTS; i++) {
		must_equal(i + 1, seqs[i]);
		must(json_same(events[i].message, test_events(session, NULL)[i].message));
	}
	convo_session_free(session);
	free(events);
	free(seqs);
}

static void N3_a_batch_of_no_events_is_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_err err;

	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, &event, 0, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, NULL, 1, NULL, NULL, &err));
}

static void N3_a_batch_of_16_MiB_is_stored_and_no_larger(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *message = fx_message_of(CONVO_MAX_EVENT);
	struct convo_event events[5];
	struct convo_err err;

	for (int i = 0; i < 4; i++)
		events[i] = (struct convo_event){.message = message};
	events[4] = fx_event(NULL, "one more");
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(fx->store, &key, NULL, events, 5, NULL, NULL, &err));
	must_pass(convo_store_append(fx->store, &key, NULL, events, 4, NULL, NULL, &err));
	must_equal(4, fx_last_seq(fx->store, &key));
	size_must_be_stored(fx, &key, message);
	free(message);
}

static void N3_a_value_of_1_MiB_is_stored_and_no_larger(struct fx *fx)
{
	static const char *const names[] = {"v", "user:v", "app:v"};
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	char *good = fx_json_of(CONVO_MAX_VALUE), *bad = fx_json_of(CONVO_MAX_VALUE + 1);
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int i = 0; i < 3; i++) {
		struct convo_item item = {.name = names[i], .json = bad};
		struct convo_create create = {.state = &item, .state_count = 1};
		struct convo_event event = fx_event(NULL, "x");
		char *state = malloc(CONVO_MAX_VALUE + 64);

		must(state != NULL);
		snprintf(state, CONVO_MAX_VALUE + 64, "{\"%s\":%s}", names[i], bad);
		event.state = state;
		must_fail_with(CONVO_E_TOOBIG,
			       convo_store_state_set(fx->store, &key, &item, 1, NULL, &err));
		must_fail_with(CONVO_E_TOOBIG,
			       convo_store_create(fx->store, &other, &create, NULL, NULL, &err));
		must_fail_with(CONVO_E_TOOBIG, convo_store_append(fx->store, &key, NULL, &event, 1,
								  NULL, NULL, &err));
		fx_must_have(fx->store, &key, names[i], NULL);
		fx_set(fx->store, &key, names[i], good);
		fx_must_have(fx->store, &key, names[i], good);
		free(state);
	}
	fx_must_be_absent(fx->store, &other);
	free(good);
	free(bad);
}

/* Fill a scope to exactly its limit, a value at a time: names and values count. */
static void size_fill_scope(struct fx *fx, const struct convo_key *key, const char *prefix)
{
	char *value = fx_json_of(CONVO_MAX_VALUE - 1);

	for (int i = 0; i < 4; i++) /* a name of one byte, so 1 MiB each */
		fx_set(fx->store, key, test_text("%s%d", prefix, i), value);
	free(value);
}

static void size_must_be_full(struct fx *fx, const struct convo_key *key, const char *prefix)
{
	struct convo_item item = {.name = test_text("%sz", prefix), .json = "1"};
	struct convo_event event = fx_event(NULL, "x");
	struct convo_err err;

	must_fail_with(CONVO_E_TOOBIG, convo_store_state_set(fx->store, key, &item, 1, NULL, &err));
	must(!err.maybe);
	event.state = test_text("{\"%sz\":1}", prefix);
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(fx->store, key, NULL, &event, 1, NULL, NULL, &err));
	must(!err.maybe);
	fx_must_have(fx->store, key, item.name, NULL);
}

static void N3_a_scope_holds_4_MiB_and_no_more(struct fx *fx)
{
	static const char *const prefixes[] = {"", "user:", "app:"};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int i = 0; i < 3; i++) {
		const char *prefix = prefixes[i];
		const struct convo_item swap[] = {{.name = test_text("%s1", prefix), .json = NULL},
						  {.name = test_text("%snew", prefix),
						   .json = "12345"}};

		size_fill_scope(fx, &key, prefix);
		size_must_be_full(fx, &key, prefix);
		/* what becomes smaller makes room, and replacing counts once */
		fx_set(fx->store, &key, test_text("%s0", prefix), "1");
		fx_set(fx->store, &key, test_text("%sn", prefix), "2");
		fx_set(fx->store, &key, test_text("%sn", prefix), "3");
		must_pass(convo_store_state_set(fx->store, &key, swap, 2, NULL, &err));
		fx_must_have(fx->store, &key, test_text("%s1", prefix), NULL);
		must_pass(convo_store_state_delete(fx->store, &key, test_text("%s2", prefix), NULL,
						   &err));
		must_pass(convo_store_state_delete(fx->store, &key, test_text("%s3", prefix), NULL,
						   &err));
		must_pass(convo_store_state_delete(fx->store, &key, test_text("%sn", prefix), NULL,
						   &err));
		must_pass(convo_store_state_delete(fx->store, &key, test_text("%snew", prefix),
						   NULL, &err));
		must_pass(convo_store_state_delete(fx->store, &key, test_text("%s0", prefix), NULL,
						   &err));
		size_fill_scope(fx, &key, prefix);
		size_must_be_full(fx, &key, prefix);
	}
	must_equal(0, fx_last_seq(fx->store, &key));
}

static void N3_a_first_state_beyond_the_limit_creates_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *value = fx_json_of(CONVO_MAX_VALUE - 1);
	struct convo_item items[5];
	struct convo_create create = {.state = items, .state_count = 5};
	struct convo_err err;

	for (int i = 0; i < 5; i++)
		items[i] = (struct convo_item){.name = test_text("%d", i), .json = value};
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	fx_must_be_absent(fx->store, &key);
	create.state_count = 4;
	must_pass(convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	size_must_be_full(fx, &key, "");
	/* a scope that is full already keeps a new session out, too */
	size_fill_scope(fx, &key, "user:");
	items[0] = (struct convo_item){.name = "user:x", .json = "1"};
	create.state_count = 1;
	key.session = "other";
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	fx_must_be_absent(fx->store, &key);
	free(value);
}

/* The limit is of the sum after the call, so what it removes does not count. */
static void N3_a_delta_that_makes_room_may_fill_it(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char *state = malloc(CONVO_MAX_VALUE + 64), *value = fx_json_of(CONVO_MAX_VALUE - 1);
	struct convo_event event = fx_event(NULL, "x");
	struct convo_err err;

	must(state != NULL);
	fx_create(fx->store, &key);
	size_fill_scope(fx, &key, "");
	snprintf(state, CONVO_MAX_VALUE + 64, "{\"n\":%s,\"0\":null}", value);
	event.state = state;
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	fx_must_have(fx->store, &key, "0", NULL);
	fx_must_have(fx->store, &key, "n", value);
	size_must_be_full(fx, &key, "");
	free(state);
	free(value);
}

const struct contract_test contract_sizes[] = {
	CONTRACT_TEST(N3_an_event_of_4_MiB_is_stored),
	CONTRACT_TEST(N3_a_larger_event_is_too_big),
	CONTRACT_TEST(N3_a_batch_of_1000_events_is_stored),
	CONTRACT_TEST(N3_a_batch_of_no_events_is_refused),
	CONTRACT_TEST(N3_a_batch_of_16_MiB_is_stored_and_no_larger),
	CONTRACT_TEST(N3_a_value_of_1_MiB_is_stored_and_no_larger),
	CONTRACT_TEST(N3_a_scope_holds_4_MiB_and_no_more),
	CONTRACT_TEST(N3_a_first_state_beyond_the_limit_creates_nothing),
	CONTRACT_TEST(N3_a_delta_that_makes_room_may_fill_it),
	{0},
};
