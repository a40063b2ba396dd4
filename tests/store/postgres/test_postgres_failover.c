/*
 * Several PostgreSQL servers, of which one takes writes: lists whose first host is dead, silent or a
 * standby, a primary that is one no more, and a standby that takes its place while we write.
 */
#include "store/shared/sql_suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <support/groups.h>
#include <support/proxy.h>

#include "store/shared/calls.h"

#define WRITERS 4
#define MAX_EVENTS 200000

static void nap_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

static int64_t since_ms(int64_t begin_us)
{
	return (cv_clock_mono_us() - begin_us) / 1000;
}

static void must_say(const char *want, const char *text)
{
	if (!strstr(text, want))
		must_not_reach("'%s' does not say '%s'", text, want);
}

static struct group *pair_start(enum group_kind kind)
{
	struct group *group = group_start(kind);

	if (!group)
		test_skip("no server to test with");
	return group;
}

/* A URL of two ports of ours, and ? with more. */
static const char *url_of(int first, int second, const char *more)
{
	return test_text("postgres://convo@127.0.0.1:%d,127.0.0.1:%d/postgres%s%s", first, second,
			 more ? "?" : "", more ? more : "");
}

static convo_store *store_open(const char *url, int timeout_ms)
{
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .timeout_ms = timeout_ms};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

/* The standby, and the primary that goes on. */
static void promote(struct server *standby)
{
	must_equal_str("t", server_ask(standby, "SELECT pg_promote()"));
}

/* Wait until the standby has all that the primary has. */
static void wait_replayed(const struct group *group)
{
	const char *lsn = server_ask(group->node[0], "SELECT pg_current_wal_flush_lsn()");

	for (int i = 0; i < 2000; i++) {
		if (strcmp("t", server_ask(group->node[1],
					   "SELECT pg_last_wal_replay_lsn() >= '%s'", lsn)) == 0)
			return;
		nap_ms(10);
	}
	must_not_reach("the standby lags behind");
}

