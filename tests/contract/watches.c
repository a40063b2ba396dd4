/*
 * W1 to W3: watching. How soon news comes is measured by bench/; here it must come.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#define SOON_MS 5000 /* far more than any news takes */

static convo_watch *watch_of(convo_store *store)
{
	convo_watch *watch = NULL;
	struct convo_err err;

	must_pass(convo_watch_new(&watch, store, &err));
	return watch;
}

static void watch_add(convo_watch *watch, const struct convo_key *key, void *tag)
{
	struct convo_err err;

	must_pass(convo_watch_add(watch, key, tag, &err));
}

/* There is news of that session. */
static void must_hear(convo_watch *watch, const char *session)
{
	const struct convo_call soon = {.timeout_ms = SOON_MS};
	struct convo_key key;
	struct convo_err err;

	must_pass(convo_watch_next(watch, &key, NULL, &soon, &err));
	must_equal_str(session, key.session);
}

/* News that was not asked for comes at first (hub.c): let that pass. */
static void hear_out(convo_watch *watch, int64_t ms)
{
	const struct convo_call soon = {.timeout_ms = ms};
	struct convo_err err;

	while (convo_watch_next(watch, NULL, NULL, &soon, &err) == 0)
		;
	must_equal(CONVO_E_TIMEOUT, err.code);
}

/* The same, and whatever more is told of it: an engine may tell, too, what this handle told at once. */
static void must_hear_out(convo_watch *watch, const char *session)
{
	must_hear(watch, session);
	hear_out(watch, 700);
}

/* The session that is watched through `watch` reaches this seq, as a follower would see it. */
static void must_reach(convo_store *store, convo_watch *watch, const struct convo_key *key,
		       int64_t seq)
{
	for (int i = 0; i < 100 && fx_last_seq(store, key) < seq; i++)
		must_hear(watch, key->session);
	must_equal(seq, fx_last_seq(store, key));
}

static void W1_there_is_news_of_what_is_watched_newly(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), found;
	const struct convo_call at_once = {.timeout_ms = 1};
	convo_watch *watch = watch_of(fx->store);
	struct convo_err err;
	void *tag = NULL;
	int mine;

	must_fail_with(CONVO_E_TIMEOUT, convo_watch_next(watch, NULL, NULL, &at_once, &err));
	watch_add(watch, &key, &mine); /* it need not exist */
	must_pass(convo_watch_next(watch, &found, &tag, &at_once, &err));
	must(tag == &mine);
	must_equal_str(key.app, found.app);
	must_equal_str("u", found.user);
	must_equal_str("s", found.session);
	convo_watch_free(watch);
}

static void W1_what_this_handle_does_is_heard(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other"),
			 to = fx_key(fx, "fork");
	const struct convo_fork fork = {.session = "fork"};
	convo_watch *watch = watch_of(fx->store);
	struct convo_err err;

	watch_add(watch, &key, NULL);
	hear_out(watch, 2500);
	fx_create(fx->store, &key);
	must_hear_out(watch, "s");
	fx_create(fx->store, &other);
	fx_say(fx->store, &other, "not watched");
	hear_out(watch, 300);
	fx_say(fx->store, &key, "one");
	must_hear_out(watch, "s");
	must_pass(convo_store_rename(fx->store, &key, "title", NULL, &err));
	must_hear_out(watch, "s");
	fx_set(fx->store, &key, "a", "1");
	must_hear_out(watch, "s");
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_hear_out(watch, "s");
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	must_hear_out(watch, "s");
	watch_add(watch, &to, NULL);
	must_hear(watch, "fork");
	hear_out(watch, 2500);
	must_pass(convo_store_fork(fx->store, &key, &fork, NULL, NULL, &err));
	must_hear(watch, "fork");
	convo_watch_free(watch);
}

