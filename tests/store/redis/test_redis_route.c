/*
 * Nodes of a cluster and sentinels that lie about who serves what: whatever they say ends in an error
 * within the time, and nothing is kept of it for good. Run it with the sanitizers for its full worth.
 */
#include <support/test.h>

#include <stdio.h>
#include <time.h>

#include <base/clock.h>

#include "store/redis/lies.h"
#include "store/shared/calls.h"

#define TIMEOUT_MS 150
#define SLACK_MS 3000 /* of a machine that is busy */
#define OPENED "*2\r\n:0\r\n$1\r\n1\r\n"
#define DONE "*1\r\n:0\r\n"
#define REPEATED 24 /* as often as one call may ask */

static const struct convo_store_options brief = {.timeout_ms = TIMEOUT_MS,
						 .clean_interval_ms = CONVO_OFF};
static const struct convo_store_options second = {.timeout_ms = 2000,
						  .clean_interval_ms = CONVO_OFF};

static void say(struct fake_redis *fake, const char *command, const char *reply)
{
	for (int i = 0; i < REPEATED; i++)
		fake_redis_say(fake, command, reply);
}

static const char *slots_at(const char *host, int port)
{
	return test_text("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%zu\r\n%s\r\n:%d\r\n$2\r\nid\r\n",
			 strlen(host), host, port);
}

/* What a node says to be opened. */
static void tell_truth(struct fake_redis *fake)
{
	fake_redis_forget(fake);
	say(fake, "SLOTS", slots_at("127.0.0.1", fake_redis_port(fake)));
	say(fake, "EVALSHA", OPENED);
}

static int try_open(convo_store **out, const char *url, const struct convo_store_options *opts,
		    struct convo_err *err)
{
	int64_t begun_us = cv_clock_mono_us();
	int rc = convo_store_open(out, url, opts, err);

	must((cv_clock_mono_us() - begun_us) / 1000 < opts->timeout_ms + SLACK_MS);
	return rc;
}

static const char *cluster_url(struct fake_redis *fake)
{
	return test_text("redis+cluster://127.0.0.1:%d/?pool=2", fake_redis_port(fake));
}

static const char *sentinel_url(struct fake_redis *fake)
{
	return test_text("redis+sentinel://127.0.0.1:%d/name?pool=2", fake_redis_port(fake));
}

/* Open with something else in the place of a command's answer; `wrong`: it cannot be right. */
static void open_on(struct fake_redis *fake, const char *command, const char *url,
		    struct fake_reply reply, bool wrong, const char *what, size_t number)
{
	struct convo_err err = {0};
	convo_store *store = NULL;
	int rc;

	fake_redis_forget(fake);
	for (int i = 0; i < REPEATED; i++)
		fake_redis_reply(fake, command, reply);
	say(fake, "EVALSHA", OPENED);
	rc = try_open(&store, url, &brief, &err);
	if (rc < 0 || wrong)
		must_be_told(rc, &err, what, number);
	convo_store_close(store);
}

static void try_lies(struct fake_redis *fake, const char *command, const char *url)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		open_on(fake, command, url, reply_of(&lies[i]), true, "a lie", i);
	for (size_t i = 0; i < sizeof(endless) / sizeof(endless[0]); i++)
		open_on(fake, command, url, reply_of(&endless[i]), true, "an endless lie", i);
}

static void try_pieces(struct fake_redis *fake, const char *command, const char *url,
		       const char *text)
{
	struct bytes truth = {0};

	bytes_adds(&truth, text);
	for (size_t at = 0; at < truth.len; at += resp_next(truth.data + at)) {
		for (size_t i = 0; i < sizeof(perhaps) / sizeof(perhaps[0]); i++) {
			struct bytes said = truth_with(&truth, at, &perhaps[i]);

			keep(said.data);
			open_on(fake, command, url, (struct fake_reply){said.data, said.len, 0, 0},
				false, "a part", i);
		}
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			struct bytes said = truth_with(&truth, at, &parts[i]);

			keep(said.data);
			open_on(fake, command, url, (struct fake_reply){said.data, said.len, 0, 0},
				false, "a part", i);
		}
	}
	for (size_t len = 0; len < truth.len; len++)
		open_on(fake, command, url, (struct fake_reply){truth.data, len, 0, true}, true,
			"cut", len);
	keep(truth.data);
}

static void test_L2_nonsense_about_slots_is_an_error(void **state)
{
	struct fake_redis *fake = fake_redis_start();

	(void)state;
	try_lies(fake, "SLOTS", cluster_url(fake));
	fake_redis_end(fake);
	fake = fake_redis_start();
	try_pieces(fake, "SLOTS", cluster_url(fake), slots_at("127.0.0.1", fake_redis_port(fake)));
	fake_redis_end(fake);
}

