/*
 * R2: drafts that are saved together, and what is checked of one that grows.
 */
#include "contract.h"

#include <stdio.h>
#include <time.h>

#define MANY 260 /* more than the store gets at once */

/* A turn: a session that is held. */
struct turn {
	struct convo_key key;
	convo_lease *lease;
	const char *id;
	struct convo_event event;
};

static convo_lease *lease_of(int64_t ms)
{
	const struct convo_lease_options opts = {.ms = ms};
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, &opts, &err));
	return lease;
}

static int hold(convo_store *store, const struct turn *turn, enum convo_hold what,
		struct convo_err *err)
{
	const struct convo_expect expect = {.lease = turn->lease, .hold = what};

	return convo_store_append(store, &turn->key, &expect, NULL, 0, NULL, NULL, err);
}

static void turn_begin(struct fx *fx, struct turn *turn, const char *session)
{
	struct convo_err err;

	*turn = (struct turn){.key = fx_key(fx, session), .lease = lease_of(0), .id = fx_uuid()};
	fx_create(fx->store, &turn->key);
	must_pass(hold(fx->store, turn, CONVO_HOLD_TAKE, &err));
}

/* Its draft as a member of a call; `message` is borrowed, NULL: there is nothing new. */
static struct convo_draft says(struct turn *turn, const char *message)
{
	turn->event = (struct convo_event){
		.id = turn->id, .turn = "t1", .model = "m", .message = message};
	return (struct convo_draft){.key = &turn->key,
				    .lease = turn->lease,
				    .event = message ? &turn->event : NULL,
				    .code = 1};
}

static void must_have_draft(convo_store *store, const struct turn *turn, const char *message)
{
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	const struct convo_event *got;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &turn->key, &window, NULL, &err));
	got = convo_session_draft(session);
	must(!got == !message);
	if (got) {
		must_equal_str(turn->id, got->id);
		must(json_same(message, got->message));
		must_equal_str("assistant", got->role);
		must_equal_str("t1", got->turn);
		must_equal_str("m", got->model);
	}
	convo_session_free(session);
}

static void R2_drafts_of_many_turns_are_saved_together(struct fx *fx)
{
	struct turn *turn = calloc(MANY, sizeof(*turn));
	struct convo_draft *drafts = calloc(MANY, sizeof(*drafts));
	struct convo_err err;

	must(turn && drafts);
	for (size_t i = 0; i < MANY; i++)
		turn_begin(fx, &turn[i], test_text("s%zu", i));
	for (size_t round = 1; round <= 3; round++) {
		for (size_t i = 0; i < MANY;
		     i++) /* each of its own, as long as the round is late */
			drafts[i] =
				says(&turn[i],
				     test_text("{\"role\":\"assistant\",\"content\":\"%zu %.*s\"}",
					       i, (int)(8 * round), "one two three four five six"));
		must_pass(convo_store_drafts(fx->store, drafts, MANY, NULL, &err));
		for (size_t i = 0; i < MANY; i++)
			must_equal(0, drafts[i].code);
	}
	for (size_t i = 0; i < MANY; i += 13)
		must_have_draft(fx->store, &turn[i], turn[i].event.message);
	must_have_draft(fx->store, &turn[MANY - 1], turn[MANY - 1].event.message);
	must_equal(0, fx_last_seq(fx->store, &turn[0].key));
	must_pass(convo_store_drafts(fx->store, NULL, 0, NULL, &err));
	for (size_t i = 0; i < MANY; i++)
		convo_lease_free(turn[i].lease);
	free(turn);
	free(drafts);
}

enum { FINE, FENCED, ABSENT, NEVER, ENDED, BROKEN, LARGE, NO_LEASE, TWICE, ANEW, FINE_TOO, CASES };

