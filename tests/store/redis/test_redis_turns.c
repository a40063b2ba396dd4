/*
 * Drafts, leases and forks on Redis: what is left in its keys, forks of more than one step, and programs
 * of 0.2 before and beside this one. What they are is in the contract.
 */
#include "store/shared/heard.h"

#include <stdio.h>

#include <support/servers.h>

#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"
#define GENERATION "0197b0a1-0000-4000-8000-000000000001"

static struct server *redis; /* NULL: not installed */

static const struct convo_store_options quiet = {.timeout_ms = 20000,
						 .clean_interval_ms = CONVO_OFF};
static const struct convo_key key = {"app", "user", "s"};
static const char draft_id[] = "0197b0a1-7b2c-7000-8000-0123456789ab";

static int redis_setup(void **state)
{
	(void)state;
	if (redis)
		server_ask(redis, "FLUSHALL");
	return 0;
}

static convo_store *store_open(void)
{
	struct convo_err err;
	convo_store *store = NULL;

	if (!redis)
		test_skip("no redis-server to test with");
	must_pass(convo_store_open(&store, redis->url, &quiet, &err));
	return store;
}

static convo_lease *lease_of(void)
{
	convo_lease *lease = NULL;
	struct convo_err err;

	must_pass(convo_lease_new(&lease, NULL, &err));
	return lease;
}

/* A message of about so many bytes. */
static char *message_of(const char *role, size_t len)
{
	char *message = calloc(1, len + 64);
	int head;

	must(message != NULL);
	head = sprintf(message, "{\"role\":\"%s\",\"content\":\"", role);
	memset(message + head, 'x', len);
	strcpy(message + head + len, "\"}");
	return message;
}

static int hold(convo_store *store, convo_lease *lease, enum convo_hold what, const char *id,
		const char *message, struct convo_err *err)
{
	const struct convo_event event = {.id = id, .message = message};
	const struct convo_expect expect = {.lease = lease, .hold = what};

	return convo_store_append(store, &key, &expect, &event, message ? 1 : 0, NULL, NULL, err);
}

static void draft(convo_store *store, convo_lease *lease, size_t len)
{
	char *message = message_of("assistant", len);
	const struct convo_event event = {.id = draft_id, .message = message};
	struct convo_err err;

	must_pass(convo_store_draft(store, &key, lease, &event, NULL, &err));
	free(message);
}

/* That many bytes are said in the draft; 0: there is none. */
static void must_have_draft(convo_store *store, size_t len)
{
	const struct convo_window window = {.n = 50, .with = CONVO_WITH_DRAFT};
	convo_session *session = NULL;
	const struct convo_event *found;
	char *message = message_of("assistant", len);
	struct convo_err err;

	must_pass(convo_store_load(&session, store, &key, &window, NULL, &err));
	found = convo_session_draft(session);
	must((found != NULL) == (len > 0));
	if (found)
		must_equal_str(message, found->message);
	convo_session_free(session);
	free(message);
}

/* All keys there are, as SCAN finds them. */
static int keys(const char *pattern)
{
	return atoi(
		server_ask(redis,
			   "EVAL \"local n, at = 0, '0' repeat local found = redis.call('SCAN', "
			   "at, 'MATCH', ARGV[1]) at, n = found[1], n + #found[2] until at == '0' "
			   "return n\" 0 '%s'",
			   pattern));
}

/* ---- drafts ------------------------------------------------------------------------------- */

/* Save a draft that grows to 3 MB, by pieces. */
static convo_lease *draft_grow(convo_store *store)
{
	convo_lease *lease = lease_of();
	struct convo_err err;

	must_pass(hold(store, lease, CONVO_HOLD_TAKE, NULL, HELLO, &err));
	for (size_t len = 10; len < 3000000; len *= 5) {
		draft(store, lease, len);
		must_have_draft(store, len);
	}
	draft(store, lease, 1000); /* it may become less, too */
	must_have_draft(store, 1000);
	draft(store, lease, 3000000);
	must_equal(1, keys("convo:{app:user}:a:*"));
	return lease;
}

