/*
 * Hearing of sessions from several Redis servers: a cluster, of which any node tells, and a master that
 * sentinels watch. The node that tells is killed, stands still, or hands over.
 */
#include "store/shared/heard.h"

#include "store/redis/asked.h"
#include "store/redis/grouped.h"

/* The node that tells; -1 where there is none. */
static int ear_node(void)
{
	for (int i = 0; i < group->data; i++) {
		const char *told = server_try(group->node[i], "PUBSUB NUMSUB convo:ears");

		if (strchr(told, '\n') && atoi(strchr(told, '\n') + 1) > 0)
			return i;
	}
	return -1;
}

/* How many users are said to be watched. */
static int users_told(void)
{
	int count = 0;

	for (int i = 0; i < group->data; i++) {
		if (strstr(server_ask(group->node[i], "INFO replication"), "role:master"))
			count +=
				atoi(server_ask(group->node[i], "EVAL \"return #redis.call('KEYS', "
								"'convo:{*}:ears')\" 0"));
	}
	return count;
}

/* How many messages of that kind the nodes have got from each other since the last time. */
static int messages(void)
{
	static int before;
	int count = 0, now;

	for (int i = 0; i < group->data; i++) {
		const char *info = server_ask(group->node[i], "CLUSTER INFO");
		const char *at = strstr(info, "messages_publish_received:");

		count += at ? atoi(strchr(at, ':') + 1) : 0;
	}
	now = count - before;
	before = count;
	return now;
}

static void test_W1_all_that_happens_is_told(void **state)
{
	convo_store *other;
	struct asked asked;

	(void)state;
	grouped_needed();
	asked_open(&asked, group->url);
	other = store_open(group->url);
	asked_must_hear_all(&asked, other);
	convo_store_close(other);
	asked_close(&asked);
}

/* In a cluster they are on all nodes, and one tells of them all. */
static void test_W2_one_connection_hears_of_all_users(void **state)
{
	enum { USERS = 40 };
	convo_store *store, *other;
	convo_watch *watch;
	struct convo_err err;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	other = store_open(group->url);
	must_pass(convo_watch_new(&watch, store, &err));
	for (int i = 0; i < USERS; i++) {
		const struct convo_key key = {"app", test_text("u%d", i), test_text("s%d", i)};

		must_pass(convo_watch_add(watch, &key, NULL, &err));
	}
	hear_out(watch);
	must(ear_node() >= 0);
	for (int i = 0; i < USERS; i++) {
		const struct convo_key key = {"app", test_text("u%d", i), test_text("s%d", i)};

		must_pass(convo_store_create(other, &key, NULL, NULL, NULL, &err));
		must_hear(watch, key.session);
	}
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* In a cluster a message goes to all nodes: users whom nobody watches cause none. */
static void test_W2_nobody_is_told_of_users_who_are_not_watched(void **state)
{
	enum { OTHERS = 20 };
	convo_store *store, *other;
	convo_watch *watch;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	other = store_open(group->url);
	watch = watch_of(store);
	hear_out(watch);
	must_equal(1, users_told());
	(void)messages(); /* stores that open try whether they may */
	for (int i = 0; i < OTHERS; i++) {
		const struct convo_key key = {"app", test_text("u%d", i), "s"};
		struct convo_err err;

		must_pass(convo_store_create(other, &key, NULL, NULL, NULL, &err));
	}
	must_equal(0, messages());
	heard_create(other, "a");
	must_hear(watch, "a");
	must(messages() > 0);
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

/* Both are told of after what is done to the node that tells, and what happens then is told again. */
static void must_move(void (*trouble)(int node), void (*after)(int node))
{
	convo_store *store, *other;
	convo_watch *watch;
	int node;

	grouped_needed();
	store = store_open(group->url);
	other = store_open(group->url);
	heard_create(other, "a");
	heard_create(other, "b");
	watch = watch_of(store);
	hear_out(watch);
	node = ear_node();
	must(node >= 0);
	trouble(node);
	must_hear_both(watch);
	group_wait_replaced(group, node);
	for (int i = 0; i < 1000 && (ear_node() < 0 || ear_node() == node); i++)
		nap_ms(20);
	must(ear_node() >= 0 && ear_node() != node);
	hear_out(watch);
	heard_say(other, "b");
	must_hear(watch, "b");
	after(node);
	group_wait_healthy(group);
	hear_out(watch);
	heard_say(other, "a");
	must_hear(watch, "a");
	convo_watch_free(watch);
	convo_store_close(other);
	convo_store_close(store);
}

static void kill_node(int node)
{
	group_kill(group, node);
}

static void restart_node(int node)
{
	group_restart(group, node);
}

static void test_W3_a_node_that_is_killed_is_left(void **state)
{
	(void)state;
	must_move(kill_node, restart_node);
}

static void pause_node(int node)
{
	group_pause(group, node);
}

static void resume_node(int node)
{
	group_resume(group, node);
}

static void test_W3_a_node_that_stands_still_is_left(void **state)
{
	(void)state;
	must_move(pause_node, resume_node);
}

static void hand_over(int node)
{
	(void)node;
	server_ask(group->node[3], "SENTINEL FAILOVER " GROUP_SENTINEL_NAME);
}

static void do_nothing(int node)
{
	(void)node;
}

static void test_W3_a_master_that_hands_over_is_left(void **state)
{
	(void)state;
	must_move(hand_over, do_nothing);
}

#define GROUP_TEST(name) cmocka_unit_test_setup_teardown(name, grouped_setup, grouped_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP_TEST(test_W1_all_that_happens_is_told),
		GROUP_TEST(test_W2_one_connection_hears_of_all_users),
		GROUP_TEST(test_W3_a_node_that_is_killed_is_left),
		GROUP_TEST(test_W3_a_node_that_stands_still_is_left),
	};
	const struct CMUnitTest cluster_tests[] = {
		GROUP_TEST(test_W2_nobody_is_told_of_users_who_are_not_watched),
	};
	const struct CMUnitTest sentinel_tests[] = {
		GROUP_TEST(test_W3_a_master_that_hands_over_is_left),
	};
	int rc;

	group = group_start(GROUP_REDIS_CLUSTER);
	rc = TEST_RUN(cluster_tests);
	rc |= TEST_RUN(tests);
	group_end(group);
	group = group_start(GROUP_REDIS_SENTINEL);
	rc |= TEST_RUN(tests);
	rc |= TEST_RUN(sentinel_tests);
	group_end(group);
	return rc;
}
