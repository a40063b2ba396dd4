/*
 * T3, L1, L5, P3: several handles on one database, opening, what is told, and rest. L2 to L4 and L6
 * need a server that misbehaves and are in the tests of the servers' backends; P1 needs one that
 * counts.
 */
#include "contract.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include <base/clock.h>
#include <base/url.h>

static convo_store *handle_open(struct fx *fx, int64_t ttl_us, int64_t trash_us)
{
	const struct convo_store_options opts = {
		.ttl_ms = ttl_us / 1000, .trash_ms = trash_us / 1000, .clean_interval_ms = -1};

	return fx_open(fx, &opts);
}

static int64_t handle_expires_ms(convo_store *store, const struct convo_key *key)
{
	convo_session *session = fx_load(store, key);
	int64_t expires_ms = convo_session_meta(session)->expires_ms;

	convo_session_free(session);
	return expires_ms;
}

/* ---- T3 --------------------------------------------------------------------------------- */

static void T3_a_handle_without_ttl_leaves_the_expiry_of_others(struct fx *fx)
{
	convo_store *hour = handle_open(fx, HOUR_US, 0);
	struct convo_key key = fx_key(fx, "s");
	int64_t expires_ms;
	struct convo_err err;

	fx_create(hour, &key);
	expires_ms = handle_expires_ms(hour, &key);
	must(expires_ms > 0);
	cv_clock_shift_us(HOUR_US / 2);
	fx_say(fx->store, &key, "x");
	must_equal(expires_ms, handle_expires_ms(fx->store, &key));
	fx_set(fx->store, &key, "n", "1");
	must_pass(convo_store_rename(fx->store, &key, "t", NULL, &err));
	must_equal(expires_ms, handle_expires_ms(fx->store, &key));
	cv_clock_shift_us(HOUR_US + 60 * SECOND_US);
	fx_must_be_absent(fx->store, &key); /* expired for both */
	fx_must_be_absent(hour, &key);
}

static void T3_a_handle_with_ttl_sets_it_by_writing(struct fx *fx)
{
	convo_store *hour = handle_open(fx, HOUR_US, 0), *day = handle_open(fx, DAY_US, 0);
	struct convo_key key = fx_key(fx, "s");
	int64_t first_ms;

	fx_create(fx->store, &key);
	must_equal(0, handle_expires_ms(hour, &key)); /* reading sets nothing */
	fx_say(day, &key, "x");
	first_ms = handle_expires_ms(fx->store, &key);
	must(first_ms > cv_clock_us() / 1000 + 23 * HOUR_US / 1000);
	fx_say(hour, &key, "x");
	must(handle_expires_ms(fx->store, &key) < first_ms);
	must(handle_expires_ms(fx->store, &key) > cv_clock_us() / 1000);
}

static void T3_trash_time_is_that_of_who_deleted(struct fx *fx)
{
	convo_store *none = handle_open(fx, 0, CONVO_OFF * 1000),
		    *hour = handle_open(fx, 0, HOUR_US);
	struct convo_key a = fx_key(fx, "a"), b = fx_key(fx, "b"), c = fx_key(fx, "c");
	struct convo_err err;

	fx_create(fx->store, &a);
	fx_create(fx->store, &b);
	fx_create(fx->store, &c);
	must_pass(convo_store_delete(none, &a, NULL, &err));
	must_pass(convo_store_delete(hour, &b, NULL, &err));
	must_pass(convo_store_delete(fx->store, &c, NULL, &err));
	must_equal(2, fx_count(none, fx->app, "u", CONVO_LIST_TRASH));
	cv_clock_shift_us(2 * HOUR_US);
	must_equal(1, fx_count(fx->store, fx->app, "u", CONVO_LIST_TRASH));
	must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(fx->store, &b, NULL, NULL, &err));
	must_pass(convo_store_clean(none, NULL, NULL, &err)); /* takes only what is over */
	must_pass(convo_store_clean(hour, NULL, NULL, &err));
	must_pass(convo_store_restore(none, &c, NULL, NULL, &err));
}

