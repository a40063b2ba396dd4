/*
 * Programs are killed at random bytes of the answer that they are given, and others stopped past their
 * lease; the next program goes on. What had come is stored as an interrupted answer, but for the last
 * second of it, before the next question and once; and a holder that goes on after it was replaced is
 * refused (R2, R4, R5).
 *
 *     test_kills [NAME]           one of: memory sqlite redis postgres mysql
 *
 * CONVO_KILLS: so many kills instead of 6, and a quarter of them stops besides. CONVO_TEST_SEED as ever.
 *
 * A store in memory ends with its program: there a turn stands still at a random byte, and is taken over.
 */
#include "kills.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>

#include <convo/convo.h>

#include <base/clock.h>
#include <support/servers.h>

#define AT_ONCE 16 /* so many cases run at a time */
#define KILLS 6
#define LAST_MS 1000  /* of an answer may be missing */
#define SLACK_MS 2000 /* until a draft is stored, on a machine that is busy */

struct test {
	struct kills kills;
	int cases, stops; /* the first ones are stops */
	atomic_int next;
	atomic_int killed, fenced, nothing_left, whole;
	_Atomic int64_t longest_us;
};

/* ---- what is stored --------------------------------------------------------------------- */

static void case_missing(struct test *test, const char *session, int64_t missing_us)
{
	int64_t longest_us = atomic_load(&test->longest_us);

	while (missing_us > longest_us &&
	       !atomic_compare_exchange_weak(&test->longest_us, &longest_us, missing_us))
		;
	if (missing_us > (LAST_MS + SLACK_MS) * 1000)
		must_not_reach("%s: the last %lld ms of the answer are missing", session,
			       (long long)missing_us / 1000);
}

/* The first question, what is left of its answer, the second one and its answer, and nothing else. */
static void case_check(struct test *test, const char *session, const struct kills_sent *sent,
		       int64_t killed_us)
{
	convo_session *loaded = kills_load(&test->kills, session);
	size_t count, at = 1, kept = 0;
	const struct convo_event *events = test_events(loaded, &count);

	must(count == 3 || count == 4);
	kills_must_ask(&events[0], "question one");
	if (count == 4) {
		kept = kills_said(&test->kills, &events[at]);
		if (events[at].status == CONVO_COMPLETE) {
			must_equal(test->kills.script.text_len, kept);
			atomic_fetch_add(&test->whole, 1);
		} else {
			must_equal(CONVO_INTERRUPTED, events[at].status);
		}
		at++;
	} else {
		atomic_fetch_add(&test->nothing_left, 1);
	}
	kills_must_ask(&events[at], "question two");
	must_equal(CONVO_COMPLETE, events[at + 1].status);
	must_equal(test->kills.script.text_len, kills_said(&test->kills, &events[at + 1]));
	must(convo_session_draft(loaded) == NULL);
	must_equal(0, convo_session_meta(loaded)->held_ms);
	convo_session_free(loaded);
	case_missing(test, session, kills_missing_us(&test->kills.script, sent, kept, killed_us));
}

/* ---- programs --------------------------------------------------------------------------- */

/* One that was stopped goes on, hears the rest of its answer, and is told that it was replaced. */
static void program_goes_on(struct test *test, struct kills_endpoint *endpoint,
			    struct kills_sent *sent, pid_t pid)
{
	const struct kills_sent then = *sent;

	must_equal(0, kill(pid, SIGCONT));
	kills_endpoint_send(endpoint, sent, test->kills.script.body_len, KILLS_PACE_MS / 3);
	*sent = then;
	kills_endpoint_hang_up(endpoint);
	kills_must_exit(pid, KILLS_FENCED);
	atomic_fetch_add(&test->fenced, 1);
}

