/*
 * N1: names. Any byte string that is printable UTF-8 names one thing and nothing else.
 */
#include "contract.h"

#include <stdio.h>

/* Names an engine might confuse, fold, trim, split, expand or run. */
static const char *const odd_names[] = {
	"s",
	"S",
	"e",
	"\xc3\xa9",  /* é, composed */
	"e\xcc\x81", /* é, decomposed */
	"\xc3\x89",  /* É */
	"\xc3\x9f",  /* ß */
	"ss",
	"\xc4\xb1", /* dotless i */
	"i",
	"I",
	"\xc4\xb0",     /* dotted I */
	"\xef\xac\x81", /* the ligature fi */
	"fi",
	"\xc5\xbf", /* long s */
	"a",
	"a ",
	"a  ",
	" a",
	" ",
	"\xc2\xa0",      /* no-break space */
	"a\xe2\x80\x8b", /* zero width space */
	"a\xe2\x80\x8d", /* zero width joiner */
	"\xef\xbb\xbf"
	"a", /* byte order mark */
	"\xe2\x80\xae"
	"a",                /* right-to-left override */
	"\xef\xbf\xbd",     /* replacement character */
	"\xef\xbf\xbf",     /* noncharacter */
	"\xf4\x8f\xbf\xbf", /* U+10FFFF */
	"\xf0\x9f\x98\x80", /* emoji */
	"\xf0\x9f\x98\x81",
	"\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
	"\xe6\x97\xa5\xe6\x9c\xac",
	"a:b",
	"a:b:c",
	":",
	"::",
	"/",
	"../a",
	".",
	"..",
	"\\",
	"\\\\",
	"a\\",
	"a\\'b",
	"'",
	"''",
	"'; DROP TABLE convo_session; --",
	"\"",
	"`",
	"$1",
	"?",
	"%",
	"%s%n",
	"%25",
	"_",
	"a%",
	"a_",
	"*",
	"a*",
	"[a]",
	"{",
	"}",
	"{a}",
	"{a",
	"|",
	"#",
	";",
	"--",
	"/*",
	"0",
	"00",
	"-1",
	"1e3",
	"null",
	"NULL",
	"true",
	"nil",
	"]]",
	"[[",
	"+",
	"&",
	"=",
	"<a>",
	"@",
	"~",
	"^",
	"!",
	",",
	"(",
	")",
	"\xe2\x80\xa8", /* line separator */
};

#define ODD_NAMES (sizeof(odd_names) / sizeof(odd_names[0]))

/* Make one session, mark it in every scope, and say where it is from. */
static void name_mark(struct fx *fx, const struct convo_key *key, const char *mark)
{
	fx_create(fx->store, key);
	fx_say(fx->store, key, mark);
	fx_set(fx->store, key, "mark", test_text("\"%s\"", mark));
}

static void name_must_be_marked(struct fx *fx, const struct convo_key *key, const char *mark)
{
	convo_session *session = fx_load(fx->store, key);
	const char *want = test_text("{\"role\":\"user\",\"content\":\"%s\"}", mark);
	size_t count, names;

	must_equal_str(key->session, convo_session_meta(session)->session);
	must(json_same(want, test_events(session, &count)[0].message));
	must_equal(1, count);
	must(json_same(test_text("\"%s\"", mark), convo_session_state_get(session, "mark")->json));
	test_state(session, &names);
	must_equal(1, names);
	convo_session_free(session);
}

static void N1_odd_session_ids_are_kept_apart(struct fx *fx)
{
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = fx_key(fx, odd_names[i]);

		name_mark(fx, &key, test_text("%zu", i));
	}
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = fx_key(fx, odd_names[i]);

		name_must_be_marked(fx, &key, test_text("%zu", i));
	}
	must_equal(ODD_NAMES, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

static void N1_deleting_one_odd_name_leaves_the_others(struct fx *fx)
{
	struct convo_err err;

	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = fx_key(fx, odd_names[i]);

		name_mark(fx, &key, test_text("%zu", i));
	}
	for (size_t i = 0; i < ODD_NAMES; i += 2) {
		struct convo_key key = fx_key(fx, odd_names[i]);

		must_pass(convo_store_delete(fx->store, &key, NULL, &err));
		must_pass(convo_store_purge(fx->store, &key, NULL, NULL, &err));
	}
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = fx_key(fx, odd_names[i]);

		if (i % 2 == 0)
			fx_must_be_absent(fx->store, &key);
		else
			name_must_be_marked(fx, &key, test_text("%zu", i));
	}
	must_equal(ODD_NAMES / 2, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

static void N1_odd_users_are_kept_apart(struct fx *fx)
{
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = {fx->app, odd_names[i], "s"};

		fx_create(fx->store, &key);
		fx_set(fx->store, &key, "user:n", test_text("%zu", i));
	}
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = {fx->app, odd_names[i], "s"};

		fx_must_have(fx->store, &key, "user:n", test_text("%zu", i));
		must_equal(1, fx_count(fx->store, fx->app, odd_names[i], CONVO_LIST_LIVE));
	}
}