static void test_R3_nothing_is_left_of_a_draft_that_became_an_answer(void **state)
{
	convo_store *store = store_open();
	char *answer = message_of("assistant", 3000000);
	convo_lease *lease;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	for (int i = 0; i < 3; i++) {
		lease = draft_grow(store);
		must_pass(hold(store, lease, CONVO_HOLD_END, i ? NULL : draft_id, answer, &err));
		must_have_draft(store, 0);
		/* The session, its events, the list it is in, and the schema. */
		must_equal(4, keys("*"));
		must_equal_str("0", server_ask(redis, "HEXISTS convo:{app:user}:s:s draft"));
		convo_lease_free(lease);
	}
	free(answer);
	convo_store_close(store);
}

static void test_R5_nothing_is_left_of_a_draft_that_was_settled(void **state)
{
	convo_store *store = store_open();
	convo_lease *lease, *next = lease_of();
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	lease = draft_grow(store);
	must_pass(hold(store, next, CONVO_HOLD_FORCE, NULL, HELLO, &err));
	must_have_draft(store, 0);
	must_equal(4, keys("*"));
	convo_lease_free(next);
	convo_lease_free(lease);
	convo_store_close(store);
}

static void test_T4_a_draft_goes_with_its_session(void **state)
{
	convo_store *store = store_open();
	convo_lease *lease;
	struct convo_err err;

	(void)state;
	for (int i = 0; i < 2; i++) {
		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
		lease = draft_grow(store);
		must_pass(convo_store_delete(store, &key, NULL, &err));
		/* In the trash it ends with all else of it. */
		must_equal_str("1",
			       server_ask(redis,
					  "EVAL \"return redis.call('PTTL', redis.call('KEYS', "
					  "'*:a:*')[1]) > 0\" 0"));
		if (i)
			must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
		if (i)
			must_have_draft(store, 3000000);
		must_pass(convo_store_delete(store, &key, NULL, &err));
		must_pass(convo_store_purge(store, &key, NULL, NULL, &err));
		must_equal(1, keys("*"));
		convo_lease_free(lease);
	}
	convo_store_close(store);
}

/* ---- forks --------------------------------------------------------------------------------- */

#define LARGE_EVENTS 12
#define LARGE_BYTES 3000000 /* together more than two steps of 16 MiB */

struct forking {
	convo_store *store, *other;
	atomic_bool over;
	atomic_int looks;
};

static const struct convo_key fork_key = {"app", "user", "fork"};

/* One forks, the second looks: all or nothing. The third goes on with the source. */
static void fork_run(void *ctx, int index)
{
	struct forking *forking = ctx;
	const struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	const struct convo_fork fork = {.session = "fork"};
	struct convo_err err;

	if (index == 0) {
		must_pass(convo_store_fork(forking->store, &key, &fork, NULL, NULL, &err));
		forking->over = true;
		return;
	}
	while (!forking->over) {
		convo_session *session = NULL;

		if (index == 2) {
			heard_say(forking->other, "s");
			nap_ms(5);
			continue;
		}
		if (convo_store_load(&session, forking->other, &fork_key, &none, NULL, &err) == 0)
			must(convo_session_meta(session)->last_seq >= LARGE_EVENTS);
		else
			must_equal(CONVO_E_NOTFOUND, err.code);
		convo_session_free(session);
		forking->looks++;
	}
}

static void must_be_large(convo_store *store, const struct convo_key *name)
{
	convo_session *session = NULL;
	struct convo_err err;

	for (int64_t seq = 1; seq <= LARGE_EVENTS; seq++) {
		const struct convo_window window = {
			.kind = CONVO_WINDOW_AFTER, .seq = seq - 1, .n = 1};
		const struct convo_event *event;

		must_pass(convo_store_load(&session, store, name, &window, NULL, &err));
		must_equal(1, convo_session_count(session));
		event = convo_session_event(session, 0);
		must_equal(seq, event->seq);
		must(strlen(event->message) > LARGE_BYTES);
		must_equal('a' + (int)seq, event->message[LARGE_BYTES / 2]);
		convo_session_free(session);
	}
}

