/*
 * Running the contract suite; see store_contract.h. The tests themselves are in contract/, a file
 * for each part of the contract. What a backend cannot be asked (two handles on a database that
 * only one can see) is left out by what its file says of it, and told in one line.
 */
#include "contract/store_contract.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <base/clock.h>

#include "contract/contract.h"

#define MAX_TESTS 300

static const struct contract_test *const contract_groups[] = {
	contract_names,   contract_values, contract_numbers, contract_sizes, contract_sessions,
	contract_windows, contract_reader, contract_lists,   contract_walks, contract_clocks,
	contract_trash,   contract_append, contract_limit,   contract_state, contract_lifetime,
	contract_handles, contract_calls,  contract_cost,    contract_model, contract_turns,
	contract_drafts,  contract_forks,  contract_watches,
};

static struct store_contract contract_now;

/* ---- steps tests share ------------------------------------------------------------------ */

/* The one with that number out of several, in turn. */
static const char *contract_pick(const char *urls, unsigned turn)
{
	unsigned count = 1, i;
	const char *p;

	for (p = strchr(urls, ' '); p; p = strchr(p + 1, ' '))
		count++;
	for (i = 0; i < turn % count; i++)
		urls = strchr(urls, ' ') + 1;
	return count == 1 ? urls : test_text("%.*s", (int)strcspn(urls, " "), urls);
}

/* Processes that were forked at one moment begin with different ones. */
const char *fx_url(const struct fx *fx)
{
	static atomic_uint turn;

	return contract_pick(fx->contract->url, atomic_fetch_add(&turn, 1) + (unsigned)getpid());
}

static convo_store *fx_open_url(const struct fx *fx, const struct convo_store_options *opts)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, fx_url(fx), opts, &err));
	must(store != NULL);
	return store;
}

convo_store *fx_open(struct fx *fx, const struct convo_store_options *opts)
{
	must(fx->more_count < sizeof(fx->more) / sizeof(fx->more[0]));
	fx->more[fx->more_count] = fx_open_url(fx, opts);
	return fx->more[fx->more_count++];
}

convo_store *fx_open_own(const struct fx *fx)
{
	const struct convo_store_options quiet = {.clean_interval_ms = -1, .timeout_ms = 20000};

	return fx_open_url(fx, &quiet);
}

struct convo_key fx_key(const struct fx *fx, const char *session)
{
	struct convo_key key = {fx->app, "u", session};

	return key;
}

void fx_create(convo_store *store, const struct convo_key *key)
{
	struct convo_err err;

	must_pass(convo_store_create(store, key, NULL, NULL, NULL, &err));
}

struct convo_event fx_event(const char *id, const char *text)
{
	struct convo_event event = {
		.id = id,
		.message = test_text("{\"role\":\"user\",\"content\":\"%s\"}", text),
	};

	return event;
}

int64_t fx_say(convo_store *store, const struct convo_key *key, const char *text)
{
	struct convo_event event = fx_event(NULL, text);
	struct convo_err err;
	int64_t seq = 0;

	must_pass(convo_store_append(store, key, NULL, &event, 1, &seq, NULL, &err));
	return seq;
}

int64_t fx_say_n(convo_store *store, const struct convo_key *key, size_t n)
{
	int64_t seq = 0;

	for (size_t i = 0; i < n; i++)
		seq = fx_say(store, key, test_text("event %zu", i));
	return seq;
}

int64_t fx_say_state(convo_store *store, const struct convo_key *key, const char *state)
{
	struct convo_event event = fx_event(NULL, "with state");
	struct convo_err err;
	int64_t seq = 0;

	event.state = state;
	must_pass(convo_store_append(store, key, NULL, &event, 1, &seq, NULL, &err));
	return seq;
}

convo_session *fx_load(convo_store *store, const struct convo_key *key)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, key, NULL, NULL, &err));
	must(session != NULL);
	return session;
}

int64_t fx_last_seq(convo_store *store, const struct convo_key *key)
{
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int64_t seq;

	must_pass(convo_store_load(&session, store, key, &none, NULL, &err));
	seq = convo_session_meta(session)->last_seq;
	convo_session_free(session);
	return seq;
}

void fx_must_be_absent(convo_store *store, const struct convo_key *key)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_fail_with(CONVO_E_NOTFOUND, convo_store_load(&session, store, key, NULL, NULL, &err));
	must(session == NULL);
}

void fx_set(convo_store *store, const struct convo_key *key, const char *name, const char *json)
{
	const struct convo_item item = {.name = name, .json = json};
	struct convo_err err;

	must_pass(convo_store_state_set(store, key, &item, 1, NULL, &err));
}

