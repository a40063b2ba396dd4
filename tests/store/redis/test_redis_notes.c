/*
 * The state of the app where it is apart, in a cluster: whatever happens between the step that notes a
 * change beside the session and the one that carries it out, it is carried out once and in order (A6).
 */
#include <support/test.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <support/oom.h>

#include "store/redis/grouped.h"
#include "store/redis/seen.h"
#include "store/shared/calls.h"

#define NOTES "convo:{app:user}:notes"
#define DONE "convo:{app}:done"

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

static const struct server *of_user(void)
{
	return group->node[group_master(group, "convo:{app:user}")];
}

static const struct server *of_app(void)
{
	return group->node[group_master(group, "convo:{app}")];
}

/* The replica of the user's master. */
static int replica_of_user(void)
{
	const char *port = test_text("master_port:%d", of_user()->port);

	for (int i = 0; i < group->data; i++) {
		if (strstr(server_try(group->node[i], "INFO replication"), port))
			return i;
	}
	must_not_reach("no replica");
}

/* Leave a note as a program does that died after it. */
static void note(long long number, const char *name, const char *json)
{
	server_ask(of_user(),
		   "EVAL \"redis.call('RPUSH', KEYS[1], cmsgpack.pack({tonumber(ARGV[1]), "
		   "ARGV[2], ARGV[3]}))\" 1 " NOTES " %lld '%s' '%s'",
		   number, name, json);
}

static void must_have_notes(int want)
{
	must_equal_str(test_text("%d", want), server_ask(of_user(), "LLEN " NOTES));
}

/* The app's value as a load shows it. */
static void must_load(convo_store *store, const char *name, const char *want)
{
	convo_session *session = NULL;
	struct convo_err err;
	const struct convo_item *items;
	const char *found = NULL;
	size_t count;

	must_pass(convo_store_load(&session, store, &calls_key, NULL, NULL, &err));
	items = test_state(session, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(items[i].name, test_text("app:%s", name)) == 0)
			found = items[i].json;
	}
	must_equal_str(want, found);
	convo_session_free(session);
}

static void must_count(convo_store *store, size_t want)
{
	convo_session *session = NULL;
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &calls_key, NULL, NULL, &err));
	must_equal(want, convo_session_count(session));
	convo_session_free(session);
}

static int append_with(convo_store *store, const char *delta, const struct convo_call *call,
		       struct convo_err *err)
{
	const struct convo_event event = {.id = "0197b0a1-0000-7000-8000-000000000001",
					  .message = CALLS_HELLO,
					  .state = delta};

	return convo_store_append(store, &calls_key, NULL, &event, 1, NULL, call, err);
}

static int set_of(convo_store *store, const char *user, const char *name, const char *json)
{
	const struct convo_key key = {"app", user, NULL};
	const struct convo_item item = {.name = name, .json = json};
	struct convo_err err;

	return must_pass(convo_store_state_set(store, &key, &item, 1, NULL, &err));
}

/* ---- writers that die ------------------------------------------------------------------------ */

/* Wait until the session's step is done. */
static void wait_for_note(void)
{
	for (int i = 0; i < 400; i++) {
		if (strcmp(server_ask(of_user(), "LLEN " NOTES), "0") != 0)
			return;
		nap_ms(10);
	}
	must_not_reach("nothing is noted");
}

/* It waits for a replica that stands still, between the session's step and the app's, and is killed. */
static void test_A6_a_writer_that_is_killed_leaves_its_change_to_the_next(void **state)
{
	struct convo_err err;
	convo_store *store;
	pid_t child;
	int replica;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	convo_store_close(store);
	replica = replica_of_user();
	group_pause(group, replica);
	child = fork();
	must(child >= 0);
	if (child == 0) {
		convo_store *own = NULL;

		if (convo_store_open(&own, test_text("%s?wait=1", group->url), &quiet, &err) == 0)
			(void)append_with(own, "{\"app:a\":1}", NULL, &err);
		_exit(1);
	}
	wait_for_note();
	must(kill(child, SIGKILL) == 0);
	must(waitpid(child, NULL, 0) == child);
	group_resume(group, replica);
	must_equal_str("0", server_ask(of_app(), "HLEN convo:{app}"));
	store = store_open(group->url);
	must_load(store, "a", "1");
	must_have_notes(0);
	must_count(store, 1);
	/* Once, and not again after what came later. */
	set_of(store, "another", "app:a", "2");
	must_load(store, "a", "2");
	/* The caller who tries again finds it stored. */
	must_pass(append_with(store, "{\"app:a\":1}", NULL, &err));
	must_load(store, "a", "2");
	must_count(store, 1);
	convo_store_close(store);
}

