/*
 * S6: forks. E2: figures.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

static int fork_to(struct fx *fx, const struct convo_key *key, const char *to, int64_t upto_seq,
		   struct convo_created *made, struct convo_err *err)
{
	const struct convo_fork fork = {.session = to, .upto_seq = upto_seq};

	return convo_store_fork(fx->store, key, &fork, made, NULL, err);
}

/* Both have the same events from first to last, in every field. */
static void must_share(const convo_session *left, const convo_session *right, int64_t first,
		       int64_t last)
{
	const struct convo_event *a = test_events(left, NULL), *b = test_events(right, NULL);
	size_t i = 0, j = 0;

	for (int64_t seq = first; seq <= last; seq++) {
		while (a[i].seq < seq)
			i++;
		while (b[j].seq < seq)
			j++;
		must_equal(seq, a[i].seq);
		must_equal(seq, b[j].seq);
		must_equal_str(a[i].id, b[j].id);
		must_equal(a[i].time_ms, b[j].time_ms);
		must_equal(a[i].status, b[j].status);
		must_equal_str(a[i].author, b[j].author);
		must_equal_str(a[i].role, b[j].role);
		must_equal_str(a[i].turn, b[j].turn);
		must_equal_str(a[i].model, b[j].model);
		must_equal_str(a[i].finish_reason, b[j].finish_reason);
		must_equal_str(a[i].error, b[j].error);
		must(json_same(a[i].message, b[j].message));
		must(!a[i].usage == !b[j].usage);
		must(!a[i].usage || json_same(a[i].usage, b[j].usage));
		must(!a[i].state == !b[j].state);
		must(!a[i].state || json_same(a[i].state, b[j].state));
		must(!a[i].extra == !b[j].extra);
		must(!a[i].extra || json_same(a[i].extra, b[j].extra));
	}
}

static void say_all_fields(struct fx *fx, const struct convo_key *key)
{
	const struct convo_event event = {
		.author = "somebody",
		.turn = "turn",
		.status = CONVO_FAILED,
		.message = "{\"role\":\"assistant\",\"content\":\"\xe4\xb8\xad \\u0007\"}",
		.model = "model",
		.finish_reason = "stop",
		.error = "why",
		.usage = "{\"total\":3}",
		.state = "{\"x\":{\"y\":null},\"user:u\":1}",
		.extra = "{\"z\":[]}",
	};
	struct convo_err err;

	must_pass(convo_store_append(fx->store, key, NULL, &event, 1, NULL, NULL, &err));
}

static void S6_a_fork_has_what_the_source_had(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork");
	convo_session *source, *forked;
	struct convo_created made;
	const struct convo_meta *meta;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_store_rename(fx->store, &key, "a title", NULL, &err));
	fx_say_n(fx->store, &key, 3);
	say_all_fields(fx, &key);
	fx_set(fx->store, &key, "later", "[1,2]");
	must_pass(fork_to(fx, &key, "fork", 0, &made, &err));
	must_equal_str("fork", made.session);
	source = fx_load(fx->store, &key);
	forked = fx_load(fx->store, &to);
	meta = convo_session_meta(forked);
	fx_must_run(forked, 1, 4);
	must_share(source, forked, 1, 4);
	must_equal_str("a title", meta->title);
	must_equal_str(made.generation, meta->generation);
	must(strcmp(meta->generation, convo_session_meta(source)->generation) != 0);
	must_equal(4, meta->last_seq);
	must_equal_str("s", meta->fork_session);
	must_equal_str(convo_session_meta(source)->generation, meta->fork_generation);
	must_equal(4, meta->fork_seq);
	must_equal_str("", convo_session_meta(source)->fork_session);
	must_equal_str("", convo_session_meta(source)->fork_generation);
	must_equal(0, convo_session_meta(source)->fork_seq);
	must(json_same("[1,2]", convo_session_state_get(forked, "later")->json));
	must(json_same("{\"y\":null}", convo_session_state_get(forked, "x")->json));
	convo_session_free(source);
	convo_session_free(forked);
}

