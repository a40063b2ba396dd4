/*
 * S3: lists.
 */
#include "contract.h"

#include <convo/place.h>

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

/* The names a walk returned, in its order; freed by walk_clear(). */
struct walk {
	char (*name)[64];
	size_t count, cap;
};

static void walk_add(struct walk *walk, const struct convo_meta *metas, size_t count)
{
	if (walk->count + count > walk->cap) {
		walk->cap = 2 * (walk->count + count);
		walk->name = realloc(walk->name, walk->cap * sizeof(*walk->name));
		must(walk->name != NULL);
	}
	for (size_t i = 0; i < count; i++)
		snprintf(walk->name[walk->count++], sizeof(*walk->name), "%s", metas[i].session);
}

static void walk_clear(struct walk *walk)
{
	free(walk->name);
	*walk = (struct walk){0};
}

static size_t walk_page(convo_store *store, convo_cursor *cursor, size_t n, struct walk *walk)
{
	const struct convo_meta *metas;
	struct convo_err err;
	size_t count;

	must_pass(test_list(store, cursor, n, &metas, &count, &err));
	must(count <= n);
	walk_add(walk, metas, count);
	return count;
}

static convo_cursor *walk_begin(const struct fx *fx, enum convo_list_what what)
{
	convo_cursor *cursor = NULL;
	struct convo_err err;

	must_pass(convo_cursor_new(&cursor, fx->app, "u", what, &err));
	return cursor;
}

static void walk_all(struct fx *fx, enum convo_list_what what, size_t n, struct walk *walk)
{
	convo_cursor *cursor = walk_begin(fx, what);

	while (walk_page(fx->store, cursor, n, walk))
		;
	convo_cursor_free(cursor);
}

static size_t walk_times(const struct walk *walk, const char *name)
{
	size_t times = 0;

	for (size_t i = 0; i < walk->count; i++)
		times += strcmp(walk->name[i], name) == 0;
	return times;
}

/* The walk is exactly these names, divided by blanks, in that order. */
static void walk_must_be(struct fx *fx, enum convo_list_what what, const char *names)
{
	char got[4096] = "";
	struct walk walk = {0};
	size_t len = 0;

	walk_all(fx, what, 3, &walk);
	for (size_t i = 0; i < walk.count; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", i ? " " : "",
					walk.name[i]);
	must_equal_str(names, got);
	walk_clear(&walk);
}

static void walk_make(struct fx *fx, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i));

		fx_create(fx->store, &key);
	}
}

static void S3_an_empty_list_ends_at_once(struct fx *fx)
{
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	struct walk walk = {0};

	for (int i = 0; i < 3; i++)
		must_equal(0, walk_page(fx->store, cursor, 10, &walk));
	convo_cursor_free(cursor);
	walk_clear(&walk);
}

static void S3_every_write_moves_a_session_to_the_front(struct fx *fx)
{
	struct convo_key a = fx_key(fx, "a"), b = fx_key(fx, "b"), c = fx_key(fx, "c");
	struct convo_err err;

	fx_create(fx->store, &a);
	fx_create(fx->store, &b);
	fx_create(fx->store, &c);
	walk_must_be(fx, CONVO_LIST_LIVE, "c b a");
	fx_say(fx->store, &a, "x");
	walk_must_be(fx, CONVO_LIST_LIVE, "a c b");
	fx_set(fx->store, &b, "n", "1");
	walk_must_be(fx, CONVO_LIST_LIVE, "b a c");
	must_pass(convo_store_rename(fx->store, &c, "t", NULL, &err));
	walk_must_be(fx, CONVO_LIST_LIVE, "c b a");
	must_pass(convo_store_state_delete(fx->store, &a, "n", NULL, &err));
	walk_must_be(fx, CONVO_LIST_LIVE, "a c b");
	must_pass(convo_store_delete(fx->store, &c, NULL, &err));
	walk_must_be(fx, CONVO_LIST_LIVE, "a b");
	must_pass(convo_store_restore(fx->store, &c, NULL, NULL, &err));
	walk_must_be(fx, CONVO_LIST_LIVE, "c a b");
}

