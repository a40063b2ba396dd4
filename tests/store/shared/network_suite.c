/*
 * The network suite; see network_suite.h. Most tests make every call at once, each over a store of
 * its own, so that one timeout is waited for and not twenty.
 */
#include "store/shared/network_suite.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <store/shared/network_calls.h>
#include <support/link.h>
#include <support/test.h>

#define TIMEOUT_MS 600
#define SLACK_MS 500  /* a call may end this much later on a busy machine */
#define CANCEL_MS 100 /* and so much after its cancel, and the slack */
#define CALLS 32

static struct link *net_link;
static struct server *net_server;
static const char *net_why; /* there is no link or no server */
static int net_trips;

/* One call of all. */
struct shot {
	const struct network_call *call;
	struct network_try try;
	convo_store *store; /* over the link, with one connection */
	int rc;
	struct convo_err err;
	int64_t took_us, late_us; /* late: after its cancel */
};

struct net {
	convo_store *healthy;
	struct shot shot[CALLS];
	struct convo_call bounds;
	atomic_llong canceled_us; /* when the cancel was asked for */
	atomic_bool stop;
	bool settled;
};

static void nap(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

static bool net_all(void)
{
	const char *text = getenv("CONVO_TEST_NETWORK");

	return text && strcmp(text, "all") == 0;
}

/* ---- setup ------------------------------------------------------------------------------ */

static convo_store *net_open(const char *url, int connections)
{
	const struct convo_store_options opts = {.timeout_ms = 20000,
						 .clean_interval_ms = CONVO_OFF,
						 .max_connections = connections};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

static const char *net_url(void)
{
	return link_url(net_link, net_server);
}

static int net_setup(void **state)
{
	struct net *net = calloc(1, sizeof(*net));

	must(net);
	*state = net;
	if (net_why)
		return 0;
	link_heal(net_link);
	net->healthy = net_open(net_server->url, 4);
	return 0;
}

/* With a store over the link for each call. */
static int net_setup_calls(void **state)
{
	struct net *net;

	net_setup(state);
	net = *state;
	must(network_call_count <= CALLS);
	for (int i = 0; !net_why && i < network_call_count; i++) {
		net->shot[i].call = &network_calls[i];
		net->shot[i].store = net_open(net_url(), 1);
	}
	return 0;
}

static int net_teardown(void **state)
{
	struct net *net = *state;

	for (int i = 0; i < CALLS; i++)
		convo_store_close(net->shot[i].store);
	convo_store_close(net->healthy);
	convo_cancel_free(net->bounds.cancel);
	free(net);
	return 0;
}

static struct net *net_of(void **state)
{
	if (net_why)
		test_skip("%s", net_why);
	return *state;
}

/* ---- all calls at once -------------------------------------------------------------------- */

static void shot_settle(void *ctx, int index)
{
	struct net *net = ctx;
	struct convo_key key = {.app = "network", .user = "nobody"};
	convo_state *state = NULL;
	struct convo_err err;

	/* It may not have noticed. */
	if (net->shot[index].call->optional && net->settled)
		return;
	must_pass(convo_store_state_list(&state, net->shot[index].store, &key, CONVO_SCOPE_USER,
					 NULL, &err));
	convo_state_free(state);
}

static void shot_run(void *ctx, int index)
{
	struct net *net = ctx;
	struct shot *shot = &net->shot[index];
	int64_t begin_us = cv_clock_mono_us();

	memset(&shot->err, 0, sizeof(shot->err));
	shot->rc = shot->call->run(&shot->try, shot->store, &net->bounds, &shot->err);
	shot->took_us = cv_clock_mono_us() - begin_us;
	shot->late_us = cv_clock_mono_us() - net->canceled_us;
}

/* Every store has a connection that works, and every call what it needs. */
static void net_settle(struct net *net)
{
	link_heal(net_link);
	test_threads(network_call_count, shot_settle, net);
	net->settled = true;
}

static void net_prepare(struct net *net)
{
	for (int i = 0; i < network_call_count; i++)
		network_prepare(&net->shot[i].try, net->shot[i].call, net->healthy);
}

static void net_run(struct net *net, const char *how)
{
	int64_t longest_us = 0;
	int failed = 0, maybe = 0;

	test_threads(network_call_count, shot_run, net);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		failed += shot->rc < 0;
		maybe += shot->rc < 0 && shot->err.maybe;
		if (shot->took_us > longest_us)
			longest_us = shot->took_us;
		if (shot->took_us > (net->bounds.timeout_ms + SLACK_MS) * 1000)
			must_not_reach("%s took %lld ms", shot->call->name,
				       (long long)shot->took_us / 1000);
	}
	test_say("%s: %d calls, %d failed, %d of them maybe, the longest took %lld of %lld ms", how,
		 network_call_count, failed, maybe, (long long)longest_us / 1000,
		 (long long)net->bounds.timeout_ms);
}

static bool shot_done(const struct net *net, const struct shot *shot)
{
	return shot->call->done && shot->call->done(&shot->try, net->healthy);
}

/* The truth of A8, as the server itself tells it. */
static void net_judge(const struct net *net)
{
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];
		bool done = shot_done(net, shot);

		if (shot->rc < 0 && shot->rc != CONVO_E_TIMEOUT && shot->rc != CONVO_E_GONE &&
		    shot->rc != CONVO_E_IO && shot->rc != CONVO_E_CANCELED)
			must_not_reach("%s: %s: %s", shot->call->name, convo_code_name(shot->rc),
				       shot->err.text);
		if (shot->rc >= 0 && shot->call->done && !done)
			must_not_reach("%s is not done, but acknowledged", shot->call->name);
		if (shot->rc < 0 && done && !shot->err.maybe)
			must_not_reach("%s is done, but not maybe: %s", shot->call->name,
				       shot->err.text);
	}
}

