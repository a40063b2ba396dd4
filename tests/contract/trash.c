/*
 * S4: deleting, the trash, and the way back.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

static void trash_delete(convo_store *store, const struct convo_key *key)
{
	struct convo_err err;

	must_pass(convo_store_delete(store, key, NULL, &err));
}

/* The generations of a name's trash, last deleted first. */
static size_t trash_list(convo_store *store, const struct convo_key *key,
			 char generations[][CONVO_UUID_SIZE], size_t max)
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	size_t count, found = 0;
	struct convo_err err;

	must_pass(convo_cursor_new(&cursor, key->app, key->user, CONVO_LIST_TRASH, &err));
	do {
		must_pass(test_list(store, cursor, 2, &metas, &count, &err));
		for (size_t i = 0; i < count; i++) {
			must(metas[i].deleted_ms > 0);
			if (strcmp(metas[i].session, key->session) == 0 && found < max)
				memcpy(generations[found++], metas[i].generation, CONVO_UUID_SIZE);
		}
	} while (count);
	convo_cursor_free(cursor);
	return found;
}

/* Make a life of the name that can be told from others, and put it into the trash. */
static void trash_life(struct fx *fx, const struct convo_key *key, const char *mark,
		       char generation[CONVO_UUID_SIZE])
{
	const struct convo_create create = {.title = mark};
	struct convo_created made;
	struct convo_err err;

	must_pass(convo_store_create(fx->store, key, &create, &made, NULL, &err));
	fx_say(fx->store, key, mark);
	fx_set(fx->store, key, "mark", test_text("\"%s\"", mark));
	memcpy(generation, made.generation, CONVO_UUID_SIZE);
	trash_delete(fx->store, key);
}

static void trash_must_live(struct fx *fx, const struct convo_key *key, const char *mark,
			    const char *generation)
{
	convo_session *session = fx_load(fx->store, key);
	const struct convo_meta *meta = convo_session_meta(session);

	must_equal_str(mark, meta->title);
	must_equal_str(generation, meta->generation);
	must_equal(0, meta->deleted_ms);
	fx_must_run(session, 1, 1);
	must(json_same(test_text("{\"role\":\"user\",\"content\":\"%s\"}", mark),
		       test_events(session, NULL)->message));
	must(json_same(test_text("\"%s\"", mark), convo_session_state_get(session, "mark")->json));
	convo_session_free(session);
}

static void S4_delete_hides_a_session_at_once(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	struct convo_event event = fx_event(NULL, "x");
	convo_state *state = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	fx_say_state(fx->store, &key, "{\"a\":1,\"user:a\":2,\"app:a\":3}");
	trash_delete(fx->store, &key);
	fx_must_be_absent(fx->store, &key);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_append(fx->store, &key, NULL, &event, 1, NULL, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_rename(fx->store, &key, "t", NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_state_list(&state, fx->store, &key,
								CONVO_SCOPE_SESSION, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_delete(fx->store, &key, "a", NULL, &err));
	fx_must_have(fx->store, &key, "a", NULL);
	fx_must_have(fx->store, &key, "user:a", "2"); /* not the session's */
	fx_must_have(fx->store, &key, "app:a", "3");
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	convo_session_free(fx_load(fx->store, &other));
}

static void S4_deleting_what_is_absent_succeeds(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");

	trash_delete(fx->store, &key);
	fx_create(fx->store, &key);
	trash_delete(fx->store, &key);
	trash_delete(fx->store, &key);
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
}

static void S4_restore_brings_a_session_back_as_it_was(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_create create = {.title = "title"};
	struct convo_created made;
	const struct convo_meta *meta;
	convo_session *before, *after;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_create(fx->store, &key, &create, &made, NULL, &err));
	fx_say_n(fx->store, &key, 3);
	fx_say_state(fx->store, &key, "{\"a\":[1],\"b\":2}");
	before = fx_load(fx->store, &key);
	trash_delete(fx->store, &key);
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	after = fx_load(fx->store, &key);
	meta = convo_session_meta(after);
	must_equal_str("title", meta->title);
	must_equal_str(made.generation, meta->generation);
	must_equal(convo_session_meta(before)->created_ms, meta->created_ms);
	must_equal(4, meta->last_seq);
	must_equal(4, meta->count);
	must_equal(0, meta->deleted_ms);
	fx_must_run(after, 1, 4);
	for (int i = 0; i < 4; i++) {
		must_equal_str(test_events(before, NULL)[i].id, test_events(after, NULL)[i].id);
		must(json_same(test_events(before, NULL)[i].message,
			       test_events(after, NULL)[i].message));
	}
	test_state(after, &count);
	must_equal(2, count);
	must(json_same("[1]", convo_session_state_get(after, "a")->json));
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	must_equal(5, fx_say(fx->store, &key, "goes on"));
	convo_session_free(before);
	convo_session_free(after);
}

static void S4_restoring_what_is_not_in_the_trash_is_not_found(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	char generation[CONVO_UUID_SIZE];
	struct convo_err err;

	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, NULL, NULL, &err));
	trash_life(fx, &key, "one", generation);
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &other, NULL, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_restore(fx->store, &other, generation, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_restore(fx->store, &key, fx_uuid(), NULL, &err));
	fx_must_be_absent(fx->store, &key);
}

