/*
 * S1, S2, S5: creating and loading sessions, and the lives of one name.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>

#include <base/clock.h>

/* ---- S1 --------------------------------------------------------------------------------- */

static void S1_create_makes_an_empty_session(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	int64_t before_ms = cv_clock_us() / 1000;
	const struct convo_meta *meta;
	struct convo_created made;
	convo_session *session;
	struct convo_err err;
	size_t events, names;

	must_pass(convo_store_create(fx->store, &key, NULL, &made, NULL, &err));
	must_equal_str("s", made.session);
	session = fx_load(fx->store, &key);
	meta = convo_session_meta(session);
	must_equal_str("s", meta->session);
	must_equal_str("", meta->title);
	must_equal_str(made.generation, meta->generation);
	must(meta->created_ms >= before_ms && meta->created_ms <= cv_clock_us() / 1000);
	must_equal(meta->created_ms, meta->updated_ms);
	must_equal(0, meta->expires_ms);
	must_equal(0, meta->deleted_ms);
	must_equal(0, meta->count);
	must_equal(0, meta->last_seq);
	test_events(session, &events);
	test_state(session, &names);
	must_equal(0, events);
	must_equal(0, names);
	must(convo_session_state_get(session, "x") == NULL);
	convo_session_free(session);
}

static void S1_create_takes_title_and_first_state(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_item items[] = {
		{.name = "plain", .json = "{\"a\":[]}"}, {.name = "user:lang", .json = "\"de\""},
		{.name = "app:motd", .json = "7"},       {.name = "temp:gone", .json = "1"},
		{.name = "nothing", .json = "null"},     {.name = "absent", .json = NULL},
	};
	const struct convo_create create = {.title = "a title", .state = items, .state_count = 6};
	const struct convo_item *state;
	convo_session *session;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_create(fx->store, &key, &create, NULL, NULL, &err));
	session = fx_load(fx->store, &key);
	must_equal_str("a title", convo_session_meta(session)->title);
	state = test_state(session, &count);
	must_equal(3, count);
	must_equal_str("app:motd", state[0].name);
	must_equal_str("plain", state[1].name);
	must_equal_str("user:lang", state[2].name);
	must(json_same("7", state[0].json));
	must(json_same("{\"a\":[]}", state[1].json));
	must(json_same("\"de\"", state[2].json));
	must_equal(strlen(state[1].json), state[1].json_len);
	convo_session_free(session);
	key.session = "another";
	fx_create(fx->store, &key);
	fx_must_have(fx->store, &key, "user:lang", "\"de\"");
	fx_must_have(fx->store, &key, "app:motd", "7");
	fx_must_have(fx->store, &key, "plain", NULL);
}

static void S1_creating_a_live_name_is_refused_and_changes_nothing(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	const struct convo_item items[] = {{.name = "a", .json = "1"},
					   {.name = "user:a", .json = "1"},
					   {.name = "app:a", .json = "1"}};
	const struct convo_create create = {.title = "second", .state = items, .state_count = 3};
	struct convo_created made, again;
	convo_session *session;
	struct convo_err err;

	must_pass(convo_store_create(fx->store, &key, NULL, &made, NULL, &err));
	fx_say(fx->store, &key, "kept");
	memset(&again, 'x', sizeof(again));
	must_fail_with(CONVO_E_EXISTS,
		       convo_store_create(fx->store, &key, &create, &again, NULL, &err));
	must(again.session[0] == 'x'); /* untouched on failure */
	session = fx_load(fx->store, &key);
	must_equal_str("", convo_session_meta(session)->title);
	must_equal_str(made.generation, convo_session_meta(session)->generation);
	must_equal(1, convo_session_meta(session)->last_seq);
	convo_session_free(session);
	fx_must_have(fx->store, &key, "a", NULL);
	fx_must_have(fx->store, &key, "user:a", NULL);
	fx_must_have(fx->store, &key, "app:a", NULL);
}