/* What was not done when the calls had failed is not done later either: nothing that was given up is
 * still on its way, but what does no harm so late. */
static void net_judge_later(const struct net *net)
{
	bool done[CALLS] = {false};

	for (int i = 0; i < network_call_count; i++)
		done[i] = shot_done(net, &net->shot[i]);
	nap(1500);
	for (int i = 0; i < network_call_count; i++) {
		if (net->shot[i].rc < 0 && !net->shot[i].call->repeats && !done[i] &&
		    shot_done(net, &net->shot[i]))
			must_not_reach("%s was carried out after it had failed",
				       net->shot[i].call->name);
	}
}

/* Every call works again, at once. */
static void net_recover(struct net *net)
{
	int64_t begin_us = cv_clock_mono_us(), took_us;

	test_threads(network_call_count, shot_settle, net);
	took_us = cv_clock_mono_us() - begin_us;
	test_say("healed: all stores work again after %lld ms", (long long)took_us / 1000);
	must(took_us < SLACK_MS * 1000);
}

static void net_must_fail_all(const struct net *net, int code)
{
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc != code && !(shot->call->optional && shot->rc == 0))
			must_not_reach("%s: %s: %s", shot->call->name, convo_code_name(shot->rc),
				       shot->err.text);
	}
}

/* ---- silence ------------------------------------------------------------------------------ */

static const struct {
	enum link_ways ways;
	const char *name;
} silences[] = {{LINK_BOTH, "silent"},
		{LINK_REQUESTS, "requests swallowed"},
		{LINK_REPLIES, "replies swallowed"}};

static void test_L2_every_call_ends_in_time_on_a_silent_link(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = TIMEOUT_MS;
	for (size_t i = 0; i < sizeof(silences) / sizeof(silences[0]); i++) {
		net_settle(net);
		net_prepare(net);
		link_silence(net_link, silences[i].ways);
		net_run(net, silences[i].name);
		net_must_fail_all(net, CONVO_E_TIMEOUT);
		net_judge(net);
		link_heal(net_link);
		net_recover(net);
		net_judge(net);
		net_judge_later(net);
	}
}

static void test_A8_what_was_never_sent_is_not_maybe(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = TIMEOUT_MS;
	net_settle(net);
	net_prepare(net);
	link_silence(net_link, LINK_BOTH);
	net_run(net, "silent");
	/* Now none of the stores has a connection. */
	net_prepare(net);
	net_run(net, "silent, and not connected");
	net_must_fail_all(net, CONVO_E_TIMEOUT);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->err.maybe)
			must_not_reach("%s is maybe: %s", shot->call->name, shot->err.text);
	}
	link_heal(net_link);
	net_judge_later(net);
	net_recover(net);
}

