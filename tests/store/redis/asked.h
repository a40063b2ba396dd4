/*
 * A handle that watches and counts how often it asks (marks): what it hears meanwhile, it was told.
 */
#ifndef TESTS_STORE_REDIS_ASKED_H
#define TESTS_STORE_REDIS_ASKED_H

#include <base/clock.h>
#include <convo/trace.h>

#include "store/shared/heard.h"

#define ASKED_RARELY_US 10000000 /* it asks less often than that where it is told */

struct asked {
	convo_store *store;
	atomic_int marks;
};

static inline void asked_count(void *ctx, const struct convo_trace_call *call)
{
	struct asked *asked = ctx;

	if (strcmp(call->op, "marks") == 0)
		atomic_fetch_add(&asked->marks, 1);
}

static inline void asked_open(struct asked *asked, const char *url)
{
	const struct convo_trace trace = {.on_call = asked_count, .ctx = asked};
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF, .trace = &trace};
	struct convo_err err;

	*asked = (struct asked){.store = NULL};
	must_pass(convo_store_open(&asked->store, url, &opts, &err));
}

static inline void asked_close(struct asked *asked)
{
	convo_store_close(asked->store);
}

/* Each thing that can happen to a session is heard of once, if another handle does it. */
static inline void asked_hear_each(convo_watch *watch, convo_store *other)
{
	const struct convo_key *a = &heard_keys[0];
	const struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"x\"}"};
	const struct convo_event draft = {
		.id = "0197b0a1-0000-7000-8000-000000000001",
		.message = "{\"role\":\"assistant\",\"content\":\"so far\"}"};
	const struct convo_item item = {.name = "n", .json = "1"};
	struct convo_expect expect = {.hold = CONVO_HOLD_TAKE};
	convo_lease *lease = NULL;
	struct convo_err err;

	heard_create(other, "a");
	must_hear(watch, "a");
	heard_say(other, "a");
	must_hear(watch, "a");
	must_pass(convo_store_state_set(other, a, &item, 1, NULL, &err));
	must_hear(watch, "a");
	must_pass(convo_lease_new(&lease, NULL, &err));
	expect.lease = lease;
	must_pass(convo_store_append(other, a, &expect, &event, 1, NULL, NULL, &err));
	must_hear(watch, "a");
	must_pass(convo_store_draft(other, a, lease, &draft, NULL, &err));
	must_hear(watch, "a");
	expect.hold = CONVO_HOLD_END;
	must_pass(convo_store_append(other, a, &expect, NULL, 0, NULL, NULL, &err));
	must_hear(watch, "a");
	convo_lease_free(lease);
	must_pass(convo_store_rename(other, a, "title", NULL, &err));
	must_hear(watch, "a");
	must_pass(
		convo_store_fork(other, a, &(struct convo_fork){.session = "b"}, NULL, NULL, &err));
	must_hear(watch, "b");
	must_pass(convo_store_delete(other, a, NULL, &err));
	must_hear(watch, "a");
	must_pass(convo_store_restore(other, a, NULL, NULL, &err));
	must_hear(watch, "a");
}

/* Without having asked, unless that took so long that it was time to. */
static inline void asked_must_hear_all(struct asked *asked, convo_store *other)
{
	convo_watch *watch = watch_of(asked->store);
	int64_t begun_us;
	int marks;

	hear_out(watch);
	marks = asked->marks;
	begun_us = cv_clock_mono_us();
	asked_hear_each(watch, other);
	must(asked->marks == marks || cv_clock_mono_us() - begun_us > ASKED_RARELY_US);
	convo_watch_free(watch);
}

#endif