static void W1_what_another_handle_does_is_heard(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_store *other = fx_open_own(fx);
	convo_watch *watch = watch_of(fx->store);
	const struct convo_event question = fx_event(NULL, "question");
	const struct convo_event so_far = {.id = fx_uuid(), .message = question.message};
	convo_lease *lease = NULL;
	struct convo_err err;

	watch_add(watch, &key, NULL);
	hear_out(watch, 2500);
	fx_create(other, &key);
	must_hear_out(watch, "s");
	fx_say(other, &key, "one");
	must_hear_out(watch, "s");
	must_pass(convo_lease_new(&lease, NULL, &err));
	must_pass(convo_store_append(
		other, &key, &(struct convo_expect){.lease = lease, .hold = CONVO_HOLD_TAKE}, NULL,
		0, NULL, NULL, &err));
	must_hear_out(watch, "s");
	must_pass(convo_store_draft(other, &key, lease, &so_far, NULL, &err));
	must_hear_out(watch, "s");
	must_pass(convo_store_append(other, &key,
				     &(struct convo_expect){.lease = lease, .hold = CONVO_HOLD_END},
				     NULL, 0, NULL, NULL, &err));
	must_hear_out(watch, "s");
	must_pass(convo_store_rename(other, &key, "title", NULL, &err));
	must_hear_out(watch, "s");
	must_pass(convo_store_delete(other, &key, NULL, &err));
	must_hear(watch, "s");
	convo_lease_free(lease);
	convo_watch_free(watch);
	convo_store_close(other);
}

static void W1_a_session_that_lives_again_is_heard(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	convo_store *other = fx_open_own(fx);
	convo_watch *watch = watch_of(fx->store);
	convo_session *session;
	struct convo_err err;
	char first[CONVO_UUID_SIZE];
	bool again = false;

	fx_create(other, &key);
	session = fx_load(other, &key);
	memcpy(first, convo_session_meta(session)->generation, sizeof(first));
	convo_session_free(session);
	watch_add(watch, &key, NULL);
	hear_out(watch, 2500);
	must_pass(convo_store_delete(other, &key, NULL, &err));
	fx_create(other, &key);
	for (int i = 0; !again && i < 20; i++) {
		must_hear(watch, "s");
		session = NULL;
		if (convo_store_load(&session, fx->store, &key, NULL, NULL, &err) == 0)
			again = strcmp(convo_session_meta(session)->generation, first) != 0;
		convo_session_free(session);
	}
	must(again);
	convo_watch_free(watch);
	convo_store_close(other);
}

static void W1_the_end_by_ttl_is_heard(struct fx *fx)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1, .ttl_ms = 3000};
	struct convo_key key = fx_key(fx, "s");
	convo_store *mortal = fx_open(fx, &opts);
	convo_watch *watch = watch_of(mortal);
	convo_session *session = NULL;
	struct convo_err err;
	int rc = 0;

	fx_create(mortal, &key);
	watch_add(watch, &key, NULL);
	for (int i = 0; rc == 0 && i < 10; i++) {
		const struct convo_call wait = {.timeout_ms = 40000};

		must_pass(convo_watch_next(watch, NULL, NULL, &wait, &err));
		rc = convo_store_load(&session, mortal, &key, NULL, NULL, &err);
		convo_session_free(session);
		session = NULL;
	}
	must_equal(CONVO_E_NOTFOUND, rc);
	convo_watch_free(watch);
}

static void W1_news_is_kept_once_and_in_order(struct fx *fx)
{
	struct convo_key one = fx_key(fx, "one"), two = fx_key(fx, "two");
	const struct convo_call at_once = {.timeout_ms = 1};
	convo_watch *watch = watch_of(fx->store);
	struct convo_err err;

	fx_create(fx->store, &one);
	fx_create(fx->store, &two);
	watch_add(watch, &one, NULL);
	watch_add(watch, &two, NULL);
	hear_out(watch, 2500);
	fx_say(fx->store, &two, "x");
	fx_say_n(fx->store, &one, 5);
	fx_say(fx->store, &two, "x");
	/* what an engine tells as well comes before anybody listens */
	nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
	must_hear(watch, "two");
	must_hear(watch, "one");
	must_fail_with(CONVO_E_TIMEOUT, convo_watch_next(watch, NULL, NULL, &at_once, &err));
	convo_watch_free(watch);
}