static void *net_cancel(void *ctx)
{
	struct net *net = ctx;

	nap(200);
	net->canceled_us = cv_clock_mono_us();
	convo_cancel_request(net->bounds.cancel);
	return NULL;
}

static void net_run_canceled(struct net *net, const char *how)
{
	int64_t longest_us = 0;
	pthread_t thread;

	net->canceled_us = INT64_MAX;
	convo_cancel_reset(net->bounds.cancel);
	must(pthread_create(&thread, NULL, net_cancel, net) == 0);
	net_run(net, how);
	pthread_join(thread, NULL);
	net_must_fail_all(net, CONVO_E_CANCELED);
	for (int i = 0; i < network_call_count; i++) {
		if (net->shot[i].late_us > longest_us)
			longest_us = net->shot[i].late_us;
	}
	test_say("%s: %lld ms after the cancel", how, (long long)longest_us / 1000);
	must(longest_us < (CANCEL_MS + SLACK_MS) * 1000);
}

static void test_L2_a_cancel_ends_every_call_on_a_silent_link(void **state)
{
	struct net *net = net_of(state);
	struct convo_err err;

	net->bounds.timeout_ms = 10000;
	must_pass(convo_cancel_new(&net->bounds.cancel, &err));
	net_settle(net);
	net_prepare(net);
	link_silence(net_link, LINK_BOTH);
	net_run_canceled(net, "canceled");
	net_prepare(net);
	net_run_canceled(net, "canceled while connecting");
	for (int i = 0; i < network_call_count; i++)
		must(!net->shot[i].err.maybe);
	link_heal(net_link);
	net_judge(net);
	net_judge_later(net);
	net_recover(net);
}

static void test_L2_closing_does_not_wait_for_a_silent_link(void **state)
{
	struct net *net = net_of(state);
	int64_t begin_us, longest_us = 0;

	net_settle(net);
	link_silence(net_link, LINK_BOTH);
	for (int i = 0; i < network_call_count; i++) {
		begin_us = cv_clock_mono_us();
		convo_store_close(net->shot[i].store);
		net->shot[i].store = NULL;
		if (cv_clock_mono_us() - begin_us > longest_us)
			longest_us = cv_clock_mono_us() - begin_us;
	}
	test_say("closing took %lld ms at most", (long long)longest_us / 1000);
	must(longest_us < (CANCEL_MS + SLACK_MS) * 1000);
}

/* The store's own thread may be cleaning at that moment. */
static void test_L2_closing_does_not_wait_for_a_cleaning(void **state)
{
	const struct convo_store_options opts = {.timeout_ms = 10000, .clean_interval_ms = 50};
	int64_t begin_us;
	convo_store *store = NULL;
	struct convo_err err;

	net_of(state);
	must_pass(convo_store_open(&store, net_url(), &opts, &err));
	link_silence(net_link, LINK_BOTH);
	nap(300);
	begin_us = cv_clock_mono_us();
	convo_store_close(store);
	test_say("closing took %lld ms", (long long)(cv_clock_mono_us() - begin_us) / 1000);
	must(cv_clock_mono_us() - begin_us < (CANCEL_MS + SLACK_MS) * 1000);
}

/* ---- opening ------------------------------------------------------------------------------ */

struct opening {
	convo_cancel *cancel;
	int64_t timeout_ms, took_us;
	int rc, after_ms;
	struct convo_err err;
	pthread_t thread;
};

static void *open_run(void *ctx)
{
	struct opening *opening = ctx;
	const struct convo_store_options opts = {.timeout_ms = opening->timeout_ms,
						 .clean_interval_ms = CONVO_OFF,
						 .cancel = opening->cancel};
	int64_t begin_us = cv_clock_mono_us();
	convo_store *store = NULL;

	opening->rc = convo_store_open(&store, net_url(), &opts, &opening->err);
	opening->took_us = cv_clock_mono_us() - begin_us;
	convo_store_close(store);
	return NULL;
}

