/*
 * T2, T4: sessions that expire, and cleaning. Time passes by moving the clock.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

#define MINUTE_US (60 * SECOND_US)

static convo_store *life_open(struct fx *fx, int64_t ttl_us)
{
	const struct convo_store_options opts = {
		.ttl_ms = ttl_us / 1000, .clean_interval_ms = -1, .timeout_ms = 20000};

	return fx_open(fx, &opts);
}

static void T2_a_session_expires_after_its_last_write(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key key = fx_key(fx, "s"), kept = fx_key(fx, "kept");
	const struct convo_meta *meta;
	convo_state *state = NULL;
	convo_session *session;
	struct convo_err err;

	fx_create(store, &key);
	fx_say_state(store, &key, "{\"a\":1,\"user:a\":2,\"app:a\":3}");
	session = fx_load(store, &key);
	meta = convo_session_meta(session);
	must(meta->expires_ms - meta->updated_ms >= HOUR_US / 1000 - 1);
	must(meta->expires_ms - meta->updated_ms <= HOUR_US / 1000 + 1);
	convo_session_free(session);
	cv_clock_shift_us(30 * MINUTE_US);
	fx_create(store, &kept);
	cv_clock_shift_us(59 * MINUTE_US);
	must_equal(1, fx_last_seq(store, &key));
	must_equal(2, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	cv_clock_shift_us(61 * MINUTE_US);
	fx_must_be_absent(store, &key);
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	must_equal(0, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	fx_must_have(store, &key, "a", NULL);
	must_fail_with(CONVO_E_NOTFOUND, convo_store_state_list(&state, store, &key,
								CONVO_SCOPE_SESSION, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_rename(store, &key, "t", NULL, &err));
	fx_must_have(store, &key, "user:a", "2"); /* other scopes do not expire */
	fx_must_have(store, &key, "app:a", "3");
	must_equal(0, fx_last_seq(store, &kept));
}

/* Each kind of write, 40 minutes after the one before it. */
static void T2_every_write_prolongs_a_session(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(store, &key);
	cv_clock_shift_us(40 * MINUTE_US);
	fx_say(store, &key, "x");
	cv_clock_shift_us(80 * MINUTE_US);
	fx_set(store, &key, "n", "1");
	cv_clock_shift_us(120 * MINUTE_US);
	must_pass(convo_store_rename(store, &key, "t", NULL, &err));
	cv_clock_shift_us(160 * MINUTE_US);
	must_pass(convo_store_state_delete(store, &key, "n", NULL, &err));
	cv_clock_shift_us(200 * MINUTE_US);
	must_equal(1, fx_last_seq(store, &key));
	cv_clock_shift_us(221 * MINUTE_US);
	fx_must_be_absent(store, &key);
}

static void T2_what_is_no_write_does_not_prolong(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(fx_uuid(), "x");
	const struct convo_expect stale = {.check_seq = true, .after_seq = 5};
	struct convo_err err;

	fx_create(store, &key);
	must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
	cv_clock_shift_us(50 * MINUTE_US);
	convo_session_free(fx_load(store, &key));
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	fx_must_have(store, &key, "n", NULL);
	fx_set(store, &key, "user:n", "1");
	fx_set(store, &key, "app:n", "1");
	must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err)); /* a retry */
	must_fail_with(CONVO_E_EXISTS, convo_store_create(store, &key, NULL, NULL, NULL, &err));
	event = fx_event(NULL, "y");
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(store, &key, &stale, &event, 1, NULL, NULL, &err));
	must_fail_with(CONVO_E_EXISTS, convo_store_restore(store, &key, NULL, NULL, &err));
	cv_clock_shift_us(61 * MINUTE_US);
	fx_must_be_absent(store, &key);
}

static void T2_without_ttl_a_session_lives_for_ever(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;
	int64_t removed;

	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "x");
	cv_clock_shift_us(20 * 365 * DAY_US);
	must_pass(convo_store_clean(fx->store, &removed, NULL, &err));
	must_equal(1, fx_last_seq(fx->store, &key));
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

/* An expired name is free, cleaned or not, and cleaning then takes only the old life. */
static void T2_an_expired_name_can_be_used_again(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	for (int life = 0; life < 3; life++) {
		convo_session *session;
		size_t names;

		cv_clock_shift_us(life * 2 * HOUR_US);
		fx_create(store, &key);
		must_equal(1, fx_say_state(store, &key, test_text("{\"life%d\":1}", life)));
		must_pass(convo_store_clean(store, NULL, NULL, &err));
		session = fx_load(store, &key);
		fx_must_run(session, 1, 1);
		test_state(session, &names);
		must_equal(1, names);
		convo_session_free(session);
		must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	}
}

/* ---- T4 --------------------------------------------------------------------------------- */

/* Where the server removes what expired, nobody counts. */
static void clean_must_remove(const struct fx *fx, convo_store *store, int64_t want)
{
	struct convo_err err;
	int64_t removed = -1;

	must_pass(convo_store_clean(store, &removed, NULL, &err));
	if (fx->contract->server_cleans)
		must(removed >= 0);
	else
		must_equal(want, removed);
}

/* What other tests left in a shared database. */
static void clean_sweep(convo_store *store)
{
	struct convo_err err;

	must_pass(convo_store_clean(store, NULL, NULL, &err));
}

/* Leave nothing behind that a later test, or a later run, would count. */
static void clean_leave(convo_store *store, int days)
{
	cv_clock_shift_us(days * DAY_US);
	clean_sweep(store);
}

