/*
 * Store URLs and durations.
 */
#include <support/test.h>

#include <convo/text.h>

#include <base/url.h>

struct wanted_url {
	const char *text, *scheme, *user, *password, *host;
	int port;
	const char *path;
};

static void test_url__takes_urls_apart(void **state)
{
	static const struct wanted_url cases[] = {
		{"memory:", "memory", NULL, NULL, NULL, 0, NULL},
		{"sqlite:///abs/p.db", "sqlite", NULL, NULL, NULL, 0, "/abs/p.db"},
		{"sqlite:rel/p.db", "sqlite", NULL, NULL, NULL, 0, "rel/p.db"},
		{"sqlite:/abs/p%20q.db", "sqlite", NULL, NULL, NULL, 0, "/abs/p q.db"},
		{"REDIS://h", "redis", NULL, NULL, "h", 0, NULL},
		{"redis://h:6379/0", "redis", NULL, NULL, "h", 6379, "/0"},
		{"redis://:pw@h/1", "redis", NULL, "pw", "h", 0, "/1"},
		{"redis://u@h:1", "redis", "u", NULL, "h", 1, NULL},
		{"redis://u:@h", "redis", "u", "", "h", 0, NULL},
		{"pg://u:p%40ss%3Aw%2Frd%20%23%27%25@h:65535/d", "pg", "u", "p@ss:w/rd #'%", "h",
		 65535, "/d"},
		{"pg://u:a:b@h/d", "pg", "u", "a:b", "h", 0, "/d"},
		{"pg://u:a@b@h/d", "pg", "u", "a@b", "h", 0, "/d"},
		{"pg://%C3%A9:x@h/%C3%A9", "pg", "\xc3\xa9", "x", "h", 0, "/\xc3\xa9"},
		{"pg://[::1]:5432/d", "pg", NULL, NULL, "::1", 5432, "/d"},
		{"pg://[fe80::1]/d", "pg", NULL, NULL, "fe80::1", 0, "/d"},
		{"pg://a:1,b:2/d", "pg", NULL, NULL, "a:1,b:2", 0, "/d"},
		{"pg://%2Frun%2Fpg/d", "pg", NULL, NULL, "/run/pg", 0, "/d"},
		{"pg:///d", "pg", NULL, NULL, NULL, 0, "/d"},
		{"pg://h:/d", "pg", NULL, NULL, "h", 0, "/d"},
		{"a+b-c.1:x", "a+b-c.1", NULL, NULL, NULL, 0, "x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_url url;
		struct convo_err err;

		must_pass(cv_url_parse(&url, cases[i].text, &err));
		must_equal_str(cases[i].scheme, url.scheme);
		must_equal_str(cases[i].user, url.user);
		must_equal_str(cases[i].password, url.password);
		must_equal_str(cases[i].host, url.host);
		must_equal(cases[i].port, url.port);
		must_equal_str(cases[i].path, url.path);
		cv_url_clear(&url);
		must(url.memory == NULL && url.scheme == NULL);
	}
}

static void must_be_host(const char *name, int port, const struct cv_url_host *host)
{
	if (!cv_text_is(host->name, name) || host->port != port)
		must_not_reach("%.*s and %d, not %s and %d", (int)host->name.len, host->name.data,
			       host->port, name, port);
}

static void test_url__hosts_come_one_by_one(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		struct {
			const char *name;
			int port;
		} host[4];
	} cases[] = {
		{"x:p", 0, {{NULL, 0}}},
		{"x:///p", 0, {{NULL, 0}}},
		{"x://h/p", 1, {{"h", 0}}},
		{"x://h:1/p", 1, {{"h", 1}}},
		{"x://[::1]:2/p", 1, {{"::1", 2}}},
		{"x://u:p@a:1,b:2,c/p", 3, {{"a", 1}, {"b", 2}, {"c", 0}}},
		{"x://[::1]:2,[fe80::1],127.0.0.1:65535",
		 3,
		 {{"::1", 2}, {"fe80::1", 0}, {"127.0.0.1", 65535}}},
		{"x://a:,%62", 2, {{"a", 0}, {"b", 0}}},
		{"x://%2Frun%2Fa:5,%2Frun%2Fb,h", 3, {{"/run/a", 5}, {"/run/b", 0}, {"h", 0}}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_url_host host;
		struct cv_url url;
		struct convo_err err;

		must_pass(cv_url_parse(&url, cases[i].text, &err));
		for (size_t k = 0; k < cases[i].count; k++) {
			must_equal(1, cv_url_host_at(&url, k, &host));
			must_be_host(cases[i].host[k].name, cases[i].host[k].port, &host);
		}
		must_equal(0, cv_url_host_at(&url, cases[i].count, &host));
		must_equal(0, cv_url_host_at(&url, cases[i].count + 1, &host));
		cv_url_clear(&url);
	}
}

/* A list that is no URL's: of an option, of a variable. */
static void test_url__a_list_alone_is_split_alike(void **state)
{
	struct cv_url_host host;
	struct convo_err err;

	(void)state;
	must_pass(cv_url_host_in("", 0, &host, &err));
	must_be_host("", 0, &host);
	must_equal(0, cv_url_host_in("", 1, &host, &err));
	must_equal(1, cv_url_host_in("a,/run/pg:5433", 1, &host, &err));
	must_be_host("/run/pg", 5433, &host);
	must_equal(1, cv_url_host_in("/run/a:b:7", 0, &host, &err));
	must_be_host("/run/a:b", 7, &host);
	must_fail_with(CONVO_E_INVALID, cv_url_host_in("a,::1:5", 1, &host, &err));
	must_fail_with(CONVO_E_INVALID, cv_url_host_in("a:x", 0, &host, &err));
	must_fail_with(CONVO_E_INVALID, cv_url_host_in("[::1", 0, &host, &err));
}

static void test_url__params_are_decoded_and_the_last_counts(void **state)
{
	struct cv_url url;
	struct convo_err err;

	(void)state;
	must_pass(cv_url_parse(&url, "x://h/p?a=1&b=%26%3D+&c=&a=2&%61b=3", &err));
	must_equal(5, url.count);
	must_equal_str("2", cv_url_param(&url, "a"));
	must_equal_str("&=+", cv_url_param(&url, "b"));
	must_equal_str("", cv_url_param(&url, "c"));
	must_equal_str("3", cv_url_param(&url, "ab"));
	must_equal_str(NULL, cv_url_param(&url, "d"));
	must_equal_str("/p", url.path);
	cv_url_clear(&url);
	must_pass(cv_url_parse(&url, "memory:?ttl=1h", &err));
	must_equal_str("1h", cv_url_param(&url, "ttl"));
	cv_url_clear(&url);
}

static void test_url__what_is_no_url_is_refused_without_its_password(void **state)
{
	const char *const bad[] = {
		"",
		":",
		"://h",
		"no scheme",
		"1x:",
		"/path",
		"x y:",
		"x://u:hunter2@h:port/",
		"x://u:hunter2@h:0/",
		"x://u:hunter2@h:65536/",
		"x://u:hunter2@h:99999999999999999999/",
		"x://u:hunter2@h:-1/",
		"x://u:hunter2@h:1x/",
		"x://u:hunter2%@h/",
		"x://u:hunter2%4@h/",
		"x://u:hunter2%4g@h/",
		"x://u:hunter2%00@h/",
		"x://u:hunter2%ff@h/",
		"x://u:hunter2@[::1/",
		"x://u:hunter2@[::1]x/",
		"x://u:hunter2@::1/",
		"x://u:hunter2@a,/",
		"x://u:hunter2@a%2Cb/",
		"x://u:hunter2@,a/",
		"x://u:hunter2@a,:1,b/",
		"x://u:hunter2@a,b:0/",
		"x://u:hunter2@a:65536,b/",
		"x://u:hunter2@a,b:1x/",
		"x://u:hunter2@a,::1:5/",
		"x://u:hunter2@a,[::1/",
		"x://u:hunter2@a,[::1]x/",
		"x://u:hunter2@a,b%zz/",
		"x://u:hunter2@h/%zz",
		"x://u:hunter2@h/?a",
		"x://u:hunter2@h/?=1",
		"x://u:hunter2@h/?a=%",
		"x://u:hunter2@h/?a=1&&b=2",
		test_text("x://u:hunter2@h/?%s",
			  "a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&"
			  "a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1&a=1"),
	};
	struct cv_url url;
	struct convo_err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must_fail_with(CONVO_E_INVALID, cv_url_parse(&url, bad[i], &err));
		must(!strstr(err.text, "hunter2"));
	}
}