/* Opening takes some round trips, of 40 ms each; the link goes silent before, in and after them. */
static void test_L2_opening_ends_in_time_whenever_the_link_goes_silent(void **state)
{
	struct opening opening[8];

	net_of(state);
	link_delay(net_link, 20);
	for (int i = 7; i >= 0; i--) {
		opening[i] = (struct opening){.timeout_ms = TIMEOUT_MS, .after_ms = i * 30};
		must(pthread_create(&opening[i].thread, NULL, open_run, &opening[i]) == 0);
		nap(30);
	}
	link_silence(net_link, LINK_BOTH);
	for (int i = 0; i < 8; i++) {
		pthread_join(opening[i].thread, NULL);
		if (opening[i].took_us > (TIMEOUT_MS + SLACK_MS) * 1000)
			must_not_reach("opening took %lld ms",
				       (long long)opening[i].took_us / 1000);
		if (opening[i].rc < 0)
			must_equal(CONVO_E_TIMEOUT, opening[i].rc);
	}
	must_equal(CONVO_E_TIMEOUT, opening[0].rc);
}

static void test_L2_a_cancel_ends_opening_on_a_silent_link(void **state)
{
	struct opening opening = {.timeout_ms = 10000};
	int64_t begin_us;
	struct convo_err err;

	net_of(state);
	link_silence(net_link, LINK_BOTH);
	must_pass(convo_cancel_new(&opening.cancel, &err));
	must(pthread_create(&opening.thread, NULL, open_run, &opening) == 0);
	nap(200);
	begin_us = cv_clock_mono_us();
	convo_cancel_request(opening.cancel);
	pthread_join(opening.thread, NULL);
	must_equal(CONVO_E_CANCELED, opening.rc);
	must(cv_clock_mono_us() - begin_us < (CANCEL_MS + SLACK_MS) * 1000);
	convo_cancel_free(opening.cancel);
}

/* ---- connections that are gone without a word --------------------------------------------- */

/* What may be carried out twice does not notice; the rest fails once. */
static void net_run_replaced(struct net *net, const char *how)
{
	net_run(net, how);
	net_judge(net);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0 && shot->call->repeats && !shot->call->large)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
	}
	net_recover(net);
}

static void test_L3_a_firewall_that_forgets_costs_half_of_the_time(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = 2000;
	net_settle(net);
	net_prepare(net);
	link_forget(net_link);
	net_run_replaced(net, "forgotten");
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->call->repeats && !shot->call->large &&
		    shot->took_us > (1000 + SLACK_MS) * 1000)
			must_not_reach("%s took %lld ms", shot->call->name,
				       (long long)shot->took_us / 1000);
	}
}

static void test_L3_a_reset_is_not_noticed(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = 5000;
	net_settle(net);
	net_prepare(net);
	link_reset(net_link);
	net_run_replaced(net, "reset");
}

/* How many connections over the link the kernel asks after, of those that idle: in a minute or sooner. */
static int net_kept_alive(int *all)
{
	FILE *file = fopen("/proc/self/net/tcp", "r");
	unsigned address, state, timer, port;
	unsigned long when;
	char line[256];
	int kept = 0;

	must(file);
	*all = 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*d: %*x:%*x %x:%x %x %*x:%*x %x:%lx", &address, &port, &state,
			   &timer, &when) != 5 ||
		    port != (unsigned)net_server->port || state != 1 ||
		    address == htonl(INADDR_LOOPBACK))
			continue;
		++*all;
		kept += timer == 2 && when <= 60ul * (unsigned long)sysconf(_SC_CLK_TCK);
	}
	fclose(file);
	return kept;
}

static void test_L4_idle_connections_are_asked_after(void **state)
{
	int all, kept;

	net_settle(net_of(state));
	nap(500); /* the last answers are acknowledged */
	kept = net_kept_alive(&all);
	must(all >= network_call_count);
	must_equal(all, kept);
}

/* So that one which has gone is missed before a call needs it. */
static void test_L4_an_idle_connection_that_died_costs_nothing(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = 5000;
	net_settle(net);
	net_prepare(net);
	link_forget(net_link);
	test_say("a break of two minutes and a half");
	nap(150000);
	net_run(net, "forgotten long ago");
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
		must(shot->call->large || shot->took_us < 1000000);
	}
	net_judge(net);
}