static void S3_what_is_no_write_moves_nothing(struct fx *fx)
{
	struct convo_key a = fx_key(fx, "a"), b = fx_key(fx, "b");
	struct convo_event event = fx_event(fx_uuid(), "x");
	const struct convo_expect stale = {.check_seq = true, .after_seq = 7};
	struct convo_err err;

	fx_create(fx->store, &a);
	must_pass(convo_store_append(fx->store, &a, NULL, &event, 1, NULL, NULL, &err));
	fx_create(fx->store, &b);
	convo_session_free(fx_load(fx->store, &a));
	fx_must_have(fx->store, &a, "n", NULL);
	must_pass(
		convo_store_append(fx->store, &a, NULL, &event, 1, NULL, NULL, &err)); /* a retry */
	must_fail_with(CONVO_E_EXISTS, convo_store_create(fx->store, &a, NULL, NULL, NULL, &err));
	event.id = NULL;
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(fx->store, &a, &stale, &event, 1, NULL, NULL, &err));
	fx_set(fx->store, &a, "user:n", "1"); /* no plain name: not a write of the session */
	fx_set(fx->store, &a, "app:n", "1");
	fx_set(fx->store, &a, "temp:n", "1");
	walk_must_be(fx, CONVO_LIST_LIVE, "b a");
}

static void S3_metas_tell_what_a_session_is(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_create create = {.title = "a title"};
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	const struct convo_meta *metas, *loaded;
	struct convo_created made;
	convo_session *session;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_create(fx->store, &key, &create, &made, NULL, &err));
	fx_say_n(fx->store, &key, 3);
	must_pass(test_list(fx->store, cursor, 10, &metas, &count, &err));
	must_equal(1, count);
	session = fx_load(fx->store, &key);
	loaded = convo_session_meta(session);
	must_equal_str("s", metas->session);
	must_equal_str("a title", metas->title);
	must_equal_str(made.generation, metas->generation);
	must_equal(3, metas->count);
	must_equal(3, metas->last_seq);
	must_equal(loaded->created_ms, metas->created_ms);
	must_equal(loaded->updated_ms, metas->updated_ms);
	must(metas->updated_ms >= metas->created_ms);
	must_equal(0, metas->expires_ms);
	must_equal(0, metas->deleted_ms);
	convo_session_free(session);
	convo_cursor_free(cursor);
}

static void S3_lists_hold_one_users_sessions_alone(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "mine"), deleted = fx_key(fx, "deleted");
	struct convo_key stranger = {fx->app, "v", "s"};
	struct convo_key elsewhere = {test_text("%s2", fx->app), "u", "s"};
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_create(fx->store, &stranger);
	fx_create(fx->store, &elsewhere);
	fx_create(fx->store, &deleted);
	must_pass(convo_store_delete(fx->store, &deleted, NULL, &err));
	walk_must_be(fx, CONVO_LIST_LIVE, "mine");
	walk_must_be(fx, CONVO_LIST_TRASH, "deleted");
}

static void S3_pages_of_any_size_give_the_same_walk(struct fx *fx)
{
	static const size_t sizes[] = {1, 2, 3, 9, 10, 11, 1000};

	walk_make(fx, 10);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct walk walk = {0};

		walk_all(fx, CONVO_LIST_LIVE, sizes[i], &walk);
		must_equal(10, walk.count);
		for (size_t k = 0; k < 10; k++)
			must_equal_str(test_text("s%zu", 9 - k), walk.name[k]);
		walk_clear(&walk);
	}
}

static void S3_an_ended_walk_stays_ended(struct fx *fx)
{
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	struct walk walk = {0};

	walk_make(fx, 4);
	while (walk_page(fx->store, cursor, 2, &walk))
		;
	must_equal(4, walk.count);
	walk_make(fx, 0);
	must_equal(0, walk_page(fx->store, cursor, 2, &walk));
	convo_cursor_free(cursor);
	walk_clear(&walk);
}

static void S3_pages_that_make_no_sense_are_refused(struct fx *fx)
{
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	const struct convo_meta *metas = NULL;
	struct walk walk = {0};
	struct convo_err err;
	size_t count = 77;

	walk_make(fx, 2);
	must_fail_with(CONVO_E_INVALID, test_list(fx->store, cursor, 0, &metas, &count, &err));
	must_fail_with(CONVO_E_INVALID, test_list(fx->store, cursor, 1001, &metas, &count, &err));
	must_fail_with(CONVO_E_INVALID, test_list(fx->store, NULL, 10, &metas, &count, &err));
	must(metas == NULL && count == 77);
	must_equal(2, walk_page(fx->store, cursor, 10, &walk)); /* the cursor has not moved */
	convo_cursor_free(cursor);
	cursor = NULL;
	must_fail_with(CONVO_E_INVALID,
		       convo_cursor_new(&cursor, fx->app, "u", (enum convo_list_what)5, &err));
	must(cursor == NULL);
	walk_clear(&walk);
}