/* ---- L1 --------------------------------------------------------------------------------- */

static const char *handle_url(const struct fx *fx, const char *query)
{
	const char *url = fx_url(fx);

	return test_text("%s%c%s", url, strchr(url, '?') ? '&' : '?', query);
}

static void L1_options_in_the_url_win(struct fx *fx)
{
	const struct convo_store_options opts = {.ttl_ms = 1000, .event_limit = 50};
	const char *url = handle_url(fx, "ttl=2h&limit=2&trash=0&clean=0&timeout=20s&pool=3");
	struct convo_key key = fx_key(fx, "s");
	convo_store *store = NULL;
	convo_session *session;
	struct convo_err err;
	int64_t left_ms;
	size_t count;

	must_pass(convo_store_open(&store, url, &opts, &err));
	fx_create(store, &key);
	fx_say_n(store, &key, 4);
	session = fx_load(store, &key);
	left_ms = convo_session_meta(session)->expires_ms - cv_clock_us() / 1000;
	must(left_ms > 7100 * 1000 && left_ms <= 7201 * 1000);
	test_events(session, &count);
	must_equal(2, count);
	convo_session_free(session);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_equal(0, fx_count(store, fx->app, "u", CONVO_LIST_TRASH));
	convo_store_close(store);
}

static void L1_options_that_make_no_sense_are_refused(struct fx *fx)
{
	static const char *const bad[] = {
		"ttl=soon",  "limit=-1",      "limit=x",    "pool=x",          "timeout=5",
		"trash=x",   "clean=x",       "prefix=a-b", "prefix=",         "limit=",
		"schema=no", "ttl=-1h",       "timeout=0s", "timeout=off",     "tll=24h",
		"TTL=24h",   "ttl=1h&ttl=1h", "ttl=36601d", "limit=1000000001"};
	const struct convo_store_options worse[] = {
		{.timeout_ms = CONVO_OFF},
		{.timeout_ms = CONVO_MAX_DURATION + 1},
		{.ttl_ms = -2},
		{.ttl_ms = INT64_C(4000000000000)},
		{.ttl_ms = INT64_MAX},
		{.trash_ms = -2},
		{.trash_ms = INT64_MAX},
		{.clean_interval_ms = INT64_MAX},
		{.clean_interval_ms = INT64_MIN},
		{.event_limit = -2},
		{.event_limit = INT64_C(1000000001)},
		{.reserved = {"set"}},
		{.max_connections = CONVO_OFF},
		{.prefix = ""},
		{.prefix = "has space"},
		{.prefix = "a_prefix_of_thirty_three_bytes_xx"},
	};
	convo_store *store = NULL;
	struct convo_err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		must_fail_with(CONVO_E_INVALID,
			       convo_store_open(&store, handle_url(fx, bad[i]), NULL, &err));
	for (size_t i = 0; i < sizeof(worse) / sizeof(worse[0]); i++)
		must_fail_with(CONVO_E_INVALID,
			       convo_store_open(&store, fx_url(fx), &worse[i], &err));
	must(store == NULL);
}

static void L1_prefixes_are_databases_of_their_own(struct fx *fx)
{
	const struct convo_store_options one = {.prefix = "convo_t1", .clean_interval_ms = -1};
	const struct convo_store_options two = {.prefix = "convo_t1_", .clean_interval_ms = -1};
	convo_store *a = fx_open(fx, &one), *b = fx_open(fx, &two);
	struct convo_key key = fx_key(fx, "s");

	fx_create(a, &key);
	fx_set(a, &key, "app:n", "1");
	fx_must_be_absent(b, &key);
	fx_must_be_absent(fx->store, &key);
	fx_create(b, &key);
	fx_must_have(b, &key, "app:n", NULL);
	fx_say(b, &key, "x");
	must_equal(0, fx_last_seq(a, &key));
}

struct starts {
	struct fx *fx;
	char prefix[33];
};

