/*
 * E1: walks over a whole store, and over an app.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { USERS = 600, EACH = 2 }; /* more users than are asked for at once */

/* How often each session of the test was met: users u0, u1 ... with sessions s0, s1 ... */
struct met {
	const char *app; /* others' are passed over */
	int times[USERS][EACH];
	int others; /* of the same app: what was made meanwhile */
};

static void met_add(struct met *met, const struct convo_key *owner, const char *session)
{
	int user, number;
	char end;

	if (strcmp(owner->app, met->app) != 0)
		return;
	if (sscanf(owner->user, "u%d%c", &user, &end) == 1 &&
	    sscanf(session, "s%d%c", &number, &end) == 1 && user < USERS && number < EACH)
		met->times[user][number]++;
	else
		met->others++;
}

/* Walk to the end. @return how many pages */
static size_t walk_to_end(convo_store *store, convo_cursor *cursor, size_t n, struct met *met)
{
	struct convo_err err;
	size_t count, pages = 0, i;

	for (;; pages++) {
		must_pass(convo_store_list(store, cursor, n, &count, NULL, &err));
		if (!count)
			break;
		must(count <= n);
		must(convo_cursor_owner(cursor) != NULL);
		for (i = 0; i < count; i++)
			met_add(met, convo_cursor_owner(cursor),
				convo_cursor_meta(cursor, i)->session);
	}
	must(convo_cursor_owner(cursor) == NULL);
	return pages;
}

static void walk_over(struct fx *fx, const char *app, enum convo_list_what what, struct met *met)
{
	convo_cursor *cursor = NULL;
	struct convo_err err;

	*met = (struct met){.app = fx->app};
	must_pass(convo_cursor_new(&cursor, app, NULL, what, &err));
	must(convo_cursor_owner(cursor) == NULL);
	walk_to_end(fx->store, cursor, 3, met);
	/* What is over stays so. */
	walk_to_end(fx->store, cursor, 3, met);
	convo_cursor_free(cursor);
}

static struct convo_key walk_key(struct fx *fx, int user, int session)
{
	return (struct convo_key){fx->app, test_text("u%d", user), test_text("s%d", session)};
}

static void walk_fill(struct fx *fx, int users)
{
	for (int user = 0; user < users; user++) {
		for (int i = 0; i < EACH; i++) {
			struct convo_key key = walk_key(fx, user, i);

			fx_create(fx->store, &key);
		}
	}
}

static void met_must_be(const struct met *met, int users, int times)
{
	for (int user = 0; user < users; user++) {
		for (int i = 0; i < EACH; i++)
			must_equal(times, met->times[user][i]);
	}
}

static void E1_a_walk_meets_every_session_once(struct fx *fx)
{
	struct met *met = calloc(1, sizeof(*met));
	char app[64];

	must(met != NULL);
	walk_over(fx, fx->app, CONVO_LIST_LIVE, met);
	must_equal(0, met->others);
	walk_fill(fx, USERS);
	walk_over(fx, fx->app, CONVO_LIST_LIVE, met);
	met_must_be(met, USERS, 1);
	must_equal(0, met->others);
	walk_over(fx, NULL, CONVO_LIST_LIVE, met);
	met_must_be(met, USERS, 1);
	walk_over(fx, fx->app, CONVO_LIST_TRASH, met);
	met_must_be(met, USERS, 0);
	/* Another app's are not this one's. */
	snprintf(app, sizeof(app), "%s", fx->app);
	app[strlen(app) - 1] ^= 1;
	walk_over(fx, app, CONVO_LIST_LIVE, met);
	met_must_be(met, USERS, 0);
	free(met);
}

static void E1_a_walk_over_the_trash_meets_what_is_deleted(struct fx *fx)
{
	struct met *met = calloc(1, sizeof(*met));
	struct convo_err err;

	must(met != NULL);
	walk_fill(fx, 20);
	for (int user = 0; user < 20; user++) {
		struct convo_key key = walk_key(fx, user, 0);

		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	}
	walk_over(fx, NULL, CONVO_LIST_TRASH, met);
	for (int user = 0; user < 20; user++) {
		must_equal(1, met->times[user][0]);
		must_equal(0, met->times[user][1]);
	}
	walk_over(fx, NULL, CONVO_LIST_LIVE, met);
	for (int user = 0; user < 20; user++) {
		must_equal(0, met->times[user][0]);
		must_equal(1, met->times[user][1]);
	}
	free(met);
}