static void W1_what_is_watched_no_more_is_not_heard(struct fx *fx)
{
	struct convo_key one = fx_key(fx, "one"), two = fx_key(fx, "two");
	convo_watch *watch = watch_of(fx->store), *second = watch_of(fx->store);

	fx_create(fx->store, &one);
	fx_create(fx->store, &two);
	watch_add(watch, &one, NULL);
	watch_add(watch, &two, NULL);
	watch_add(second, &one, NULL);
	hear_out(watch, 2500);
	hear_out(second, 1);
	fx_say(fx->store, &one, "x");
	convo_watch_remove(watch, &one);
	convo_watch_remove(watch, &one); /* again: nothing */
	hear_out(watch, 300);
	must_hear(second, "one");
	fx_say(fx->store, &two, "x");
	must_hear(watch, "two");
	convo_watch_free(watch);
	fx_say(fx->store, &one, "x");
	must_hear(second, "one");
	convo_watch_free(second);
}

struct cancels {
	convo_watch *watch;
	convo_cancel *cancel;
};

static void cancel_run(void *ctx, int index)
{
	struct cancels *cancels = ctx;
	const struct convo_call call = {.cancel = cancels->cancel};
	struct timespec ts = {.tv_nsec = 100000000};
	struct convo_err err;

	if (index == 0) {
		must_fail_with(CONVO_E_CANCELED,
			       convo_watch_next(cancels->watch, NULL, NULL, &call, &err));
		return;
	}
	nanosleep(&ts, NULL);
	convo_cancel_request(cancels->cancel);
}

static void W1_waiting_is_cancelled(struct fx *fx)
{
	struct cancels cancels = {.watch = watch_of(fx->store)};
	struct convo_err err;

	must_pass(convo_cancel_new(&cancels.cancel, &err));
	test_threads(2, cancel_run, &cancels);
	convo_cancel_free(cancels.cancel);
	convo_watch_free(cancels.watch);
}

/* ---- W2 --------------------------------------------------------------------------------- */

static void W2_ten_thousand_sessions_are_watched_at_once(struct fx *fx)
{
	enum { MANY = 10000 };
	convo_store *other = fx_open_own(fx);
	convo_watch *watch = watch_of(fx->store);
	struct convo_key keys[3];

	for (int i = 0; i < MANY; i++) {
		struct convo_key key = fx_key(fx, test_text("session %d", i));

		watch_add(watch, &key, NULL);
	}
	hear_out(watch, 2500);
	for (int i = 0; i < 3; i++) {
		keys[i] = fx_key(fx, test_text("session %d", i * (MANY / 2 - 1)));
		fx_create(other, &keys[i]);
		must_hear(watch, keys[i].session);
		hear_out(watch, 700);
		fx_say(other, &keys[i], "one");
		must_hear(watch, keys[i].session);
		hear_out(watch, 700);
	}
	convo_watch_free(watch);
	convo_store_close(other);
}

static void marks_count(void *ctx, const struct convo_trace_call *call)
{
	if (strcmp(call->op, "marks") == 0)
		atomic_fetch_add((atomic_int *)ctx, 1);
}

/* Wait until nothing has been asked for in 700 ms, which is longer than any pause between two questions. */
static int marks_until_quiet(const atomic_int *marks)
{
	int before, tries = 0;

	do {
		must(tries++ < 20);
		before = atomic_load(marks);
		nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
	} while (atomic_load(marks) != before);
	return before;
}