static void S6_a_fork_ends_at_a_seq_and_goes_on(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork");
	struct convo_event again;
	convo_session *source, *forked;
	struct convo_err err;
	int64_t seq = 0;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 9);
	must_pass(fork_to(fx, &key, "fork", 5, NULL, &err));
	must_equal(5, fx_last_seq(fx->store, &to));
	must_equal(6, fx_say(fx->store, &to, "of the fork"));
	must_equal(10, fx_say(fx->store, &key, "of the source"));
	source = fx_load(fx->store, &key);
	forked = fx_load(fx->store, &to);
	fx_must_run(source, 1, 10);
	fx_must_run(forked, 1, 6);
	must_share(source, forked, 1, 5);
	must_equal(5, convo_session_meta(forked)->fork_seq);
	again = fx_event(test_events(forked, NULL)[2].id, "said again");
	must_pass(convo_store_append(fx->store, &to, NULL, &again, 1, &seq, NULL, &err));
	must_equal(3, seq); /* A2 */
	again = fx_event(test_events(source, NULL)[7].id, "not in the fork");
	must_pass(convo_store_append(fx->store, &to, NULL, &again, 1, &seq, NULL, &err));
	must_equal(7, seq);
	convo_session_free(source);
	convo_session_free(forked);
}

static void S6_the_end_of_the_source_is_not_that_of_the_fork(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork"),
			 third = fx_key(fx, "third");
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	say_all_fields(fx, &key);
	fx_say_n(fx->store, &key, 20);
	must_pass(fork_to(fx, &key, "fork", 12, NULL, &err));
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	must_pass(fork_to(fx, &to, "third", 0, NULL, &err));
	must_pass(convo_store_delete(fx->store, &to, NULL, &err));
	must_pass(convo_store_purge(fx->store, &to, NULL, NULL, &err));
	session = fx_load(fx->store, &third);
	fx_must_run(session, 1, 12);
	must(json_same("{\"y\":null}", convo_session_state_get(session, "x")->json));
	must_equal_str("fork", convo_session_meta(session)->fork_session);
	convo_session_free(session);
}

static void S6_names_obey_S1(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), absent = fx_key(fx, "absent");
	struct convo_created made;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "one");
	must_fail_with(CONVO_E_EXISTS, fork_to(fx, &key, "s", 0, NULL, &err));
	must_pass(fork_to(fx, &key, "fork", 0, NULL, &err));
	must_fail_with(CONVO_E_EXISTS, fork_to(fx, &key, "fork", 0, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, fork_to(fx, &absent, "fork", 0, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, fork_to(fx, &absent, "other", 0, NULL, &err));
	must_fail_with(CONVO_E_INVALID, fork_to(fx, &key, "a\nb", 0, NULL, &err));
	must_fail_with(CONVO_E_INVALID, fork_to(fx, &key, "other", -1, NULL, &err));
	must_pass(convo_store_fork(fx->store, &key, NULL, &made, NULL, &err));
	must_equal(36, strlen(made.session));
	must_equal(3, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
	fx_must_be_absent(fx->store, &absent);
}

static void S6_an_empty_session_forks(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork");
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(fork_to(fx, &key, "fork", 7, NULL, &err));
	must_equal(0, fx_last_seq(fx->store, &to));
	must_equal(1, fx_say(fx->store, &to, "one"));
}

static void S6_limit_and_ttl_are_the_handles(struct fx *fx)
{
	const struct convo_store_options opts = {
		.clean_interval_ms = -1, .event_limit = 4, .ttl_ms = 3600000};
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork");
	const struct convo_fork fork = {.session = "fork", .upto_seq = 9};
	convo_store *small = fx_open(fx, &opts);
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 10);
	must_pass(convo_store_fork(small, &key, &fork, NULL, NULL, &err));
	session = fx_load(small, &to);
	must_equal(9, convo_session_meta(session)->last_seq);
	must(convo_session_count(session) <= 4);
	must_equal(9, test_events(session, NULL)[convo_session_count(session) - 1].seq);
	must(convo_session_meta(session)->expires_ms > 0);
	convo_session_free(session);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, 10);
	must_equal(0, convo_session_meta(session)->expires_ms);
	convo_session_free(session);
}