struct stuck {
	convo_store *store;
	int replica;
	int app;
};

static void stuck_run(void *ctx, int index)
{
	const struct stuck *stuck = ctx;
	const struct convo_call call = {.timeout_ms = 1500};
	struct convo_err err;

	if (index == 0) {
		must_fail_with(CONVO_E_TIMEOUT,
			       append_with(stuck->store, "{\"app:a\":1}", &call, &err));
		must(err.maybe);
		return;
	}
	wait_for_note();
	group_pause(group, stuck->app);
	group_resume(group, stuck->replica);
}

static void test_A8_a_change_that_could_not_be_carried_out_in_time_is_open(void **state)
{
	struct stuck stuck;
	struct convo_err err;

	(void)state;
	grouped_needed();
	stuck.store = store_open(test_text("%s?wait=1", group->url));
	must_pass(call_create(stuck.store, &err));
	stuck.replica = replica_of_user();
	stuck.app = group_master(group, "convo:{app}");
	group_pause(group, stuck.replica);
	test_threads(2, stuck_run, &stuck);
	group_resume(group, stuck.app);
	must_load(stuck.store, "a", "1");
	must_have_notes(0);
	must_count(stuck.store, 1);
	convo_store_close(stuck.store);
}

/* ---- who carries out ------------------------------------------------------------------------- */

static void load_once(void *ctx, int index)
{
	convo_session *session = NULL;
	struct convo_err err;

	(void)index;
	must_pass(convo_store_load(&session, ctx, &calls_key, NULL, NULL, &err));
	convo_session_free(session);
}

static void test_A6_many_who_find_a_note_carry_it_out_once(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	note(1000, "a", "1");
	note(1001, "b", "1");
	test_threads(8, load_once, store);
	must_have_notes(0);
	must_load(store, "a", "1");
	must_equal_str("1001", server_ask(of_app(), "HGET " DONE " user"));
	/* One that was carried out by somebody who died before taking it away. */
	set_of(store, "another", "app:a", "2");
	note(1000, "a", "1");
	must_load(store, "a", "2");
	must_have_notes(0);
	/* Without a session: state_list finds it too. */
	note(1002, "a", "3");
	must_pass(call_state_list(store, &err));
	must_have_notes(0);
	must_load(store, "a", "3");
	/* A value of null removes. */
	note(1003, "a", "");
	must_load(store, "a", NULL);
	convo_store_close(store);
}