/* After each page something moves; every session that was there all the time comes once. */
static void walk_disturbed(struct fx *fx, size_t n, size_t page,
			   void (*disturb)(struct fx *fx, size_t round))
{
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	struct walk walk = {0};
	size_t round = 0;

	walk_make(fx, n);
	while (walk_page(fx->store, cursor, page, &walk)) {
		if (round < 60) /* or a walk could be kept going */
			disturb(fx, round++);
	}
	for (size_t i = 0; i < n; i++) {
		const char *name = test_text("s%zu", i);

		if (walk_times(&walk, name) != 1)
			must_not_reach("%s came %zu times", name, walk_times(&walk, name));
	}
	convo_cursor_free(cursor);
	walk_clear(&walk);
}

static void disturb_touch_one(struct fx *fx, size_t round)
{
	struct convo_key key = fx_key(fx, test_text("s%zu", (round * 7) % 20));

	fx_say(fx->store, &key, "moved");
}

static void disturb_touch_all(struct fx *fx, size_t round)
{
	for (size_t i = 0; i < 20; i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", (i * 3 + round) % 20));

		fx_set(fx->store, &key, "n", "1");
	}
}

static void disturb_create(struct fx *fx, size_t round)
{
	struct convo_key key = fx_key(fx, test_text("new%zu", round));

	fx_create(fx->store, &key);
	disturb_touch_one(fx, round);
}

/* A session deleted and made again is another one; those before and after it are not lost. */
static void disturb_delete(struct fx *fx, size_t round)
{
	struct convo_key key = fx_key(fx, test_text("gone%zu", round));
	struct convo_err err;

	if (round > 0) {
		struct convo_key before = fx_key(fx, test_text("gone%zu", round - 1));

		must_pass(convo_store_delete(fx->store, &before, NULL, &err));
	}
	fx_create(fx->store, &key);
	disturb_touch_one(fx, round);
}

static void S3_a_walk_survives_moves_between_pages(struct fx *fx)
{
	walk_disturbed(fx, 20, 3, disturb_touch_one);
}

static void S3_a_walk_survives_moves_of_everything(struct fx *fx)
{
	walk_disturbed(fx, 20, 3, disturb_touch_all);
}

static void S3_a_walk_one_by_one_survives_moves(struct fx *fx)
{
	walk_disturbed(fx, 20, 1, disturb_touch_all);
}

static void S3_a_walk_survives_creations(struct fx *fx)
{
	walk_disturbed(fx, 20, 4, disturb_create);
}

static void S3_a_walk_survives_deletions(struct fx *fx)
{
	walk_disturbed(fx, 20, 4, disturb_delete);
}

/* More move than the largest page holds. */
static void S3_a_walk_survives_the_move_of_more_than_a_page(struct fx *fx)
{
	const size_t n = 1100;
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	struct walk walk = {0};
	size_t *times = calloc(n, sizeof(*times));

	must(times != NULL);
	walk_make(fx, n);
	walk_page(fx->store, cursor, 500, &walk);
	for (size_t i = 0; i < n; i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i));

		fx_say(fx->store, &key, "moved");
	}
	while (walk_page(fx->store, cursor, 500, &walk))
		;
	for (size_t i = 0; i < walk.count; i++)
		times[strtoul(walk.name[i] + 1, NULL, 10)]++;
	for (size_t i = 0; i < n; i++)
		must_equal(1, times[i]);
	free(times);
	convo_cursor_free(cursor);
	walk_clear(&walk);
}

#define CROWD 60

struct crowd {
	struct fx *fx;
	atomic_int walking;
};

static void crowd_write(struct crowd *crowd, int index)
{
	for (size_t i = 0; atomic_load(&crowd->walking) > 0; i++) {
		struct convo_key key = fx_key(crowd->fx, "new");
		char name[32];
		struct convo_event event = {.message = "{\"role\":\"user\"}"};
		struct convo_err err;
		int rc;

		if (i % 5 == 0) {
			rc = convo_store_create(crowd->fx->store, &key, NULL, NULL, NULL, &err);
			must(rc == 0 || rc == CONVO_E_EXISTS);
			must_pass(convo_store_delete(crowd->fx->store, &key, NULL, &err));
			continue;
		}
		snprintf(name, sizeof(name), "s%zu", (i * 13 + (size_t)index * 29) % CROWD);
		key.session = name;
		must_pass(convo_store_append(crowd->fx->store, &key, NULL, &event, 1, NULL, NULL,
					     &err));
	}
}