static void S6_what_the_limit_took_is_not_there(struct fx *fx)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1, .event_limit = 3};
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork"),
			 early = fx_key(fx, "early");
	const struct convo_fork all = {.session = "fork"};
	const struct convo_fork before = {.session = "early", .upto_seq = 2};
	convo_store *small = fx_open(fx, &opts);
	convo_session *session;
	struct convo_err err;

	fx_create(small, &key);
	fx_say_n(small, &key, 8);
	must_pass(convo_store_fork(small, &key, &all, NULL, NULL, &err));
	session = fx_load(small, &to);
	fx_must_run(session, 6, 3);
	convo_session_free(session);
	must_equal(9, fx_say(small, &to, "on"));
	must_pass(convo_store_fork(small, &key, &before, NULL, NULL, &err));
	session = fx_load(small, &early);
	must_equal(0, convo_session_count(session));
	must_equal(2, convo_session_meta(session)->last_seq);
	convo_session_free(session);
	must_equal(3, fx_say(small, &early, "on"));
}

static void S6_a_fork_has_no_lease(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), to = fx_key(fx, "fork");
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	const struct convo_event question = fx_event(NULL, "question");
	const struct convo_event so_far = {.id = fx_uuid(), .message = question.message};
	convo_session *session = NULL;
	convo_lease *lease = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	must_pass(convo_lease_new(&lease, NULL, &err));
	must_pass(convo_store_append(
		fx->store, &key, &(struct convo_expect){.lease = lease, .hold = CONVO_HOLD_TAKE},
		&question, 1, NULL, NULL, &err));
	must_pass(convo_store_draft(fx->store, &key, lease, &so_far, NULL, &err));
	must_pass(fork_to(fx, &key, "fork", 0, NULL, &err));
	must_pass(convo_store_load(&session, fx->store, &to, &window, NULL, &err));
	must_equal(0, convo_session_meta(session)->held_ms);
	must(convo_session_draft(session) == NULL);
	fx_must_run(session, 1, 1);
	convo_session_free(session);
	convo_lease_free(lease);
}

struct forkers {
	struct fx *fx;
	struct convo_key key;
	atomic_bool done;
};

/* The first writes, the others fork: each fork is a beginning of the whole. */
static void fork_run(void *ctx, int index)
{
	struct forkers *forkers = ctx;
	struct fx *fx = forkers->fx;
	struct convo_err err;

	if (index == 0) {
		for (int i = 0; i < 60; i++)
			fx_say_state(fx->store, &forkers->key, test_text("{\"n\":%d}", i + 1));
		atomic_store(&forkers->done, true);
		return;
	}
	for (int i = 0; !atomic_load(&forkers->done) && i < 30; i++) {
		struct convo_key to = fx_key(fx, test_text("fork %d %d", index, i));
		const struct convo_item *n;
		convo_session *session;
		int64_t last;

		must_pass(fork_to(fx, &forkers->key, to.session, 0, NULL, &err));
		session = fx_load(fx->store, &to);
		last = convo_session_meta(session)->last_seq;
		fx_must_run(session, 1, (size_t)last);
		n = convo_session_state_get(session, "n"); /* one moment (S2) */
		must_equal(last, n ? atoll(n->json) : 0);
		convo_session_free(session);
	}
}

static void S6_a_fork_is_of_one_moment(struct fx *fx)
{
	struct forkers forkers = {.fx = fx, .key = fx_key(fx, "s")};

	fx_create(fx->store, &forkers.key);
	test_threads(4, fork_run, &forkers);
}

static void race_fork(void *ctx, int index)
{
	struct forkers *forkers = ctx;
	struct convo_err err;
	int rc = fork_to(forkers->fx, &forkers->key, "fork", 0, NULL, &err);

	(void)index;
	must(rc == 0 || rc == CONVO_E_EXISTS);
	if (rc == 0)
		must(!atomic_exchange(&forkers->done, true));
}

static void S6_of_many_forks_of_one_name_one_wins(struct fx *fx)
{
	struct forkers forkers = {.fx = fx, .key = fx_key(fx, "s")};

	fx_create(fx->store, &forkers.key);
	fx_say_n(fx->store, &forkers.key, 3);
	test_threads(8, race_fork, &forkers);
	must(atomic_load(&forkers.done));
}

/* ---- E2 --------------------------------------------------------------------------------- */