static void S1_an_empty_id_asks_for_a_generated_one(struct fx *fx)
{
	struct convo_key key = fx_key(fx, NULL);
	struct convo_created made[20];
	struct convo_err err;

	for (int i = 0; i < 20; i++) {
		key.session = i % 2 ? "" : NULL;
		must_pass(convo_store_create(fx->store, &key, NULL, &made[i], NULL, &err));
		must(made[i].session[0] != '\0');
		for (int j = 0; j < i; j++) {
			must(strcmp(made[i].session, made[j].session) != 0);
			must(strcmp(made[i].generation, made[j].generation) != 0);
		}
	}
	for (int i = 0; i < 20; i++) {
		key.session = made[i].session;
		convo_session_free(fx_load(fx->store, &key));
	}
	must_equal(20, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

struct race {
	struct fx *fx;
	convo_store *store; /* NULL: each opens its own */
	atomic_int winners[50];
	char generation[50][CONVO_UUID_SIZE];
};

static void race_create(void *ctx, int index)
{
	struct race *race = ctx;
	convo_store *store = race->store ? race->store : fx_open_own(race->fx);
	struct convo_err err;

	for (int i = 0; i < 50; i++) {
		struct convo_key key = {race->fx->app, "u", test_text("s%d", i)};
		const struct convo_item item = {.name = "by", .json = test_text("%d", index)};
		const struct convo_create create = {.state = &item, .state_count = 1};
		struct convo_created made;
		int rc = convo_store_create(store, &key, &create, &made, NULL, &err);

		if (rc == 0) {
			must_equal(0, atomic_fetch_add(&race->winners[i], index + 1));
			memcpy(race->generation[i], made.generation, CONVO_UUID_SIZE);
		} else if (rc != CONVO_E_EXISTS) {
			must_not_reach("create gave %d: %s", rc, err.text);
		}
	}
	if (!race->store)
		convo_store_close(store);
}

static void race_must_have_one_winner(struct race *race, convo_store *store)
{
	for (int i = 0; i < 50; i++) {
		struct convo_key key = {race->fx->app, "u", test_text("s%d", i)};
		convo_session *session = fx_load(store, &key);

		must_equal_str(race->generation[i], convo_session_meta(session)->generation);
		convo_session_free(session);
		fx_must_have(store, &key, "by", test_text("%d", race->winners[i] - 1));
	}
}

static void S1_of_racing_threads_exactly_one_creates(struct fx *fx)
{
	struct race *race = test_shared(sizeof(*race));

	race->fx = fx;
	race->store = fx->store;
	test_threads(8, race_create, race);
	race_must_have_one_winner(race, fx->store);
	test_shared_free(race, sizeof(*race));
}

static void S1_of_racing_processes_exactly_one_creates(struct fx *fx)
{
	struct race *race = test_shared(sizeof(*race));

	race->fx = fx;
	test_processes(4, race_create, race);
	race_must_have_one_winner(race, fx_open(fx, NULL));
	test_shared_free(race, sizeof(*race));
}

/* ---- S2 --------------------------------------------------------------------------------- */

static void S2_loading_what_was_never_made_is_not_found(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_key other_user = {fx->app, "v", "s"}, other_app = {"no such app", "u", "s"};

	fx_must_be_absent(fx->store, &key);
	fx_create(fx->store, &key);
	fx_must_be_absent(fx->store, &other_user);
	fx_must_be_absent(fx->store, &other_app);
}

static void S2_a_loaded_session_is_a_copy(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;
	convo_session *before;
	convo_store *store = fx_open_own(fx);
	size_t count;

	fx_create(store, &key);
	fx_say_state(store, &key, "{\"n\":1}");
	before = fx_load(store, &key);
	fx_say_state(store, &key, "{\"n\":2}");
	must_pass(convo_store_rename(store, &key, "new", NULL, &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	convo_store_close(store);
	must_equal(1, convo_session_meta(before)->last_seq);
	must_equal_str("", convo_session_meta(before)->title);
	must(json_same("1", convo_session_state_get(before, "n")->json));
	test_events(before, &count);
	must_equal(1, count);
	convo_session_free(before);
}

struct viewers {
	struct fx *fx;
	atomic_int writers; /* that are still at it */
	atomic_llong acked; /* the last seq that has been acknowledged */
};

/* Each append sets n in all scopes to the seq it gets; one writer, so it can know it. */
static void view_write(struct viewers *viewers, const struct convo_key *key)
{
	for (int i = 1; i <= 150; i++)
		viewers->acked =
			fx_say_state(viewers->fx->store, key,
				     test_text("{\"n\":%d,\"user:n\":%d,\"app:n\":%d}", i, i, i));
	atomic_store(&viewers->writers, 0);
}

/* What the app's state says, where the last seq is `last` and was `acked` before. */
static void view_must_have_app(const struct viewers *viewers, const convo_session *session,
			       long long acked, long long last)
{
	const struct convo_item *item = convo_session_state_get(session, "app:n");

	if (viewers->fx->contract->app_apart)
		must(!acked || (item && strtoll(item->json, NULL, 10) >= acked));
	else
		must(json_same(test_text("%lld", last), item->json));
}

static void view_read(struct viewers *viewers, const struct convo_key *key)
{
	const struct convo_window last = {.n = 3};
	struct convo_err err;

	while (atomic_load(&viewers->writers)) {
		convo_session *session = NULL;
		const struct convo_meta *meta;
		const struct convo_event *events;
		long long acked = viewers->acked;
		const char *want;
		size_t count;

		must_pass(convo_store_load(&session, viewers->fx->store, key, &last, NULL, &err));
		meta = convo_session_meta(session);
		events = test_events(session, &count);
		must_equal(meta->last_seq, meta->count);
		must_equal(meta->last_seq < 3 ? meta->last_seq : 3, count);
		if (count) {
			want = test_text("%lld", (long long)meta->last_seq);
			must_equal(meta->last_seq, events[count - 1].seq);
			must(json_same(want, convo_session_state_get(session, "n")->json));
			must(json_same(want, convo_session_state_get(session, "user:n")->json));
			view_must_have_app(viewers, session, acked, meta->last_seq);
		}
		convo_session_free(session);
	}
}

static void view_run(void *ctx, int index)
{
	struct viewers *viewers = ctx;
	struct convo_key key = fx_key(viewers->fx, "s");

	if (index == 0)
		view_write(viewers, &key);
	else
		view_read(viewers, &key);
}

static void S2_a_view_is_of_one_moment_while_others_write(struct fx *fx)
{
	struct viewers viewers = {.fx = fx, .writers = 1};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	test_threads(4, view_run, &viewers);
	must_equal(150, fx_last_seq(fx->store, &key));
}

/* ---- rename ----------------------------------------------------------------------------- */

static void S2_rename_sets_and_removes_the_title(struct fx *fx)
{
	static const char *const titles[] = {"one", "two \xf0\x9f\x98\x80", "", "three", NULL};
	struct convo_key key = fx_key(fx, "s"), absent = fx_key(fx, "absent");
	struct convo_err err;

	must_fail_with(CONVO_E_NOTFOUND, convo_store_rename(fx->store, &absent, "t", NULL, &err));
	fx_create(fx->store, &key);
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		convo_session *session;

		must_pass(convo_store_rename(fx->store, &key, titles[i], NULL, &err));
		session = fx_load(fx->store, &key);
		must_equal_str(titles[i] ? titles[i] : "", convo_session_meta(session)->title);
		convo_session_free(session);
	}
}

/* ---- S5 --------------------------------------------------------------------------------- */

static void life_fill(struct fx *fx, const struct convo_key *key, struct convo_created *made)
{
	const struct convo_item item = {.name = "old", .json = "1"};
	const struct convo_create create = {.title = "old", .state = &item, .state_count = 1};
	struct convo_err err;

	must_pass(convo_store_create(fx->store, key, &create, made, NULL, &err));
	fx_say_n(fx->store, key, 3);
	fx_say_state(fx->store, key, "{\"older\":2}");
}

static void life_must_be_new(convo_store *store, const struct convo_key *key,
			     const struct convo_created *old)
{
	struct convo_created made;
	convo_session *session;
	struct convo_err err;
	size_t count, names;

	must_pass(convo_store_create(store, key, NULL, &made, NULL, &err));
	must(strcmp(old->generation, made.generation) != 0);
	session = fx_load(store, key);
	must_equal_str(made.generation, convo_session_meta(session)->generation);
	must_equal_str("", convo_session_meta(session)->title);
	must_equal(0, convo_session_meta(session)->last_seq);
	must_equal(0, convo_session_meta(session)->count);
	test_events(session, &count);
	test_state(session, &names);
	must_equal(0, count);
	must_equal(0, names);
	convo_session_free(session);
	must_equal(1, fx_say(store, key, "first of the new"));
}

static void S5_a_name_deleted_and_created_again_begins_anew(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_created made;
	struct convo_err err;

	life_fill(fx, &key, &made);
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	life_must_be_new(fx->store, &key, &made);
}

static void S5_a_name_purged_and_created_again_begins_anew(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_created made;
	struct convo_err err;

	life_fill(fx, &key, &made);
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	life_must_be_new(fx->store, &key, &made);
}

static void S5_a_name_gone_at_once_and_created_again_begins_anew(struct fx *fx)
{
	const struct convo_store_options no_trash = {.trash_ms = -1, .clean_interval_ms = -1};
	struct fx mine = {.contract = fx->contract, .store = fx_open(fx, &no_trash)};
	struct convo_key key = fx_key(fx, "s");
	struct convo_created made;
	struct convo_err err;

	life_fill(&mine, &key, &made);
	must_pass(convo_store_delete(mine.store, &key, NULL, &err));
	must_equal(0, fx_count(mine.store, fx->app, "u", CONVO_LIST_TRASH));
	life_must_be_new(mine.store, &key, &made);
}

static void S5_a_name_expired_and_created_again_begins_anew(struct fx *fx)
{
	const struct convo_store_options hour = {.ttl_ms = HOUR_US / 1000, .clean_interval_ms = -1};
	struct fx mine = {.contract = fx->contract, .store = fx_open(fx, &hour)};
	struct convo_key key = fx_key(fx, "s");
	struct convo_created made;

	life_fill(&mine, &key, &made);
	cv_clock_shift_us(2 * HOUR_US);
	life_must_be_new(mine.store, &key, &made); /* not cleaned yet */
}

static void S5_late_writers_of_the_old_life_are_refused(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(NULL, "late");
	struct convo_created made;
	struct convo_expect old = {0};
	struct convo_err err;

	life_fill(fx, &key, &made);
	old.generation = made.generation;
	must_pass(convo_store_append(fx->store, &key, &old, &event, 1, NULL, NULL, &err));
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_append(fx->store, &key, &old, &event, 1, NULL, NULL, &err));
	fx_create(fx->store, &key);
	fx_say(fx->store, &key, "new");
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(fx->store, &key, &old, &event, 1, NULL, NULL, &err));
	must_equal(1, err.last_seq);
	must_equal(1, fx_last_seq(fx->store, &key));
	/* also when it would be a retry: the id is of the old life */
	event.id = fx_uuid();
	must_fail_with(CONVO_E_CONFLICT,
		       convo_store_append(fx->store, &key, &old, &event, 1, NULL, NULL, &err));
}

/* The id of an event of the old life is free in the new one. */
static void S5_event_ids_of_the_old_life_do_not_count(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_event event = fx_event(fx_uuid(), "same id");
	struct convo_err err;
	int64_t seq = 0;

	fx_create(fx->store, &key);
	fx_say_n(fx->store, &key, 4);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, &seq, NULL, &err));
	must_equal(5, seq);
	must_pass(convo_store_delete(fx->store, &key, NULL, &err));
	fx_create(fx->store, &key);
	must_pass(convo_store_append(fx->store, &key, NULL, &event, 1, &seq, NULL, &err));
	must_equal(1, seq);
}