/* A server that has taken the request but is slow: it is not asked twice. */
static void *net_resume(void *ctx)
{
	(void)ctx;
	nap(800);
	server_resume(net_server);
	return NULL;
}

static void test_L3_a_slow_server_is_waited_for(void **state)
{
	struct net *net = net_of(state);
	pthread_t thread;

	net->bounds.timeout_ms = 1200 + SLACK_MS;
	net_settle(net);
	net_prepare(net);
	server_pause(net_server);
	must(pthread_create(&thread, NULL, net_resume, NULL) == 0);
	net_run(net, "paused for 800 ms");
	pthread_join(thread, NULL);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0 && !shot->call->large)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
	}
	net_judge(net);
}

/* ---- a long way --------------------------------------------------------------------------- */

static int64_t trips_of(struct net *net, convo_store *store, const struct network_call *call)
{
	struct network_try try = {0};
	struct convo_err err = {0};
	int64_t best_us = INT64_MAX, took_us, begin_us;

	for (int i = 0; i < 5; i++) {
		network_prepare(&try, call, net->healthy);
		begin_us = cv_clock_mono_us();
		must_pass(call->run(&try, store, NULL, &err));
		took_us = cv_clock_mono_us() - begin_us;
		if (took_us < best_us)
			best_us = took_us;
	}
	return best_us;
}

/* At 20 ms each way time counts the round trips. */
static void test_P1_round_trips_are_as_promised_over_a_long_way(void **state)
{
	struct net *net = net_of(state);
	convo_store *store;

	link_delay(net_link, 20);
	store = net_open(net_url(), 1);
	for (int i = 0; i < network_call_count; i++) {
		const struct network_call *call = &network_calls[i];
		bool counts = strcmp(call->name, "create") == 0 ||
			      strcmp(call->name, "append") == 0 || strcmp(call->name, "load") == 0;
		int64_t took_us;

		if (!counts && !net_all())
			continue;
		took_us = trips_of(net, store, call);
		test_say("%s: %.1f round trips", call->name, (double)took_us / 40000);
		if (counts && took_us >= net_trips * 40000 + 36000)
			must_not_reach("%s takes more than %d round trips", call->name, net_trips);
	}
	convo_store_close(store);
}

/* ---- many at work ------------------------------------------------------------------------- */

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
	work->store = net_open(net_url(), connections);
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
	nap(bad->rounds * 1000);
	bad->work->net->stop = true;
}

static void loss_case(struct net *net, int delay_ms, int per_mille, int seconds)
{
	struct work *work = malloc(sizeof(*work));
	struct bad bad = {work, seconds};

	must(work);
	link_heal(net_link);
	work_begin(work, net, 5000, 4);
	link_delay(net_link, delay_ms);
	link_loss(net_link, per_mille);
	test_threads(WORKERS + 1, loss_thread, &bad);
	link_heal(net_link);
	work_end(work, test_text("%d ms, %d of 1,000 lost", delay_ms, per_mille));
	free(work);
}

static void test_A2_nothing_is_lost_or_doubled_where_packets_are_lost(void **state)
{
	struct net *net = net_of(state);

	loss_case(net, 20, 0, net_all() ? 20 : 1);
	loss_case(net, 20, 10, net_all() ? 60 : 3);
	loss_case(net, 5, 100, net_all() ? 60 : 2);
}

#define SILENCE_MS 1000

static void flap_thread(void *ctx, int index)
{
	struct bad *bad = ctx;
	struct work *work = bad->work;

	if (index < WORKERS) {
		work_run(work, index);
		return;
	}
	for (int i = 0; i < bad->rounds; i++) {
		nap(300);
		if (i % 5 < 3)
			link_silence(net_link, silences[i % 5].ways);
		else if (i % 5 == 3)
			link_forget(net_link);
		else
			link_reset(net_link);
		if (i % 5 < 3)
			nap(i % 2 ? 400 : SILENCE_MS);
		work->healed_us = cv_clock_mono_us();
		link_heal(net_link);
	}
	nap(1000);
	work->net->stop = true;
}

