/*
 * T1: state.
 */
#include "contract.h"

#include <stdatomic.h>
#include <stdio.h>

/* The names of some scopes, divided by blanks, in the order given. */
static void state_must_list(convo_store *store, const struct convo_key *key, unsigned scopes,
			    const char *names)
{
	char got[2048] = "";
	const struct convo_item *items;
	convo_state *state = NULL;
	struct convo_err err;
	size_t count, len = 0;

	must_pass(convo_store_state_list(&state, store, key, scopes, NULL, &err));
	items = test_items(state, &count);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", i ? " " : "",
					items[i].name);
	must_equal_str(names, got);
	convo_state_free(state);
}

static void T1_names_are_set_read_and_removed_in_each_scope(struct fx *fx)
{
	static const char *const names[] = {"n", "user:n", "app:n"};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	for (int i = 0; i < 3; i++) {
		const char *name = names[i];
		const struct convo_item none = {.name = name, .json = " null "};

		fx_must_have(fx->store, &key, name, NULL);
		must_pass(convo_store_state_delete(fx->store, &key, name, NULL, &err)); /* absent */
		fx_set(fx->store, &key, name, "{\"a\":1}");
		fx_must_have(fx->store, &key, name, "{\"a\":1}");
		fx_set(fx->store, &key, name, "[2]");
		fx_must_have(fx->store, &key, name, "[2]");
		must_pass(convo_store_state_delete(fx->store, &key, name, NULL, &err));
		fx_must_have(fx->store, &key, name, NULL);
		fx_set(fx->store, &key, name, "3");
		must_pass(convo_store_state_set(fx->store, &key, &none, 1, NULL, &err));
		fx_must_have(fx->store, &key, name, NULL);
		fx_set(fx->store, &key, name, "4");
		fx_set(fx->store, &key, name, NULL);
		fx_must_have(fx->store, &key, name, NULL);
	}
}

static void T1_lists_hold_the_scopes_asked_for_sorted(struct fx *fx)
{
	const unsigned session = CONVO_SCOPE_SESSION, user = CONVO_SCOPE_USER,
		       app = CONVO_SCOPE_APP;
	struct convo_key key = fx_key(fx, "s");
	convo_state *state = NULL;
	struct convo_err err;

	fx_create(fx->store, &key);
	state_must_list(fx->store, &key, session | user | app, "");
	fx_say_state(fx->store, &key,
		     "{\"b\":1,\"a\":1,\"B\":1,\"z\":1,\"user:b\":1,\"user:a\":1,\"app:x\":1,"
		     "\"\xc3\xa9\":1,\"aa\":1}");
	state_must_list(fx->store, &key, session, "B a aa b z \xc3\xa9");
	state_must_list(fx->store, &key, user, "user:a user:b");
	state_must_list(fx->store, &key, app, "app:x");
	state_must_list(fx->store, &key, user | app, "app:x user:a user:b");
	state_must_list(fx->store, &key, session | user | app,
			"B a aa app:x b user:a user:b z \xc3\xa9");
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_list(&state, fx->store, &key, 0, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_list(&state, fx->store, &key, 8, NULL, &err));
}