/* From now on the primary waits for its standby; that one, promoted, will wait for nobody. */
static void synchronize(struct server *primary)
{
	server_ask(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
	server_ask(primary, "SELECT pg_reload_conf()");
	for (int i = 0; i < 500; i++) {
		if (strcmp("sync", server_ask(primary, "SELECT sync_state FROM "
						       "pg_stat_replication")) == 0)
			return;
		nap_ms(10);
	}
	must_not_reach("the standby is not synchronous");
}

/* ---- which host is asked ------------------------------------------------------------------- */

static void look_thread(void *ctx, int index)
{
	struct convo_err err;

	(void)index;
	must_pass(call_load(ctx, &err));
}

static void test_L3_a_silent_host_is_paid_for_once(void **state)
{
	int silent, listener = test_listen(&silent);
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	/* The kernel takes the connection, and nobody answers. */
	store = store_open(url_of(silent, sql_server->port, "prefix=silent_"), 3000);
	must(since_ms(begin_us) >= 1000 && since_ms(begin_us) < 2500);
	must_pass(call_create(store, &err));
	begin_us = cv_clock_mono_us();
	for (int i = 0; i < 5; i++) {
		test_threads(8, look_thread, store);
		server_ask(sql_server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
				       "WHERE application_name = 'convo'");
	}
	must(since_ms(begin_us) < 2000);
	convo_store_close(store);
	close(listener);
}

static void test_L3_a_dead_host_and_a_standby_are_passed_over(void **state)
{
	struct group *group = pair_start(GROUP_POSTGRES_ASYNC);
	struct server *primary = group->node[0], *standby = group->node[1];
	struct convo_err err;
	convo_store *store;

	(void)state;
	/* Without a word in the URL too. */
	store = store_open(url_of(standby->port, primary->port, NULL), 5000);
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	must_pass(call_rename(store, &err));
	convo_store_close(store);
	store = store_open(url_of(test_port(), primary->port, NULL), 5000);
	must_pass(call_append(store, &err));
	convo_store_close(store);
	wait_replayed(group);
	/* Who asks for a standby gets one, to read. */
	store = store_open(url_of(primary->port, standby->port, "target_session_attrs=standby"),
			   5000);
	must_pass(call_load(store, &err));
	must_fail_with(CONVO_E_READONLY, call_append(store, &err));
	must(!err.maybe);
	must_fail_with(CONVO_E_READONLY, call_create(store, &err));
	must_fail_with(CONVO_E_READONLY, call_rename(store, &err));
	convo_store_close(store);
	store = store_open(url_of(standby->port, primary->port, "target_session_attrs=any"), 5000);
	must_pass(call_load(store, &err));
	must_fail_with(CONVO_E_READONLY, call_append(store, &err));
	convo_store_close(store);
	group_end(group);
}

static void test_L5_nobody_takes_writes_names_the_hosts_and_what_to_do(void **state)
{
	const struct convo_call soon = {.timeout_ms = 1500};
	const struct convo_event event = {.message = CALLS_HELLO};
	struct group *group = pair_start(GROUP_POSTGRES_ASYNC);
	convo_store *store, *other = NULL;
	struct convo_err err;
	int64_t begin_us;

	(void)state;
	store = store_open(url_of(group->node[0]->port, group->node[1]->port, NULL), 5000);
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	wait_replayed(group);
	group_kill(group, 0);
	/* Whoever opens wants to know at once. */
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_GONE,
		       convo_store_open(&other,
					url_of(group->node[0]->port, group->node[1]->port, NULL),
					NULL, &err));
	must(since_ms(begin_us) < 2000);
	must_say("no host takes writes: start or promote one (", err.text);
	must_say(test_text("127.0.0.1:%d: Connection refused", group->node[0]->port), err.text);
	must_say(test_text("127.0.0.1:%d: session is read-only", group->node[1]->port), err.text);
	/* A call waits for its time. The first one may have been lost with its connection. */
	for (int i = 0; i < 2; i++) {
		begin_us = cv_clock_mono_us();
		must_fail_with(CONVO_E_GONE, convo_store_append(store, &calls_key, NULL, &event, 1,
								NULL, &soon, &err));
		must(since_ms(begin_us) >= 1300 && since_ms(begin_us) < 2300);
		must_say("start or promote one", err.text);
	}
	must(!err.maybe);
	promote(group->node[1]);
	must_pass(call_append(store, &err));
	convo_store_close(store);
	group_end(group);
}

static void test_L1_prefer_standby_is_refused_for_several_hosts(void **state)
{
	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_INVALID,
			url_of(sql_server->port, sql_server->port,
			       "target_session_attrs=prefer-standby"),
			"prefer-standby");
}

/* ---- a primary that is one no more ---------------------------------------------------------- */

static void test_L3_a_primary_that_became_read_only_is_left(void **state)
{
	struct group *group = pair_start(GROUP_POSTGRES_ASYNC);
	struct server *primary = group->node[0], *standby = group->node[1];
	struct convo_err err;
	convo_store *store;

	(void)state;
	store = store_open(url_of(primary->port, standby->port, NULL), 5000);
	must_pass(call_create(store, &err));
	must_pass(call_append(store, &err));
	test_threads(8, look_thread, store);
	wait_replayed(group);
	promote(standby);
	/* As an operator fences it; connections that there are hear of it too. */
	server_ask(primary, "ALTER SYSTEM SET default_transaction_read_only = on");
	server_ask(primary, "SELECT pg_reload_conf()");
	while (strcmp("on", server_ask(primary, "SHOW default_transaction_read_only")) != 0)
		nap_ms(10);
	nap_ms(100);
	/* What must not be done twice goes on there as well: nothing was done here. */
	must_pass(call_rename(store, &err));
	must_pass(call_append(store, &err));
	must_pass(call_state_set(store, &err));
	must_equal_str("2", server_ask(standby, "SELECT count(*) FROM convo_events"));
	must_equal_str("1", server_ask(primary, "SELECT count(*) FROM convo_events"));
	convo_store_close(store);
	group_end(group);
}

