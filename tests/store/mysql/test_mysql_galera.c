/*
 * The MySQL store on a Galera cluster of three nodes: writers that meet, reads of what another node has
 * acknowledged, nodes that are killed, hang, lose their quorum and come back. That it keeps the
 * contract there is in test_mysql_galera_contract.c.
 */
#include <support/groups.h>
#include <support/test.h>

#include <stdatomic.h>
#include <time.h>

#include <base/clock.h>
#include <convo/store.h>

static struct group *group;

static void needed(void)
{
	if (!group)
		test_skip("no cluster to test with");
	group_wait_healthy(group);
}

static int since_ms(int64_t begin_us)
{
	return (int)((cv_clock_mono_us() - begin_us) / 1000);
}

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static convo_store *must_open(const char *url, const char *more)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, test_text("%s?%s", url, more), &opts, &err));
	return store;
}

static struct convo_key key_of(const char *session)
{
	return (struct convo_key){"app", "user", session};
}

static void must_create(convo_store *store, const char *session)
{
	struct convo_key key = key_of(session);
	struct convo_err err;

	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
}

static int append(convo_store *store, const char *session, const char *id, int64_t *seq,
		  struct convo_err *err)
{
	const struct convo_key key = key_of(session);
	const struct convo_event event = {.id = id, .message = "{\"role\":\"user\"}"};

	return convo_store_append(store, &key, NULL, &event, 1, seq, NULL, err);
}

/* ---- writers that meet ------------------------------------------------------------------- */

#define MEETINGS 60

struct meeting {
	convo_store *node[3];
	char id[6][MEETINGS][CONVO_UUID_SIZE];
	int64_t seq[6][MEETINGS];
};

/* Two threads on each node write to one session, and every other event a second time. */
static void meet(void *ctx, int index)
{
	struct meeting *meeting = ctx;
	convo_store *store = meeting->node[index % 3];
	struct convo_err err;

	for (int i = 0; i < MEETINGS; i++) {
		int64_t again = 0;
		char *id = meeting->id[index][i];

		convo_uuid_make(id);
		must_pass(append(store, "met", id, &meeting->seq[index][i], &err));
		if (i % 2)
			continue;
		must_pass(append(meeting->node[(index + 1) % 3], "met", id, &again, &err));
		must_equal(meeting->seq[index][i], again);
	}
}

static void meeting_check(struct meeting *meeting, convo_store *store)
{
	const struct convo_key key = key_of("met");
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &count);
	must_equal(6 * MEETINGS, count);
	for (size_t i = 0; i < count; i++)
		must_equal(i + 1, events[i].seq);
	for (int writer = 0; writer < 6; writer++) {
		for (int i = 0; i < MEETINGS; i++) {
			int64_t seq = meeting->seq[writer][i];

			must(seq > (i ? meeting->seq[writer][i - 1] : 0));
			must_equal_str(meeting->id[writer][i], events[seq - 1].id);
		}
	}
	convo_session_free(session);
}

static int64_t conflicts(void)
{
	int64_t sum = 0;

	for (int i = 0; i < 3; i++)
		sum += strtoll(server_ask(group->node[i],
					  "SELECT SUM(VARIABLE_VALUE) FROM "
					  "information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN "
					  "('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')"),
			       NULL, 10);
	return sum;
}

static void test_A1_writers_on_three_nodes_meet_in_one_session(void **state)
{
	struct meeting *meeting = calloc(1, sizeof(*meeting));
	int64_t before;

	(void)state;
	must(meeting != NULL);
	needed();
	before = conflicts();
	for (int i = 0; i < 3; i++)
		meeting->node[i] = must_open(group->node[i]->url, "prefix=meet_&timeout=20s");
	must_create(meeting->node[0], "met");
	test_threads(6, meet, meeting);
	for (int i = 0; i < 3; i++)
		meeting_check(meeting, meeting->node[i]);
	test_say("%lld conflicts", (long long)(conflicts() - before));
	must(conflicts() > before);
	for (int i = 0; i < 3; i++)
		convo_store_close(meeting->node[i]);
	free(meeting);
}