static void crowd_walk(struct crowd *crowd)
{
	for (int i = 0; i < 12; i++) {
		struct walk walk = {0};

		walk_all(crowd->fx, CONVO_LIST_LIVE, i % 2 ? 7 : 25, &walk);
		for (int s = 0; s < CROWD; s++) {
			size_t times = walk_times(&walk, test_text("s%d", s));

			if (times != 1)
				must_not_reach("walk %d: s%d came %zu times of %zu", i, s, times,
					       walk.count);
		}
		walk_clear(&walk);
	}
}

static void crowd_run(void *ctx, int index)
{
	struct crowd *crowd = ctx;

	if (index < 2) {
		crowd_walk(crowd);
		atomic_fetch_sub(&crowd->walking, 1);
	} else {
		crowd_write(crowd, index);
	}
}

static void S3_walk_returns_every_session_once_while_others_write(struct fx *fx)
{
	struct crowd crowd = {.fx = fx, .walking = 2};

	walk_make(fx, CROWD);
	test_threads(5, crowd_run, &crowd);
}

static void S3_the_trash_is_walked_last_deleted_first(struct fx *fx)
{
	struct walk walk = {0};
	struct convo_err err;

	walk_make(fx, 9);
	for (size_t i = 0; i < 9; i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i * 2 % 9));

		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	}
	walk_all(fx, CONVO_LIST_TRASH, 2, &walk);
	must_equal(9, walk.count);
	for (size_t i = 0; i < 9; i++)
		must_equal_str(test_text("s%zu", (8 - i) * 2 % 9), walk.name[i]);
	walk_clear(&walk);
	walk_must_be(fx, CONVO_LIST_LIVE, "");
}

/* Positions are times; a clock that is set back does not lose or repeat anything. */
static void S3_a_walk_survives_a_clock_set_back(struct fx *fx)
{
	struct walk walk = {0};

	cv_clock_shift_us(HOUR_US);
	walk_make(fx, 5);
	cv_clock_shift_us(0);
	for (size_t i = 0; i < 5; i += 2) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i));

		fx_say(fx->store, &key, "x");
	}
	walk_all(fx, CONVO_LIST_LIVE, 2, &walk);
	must_equal(5, walk.count);
	for (size_t i = 0; i < 5; i++)
		must_equal(1, walk_times(&walk, test_text("s%zu", i)));
	walk_clear(&walk);
}

/* A page by a cursor of its own, behind a place, as who keeps nothing between pages reads it. */
static size_t walk_from(struct fx *fx, enum convo_list_what what, struct convo_place *place,
			size_t n, struct walk *walk)
{
	convo_cursor *cursor = walk_begin(fx, what);
	struct convo_err err;
	size_t count;

	if (place->position)
		must_pass(convo_cursor_seek(cursor, place, &err));
	count = walk_page(fx->store, cursor, n, walk);
	if (count)
		must_pass(convo_cursor_place(cursor, place, &err));
	convo_cursor_free(cursor);
	return count;
}

static void S3_a_list_can_be_read_place_by_place(struct fx *fx)
{
	static const size_t sizes[] = {1, 3, 7, 20};

	walk_make(fx, 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct convo_place place = {0};
		struct walk walk = {0};

		while (walk_from(fx, CONVO_LIST_LIVE, &place, sizes[i], &walk) == sizes[i])
			;
		must_equal(7, walk.count);
		for (size_t k = 0; k < 7; k++)
			must_equal_str(test_text("s%zu", 6 - k), walk.name[k]);
		walk_clear(&walk);
	}
}

static void S3_the_trash_can_be_read_place_by_place(struct fx *fx)
{
	struct convo_place place = {0};
	struct walk walk = {0};
	struct convo_err err;

	walk_make(fx, 5);
	for (size_t i = 0; i < 5; i++) {
		struct convo_key key = fx_key(fx, test_text("s%zu", i));

		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	}
	while (walk_from(fx, CONVO_LIST_TRASH, &place, 2, &walk))
		;
	must_equal(5, walk.count);
	for (size_t k = 0; k < 5; k++)
		must_equal_str(test_text("s%zu", 4 - k), walk.name[k]);
	walk_clear(&walk);
}