static void test_L2_nonsense_about_the_master_is_an_error(void **state)
{
	struct fake_redis *fake = fake_redis_start();

	(void)state;
	try_lies(fake, "MASTER-ADDR", sentinel_url(fake));
	fake_redis_end(fake);
	fake = fake_redis_start();
	try_pieces(fake, "MASTER-ADDR", sentinel_url(fake),
		   test_text("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05d\r\n", fake_redis_port(fake)));
	fake_redis_end(fake);
}

/* Ranges that no cluster has, and more servers than are believed. */
static void test_L2_slots_that_there_cannot_be_are_refused(void **state)
{
	static const char *const ranges[] = {":-1\r\n:5",
					     ":5\r\n:4",
					     ":0\r\n:16384",
					     ":0\r\n:9223372036854775807",
					     ":-9223372036854775808\r\n:9223372036854775807",
					     ":4294967296\r\n:4294967297"};
	static const char *const ports[] = {"0", "-1", "65536", "70000", "4294967297"};
	struct fake_redis *fake = fake_redis_start();
	struct bytes many = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		open_on(fake, "SLOTS", cluster_url(fake),
			reply_of(&(struct lie){
				test_text("*1\r\n*3\r\n%s\r\n*2\r\n$1\r\na\r\n:1\r\n", ranges[i]),
				strlen(ranges[i]) + 27, 0, false}),
			true, "a range", i);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		const char *said = test_text(
			"*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:%s\r\n", ports[i]);

		open_on(fake, "SLOTS", cluster_url(fake),
			(struct fake_reply){said, strlen(said), 0, false}, true, "a port", i);
	}
	bytes_adds(&many, "*16384\r\n");
	for (int i = 0; i < 16384; i++)
		bytes_adds(&many, test_text("*3\r\n:%d\r\n:%d\r\n*2\r\n$4\r\n%04d\r\n:1\r\n", i, i,
					    i % 2000));
	open_on(fake, "SLOTS", cluster_url(fake),
		(struct fake_reply){many.data, many.len, 0, false}, true, "2000 servers", 0);
	fake_redis_end(fake);
	free(many.data);
}

/* A range for each slot, all at one server, is a cluster like any other. */
static void test_L2_as_many_ranges_as_slots_are_read(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	struct bytes many = {0};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	bytes_adds(&many, "*16384\r\n");
	for (int i = 0; i < 16384; i++)
		bytes_adds(&many, test_text("*3\r\n:%d\r\n:%d\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n",
					    i, i, fake_redis_port(fake)));
	for (int i = 0; i < 3; i++)
		fake_redis_reply(fake, "SLOTS", (struct fake_reply){many.data, many.len, 0, false});
	say(fake, "EVALSHA", OPENED);
	must_pass(try_open(&store, cluster_url(fake), &second, &err));
	convo_store_close(store);
	fake_redis_end(fake);
	free(many.data);
}

/* ---- being sent on ------------------------------------------------------------------------ */

