/*
 * Writers whose clocks differ by minutes: what holds all the same (S3, A1, T2). A backend that one
 * handle alone can see gets its calls from one handle, at differing times.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#define MINUTE_US (60 * SECOND_US)

enum { SESSIONS = 40, WRITERS = 3 };

/* From now on this process has a clock that is wrong by so much. */
static void clock_wrong_by(int minutes)
{
	cv_clock_shift_us(minutes * MINUTE_US);
}

static convo_store *second_handle(struct fx *fx, const struct convo_store_options *opts)
{
	return fx->contract->shared ? fx_open(fx, opts) : fx->store;
}

static const struct convo_store_options quiet = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = 20000};

static void make_sessions(convo_store *store, const struct fx *fx, int n)
{
	for (int i = 0; i < n; i++) {
		struct convo_key key = fx_key(fx, test_text("s%d", i));

		fx_create(store, &key);
	}
}

/* How often a walk in pages of n returned s0, s1 ... */
struct tally {
	int times[SESSIONS];
	convo_cursor *cursor;
};

static void tally_begin(struct tally *tally, const struct fx *fx, enum convo_list_what what)
{
	struct convo_err err;

	*tally = (struct tally){0};
	must_pass(convo_cursor_new(&tally->cursor, fx->app, "u", what, &err));
}

static size_t tally_page(struct tally *tally, convo_store *store, size_t n)
{
	struct convo_err err;
	size_t count = 0;

	must_pass(convo_store_list(store, tally->cursor, n, &count, NULL, &err));
	for (size_t i = 0; i < count; i++) {
		const char *name = convo_cursor_meta(tally->cursor, i)->session;

		if (name[0] == 's')
			tally->times[strtol(name + 1, NULL, 10)]++;
	}
	return count;
}

static void tally_must_be_whole(struct tally *tally)
{
	for (int i = 0; i < SESSIONS; i++) {
		if (tally->times[i] != 1)
			must_not_reach("s%d came %d times", i, tally->times[i]);
	}
	convo_cursor_free(tally->cursor);
}

/* ---- S3 --------------------------------------------------------------------------------- */

/* The walk has passed where a writer with a slow clock puts a session that is still to come. */
static void S3_a_walk_misses_nothing_that_a_slow_clock_moves(struct fx *fx)
{
	convo_store *slow = second_handle(fx, &quiet);
	struct tally tally;

	clock_wrong_by(-60);
	make_sessions(fx->store, fx, SESSIONS);
	tally_begin(&tally, fx, CONVO_LIST_LIVE);
	for (int round = 0; round < SESSIONS / 2; round++) {
		clock_wrong_by(0);
		tally_page(&tally, fx->store, 2);
		clock_wrong_by(-50 + 2 * round); /* before the walk began, and above all */
		for (int i = 0; i < SESSIONS; i += 1 + round) {
			struct convo_key key = fx_key(fx, test_text("s%d", i));

			fx_say(slow, &key, "moved");
		}
	}
	clock_wrong_by(0);
	while (tally_page(&tally, fx->store, 2))
		;
	tally_must_be_whole(&tally);
}

static void S3_a_walk_misses_nothing_that_a_fast_clock_moves(struct fx *fx)
{
	convo_store *fast = second_handle(fx, &quiet);
	struct tally tally;

	make_sessions(fx->store, fx, SESSIONS);
	tally_begin(&tally, fx, CONVO_LIST_LIVE);
	for (int round = 0; tally_page(&tally, fx->store, 3); round++) {
		clock_wrong_by(round % 2 ? 7 : 30);
		for (int i = round % 3; round < 60 && i < SESSIONS; i += 3) {
			struct convo_key key = fx_key(fx, test_text("s%d", i));

			fx_say(fast, &key, "moved");
		}
		clock_wrong_by(0);
	}
	tally_must_be_whole(&tally);
}

/* What has been in the trash all the time is met, wherever others put what they delete. */
static void S3_a_walk_over_the_trash_misses_nothing_whatever_the_clocks(struct fx *fx)
{
	convo_store *other = second_handle(fx, &quiet);
	struct tally tally;
	struct convo_err err;

	make_sessions(fx->store, fx, SESSIONS);
	for (int i = 0; i < SESSIONS; i++) {
		struct convo_key key = fx_key(fx, test_text("s%d", i));

		clock_wrong_by(i * 7 % 11 - 5);
		must_pass(convo_store_delete(i % 2 ? other : fx->store, &key, NULL, &err));
	}
	clock_wrong_by(0);
	tally_begin(&tally, fx, CONVO_LIST_TRASH);
	for (int round = 0; tally_page(&tally, fx->store, 3); round++) {
		struct convo_key key = fx_key(fx, "coming and going");

		clock_wrong_by(round % 11 - 5);
		fx_create(other, &key);
		must_pass(convo_store_delete(other, &key, NULL, &err));
		clock_wrong_by(0);
	}
	tally_must_be_whole(&tally);
}