static void S4_restoring_onto_a_live_name_is_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char generation[CONVO_UUID_SIZE];
	convo_session *session;
	struct convo_err err;

	trash_life(fx, &key, "old", generation);
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_EXISTS, convo_store_restore(fx->store, &key, NULL, NULL, &err));
	must_fail_with(CONVO_E_EXISTS,
		       convo_store_restore(fx->store, &key, generation, NULL, &err));
	session = fx_load(fx->store, &key);
	must_equal(0, convo_session_meta(session)->last_seq);
	convo_session_free(session);
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	trash_delete(fx->store, &key);
	must_pass(convo_store_restore(fx->store, &key, generation, NULL, &err));
	trash_must_live(fx, &key, "old", generation);
}

static void S4_the_trash_keeps_every_life_of_a_name(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char made[4][CONVO_UUID_SIZE], listed[8][CONVO_UUID_SIZE];
	struct convo_err err;

	for (int i = 0; i < 4; i++)
		trash_life(fx, &key, test_text("%d", i), made[i]);
	must_equal(4, trash_list(fx->store, &key, listed, 8));
	for (int i = 0; i < 4; i++)
		must_equal_str(made[3 - i], listed[i]);
	/* the last deleted one, unless another is asked for, in any case */
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	trash_must_live(fx, &key, "3", made[3]);
	trash_delete(fx->store, &key);
	must_pass(convo_store_restore(fx->store, &key, made[1], NULL, &err));
	trash_must_live(fx, &key, "1", made[1]);
	must_equal(3, trash_list(fx->store, &key, listed, 8));
	trash_delete(fx->store, &key); /* now life 1 is the last deleted */
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	trash_must_live(fx, &key, "1", made[1]);
	trash_delete(fx->store, &key);
	must_pass(convo_store_purge(fx->store, &key, made[2], NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, made[2], NULL, &err));
	must_equal(3, trash_list(fx->store, &key, listed, 8));
	must_equal_str(made[1], listed[0]);
	must_equal_str(made[3], listed[1]);
	must_equal_str(made[0], listed[2]);
	must_pass(convo_store_restore(fx->store, &key, made[0], NULL, &err));
	trash_must_live(fx, &key, "0", made[0]);
}

static void S4_purge_removes_for_good(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char made[3][CONVO_UUID_SIZE], listed[4][CONVO_UUID_SIZE];
	struct convo_err err;

	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err)); /* absent: a success */
	must_pass(convo_store_purge(fx->store, &key, fx_uuid(), NULL, &err));
	for (int i = 0; i < 3; i++)
		trash_life(fx, &key, test_text("%d", i), made[i]);
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	must_equal(0, trash_list(fx->store, &key, listed, 4));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, NULL, NULL, &err));
	for (int i = 0; i < 3; i++)
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_restore(fx->store, &key, made[i], NULL, &err));
	fx_must_be_absent(fx->store, &key);
}

