/*
 * Two sessions that are watched, and what is heard of them: for tests of stores whose engine tells.
 */
#ifndef TESTS_STORE_SHARED_HEARD_H
#define TESTS_STORE_SHARED_HEARD_H

#include <support/test.h>

#include <stdatomic.h>
#include <time.h>

#include <convo/watch.h>

#define HEARD_SOON_MS 20000

static const struct convo_key heard_keys[] = {{"app", "user", "a"}, {"app", "user", "b"}};

static inline void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static inline convo_watch *watch_of(convo_store *store)
{
	convo_watch *watch = NULL;
	struct convo_err err;

	must_pass(convo_watch_new(&watch, store, &err));
	for (size_t i = 0; i < 2; i++)
		must_pass(convo_watch_add(watch, &heard_keys[i], NULL, &err));
	return watch;
}

/* Let pass what comes without need. */
static inline void hear_out(convo_watch *watch)
{
	const struct convo_call quiet = {.timeout_ms = 2500};
	struct convo_err err;

	while (convo_watch_next(watch, NULL, NULL, &quiet, &err) == 0)
		;
	must_equal(CONVO_E_TIMEOUT, err.code);
}

static inline void must_hear(convo_watch *watch, const char *session)
{
	const struct convo_call soon = {.timeout_ms = HEARD_SOON_MS};
	struct convo_key key;
	struct convo_err err;

	must_pass(convo_watch_next(watch, &key, NULL, &soon, &err));
	must_equal_str(session, key.session);
}

static inline void must_hear_both(convo_watch *watch)
{
	const struct convo_call soon = {.timeout_ms = HEARD_SOON_MS};
	bool heard[2] = {false, false};
	struct convo_key key;
	struct convo_err err;

	while (!heard[0] || !heard[1]) {
		must_pass(convo_watch_next(watch, &key, NULL, &soon, &err));
		heard[*key.session == 'b'] = true;
	}
}

static inline void heard_create(convo_store *store, const char *session)
{
	struct convo_err err;

	must_pass(convo_store_create(store, &(struct convo_key){"app", "user", session}, NULL, NULL,
				     NULL, &err));
}

static inline void heard_say(convo_store *store, const char *session)
{
	const struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"x\"}"};
	struct convo_err err;

	must_pass(convo_store_append(store, &(struct convo_key){"app", "user", session}, NULL,
				     &event, 1, NULL, NULL, &err));
}

/* ---- followers --------------------------------------------------------------------------- */

#define HEARD_EVENTS 200
#define HEARD_FOLLOWERS 4

struct heard_flow {
	convo_store *store, *other;
	void (*trouble)(void); /* made again and again */
	atomic_int following;
};

static inline void heard_follow(struct heard_flow *flow)
{
	const struct convo_key key = {"app", "user", "followed"};
	convo_watch *watch;
	struct convo_err err;
	int64_t last = 0;

	must_pass(convo_watch_new(&watch, flow->store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	while (last < HEARD_EVENTS) {
		const struct convo_window window = {.kind = CONVO_WINDOW_AFTER, .seq = last};
		convo_session *session = NULL;

		must_hear(watch, "followed");
		must_pass(convo_store_load(&session, flow->store, &key, &window, NULL, &err));
		for (size_t i = 0; i < convo_session_count(session); i++)
			must_equal(++last, convo_session_event(session, i)->seq);
		convo_session_free(session);
	}
	convo_watch_free(watch);
	atomic_fetch_sub(&flow->following, 1);
}

/* The first writes, the second makes trouble, the others follow and see each event once. */
static inline void heard_flow_run(void *ctx, int index)
{
	struct heard_flow *flow = ctx;

	if (index == 0) {
		for (int i = 0; i < HEARD_EVENTS; i++) {
			heard_say(flow->other, "followed");
			nap_ms(10);
		}
	} else if (index == 1) {
		while (atomic_load(&flow->following)) {
			nap_ms(300);
			flow->trouble();
		}
	} else {
		heard_follow(flow);
	}
}

/* Nothing is missed, whatever trouble is made. */
static inline void heard_must_flow(convo_store *store, convo_store *other, void (*trouble)(void))
{
	struct heard_flow flow = {
		.store = store, .other = other, .trouble = trouble, .following = HEARD_FOLLOWERS};

	heard_create(store, "followed");
	test_threads(2 + HEARD_FOLLOWERS, heard_flow_run, &flow);
}

#endif
