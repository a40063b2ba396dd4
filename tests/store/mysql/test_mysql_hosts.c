/*
 * Several hosts in a URL: the first that takes writes is used, and what is said where none does. Two
 * MariaDB servers, of which the second is a replica of the first where a test says so. Clusters are in
 * test_mysql_galera.c.
 */
#include "store/shared/sql_suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

static struct server *other; /* NULL as sql_server */

#define USER_URL "mysql://convo:p%40ss%3Aw%2Frd%20%23%27%25@"

/* A URL of these hosts, "127.0.0.1:1,127.0.0.1:2". */
static const char *hosts_url(const char *hosts, const char *database, const char *more)
{
	return test_text("%s%s/%s?%s", USER_URL, hosts, database, more);
}

static const char *host_of(int port)
{
	return test_text("127.0.0.1:%d", port);
}

static const char *both(int first, int second)
{
	return test_text("%s,%s", host_of(first), host_of(second));
}

static int since_ms(int64_t begin_us)
{
	return (int)((cv_clock_mono_us() - begin_us) / 1000);
}

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static convo_store *must_open(const char *url)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

/* ---- the list ----------------------------------------------------------------------------- */

static void test_L1_a_list_that_makes_no_sense_is_refused(void **state)
{
	const char *many = "a";

	(void)state;
	sql_needed();
	for (int i = 0; i < 16; i++)
		many = test_text("%s,a", many);
	sql_must_refuse(CONVO_E_INVALID, hosts_url(many, "convo", ""), "16 hosts");
	sql_must_refuse(CONVO_E_INVALID, hosts_url("a,,b", "convo", ""), "no name");
	sql_must_refuse(CONVO_E_INVALID, hosts_url("a:1,b:x", "convo", ""), "port");
	sql_must_refuse(CONVO_E_INVALID, hosts_url("a,::1:3306", "convo", ""), "[::1]:port");
	sql_must_refuse(CONVO_E_INVALID, hosts_url("a,b", "convo", "socket=/run/s"), "socket=");
}

static void test_L5_a_store_names_all_its_hosts(void **state)
{
	const char *hosts = both(sql_server ? sql_server->port : 1, test_port());
	convo_store *store;

	(void)state;
	sql_needed();
	store = must_open(hosts_url(hosts, "convo", "prefix=names_"));
	must_equal_str(test_text("MySQL (%s/convo)", hosts), convo_store_describe(store));
	convo_store_close(store);
}

/* ---- hosts that do not answer ---------------------------------------------------------------- */