/* User and app state need no session, app state no user. */
static void T1_a_key_needs_what_its_scopes_need(struct fx *fx)
{
	struct convo_key user_key = {fx->app, "u", NULL}, app_key = {fx->app, NULL, NULL};
	struct convo_key absent = fx_key(fx, "absent");
	const struct convo_item user_item = {.name = "user:n", .json = "1"};
	const struct convo_item plain = {.name = "n", .json = "1"};
	convo_state *state = NULL;
	char *value = NULL;
	struct convo_err err;

	fx_set(fx->store, &user_key, "user:n", "1");
	fx_set(fx->store, &app_key, "app:n", "2");
	fx_must_have(fx->store, &user_key, "user:n", "1");
	fx_must_have(fx->store, &app_key, "app:n", "2");
	fx_must_have(fx->store, &absent, "user:n", "1"); /* the session is not needed */
	state_must_list(fx->store, &user_key, CONVO_SCOPE_USER | CONVO_SCOPE_APP, "app:n user:n");
	state_must_list(fx->store, &app_key, CONVO_SCOPE_APP, "app:n");
	fx_set(fx->store, &absent, "user:m", "3");
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, &app_key, &user_item, 1, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, &user_key, &plain, 1, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_get(&value, fx->store, &app_key, "user:n", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_state_list(&state, fx->store, &user_key,
							       CONVO_SCOPE_SESSION, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_set(fx->store, &absent, &plain, 1, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_state_list(&state, fx->store, &absent,
								CONVO_SCOPE_SESSION, NULL, &err));
	must(state == NULL && value == NULL);
}

static void T1_a_set_of_several_names_is_all_or_none(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), absent = fx_key(fx, "absent");
	const struct convo_item good[] = {{.name = "a", .json = "1"},
					  {.name = "user:a", .json = "2"},
					  {.name = "app:a", .json = "3"},
					  {.name = "temp:a", .json = "4"},
					  {.name = "gone", .json = NULL}};
	const struct convo_item bad[] = {{.name = "b", .json = "1"},
					 {.name = "user:b", .json = "2"},
					 {.name = "app:b", .json = "{"}};
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_set(fx->store, &key, "gone", "1");
	must_pass(convo_store_state_set(fx->store, &key, good, 5, NULL, &err));
	state_must_list(fx->store, &key, 7, "a app:a user:a");
	must_fail_with(CONVO_E_INVALID, convo_store_state_set(fx->store, &key, bad, 3, NULL, &err));
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_state_set(fx->store, &absent, bad, 2, NULL, &err));
	state_must_list(fx->store, &key, 7, "a app:a user:a");
	must_pass(convo_store_state_set(fx->store, &key, NULL, 0, NULL, &err)); /* nothing to do */
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, &key, NULL, 1, NULL, &err));
}

struct pairs {
	struct fx *fx;
	atomic_int writers;
};

/* Writers set x and y of two scopes to one number; readers never see them differ. */
static void pair_run(void *ctx, int index)
{
	struct pairs *pairs = ctx;
	struct convo_key key = fx_key(pairs->fx, "s");
	struct convo_err err;

	for (int i = 0; index < 2 && i < 100; i++) {
		const char *n = test_text("%d", index * 1000 + i);
		const struct convo_item items[] = {{.name = "x", .json = n},
						   {.name = "y", .json = n},
						   {.name = "user:x", .json = n}};

		must_pass(convo_store_state_set(pairs->fx->store, &key, items, 3, NULL, &err));
	}
	if (index < 2)
		atomic_fetch_sub(&pairs->writers, 1);
	while (index >= 2 && atomic_load(&pairs->writers)) {
		const struct convo_item *items;
		convo_state *state = NULL;
		size_t count;

		must_pass(convo_store_state_list(&state, pairs->fx->store, &key,
						 CONVO_SCOPE_SESSION | CONVO_SCOPE_USER, NULL,
						 &err));
		items = test_items(state, &count);
		must_equal(3, count);
		must(json_same(items[0].json, items[1].json)); /* user:x, x, y */
		must(json_same(items[1].json, items[2].json));
		convo_state_free(state);
	}
}

static void T1_names_set_together_are_seen_together(struct fx *fx)
{
	struct pairs pairs = {.fx = fx, .writers = 2};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	fx_say_state(fx->store, &key, "{\"x\":0,\"y\":0,\"user:x\":0}");
	test_threads(4, pair_run, &pairs);
}

static void name_run(void *ctx, int index)
{
	struct fx *fx = ctx;
	struct convo_key key = fx_key(fx, "s");

	for (int i = 0; i < 25; i++) {
		fx_set(fx->store, &key, test_text("%d.%d", index, i), "1");
		fx_set(fx->store, &key, test_text("user:%d.%d", index, i), "1");
		fx_set(fx->store, &key, test_text("app:%d.%d", index, i), "1");
	}
}

