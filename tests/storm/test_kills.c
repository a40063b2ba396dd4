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

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convo/convo.h>

#include <base/buf.h>
#include <base/clock.h>
#include <base/json.h>
#include <support/servers.h>
#include <support/test.h>

#define AT_ONCE 16 /* so many cases run at a time */
#define KILLS 6
#define LAST_MS 1000  /* of an answer may be missing */
#define SLACK_MS 2000 /* until a draft is stored, on a machine that is busy */
#define END_MS 90000  /* longest life of a program */

extern char **environ;

struct kills {
	const char *url; /* NULL: in memory */
	convo_store *store;
	struct kills_script script;
	struct test_rng rng;
	pthread_mutex_t lock; /* guards rng */
	int cases, stops;     /* the first ones are stops */
	atomic_int next;
	atomic_int killed, fenced, nothing_left, whole;
	_Atomic int64_t longest_us;
};

/* ---- what is stored --------------------------------------------------------------------- */

static void case_missing(struct kills *kills, const char *session, int64_t missing_us)
{
	int64_t longest_us = atomic_load(&kills->longest_us);

	while (missing_us > longest_us &&
	       !atomic_compare_exchange_weak(&kills->longest_us, &longest_us, missing_us))
		;
	if (missing_us > (LAST_MS + SLACK_MS) * 1000)
		must_not_reach("%s: the last %lld ms of the answer are missing", session,
			       (long long)missing_us / 1000);
}

/* The words of a message, which are a beginning of the script. @return how many bytes of it */
static size_t case_said(const struct kills *kills, const struct convo_event *event)
{
	const struct cv_text raw = cv_json_find(cv_text_of(event->message), "content");
	struct cv_buf said = {0};
	size_t len;

	must(raw.len >= 2);
	must_equal(0, cv_json_unescape(&said, (struct cv_text){raw.data + 1, raw.len - 2}));
	len = said.len;
	must(len <= kills->script.text_len);
	must(len == 0 || memcmp(said.data, kills->script.text, len) == 0);
	cv_buf_clear(&said);
	return len;
}

static void case_question(const struct convo_event *event, const char *text)
{
	must_equal_str("user", event->role);
	must(strstr(event->message, test_text("\"%s\"", text)) != NULL);
}

static convo_session *case_load(const struct kills *kills, const char *session)
{
	const struct convo_key key = {KILLS_APP, KILLS_USER, session};
	const struct convo_window window = {.with = CONVO_WITH_DRAFT};
	convo_session *loaded = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&loaded, kills->store, &key, &window, NULL, &err));
	return loaded;
}

/* The first question, what is left of its answer, the second one and its answer, and nothing else. */
static void case_check(struct kills *kills, const char *session, const struct kills_sent *sent,
		       int64_t killed_us)
{
	convo_session *loaded = case_load(kills, session);
	size_t count, at = 1, kept = 0;
	const struct convo_event *events = test_events(loaded, &count);

	must(count == 3 || count == 4);
	for (size_t i = 0; i < count; i++) {
		must_equal((int64_t)i + 1, events[i].seq);
		for (size_t k = 0; k < i; k++)
			must(strcmp(events[i].id, events[k].id) != 0);
	}
	case_question(&events[0], "question one");
	if (count == 4) {
		kept = case_said(kills, &events[at]);
		must_equal_str("assistant", events[at].role);
		if (events[at].status == CONVO_COMPLETE) {
			must_equal(kills->script.text_len, kept);
			atomic_fetch_add(&kills->whole, 1);
		} else {
			must_equal(CONVO_INTERRUPTED, events[at].status);
		}
		at++;
	} else {
		atomic_fetch_add(&kills->nothing_left, 1);
	}
	case_question(&events[at], "question two");
	must_equal(CONVO_COMPLETE, events[at + 1].status);
	must_equal(kills->script.text_len, case_said(kills, &events[at + 1]));
	must(convo_session_draft(loaded) == NULL);
	must_equal(0, convo_session_meta(loaded)->held_ms);
	convo_session_free(loaded);
	case_missing(kills, session, kills_missing_us(&kills->script, sent, kept, killed_us));
}

/* ---- programs --------------------------------------------------------------------------- */

static pid_t program_start(const struct kills *kills, const struct kills_endpoint *endpoint,
			   const char *session, const char *question)
{
	const char *const words[] = {"test_kills", "program", kills->url, endpoint->base,
				     session,      question,  NULL};
	pid_t pid = 0;

	must_equal(0, posix_spawn(&pid, "/proc/self/exe", NULL, NULL,
				  (char *const *)(uintptr_t)words, environ));
	return pid;
}

/* How a program ends; it is killed if it does not. */
static int program_end(pid_t pid)
{
	int64_t until_us = cv_clock_mono_us() + END_MS * INT64_C(1000);
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (cv_clock_mono_us() > until_us)
			kill(pid, SIGKILL);
		poll(NULL, 0, 5);
	}
	return status;
}

