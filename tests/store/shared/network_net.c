/*
 * What the network suites share; see network_net.h. All calls are made at once, each over a store of its
 * own, so that one timeout is waited for and not twenty.
 */
#include "store/shared/network_net.h"

#include <time.h>

#include <base/clock.h>

struct link *net_link;
const char *net_why, *net_direct, *net_through;

void net_nap(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

bool net_all(void)
{
	const char *text = getenv("CONVO_TEST_NETWORK");

	return text && strcmp(text, "all") == 0;
}

/* ---- setup ------------------------------------------------------------------------------ */

convo_store *net_open(const char *url, int connections)
{
	const struct convo_store_options opts = {.timeout_ms = 20000,
						 .clean_interval_ms = CONVO_OFF,
						 .max_connections = connections};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

int net_setup(void **state)
{
	struct net *net = calloc(1, sizeof(*net));

	must(net);
	*state = net;
	if (net_why)
		return 0;
	link_heal(net_link);
	net->healthy = net_open(net_direct, 4);
	return 0;
}

/* With a store over the link for each call. */
int net_setup_calls(void **state)
{
	struct net *net;

	net_setup(state);
	net = *state;
	must(network_call_count <= CALLS);
	for (int i = 0; !net_why && i < network_call_count; i++) {
		net->shot[i].call = &network_calls[i];
		net->shot[i].store = net_open(net_through, 1);
	}
	return 0;
}

int net_teardown(void **state)
{
	struct net *net = *state;

	for (int i = 0; i < CALLS; i++)
		convo_store_close(net->shot[i].store);
	convo_store_close(net->healthy);
	convo_cancel_free(net->bounds.cancel);
	free(net);
	return 0;
}

struct net *net_of(void **state)
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
void net_settle(struct net *net)
{
	link_heal(net_link);
	test_threads(network_call_count, shot_settle, net);
	net->settled = true;
}

void net_prepare(struct net *net)
{
	for (int i = 0; i < network_call_count; i++)
		network_prepare(&net->shot[i].try, net->shot[i].call, net->healthy);
}

void net_run(struct net *net, const char *how)
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
void net_judge(const struct net *net)
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
void net_judge_later(const struct net *net)
{
	bool done[CALLS] = {false};

	for (int i = 0; i < network_call_count; i++)
		done[i] = shot_done(net, &net->shot[i]);
	net_nap(1500);
	for (int i = 0; i < network_call_count; i++) {
		if (net->shot[i].rc < 0 && !net->shot[i].call->repeats && !done[i] &&
		    shot_done(net, &net->shot[i]))
			must_not_reach("%s was carried out after it had failed",
				       net->shot[i].call->name);
	}
}

/* Every call works again, at once. */
void net_recover(struct net *net)
{
	int64_t begin_us = cv_clock_mono_us(), took_us;

	test_threads(network_call_count, shot_settle, net);
	took_us = cv_clock_mono_us() - begin_us;
	test_say("healed: all stores work again after %lld ms", (long long)took_us / 1000);
	must(took_us < RECOVER_MS * 1000);
}

void net_must_fail_all(const struct net *net, int code)
{
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc != code && !(shot->call->optional && shot->rc == 0))
			must_not_reach("%s: %s: %s", shot->call->name, convo_code_name(shot->rc),
				       shot->err.text);
	}
}