/* Open, on a database that is empty for all of them, and use it at once. */
static void start_run(void *ctx, int index)
{
	struct starts *starts = ctx;
	const struct convo_store_options opts = {
		.prefix = starts->prefix, .timeout_ms = 20000, .clean_interval_ms = -1};
	struct convo_key key = fx_key(starts->fx, test_text("s%d", index));
	convo_store *store = NULL;
	struct convo_err err;

	for (int i = 0; i < 3; i++) {
		must_pass(convo_store_open(&store, fx_url(starts->fx), &opts, &err));
		if (i == 0)
			fx_create(store, &key);
		must_equal(i + 1, fx_say(store, &key, "x"));
		convo_store_close(store);
	}
}

static void start_prefix(struct starts *starts, const char *head)
{
	char uuid[CONVO_UUID_SIZE];

	convo_uuid_make(uuid);
	snprintf(starts->prefix, sizeof(starts->prefix), "%s_%.8s_", head, uuid + 28);
}

static void L1_many_threads_may_open_an_empty_database(struct fx *fx)
{
	struct starts starts = {.fx = fx};

	start_prefix(&starts, "thr");
	test_threads(6, start_run, &starts);
}

static void L1_many_processes_may_open_an_empty_database(struct fx *fx)
{
	struct starts starts = {.fx = fx};

	start_prefix(&starts, "pro");
	test_processes(4, start_run, &starts);
}

static void L1_checking_the_schema_runs_no_ddl(struct fx *fx)
{
	struct starts starts = {.fx = fx};
	struct convo_store_options check = {.check_schema = true, .clean_interval_ms = -1};
	struct convo_store_options make = {.clean_interval_ms = -1};
	convo_store *store = NULL;
	struct convo_err err;
	int rc;

	start_prefix(&starts, "chk");
	check.prefix = make.prefix = starts.prefix;
	for (int i = 0; i < 2; i++) { /* the first has made nothing */
		rc = convo_store_open(&store, fx_url(fx), &check, &err);
		must(rc < 0 && store == NULL);
		must(rc != CONVO_E_IO && rc != CONVO_E_TIMEOUT); /* nothing is broken */
	}
	fx_open(fx, &make);
	fx_open(fx, &check);
}

static void L1_what_is_stored_is_there_when_opened_again(struct fx *fx)
{
	struct convo_key key = fx_key(fx, "s"), deleted = fx_key(fx, "deleted");
	convo_store *store = fx_open_own(fx);
	convo_session *session;
	struct convo_err err;

	fx_create(store, &key);
	fx_create(store, &deleted);
	fx_say_state(store, &key, "{\"a\":1,\"user:a\":2,\"app:a\":3}");
	must_pass(convo_store_delete(store, &deleted, NULL, &err));
	convo_store_close(store);
	store = fx_open_own(fx);
	session = fx_load(store, &key);
	fx_must_run(session, 1, 1);
	must(json_same("1", convo_session_state_get(session, "a")->json));
	must(json_same("2", convo_session_state_get(session, "user:a")->json));
	must(json_same("3", convo_session_state_get(session, "app:a")->json));
	convo_session_free(session);
	must_pass(convo_store_restore(store, &deleted, NULL, NULL, &err));
	must_equal(2, fx_say(store, &key, "goes on"));
	convo_store_close(store);
}

static void L1_an_event_written_by_one_handle_is_seen_by_another(struct fx *fx)
{
	convo_store *other = fx_open(fx, NULL);
	struct convo_key key = fx_key(fx, "s");

	fx_create(fx->store, &key);
	for (int64_t seq = 1; seq <= 20; seq += 2) {
		must_equal(seq, fx_say_state(fx->store, &key, "{\"user:n\":1}"));
		must_equal(seq, fx_last_seq(other, &key));
		must_equal(seq + 1, fx_say_state(other, &key, "{\"user:n\":2}"));
		must_equal(seq + 1, fx_last_seq(fx->store, &key));
		fx_must_have(fx->store, &key, "user:n", "2");
	}
}

/* ---- L5 --------------------------------------------------------------------------------- */