static void N1_odd_apps_are_kept_apart(struct fx *fx)
{
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = {test_text("%s%s", fx->app, odd_names[i]), "u", "s"};

		fx_create(fx->store, &key);
		fx_set(fx->store, &key, "app:n", test_text("%zu", i));
	}
	for (size_t i = 0; i < ODD_NAMES; i++) {
		struct convo_key key = {test_text("%s%s", fx->app, odd_names[i]), "u", "s"};

		fx_must_have(fx->store, &key, "app:n", test_text("%zu", i));
		must_equal(1, fx_count(fx->store, key.app, "u", CONVO_LIST_LIVE));
	}
}

static void N1_odd_state_names_are_kept_apart(struct fx *fx)
{
	static const char *const scopes[] = {"", "user:", "app:"};
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	for (size_t s = 0; s < 3; s++)
		for (size_t i = 0; i < ODD_NAMES; i++)
			fx_set(fx->store, &key, test_text("%s%s", scopes[s], odd_names[i]),
			       test_text("%zu", 1000 * s + i));
	for (size_t s = 0; s < 3; s++)
		for (size_t i = 0; i < ODD_NAMES; i++)
			fx_must_have(fx->store, &key, test_text("%s%s", scopes[s], odd_names[i]),
				     test_text("%zu", 1000 * s + i));
}

/* Every place of a separator between app, user and session. */
static void N1_joined_names_do_not_meet(struct fx *fx)
{
	static const char *const separators[] = {":", "/", "|",  "{", "}", "%", "*", "\\",
						 "'", " ", "::", ",", "-", "_", "#", "\xc2\xa0"};
	const size_t n = sizeof(separators) / sizeof(separators[0]);

	for (size_t i = 0; i < n; i++) {
		const char *s = separators[i];
		struct convo_key keys[] = {
			{test_text("%s%sb", fx->app, s), "c", "d"},
			{fx->app, test_text("b%sc", s), "d"},
			{fx->app, "b", test_text("c%sd", s)},
			{test_text("%s%sb%sc", fx->app, s, s), "d", "e"},
			{fx->app, test_text("b%sc%sd", s, s), "e"},
			{fx->app, "b", test_text("c%sd%se", s, s)},
			{test_text("%s%s", fx->app, s), "b", "c"},
			{fx->app, test_text("%sb", s), "c"},
			{fx->app, "b", test_text("%sc", s)},
			{fx->app, test_text("b%s", s), "c"},
		};
		const size_t count = sizeof(keys) / sizeof(keys[0]);

		for (size_t k = 0; k < count; k++)
			name_mark(fx, &keys[k], test_text("%zu.%zu", i, k));
		for (size_t k = 0; k < count; k++)
			name_must_be_marked(fx, &keys[k], test_text("%zu.%zu", i, k));
	}
}

static void N1_names_of_255_bytes_differ_in_their_last(struct fx *fx)
{
	char names[3][256];

	for (int i = 0; i < 3; i++) {
		memset(names[i], 'n', 255);
		names[i][255] = '\0';
	}
	names[1][254] = 'm';
	names[2][254] = '\0';
	for (int i = 0; i < 3; i++) {
		struct convo_key key = {fx->app, names[i], names[i]};

		name_mark(fx, &key, test_text("%d", i));
		fx_set(fx->store, &key, names[i], test_text("%d", i));
		fx_set(fx->store, &key, test_text("user:%s", names[i]), test_text("%d", i));
	}
	for (int i = 0; i < 3; i++) {
		struct convo_key key = {fx->app, names[i], names[i]};

		fx_must_have(fx->store, &key, "mark", test_text("\"%d\"", i));
		fx_must_have(fx->store, &key, names[i], test_text("%d", i));
		fx_must_have(fx->store, &key, test_text("user:%s", names[i]), test_text("%d", i));
	}
}

/* 255 bytes of four-byte characters cannot be; 63 of them and three bytes can. */
static void N1_names_are_counted_in_bytes(struct fx *fx)
{
	char name[257] = "";
	struct convo_key key = {fx->app, name, name};
	struct convo_err err;

	for (int i = 0; i < 63; i++)
		memcpy(name + 4 * i, "\xf0\x9f\x98\x80", 5);
	memcpy(name + 252, "abc", 4);
	name_mark(fx, &key, "long");
	name_must_be_marked(fx, &key, "long");
	memcpy(name + 255, "d", 2);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_create(fx->store, &key, NULL, NULL, NULL, &err));
}