static void test_L3_a_first_host_that_is_down_is_passed_over(void **state)
{
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	store = must_open(hosts_url(both(test_port(), sql_server->port), "convo", "prefix=down_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	must(since_ms(begin_us) < 2000);
	convo_store_close(store);
}

struct crowd {
	convo_store *store;
	atomic_int slowest_ms;
};

/* Eight at once, so that each makes a connection. */
static void crowd_run(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err;
	int took_ms;

	for (int i = 0; i < 5; i++)
		must_pass(sql_say(crowd->store, test_text("s%d", index), &err));
	took_ms = since_ms(begin_us);
	if (took_ms > crowd->slowest_ms)
		crowd->slowest_ms = took_ms;
}

/* A host that hangs has its share of the time once; the one that answered is asked first after that. */
static void test_L2_a_first_host_that_hangs_costs_its_share_once(void **state)
{
	struct crowd crowd = {NULL, 0};
	int64_t begin_us = cv_clock_mono_us();
	int port, fd, took_ms;

	(void)state;
	sql_needed();
	fd = test_listen(&port);
	crowd.store = must_open(
		hosts_url(both(port, sql_server->port), "convo", "prefix=hang_&timeout=3s"));
	took_ms = since_ms(begin_us);
	must(took_ms > 1000 && took_ms < 2500);
	for (int i = 0; i < 8; i++)
		sql_create(crowd.store, test_text("s%d", i));
	test_threads(8, crowd_run, &crowd);
	must(crowd.slowest_ms < 1000);
	convo_store_close(crowd.store);
	close(fd);
}

/* None answers: one line, by the timeout, that names one of them. */
static void test_A8_hosts_that_are_all_down_are_told(void **state)
{
	const int port[] = {test_port(), test_port()};
	const char *url = hosts_url(both(port[0], port[1]), "convo", "timeout=2s");
	int64_t begin_us = cv_clock_mono_us();

	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_GONE, url, test_text("MySQL (%s/convo): ", host_of(port[1])));
	must(since_ms(begin_us) < 2200);
}

/* The host that refuses us says more than the one that is not there. */
static void test_A8_of_several_hosts_the_one_that_answered_is_told(void **state)
{
	const char *url = test_text("mysql://convo:wrong@%s/convo",
				    both(sql_server ? sql_server->port : 1, test_port()));

	(void)state;
	sql_needed();
	sql_must_refuse(CONVO_E_DENIED, url,
			test_text("MySQL (%s/convo): ", host_of(sql_server->port)));
}

/* ---- hosts that take no writes ------------------------------------------------------------- */

static void test_L3_a_host_that_takes_no_writes_is_passed_over(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	server_ask(other, "SET GLOBAL read_only = 1");
	store = must_open(
		hosts_url(both(other->port, sql_server->port), "convo", "prefix=passed_"));
	sql_create(store, "s");
	must_pass(sql_say(store, "s", &err));
	convo_store_close(store);
	must_equal_str("1", server_ask(sql_server, "SELECT COUNT(*) FROM passed_events"));
	server_ask(other, "SET GLOBAL read_only = 0");
}

/* Where none takes writes, what is there can be read, and a write says so by its timeout. */
static void test_A8_where_no_host_takes_writes_reading_works(void **state)
{
	const char *url;
	int64_t begin_us;
	struct convo_err err;
	convo_store *store;

	(void)state;
	sql_needed();
	url = hosts_url(both(sql_server->port, other->port), "convo", "prefix=none_&timeout=1s");
	store = must_open(url);
	sql_create(store, "s");
	server_ask(sql_server, "SET GLOBAL read_only = 1");
	server_ask(other, "SET GLOBAL read_only = 1");
	begin_us = cv_clock_mono_us();
	must_fail_with(CONVO_E_READONLY, sql_say(store, "s", &err));
	must(!err.maybe && since_ms(begin_us) < 1200);
	must(strstr(err.text, test_text("MySQL (%s/convo)", host_of(sql_server->port))));
	sql_must_have(store, "s", 0);
	convo_store_close(store);
	begin_us = cv_clock_mono_us();
	store = must_open(url);
	sql_must_have(store, "s", 0);
	must(since_ms(begin_us) < 900);
	server_ask(sql_server, "SET GLOBAL read_only = 0");
	must_pass(sql_say(store, "s", &err));
	convo_store_close(store);
	server_ask(other, "SET GLOBAL read_only = 0");
}

/* A replica may be behind: it is not read from while the host that takes writes is away. */
static void test_S2_a_replica_is_not_read_from_in_place_of_a_primary(void **state)
{
	(void)state;
	sql_needed();
	convo_store_close(must_open(hosts_url(host_of(other->port), "convo", "prefix=behind_")));
	server_ask(other, "SET GLOBAL read_only = 1");
	sql_must_refuse(CONVO_E_GONE,
			hosts_url(both(test_port(), other->port), "convo", "prefix=behind_"),
			"none of the other hosts takes writes");
	server_ask(other, "SET GLOBAL read_only = 0");
}

/* ---- a replica that takes over ------------------------------------------------------------- */

struct load {
	convo_store *store;
	atomic_bool over;
	atomic_int acked;
	int64_t longest_us;
};

/* Append an event until it is acknowledged. */
static void load_append(struct load *load)
{
	const struct convo_key key = {"app", "user", "load"};
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .message = "{\"role\":\"user\"}"};
	int64_t begin_us;
	struct convo_err err;
	int rc;

	convo_uuid_make(id);
	do {
		begin_us = cv_clock_mono_us();
		rc = convo_store_append(load->store, &key, NULL, &event, 1, NULL, NULL, &err);
		if (cv_clock_mono_us() - begin_us > load->longest_us)
			load->longest_us = cv_clock_mono_us() - begin_us;
		if (rc < 0 && rc != CONVO_E_GONE && rc != CONVO_E_TIMEOUT && rc != CONVO_E_IO)
			must_not_reach("%s: %s", convo_code_name(rc), err.text);
	} while (rc < 0);
	load->acked++;
}

/* Make the second server a replica of the first. */
static void replica_begin(struct server *primary, struct server *replica)
{
	server_ask(primary, "GRANT REPLICATION SLAVE ON *.* TO 'convo'@'%%'");
	server_ask(replica,
		   "SET GLOBAL read_only = 1; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', "
		   "MASTER_PORT = %d, MASTER_USER = 'convo', MASTER_PASSWORD = 'p@ss:w/rd #''%%', "
		   "MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1; START SLAVE",
		   primary->port);
}

static void replica_catch_up(const struct server *primary, const struct server *replica)
{
	const char *gtid = server_ask(primary, "SELECT @@gtid_binlog_pos");

	must_equal_str("0", server_ask(replica, "SELECT MASTER_GTID_WAIT('%s', 20)", gtid));
}

static struct server *replicated_start(int number, const char *more)
{
	const char *const args[] = {"--log-bin=bin",       test_text("--server-id=%d", number),
				    "--log-slave-updates", "--gtid-domain-id=0",
				    more ? more : NULL,    NULL};
	static const char *kept[2][8];

	memcpy(kept[number - 1], args, sizeof(args));
	return server_start_with(SERVER_MARIADB, SERVER_FAST, kept[number - 1]);
}

