/*
 * Many at work on a bad network; see network_work.h. Each appends to a session of its own until it is
 * acknowledged; at the end every event that was is looked for.
 */
#include "store/shared/network_work.h"

#include <base/clock.h>
#include <store/shared/network_net.h>

#define WORKERS 6
#define WORK_EVENTS 20000 /* most of one worker */

struct work {
	struct net *net;
	convo_store *store; /* over the link, shared by all */
	int64_t timeout_ms;
	struct worker {
		struct convo_key key;
		char (*id)[CONVO_UUID_SIZE]; /* those acknowledged, in their order */
		size_t count;
		size_t calls, failed, maybe;
		int64_t longest_us;
	} worker[WORKERS];
	atomic_llong healed_us; /* 0: a success has followed */
	atomic_llong first_us;  /* longest from healing to a success */
};

static void work_note(struct work *work, struct worker *worker, int rc, const struct convo_err *err,
		      int64_t begin_us)
{
	int64_t now_us = cv_clock_mono_us(), healed_us;

	worker->calls++;
	worker->failed += rc < 0;
	worker->maybe += rc < 0 && err->maybe;
	if (now_us - begin_us > worker->longest_us)
		worker->longest_us = now_us - begin_us;
	if (rc < 0)
		return;
	healed_us = atomic_exchange(&work->healed_us, 0);
	if (healed_us && now_us - healed_us > work->first_us)
		work->first_us = now_us - healed_us;
}

/* Append an event until it is acknowledged; between, see whether failures tell the truth. */
static void work_append(struct work *work, struct worker *worker)
{
	struct convo_call bounds = {.timeout_ms = work->timeout_ms};
	struct convo_event event = {.message = "{\"role\":\"user\",\"content\":\"hello\"}"};
	char *id = worker->id[worker->count];
	struct convo_err err;
	bool maybe = false;
	int rc = -1;

	convo_uuid_make(id);
	event.id = id;
	while (rc < 0) {
		int64_t begin_us = cv_clock_mono_us(), seq = 0;

		memset(&err, 0, sizeof(err));
		rc = convo_store_append(work->store, &worker->key, NULL, &event, 1, &seq, &bounds,
					&err);
		work_note(work, worker, rc, &err, begin_us);
		if (rc < 0 && rc != CONVO_E_TIMEOUT && rc != CONVO_E_GONE && rc != CONVO_E_IO)
			must_not_reach("append: %s: %s", convo_code_name(rc), err.text);
		if (rc >= 0)
			must_equal(worker->count + 1, seq);
		maybe = maybe || (rc < 0 && err.maybe);
		if (rc < 0 && !maybe) {
			struct convo_window last = {.n = 1};
			convo_session *session = NULL;

			must_pass(convo_store_load(&session, work->net->healthy, &worker->key,
						   &last, NULL, &err));
			must_equal(worker->count, convo_session_meta(session)->last_seq);
			convo_session_free(session);
		}
		if (rc < 0 && work->net->stop)
			return;
	}
	worker->count++;
}

static void work_run(void *ctx, int index)
{
	struct work *work = ctx;
	struct worker *worker = &work->worker[index];
	convo_session *session = NULL;
	struct convo_call bounds = {.timeout_ms = work->timeout_ms};
	struct convo_window last = {.n = 3};
	struct convo_err err;

	while (!work->net->stop && worker->count < WORK_EVENTS) {
		int64_t begin_us;
		int rc;

		work_append(work, worker);
		begin_us = cv_clock_mono_us();
		memset(&err, 0, sizeof(err));
		rc = convo_store_load(&session, work->store, &worker->key, &last, &bounds, &err);
		work_note(work, worker, rc, &err, begin_us);
		if (rc >= 0)
			must(convo_session_meta(session)->last_seq >= (int64_t)worker->count);
		convo_session_free(session);
		session = NULL;
	}
}

static void work_begin(struct work *work, struct net *net, int64_t timeout_ms, int connections)
{
	struct convo_err err;

	*work = (struct work){.net = net, .timeout_ms = timeout_ms};
	net->stop = false;
	work->store = net_open(net_through, connections);
	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = &work->worker[i];
		static int number;

		worker->id = calloc(WORK_EVENTS + 1, sizeof(*worker->id));
		must(worker->id);
		worker->key = (struct convo_key){"network", "worker", test_text("w%d", ++number)};
		must_pass(convo_store_create(net->healthy, &worker->key, NULL, NULL, NULL, &err));
	}
}

