/*
 * The network suite; see network_suite.h.
 */
#include "store/shared/network_suite.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <base/clock.h>
#include <store/shared/network_net.h>
#include <store/shared/network_work.h>

static struct server *net_server;
static int net_trips;

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

	net_nap(200);
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
	must_pass(convo_store_open(&store, net_through, &opts, &err));
	link_silence(net_link, LINK_BOTH);
	net_nap(300);
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

	opening->rc = convo_store_open(&store, net_through, &opts, &opening->err);
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
		net_nap(30);
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
	net_nap(200);
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
	net_nap(500); /* the last answers are acknowledged */
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
	net_nap(150000);
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
	net_nap(800);
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

	/* On a busy machine some are late for other reasons. */
	for (int i = 0; i < 20 && best_us > 44000; i++) {
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
	store = net_open(net_through, 1);
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

/* Appends of many threads, each to a session of its own: how long the fastest of each takes. */
struct crowd {
	struct net *net;
	convo_store *store;
	int64_t best_us[6];
};

static void crowd_run(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	struct network_try try = {0};
	struct convo_err err;

	crowd->best_us[index] = INT64_MAX;
	network_prepare(&try, &network_calls[1], crowd->net->healthy);
	for (int i = 0; i < 20; i++) {
		int64_t begin_us = cv_clock_mono_us(), took_us;

		must_pass(network_calls[1].run(&try, crowd->store, NULL, &err));
		took_us = cv_clock_mono_us() - begin_us;
		if (took_us < crowd->best_us[index])
			crowd->best_us[index] = took_us;
	}
}

static void test_P1_a_crowd_takes_no_more_trips_over_a_long_way(void **state)
{
	struct crowd crowd = {.net = net_of(state)};

	link_delay(net_link, 20);
	crowd.store = net_open(net_through, 8);
	test_threads(6, crowd_run, &crowd);
	convo_store_close(crowd.store);
	for (int i = 0; i < 6; i++) {
		test_say("append, in a crowd: %.1f round trips", (double)crowd.best_us[i] / 40000);
		must(crowd.best_us[i] < net_trips * 40000 + 36000);
	}
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
	convo_store *store = net_open(net_through, 1);
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
		NET_TEST(test_P1_a_crowd_takes_no_more_trips_over_a_long_way),
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
	if (!net_why) {
		net_direct = net_server->url;
		net_through = link_url(net_link, net_direct);
	}
	rc = TEST_RUN(network);
	if (net_all())
		rc += TEST_RUN(long_ones);
	server_end(net_server);
	link_end(net_link);
	return rc;
}