static void test_L2_a_primary_that_hangs_costs_half_of_the_time(void **state)
{
	struct group *group = pair_start(GROUP_POSTGRES_ASYNC);
	struct server *primary = group->node[0], *standby = group->node[1];
	struct convo_err err;
	convo_store *store;
	int64_t begin_us;

	(void)state;
	store = store_open(url_of(primary->port, standby->port, NULL), 3000);
	must_pass(call_create(store, &err));
	test_threads(8, look_thread, store);
	wait_replayed(group);
	promote(standby);
	group_pause(group, 0);
	begin_us = cv_clock_mono_us();
	must_pass(call_append(store, &err));
	must(since_ms(begin_us) >= 1400 && since_ms(begin_us) < 2500);
	/* From now on nobody asks it. */
	begin_us = cv_clock_mono_us();
	test_threads(8, look_thread, store);
	for (int i = 0; i < 5; i++)
		must_pass(call_append(store, &err));
	must(since_ms(begin_us) < 1000);
	must_equal_str("6", server_ask(standby, "SELECT count(*) FROM convo_events"));
	convo_store_close(store);
	group_resume(group, 0);
	group_end(group);
}

/* ---- a standby takes the place of its primary ----------------------------------------------- */

enum ending { ENDING_KILL, ENDING_PAUSE, ENDING_CUT };

struct load {
	convo_store *store;
	struct group *group;
	struct proxy *proxy; /* in front of the primary */
	enum ending ending;
	atomic_bool over;
	atomic_size_t count;                           /* acknowledged */
	_Atomic int64_t longest_us, last_us, first_us; /* calls; the end, and what came after it */
	struct {
		char id[CONVO_UUID_SIZE];
		int64_t seq;
	} * acked;
};

static void load_end_primary(struct load *load)
{
	if (load->ending == ENDING_KILL)
		group_kill(load->group, 0);
	else if (load->ending == ENDING_PAUSE)
		group_pause(load->group, 0);
	else
		proxy_mute(load->proxy);
}

static void load_promote(struct load *load)
{
	nap_ms(500);
	load->last_us = cv_clock_mono_us();
	load_end_primary(load);
	nap_ms(500);
	/* Nobody was there to acknowledge what it lacks. */
	if (load->ending == ENDING_CUT)
		group_pause(load->group, 0);
	promote(load->group->node[1]);
	test_say("promoted after %lld ms", (long long)since_ms(load->last_us));
	for (int i = 0; i < 100 && !load->first_us; i++)
		nap_ms(50);
	nap_ms(300);
	load->over = true;
}

/* Append one event, which has all the time it needs. */
static void load_append(struct load *load)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .message = CALLS_HELLO};
	int64_t begin_us = cv_clock_mono_us(), took_us, longest_us, never = 0, seq = 0;
	struct convo_err err;
	size_t at;

	convo_uuid_make(id);
	must_pass(convo_store_append(load->store, &calls_key, NULL, &event, 1, &seq, NULL, &err));
	took_us = cv_clock_mono_us() - begin_us;
	longest_us = load->longest_us;
	while (took_us > longest_us &&
	       !atomic_compare_exchange_weak(&load->longest_us, &longest_us, took_us))
		;
	if (load->last_us && begin_us + took_us > load->last_us + 400000)
		atomic_compare_exchange_strong(&load->first_us, &never, begin_us + took_us);
	at = load->count++;
	must(at < MAX_EVENTS);
	strcpy(load->acked[at].id, id);
	load->acked[at].seq = seq;
}

static void load_thread(void *ctx, int index)
{
	struct load *load = ctx;
	struct convo_err err;

	if (index == 0)
		load_promote(load);
	while (!load->over && index <= WRITERS)
		load_append(load);
	while (!load->over)
		must_pass(call_load_last(load->store, &err));
}

/* Nothing that was acknowledged is lost or there twice, and no number is left out. */
static void load_check(struct load *load)
{
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, load->store, &calls_key, NULL, NULL, &err));
	events = test_events(session, &n);
	must_equal(load->count, n);
	for (size_t i = 0; i < n; i++)
		must_equal(i + 1, events[i].seq);
	for (size_t i = 0; i < n; i++) {
		must(load->acked[i].seq > 0 && load->acked[i].seq <= (int64_t)n);
		must_equal_str(load->acked[i].id, events[load->acked[i].seq - 1].id);
	}
	convo_session_free(session);
}