static void R2_of_drafts_saved_together_each_is_refused_for_itself(struct fx *fx)
{
	static const char *const so_far = "{\"role\":\"assistant\",\"content\":\"so far\"}";
	static const char *const more = "{\"role\":\"assistant\",\"content\":\"so far, so good\"}";
	static const int codes[CASES] = {[FENCED] = CONVO_E_CONFLICT,  [ABSENT] = CONVO_E_NOTFOUND,
					 [NEVER] = CONVO_E_CONFLICT,   [ENDED] = CONVO_E_CONFLICT,
					 [BROKEN] = CONVO_E_INVALID,   [LARGE] = CONVO_E_TOOBIG,
					 [NO_LEASE] = CONVO_E_INVALID, [TWICE] = CONVO_E_INVALID};
	char *large = fx_message_of(CONVO_MAX_DRAFT + 1);
	struct convo_draft drafts[CASES];
	struct turn turn[CASES], other;
	struct convo_err err;
	int i;

	for (i = 0; i < CASES; i++) {
		turn_begin(fx, &turn[i], test_text("s%d", i));
		drafts[i] = says(&turn[i], so_far);
	}
	must_pass(convo_store_drafts(fx->store, drafts, CASES, NULL, &err));
	other = turn[FENCED];
	other.lease = lease_of(0);
	must_fail_with(CONVO_E_BUSY, hold(fx->store, &other, CONVO_HOLD_TAKE, &err));
	must_pass(hold(fx->store, &other, CONVO_HOLD_FORCE, &err)); /* settles the draft */
	must_pass(convo_store_delete(fx->store, &turn[ABSENT].key, NULL, &err));
	must_pass(hold(fx->store, &turn[ENDED], CONVO_HOLD_END, &err));
	for (i = 0; i < CASES; i++)
		drafts[i] = says(&turn[i], more);
	drafts[NEVER].lease = lease_of(0);
	turn[BROKEN].event.message = "{\"role\":\"assistant\",\"content\":\"so far\\u00\"}";
	turn[LARGE].event.message = large;
	drafts[NO_LEASE].lease = NULL;
	drafts[TWICE] = drafts[FINE];
	turn[ANEW].event.message = "{\"role\":\"assistant\",\"content\":\"no, wait\"}";
	must_fail_with(CONVO_E_CONFLICT, convo_store_drafts(fx->store, drafts, CASES, NULL, &err));
	for (i = 0; i < CASES; i++) {
		if (drafts[i].code != codes[i])
			must_not_reach("draft %d: %d", i, drafts[i].code);
	}
	must_have_draft(fx->store, &turn[FINE], more);
	must_have_draft(fx->store, &turn[FINE_TOO], more);
	must_have_draft(fx->store, &turn[ANEW], turn[ANEW].event.message);
	must_have_draft(fx->store, &turn[FENCED], NULL);
	must_equal(1, fx_last_seq(fx->store, &turn[FENCED].key)); /* once, as it was */
	must_have_draft(fx->store, &turn[NEVER], so_far);
	must_have_draft(fx->store, &turn[ENDED], NULL);
	must_have_draft(fx->store, &turn[BROKEN], so_far);
	must_have_draft(fx->store, &turn[LARGE], so_far);
	convo_lease_free(drafts[NEVER].lease);
	convo_lease_free(other.lease);
	for (i = 0; i < CASES; i++)
		convo_lease_free(turn[i].lease);
	free(large);
}

static void R2_leases_are_prolonged_with_the_drafts_of_others(struct fx *fx)
{
	static const char *const so_far = "{\"role\":\"assistant\",\"content\":\"so far\"}";
	const struct timespec pause = {.tv_sec = 2};
	struct convo_draft drafts[3];
	struct turn turn[3], other;
	struct convo_err err;

	for (int i = 0; i < 3; i++) {
		turn_begin(fx, &turn[i], test_text("s%d", i));
		convo_lease_free(turn[i].lease);
		turn[i].lease = lease_of(3000);
		must_pass(hold(fx->store, &turn[i], CONVO_HOLD_FORCE, &err));
		drafts[i] = says(&turn[i], so_far);
	}
	must_pass(convo_store_drafts(fx->store, drafts, 3, NULL, &err));
	must_pass(hold(fx->store, &turn[2], CONVO_HOLD_END, &err));
	for (int round = 0; round < 2; round++) {
		nanosleep(&pause, NULL);
		for (int i = 1; i < 3; i++)
			drafts[i] = says(&turn[i], NULL);
		must_fail_with(CONVO_E_CONFLICT,
			       convo_store_drafts(fx->store, drafts, 3, NULL, &err));
		must_equal(0, drafts[0].code);
		must_equal(0, drafts[1].code);
		must_equal(CONVO_E_CONFLICT, drafts[2].code);
		must_pass(convo_store_drafts(fx->store, &drafts[1], 1, NULL, &err));
	}
	other = turn[1];
	other.lease = lease_of(0);
	must_fail_with(CONVO_E_BUSY, hold(fx->store, &other, CONVO_HOLD_TAKE, &err));
	must_have_draft(fx->store, &turn[1], so_far); /* it stays */
	convo_lease_free(other.lease);
	for (int i = 0; i < 3; i++)
		convo_lease_free(turn[i].lease);
}

static void R2_drafts_of_3_MiB_are_saved_together(struct fx *fx)
{
	char *large = fx_message_of(CONVO_MAX_DRAFT), *half = fx_message_of(CONVO_MAX_DRAFT / 2);
	const struct convo_call call = {.timeout_ms = 60000};
	struct convo_draft drafts[4];
	struct turn turn[4];
	struct convo_err err;

	memcpy(strstr(large, "user\""), "aide\"", 5);
	memcpy(strstr(half, "user\""), "aide\"", 5);
	for (int i = 0; i < 4; i++)
		turn_begin(fx, &turn[i], test_text("s%d", i));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			drafts[i] = says(&turn[i], i == round ? NULL : round ? large : half);
		must_pass(convo_store_drafts(fx->store, drafts, 4, &call, &err));
	}
	for (int i = 0; i < 4; i++) {
		const struct convo_window window = {.with = CONVO_WITH_DRAFT};
		convo_session *session = NULL;

		must_pass(
			convo_store_load(&session, fx->store, &turn[i].key, &window, &call, &err));
		must(json_same(i == 1 ? half : large, convo_session_draft(session)->message));
		convo_session_free(session);
		convo_lease_free(turn[i].lease);
	}
	free(large);
	free(half);
}