static void name_must_be_refused(struct fx *fx, const struct convo_key *key, bool create)
{
	const struct convo_item item = {.name = "n", .json = "1"};
	struct convo_event event = fx_event(NULL, "never");
	convo_session *session = NULL;
	convo_state *state = NULL;
	struct convo_err err;

	if (create)
		must_fail_with(CONVO_E_INVALID,
			       convo_store_create(fx->store, key, NULL, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_load(&session, fx->store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, key, NULL, &event, 1, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_rename(fx->store, key, "t", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_delete(fx->store, key, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_restore(fx->store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_purge(fx->store, key, NULL, NULL, &err));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, key, &item, 1, NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_state_list(&state, fx->store, key,
							       CONVO_SCOPE_SESSION, NULL, &err));
	must(session == NULL && state == NULL);
}

static void N1_bad_names_are_refused_everywhere(struct fx *fx)
{
	char long_name[257];
	const char *const bad[] = {
		NULL,
		"",
		long_name,
		"a\nb",
		"a\tb",
		"\x01",
		"\x1f",
		"\x7f",
		"\xc2\x85", /* a C1 control */
		"\xff",
		"a\x80",
		"\xc0\xaf",         /* overlong */
		"\xe0\x80\xaf",     /* overlong */
		"\xed\xa0\x80",     /* a surrogate */
		"\xf4\x90\x80\x80", /* past U+10FFFF */
		"a\xe2\x82",        /* cut */
	};

	memset(long_name, 'n', 256);
	long_name[256] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct convo_key key = {bad[i], "u", "s"};
		convo_cursor *cursor = NULL;
		struct convo_err err;

		name_must_be_refused(fx, &key, true);
		must_fail_with(CONVO_E_INVALID,
			       convo_cursor_new(&cursor, bad[i], "u", CONVO_LIST_LIVE, &err));
		key = (struct convo_key){fx->app, bad[i], "s"};
		name_must_be_refused(fx, &key, true);
		if (bad[i]) /* NULL is all users */
			must_fail_with(CONVO_E_INVALID, convo_cursor_new(&cursor, fx->app, bad[i],
									 CONVO_LIST_LIVE, &err));
		must(cursor == NULL);
		/* an absent session id asks create() for one */
		key = (struct convo_key){fx->app, "u", bad[i]};
		name_must_be_refused(fx, &key, i > 1);
	}
	must_equal(0, fx_count(fx->store, fx->app, "u", CONVO_LIST_LIVE));
}

static void N1_bad_state_names_are_refused(struct fx *fx)
{
	const char *const bad[] = {"",
				   "user:",
				   "app:",
				   "temp:",
				   "a\n",
				   "\xff",
				   "user:\x01",
				   test_text("%0256d", 1),
				   test_text("app:%0256d", 1)};
	struct convo_key key = fx_key(fx, "s");
	struct convo_err err;
	size_t names;
	convo_session *session;

	fx_create(fx->store, &key);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct convo_item items[] = {{.name = "good", .json = "1"},
						   {.name = bad[i], .json = "1"}};
		char *value = NULL;

		must_fail_with(CONVO_E_INVALID,
			       convo_store_state_set(fx->store, &key, items, 2, NULL, &err));
		must_fail_with(CONVO_E_INVALID,
			       convo_store_state_get(&value, fx->store, &key, bad[i], NULL, &err));
		must_fail_with(CONVO_E_INVALID,
			       convo_store_state_delete(fx->store, &key, bad[i], NULL, &err));
	}
	session = fx_load(fx->store, &key);
	test_state(session, &names);
	must_equal(0, names);
	convo_session_free(session);
}

const struct contract_test contract_names[] = {
	CONTRACT_TEST(N1_odd_session_ids_are_kept_apart),
	CONTRACT_TEST(N1_deleting_one_odd_name_leaves_the_others),
	CONTRACT_TEST(N1_odd_users_are_kept_apart),
	CONTRACT_TEST(N1_odd_apps_are_kept_apart),
	CONTRACT_TEST(N1_odd_state_names_are_kept_apart),
	CONTRACT_TEST(N1_joined_names_do_not_meet),
	CONTRACT_TEST(N1_names_of_255_bytes_differ_in_their_last),
	CONTRACT_TEST(N1_names_are_counted_in_bytes),
	CONTRACT_TEST(N1_bad_names_are_refused_everywhere),
	CONTRACT_TEST(N1_bad_state_names_are_refused),
	{0},
};