/* Until the byte, and then it is killed, or stands still. @return when */
static int64_t program_strike(struct kills_endpoint *endpoint, struct kills_sent *sent, size_t byte,
			      pid_t pid, int signum)
{
	int64_t at_us;

	kills_endpoint_asked(endpoint);
	must(kills_endpoint_send(endpoint, sent, byte, KILLS_PACE_MS));
	must_equal(0, kill(pid, signum));
	at_us = cv_clock_mono_us();
	if (signum == SIGKILL) {
		int status = kills_end(pid);

		must(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		kills_endpoint_hang_up(endpoint);
	}
	return at_us;
}

static void case_of_programs(struct test *test, const char *session, bool stops)
{
	struct kills_endpoint first = {0}, second = {0};
	struct kills_sent sent = {0}, answer = {0};
	size_t byte = 1 + kills_random(&test->kills, test->kills.script.body_len - 1);
	bool early = kills_random(&test->kills, 2);
	pid_t pid, next;
	int64_t at_us;

	kills_endpoint_open(&first, &test->kills.script);
	kills_endpoint_open(&second, &test->kills.script);
	pid = kills_start(&test->kills, &first, session, "question one");
	at_us = program_strike(&first, &sent, byte, pid, stops ? SIGSTOP : SIGKILL);
	next = kills_start(&test->kills, &second, session, "question two");
	kills_endpoint_asked(&second); /* so it holds the session */
	if (stops && early)
		program_goes_on(test, &first, &sent, pid);
	must(kills_endpoint_send(&second, &answer, test->kills.script.body_len, 0));
	kills_endpoint_hang_up(&second);
	kills_must_exit(next, 0);
	if (stops && !early)
		program_goes_on(test, &first, &sent, pid);
	atomic_fetch_add(&test->killed, !stops);
	kills_endpoint_close(&first);
	kills_endpoint_close(&second);
	case_check(test, session, &sent, at_us);
}

/* ---- in memory -------------------------------------------------------------------------- */

/* A turn that stands still. */
struct still {
	struct test *test;
	const char *session;
	size_t byte; /* of the text: there it stands */
	struct kills_sent sent;
	_Atomic int64_t since_us;
	atomic_bool go;
	int rc;
};

static int still_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	struct still *still = ctx;
	const struct kills_script *script = &still->test->kills.script;
	size_t at = 0;
	int rc = 0;

	(void)request, (void)cancel, (void)err;
	for (int i = 0; i < KILLS_DELTAS && rc == 0; i++) {
		size_t end = script->text_end[i];

		if (at <= still->byte && still->byte < end && !still->since_us) {
			rc = emit(emit_ctx, CONVO_DELTA_TEXT, script->text + at, still->byte - at);
			at = still->byte;
			still->since_us = cv_clock_mono_us();
			while (!still->go)
				poll(NULL, 0, 5);
		}
		if (rc == 0)
			rc = emit(emit_ctx, CONVO_DELTA_TEXT, script->text + at, end - at);
		at = end;
		if (!still->go) {
			still->sent.at_us[i] = cv_clock_mono_us();
			poll(NULL, 0, KILLS_PACE_MS);
		}
	}
	return rc;
}

static int at_once_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
			  void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	const struct kills_script *script = ctx;

	(void)request, (void)cancel, (void)err;
	return emit(emit_ctx, CONVO_DELTA_TEXT, script->text, script->text_len);
}

static int memory_ask(const struct test *test, convo_answer_fn answer, void *ctx,
		      const char *session, const char *text, enum convo_when_busy when_busy)
{
	const struct convo_question question = {
		.user = KILLS_USER, .session = session, .text = text, .when_busy = when_busy};
	struct convo_runner_options opts = {
		.store = test->kills.store, .app = KILLS_APP, .lease_ms = KILLS_LEASE_MS};
	struct convo_turn *turn = NULL;
	convo_runner *runner = NULL;
	struct convo_err err;
	int rc;

	must_pass(convo_model_from(&opts.model, "scripted", answer, ctx, &err));
	must_pass(convo_runner_new(&runner, &opts, &err));
	rc = convo_runner_run(&turn, runner, &question, NULL, NULL, &err);
	convo_turn_free(turn);
	convo_runner_free(runner);
	convo_model_close(opts.model);
	return rc;
}

