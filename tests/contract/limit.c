/*
 * A5: the event limit.
 */
#include "contract.h"

#include <stdio.h>

static struct convo_store_options limit_options(int64_t limit)
{
	return (struct convo_store_options){.event_limit = limit, .clean_interval_ms = -1};
}

static convo_store *limit_open(struct fx *fx, int64_t limit)
{
	const struct convo_store_options opts = limit_options(limit);

	return fx_open(fx, &opts);
}

static void limit_batch(convo_store *store, const struct convo_key *key, const char *const *ids,
			size_t n, int64_t *seqs)
{
	struct convo_event events[32];
	struct convo_err err;

	for (size_t i = 0; i < n; i++)
		events[i] = fx_event(ids ? ids[i] : NULL, test_text("%zu", i));
	must_pass(convo_store_append(store, key, NULL, events, n, seqs, NULL, &err));
}

static void limit_must_show(convo_store *store, const struct convo_key *key, int64_t first,
			    int64_t last)
{
	convo_session *session = fx_load(store, key);
	const struct convo_meta *meta = convo_session_meta(session);

	fx_must_run(session, first, (size_t)(last - first + 1));
	must_equal(last - first + 1, meta->count);
	must_equal(last, meta->last_seq);
	convo_session_free(session);
}

static void A5_the_oldest_go_as_new_ones_come(struct fx *fx)
{
	convo_store *store = limit_open(fx, 3);
	struct convo_key key = fx_key(fx, "s");

	fx_create(store, &key);
	for (int64_t seq = 1; seq <= 10; seq++) {
		must_equal(seq, fx_say(store, &key, "x")); /* numbers go on */
		limit_must_show(store, &key, seq > 3 ? seq - 2 : 1, seq);
	}
}

static void A5_a_limit_of_1_keeps_the_newest(struct fx *fx)
{
	convo_store *store = limit_open(fx, 1);
	struct convo_key key = fx_key(fx, "s");

	fx_create(store, &key);
	for (int64_t seq = 1; seq <= 4; seq++) {
		fx_say(store, &key, "x");
		limit_must_show(store, &key, seq, seq);
	}
}

static void A5_batches_of_every_size_keep_the_newest(struct fx *fx)
{
	convo_store *store = limit_open(fx, 5);

	for (size_t batch = 1; batch <= 12; batch++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", batch));
		int64_t last = 0;

		fx_create(store, &key);
		for (int i = 0; i < 4; i++) {
			limit_batch(store, &key, NULL, batch, NULL);
			last += (int64_t)batch;
			limit_must_show(store, &key, last > 5 ? last - 4 : 1, last);
		}
	}
}

static void A5_a_batch_beyond_the_limit_may_be_retried(struct fx *fx)
{
	convo_store *store = limit_open(fx, 2);
	struct convo_key key = fx_key(fx, "s");
	const char *ids[10];
	int64_t first[10], again[10];

	for (int i = 0; i < 10; i++)
		ids[i] = fx_uuid();
	fx_create(store, &key);
	fx_say_n(store, &key, 3);
	limit_batch(store, &key, ids, 10, first);
	limit_batch(store, &key, ids, 10, again);
	for (int i = 0; i < 10; i++) {
		must_equal(4 + i, first[i]);
		must_equal(first[i], again[i]);
	}
	limit_must_show(store, &key, 12, 13);
}

static void A5_the_state_of_events_that_went_stays(struct fx *fx)
{
	convo_store *store = limit_open(fx, 1);
	struct convo_key key = fx_key(fx, "s");

	fx_create(store, &key);
	fx_say_state(store, &key, "{\"a\":1,\"user:a\":2,\"app:a\":3}");
	fx_say_n(store, &key, 3);
	fx_must_have(store, &key, "a", "1");
	fx_must_have(store, &key, "user:a", "2");
	fx_must_have(store, &key, "app:a", "3");
}

static void A5_expectations_count_all_that_came(struct fx *fx)
{
	convo_store *store = limit_open(fx, 2);
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "x");
	struct convo_expect expect = {.check_seq = true, .after_seq = 2};
	struct convo_err err;

	fx_create(store, &key);
	fx_say_n(store, &key, 5);
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, &err));
	must_equal(5, err.last_seq);
	expect.after_seq = 5;
	must_pass(convo_store_append(store, &key, &expect, &event, 1, NULL, NULL, &err));
}

static void A5_lists_count_what_a_session_shows(struct fx *fx)
{
	convo_store *store = limit_open(fx, 3);
	struct convo_key key = fx_key(fx, "s");
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t count;

	fx_create(store, &key);
	limit_batch(store, &key, NULL, 8, NULL); /* all 8 may be in storage */
	must_pass(convo_cursor_new(&cursor, fx->app, "u", CONVO_LIST_LIVE, &err));
	must_pass(test_list(store, cursor, 10, &metas, &count, &err));
	must_equal(1, count);
	must_equal(3, metas[0].count);
	must_equal(8, metas[0].last_seq);
	convo_cursor_free(cursor);
}

/* What storage keeps shows to a handle without a limit: n, and at most one batch more. */
static void A5_storage_keeps_at_most_a_batch_more(struct fx *fx)
{
	convo_store *store = limit_open(fx, 4);
	struct convo_key key = fx_key(fx, "s");
	int64_t last = 0;

	fx_create(store, &key);
	for (size_t batch = 1; batch <= 9; batch++) {
		convo_session *session;
		size_t count;

		limit_batch(store, &key, NULL, batch, NULL);
		last += (int64_t)batch;
		session = fx_load(fx->store, &key);
		test_events(session, &count);
		must(count <= 4 + batch);
		must(count >= batch);
		fx_must_run(session, last - (int64_t)count + 1, count);
		convo_session_free(session);
	}
}

struct trimmers {
	struct fx *fx;
	convo_store *store;
};

static void limit_run(void *ctx, int index)
{
	struct trimmers *t = ctx;
	struct convo_key key = fx_key(t->fx, "s");

	for (int i = 0; i < 30; i++) {
		limit_batch(t->store, &key, NULL, (size_t)(1 + (index + i) % 3), NULL);
		if (index == 0) {
			convo_session *session = fx_load(t->store, &key);
			int64_t last = convo_session_meta(session)->last_seq;

			fx_must_run(session, last > 4 ? last - 3 : 1, last > 4 ? 4 : (size_t)last);
			convo_session_free(session);
		}
	}
}

static void A5_the_limit_holds_while_many_write(struct fx *fx)
{
	struct trimmers t = {.fx = fx, .store = limit_open(fx, 4)};
	struct convo_key key = fx_key(fx, "s");

	fx_create(t.store, &key);
	test_threads(5, limit_run, &t);
	limit_must_show(t.store, &key, 300 - 3, 300);
}

const struct contract_test contract_limit[] = {
	CONTRACT_TEST(A5_the_oldest_go_as_new_ones_come),
	CONTRACT_TEST(A5_a_limit_of_1_keeps_the_newest),
	CONTRACT_TEST(A5_batches_of_every_size_keep_the_newest),
	CONTRACT_TEST(A5_a_batch_beyond_the_limit_may_be_retried),
	CONTRACT_TEST(A5_the_state_of_events_that_went_stays),
	CONTRACT_TEST(A5_expectations_count_all_that_came),
	CONTRACT_TEST(A5_lists_count_what_a_session_shows),
	CONTRACT_TEST_IF(A5_storage_keeps_at_most_a_batch_more, NEEDS_SHARED),
	CONTRACT_TEST(A5_the_limit_holds_while_many_write),
	{0},
};
