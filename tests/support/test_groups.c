/*
 * The groups other tests run on: that each starts healthy, does without the node that takes writes,
 * killed, paused or cut off, and is healthy again when that one is back, with what was written.
 */
#include "support/groups.h"
#include "support/test.h"

#include <time.h>

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool is_redis(const struct group *group)
{
	return group->kind <= GROUP_REDIS_SENTINEL;
}

static void write_something(const struct group *group, int n)
{
	const struct server *master = group->node[group_master(group, "kept")];

	if (is_redis(group)) {
		/* On one connection: WAIT is for what its own has written. */
		const char *said = server_ask(master, "<<END\nRPUSH kept %d\nWAIT 1 5000\nEND", n);

		must(strchr(said, '\n') != NULL);
		must(strtol(strchr(said, '\n') + 1, NULL, 10) >= 1);
	} else {
		server_ask(master,
			   "CREATE TABLE IF NOT EXISTS kept (n INT PRIMARY KEY); "
			   "INSERT INTO kept VALUES (%d)",
			   n);
	}
}

static void must_have(const struct group *group, const char *numbers)
{
	const struct server *master = group->node[group_master(group, "kept")];

	must_equal_str(numbers, is_redis(group) ? server_ask(master, "LRANGE kept 0 -1")
						: server_ask(master, "SELECT n FROM kept "
								     "ORDER BY n"));
}

/* @return the node that took writes until now */
static int do_without_the_master(struct group *group, void (*end)(struct group *, int))
{
	int i = group_master(group, "kept");

	end(group, i);
	must(!server_is_up(group->node[i]));
	if (group->kind == GROUP_POSTGRES || group->kind == GROUP_POSTGRES_ASYNC)
		group_promote(group);
	group_wait_replaced(group, i);
	must(group_master(group, "kept") != i);
	return i;
}

static void come_back(struct group *group, int i, void (*back)(struct group *, int))
{
	back(group, i);
	if (!server_pid(group->node[i]))
		group_restart(group, i); /* who promoted another killed it */
	group_wait_healthy(group);
}

static void group_life(enum group_kind kind)
{
	double start = seconds(), started, replaced;
	struct group *group = group_start_apart(kind);
	int i;

	if (!group)
		group = group_start(kind);
	if (!group)
		test_skip("no group of this kind");
	started = seconds();
	write_something(group, 1);
	i = do_without_the_master(group, group_kill);
	replaced = seconds();
	must_have(group, "1");
	group_restart(group, i);
	group_wait_healthy(group);
	test_say(
		"healthy after %.1f s, without the master after %.1f s, with it again after %.1f s",
		started - start, replaced - started, seconds() - replaced);
	must(kind == GROUP_GALERA || group_master(group, "kept") != i);
	write_something(group, 2);
	i = do_without_the_master(group, group_pause);
	come_back(group, i, group_resume);
	must_have(group, "1\n2");
	if (group->apart) {
		write_something(group, 3);
		i = do_without_the_master(group, group_cut_off);
		come_back(group, i, group_mend);
		must_have(group, "1\n2\n3");
	}
	must(group_new_database(group) != NULL);
	group_end(group);
}

static void a_redis_cluster_lives(void **state)
{
	(void)state;
	group_life(GROUP_REDIS_CLUSTER);
}

static void redis_with_sentinels_lives(void **state)
{
	(void)state;
	group_life(GROUP_REDIS_SENTINEL);
}

static void a_postgres_pair_lives(void **state)
{
	(void)state;
	group_life(GROUP_POSTGRES);
}

static void an_asynchronous_postgres_pair_lives(void **state)
{
	(void)state;
	group_life(GROUP_POSTGRES_ASYNC);
}

static void a_galera_cluster_lives(void **state)
{
	(void)state;
	group_life(GROUP_GALERA);
}

int main(void)
{
	const struct CMUnitTest groups[] = {
		cmocka_unit_test(a_redis_cluster_lives),
		cmocka_unit_test(redis_with_sentinels_lives),
		cmocka_unit_test(a_postgres_pair_lives),
		cmocka_unit_test(an_asynchronous_postgres_pair_lives),
		cmocka_unit_test(a_galera_cluster_lives),
	};

	return TEST_RUN(groups);
}