static void W2_nothing_is_asked_for_while_nobody_watches(struct fx *fx)
{
	atomic_int marks = 0;
	const struct convo_trace trace = {.on_call = marks_count, .ctx = &marks};
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF, .trace = &trace};
	struct convo_key key = fx_key(fx, "s");
	convo_store *store = fx_open(fx, &opts);
	convo_watch *watch;

	fx_create(store, &key);
	fx_say(store, &key, "x");
	must_equal(0, marks_until_quiet(&marks));
	watch = watch_of(store);
	must_equal(0, marks_until_quiet(&marks)); /* no session yet */
	watch_add(watch, &key, NULL);
	hear_out(watch, 2500);
	must(atomic_load(&marks) > 0);
	convo_watch_remove(watch, &key);
	marks_until_quiet(&marks);
	watch_add(watch, &key, NULL);
	must_hear(watch, "s");
	convo_watch_free(watch);
	marks_until_quiet(&marks);
}

struct followers {
	struct fx *fx;
	convo_store *store, *other;
	atomic_int writers;
};

/* Two write by another handle, the others follow and see each event once, in order. */
static void follow_run(void *ctx, int index)
{
	struct followers *followers = ctx;
	struct convo_key key = fx_key(followers->fx, "s");
	convo_watch *watch;
	int64_t last = 0;
	struct convo_err err;

	if (index < 2) {
		for (int i = 0; i < 100; i++)
			fx_say(followers->other, &key, "x");
		return;
	}
	watch = watch_of(followers->store);
	watch_add(watch, &key, NULL);
	while (last < 200) {
		struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .seq = last};
		convo_session *session = NULL;
		size_t count;

		must_hear(watch, "s");
		must_pass(convo_store_load(&session, followers->store, &key, &window, NULL, &err));
		count = convo_session_count(session);
		fx_must_run(session, last + 1, count);
		last += (int64_t)count;
		convo_session_free(session);
	}
	convo_watch_free(watch);
}

static void W2_followers_see_every_event_once(struct fx *fx)
{
	struct followers followers = {.fx = fx, .store = fx->store, .other = fx_open_own(fx)};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	test_threads(8, follow_run, &followers);
	convo_store_close(followers.other);
}

/* Watches begin and end while others write. */
static void churn_run(void *ctx, int index)
{
	struct followers *followers = ctx;
	struct convo_key key = fx_key(followers->fx, "s");

	for (int i = 0; i < 30; i++) {
		convo_watch *watch = watch_of(followers->store);
		struct convo_key other = fx_key(followers->fx, test_text("s%d", index));

		watch_add(watch, &key, NULL);
		watch_add(watch, &other, NULL);
		must_hear(watch, "s");
		convo_watch_remove(watch, &key);
		fx_say(followers->store, &key, "x");
		convo_watch_free(watch);
	}
}

static void W2_watches_come_and_go(struct fx *fx)
{
	struct followers followers = {.fx = fx, .store = fx->store};
	struct convo_key key = fx_key(fx, "s");
	convo_watch *watch;

	fx_create(fx->store, &key);
	test_threads(6, churn_run, &followers);
	watch = watch_of(fx->store);
	watch_add(watch, &key, NULL);
	must_reach(fx->store, watch, &key, 180);
	convo_watch_free(watch);
}

const struct contract_test contract_watches[] = {
	CONTRACT_TEST(W1_there_is_news_of_what_is_watched_newly),
	CONTRACT_TEST(W1_what_this_handle_does_is_heard),
	CONTRACT_TEST_IF(W1_what_another_handle_does_is_heard, NEEDS_SHARED),
	CONTRACT_TEST_IF(W1_a_session_that_lives_again_is_heard, NEEDS_SHARED),
	CONTRACT_TEST(W1_the_end_by_ttl_is_heard),
	CONTRACT_TEST(W1_news_is_kept_once_and_in_order),
	CONTRACT_TEST(W1_what_is_watched_no_more_is_not_heard),
	CONTRACT_TEST(W1_waiting_is_cancelled),
	CONTRACT_TEST_IF(W2_ten_thousand_sessions_are_watched_at_once, NEEDS_SHARED),
	CONTRACT_TEST(W2_nothing_is_asked_for_while_nobody_watches),
	CONTRACT_TEST_IF(W2_followers_see_every_event_once, NEEDS_SHARED),
	CONTRACT_TEST(W2_watches_come_and_go),
	{0},
};