static void test_A6_what_was_noted_comes_before_what_the_user_changes_next(void **state)
{
	const struct convo_item item = {.name = "app:a", .json = "2"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	note(1000, "a", "1");
	must_pass(convo_store_state_set(store, &calls_key, &item, 1, NULL, &err));
	must_load(store, "a", "2");
	note(1001, "a", "3");
	must_pass(append_with(store, "{\"app:a\":4}", NULL, &err));
	must_load(store, "a", "4");
	must_have_notes(0);
	convo_store_close(store);
}

#define ORDERED 16

static void ordered_run(void *ctx, int index)
{
	const char *session_id = test_text("s%d", index), *name = test_text("app:t%d", index);
	const struct convo_key key = {"app", "user", session_id};
	int seen[ORDERED] = {0};
	struct convo_err err;

	must_pass(convo_store_create(ctx, &key, NULL, NULL, NULL, &err));
	for (int n = 1; n <= 6; n++) {
		const struct convo_event event = {.message = CALLS_HELLO,
						  .state = test_text("{\"%s\":%d}", name, n)};
		convo_session *session = NULL;
		const struct convo_item *items;
		size_t count;
		int thread, value;

		must_pass(convo_store_append(ctx, &key, NULL, &event, 1, NULL, NULL, &err));
		must_pass(convo_store_load(&session, ctx, &key, NULL, NULL, &err));
		items = test_state(session, &count);
		for (size_t i = 0; i < count; i++) {
			if (sscanf(items[i].name, "app:t%d", &thread) != 1)
				continue;
			value = (int)strtol(items[i].json, NULL, 10);
			must(value >= seen[thread]);
			seen[thread] = value;
		}
		must_equal(n, seen[index]);
		convo_session_free(session);
	}
}

/* Who was told that it is done reads it, and nobody sees a value of before again. */
static void test_A6_changes_of_many_sessions_keep_their_order(void **state)
{
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	test_threads(ORDERED, ordered_run, store);
	must_have_notes(0);
	convo_store_close(store);
}

/* ---- what loads see ------------------------------------------------------------------------- */

static void seen_thread(void *ctx, int index)
{
	(void)index;
	seen_read(ctx);
}

/* The first writes, the others read with two threads of a handle each. */
static void seen_process(void *ctx, int index)
{
	struct seen_by by = {.seen = ctx, .store = store_open(group->url)};

	if (index == 0) {
		seen_write(by.seen, by.store, 150);
		by.seen->over = true;
	} else {
		test_threads(2, seen_thread, &by);
	}
	convo_store_close(by.store);
}

/* Loads share what was asked for a moment ago, but never what is older than what somebody was told. */
static void test_A6_what_was_acknowledged_is_seen_by_who_loads_then(void **state)
{
	struct seen *shared = test_shared(sizeof(*shared));
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	seen_begin(shared, store);
	convo_store_close(store);
	test_processes(3, seen_process, shared);
	test_say("%d loads", shared->loads);
	must_equal(150, shared->told[0]);
	must(shared->loads > 0);
	test_shared_free(shared, sizeof(*shared));
}

/* In a process that is killed: append, the n-th event sets app:n to n. */
static void append_until_killed(void)
{
	convo_store *store = NULL;
	struct convo_err err;

	if (convo_store_open(&store, group->url, &quiet, &err) < 0 || call_create(store, &err) < 0)
		_exit(1);
	alarm(60); /* where nobody kills it */
	for (int n = 1;; n++) {
		const struct convo_event event = {
			.message = test_text("{\"role\":\"user\",\"content\":\"%d\"}", n),
			.state = test_text("{\"app:n\":%d}", n)};

		(void)convo_store_append(store, &calls_key, NULL, &event, 1, NULL, NULL, &err);
	}
}

/* Load, and look whether the app has what its last event has changed. @return that event's number */
static int load_whole(convo_store *store)
{
	const struct convo_window window = {.n = 1};
	int of_event = 0, of_app = 0;
	const struct convo_item *items;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &calls_key, &window, NULL, &err));
	if (convo_session_count(session))
		must_equal(1, sscanf(convo_session_event(session, 0)->message,
				     "{\"role\":\"user\",\"content\":\"%d", &of_event));
	items = test_state(session, &count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(items[i].name, "app:n") == 0)
			of_app = (int)strtol(items[i].json, NULL, 10);
	}
	convo_session_free(session);
	if (of_app < of_event)
		must_not_reach("the last event sets %d, the app has %d", of_event, of_app);
	return of_event;
}

struct killing {
	convo_store *store;
	pid_t writer;
	struct test_rng rng;
	atomic_bool over;
};

/* One loads for another user without a pause, so that there always is what was asked for just now. The
 * other one looks now and then, and kills the writer after a while. */
static void killing_run(void *ctx, int index)
{
	static const struct convo_key another = {"app", "another", "s"};
	int64_t until_us = cv_clock_mono_us() + 200000, late_us = until_us + 20000000;
	struct killing *killing = ctx;
	struct convo_err err;

	while (index == 0 && !killing->over && cv_clock_mono_us() < late_us) {
		convo_session *session = NULL;

		must_pass(convo_store_load(&session, killing->store, &another, NULL, NULL, &err));
		convo_session_free(session);
	}
	if (index == 0)
		return;
	until_us += (int64_t)test_rng_below(&killing->rng, 20000);
	while (cv_clock_mono_us() < until_us) {
		(void)load_whole(killing->store);
		nap_ms((int)test_rng_below(&killing->rng, 5));
	}
	must(kill(killing->writer, SIGKILL) == 0);
	must(waitpid(killing->writer, NULL, 0) == killing->writer);
	for (int i = 0; i < 20; i++)
		(void)load_whole(killing->store);
	killing->over = true;
}

/* Whatever step it dies at: who reads the event reads what it changes of the app. */
static void
test_A6_a_writer_that_is_killed_anywhere_leaves_no_event_without_its_change(void **state)
{
	static const struct convo_key another = {"app", "another", "s"};
	struct killing killing = {.over = false};
	struct convo_err err;

	(void)state;
	grouped_needed();
	test_rng_init(&killing.rng);
	for (int round = 0; round < 8; round++) {
		(void)group_new_database(group);
		killing.over = false;
		killing.writer = fork();
		must(killing.writer >= 0);
		if (killing.writer == 0)
			append_until_killed();
		killing.store = store_open(group->url);
		must_pass(convo_store_create(killing.store, &another, NULL, NULL, NULL, &err));
		while (call_load(killing.store, &err) < 0)
			must_equal(CONVO_E_NOTFOUND, err.code);
		test_threads(2, killing_run, &killing);
		test_say("%d events", load_whole(killing.store));
		must_have_notes(0);
		convo_store_close(killing.store);
	}
}

