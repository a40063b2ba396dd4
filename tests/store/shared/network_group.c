/*
 * One of several servers is silent; see network_group.h.
 */
#include "store/shared/network_group.h"

#include <base/clock.h>
#include <store/shared/network_net.h>

static struct group *net_group;

/* Let PostgreSQL take those who come from another machine. */
static void group_admit(const struct group *group)
{
	for (int i = 0; i < group->data; i++) {
		server_ask(group->node[i],
			   "COPY (SELECT 'host all all all trust') TO PROGRAM 'cat "
			   ">>%s/data/pg_hba.conf'",
			   group->node[i]->dir);
		server_ask(group->node[i], "SELECT pg_reload_conf()");
	}
}

/* The one that the stores use, which is the first that takes writes. */
static int group_used(void)
{
	int master = group_master(net_group, NULL);

	must(master >= 0);
	return net_group->node[master]->port;
}

/* All of Galera's nodes take writes: what may be repeated does not fail. */
static void test_L3_a_silent_node_gives_way_to_another(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = 3000;
	net_settle(net);
	net_prepare(net);
	link_silence_port(net_link, group_used());
	net_run(net, "one of three is silent");
	net_judge(net);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0 && shot->call->repeats && !shot->call->large)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
	}
	net_prepare(net);
	net_run(net, "one of three is still silent");
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0 && !shot->call->large)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
	}
	net_judge(net);
	link_heal(net_link);
}

/* Nobody else takes writes: each call ends in time, and the truth about it is known. */
static void test_L2_a_silent_primary_costs_the_timeout_and_no_more(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = TIMEOUT_MS;
	net_settle(net);
	net_prepare(net);
	link_silence_port(net_link, group_used());
	net_run(net, "the primary is silent");
	net_judge(net);
	for (int i = 0; i < network_call_count; i++)
		must(net->shot[i].rc < 0);
	/* Without a connection nothing is sent to it. */
	net_prepare(net);
	net_run(net, "the primary is still silent");
	for (int i = 0; i < network_call_count; i++)
		must(net->shot[i].rc < 0 && !net->shot[i].err.maybe);
	link_heal(net_link);
	net_judge_later(net);
	net_recover(net);
}

/* The network of this program does not see the primary, and another takes its place. */
static void test_L3_another_primary_is_found_without_a_restart(void **state)
{
	struct net *net = net_of(state);

	net->bounds.timeout_ms = 5000;
	net_settle(net);
	net_prepare(net);
	link_silence_port(net_link, group_used());
	group_promote(net_group);
	net_run(net, "another is the primary");
	net_judge(net);
	for (int i = 0; i < network_call_count; i++) {
		const struct shot *shot = &net->shot[i];

		if (shot->rc < 0 && shot->call->repeats && !shot->call->large)
			must_not_reach("%s: %s", shot->call->name, shot->err.text);
	}
}

int network_group_run(enum group_kind kind)
{
	const struct CMUnitTest equals[] = {
		NET_TEST_CALLS(test_L3_a_silent_node_gives_way_to_another),
	};
	const struct CMUnitTest pair[] = {
		NET_TEST_CALLS(test_L2_a_silent_primary_costs_the_timeout_and_no_more),
		NET_TEST_CALLS(test_L3_another_primary_is_found_without_a_restart),
	};
	int rc;

	net_link = link_start(&net_why);
	if (net_link) {
		net_group = group_start(kind);
		net_why = net_group ? NULL : "no servers to test with";
	}
	if (!net_why) {
		if (kind != GROUP_GALERA)
			group_admit(net_group);
		net_direct = net_group->url;
		net_through = link_url(net_link, net_direct);
	}
	rc = kind == GROUP_GALERA ? TEST_RUN(equals) : TEST_RUN(pair);
	group_end(net_group);
	link_end(net_link);
	return rc;
}