static void S4_purge_does_not_touch_a_live_session(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");
	char old[CONVO_UUID_SIZE], others[CONVO_UUID_SIZE];
	struct convo_created made;
	struct convo_err err;

	trash_life(fx, &key, "old", old);
	trash_life(fx, &other, "other", others);
	must_pass(convo_store_create(fx->store, &key, NULL, &made, NULL, &err));
	fx_say(fx->store, &key, "x");
	must_pass(convo_store_purge(fx->store, &key, made.generation, NULL, &err));
	must_equal(1, fx_last_seq(fx->store, &key));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	must_equal(1, fx_last_seq(fx->store, &key));
	must_pass(convo_store_restore(fx->store, &other, NULL, NULL, &err)); /* nor another name */
	trash_must_live(fx, &other, "other", others);
}

static void S4_a_trash_time_of_none_is_gone_at_once(struct fx *fx)
{
	const struct convo_store_options none = {.trash_ms = -1, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &none);
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(store, &key);
	fx_say_n(store, &key, 3);
	trash_delete(store, &key);
	fx_must_be_absent(store, &key);
	must_equal(0, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(store, &key, NULL, NULL, &err));
	must_equal(0, fx_count(store, fx->app, "u", CONVO_LIST_LIVE));
}

static void S4_the_trash_ends_with_its_time(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	char made[2][CONVO_UUID_SIZE], listed[4][CONVO_UUID_SIZE];
	struct convo_err err;

	trash_life(fx, &key, "early", made[0]);
	cv_clock_shift_us(3 * DAY_US);
	trash_life(fx, &key, "late", made[1]);
	must_equal(2, trash_list(fx->store, &key, listed, 4));
	cv_clock_shift_us(7 * DAY_US - 60 * SECOND_US);
	must_equal(2, trash_list(fx->store, &key, listed, 4));
	cv_clock_shift_us(7 * DAY_US + 60 * SECOND_US);
	must_equal(1, trash_list(fx->store, &key, listed, 4));
	must_equal_str(made[1], listed[0]);
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, made[0], NULL, &err));
	cv_clock_shift_us(11 * DAY_US);
	must_equal(0, trash_list(fx->store, &key, listed, 4));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &key, NULL, NULL, &err));
	fx_create(fx->store, &key);
}