static void load_through_a_promotion(enum ending ending)
{
	struct load load = {.group = pair_start(GROUP_POSTGRES_ASYNC), .ending = ending};
	struct server *primary = load.group->node[0], *standby = load.group->node[1];
	struct convo_err err;

	synchronize(primary);
	load.proxy = proxy_start(primary->host, primary->port);
	load.acked = calloc(MAX_EVENTS, sizeof(*load.acked));
	must(load.acked);
	load.store = store_open(url_of(proxy_port(load.proxy), standby->port, NULL), 5000);
	must_pass(call_create(load.store, &err));
	test_threads(1 + WRITERS + 2, load_thread, &load);
	/* An old primary that comes back has nobody to acknowledge for, and is not asked. */
	if (ending == ENDING_PAUSE || ending == ENDING_CUT)
		group_resume(load.group, 0);
	for (int i = 0; i < 20; i++)
		load_append(&load);
	load_check(&load);
	test_say("%zu events; the longest call %lld ms; first success %lld ms after the end",
		 (size_t)load.count, (long long)load.longest_us / 1000,
		 (long long)(load.first_us - load.last_us) / 1000);
	must(load.longest_us < 5200000);
	convo_store_close(load.store);
	proxy_end(load.proxy);
	group_end(load.group);
	free(load.acked);
}

static void test_A7_a_primary_is_killed_under_load_and_nothing_is_lost(void **state)
{
	(void)state;
	load_through_a_promotion(ENDING_KILL);
}

static void test_A7_a_primary_is_paused_under_load_and_nothing_is_lost(void **state)
{
	(void)state;
	load_through_a_promotion(ENDING_PAUSE);
}

static void test_A7_a_primary_is_cut_off_under_load_and_nothing_is_lost(void **state)
{
	(void)state;
	load_through_a_promotion(ENDING_CUT);
}

/* ---- a standby that is away ----------------------------------------------------------------- */

static void test_A7_commits_wait_for_a_synchronous_standby(void **state)
{
	const struct convo_call soon = {.timeout_ms = 500};
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .message = CALLS_HELLO};
	struct group *group = pair_start(GROUP_POSTGRES);
	struct convo_err err;
	convo_store *store;
	int64_t seq = 0;

	(void)state;
	store = store_open(group->url, 10000);
	must_pass(call_create(store, &err));
	for (int i = 0; i < 2; i++) {
		convo_uuid_make(id);
		if (i)
			group_pause(group, 1);
		else
			group_kill(group, 1);
		/* The event is there, but not on the standby: no repeat may say that it is safe. */
		for (int n = 0; n < 2; n++) {
			must_fail_with(CONVO_E_TIMEOUT,
				       convo_store_append(store, &calls_key, NULL, &event, 1, NULL,
							  &soon, &err));
			must(err.maybe);
		}
		must_pass(call_load(store, &err));
		must_pass(call_list(store, &err));
		if (i)
			group_resume(group, 1);
		else
			group_restart(group, 1);
		must_pass(convo_store_append(store, &calls_key, NULL, &event, 1, &seq, NULL, &err));
		must_equal(i + 1, seq);
		group_wait_healthy(group);
	}
	sql_must_have(store, "s", 2);
	convo_store_close(store);
	group_end(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L3_a_silent_host_is_paid_for_once),
		cmocka_unit_test(test_L3_a_dead_host_and_a_standby_are_passed_over),
		cmocka_unit_test(test_L5_nobody_takes_writes_names_the_hosts_and_what_to_do),
		cmocka_unit_test(test_L1_prefer_standby_is_refused_for_several_hosts),
		cmocka_unit_test(test_L3_a_primary_that_became_read_only_is_left),
		cmocka_unit_test(test_L2_a_primary_that_hangs_costs_half_of_the_time),
		cmocka_unit_test(test_A7_a_primary_is_killed_under_load_and_nothing_is_lost),
		cmocka_unit_test(test_A7_a_primary_is_paused_under_load_and_nothing_is_lost),
		cmocka_unit_test(test_A7_a_primary_is_cut_off_under_load_and_nothing_is_lost),
		cmocka_unit_test(test_A7_commits_wait_for_a_synchronous_standby),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(sql_server);
	return rc;
}