static void T4_cleaning_removes_what_expired(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key live = fx_key(fx, "live"), deleted = fx_key(fx, "deleted");
	struct convo_err err;

	cv_clock_shift_us(200 * DAY_US);
	clean_sweep(store);
	clean_must_remove(fx, store, 0);
	for (int i = 0; i < 10; i++) {
		struct convo_key key = fx_key(fx, test_text("s%d", i));

		fx_create(store, &key);
		fx_say_state(store, &key, "{\"n\":1,\"user:n\":1}");
	}
	fx_create(store, &deleted);
	must_pass(convo_store_delete(store, &deleted, NULL, &err));
	cv_clock_shift_us(200 * DAY_US + 90 * MINUTE_US);
	fx_create(store, &live);
	fx_say(store, &live, "x");
	clean_must_remove(fx, store, 10);
	clean_must_remove(fx, store, 0);
	must_equal(1, fx_last_seq(store, &live));
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	fx_must_have(store, &live, "user:n", "1");
	clean_leave(store, 250);
}

static void T4_cleaning_removes_old_trash(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	cv_clock_shift_us(300 * DAY_US);
	clean_sweep(fx->store);
	for (int i = 0; i < 5; i++) { /* five lives of one name, a day apart */
		cv_clock_shift_us((300 + i) * DAY_US);
		fx_create(fx->store, &key);
		fx_say_n(fx->store, &key, 3);
		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	}
	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "lives");
	clean_must_remove(fx, fx->store, 0);
	cv_clock_shift_us(309 * DAY_US - HOUR_US); /* the first two are over */
	clean_must_remove(fx, fx->store, 2);
	must_equal(3, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	cv_clock_shift_us(330 * DAY_US);
	clean_must_remove(fx, fx->store, 3);
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	must_equal(1, fx_last_seq(fx->store, &key));
	clean_leave(fx->store, 350);
}

/* More than one step, in sessions and in the events of one. */
static void clean_fill(struct fx *fx, convo_store *store, int sessions)
{
	struct convo_key big = fx_key(fx, "big");
	struct convo_event *events = calloc(1000, sizeof(*events));
	struct convo_err err;

	must(events != NULL);
	for (int i = 0; i < 1000; i++)
		events[i] = fx_event(NULL, "x");
	fx_create(store, &big);
	for (int i = 0; i < 6; i++)
		must_pass(convo_store_append(store, &big, NULL, events, 1000, NULL, NULL, &err));
	free(events);
	for (int i = 0; i < sessions; i++) {
		char name[32];
		struct convo_key key = {fx->app, "u", name};

		snprintf(name, sizeof(name), "s%d", i);
		fx_create(store, &key);
	}
}

static void T4_cleaning_does_more_than_one_step(struct fx *fx)
{
	convo_store *store = life_open(fx, HOUR_US);
	struct convo_key live = fx_key(fx, "live");

	cv_clock_shift_us(400 * DAY_US);
	clean_sweep(store);
	clean_fill(fx, store, 1500);
	cv_clock_shift_us(400 * DAY_US + 90 * MINUTE_US);
	fx_create(store, &live);
	clean_must_remove(fx, store, 1501);
	clean_must_remove(fx, store, 0);
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
	fx_must_be_absent(store, &(struct convo_key){fx->app, "u", "big"});
	clean_leave(store, 450);
}

struct cleaners {
	struct fx *fx;
	convo_store *store[2];
	_Atomic int64_t removed;
};

/* Two clean while two write sessions of their own, which none of it harms. */
static void clean_run(void *ctx, int index)
{
	struct cleaners *c = ctx;
	struct convo_key key = fx_key(c->fx, test_text("live%d", index));
	struct convo_err err;

	if (index < 2) {
		int64_t removed = 0;

		must_pass(convo_store_clean(c->store[index], &removed, NULL, &err));
		atomic_fetch_add(&c->removed, removed);
		return;
	}
	fx_create(c->store[0], &key);
	for (int i = 1; i <= 50; i++)
		must_equal(i, fx_say(c->store[0], &key, "x"));
}

static void T4_two_cleaners_at_once_do_no_harm(struct fx *fx)
{
	struct cleaners c = {.fx = fx};

	c.store[0] = life_open(fx, HOUR_US);
	c.store[1] = fx->contract->shared ? life_open(fx, HOUR_US) : c.store[0];
	cv_clock_shift_us(500 * DAY_US);
	clean_sweep(c.store[0]);
	clean_fill(fx, c.store[0], 500);
	cv_clock_shift_us(500 * DAY_US + 90 * MINUTE_US);
	test_threads(4, clean_run, &c);
	clean_sweep(c.store[0]);
	if (fx->contract->counts_short)
		must(atomic_load(&c.removed) <= 501);
	else if (!fx->contract->server_cleans)
		must_equal(501, atomic_load(&c.removed));
	must_equal(2, fx_count(c.store[0], fx->app, "u", CONVO_LIST_LIVE));
	must_equal(50, fx_last_seq(c.store[0], &(struct convo_key){fx->app, "u", "live2"}));
	must_equal(50, fx_last_seq(c.store[0], &(struct convo_key){fx->app, "u", "live3"}));
	clean_leave(c.store[0], 550);
}

const struct contract_test contract_lifetime[] = {
	CONTRACT_TEST(T2_a_session_expires_after_its_last_write),
	CONTRACT_TEST(T2_every_write_prolongs_a_session),
	CONTRACT_TEST(T2_what_is_no_write_does_not_prolong),
	CONTRACT_TEST(T2_without_ttl_a_session_lives_for_ever),
	CONTRACT_TEST(T2_an_expired_name_can_be_used_again),
	CONTRACT_TEST(T4_cleaning_removes_what_expired),
	CONTRACT_TEST(T4_cleaning_removes_old_trash),
	CONTRACT_TEST(T4_cleaning_does_more_than_one_step),
	CONTRACT_TEST(T4_two_cleaners_at_once_do_no_harm),
	{0},
};