static void E2_figures_are_those_of_who_was_asked_for(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), gone = fx_key(fx, "gone");
	struct convo_key other = {fx->app, "other", "s"};
	struct convo_stats stats, before;
	struct convo_err err;

	must_pass(convo_store_stats(fx->store, fx->app, "u", &stats, NULL, &err));
	must(!stats.sessions && !stats.events && !stats.bytes && !stats.trash && !stats.users);
	must(!stats.partial);
	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 5);
	fx_create(fx->store, &other);
	fx_say_n(fx->store, &other, 2);
	fx_create(fx->store, &gone);
	fx_say(fx->store, &gone, "to the trash");
	must_pass(convo_store_delete(fx->store, &gone, NULL, &err));
	must_pass(convo_store_stats(fx->store, fx->app, "u", &stats, NULL, &err));
	must_equal(1, stats.sessions);
	must_equal(1, stats.active_hour);
	must_equal(1, stats.active_day);
	must_equal(1, stats.active_week);
	must_equal(1, stats.trash);
	must_equal(1, stats.users);
	must_equal(5, stats.events);
	must(stats.bytes >= (int64_t)(5 * strlen("{\"role\":\"user\",\"content\":\"event 0\"}")));
	before = stats;
	must_pass(convo_store_stats(fx->store, fx->app, NULL, &stats, NULL, &err));
	must_equal(2, stats.sessions);
	must_equal(2, stats.users);
	must_equal(7, stats.events);
	must_equal(1, stats.trash);
	must(stats.bytes > before.bytes);
	/* Over all that is in the store, which may be more than can be counted in time. */
	must_pass(convo_store_stats(fx->store, NULL, NULL, &stats, NULL, &err));
	must(stats.partial || (stats.sessions >= 2 && stats.events >= 7));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_stats(fx->store, NULL, "u", &stats, NULL, &err));
}

static void E2_activity_grows_old(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_stats stats;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "one");
	cv_clock_shift_us(2 * HOUR_US);
	must_pass(convo_store_stats(fx->store, fx->app, "u", &stats, NULL, &err));
	must(stats.sessions == 1 && !stats.active_hour && stats.active_day == 1);
	cv_clock_shift_us(2 * DAY_US);
	must_pass(convo_store_stats(fx->store, fx->app, "u", &stats, NULL, &err));
	must(!stats.active_day && stats.active_week == 1);
	cv_clock_shift_us(8 * DAY_US);
	must_pass(convo_store_stats(fx->store, fx->app, "u", &stats, NULL, &err));
	must(stats.sessions == 1 && !stats.active_week);
}

static void E2_the_limit_hides_from_the_figures(struct fx *fx)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1, .event_limit = 2};
	struct convo_key key = fx_key(fx, "s");
	convo_store *small = fx_open(fx, &opts);
	struct convo_stats all, few;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 6);
	must_pass(convo_store_stats(fx->store, fx->app, "u", &all, NULL, &err));
	must_pass(convo_store_stats(small, fx->app, "u", &few, NULL, &err));
	must_equal(6, all.events);
	must_equal(2, few.events);
	must(few.bytes < all.bytes && few.bytes > 0);
}

const struct contract_test contract_forks[] = {
	CONTRACT_TEST(S6_a_fork_has_what_the_source_had),
	CONTRACT_TEST(S6_a_fork_ends_at_a_seq_and_goes_on),
	CONTRACT_TEST(S6_the_end_of_the_source_is_not_that_of_the_fork),
	CONTRACT_TEST(S6_names_obey_S1),
	CONTRACT_TEST(S6_an_empty_session_forks),
	CONTRACT_TEST_IF(S6_limit_and_ttl_are_the_handles, NEEDS_SHARED),
	CONTRACT_TEST(S6_what_the_limit_took_is_not_there),
	CONTRACT_TEST(S6_a_fork_has_no_lease),
	CONTRACT_TEST(S6_a_fork_is_of_one_moment),
	CONTRACT_TEST(S6_of_many_forks_of_one_name_one_wins),
	CONTRACT_TEST(E2_figures_are_those_of_who_was_asked_for),
	CONTRACT_TEST(E2_activity_grows_old),
	CONTRACT_TEST_IF(E2_the_limit_hides_from_the_figures, NEEDS_SHARED),
	{0},
};