/* What stays where it is comes once; what passes the place may not come, and is at the front. */
static void S3_a_place_holds_while_others_write(struct fx *fx)
{
	struct convo_key passes = fx_key(fx, "s0"), again = fx_key(fx, "s7");
	struct convo_place place = {0};
	struct walk walk = {0};

	walk_make(fx, 8);
	must_equal(3, walk_from(fx, CONVO_LIST_LIVE, &place, 3, &walk));
	fx_say(fx->store, &passes, "x");
	fx_say(fx->store, &again, "x");
	while (walk_from(fx, CONVO_LIST_LIVE, &place, 3, &walk))
		;
	must_equal(7, walk.count);
	for (size_t i = 1; i < 8; i++)
		must_equal(1, walk_times(&walk, test_text("s%zu", i)));
	walk_clear(&walk);
	walk_must_be(fx, CONVO_LIST_LIVE, "s7 s0 s6 s5 s4 s3 s2 s1");
}

static void S3_a_cursor_that_was_sought_goes_to_the_end_once(struct fx *fx)
{
	convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
	struct convo_place place = {0};
	struct walk walk = {0};
	struct convo_err err;

	walk_make(fx, 9);
	walk_from(fx, CONVO_LIST_LIVE, &place, 2, &walk);
	walk_clear(&walk);
	must_pass(convo_cursor_seek(cursor, &place, &err));
	while (walk_page(fx->store, cursor, 3, &walk))
		;
	must_equal(7, walk.count);
	must_equal_str("s6", walk.name[0]);
	must_equal_str("s0", walk.name[6]);
	must_fail_with(CONVO_E_INVALID, convo_cursor_seek(cursor, &place, &err));
	must_fail_with(CONVO_E_INVALID, convo_cursor_place(cursor, &place, &err));
	convo_cursor_free(cursor);
	walk_clear(&walk);
}

/* Whoever keeps places gets them back from somebody. */
static void S3_any_numbers_are_a_place(struct fx *fx)
{
	static const int64_t numbers[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
	const size_t n = sizeof(numbers) / sizeof(numbers[0]);
	struct convo_err err;

	walk_make(fx, 3);
	for (size_t i = 0; i < n * n; i++) {
		const struct convo_place place = {.position = numbers[i / n],
						  .number = numbers[i % n]};
		convo_cursor *cursor = walk_begin(fx, CONVO_LIST_LIVE);
		struct walk walk = {0};

		must_pass(convo_cursor_seek(cursor, &place, &err));
		while (walk_page(fx->store, cursor, 2, &walk))
			;
		must_equal(place.position == INT64_MAX ? 3 : 0, walk.count);
		convo_cursor_free(cursor);
		walk_clear(&walk);
	}
}

const struct contract_test contract_lists[] = {
	CONTRACT_TEST(S3_an_empty_list_ends_at_once),
	CONTRACT_TEST(S3_every_write_moves_a_session_to_the_front),
	CONTRACT_TEST(S3_what_is_no_write_moves_nothing),
	CONTRACT_TEST(S3_metas_tell_what_a_session_is),
	CONTRACT_TEST(S3_lists_hold_one_users_sessions_alone),
	CONTRACT_TEST(S3_pages_of_any_size_give_the_same_walk),
	CONTRACT_TEST(S3_an_ended_walk_stays_ended),
	CONTRACT_TEST(S3_pages_that_make_no_sense_are_refused),
	CONTRACT_TEST(S3_a_walk_survives_moves_between_pages),
	CONTRACT_TEST(S3_a_walk_survives_moves_of_everything),
	CONTRACT_TEST(S3_a_walk_one_by_one_survives_moves),
	CONTRACT_TEST(S3_a_walk_survives_creations),
	CONTRACT_TEST(S3_a_walk_survives_deletions),
	CONTRACT_TEST(S3_a_walk_survives_the_move_of_more_than_a_page),
	CONTRACT_TEST(S3_walk_returns_every_session_once_while_others_write),
	CONTRACT_TEST(S3_the_trash_is_walked_last_deleted_first),
	CONTRACT_TEST(S3_a_walk_survives_a_clock_set_back),
	CONTRACT_TEST(S3_a_list_can_be_read_place_by_place),
	CONTRACT_TEST(S3_the_trash_can_be_read_place_by_place),
	CONTRACT_TEST(S3_a_place_holds_while_others_write),
	CONTRACT_TEST(S3_a_cursor_that_was_sought_goes_to_the_end_once),
	CONTRACT_TEST(S3_any_numbers_are_a_place),
	{0},
};