static void test_url__a_very_long_one_is_refused(void **state)
{
	char *text = malloc(8194);
	struct cv_url url;
	struct convo_err err;

	(void)state;
	must(text != NULL);
	memset(text, 'x', 8193);
	text[1] = ':';
	text[8193] = '\0';
	must_fail_with(CONVO_E_INVALID, cv_url_parse(&url, text, &err));
	text[8192] = '\0';
	must_pass(cv_url_parse(&url, text, &err));
	cv_url_clear(&url);
	free(text);
}

static void test_duration__reads_units_from_large_to_small(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"0", 0},
		{"0s", 0},
		{"1ms", 1},
		{"250ms", 250},
		{"90s", 90000},
		{"1m", 60000},
		{"24h", 86400000},
		{"7d", 604800000},
		{"1h30m", 5400000},
		{"1d2h3m4s5ms", 93784005},
		{"1d5ms", 86400005},
		{"007s", 7000},
		{"36500d", INT64_C(3153600000000)},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct convo_err err;
		int64_t ms = -1;

		must_pass(convo_duration_parse(&ms, cases[i].text, &err));
		must_equal(cases[i].ms, ms);
	}
}

static void test_duration__refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"5 s",
		" 5s",
		"5s ",
		"s",
		"-1s",
		"+1s",
		"1.5h",
		"1H",
		"1sec",
		"1m1h",
		"1s1s",
		"1ms1s",
		"1h30",
		"00",
		"0h0",
		"1w",
		"1y",
		"1,5h",
		"1h 30m",
		"1hm",
		"1e3s",
		"0x1s",
		"1s\n",
		"d",
		"36601d",
		"99999999999999999999d",
		"3153600001000s1",
		"ever",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct convo_err err;
		int64_t ms = -1;

		must_fail_with(CONVO_E_INVALID, convo_duration_parse(&ms, bad[i], &err));
		must_fail_with(CONVO_E_INVALID, convo_duration_parse(&ms, NULL, &err));
		must_equal(-1, ms);
	}
}

int main(void)
{
	const struct CMUnitTest url[] = {
		cmocka_unit_test(test_url__takes_urls_apart),
		cmocka_unit_test(test_url__hosts_come_one_by_one),
		cmocka_unit_test(test_url__a_list_alone_is_split_alike),
		cmocka_unit_test(test_url__params_are_decoded_and_the_last_counts),
		cmocka_unit_test(test_url__what_is_no_url_is_refused_without_its_password),
		cmocka_unit_test(test_url__a_very_long_one_is_refused),
		cmocka_unit_test(test_duration__reads_units_from_large_to_small),
		cmocka_unit_test(test_duration__refuses_everything_else),
	};

	return TEST_RUN(url);
}
