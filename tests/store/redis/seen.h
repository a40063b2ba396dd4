/*
 * One who changes the state of two apps, and many who load: who begins after a change was acknowledged
 * sees it, whoever made it; and nobody sees with a handle what was before what that handle has shown.
 */
#ifndef TESTS_STORE_REDIS_SEEN_H
#define TESTS_STORE_REDIS_SEEN_H

#include <support/test.h>

#include <stdatomic.h>

#include <base/clock.h>

#include "store/shared/calls.h"

#define SEEN_APPS 2

struct seen {
	atomic_int told[SEEN_APPS]; /* the last change of each that was acknowledged */
	atomic_bool over;
	bool may_fail; /* what was not acknowledged may be lost, too */
	atomic_int loads;
};

/* What a handle has shown. */
struct seen_by {
	struct seen *seen;
	convo_store *store;
	atomic_int shown[SEEN_APPS];
};

static inline struct convo_key seen_key(int app, const char *user)
{
	return (struct convo_key){app ? "app" : "another", user, "s"};
}

static inline void seen_begin(struct seen *seen, convo_store *store)
{
	struct convo_err err;

	*seen = (struct seen){.over = false};
	for (int i = 0; i < SEEN_APPS * 2; i++) {
		const struct convo_key key = seen_key(i / 2, i % 2 ? "user" : "writer");

		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	}
}

/* Change the app by one of the calls that can. */
static inline int seen_change(convo_store *store, int app, int n, struct convo_err *err)
{
	const char *json = test_text("%d", n);
	const struct convo_item items[] = {{.name = "app:n", .json = json},
					   {.name = "user:n", .json = json}};
	const struct convo_event event = {.message = CALLS_HELLO,
					  .state = test_text("{\"app:n\":%d}", n)};
	const struct convo_key key = seen_key(app, "writer");

	if (n % 3)
		return convo_store_state_set(store, &key, items, n % 3 == 1 ? 1 : 2, NULL, err);
	return convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, err);
}

/* Change both apps so often, or until it is over. */
static inline void seen_write(struct seen *seen, convo_store *store, int often)
{
	struct convo_err err;

	for (int n = 1; n <= often && !seen->over; n++) {
		for (int app = 0; app < SEEN_APPS; app++) {
			int rc;

			do
				rc = seen_change(store, app, n, &err);
			while (rc < 0 && seen->may_fail);
			if (rc < 0)
				must_not_reach("change %d: %s (%d)", n, err.text, rc);
			seen->told[app] = n;
		}
	}
}

static inline void seen_load(struct seen_by *by, int app)
{
	struct seen *seen = by->seen;
	const struct convo_key key = seen_key(app, "user");
	const struct convo_window window = {.n = 1};
	int told = seen->told[app], shown = by->shown[app], found = 0;
	convo_session *session = NULL;
	const struct convo_item *items;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, by->store, &key, &window, NULL, &err));
	items = test_state(session, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(items[i].name, "app:n") == 0)
			found = (int)strtol(items[i].json, NULL, 10);
	}
	convo_session_free(session);
	if (found < told)
		must_not_reach("acknowledged: %d, seen: %d", told, found);
	if (found < shown && !seen->may_fail)
		must_not_reach("shown: %d, then: %d", shown, found);
	while (found > shown && !atomic_compare_exchange_weak(&by->shown[app], &shown, found)) {
	}
	seen->loads++;
}

static inline void seen_read(struct seen_by *by)
{
	int64_t end_us = cv_clock_mono_us() + 50 * 1000000LL;

	for (int n = 0; !by->seen->over && cv_clock_mono_us() < end_us; n++)
		seen_load(by, n % SEEN_APPS);
}

#endif