/* ---- reads ------------------------------------------------------------------------------- */

/* What was acknowledged on one node is there on the next one, at once; also for what writes. */
static void test_S2_every_node_shows_what_any_has_acknowledged(void **state)
{
	const struct convo_key key = key_of("seen");
	convo_session *session = NULL;
	convo_store *node[3];
	struct convo_err err;

	(void)state;
	needed();
	for (int i = 0; i < 3; i++)
		node[i] = must_open(group->node[i]->url, "prefix=seen_");
	for (int i = 0; i < 100; i++) {
		convo_store *here = node[i % 3], *there = node[(i + 1) % 3],
			    *elsewhere = node[(i + 2) % 3];
		const struct convo_expect expect = {.check_seq = true, .after_seq = 1};
		const struct convo_event event = {.message = "{\"role\":\"user\"}"};
		const struct convo_item item = {.name = "user:n", .json = test_text("%d", i)};
		char *value = NULL;

		must_create(here, "seen");
		must_pass(append(there, "seen", NULL, NULL, &err));
		must_pass(
			convo_store_append(elsewhere, &key, &expect, &event, 1, NULL, NULL, &err));
		must_pass(convo_store_load(&session, here, &key, NULL, NULL, &err));
		must_equal(2, convo_session_meta(session)->last_seq);
		convo_session_free(session);
		must_pass(convo_store_state_set(there, &key, &item, 1, NULL, &err));
		must_pass(convo_store_state_get(&value, elsewhere, &key, "user:n", NULL, &err));
		must_equal_str(item.json, value);
		convo_free(value);
		must_pass(convo_store_delete(here, &key, NULL, &err));
		must_fail_with(CONVO_E_NOTFOUND, append(there, "seen", NULL, NULL, &err));
		must_pass(convo_store_purge(elsewhere, &key, NULL, NULL, &err));
		must_fail_with(CONVO_E_NOTFOUND, convo_store_restore(here, &key, NULL, NULL, &err));
	}
	for (int i = 0; i < 3; i++)
		convo_store_close(node[i]);
}

/* ---- starting ------------------------------------------------------------------------------ */

/* A program that died while it made the schema ready has left its row behind. */
static void test_L1_a_migration_that_died_is_taken_over(void **state)
{
	int64_t begin_us;

	(void)state;
	needed();
	server_ask(group->node[0],
		   "CREATE TABLE dead_meta (name VARCHAR(64) PRIMARY KEY, value VARCHAR(255)) "
		   "COMMENT = 'convo'; INSERT INTO dead_meta VALUES ('schema', '0'), "
		   "('migrating', '4711')");
	begin_us = cv_clock_mono_us();
	convo_store_close(must_open(group->node[1]->url, "prefix=dead_"));
	must(since_ms(begin_us) >= 2000);
	must_equal_str("0", server_ask(group->node[2], "SET wsrep_sync_wait = 1; SELECT COUNT(*) "
						       "FROM dead_meta WHERE "
						       "name = 'migrating'"));
}

static atomic_bool migrating;

static void slow_migration(void *ctx, int index)
{
	const char *more = "prefix=slow_&timeout=4s";
	convo_store *store = NULL;
	struct convo_err err = {0};
	int rc;

	(void)ctx;
	if (index) {
		nap_ms(300); /* what opening begins with is DDL, which ends others' statements */
		for (int i = 1; migrating; i++) {
			server_ask(group->node[0],
				   "UPDATE slow_meta SET value = '%d' WHERE "
				   "name = 'migrating'",
				   i);
			nap_ms(200);
		}
		return;
	}
	rc = convo_store_open(&store, test_text("%s?%s", group->node[1]->url, more), NULL, &err);
	migrating = false;
	must_equal(CONVO_E_TIMEOUT, rc);
	must(strstr(err.text, "another program") != NULL);
}

