/*
 * Advice belongs to a cause: every code on every side, by whatever name the place was given.
 */
#include <support/test.h>

#include "app/advice.h"
#include "app/exit.h"

/* Calls `each` with the advice for every code of the library. */
static void walk(enum advice_side side, const struct settings *settings,
		 void (*each)(enum advice_side side, int code, const char *text))
{
	int code;

	for (code = -1; strcmp(convo_code_name(code), "unknown error") != 0; code--) {
		struct text text = {0};

		must(text_add(&text, "", 0) && advice_add(&text, side, code, settings));
		each(side, code, text.data);
		text_clear(&text);
	}
	must(code < CONVO_E_GONE);
}

/* Words that send a person somewhere, and the causes that are there. */
static void each_is_about_its_cause(enum advice_side side, int code, const char *text)
{
	static const struct {
		const char *words;
		int codes[3];
	} causes[] = {
		{"running and reachable", {CONVO_E_GONE}},
		{"busy", {CONVO_E_TIMEOUT}},
		{"may do", {CONVO_E_DENIED}},
		{"make room", {CONVO_E_FULL}},
		{"OPENAI_API_KEY", {CONVO_E_DENIED}},
		{"OPENAI_BASE_URL", {CONVO_E_GONE, CONVO_E_TIMEOUT, CONVO_E_NOTFOUND}},
		{"-model", {CONVO_E_NOTFOUND}},
		{"HOST", {CONVO_E_GONE, CONVO_E_TIMEOUT, CONVO_E_READONLY}},
		{"PASSWORD", {CONVO_E_DENIED}},
		{"SQLITE_PATH", {CONVO_E_GONE, CONVO_E_DENIED, CONVO_E_VERSION}},
		{"another program", {CONVO_E_TIMEOUT, CONVO_E_CONFLICT, CONVO_E_BUSY}},
	};
	size_t i;

	must(advice_knows(side, code));
	must(!strpbrk(text, "{}"));
	must(!*text || !strncmp(text, "; ", 2));
	for (i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		const int *codes = causes[i].codes;

		if (strstr(text, causes[i].words) && code != codes[0] && code != codes[1] &&
		    code != codes[2])
			must_not_reach("%s is answered with: %s", convo_code_name(code), text);
	}
}

static void test_advice__belongs_to_a_cause(void **state)
{
	struct settings settings = {0};
	size_t i;

	(void)state;
	for (i = 0; (settings.backend = convo_backend_at(i)); i++) {
		enum advice_side side = advice_side_of(settings.backend);

		must(side != ADVICE_MODEL);
		settings.by_url = false;
		walk(side, &settings, each_is_about_its_cause);
		settings.by_url = true;
		walk(side, &settings, each_is_about_its_cause);
	}
	settings.backend = convo_backend_at(0);
	walk(ADVICE_MODEL, &settings, each_is_about_its_cause);
}

static void wants(const char *want, const char *store, bool by_url, int code)
{
	struct settings settings = {.backend = convo_backend_find(store), .by_url = by_url};
	struct text text = {0};

	must(advice_add(&text, advice_side_of(settings.backend), code, &settings));
	must_equal_str(want, text.data);
	text_clear(&text);
}

static void test_advice__names_what_the_user_named(void **state)
{
	(void)state;
	wants("; check PG_USER and PG_PASSWORD, and what that user may do", "pgsql", false,
	      CONVO_E_DENIED);
	wants("; check REDIS_ADDR, and what that user may do", "redis", false, CONVO_E_DENIED);
	wants("; check the URL, and what that user may do", "mysql", true, CONVO_E_DENIED);
	wants("; is it running and reachable? Check MYSQL_HOST and MYSQL_PORT", "mysql", false,
	      CONVO_E_GONE);
	wants("; another place can be named by PG_DATABASE or -table-prefix", "pgsql", false,
	      CONVO_E_VERSION);
	wants("; another place can be named by the URL or -key-prefix", "redis", true,
	      CONVO_E_VERSION);
	wants("; another file can be named by SQLITE_PATH", "sqlite", false, CONVO_E_VERSION);
	wants(NULL, "memory", false, CONVO_E_NOMEM);
}

static void each_exits_as_promised(enum advice_side side, int code, const char *text)
{
	int got = advice_exit(side, code);

	(void)text;
	must(got == EXIT_FAILED || got == EXIT_USAGE || got == EXIT_INTERRUPTED ||
	     got == (side == ADVICE_MODEL ? EXIT_MODEL : EXIT_STORE));
	if (code == CONVO_E_CANCELED)
		must_equal(EXIT_INTERRUPTED, got);
	if (code == CONVO_E_GONE || code == CONVO_E_TIMEOUT || code == CONVO_E_DENIED)
		must_equal(side == ADVICE_MODEL ? EXIT_MODEL : EXIT_STORE, got);
}

static void test_advice__exits_as_promised(void **state)
{
	struct settings settings = {.backend = convo_backend_at(0)};
	int side;

	(void)state;
	for (side = 0; side < ADVICE_SIDES; side++) {
		walk((enum advice_side)side, &settings, each_exits_as_promised);
		/* One of a later library. */
		must_equal(advice_exit((enum advice_side)side, CONVO_E_IO),
			   advice_exit((enum advice_side)side, -999));
		must(!advice_knows((enum advice_side)side, -999));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advice__belongs_to_a_cause),
		cmocka_unit_test(test_advice__names_what_the_user_named),
		cmocka_unit_test(test_advice__exits_as_promised),
	};

	return TEST_RUN(tests);
}