static void program_must_exit(pid_t pid, int code)
{
	int status = program_end(pid);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		must_not_reach("a program ended by %s %d",
			       WIFEXITED(status) ? "itself with" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* One that was stopped goes on, hears the rest of its answer, and is told that it was replaced. */
static void program_goes_on(struct kills *kills, struct kills_endpoint *endpoint,
			    struct kills_sent *sent, pid_t pid)
{
	const struct kills_sent then = *sent;

	must_equal(0, kill(pid, SIGCONT));
	kills_endpoint_send(endpoint, sent, kills->script.body_len, KILLS_PACE_MS / 3);
	*sent = then;
	kills_endpoint_hang_up(endpoint);
	program_must_exit(pid, KILLS_FENCED);
	atomic_fetch_add(&kills->fenced, 1);
}

static size_t case_random(struct kills *kills, size_t below)
{
	size_t n;

	pthread_mutex_lock(&kills->lock);
	n = test_rng_below(&kills->rng, below);
	pthread_mutex_unlock(&kills->lock);
	return n;
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
		int status = program_end(pid);

		must(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		kills_endpoint_hang_up(endpoint);
	}
	return at_us;
}

static void case_of_programs(struct kills *kills, const char *session, bool stops)
{
	struct kills_endpoint first = {0}, second = {0};
	struct kills_sent sent = {0}, answer = {0};
	size_t byte = 1 + case_random(kills, kills->script.body_len - 1);
	bool early = case_random(kills, 2);
	pid_t pid, next;
	int64_t at_us;

	kills_endpoint_open(&first, &kills->script);
	kills_endpoint_open(&second, &kills->script);
	pid = program_start(kills, &first, session, "question one");
	at_us = program_strike(&first, &sent, byte, pid, stops ? SIGSTOP : SIGKILL);
	next = program_start(kills, &second, session, "question two");
	kills_endpoint_asked(&second); /* so it holds the session */
	if (stops && early)
		program_goes_on(kills, &first, &sent, pid);
	must(kills_endpoint_send(&second, &answer, kills->script.body_len, 0));
	kills_endpoint_hang_up(&second);
	program_must_exit(next, 0);
	if (stops && !early)
		program_goes_on(kills, &first, &sent, pid);
	atomic_fetch_add(&kills->killed, !stops);
	kills_endpoint_close(&first);
	kills_endpoint_close(&second);
	case_check(kills, session, &sent, at_us);
}

/* ---- in memory -------------------------------------------------------------------------- */

/* A turn that stands still. */
struct still {
	struct kills *kills;
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
	const struct kills_script *script = &still->kills->script;
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

static int memory_ask(const struct kills *kills, convo_answer_fn answer, void *ctx,
		      const char *session, const char *text, enum convo_when_busy when_busy)
{
	const struct convo_question question = {
		.user = KILLS_USER, .session = session, .text = text, .when_busy = when_busy};
	struct convo_runner_options opts = {
		.store = kills->store, .app = KILLS_APP, .lease_ms = KILLS_LEASE_MS};
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

	still->rc = memory_ask(still->kills, still_answer, still, still->session, "question one",
			       CONVO_BUSY_WAIT);
	return NULL;
}

static void case_in_memory(struct kills *kills, const char *session)
{
	struct still still = {.kills = kills, .session = session};
	pthread_t thread;

	still.byte = case_random(kills, kills->script.text_len);
	must_equal(0, pthread_create(&thread, NULL, still_run, &still));
	while (!still.since_us)
		poll(NULL, 0, 5);
	must_equal(0, memory_ask(kills, at_once_answer, &kills->script, session, "question two",
				 CONVO_BUSY_TAKE));
	still.go = true;
	must_equal(0, pthread_join(thread, NULL));
	must_equal(CONVO_E_CONFLICT, still.rc);
	atomic_fetch_add(&kills->fenced, 1);
	case_check(kills, session, &still.sent, still.since_us);
}

/* ---- all of them ------------------------------------------------------------------------ */

static void kills_run(void *ctx, int index)
{
	struct kills *kills = ctx;
	int number;

	(void)index;
	while ((number = atomic_fetch_add(&kills->next, 1)) < kills->cases) {
		const char *session = test_text("session %d", number);

		if (kills->url)
			case_of_programs(kills, session, number < kills->stops);
		else
			case_in_memory(kills, session);
	}
}

static void kills_on(const char *name, const char *url)
{
	const struct convo_store_options quiet = {.timeout_ms = 30000,
						  .clean_interval_ms = CONVO_OFF};
	const char *given = getenv("CONVO_KILLS");
	int wanted = given ? (int)strtol(given, NULL, 10) : KILLS;
	struct kills kills = {.url = url, .stops = url ? (wanted + 3) / 4 : 0};
	struct convo_err err;

	must(wanted > 0);
	kills.cases = wanted + kills.stops;
	test_rng_any(&kills.rng);
	pthread_mutex_init(&kills.lock, NULL);
	kills_script_make(&kills.script);
	must_pass(convo_store_open(&kills.store, url ? url : "memory:", &quiet, &err));
	test_threads(kills.cases < AT_ONCE ? kills.cases : AT_ONCE, kills_run, &kills);
	test_say("%s: %d programs killed, %d holders replaced and refused, nothing left of %d "
		 "answers and all of %d, at most %lld ms of one missing, nothing twice",
		 name, kills.killed, kills.fenced, kills.nothing_left, kills.whole,
		 (long long)kills.longest_us / 1000);
	convo_store_close(kills.store);
	kills_script_clear(&kills.script);
	pthread_mutex_destroy(&kills.lock);
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