/* All that was acknowledged is there, once, and in its order; and what was not may be the last. */
static void work_end(struct work *work, const char *how)
{
	struct worker sum = {0};

	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = &work->worker[i];
		const struct convo_event *found;
		convo_session *session = NULL;
		struct convo_err err;
		size_t n;

		must_pass(convo_store_load(&session, work->net->healthy, &worker->key, NULL, NULL,
					   &err));
		found = test_events(session, &n);
		must(n == worker->count || n == worker->count + 1);
		for (size_t j = 0; j < n; j++) {
			must_equal(j + 1, found[j].seq);
			must_equal_str(worker->id[j], found[j].id);
		}
		convo_session_free(session);
		free(worker->id);
		sum.count += worker->count;
		sum.calls += worker->calls;
		sum.failed += worker->failed;
		sum.maybe += worker->maybe;
		if (worker->longest_us > sum.longest_us)
			sum.longest_us = worker->longest_us;
	}
	convo_store_close(work->store);
	test_say("%s: %zu calls, %zu failed, %zu of them maybe; %zu events acknowledged, all there "
		 "once; the longest call took %lld of %lld ms; %zu of %zu packets lost so far",
		 how, sum.calls, sum.failed, sum.maybe, sum.count, (long long)sum.longest_us / 1000,
		 (long long)work->timeout_ms, link_lost(net_link), link_packets(net_link));
	if (work->first_us)
		test_say("%s: a success came %lld ms after healing at most", how,
			 (long long)work->first_us / 1000);
	must(sum.count > 0);
	must(sum.longest_us < (work->timeout_ms + SLACK_MS) * 1000);
}

struct bad {
	struct work *work;
	int rounds;
};

/* The last of the threads is the weather. */
static void loss_thread(void *ctx, int index)
{
	struct bad *bad = ctx;

	if (index < WORKERS) {
		work_run(bad->work, index);
		return;
	}
	net_nap(bad->rounds * 1000);
	bad->work->net->stop = true;
}

static void loss_case(struct net *net, int delay_ms, int per_mille, int seconds)
{
	struct work *work = malloc(sizeof(*work));
	struct bad bad = {work, seconds};

	must(work);
	link_heal(net_link);
	link_delay(net_link, delay_ms);
	work_begin(work, net, 5000, 4);
	link_loss(net_link, per_mille);
	test_threads(WORKERS + 1, loss_thread, &bad);
	link_heal(net_link);
	work_end(work, test_text("%d ms, %d of 1,000 lost", delay_ms, per_mille));
	free(work);
}

void test_A2_nothing_is_lost_or_doubled_where_packets_are_lost(void **state)
{
	struct net *net = net_of(state);

	loss_case(net, 20, 0, net_all() ? 20 : 1);
	loss_case(net, 20, 10, net_all() ? 60 : 3);
	loss_case(net, 5, 100, net_all() ? 60 : 2);
}

#define SILENCE_MS 1000

static void flap_thread(void *ctx, int index)
{
	static const enum link_ways ways[] = {LINK_BOTH, LINK_REQUESTS, LINK_REPLIES};
	struct bad *bad = ctx;
	struct work *work = bad->work;

	if (index < WORKERS) {
		work_run(work, index);
		return;
	}
	for (int i = 0; i < bad->rounds; i++) {
		net_nap(300);
		if (i % 5 < 3)
			link_silence(net_link, ways[i % 5]);
		else if (i % 5 == 3)
			link_forget(net_link);
		else
			link_reset(net_link);
		if (i % 5 < 3)
			net_nap(i % 2 ? 400 : SILENCE_MS);
		work->healed_us = cv_clock_mono_us();
		link_heal(net_link);
	}
	net_nap(1000);
	work->net->stop = true;
}

void test_A2_nothing_is_lost_or_doubled_on_a_link_that_comes_and_goes(void **state)
{
	struct net *net = net_of(state);
	struct work *work = malloc(sizeof(*work));
	struct bad bad = {work, net_all() ? 100 : 5};

	must(work);
	work_begin(work, net, TIMEOUT_MS, 4);
	test_threads(WORKERS + 1, flap_thread, &bad);
	work_end(work, "comes and goes");
	/* What a dead connection has locked is free when TCP has told the server of its end: it tries
	 * again after at most as long as it has tried in vain. */
	must(work->first_us > 0 && work->first_us < (SILENCE_MS + TIMEOUT_MS + SLACK_MS) * 1000);
	free(work);
}