struct lives {
	struct fx *fx;
	atomic_int ended;
};

/* One thread ends and begins the session; the others write to whatever lives. */
static void life_churn(void *ctx, int index)
{
	struct lives *lives = ctx;
	struct convo_key key = fx_key(lives->fx, "s");
	convo_store *store = lives->fx->store;
	struct convo_err err;

	for (int i = 0; index == 0 && i < 40; i++) {
		must_pass(convo_store_delete(store, &key, NULL, &err));
		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		if (i == 39)
			atomic_store(&lives->ended, 1);
	}
	while (index != 0 && !atomic_load(&lives->ended)) {
		struct convo_event event = fx_event(NULL, "x");
		int rc;

		event.state = test_text("{\"w%d\":1}", index);
		rc = convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err);
		if (rc != 0 && rc != CONVO_E_NOTFOUND)
			must_not_reach("append gave %d: %s", rc, err.text);
	}
}

static void S5_lives_do_not_mix_while_others_write(struct fx *fx)
{
	struct lives lives = {.fx = fx};
	struct convo_key key = fx_key(fx, "s");
	convo_session *session;
	struct convo_err err;

	fx_create(fx->store, &key);
	test_threads(4, life_churn, &lives);
	session = fx_load(fx->store, &key);
	fx_must_run(session, 1, (size_t)convo_session_meta(session)->last_seq);
	convo_session_free(session);
	must_equal(40, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

const struct contract_test contract_sessions[] = {
	CONTRACT_TEST(S1_create_makes_an_empty_session),
	CONTRACT_TEST(S1_create_takes_title_and_first_state),
	CONTRACT_TEST(S1_creating_a_live_name_is_refused_and_changes_nothing),
	CONTRACT_TEST(S1_an_empty_id_asks_for_a_generated_one),
	CONTRACT_TEST(S1_of_racing_threads_exactly_one_creates),
	CONTRACT_TEST_IF(S1_of_racing_processes_exactly_one_creates, NEEDS_FORK),
	CONTRACT_TEST(S2_loading_what_was_never_made_is_not_found),
	CONTRACT_TEST(S2_a_loaded_session_is_a_copy),
	CONTRACT_TEST(S2_a_view_is_of_one_moment_while_others_write),
	CONTRACT_TEST(S2_rename_sets_and_removes_the_title),
	CONTRACT_TEST(S5_a_name_deleted_and_created_again_begins_anew),
	CONTRACT_TEST(S5_a_name_purged_and_created_again_begins_anew),
	CONTRACT_TEST(S5_a_name_gone_at_once_and_created_again_begins_anew),
	CONTRACT_TEST(S5_a_name_expired_and_created_again_begins_anew),
	CONTRACT_TEST(S5_late_writers_of_the_old_life_are_refused),
	CONTRACT_TEST(S5_event_ids_of_the_old_life_do_not_count),
	CONTRACT_TEST(S5_lives_do_not_mix_while_others_write),
	{0},
};