static void switch_over(void *ctx, int index)
{
	struct load *load = ctx;

	if (index) {
		while (!load->over)
			load_append(load);
		return;
	}
	nap_ms(500);
	server_ask(sql_server, "SET GLOBAL read_only = 1");
	nap_ms(300);
	replica_catch_up(sql_server, other);
	server_ask(other, "STOP SLAVE; SET GLOBAL read_only = 0");
	nap_ms(500);
	load->over = true;
}

/* An administrator switches over: nothing is lost or stored twice, and who only reads follows. */
static void test_A7_a_switch_over_in_mid_load_loses_nothing(void **state)
{
	struct server *primary = sql_server, *replica = other;
	struct load load = {0};
	convo_store *reader;

	(void)state;
	sql_needed();
	sql_server = replicated_start(1, NULL);
	other = replicated_start(2, NULL);
	replica_begin(sql_server, other);
	load.store = must_open(hosts_url(both(sql_server->port, other->port), "convo", ""));
	reader = must_open(hosts_url(both(sql_server->port, other->port), "convo", ""));
	sql_create(load.store, "load");
	sql_must_have(reader, "load", 0);
	test_threads(3, switch_over, &load);
	sql_must_have(load.store, "load", (size_t)load.acked);
	/* Its connection is still to the old primary, which has not closed it. */
	sql_must_have(reader, "load", (size_t)load.acked);
	convo_store_close(reader);
	must_equal_str(test_text("%d", (int)load.acked),
		       server_ask(other, "SELECT MAX(seq) FROM convo_events"));
	must(strtoll(server_ask(sql_server, "SELECT MAX(seq) FROM convo_events"), NULL, 10) <
	     load.acked);
	test_say("%d events, the longest call took %lld ms", (int)load.acked,
		 (long long)load.longest_us / 1000);
	convo_store_close(load.store);
	server_end(other);
	server_end(sql_server);
	sql_server = primary;
	other = replica;
}

static void fail_over(void *ctx, int index)
{
	struct load *load = ctx;

	if (index) {
		while (!load->over)
			load_append(load);
		return;
	}
	nap_ms(500);
	server_kill(sql_server);
	nap_ms(300);
	/* What it has received it applies first. */
	server_ask(other, "STOP SLAVE IO_THREAD");
	must_equal_str("0", server_ask(other, "SELECT MASTER_GTID_WAIT(@@gtid_slave_pos, 20)"));
	for (int i = 0;
	     !strstr(server_ask(other, "SHOW SLAVE STATUS"), "Slave has read all relay log"); i++) {
		must(i < 100);
		nap_ms(50);
	}
	server_ask(other, "STOP SLAVE; SET GLOBAL read_only = 0");
	nap_ms(500);
	load->over = true;
}

/* The primary is killed, and its semi-synchronous replica takes over. */
static void test_A7_a_semi_synchronous_replica_has_all_that_was_acknowledged(void **state)
{
	struct server *primary = sql_server, *replica = other;
	struct load load = {0};

	(void)state;
	sql_needed();
	sql_server = replicated_start(1, NULL);
	other = replicated_start(2, "--rpl-semi-sync-slave-enabled=1");
	replica_begin(sql_server, other);
	server_ask(sql_server, "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC', "
			       "GLOBAL rpl_semi_sync_master_timeout = 60000, "
			       "GLOBAL rpl_semi_sync_master_enabled = 1");
	load.store = must_open(hosts_url(both(sql_server->port, other->port), "convo", ""));
	sql_create(load.store, "load");
	test_threads(3, fail_over, &load);
	sql_must_have(load.store, "load", (size_t)load.acked);
	test_say("%d events, the longest call took %lld ms", (int)load.acked,
		 (long long)load.longest_us / 1000);
	convo_store_close(load.store);
	server_end(other);
	server_end(sql_server);
	sql_server = primary;
	other = replica;
}

int main(void)
{
	const struct CMUnitTest hosts[] = {
		cmocka_unit_test(test_L1_a_list_that_makes_no_sense_is_refused),
		cmocka_unit_test(test_L5_a_store_names_all_its_hosts),
		cmocka_unit_test(test_L3_a_first_host_that_is_down_is_passed_over),
		cmocka_unit_test(test_L2_a_first_host_that_hangs_costs_its_share_once),
		cmocka_unit_test(test_A8_hosts_that_are_all_down_are_told),
		cmocka_unit_test(test_A8_of_several_hosts_the_one_that_answered_is_told),
		cmocka_unit_test(test_L3_a_host_that_takes_no_writes_is_passed_over),
		cmocka_unit_test(test_A8_where_no_host_takes_writes_reading_works),
		cmocka_unit_test(test_S2_a_replica_is_not_read_from_in_place_of_a_primary),
		cmocka_unit_test(test_A7_a_switch_over_in_mid_load_loses_nothing),
		cmocka_unit_test(test_A7_a_semi_synchronous_replica_has_all_that_was_acknowledged),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	other = sql_server ? server_start(SERVER_MARIADB, SERVER_FAST) : NULL;
	rc = TEST_RUN(hosts);
	server_end(other);
	server_end(sql_server);
	return rc;
}