/* How long an expiring session had to live is kept while it is in the trash. */
static void S4_a_lifetime_stands_still_in_the_trash(struct fx *fx)
{
	const struct convo_store_options hour = {.ttl_ms = HOUR_US / 1000, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &hour);
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;
	int64_t removed;

	fx_create(store, &key);
	cv_clock_shift_us(HOUR_US / 2);
	trash_delete(store, &key);
	cv_clock_shift_us(10 * HOUR_US);
	must_equal(1, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	must_pass(convo_store_clean(store, &removed, NULL, &err)); /* not expired: in the trash */
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	/* this store has a TTL: it starts anew */
	cv_clock_shift_us(11 * HOUR_US - 60 * SECOND_US);
	must_equal(0, fx_last_seq(store, &key));
	cv_clock_shift_us(11 * HOUR_US + 60 * SECOND_US);
	fx_must_be_absent(store, &key);
}

/* The same by a handle without TTL: what was left when it was deleted goes on. */
static void S4_a_lifetime_goes_on_after_the_trash(struct fx *fx)
{
	const struct convo_store_options hour = {.ttl_ms = HOUR_US / 1000, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &hour);
	struct convo_key key = fx_key(fx, "s"), ever = fx_key(fx, "ever");
	struct convo_err err;

	fx_create(store, &key);
	fx_create(fx->store, &ever);
	cv_clock_shift_us(HOUR_US / 2);
	trash_delete(store, &key);
	trash_delete(fx->store, &ever);
	cv_clock_shift_us(10 * HOUR_US);
	must_pass(convo_store_restore(fx->store, &key, NULL, NULL, &err));
	must_pass(convo_store_restore(fx->store, &ever, NULL, NULL, &err));
	cv_clock_shift_us(10 * HOUR_US + HOUR_US / 2 - 60 * SECOND_US);
	must_equal(0, fx_last_seq(fx->store, &key));
	cv_clock_shift_us(10 * HOUR_US + HOUR_US / 2 + 60 * SECOND_US);
	fx_must_be_absent(fx->store, &key);
	cv_clock_shift_us(1000 * HOUR_US);
	must_equal(0, fx_last_seq(fx->store, &ever)); /* had none, got none */
}

static void S4_an_expired_session_does_not_go_to_the_trash(struct fx *fx)
{
	const struct convo_store_options hour = {.ttl_ms = HOUR_US / 1000, .clean_interval_ms = -1};
	convo_store *store = fx_open(fx, &hour);
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(store, &key);
	cv_clock_shift_us(2 * HOUR_US);
	trash_delete(store, &key); /* absent: a success */
	must_equal(0, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(store, &key, NULL, NULL, &err));
}

struct tossers {
	struct fx *fx;
	atomic_int restored, created;
};

/* All delete, restore and create the same name: it lives at most once. */
static void trash_toss(void *ctx, int index)
{
	struct tossers *t = ctx;
	struct convo_key key = fx_key(t->fx, "s");
	struct convo_err err;

	for (int i = 0; i < 40; i++) {
		int rc;

		if ((i + index) % 3 == 0) {
			trash_delete(t->fx->store, &key);
		} else if ((i + index) % 3 == 1) {
			rc = convo_store_restore(t->fx->store, &key, NULL, NULL, &err);
			if (rc == 0)
				atomic_fetch_add(&t->restored, 1);
			else if (rc != CONVO_E_EXISTS && rc != CONVO_E_NOTFOUND)
				must_not_reach("restore gave %d: %s", rc, err.text);
		} else {
			rc = convo_store_create(t->fx->store, &key, NULL, NULL, NULL, &err);
			if (rc == 0)
				atomic_fetch_add(&t->created, 1);
			else if (rc != CONVO_E_EXISTS)
				must_not_reach("create gave %d: %s", rc, err.text);
		}
	}
}

static void S4_racing_deletes_and_restores_lose_no_life(struct fx *fx)
{
	struct tossers t = {.fx = fx};
	size_t live, trash;

	test_threads(5, trash_toss, &t);
	live = fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE);
	trash = fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH);
	must(live <= 1);
	must_equal(atomic_load(&t.created), live + trash);
}

const struct contract_test contract_trash[] = {
	CONTRACT_TEST(S4_delete_hides_a_session_at_once),
	CONTRACT_TEST(S4_deleting_what_is_absent_succeeds),
	CONTRACT_TEST(S4_restore_brings_a_session_back_as_it_was),
	CONTRACT_TEST(S4_restoring_what_is_not_in_the_trash_is_not_found),
	CONTRACT_TEST(S4_restoring_onto_a_live_name_is_refused),
	CONTRACT_TEST(S4_the_trash_keeps_every_life_of_a_name),
	CONTRACT_TEST(S4_purge_removes_for_good),
	CONTRACT_TEST(S4_purge_does_not_touch_a_live_session),
	CONTRACT_TEST(S4_a_trash_time_of_none_is_gone_at_once),
	CONTRACT_TEST(S4_the_trash_ends_with_its_time),
	CONTRACT_TEST(S4_a_lifetime_stands_still_in_the_trash),
	CONTRACT_TEST_IF(S4_a_lifetime_goes_on_after_the_trash, NEEDS_SHARED),
	CONTRACT_TEST(S4_an_expired_session_does_not_go_to_the_trash),
	CONTRACT_TEST(S4_racing_deletes_and_restores_lose_no_life),
	{0},
};