void fx_must_have(convo_store *store, const struct convo_key *key, const char *name,
		  const char *json)
{
	struct convo_err err;
	char *got = NULL;

	if (!json) {
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_state_get(&got, store, key, name, NULL, &err));
		must(got == NULL);
		return;
	}
	must_pass(convo_store_state_get(&got, store, key, name, NULL, &err));
	if (!json_same(json, got))
		must_not_reach("%.200s is %.500s, not %.500s", name, got, json);
	free(got);
}

size_t fx_count(convo_store *store, const char *app, const char *user, enum convo_list_what what)
{
	const struct convo_meta *metas;
	convo_cursor *cursor = NULL;
	struct convo_err err;
	size_t total = 0, count = 0;

	must_pass(convo_cursor_new(&cursor, app, user, what, &err));
	do {
		must_pass(test_list(store, cursor, 100, &metas, &count, &err));
		total += count;
	} while (count > 0);
	convo_cursor_free(cursor);
	return total;
}

void fx_must_run(const convo_session *session, int64_t first, size_t n)
{
	size_t count;
	const struct convo_event *events = test_events(session, &count);

	must_equal(n, count);
	for (size_t i = 0; i < n; i++)
		must_equal(first + (int64_t)i, events[i].seq);
}

char *fx_repeat(char c, size_t len)
{
	char *text = malloc(len + 1);

	must(text != NULL);
	memset(text, c, len);
	text[len] = '\0';
	return text;
}

char *fx_json_of(size_t len)
{
	char *text = fx_repeat('j', len);

	must(len >= 2);
	text[0] = text[len - 1] = '"';
	return text;
}

char *fx_message_of(size_t len)
{
	static const char head[] = "{\"role\":\"user\",\"content\":\"";
	char *text = fx_repeat('m', len);

	must(len > sizeof(head) + 2);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + len - 2, "\"}", 2);
	return text;
}

const char *fx_uuid(void)
{
	char uuid[CONVO_UUID_SIZE];

	convo_uuid_make(uuid);
	return test_text("%s", uuid);
}

/* ---- running ---------------------------------------------------------------------------- */

static int contract_setup(void **state)
{
	const struct contract_test *test = *state;
	const struct convo_store_options quiet = {.clean_interval_ms = -1, .timeout_ms = 20000};
	char uuid[CONVO_UUID_SIZE];
	struct fx *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	convo_uuid_make(uuid);
	snprintf(fx->app, sizeof(fx->app), "app-%s", uuid);
	fx->contract = &contract_now;
	if (contract_now.url && !(test->needs & NEEDS_FORK))
		fx->store = fx_open_url(fx, &quiet);
	*state = fx;
	return 0;
}

static int contract_teardown(void **state)
{
	struct fx *fx = *state;

	cv_clock_shift_us(0);
	for (size_t i = 0; i < fx->more_count; i++)
		convo_store_close(fx->more[i]);
	convo_store_close(fx->store);
	free(fx);
	return 0;
}

/* cmocka calls this for every test; which one it is stands in the fixture's place until setup. */
static const struct contract_test *contract_current;

static int contract_begin(void **state)
{
	contract_current = *state;
	return contract_setup(state);
}

static void contract_call(void **state)
{
	if (!contract_now.url)
		test_skip("no %s to test with", contract_now.name);
	contract_current->run(*state);
}

static bool contract_applies(const struct contract_test *test)
{
	if (test->needs & (NEEDS_SHARED | NEEDS_FORK) && !contract_now.shared)
		return false;
	return !(test->needs & NEEDS_SCHEMA) || contract_now.has_schema;
}

/* The URL from the environment, or the one given; NULL when the backend is not in this build. */
static const char *contract_url(void)
{
	char name[64];
	const char *url;
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	snprintf(name, sizeof(name), "CONVO_TEST_%s_URL", contract_now.name);
	for (char *c = name; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	url = getenv(name);
	if (!url)
		url = contract_now.url;
	if (!url)
		return NULL;
	rc = convo_store_open(&store, contract_pick(url, 0), NULL, &err);
	convo_store_close(store);
	if (rc == CONVO_E_UNSUPPORTED) {
		test_say("%s", err.text);
		return NULL;
	}
	return url; /* any other failure is one of the tests */
}

int store_contract_run(const struct store_contract *contract)
{
	static struct CMUnitTest tests[MAX_TESTS];
	size_t count = 0, left_out = 0;

	contract_now = *contract;
	contract_now.url = contract_url();
	for (size_t g = 0; g < sizeof(contract_groups) / sizeof(contract_groups[0]); g++) {
		for (const struct contract_test *t = contract_groups[g]; t->name; t++) {
			if (!contract_applies(t)) {
				left_out++;
				continue;
			}
			must(count < MAX_TESTS);
			tests[count++] =
				(struct CMUnitTest){t->name, contract_call, contract_begin,
						    contract_teardown, (void *)(uintptr_t)t};
		}
	}
	test_say("%s: %zu tests apply, %zu do not apply to this backend", contract->name, count,
		 left_out);
	return test_run(contract->name, tests, count);
}