static void L5_a_store_says_where_it_is_and_no_password(struct fx *fx)
{
	const char *where = convo_store_describe(fx->store);
	struct cv_url url;
	struct convo_err err;

	must(where && where[0] && strlen(where) < 256);
	must_pass(cv_url_parse(&url, fx_url(fx), &err));
	must(!url.password || !strstr(where, url.password));
	cv_url_clear(&url);
}

static void L5_errors_hold_no_conversation_text(struct fx *fx)
{
	static const char secret[] = "tell-nobody-7391";
	struct convo_key key = fx_key(fx, "s");
	struct convo_event events[2] = {fx_event("no uuid", secret), fx_event(NULL, secret)};
	const struct convo_expect stale = {.check_seq = true, .after_seq = 4};
	struct convo_item item = {.name = "n", .json = test_text("\"%s", secret)};
	struct convo_err err;

	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_append(fx->store, &key, NULL, &events[1], 1, NULL, NULL, &err));
	must(!strstr(err.text, secret));
	fx_create(fx->store, &key);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, events, 2, NULL, NULL, &err));
	must(!strstr(err.text, secret));
	must_fail_with(CONVO_E_CONFLICT, convo_store_append(fx->store, &key, &stale, &events[1], 1,
							    NULL, NULL, &err));
	must(!strstr(err.text, secret));
	events[1].message = test_text("{\"role\":\"user\",\"content\":\"%s\\u0000\"}", secret);
	must_fail_with(CONVO_E_INVALID,
		       convo_store_append(fx->store, &key, NULL, &events[1], 1, NULL, NULL, &err));
	must(!strstr(err.text, secret));
	must_fail_with(CONVO_E_INVALID,
		       convo_store_state_set(fx->store, &key, &item, 1, NULL, &err));
	must(!strstr(err.text, secret));
}

/* ---- P3 --------------------------------------------------------------------------------- */

static int64_t rest_cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* The one test that waits: with a cleaning thread, work done, and connections open. */
static void P3_a_store_at_rest_uses_no_cpu(struct fx *fx)
{
	const struct convo_store_options opts = {.ttl_ms = HOUR_US / 1000};
	convo_store *store = fx_open(fx, &opts);
	struct convo_key key = fx_key(fx, "s");
	struct timespec rest = {0, 500000000};
	int64_t before;

	fx_create(store, &key);
	fx_say_n(store, &key, 5);
	before = rest_cpu_us();
	nanosleep(&rest, NULL);
	must(rest_cpu_us() - before < 5000);
}

const struct contract_test contract_handles[] = {
	CONTRACT_TEST_IF(T3_a_handle_without_ttl_leaves_the_expiry_of_others, NEEDS_SHARED),
	CONTRACT_TEST_IF(T3_a_handle_with_ttl_sets_it_by_writing, NEEDS_SHARED),
	CONTRACT_TEST_IF(T3_trash_time_is_that_of_who_deleted, NEEDS_SHARED),
	CONTRACT_TEST(L1_options_in_the_url_win),
	CONTRACT_TEST(L1_options_that_make_no_sense_are_refused),
	CONTRACT_TEST_IF(L1_prefixes_are_databases_of_their_own, NEEDS_SHARED),
	CONTRACT_TEST_IF(L1_many_threads_may_open_an_empty_database, NEEDS_SHARED),
	CONTRACT_TEST_IF(L1_many_processes_may_open_an_empty_database, NEEDS_FORK),
	CONTRACT_TEST_IF(L1_checking_the_schema_runs_no_ddl, NEEDS_SCHEMA),
	CONTRACT_TEST_IF(L1_what_is_stored_is_there_when_opened_again, NEEDS_SHARED),
	CONTRACT_TEST_IF(L1_an_event_written_by_one_handle_is_seen_by_another, NEEDS_SHARED),
	CONTRACT_TEST(L5_a_store_says_where_it_is_and_no_password),
	CONTRACT_TEST(L5_errors_hold_no_conversation_text),
	CONTRACT_TEST(P3_a_store_at_rest_uses_no_cpu),
	{0},
};
