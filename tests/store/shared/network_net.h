/*
 * What the network suites share: a link, servers behind it, a store over the link for each call, and the
 * truth about what became of the calls.
 */
#ifndef TESTS_STORE_SHARED_NETWORK_NET_H
#define TESTS_STORE_SHARED_NETWORK_NET_H

#include <stdatomic.h>

#include <support/link.h>
#include <support/test.h>

#include "store/shared/network_calls.h"

#define TIMEOUT_MS 600
#define SLACK_MS 500  /* a call may end this much later on a busy machine */
#define CANCEL_MS 100 /* and so much after its cancel, and the slack */
#define RECOVER_MS \
	2000 /* in which so many stores connect again, to a server that starts a process for each */
#define CALLS 32

extern struct link *net_link;
extern const char *net_why;                  /* there is no link or no server */
extern const char *net_direct, *net_through; /* URLs: the healthy way, and over the link */

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

void net_nap(int ms);

/** Whether what is a matter of luck is to take its time. */
bool net_all(void);

/** Open a store that has 20 s for a call. */
convo_store *net_open(const char *url, int connections);

/** cmocka's; the second with a store over the link for each call. */
int net_setup(void **state);
int net_setup_calls(void **state);
int net_teardown(void **state);

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)
#define NET_TEST_CALLS(name) cmocka_unit_test_setup_teardown(name, net_setup_calls, net_teardown)

/** Skips where there is no link. */
struct net *net_of(void **state);

/** Heal the link; every store has a connection that works. */
void net_settle(struct net *net);

/** Every call has what it needs. */
void net_prepare(struct net *net);

/** Make all calls at once; each must end in time. */
void net_run(struct net *net, const char *how);

/** The truth of A8, as the server itself tells it. */
void net_judge(const struct net *net);

/** What was not done when the calls had failed is not done later either, but what does no harm so late. */
void net_judge_later(const struct net *net);

/** Every store works again, at once. */
void net_recover(struct net *net);

void net_must_fail_all(const struct net *net, int code);

#endif