/* What has been checked is not checked again; what is more has to be. */
static void R2_what_a_draft_grows_by_is_checked(struct fx *fx)
{
	static const char *const grows[] = {
		"{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":\"\"}",
		"{\"role\":\"assistant\",\"reasoning_content\":\"hm, \\\"A\\\"\",\"content\":\"\"}",
		("{\"role\":\"assistant\",\"reasoning_content\":\"hm, "
		 "\\\"A\\\"\",\"content\":\"B\\\\\"}"),
	};
	static const char *const bad[] = {
		"%s\x80",    "%s\xc3",
		"%s\n",      "%s\\u0000",
		"%s\\ud800", "%s\\",
		"%s\\x",     "%s\\u12",
		"%s\"",      "%s\",",
		"%s\"}{\"",  "%s\",\"role\":\"",
		"%s\"}}",    "%s\",\"a\":[1,]}, \"b\":\"",
	};
	struct convo_draft draft;
	struct convo_err err;
	struct turn turn;

	turn_begin(fx, &turn, "s");
	for (size_t i = 0; i < sizeof(grows) / sizeof(grows[0]); i++) {
		const char *front = test_text("%.*s", (int)strlen(grows[i]) - 2, grows[i]);

		draft = says(&turn, grows[i]);
		must_pass(convo_store_drafts(fx->store, &draft, 1, NULL, &err));
		must_have_draft(fx->store, &turn, grows[i]);
		for (size_t j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			const char *grown = test_text("%s%s\"}", front, bad[j] + 2);

			draft = says(&turn, grown);
			if (convo_store_drafts(fx->store, &draft, 1, NULL, NULL) != CONVO_E_INVALID)
				must_not_reach("not refused: %s", grown);
		}
		must_have_draft(fx->store, &turn, grows[i]);
	}
	convo_lease_free(turn.lease);
}

static void hear(void *ctx, const struct convo_trace_call *call)
{
	struct convo_trace_call *sum = ctx;

	if (strcmp(call->op, "draft") != 0)
		return;
	sum->tries++;
	sum->round_trips += call->round_trips;
	sum->events += call->events;
}

static void P1_drafts_of_many_turns_take_as_many_round_trips_as_one(struct fx *fx)
{
	static const char *const grows[] = {"", "{\"role\":\"assistant\",\"content\":\"one\"}",
					    "{\"role\":\"assistant\",\"content\":\"one, two\"}",
					    "{\"role\":\"assistant\",\"content\":\"one, two, 3\"}"};
	struct convo_trace_call sum = {0}, one;
	const struct convo_trace trace = {.on_call = hear, .ctx = &sum};
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF, .trace = &trace};
	convo_store *store = fx_open(fx, &opts);
	struct convo_draft drafts[50];
	struct turn turn[50];
	struct convo_err err;

	for (size_t i = 0; i < 50; i++)
		turn_begin(fx, &turn[i], test_text("s%zu", i));
	for (int round = 1; round <= 3; round++) { /* the first prepare the statements */
		for (size_t i = 0; i < 50; i++)
			drafts[i] = says(&turn[i], grows[round]);
		sum = (struct convo_trace_call){0};
		must_pass(convo_store_drafts(store, drafts, 1, NULL, &err));
		one = sum;
		sum = (struct convo_trace_call){0};
		must_pass(convo_store_drafts(store, &drafts[1], 49, NULL, &err));
	}
	test_say("%lld round trips for one, %lld for 49", (long long)one.round_trips,
		 (long long)sum.round_trips);
	must_equal(1, sum.tries);
	must_equal(49, sum.events);
	must(sum.round_trips <= one.round_trips + 1);
	for (size_t i = 0; i < 50; i++)
		convo_lease_free(turn[i].lease);
}

const struct contract_test contract_drafts[] = {
	CONTRACT_TEST(R2_drafts_of_many_turns_are_saved_together),
	CONTRACT_TEST(R2_of_drafts_saved_together_each_is_refused_for_itself),
	CONTRACT_TEST(R2_leases_are_prolonged_with_the_drafts_of_others),
	CONTRACT_TEST(R2_drafts_of_3_MiB_are_saved_together),
	CONTRACT_TEST(R2_what_a_draft_grows_by_is_checked),
	CONTRACT_TEST_IF(P1_drafts_of_many_turns_take_as_many_round_trips_as_one, NEEDS_SHARED),
	{0},
};