/* How often the app's server was asked for a whole hash. */
static long asked_of_app(void)
{
	const char *calls =
		strstr(server_ask(of_app(), "INFO commandstats"), "cmdstat_hgetall:calls=");

	return calls ? strtol(calls + strlen("cmdstat_hgetall:calls="), NULL, 10) : 0;
}

/* One who loads again and again asks the app's server now and then, if it answers soon. */
static void test_P1_loads_that_follow_soon_share_what_was_asked_for(void **state)
{
	struct convo_err err;
	convo_store *store;
	long asked = 0, loads = 0;

	(void)state;
	grouped_needed();
	must(of_user() != of_app());
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	for (int i = 0; i < 20 && asked >= loads; i++) {
		asked -= asked_of_app();
		for (int n = 0; n < 100; n++, loads++)
			must_pass(call_load(store, &err));
		asked += asked_of_app();
	}
	test_say("%ld loads, asked %ld times", loads, asked);
	must(asked > 0 && asked < loads);
	convo_store_close(store);
}

/* It is done, but there is no time to wait until everybody sees it. */
static void test_A8_a_change_that_not_all_see_in_time_is_open(void **state)
{
	const struct convo_item item = {.name = "app:a", .json = "1"};
	const struct convo_call call = {.timeout_ms = 5};
	struct convo_err err = {0};
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	must_fail_with(CONVO_E_TIMEOUT,
		       convo_store_state_set(store, &calls_key, &item, 1, &call, &err));
	if (strcmp(server_ask(of_app(), "HLEN convo:{app}"), "0") != 0)
		must(err.maybe);
	must_fail_with(CONVO_E_TIMEOUT, append_with(store, "{\"app:b\":1}", &call, &err));
	must_pass(append_with(store, "{\"app:b\":1}", NULL, &err));
	must_load(store, "b", "1");
	must_have_notes(0);
	convo_store_close(store);
}

/* ---- how much ------------------------------------------------------------------------------- */

static char *json_text(size_t len)
{
	char *text = malloc(len + 3);

	must(text != NULL);
	memset(text, 'x', len + 2);
	text[0] = text[len + 1] = '"';
	text[len + 2] = '\0';
	return text;
}

/* {"a":1,"NAME":VALUE} */
static char *delta_of(const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + 32;
	char *delta = malloc(size);

	must(delta != NULL);
	snprintf(delta, size, "{\"a\":1,\"%s\":%s}", name, value);
	return delta;
}

static void test_N3_too_much_state_of_the_app_is_refused_before_anything_is_written(void **state)
{
	char *text = json_text((1 << 20) - 2);
	char *of_b = delta_of("app:b", text), *of_c = delta_of("app:c", text);
	const struct convo_event event = {.message = CALLS_HELLO, .state = of_c};
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	/* A note of a MiB is fine where there is room. */
	must_pass(append_with(store, of_b, NULL, &err));
	must_load(store, "b", text);
	for (int i = 0; i < 2; i++)
		set_of(store, "another", test_text("app:%d", i), text);
	must_fail_with(CONVO_E_TOOBIG,
		       convo_store_append(store, &calls_key, NULL, &event, 1, NULL, NULL, &err));
	must(!err.maybe);
	must_have_notes(0);
	must_count(store, 1);
	convo_store_close(store);
	free(text);
	free(of_b);
	free(of_c);
}

static void test_A6_any_number_of_notes_is_carried_out(void **state)
{
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	server_ask(of_user(),
		   "EVAL \"for i = 1, 2500 do redis.call('RPUSH', KEYS[1], cmsgpack.pack({i, 'a', "
		   "tostring(i)})) end for i = 2501, 2540 do redis.call('RPUSH', KEYS[1], "
		   "cmsgpack.pack({i, 'b', '\\\"' .. string.rep('y', 200000) .. '\\\"', 'c', "
		   "tostring(i)})) end\" 1 " NOTES);
	must_have_notes(2540);
	must_load(store, "a", "2500");
	must_have_notes(0);
	must_load(store, "c", "2540");
	convo_store_close(store);
}

static void test_A6_a_note_that_is_none_is_damage(void **state)
{
	static const char *const junk[] = {"x", "\\\\xc1", "\\\\x93\\\\x01"};
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	for (size_t i = 0; i < 3; i++) {
		server_ask(of_user(), "RPUSH " NOTES " \"%s\"", junk[i]);
		must_fail_with(CONVO_E_IO, call_load(store, &err));
		if (!strstr(err.text, "the database is damaged"))
			must_not_reach("%s", err.text);
		server_ask(of_user(), "DEL " NOTES);
		must_pass(call_load(store, &err));
	}
	convo_store_close(store);
}