struct skewed {
	struct fx *fx;
	atomic_int walks; /* that are still to come */
};

static void skewed_process(void *ctx, int index)
{
	struct skewed *skewed = ctx;
	convo_store *store;

	clock_wrong_by(index * 9 - 9); /* the walker's is right in the middle */
	store = fx_open_own(skewed->fx);
	if (index == 1) {
		for (int i = 0; i < 8; i++) {
			struct tally tally;

			tally_begin(&tally, skewed->fx, CONVO_LIST_LIVE);
			while (tally_page(&tally, store, i % 2 ? 5 : 11))
				;
			tally_must_be_whole(&tally);
		}
		atomic_store(&skewed->walks, 0);
	}
	for (int i = 0; atomic_load(&skewed->walks); i++) {
		char name[16];
		struct convo_key key = fx_key(skewed->fx, name);

		snprintf(name, sizeof(name), "s%d", (i * 13 + index * 29) % SESSIONS);
		fx_say(store, &key, "moved");
	}
	convo_store_close(store);
}

static void S3_a_walk_misses_nothing_that_processes_with_other_clocks_move(struct fx *fx)
{
	struct skewed *skewed = test_shared(sizeof(*skewed));

	skewed->fx = fx;
	atomic_store(&skewed->walks, 1);
	clock_wrong_by(-60);
	{
		convo_store *store = fx_open_own(fx);

		make_sessions(store, fx, SESSIONS);
		convo_store_close(store);
	}
	test_processes(WRITERS, skewed_process, skewed);
	test_shared_free(skewed, sizeof(*skewed));
}

/* ---- what never goes back --------------------------------------------------------------- */

static const struct convo_meta *only_meta(convo_store *store, const struct convo_key *key,
					  convo_session **session)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	struct convo_err err;

	must_pass(convo_store_load(session, store, key, &none, NULL, &err));
	return convo_session_meta(*session);
}

static int64_t updated_of(convo_store *store, const struct convo_key *key)
{
	convo_session *session = NULL;
	int64_t updated_ms = only_meta(store, key, &session)->updated_ms;

	convo_session_free(session);
	return updated_ms;
}

static void write_append(convo_store *store, const struct convo_key *key)
{
	fx_say(store, key, "x");
}

static void write_state(convo_store *store, const struct convo_key *key)
{
	fx_set(store, key, "n", "1");
}

static void write_title(convo_store *store, const struct convo_key *key)
{
	struct convo_err err;

	must_pass(convo_store_rename(store, key, "t", NULL, &err));
}

static void write_restore(convo_store *store, const struct convo_key *key)
{
	struct convo_err err;

	must_pass(convo_store_delete(store, key, NULL, &err));
	must_pass(convo_store_restore(store, key, NULL, NULL, &err));
}

/*
 * A session written by a fast clock and then by one that is behind stays in front of those it was in
 * front of, and `updated` does not go back. Where one stands that only the slow clock has written
 * is not said: behind by the clocks, in front by the order of the writes.
 */
static void never_goes_back(struct fx *fx, void (*write)(convo_store *, const struct convo_key *))
{
	convo_store *slow = second_handle(fx, &quiet);
	struct convo_key a = fx_key(fx, "first"), b = fx_key(fx, "second");
	struct convo_err err;
	convo_cursor *cursor = NULL;
	int64_t fast_ms;
	size_t count;

	fx_create(fx->store, &a);
	fx_create(fx->store, &b);
	clock_wrong_by(5);
	fx_say(fx->store, &b, "from the future");
	clock_wrong_by(10);
	fx_say(fx->store, &a, "from farther off");
	fast_ms = updated_of(fx->store, &a);
	must(fast_ms >= cv_clock_us() / 1000 - 60000);
	clock_wrong_by(0);
	write(slow, &a);
	must(updated_of(fx->store, &a) >= fast_ms);
	must_pass(convo_cursor_new(&cursor, fx->app, "u", CONVO_LIST_LIVE, &err));
	must_pass(convo_store_list(fx->store, cursor, 10, &count, NULL, &err));
	must_equal(2, count);
	must_equal_str("first", convo_cursor_meta(cursor, 0)->session);
	must(convo_cursor_meta(cursor, 0)->updated_ms >= fast_ms);
	must_equal_str("second", convo_cursor_meta(cursor, 1)->session);
	convo_cursor_free(cursor);
}

static void S3_an_append_never_puts_a_session_back(struct fx *fx)
{
	never_goes_back(fx, write_append);
}