static void E1_names_of_owners_are_kept(struct fx *fx)
{
	static const char *const users[] = {"a:b", "%3A", "{x}:live", "}", " ",  "\xf0\x9f\x98\x80",
					    "a",   "A",   "a b",      "*", "\\", "'"};
	enum { COUNT = sizeof(users) / sizeof(users[0]) };
	size_t times[COUNT] = {0}, count;
	convo_cursor *cursor = NULL;
	struct convo_err err;

	for (size_t i = 0; i < COUNT; i++)
		fx_create(fx->store, &(struct convo_key){fx->app, users[i], "s"});
	must_pass(convo_cursor_new(&cursor, fx->app, NULL, CONVO_LIST_LIVE, &err));
	for (;;) {
		must_pass(convo_store_list(fx->store, cursor, 10, &count, NULL, &err));
		if (!count)
			break;
		must_equal(1, count);
		must_equal_str(fx->app, convo_cursor_owner(cursor)->app);
		for (size_t i = 0; i < COUNT; i++)
			times[i] += !strcmp(users[i], convo_cursor_owner(cursor)->user);
	}
	for (size_t i = 0; i < COUNT; i++)
		must_equal(1, times[i]);
	convo_cursor_free(cursor);
}

struct walkers {
	struct fx *fx;
	atomic_bool over;
};

/* Move sessions to the front, and make and delete others, until the walk is over; after a while slowly: a
 * walk has to pass by all that is in the trash, and would never end where they fill it faster than that. */
static void walk_disturb(struct walkers *walkers, int index)
{
	const struct timespec rest = {.tv_nsec = 20000000};
	convo_store *store = walkers->fx->store;
	struct convo_err err;

	/* No walk lasts as long as that; one that failed says nothing. */
	for (int i = 0; !walkers->over && i < 6000; i++) {
		struct convo_key kept = walk_key(walkers->fx, (i * 7 + index) % 50, i % EACH);
		struct convo_key other = {walkers->fx->app, test_text("u%d", i % 60),
					  test_text("more%d-%d", index, i % 9)};

		fx_say(store, &kept, "x");
		must_pass(convo_store_delete(store, &other, NULL, &err));
		fx_create(store, &other);
		if (i >= 1000)
			nanosleep(&rest, NULL);
	}
}

static void walk_thread(void *ctx, int index)
{
	struct walkers *walkers = ctx;
	struct met *met;

	if (index) {
		walk_disturb(walkers, index);
		return;
	}
	met = calloc(1, sizeof(*met));
	must(met != NULL);
	for (int i = 0; i < 10; i++) {
		walk_over(walkers->fx, i % 2 ? NULL : walkers->fx->app, CONVO_LIST_LIVE, met);
		met_must_be(met, 50, 1);
	}
	walkers->over = true;
	free(met);
}

static void E1_a_walk_meets_each_once_while_others_write(struct fx *fx)
{
	struct walkers walkers = {.fx = fx};

	walk_fill(fx, 50);
	test_threads(3, walk_thread, &walkers);
}

static void E1_a_user_is_one_of_an_app(struct fx *fx)
{
	convo_cursor *cursor = NULL;
	struct convo_err err;

	(void)fx;
	must_fail_with(CONVO_E_INVALID,
		       convo_cursor_new(&cursor, NULL, "u", CONVO_LIST_LIVE, &err));
	must_fail_with(CONVO_E_INVALID, convo_cursor_new(&cursor, "", NULL, CONVO_LIST_LIVE, &err));
}

const struct contract_test contract_walks[] = {
	CONTRACT_TEST(E1_a_walk_meets_every_session_once),
	CONTRACT_TEST(E1_a_walk_over_the_trash_meets_what_is_deleted),
	CONTRACT_TEST(E1_names_of_owners_are_kept),
	CONTRACT_TEST(E1_a_walk_meets_each_once_while_others_write),
	CONTRACT_TEST(E1_a_user_is_one_of_an_app),
	{0},
};