static void test_S6_a_fork_of_more_than_a_step_is_whole(void **state)
{
	struct forking forking = {.store = store_open(), .other = store_open()};
	char *message = message_of("user", LARGE_BYTES);
	convo_session *session = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_create(forking.store, &key, NULL, NULL, NULL, &err));
	for (int i = 1; i <= LARGE_EVENTS; i++) {
		const struct convo_event event = {.message = message};

		message[LARGE_BYTES / 2] = (char)('a' + i);
		must_pass(
			convo_store_append(forking.store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	free(message);
	server_ask(redis, "CONFIG RESETSTAT");
	test_threads(3, fork_run, &forking);
	must_be_large(forking.store, &fork_key);
	must_be_large(forking.store, &key);
	must_pass(convo_store_load(&session, forking.store, &fork_key,
				   &(struct convo_window){.kind = CONVO_WINDOW_NONE}, NULL, &err));
	must_equal(convo_session_meta(session)->fork_seq, convo_session_meta(session)->last_seq);
	convo_session_free(session);
	/* Nothing of it ends with the pieces. */
	must_equal_str("0",
		       server_ask(redis, "EVAL \"local n = 0 for _, k in ipairs(redis.call('KEYS', "
					 "'*')) do if redis.call('PTTL', k) ~= -1 then n = n + 1 "
					 "end end return n\" 0"));
	/* Two sessions, their events, the list and the schema. */
	must_equal(6, keys("*"));
	must(forking.looks > 0);
	convo_store_close(forking.other);
	convo_store_close(forking.store);
}

/* A fork whose program dies between two steps leaves what goes by itself. */
static void test_S6_what_an_unfinished_fork_has_taken_goes(void **state)
{
	convo_store *store = store_open();
	char *message = message_of("user", LARGE_BYTES);
	const struct convo_call brief = {.timeout_ms = 1};
	const struct convo_fork fork = {.session = "fork"};
	struct convo_err err;
	int rc = 0;

	(void)state;
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	for (int i = 1; i <= LARGE_EVENTS; i++) {
		const struct convo_event event = {.message = message};

		must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
	}
	free(message);
	rc = convo_store_fork(store, &key, &fork, NULL, &brief, &err);
	must_equal(CONVO_E_TIMEOUT, rc);
	server_ask(redis, "PING"); /* what was sent has been carried out */
	must_equal_str("0", server_ask(redis, "EXISTS convo:{app:user}:s:fork"));
	must_equal_str("0",
		       server_ask(redis,
				  "EVAL \"local n = 0 for _, k in ipairs(redis.call('KEYS', "
				  "'convo:{app:user}:e:*')) do local t = redis.call('PTTL', k) "
				  "if t > 60000 then n = n + 1 end end return n\" 0"));
	must_pass(convo_store_fork(store, &key, &fork, NULL, NULL, &err));
	convo_store_close(store);
}

/* ---- programs of 0.2 ------------------------------------------------------------------------ */

/* What a script of theirs answers, an item a line. */
static const char *before_run(const char *args)
{
	return server_ask(redis, "--eval '%s' 'convo:{app:user}' 'convo:{app}' , %s", SCRIPTS_0_2,
			  args);
}

static void before_create(void)
{
	must_equal_str("0", before_run("create 1764000000000000 s 0 " GENERATION " title 2 "
				       "0 s n 1 0 u m 2"));
}

static void before_append(int n)
{
	const char *args = test_text("append 1764000001000000 s 0 0 '' '' 1 "
				     "'17640000010000000123456789abcde%x0%%05user%%05user%%00%%00%%"
				     "00%%00%%22%s%%00%%00%%00'",
				     n, HELLO);

	must_equal_str(test_text("0\n%d", n), before_run(args));
}

static void must_be_as_before(convo_store *store, size_t events)
{
	convo_session *session = NULL;
	const struct convo_item *items;
	struct convo_err err;
	size_t count;

	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal_str("title", convo_session_meta(session)->title);
	must_equal_str(GENERATION, convo_session_meta(session)->generation);
	must_equal_str("", convo_session_meta(session)->fork_session);
	must_equal(events, convo_session_count(session));
	must_equal_str(HELLO, convo_session_event(session, 0)->message);
	items = test_state(session, &count);
	must_equal(2, count);
	must_equal_str("1", items[0].json);
	convo_session_free(session);
}

static void test_L1_what_a_program_of_before_has_left_is_kept(void **state)
{
	const struct convo_fork fork = {.session = "fork"};
	convo_lease *lease = lease_of();
	convo_store *store;
	struct convo_err err;

	(void)state;
	convo_store_close(store_open());
	before_create();
	before_append(1);
	before_append(2);
	store = store_open();
	must_be_as_before(store, 2);
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, NULL, HELLO, &err));
	draft(store, lease, 5000);
	must_have_draft(store, 5000);
	must_pass(hold(store, lease, CONVO_HOLD_END, NULL, HELLO, &err));
	must_be_as_before(store, 4);
	must_pass(convo_store_fork(store, &key, &fork, NULL, NULL, &err));
	must_pass(convo_store_delete(store, &key, NULL, &err));
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	must_be_as_before(store, 4);
	convo_lease_free(lease);
	convo_store_close(store);
}