/* ---- servers that go ---------------------------------------------------------------------------- */

static void test_A6_notes_outlive_their_server_and_that_of_the_app(void **state)
{
	struct convo_err err;
	convo_store *store;
	int user, app;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	note(1000, "a", "1");
	user = group_master(group, "convo:{app:user}");
	app = group_master(group, "convo:{app}");
	nap_ms(300); /* the replica has it too */
	group_kill(group, user);
	group_kill(group, app);
	group_restart(group, app);
	must_load(store, "a", "1");
	group_wait_replaced(group, user);
	must_have_notes(0);
	group_restart(group, user);
	convo_store_close(store);
}

/* The server that takes over may be behind in time, and lack the number of the last note. */
static void test_A6_no_number_is_below_one_that_was_carried_out(void **state)
{
	const char *later = "1900000000000000"; /* µs since 1970 */
	struct convo_err err;
	convo_store *store;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	server_ask(of_app(), "HSET " DONE " user %s", later);
	must_pass(append_with(store, "{\"app:a\":1}", NULL, &err));
	must_load(store, "a", "1");
	must_equal_str("1900000000000001", server_ask(of_app(), "HGET " DONE " user"));
	convo_store_close(store);
}

/* ---- memory ------------------------------------------------------------------------------------ */

static int call_open(convo_store *store, struct convo_err *err)
{
	convo_store *other = NULL;
	int rc = convo_store_open(&other, group->url, &quiet, err);

	(void)store;
	must((rc == 0) == (other != NULL));
	convo_store_close(other);
	return rc;
}

static int call_append_app(convo_store *store, struct convo_err *err)
{
	return append_with(store, "{\"app:a\":1}", NULL, err);
}

static void test_A8_each_allocation_failing_is_an_error(void **state)
{
	int (*const calls[])(convo_store *, struct convo_err *) = {call_open,       call_append,
								   call_append_app, call_load,
								   call_state_set,  call_state_list,
								   call_list,       call_load};
	const size_t calls_count = sizeof(calls) / sizeof(calls[0]);
	convo_store *store;
	struct convo_err err;

	(void)state;
	grouped_needed();
	store = store_open(group->url);
	must_pass(call_create(store, &err));
	for (size_t i = 0; i < calls_count; i++) {
		for (size_t n = 1;; n++) {
			int rc;
			bool hit;

			if (i == calls_count - 1)
				note(10 + (long long)n, "a", "1"); /* for it to carry out */
			if (!test_oom_at(n))
				break;

			err = (struct convo_err){0};
			rc = calls[i](store, &err);
			hit = test_oom_end();
			/* Another server is asked, or the same one again, where that is safe. */
			if (hit && rc == 0)
				continue;
			if (hit ? rc != CONVO_E_NOMEM && !(rc == CONVO_E_IO && err.maybe) : rc != 0)
				must_not_reach("call %zu, allocation %zu: %d %s", i, n, rc,
					       err.text);
			must_equal(0, calls[i](store, &err));
		}
	}
	must_pass(call_load(store, &err));
	must_have_notes(0);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, grouped_setup, grouped_teardown)
		TEST(test_A6_a_writer_that_is_killed_leaves_its_change_to_the_next),
		TEST(test_A8_a_change_that_could_not_be_carried_out_in_time_is_open),
		TEST(test_A6_many_who_find_a_note_carry_it_out_once),
		TEST(test_A6_what_was_noted_comes_before_what_the_user_changes_next),
		TEST(test_A6_changes_of_many_sessions_keep_their_order),
		TEST(test_A6_what_was_acknowledged_is_seen_by_who_loads_then),
		TEST(test_A6_a_writer_that_is_killed_anywhere_leaves_no_event_without_its_change),
		TEST(test_P1_loads_that_follow_soon_share_what_was_asked_for),
		TEST(test_A8_a_change_that_not_all_see_in_time_is_open),
		TEST(test_N3_too_much_state_of_the_app_is_refused_before_anything_is_written),
		TEST(test_A6_any_number_of_notes_is_carried_out),
		TEST(test_A6_a_note_that_is_none_is_damage),
		TEST(test_A6_no_number_is_below_one_that_was_carried_out),
		TEST(test_A8_each_allocation_failing_is_an_error),
		TEST(test_A6_notes_outlive_their_server_and_that_of_the_app),
#undef TEST
	};
	int rc;

	group = group_start(GROUP_REDIS_CLUSTER);
	rc = TEST_RUN(tests);
	group_end(group);
	return rc;
}