static void S3_a_state_write_never_puts_a_session_back(struct fx *fx)
{
	never_goes_back(fx, write_state);
}

static void S3_a_title_never_puts_a_session_back(struct fx *fx)
{
	never_goes_back(fx, write_title);
}

static void S3_a_restored_session_is_not_behind_where_it_was(struct fx *fx)
{
	never_goes_back(fx, write_restore);
}

static void A1_times_never_decrease_whatever_the_clocks(struct fx *fx)
{
	static const int wrong[] = {0, 10, -10, 3, -30, 11};
	convo_store *other = second_handle(fx, &quiet);
	struct convo_key key = fx_key(fx, "s");
	const struct convo_event *events;
	convo_session *session;
	size_t count;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		clock_wrong_by(wrong[i]);
		fx_say(i % 2 ? other : fx->store, &key, "x");
	}
	clock_wrong_by(0);
	session = fx_load(fx->store, &key);
	events = test_events(session, &count);
	must_equal(6, count);
	for (size_t i = 1; i < count; i++)
		must(events[i].time_ms >= events[i - 1].time_ms);
	convo_session_free(session);
}

/* ---- T2 --------------------------------------------------------------------------------- */

/*
 * A session is over for a handle when its own clock says so, and from then on its name is free; a
 * writer adds the TTL to its own clock. Whether others still see what is over for one is not said:
 * any call of that one may have removed it.
 */
static void T2_expiry_is_by_the_clock_of_the_caller(struct fx *fx)
{
	const struct convo_store_options mortal = {
		.ttl_ms = 5 * 60000, .clean_interval_ms = CONVO_OFF, .timeout_ms = 20000};
	convo_store *slow = fx_open(fx, &mortal);
	convo_store *fast = fx->contract->shared ? fx_open(fx, &mortal) : slow;
	struct convo_key key = fx_key(fx, "s");
	struct convo_created first, second;
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_create(slow, &key, NULL, &first, NULL, &err));
	clock_wrong_by(4);
	must_equal_str(first.generation, only_meta(fast, &key, &session)->generation);
	convo_session_free(session);
	clock_wrong_by(6);
	fx_must_be_absent(fast, &key);
	must_equal(0, fx_count(fast, fx->app, "u", CONVO_LIST_LIVE));
	must_pass(convo_store_create(fast, &key, NULL, &second, NULL, &err));
	clock_wrong_by(0);
	must_equal_str(second.generation, only_meta(slow, &key, &session)->generation);
	convo_session_free(session);
	must_equal(1, fx_count(slow, fx->app, "u", CONVO_LIST_LIVE));
	clock_wrong_by(10); /* it has 11 minutes by the slow clock */
	convo_session_free(fx_load(fast, &key));
	clock_wrong_by(0);
	fx_say(slow, &key, "a write: 5 minutes from now, by the clock that is behind");
	clock_wrong_by(6);
	fx_must_be_absent(fast, &key);
}

static void T4_a_fast_clock_cleans_by_its_own_time(struct fx *fx)
{
	const struct convo_store_options mortal = {
		.ttl_ms = 5 * 60000, .clean_interval_ms = CONVO_OFF, .timeout_ms = 20000};
	convo_store *store = fx_open(fx, &mortal);
	struct convo_key young = fx_key(fx, "young"), old = fx_key(fx, "old");
	struct convo_err err;

	fx_create(store, &old);
	clock_wrong_by(4);
	fx_create(store, &young);
	clock_wrong_by(6);
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	fx_must_be_absent(store, &old);
	convo_session_free(fx_load(store, &young));
	clock_wrong_by(0);
	convo_session_free(fx_load(store, &young));
}

const struct contract_test contract_clocks[] = {
	CONTRACT_TEST(S3_a_walk_misses_nothing_that_a_slow_clock_moves),
	CONTRACT_TEST(S3_a_walk_misses_nothing_that_a_fast_clock_moves),
	CONTRACT_TEST(S3_a_walk_over_the_trash_misses_nothing_whatever_the_clocks),
	CONTRACT_TEST_IF(S3_a_walk_misses_nothing_that_processes_with_other_clocks_move,
			 NEEDS_FORK),
	CONTRACT_TEST(S3_an_append_never_puts_a_session_back),
	CONTRACT_TEST(S3_a_state_write_never_puts_a_session_back),
	CONTRACT_TEST(S3_a_title_never_puts_a_session_back),
	CONTRACT_TEST(S3_a_restored_session_is_not_behind_where_it_was),
	CONTRACT_TEST(A1_times_never_decrease_whatever_the_clocks),
	CONTRACT_TEST(T2_expiry_is_by_the_clock_of_the_caller),
	CONTRACT_TEST(T4_a_fast_clock_cleans_by_its_own_time),
	{0},
};
