/*
 * L2: the bounds of one call.
 */
#include "contract.h"

/* Make every call with these bounds; each gives `want`. */
static void call_all(struct fx *fx, const struct convo_call *call, int want)
{
	struct convo_key key = fx_key(fx, "s"), fresh = fx_key(fx, "fresh");
	const struct convo_item item = {.name = "n", .json = "2"};
	struct convo_event event = fx_event(NULL, "not said");
	const struct convo_event *read = NULL;
	convo_session *session = NULL;
	convo_cursor *cursor = NULL;
	convo_reader *reader = NULL;
	convo_state *state = NULL;
	int64_t seq = -9;
	char *json = NULL;
	struct convo_err err;
	size_t count = 77;

	must_pass(convo_cursor_new(&cursor, fx->app, "u", CONVO_LIST_LIVE, &err));
	must_pass(convo_reader_new(&reader, &key, NULL, &err));
	must_fail_with(want, convo_store_create(fx->store, &fresh, NULL, NULL, call, &err));
	must_fail_with(want, convo_store_load(&session, fx->store, &key, NULL, call, &err));
	must_fail_with(want, convo_store_read(&read, fx->store, reader, call, &err));
	must_fail_with(want, convo_store_rename(fx->store, &key, "t", call, &err));
	must_fail_with(want, convo_store_list(fx->store, cursor, 10, &count, call, &err));
	must_fail_with(want,
		       convo_store_append(fx->store, &key, NULL, &event, 1, &seq, call, &err));
	must(!err.maybe);
	must_fail_with(want, convo_store_state_get(&json, fx->store, &key, "n", call, &err));
	must_fail_with(want, convo_store_state_set(fx->store, &key, &item, 1, call, &err));
	must_fail_with(want, convo_store_state_delete(fx->store, &key, "n", call, &err));
	must_fail_with(want, convo_store_state_list(&state, fx->store, &key, CONVO_SCOPE_SESSION,
						    call, &err));
	must_fail_with(want, convo_store_delete(fx->store, &key, call, &err));
	must_fail_with(want, convo_store_restore(fx->store, &key, NULL, call, &err));
	must_fail_with(want, convo_store_purge(fx->store, &key, NULL, call, &err));
	must_fail_with(want, convo_store_clean(fx->store, NULL, call, &err));
	must(!session && !read && !json && !state && seq == -9 && count == 77);
	convo_cursor_free(cursor);
	convo_reader_free(reader);
}

/* The session is as it was made: one event, n = 1, no title. */
static void call_made(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	fx_say_state(fx->store, &key, "{\"n\":1}");
}

static void call_must_be_untouched(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), fresh = fx_key(fx, "fresh");
	convo_session *session = fx_load(fx->store, &key);

	must_equal(1, convo_session_count(session));
	must_equal_str("", convo_session_meta(session)->title);
	convo_session_free(session);
	fx_must_have(fx->store, &key, "n", "1");
	fx_must_be_absent(fx->store, &fresh);
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
}

static void L2_a_call_that_was_canceled_before_does_nothing(struct fx *fx)
{
	struct convo_call call = {0};
	struct convo_err err;

	must_pass(convo_cancel_new(&call.cancel, &err));
	call_made(fx);
	convo_cancel_request(call.cancel);
	call_all(fx, &call, CONVO_E_CANCELED);
	convo_cancel_reset(call.cancel);
	call_must_be_untouched(fx);
	convo_cancel_free(call.cancel);
}

static void L2_bounds_that_make_no_sense_are_refused(struct fx *fx)
{
	static const struct convo_call bad[] = {
		{.timeout_ms = -1},        {.timeout_ms = CONVO_MAX_DURATION + 1},
		{.timeout_ms = INT64_MIN}, {.reserved = {"x"}},
		{.reserved = {[3] = "x"}},
	};

	call_made(fx);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		call_all(fx, &bad[i], CONVO_E_INVALID);
	call_must_be_untouched(fx);
}

/* A bound that is not reached is not noticed, nor is a cancel that nobody asks for. */
static void L2_a_call_within_its_bounds_is_like_any(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "said");
	struct convo_call call = {.timeout_ms = CONVO_MAX_DURATION};
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_cancel_new(&call.cancel, &err));
	must_pass(convo_store_create(fx->store, &key, NULL, NULL, &call, &err));
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, NULL, &call, &err));
	must_pass(convo_store_load(&session, fx->store, &key, NULL, &call, &err));
	must_equal(1, convo_session_count(session));
	convo_session_free(session);
	must_pass(convo_store_delete(fx->store, &key, &call, &err));
	must_pass(convo_store_restore(fx->store, &key, NULL, &call, &err));
	must_pass(convo_store_clean(fx->store, NULL, &call, &err));
	convo_cancel_free(call.cancel);
}

const struct contract_test contract_calls[] = {
	CONTRACT_TEST(L2_a_call_that_was_canceled_before_does_nothing),
	CONTRACT_TEST(L2_bounds_that_make_no_sense_are_refused),
	CONTRACT_TEST(L2_a_call_within_its_bounds_is_like_any),
	{0},
};