static void T1_names_set_at_once_lose_nothing(struct fx *fx)
{
	static const unsigned scopes[] = {CONVO_SCOPE_SESSION, CONVO_SCOPE_USER, CONVO_SCOPE_APP};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	test_threads(5, name_run, fx);
	for (int i = 0; i < 3; i++) {
		convo_state *state = NULL;
		size_t count;

		must_pass(convo_store_state_list(&state, fx->store, &key, scopes[i], NULL, &err));
		test_items(state, &count);
		must_equal(125, count);
		convo_state_free(state);
	}
}

/* First writers of a scope that nobody has used yet. */
static void first_run(void *ctx, int index)
{
	struct fx *fx = ctx;

	for (int i = 0; i < 20; i++) {
		struct convo_key key = {test_text("%s-%d", fx->app, i), "u", NULL};

		fx_set(fx->store, &key, test_text("app:%d", index), "1");
		fx_set(fx->store, &key, test_text("user:%d", index), "1");
	}
}

static void T1_racing_first_writers_of_a_scope_lose_nothing(struct fx *fx)
{
	test_threads(5, first_run, fx);
	for (int i = 0; i < 20; i++) {
		struct convo_key key = {test_text("%s-%d", fx->app, i), "u", NULL};

		state_must_list(fx->store, &key, CONVO_SCOPE_APP, "app:0 app:1 app:2 app:3 app:4");
		state_must_list(fx->store, &key, CONVO_SCOPE_USER,
				"user:0 user:1 user:2 user:3 user:4");
	}
}

static void T1_temp_names_are_never_there(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;

	fx_create(fx->store, &key);
	fx_set(fx->store, &key, "temp:n", "1");
	fx_must_have(fx->store, &key, "temp:n", NULL);
	fx_must_have(fx->store, &key, "n", NULL);
	must_pass(convo_store_state_delete(fx->store, &key, "temp:n", NULL, &err));
	state_must_list(fx->store, &key, 7, "");
}

/* A prefix belongs to a scope only at the front and in full. */
static void T1_only_whole_prefixes_name_a_scope(struct fx *fx)
{
	static const char *const plain[] = {"user",   "user_a", "User:a", "USER:a", "app",
					    "apps:a", "temp",   "tempo",  " user:a"};
	struct convo_key key = fx_key(fx, "s"), other = fx_key(fx, "other");

	fx_create(fx->store, &key);
	fx_create(fx->store, &other);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		fx_set(fx->store, &key, plain[i], test_text("%zu", i));
		fx_must_have(fx->store, &key, plain[i], test_text("%zu", i));
		fx_must_have(fx->store, &other, plain[i], NULL);
	}
	fx_set(fx->store, &key, "user:user:a", "1");
	fx_set(fx->store, &key, "user:app:a", "2");
	fx_set(fx->store, &key, "app:user:a", "3");
	fx_must_have(fx->store, &key, "user:user:a", "1");
	fx_must_have(fx->store, &key, "user:app:a", "2");
	fx_must_have(fx->store, &key, "app:user:a", "3");
	state_must_list(fx->store, &key, CONVO_SCOPE_USER, "user:app:a user:user:a");
	state_must_list(fx->store, &key, CONVO_SCOPE_APP, "app:user:a");
}

const struct contract_test contract_state[] = {
	CONTRACT_TEST(T1_names_are_set_read_and_removed_in_each_scope),
	CONTRACT_TEST(T1_lists_hold_the_scopes_asked_for_sorted),
	CONTRACT_TEST(T1_a_key_needs_what_its_scopes_need),
	CONTRACT_TEST(T1_a_set_of_several_names_is_all_or_none),
	CONTRACT_TEST(T1_names_set_together_are_seen_together),
	CONTRACT_TEST(T1_names_set_at_once_lose_nothing),
	CONTRACT_TEST(T1_racing_first_writers_of_a_scope_lose_nothing),
	CONTRACT_TEST(T1_temp_names_are_never_there),
	CONTRACT_TEST(T1_only_whole_prefixes_name_a_scope),
	{0},
};
