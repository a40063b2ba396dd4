/*
 * What the tests on several Redis servers have in common: the group, emptied before each test and whole
 * after it.
 */
#ifndef TESTS_STORE_REDIS_GROUPED_H
#define TESTS_STORE_REDIS_GROUPED_H

#include <support/groups.h>
#include <support/test.h>

static struct group *group; /* NULL: not installed */

static const struct convo_store_options quiet = {.timeout_ms = 10000,
						 .clean_interval_ms = CONVO_OFF};

static int grouped_setup(void **state)
{
	(void)state;
	if (group)
		(void)group_new_database(group);
	return 0;
}

/* A test that failed may have left some of them standing. */
static int grouped_teardown(void **state)
{
	(void)state;
	for (int i = 0; group && i < group->nodes; i++) {
		if (!server_is_up(group->node[i]))
			group_resume(group, i);
		if (!server_is_up(group->node[i]))
			group_restart(group, i);
	}
	return 0;
}

static void grouped_needed(void)
{
	if (!group)
		test_skip("no redis-server to test with");
}

static convo_store *store_open(const char *url)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, url, &quiet, &err));
	return store;
}

#endif