static void *still_run(void *ctx)
{
	struct still *still = ctx;

	still->rc = memory_ask(still->test, still_answer, still, still->session, "question one",
			       CONVO_BUSY_WAIT);
	return NULL;
}

static void case_in_memory(struct test *test, const char *session)
{
	struct still still = {.test = test, .session = session};
	pthread_t thread;

	still.byte = kills_random(&test->kills, test->kills.script.text_len);
	must_equal(0, pthread_create(&thread, NULL, still_run, &still));
	while (!still.since_us)
		poll(NULL, 0, 5);
	must_equal(0, memory_ask(test, at_once_answer, &test->kills.script, session, "question two",
				 CONVO_BUSY_TAKE));
	still.go = true;
	must_equal(0, pthread_join(thread, NULL));
	must_equal(CONVO_E_CONFLICT, still.rc);
	atomic_fetch_add(&test->fenced, 1);
	case_check(test, session, &still.sent, still.since_us);
}

/* ---- all of them ------------------------------------------------------------------------ */

static void kills_run(void *ctx, int index)
{
	struct test *test = ctx;
	int number;

	(void)index;
	while ((number = atomic_fetch_add(&test->next, 1)) < test->cases) {
		const char *session = test_text("session %d", number);

		if (test->kills.url)
			case_of_programs(test, session, number < test->stops);
		else
			case_in_memory(test, session);
	}
}

static void kills_on(const char *name, const char *url)
{
	const char *given = getenv("CONVO_KILLS");
	int wanted = given ? (int)strtol(given, NULL, 10) : KILLS;
	struct test test = {.stops = url ? (wanted + 3) / 4 : 0};

	must(wanted > 0);
	test.cases = wanted + test.stops;
	kills_open(&test.kills, url);
	test_threads(test.cases < AT_ONCE ? test.cases : AT_ONCE, kills_run, &test);
	test_say("%s: %d programs killed, %d holders replaced and refused, nothing left of %d "
		 "answers and all of %d, at most %lld ms of one missing, nothing twice",
		 name, test.killed, test.fenced, test.nothing_left, test.whole,
		 (long long)test.longest_us / 1000);
	kills_close(&test.kills);
}

static void kills_on_server(const char *name, enum server_kind kind)
{
	struct server *server = server_start(kind, SERVER_FAST);

	if (!server)
		test_skip("no server for %s", name);
	kills_on(name, server_new_database(server));
	server_end(server);
}

static void R5_what_had_come_outlives_its_turn_on_memory(void **state)
{
	(void)state;
	kills_on("memory", NULL);
}

static void R5_what_had_come_outlives_its_program_on_sqlite(void **state)
{
	(void)state;
	kills_on("sqlite", test_text("sqlite://%s/kills.db", test_dir()));
}

static void R5_what_had_come_outlives_its_program_on_redis(void **state)
{
	(void)state;
	kills_on_server("redis", SERVER_REDIS);
}

static void R5_what_had_come_outlives_its_program_on_postgres(void **state)
{
	(void)state;
	kills_on_server("postgres", SERVER_POSTGRES);
}

static void R5_what_had_come_outlives_its_program_on_mysql(void **state)
{
	(void)state;
	kills_on_server("mysql", SERVER_MARIADB);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(R5_what_had_come_outlives_its_turn_on_memory),
		cmocka_unit_test(R5_what_had_come_outlives_its_program_on_sqlite),
		cmocka_unit_test(R5_what_had_come_outlives_its_program_on_redis),
		cmocka_unit_test(R5_what_had_come_outlives_its_program_on_postgres),
		cmocka_unit_test(R5_what_had_come_outlives_its_program_on_mysql),
	};

	if (argc == 6 && strcmp(argv[1], "program") == 0)
		return kills_program(argv + 2);
	if (argc > 1)
		setenv("CONVO_TEST_FILTER", test_text("*_on_%s", argv[1]), 1);
	return TEST_RUN(tests);
}