/* One that is still at it is waited for. */
static void test_L1_a_migration_on_another_node_is_waited_for(void **state)
{
	(void)state;
	needed();
	server_ask(group->node[0],
		   "CREATE TABLE slow_meta (name VARCHAR(64) PRIMARY KEY, value VARCHAR(255)) "
		   "COMMENT = 'convo'; INSERT INTO slow_meta VALUES ('schema', '0'), "
		   "('migrating', '0')");
	migrating = true;
	test_threads(2, slow_migration, NULL);
	must_equal_str("0", server_ask(group->node[1],
				       "SELECT COUNT(*) FROM information_schema.tables WHERE "
				       "table_name = 'slow_events'"));
}

/* ---- nodes that go ---------------------------------------------------------------------- */

#define MOST_EVENTS 100000

struct load {
	convo_store *store;
	const char *session;
	void (*trouble)(void);
	atomic_bool over;
	atomic_int acked;
	_Atomic int64_t longest_us;
	char (*id)[CONVO_UUID_SIZE];
	int64_t *seq;
};

/* Append an event until it is acknowledged, and by the timeout each time. */
static void load_append(struct load *load)
{
	char id[CONVO_UUID_SIZE];
	int64_t begin_us, seq = 0;
	struct convo_err err;
	int rc, at;

	convo_uuid_make(id);
	do {
		begin_us = cv_clock_mono_us();
		rc = append(load->store, load->session, id, &seq, &err);
		begin_us = cv_clock_mono_us() - begin_us;
		if (begin_us > load->longest_us)
			load->longest_us = begin_us;
		if (rc < 0 && rc != CONVO_E_GONE && rc != CONVO_E_TIMEOUT && rc != CONVO_E_IO)
			must_not_reach("%s: %s", convo_code_name(rc), err.text);
	} while (rc < 0);
	at = load->acked++;
	must(at < MOST_EVENTS);
	memcpy(load->id[at], id, sizeof(id));
	load->seq[at] = seq;
}

static void load_run(void *ctx, int index)
{
	struct load *load = ctx;

	if (!index) {
		nap_ms(500);
		load->trouble();
		nap_ms(1000);
		load->over = true;
	}
	while (!load->over)
		load_append(load);
}

static void load_check(const struct load *load, convo_store *store)
{
	const struct convo_key key = key_of(load->session);
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &count);
	must_equal(load->acked, count);
	for (size_t i = 0; i < count; i++) {
		must_equal(i + 1, events[i].seq);
		must_equal_str(load->id[i], events[load->seq[i] - 1].id);
	}
	convo_session_free(session);
}

/* Writers go on while something happens to the node that they use, and each node has it all after. */
static void load_through(const char *session, void (*trouble)(void))
{
	struct load load = {.session = session, .trouble = trouble};
	convo_store *node;

	load.id = calloc(MOST_EVENTS, sizeof(*load.id));
	load.seq = calloc(MOST_EVENTS, sizeof(*load.seq));
	must(load.id && load.seq);
	load.store = must_open(group->url, "prefix=load_&timeout=8s");
	must_create(load.store, session);
	test_threads(5, load_run, &load);
	test_say("%d events, the longest call took %lld ms", (int)load.acked,
		 (long long)load.longest_us / 1000);
	must(load.longest_us < 8200000);
	load_check(&load, load.store);
	convo_store_close(load.store);
	group_wait_healthy(group);
	for (int i = 0; i < 3; i++) {
		node = must_open(group->node[i]->url, "prefix=load_");
		load_check(&load, node);
		convo_store_close(node);
	}
	free(load.id);
	free(load.seq);
}

static void kill_first(void)
{
	group_kill(group, 0);
	nap_ms(3000);
	group_restart(group, 0);
}

