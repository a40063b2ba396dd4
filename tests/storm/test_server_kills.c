/*
 * kill -9 of the server while programs are being answered: each answer is stored once the server is
 * back, whole and once, or its program says that it is not; and the next question finds a session in
 * order (R2, R5, L3).
 *
 *     test_server_kills [NAME]    one of: redis postgres mysql
 *
 * CONVO_KILLS: so many answers instead of 8, 16 for each kill. CONVO_TEST_SEED as ever.
 */
#include "kills.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include <convo/convo.h>

#include <support/servers.h>

#define ANSWERS 8
#define AT_ONCE 16

struct test {
	struct kills kills;
	struct server *server;
	int from, answers; /* of this round: its first one, how many */
	int kills_made;
	atomic_int asked, stored, told;
	bool went_well[AT_ONCE];
};

/* The server dies at some moment while all are being answered, and comes back soon or later. */
static void server_dies(struct test *test)
{
	while (test->asked < test->answers)
		poll(NULL, 0, 5);
	poll(NULL, 0, (int)kills_random(&test->kills, KILLS_DELTAS * KILLS_PACE_MS));
	server_kill(test->server);
	poll(NULL, 0, (int)kills_random(&test->kills, 1500));
	server_restart(test->server);
	test->kills_made++;
}

static const char *test_session(const struct test *test, int index)
{
	return test_text("session %d", test->from + index);
}

static void first_run(void *ctx, int index)
{
	struct test *test = ctx;
	struct kills_endpoint endpoint = {0};
	struct kills_sent sent = {0};
	int status;
	pid_t pid;

	if (index == test->answers) {
		server_dies(test);
		return;
	}
	kills_endpoint_open(&endpoint, &test->kills.script);
	pid = kills_start(&test->kills, &endpoint, test_session(test, index), "question one");
	kills_endpoint_asked(&endpoint);
	atomic_fetch_add(&test->asked, 1);
	kills_endpoint_send(&endpoint, &sent, test->kills.script.body_len, KILLS_PACE_MS);
	kills_endpoint_hang_up(&endpoint);
	status = kills_end(pid);
	must(WIFEXITED(status));
	must(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLS_FAILED);
	test->went_well[index] = WEXITSTATUS(status) == 0;
	atomic_fetch_add(test->went_well[index] ? &test->stored : &test->told, 1);
	kills_endpoint_close(&endpoint);
}

/* What there is of the first question and its answer, and then the second ones. */
static void second_check(struct test *test, const char *session, bool went_well)
{
	convo_session *loaded = kills_load(&test->kills, session);
	size_t count, said;
	const struct convo_event *events = test_events(loaded, &count);

	must(count == 4 || (count == 3 && !went_well));
	kills_must_ask(&events[0], "question one");
	if (count == 4) {
		said = kills_said(&test->kills, &events[1]);
		must_equal(said == test->kills.script.text_len ? CONVO_COMPLETE : CONVO_INTERRUPTED,
			   events[1].status);
		must(!went_well || events[1].status == CONVO_COMPLETE);
	}
	kills_must_ask(&events[count - 2], "question two");
	must_equal(CONVO_COMPLETE, events[count - 1].status);
	must_equal(test->kills.script.text_len, kills_said(&test->kills, &events[count - 1]));
	must(convo_session_draft(loaded) == NULL);
	must_equal(0, convo_session_meta(loaded)->held_ms);
	convo_session_free(loaded);
}

static void second_run(void *ctx, int index)
{
	struct test *test = ctx;
	struct kills_endpoint endpoint = {0};
	struct kills_sent sent = {0};
	const char *session = test_session(test, index);
	pid_t pid;

	kills_endpoint_open(&endpoint, &test->kills.script);
	pid = kills_start(&test->kills, &endpoint, session, "question two");
	kills_endpoint_asked(&endpoint);
	must(kills_endpoint_send(&endpoint, &sent, test->kills.script.body_len, 0));
	kills_endpoint_hang_up(&endpoint);
	kills_must_exit(pid, 0);
	kills_endpoint_close(&endpoint);
	second_check(test, session, test->went_well[index]);
}

static void kills_on_server(const char *name, enum server_kind kind, enum server_care care)
{
	const char *given = getenv("CONVO_KILLS");
	int wanted = given ? (int)strtol(given, NULL, 10) : ANSWERS;
	struct test test = {.server = server_start(kind, care)};

	if (!test.server)
		test_skip("no server for %s", name);
	must(wanted > 0);
	kills_open(&test.kills, server_new_database(test.server));
	for (; test.from < wanted; test.from += test.answers) {
		test.answers = wanted - test.from < AT_ONCE ? wanted - test.from : AT_ONCE;
		test.asked = 0;
		test_threads(test.answers + 1, first_run, &test);
		test_threads(test.answers, second_run, &test);
	}
	test_say("%s: %d kills of the server while %d were answered; %d answers stored, of %d it "
		 "was "
		 "told that they are not; nothing twice",
		 name, test.kills_made, wanted, test.stored, test.told);
	kills_close(&test.kills);
	server_end(test.server);
}

/* What it acknowledged is to survive: its log is written before it answers. */
static void R5_an_answer_outlives_its_server_on_redis(void **state)
{
	(void)state;
	kills_on_server("redis", SERVER_REDIS, SERVER_DURABLE);
}

static void R5_an_answer_outlives_its_server_on_postgres(void **state)
{
	(void)state;
	kills_on_server("postgres", SERVER_POSTGRES, SERVER_FAST);
}

static void R5_an_answer_outlives_its_server_on_mysql(void **state)
{
	(void)state;
	kills_on_server("mysql", SERVER_MARIADB, SERVER_FAST);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(R5_an_answer_outlives_its_server_on_redis),
		cmocka_unit_test(R5_an_answer_outlives_its_server_on_postgres),
		cmocka_unit_test(R5_an_answer_outlives_its_server_on_mysql),
	};

	if (argc == 6 && strcmp(argv[1], "program") == 0)
		return kills_program(argv + 2);
	if (argc > 1)
		setenv("CONVO_TEST_FILTER", test_text("*_on_%s", argv[1]), 1);
	return TEST_RUN(tests);
}
