/*
 * A watcher: when there is news of one of its lanes it loads after the seq that it knows, and never else.
 */
#include "flow.h"

#include <inttypes.h>

#include <convo/watch.h>

#define SILENCE_MS 45000 /* longer than any fault hides what was written */
#define LOAD_MOST 1000

struct follow {
	struct flow *flow;
	convo_store *store;
	convo_watch *watch;
	uint32_t watcher, which, lane;
	uint32_t life;
	int64_t seq;               /* of the last event that it has seen */
	uint32_t next[FLOW_SHARE]; /* the number that a part's next event must have */
	uint64_t sum;
};

static void follow_late(struct flow *flow, int64_t us)
{
	int64_t most = atomic_load(&flow->late_us);

	while (us > most && !atomic_compare_exchange_weak(&flow->late_us, &most, us))
		;
}

static void follow_event(struct follow *follow, const struct convo_event *stored, int64_t now_us)
{
	struct flow *flow = follow->flow;
	struct flow_event event;
	int64_t at_us;

	if (stored->seq != follow->seq + 1)
		flow_wrong(flow, "lane %" PRIu32 ".%" PRIu32 ": seq %" PRId64 " after %" PRId64,
			   follow->lane, follow->life, stored->seq, follow->seq);
	follow->seq = stored->seq;
	if (!flow_event_read(&event, stored, &at_us) || event.lane != follow->lane ||
	    event.life != follow->life) {
		flow_wrong(flow, "lane %" PRIu32 ".%" PRIu32 ": nobody wrote %s: %.100s",
			   follow->lane, follow->life, stored->id, stored->message);
		return;
	}
	if (event.n != follow->next[event.part])
		flow_wrong(flow,
			   "lane %" PRIu32 ".%" PRIu32 ": event %" PRIu32 ".%" PRIu32
			   " where %" PRIu32 " is next",
			   follow->lane, follow->life, event.part, event.n,
			   follow->next[event.part]);
	follow->next[event.part] = event.n + 1;
	follow->sum += flow_sum(&event, stored->seq);
	follow_late(flow, now_us - at_us);
	if (flow->pause_ms)
		flow->stamp[follow->lane * FLOW_SHARE * flow->quota + (uint32_t)stored->seq - 1]
			.seen[follow->which] = now_us;
}

/* Load what is new, until nothing is. @return how many events that was */
static size_t follow_load(struct follow *follow)
{
	char name[FLOW_NAME];
	const struct convo_key key = flow_key(name, follow->lane, follow->life);
	size_t all = 0, count = LOAD_MOST;

	while (count == LOAD_MOST) {
		const struct convo_window window = {
			.kind = CONVO_WINDOW_AFTER, .seq = follow->seq, .n = LOAD_MOST};
		convo_session *session = NULL;
		struct convo_err err = {0};
		int64_t now_us;
		int rc = convo_store_load(&session, follow->store, &key, &window, NULL, &err);

		if (rc == CONVO_E_NOTFOUND && follow->seq == 0)
			return all;
		if (rc < 0) {
			if (!flow_is_trouble(rc))
				flow_wrong(follow->flow, "load of '%s' after %" PRId64 ": %s", name,
					   follow->seq, err.text);
			flow_nap_ms(20);
			continue;
		}
		now_us = flow_now_us();
		count = convo_session_count(session);
		for (size_t i = 0; i < count; i++)
			follow_event(follow, convo_session_event(session, i), now_us);
		convo_session_free(session);
		all += count;
	}
	return all;
}

static void follow_begin(struct follow *follow)
{
	char name[FLOW_NAME];
	const struct convo_key key = flow_key(name, follow->lane, follow->life);
	struct convo_err err;

	if (convo_watch_add(follow->watch, &key, follow, &err) < 0)
		flow_wrong(follow->flow, "watch of '%s': %s", name, err.text);
}

/* Whether the server has been there for as long as nothing was heard of it. */
static bool follow_could_hear(const struct follow *follow)
{
	return atomic_load(&follow->flow->back_us) < flow_now_us() - SILENCE_MS * INT64_C(1000);
}

/* Its life is over: on to the next one. */
static void follow_end(struct follow *follow)
{
	struct flow_lane *lane = &follow->flow->lane[follow->lane];
	char name[FLOW_NAME];
	const struct convo_key key = flow_key(name, follow->lane, follow->life);

	convo_watch_remove(follow->watch, &key);
	follow->life++;
	follow->seq = 0;
	for (uint32_t i = 0; i < FLOW_SHARE; i++)
		follow->next[i] = 0;
	lane->sum[follow->which] = follow->sum;
	atomic_store(&lane->past[follow->which], follow->life);
	if (follow->life < follow->flow->lives)
		follow_begin(follow);
}

static void follow_on(struct follow *follow, bool told)
{
	bool late = !told && follow_could_hear(follow);
	size_t count = follow_load(follow);

	if (late && count)
		flow_wrong(follow->flow,
			   "lane %" PRIu32 ".%" PRIu32 ": %zu events up to %" PRId64
			   " and no news of them for %d s",
			   follow->lane, follow->life, count, follow->seq, SILENCE_MS / 1000);
	atomic_fetch_add(&follow->flow->seen, count);
	if (follow->seq >= (int64_t)FLOW_SHARE * follow->flow->quota)
		follow_end(follow);
}

void flow_watch(struct flow *flow, convo_store *store, uint32_t watcher)
{
	const struct convo_call patient = {.timeout_ms = SILENCE_MS};
	struct follow follow[FLOW_SHARE] = {0};
	convo_watch *watch = NULL;
	struct convo_err err;
	uint32_t left = FLOW_SHARE;

	if (convo_watch_new(&watch, store, &err) < 0) {
		flow_wrong(flow, "watch: %s", err.text);
		return;
	}
	for (uint32_t i = 0; i < FLOW_SHARE; i++) {
		follow[i] = (struct follow){.flow = flow, .store = store, .watch = watch};
		follow[i].watcher = watcher;
		follow[i].which = i;
		follow[i].lane = flow_lane_of(watcher, i);
		follow_begin(&follow[i]);
	}
	while (left) {
		void *tag = NULL;
		int rc = convo_watch_next(watch, NULL, &tag, &patient, &err);

		if (rc == 0) {
			follow_on(tag, true);
		} else {
			if (rc != CONVO_E_TIMEOUT)
				flow_wrong(flow, "wait for news: %s", err.text);
			for (uint32_t i = 0; i < FLOW_SHARE; i++)
				if (follow[i].life < flow->lives)
					follow_on(&follow[i], false);
		}
		left = 0;
		for (uint32_t i = 0; i < FLOW_SHARE; i++)
			left += follow[i].life < flow->lives;
	}
	convo_watch_free(watch);
}