static void test_A7_a_node_killed_in_mid_load_loses_nothing(void **state)
{
	(void)state;
	needed();
	load_through("killed", kill_first);
}

static void pause_first(void)
{
	group_pause(group, 0);
	group_wait_replaced(group, 0);
	nap_ms(1000);
	group_resume(group, 0);
}

/* Until the others have missed it, nobody can write: then they go on, and so do we, on another one. */
static void test_L2_a_node_that_hangs_in_mid_load_is_left(void **state)
{
	(void)state;
	needed();
	load_through("paused", pause_first);
}

/* A node that hangs is in the list, and the others have gone on without it. */
static void test_L2_a_node_that_hangs_does_not_take_the_time_of_a_read(void **state)
{
	const struct convo_key key = key_of("s");
	convo_session *session = NULL;
	int64_t begin_us;
	convo_store *store;
	struct convo_err err;

	(void)state;
	needed();
	store = must_open(group->url, "prefix=hang_&timeout=4s");
	must_create(store, "s");
	group_pause(group, 0);
	group_wait_replaced(group, 0);
	begin_us = cv_clock_mono_us();
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must(since_ms(begin_us) < 3500);
	convo_session_free(session);
	begin_us = cv_clock_mono_us();
	must_pass(append(store, "s", NULL, NULL, &err));
	must(since_ms(begin_us) < 1000);
	group_resume(group, 0);
	convo_store_close(store);
}

/* One node is left of three: it serves nobody, says so, and serves again when it is told to. */
static void test_A8_without_a_quorum_it_is_told_what_to_do(void **state)
{
	const char *url, *list;
	convo_store *store, *new = NULL;
	int64_t begin_us;
	struct convo_err err;

	(void)state;
	needed();
	url = test_text("%s?prefix=quorum_&timeout=2s", group->url);
	store = must_open(group->url, "prefix=quorum_&timeout=2s");
	must_create(store, "s");
	group_kill(group, 0);
	group_kill(group, 1);
	list = "SHOW STATUS LIKE 'wsrep_cluster_status'";
	for (int i = 0; !strstr(server_ask(group->node[2], "%s", list), "non-Primary"); i++) {
		must(i < 200);
		nap_ms(100);
	}
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_GONE, append(store, "s", NULL, NULL, &err));
	must(since_ms(begin_us) < 2200 && !err.maybe);
	must(strstr(err.text, test_text("127.0.0.1:%d", group->node[2]->port)));
	must(strstr(err.text, "start the nodes"));
	test_say("%s", err.text);
	must_fail_with(CONVO_E_GONE, convo_store_open(&new, url, NULL, &err));
	must(strstr(err.text, "non-Primary") && strstr(err.text, "start the nodes"));
	server_ask(group->node[2], "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'");
	for (int i = 0; append(store, "s", NULL, NULL, &err) != 0; i++)
		must(i < 10);
	group_restart(group, 0);
	group_restart(group, 1);
	group_wait_healthy(group);
	must_pass(append(store, "s", NULL, NULL, &err));
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest galera[] = {
		cmocka_unit_test(test_A1_writers_on_three_nodes_meet_in_one_session),
		cmocka_unit_test(test_S2_every_node_shows_what_any_has_acknowledged),
		cmocka_unit_test(test_L1_a_migration_that_died_is_taken_over),
		cmocka_unit_test(test_L1_a_migration_on_another_node_is_waited_for),
		cmocka_unit_test(test_A7_a_node_killed_in_mid_load_loses_nothing),
		cmocka_unit_test(test_L2_a_node_that_hangs_in_mid_load_is_left),
		cmocka_unit_test(test_L2_a_node_that_hangs_does_not_take_the_time_of_a_read),
		cmocka_unit_test(test_A8_without_a_quorum_it_is_told_what_to_do),
	};
	int rc;

	group = group_start(GROUP_GALERA);
	rc = TEST_RUN(galera);
	group_end(group);
	return rc;
}