static void test_A2_nothing_is_lost_or_doubled_on_a_link_that_comes_and_goes(void **state)
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

/* ---- a slow link -------------------------------------------------------------------------- */

#define SLOW (64 << 10)

static void test_L2_a_slow_link_ends_what_is_too_long_and_no_more(void **state)
{
	static char text[100 << 10];
	struct net *net = net_of(state);
	struct convo_call brief = {.timeout_ms = TIMEOUT_MS}, long_enough = {.timeout_ms = 8000};
	struct network_try try = {0};
	struct convo_event event = {.id = try.id[3], .message = text};
	convo_session *session = NULL;
	convo_store *store = net_open(net_url(), 1);
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err;
	int n = snprintf(text, sizeof(text), "{\"role\":\"user\",\"content\":\"");

	memset(text + n, 'x', sizeof(text) - 1 - (size_t)n);
	memcpy(text + sizeof(text) - 3, "\"}", 3);
	network_prepare(&try, &network_calls[1], net->healthy);
	convo_uuid_make(try.id[3]);
	link_rate(net_link, SLOW);
	/* 100 kB take 1.6 s. */
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_append(store, &try.key, NULL, &event, 1, NULL, &brief, &err));
	must(cv_clock_mono_us() - begin_us < (TIMEOUT_MS + SLACK_MS) * 1000);
	must_pass(convo_store_append(store, &try.key, NULL, &event, 1, NULL, &long_enough, &err));
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_load(&session, store, &try.key, NULL, &brief, &err));
	must(cv_clock_mono_us() - begin_us < (TIMEOUT_MS + SLACK_MS) * 1000);
	must_pass(convo_store_load(&session, store, &try.key, NULL, &long_enough, &err));
	must_equal(4, convo_session_count(session));
	convo_session_free(session);
	convo_store_close(store);
}

/* ---- running ------------------------------------------------------------------------------ */

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)
#define NET_TEST_CALLS(name) cmocka_unit_test_setup_teardown(name, net_setup_calls, net_teardown)

int network_suite_run(enum server_kind kind, const char *const *args, int trips)
{
	const struct CMUnitTest network[] = {
		NET_TEST_CALLS(test_L2_every_call_ends_in_time_on_a_silent_link),
		NET_TEST_CALLS(test_A8_what_was_never_sent_is_not_maybe),
		NET_TEST_CALLS(test_L2_a_cancel_ends_every_call_on_a_silent_link),
		NET_TEST_CALLS(test_L2_closing_does_not_wait_for_a_silent_link),
		NET_TEST(test_L2_closing_does_not_wait_for_a_cleaning),
		NET_TEST(test_L2_opening_ends_in_time_whenever_the_link_goes_silent),
		NET_TEST(test_L2_a_cancel_ends_opening_on_a_silent_link),
		NET_TEST_CALLS(test_L3_a_firewall_that_forgets_costs_half_of_the_time),
		NET_TEST_CALLS(test_L3_a_reset_is_not_noticed),
		NET_TEST_CALLS(test_L4_idle_connections_are_asked_after),
		NET_TEST_CALLS(test_L3_a_slow_server_is_waited_for),
		NET_TEST(test_P1_round_trips_are_as_promised_over_a_long_way),
		NET_TEST(test_A2_nothing_is_lost_or_doubled_where_packets_are_lost),
		NET_TEST(test_A2_nothing_is_lost_or_doubled_on_a_link_that_comes_and_goes),
		NET_TEST(test_L2_a_slow_link_ends_what_is_too_long_and_no_more),
	};
	const struct CMUnitTest long_ones[] = {
		NET_TEST_CALLS(test_L4_an_idle_connection_that_died_costs_nothing),
	};
	int rc;

	net_trips = trips;
	net_link = link_start(&net_why);
	if (net_link) {
		net_server = server_start_with(kind, SERVER_FAST, args);
		net_why = net_server ? NULL : "no server to test with";
	}
	rc = TEST_RUN(network);
	if (net_all())
		rc += TEST_RUN(long_ones);
	server_end(net_server);
	link_end(net_link);
	return rc;
}