static void test_L2_being_sent_to_nowhere_is_an_error(void **state)
{
	static const struct {
		const char *says, *text;
	} sent[] = {
		{"-MOVED\r\n", "no server that there can be"},
		{"-MOVED \r\n", "no server that there can be"},
		{"-MOVED 1\r\n", "no server that there can be"},
		{"-MOVED 1 \r\n", "no server that there can be"},
		{"-MOVED 1 :\r\n", "no server that there can be"},
		{"-MOVED x 127.0.0.1:1\r\n", "no server that there can be"},
		{"-MOVED -1 127.0.0.1:1\r\n", "no server that there can be"},
		{"-MOVED 16384 127.0.0.1:1\r\n", "no server that there can be"},
		{"-MOVED 99999999999999999999 127.0.0.1:1\r\n", "no server that there can be"},
		{"-MOVED 1 127.0.0.1:0\r\n", "no server that there can be"},
		{"-MOVED 1 127.0.0.1:70000\r\n", "no server that there can be"},
		{"-MOVED 1 127.0.0.1:1x\r\n", "no server that there can be"},
		{"-MOVED 1 127.0.0.1:-1\r\n", "no server that there can be"},
		{"-ASK 1 :\r\n", "no server that there can be"},
		{"-ASK 1 127.0.0.1:70000\r\n", "no server that there can be"},
		{"-ASK 1 a b:1\r\n", ""},
		{"-MOVED 1 \xff\xfe:1\r\n", ""},
	};
	struct fake_redis *fake = fake_redis_start();
	convo_store *store = NULL;
	struct convo_err err = {0};

	(void)state;
	tell_truth(fake);
	must_pass(try_open(&store, cluster_url(fake), &second, &err));
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		const struct convo_call call = {.timeout_ms = TIMEOUT_MS};

		fake_redis_forget(fake);
		say(fake, "SLOTS", slots_at("127.0.0.1", fake_redis_port(fake)));
		say(fake, "EVALSHA", sent[i].says);
		must_be_told(convo_store_rename(store, &calls_key, "t", &call, &err), &err,
			     sent[i].says, i);
		if (!strstr(err.text, sent[i].text))
			must_not_reach("%s gave: %s", sent[i].says, err.text);
		tell_truth(fake);
		fake_redis_forget(fake);
		say(fake, "SLOTS", slots_at("127.0.0.1", fake_redis_port(fake)));
		say(fake, "EVALSHA", DONE);
		must_pass(call_rename(store, &err));
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

/* Two that send us to each other, for good. */
static void test_L2_servers_that_send_us_in_circles_are_left_in_time(void **state)
{
	static const char *const words[] = {"MOVED", "ASK"};
	struct fake_redis *one = fake_redis_start(), *other = fake_redis_start();
	const struct convo_call call = {.timeout_ms = 1000};
	convo_store *store = NULL;
	struct convo_err err = {0};

	(void)state;
	tell_truth(one);
	must_pass(try_open(&store, cluster_url(one), &second, &err));
	for (size_t i = 0; i < 2; i++) {
		int64_t begun_us = cv_clock_mono_us();
		const char *there =
			test_text("-%s 1 127.0.0.1:%d\r\n", words[i], fake_redis_port(other));
		const char *back =
			test_text("-%s 1 127.0.0.1:%d\r\n", words[i], fake_redis_port(one));

		fake_redis_forget(one);
		for (int n = 0; n < 3; n++) {
			say(one, "SLOTS", slots_at("127.0.0.1", fake_redis_port(one)));
			say(one, "EVALSHA", there);
			say(other, "SLOTS", slots_at("127.0.0.1", fake_redis_port(one)));
			say(other, "ASKING", test_text("+OK\r\n%s", back));
			say(other, "EVALSHA", back);
		}
		must_fail_with(CONVO_E_GONE,
			       convo_store_rename(store, &calls_key, "t", &call, &err));
		must(strstr(err.text, "from server to server") != NULL);
		must(cv_clock_mono_us() - begun_us < 1000000 + SLACK_MS * 1000);
	}
	convo_store_close(store);
	fake_redis_end(one);
	fake_redis_end(other);
}

/* "MOVED 1 :7001": the host is the one that says it. */
static void test_L3_a_host_that_is_not_named_is_the_same_one(void **state)
{
	struct fake_redis *one = fake_redis_start(), *other = fake_redis_start();
	convo_store *store = NULL;
	struct convo_err err = {0};

	(void)state;
	say(one, "SLOTS", slots_at("", fake_redis_port(one)));
	say(one, "EVALSHA", OPENED);
	must_pass(try_open(&store, cluster_url(one), &second, &err));
	fake_redis_forget(one);
	say(one, "SLOTS", slots_at("?", fake_redis_port(other)));
	say(other, "SLOTS", slots_at("", fake_redis_port(other)));
	say(one, "EVALSHA", test_text("-MOVED 1 :%d\r\n", fake_redis_port(other)));
	say(other, "EVALSHA", DONE);
	must_pass(call_rename(store, &err));
	convo_store_close(store);
	fake_redis_end(one);
	fake_redis_end(other);
}

/* Each time another address: the list of servers stays a list of those that serve something. */
static void test_L4_servers_that_come_with_new_addresses_are_forgotten(void **state)
{
	struct fake_redis *fake = fake_redis_start();
	const struct convo_call call = {.timeout_ms = 1000};
	convo_store *store = NULL;
	struct convo_err err = {0};

	(void)state;
	tell_truth(fake);
	must_pass(try_open(&store, cluster_url(fake), &second, &err));
	for (int i = 0; i < 1500; i++) {
		fake_redis_forget(fake);
		/* Nobody is there: it is looked up again, and all is as before. */
		fake_redis_say(fake, "EVALSHA",
			       test_text("-MOVED 1 127.1.%d.%d:1\r\n", i / 200, i % 200));
		fake_redis_say(fake, "EVALSHA", DONE);
		fake_redis_say(fake, "SLOTS", slots_at("127.0.0.1", fake_redis_port(fake)));
		fake_redis_say(fake, "SLOTS", slots_at("127.0.0.1", fake_redis_port(fake)));
		must_pass(convo_store_rename(store, &calls_key, "t", &call, &err));
	}
	convo_store_close(store);
	fake_redis_end(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_L2_nonsense_about_slots_is_an_error),
		cmocka_unit_test(test_L2_nonsense_about_the_master_is_an_error),
		cmocka_unit_test(test_L2_slots_that_there_cannot_be_are_refused),
		cmocka_unit_test(test_L2_as_many_ranges_as_slots_are_read),
		cmocka_unit_test(test_L2_being_sent_to_nowhere_is_an_error),
		cmocka_unit_test(test_L2_servers_that_send_us_in_circles_are_left_in_time),
		cmocka_unit_test(test_L3_a_host_that_is_not_named_is_the_same_one),
		cmocka_unit_test(test_L4_servers_that_come_with_new_addresses_are_forgotten),
	};
	int rc = TEST_RUN(tests);

	kept_free();
	return rc;
}