static void test_L1_a_program_of_before_goes_on_beside_this_one(void **state)
{
	convo_store *store = store_open();
	convo_lease *lease = lease_of();
	convo_watch *watch = NULL;
	struct convo_err err;

	(void)state;
	before_create();
	must_pass(convo_watch_new(&watch, store, &err));
	must_pass(convo_watch_add(watch, &key, NULL, &err));
	must_pass(hold(store, lease, CONVO_HOLD_TAKE, NULL, HELLO, &err));
	draft(store, lease, 5000);
	hear_out(watch);
	before_append(2);
	must_hear(watch, "s"); /* nobody told, so it is found a little later */
	must_have_draft(store, 5000);
	must_pass(hold(store, lease, CONVO_HOLD_KEEP, NULL, HELLO, &err));
	before_append(4);
	must_pass(hold(store, lease, CONVO_HOLD_END, NULL, HELLO, &err));
	must_be_as_before(store, 5);
	/* It reads what came of it: five events, of one list. */
	must(strstr(before_run("load 1764000002000000 s 0 50 0 '' 0 4194304"), GENERATION) != NULL);
	convo_watch_free(watch);
	/* And leaves nothing of what it deletes. */
	must_equal_str("0", before_run("delete 1764000003000000 s 0"));
	must_fail_with(CONVO_E_NOTFOUND, hold(store, lease, CONVO_HOLD_KEEP, NULL, HELLO, &err));
	must_equal(2, keys("*")); /* the schema, and the state of the user */
	convo_lease_free(lease);
	convo_store_close(store);
}

#define REDIS_TEST(name) cmocka_unit_test_setup(name, redis_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REDIS_TEST(test_R3_nothing_is_left_of_a_draft_that_became_an_answer),
		REDIS_TEST(test_R5_nothing_is_left_of_a_draft_that_was_settled),
		REDIS_TEST(test_T4_a_draft_goes_with_its_session),
		REDIS_TEST(test_S6_a_fork_of_more_than_a_step_is_whole),
		REDIS_TEST(test_S6_what_an_unfinished_fork_has_taken_goes),
		REDIS_TEST(test_L1_what_a_program_of_before_has_left_is_kept),
		REDIS_TEST(test_L1_a_program_of_before_goes_on_beside_this_one),
	};
	int rc;

	redis = server_start(SERVER_REDIS, SERVER_FAST);
	rc = TEST_RUN(tests);
	server_end(redis);
	return rc;
}
