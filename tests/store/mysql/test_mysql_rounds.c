/*
 * Appends that travel together (round.c): what becomes of each when others of its round are refused,
 * in the way, late or canceled. That rounds happen is read from the server, which counts the calls of
 * procedures: an append by itself is one.
 */
#include "store/shared/sql_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <base/clock.h>

#define CALLERS 24
#define TURNS 15
#define HELLO "{\"role\":\"user\",\"content\":\"hello\"}"

struct crowd {
	convo_store *store;
	const char *prefix;
	convo_cancel *cancel;
	atomic_bool over;
	atomic_int lost;     /* callers that were late or canceled */
	bool maybe[CALLERS]; /* whether that left open what became of their append */
};

static struct convo_key crowd_key(const char *session)
{
	return (struct convo_key){"app", "user", session};
}

static const char *crowd_name(int index)
{
	return test_text("s%d", index);
}

/* A store of its own, and a session for each caller. */
static struct crowd crowd_open(const char *prefix, const char *options)
{
	struct crowd crowd = {.prefix = prefix};
	int i;

	sql_needed();
	crowd.store = sql_open(sql_url(NULL, test_text("prefix=%s%s", prefix, options)));
	for (i = 0; i < CALLERS; i++)
		sql_create(crowd.store, crowd_name(i));
	return crowd;
}

/* How often the server was told that, from "Com_" on. */
static long count_of(const char *command)
{
	const char *line = server_ask(sql_server, "SHOW GLOBAL STATUS LIKE 'Com_%s'", command);

	return strtol(strpbrk(line, "0123456789"), NULL, 10);
}

/* All events of a session, which are numbered without gaps. @return how many */
static size_t count_all(convo_store *store, const char *session)
{
	const struct convo_key key = crowd_key(session);
	const struct convo_event *events;
	convo_session *loaded = NULL;
	struct convo_err err;
	size_t n, i;

	must_pass(convo_store_load(&loaded, store, &key, NULL, NULL, &err));
	events = test_events(loaded, &n);
	for (i = 0; i < n; i++)
		must_equal(i + 1, events[i].seq);
	convo_session_free(loaded);
	return n;
}

static void must_have_all(convo_store *store, const char *session, size_t count)
{
	must_equal(count, count_all(store, session));
}

/* What a caller whose append failed finds. */
static void must_have_lost(const struct crowd *crowd, int index, size_t before)
{
	size_t count = count_all(crowd->store, crowd_name(index));

	must(count == before || (crowd->maybe[index] && count == before + 1));
}

static const char *ask_number(const char *sql, const char *prefix)
{
	return server_ask(sql_server, sql, prefix, prefix);
}

/* ---- all goes well ----------------------------------------------------------------------- */

static void append_to_own(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_key key = crowd_key(crowd_name(index));
	const struct convo_event events[] = {{.message = HELLO}, {.message = HELLO}};
	struct convo_err err;
	int64_t seq[2];
	int turn;

	for (turn = 0; turn < TURNS; turn++) {
		const struct convo_expect expect = {.check_seq = true, .after_seq = 2 * turn};

		must_pass(convo_store_append(crowd->store, &key, &expect, events, 2, seq, NULL,
					     &err));
		must_equal(2 * turn + 1, seq[0]);
		must_equal(2 * turn + 2, seq[1]);
	}
}

static void test_A7_callers_share_a_transaction(void **state)
{
	struct crowd crowd = crowd_open("share_", "");
	long before = count_of("call_procedure"), after;
	int i;

	(void)state;
	test_threads(CALLERS, append_to_own, &crowd);
	after = count_of("call_procedure");
	test_say("%ld calls of procedures for %d appends", after - before, CALLERS * TURNS);
	must(after - before < CALLERS * TURNS / 2);
	for (i = 0; i < CALLERS; i++)
		must_have_all(crowd.store, crowd_name(i), (size_t)2 * TURNS);
	convo_store_close(crowd.store);
}

static void append_to_one(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_key key = crowd_key("s0");
	const struct convo_event event = {.message = HELLO};
	struct convo_err err;
	int64_t seq, last = 0;
	int turn;

	(void)index;
	for (turn = 0; turn < TURNS; turn++) {
		must_pass(
			convo_store_append(crowd->store, &key, NULL, &event, 1, &seq, NULL, &err));
		must(seq > last);
		last = seq;
	}
}

static void test_A1_callers_of_one_session_leave_no_gap(void **state)
{
	struct crowd crowd = crowd_open("one_", "");

	(void)state;
	test_threads(CALLERS, append_to_one, &crowd);
	must_have_all(crowd.store, "s0", (size_t)CALLERS * TURNS);
	convo_store_close(crowd.store);
}

/* Rows are as {p}append() writes them. The last caller need not have the last moment. */
static void test_A5_the_limit_and_the_expiry_hold_in_a_round(void **state)
{
	struct crowd crowd = crowd_open("limit_", "&limit=3&ttl=1h");

	(void)state;
	test_threads(CALLERS, append_to_own, &crowd);
	test_threads(CALLERS, append_to_one, &crowd);
	must_equal_str("0", server_ask(sql_server,
				       "SELECT COUNT(*) FROM limit_sessions AS s WHERE "
				       "last_seq - first_seq <> 2 OR kept_seq <> first_seq OR "
				       "expires_us NOT BETWEEN updated_us + 3540000000 AND "
				       "updated_us + 3600000000 OR due_us > expires_us OR "
				       "due_us = 0 OR position <> updated_us OR "
				       "3 <> (SELECT COUNT(*) FROM limit_events AS e "
				       "WHERE e.session = s.no AND e.seq BETWEEN s.first_seq "
				       "AND s.last_seq AND e.time_ms <= s.last_time_ms)"));
	must_equal_str(test_text("%d", 3 * CALLERS),
		       ask_number("SELECT COUNT(*) FROM %sevents", crowd.prefix));
	convo_store_close(crowd.store);
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void append_or_be_refused(void *ctx, int index)
{
	static const char other[] = "11111111-2222-4333-8444-555555555555";
	struct crowd *crowd = ctx;
	const struct convo_key key = crowd_key(index % 6 == 1 ? "absent" : crowd_name(index));
	struct convo_event event = {.message = HELLO};
	struct convo_expect expect = {0};
	struct convo_err err = {0};
	int64_t seq = 0;
	int turn, want = 0;

	if (index % 6 == 1) {
		want = CONVO_E_NOTFOUND;
	} else if (index % 6 == 2) {
		want = CONVO_E_CONFLICT;
		expect.generation = other;
	} else if (index % 6 == 3) {
		want = CONVO_E_CONFLICT;
		expect.check_seq = true;
		expect.after_seq = 7;
	} else if (index % 6 == 4) { /* what the JSON type of MySQL would change */
		event.extra = "{\"n\":123456789012345678901234567890}";
	} else if (index % 6 == 5) {
		event.state = "{\"name\":1}";
	}
	for (turn = 0; turn < TURNS; turn++) {
		int rc = convo_store_append(crowd->store, &key, &expect, &event, 1, &seq, NULL,
					    &err);

		must_equal(want, rc);
		must_equal(want ? 0 : turn + 1, seq);
		if (want == CONVO_E_CONFLICT)
			must_equal(0, err.last_seq);
		must(!err.maybe);
	}
}

static void test_A3_A4_who_is_refused_does_not_hurt_the_others(void **state)
{
	struct crowd crowd = crowd_open("refuse_", "");
	int i;

	(void)state;
	test_threads(CALLERS, append_or_be_refused, &crowd);
	for (i = 0; i < CALLERS; i++) {
		bool refused = i % 6 >= 1 && i % 6 <= 3;

		must_have_all(crowd.store, crowd_name(i), refused ? 0 : TURNS);
	}
	convo_store_close(crowd.store);
}

static void append_again(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_key key = crowd_key(crowd_name(index / 2));
	struct convo_err err;
	int64_t seq;
	int turn;

	/* Twice each, and by two callers at once. */
	for (turn = 0; turn < 2 * TURNS; turn++) {
		const char *id = test_text("00000000-0000-4000-8000-%06d%06d", index / 2, turn / 2);
		const struct convo_event event = {.id = id, .message = HELLO};
		const struct convo_expect expect = {.check_seq = true, .after_seq = turn / 2};

		must_pass(convo_store_append(crowd->store, &key, &expect, &event, 1, &seq, NULL,
					     &err));
		must_equal(turn / 2 + 1, seq);
	}
}

static void test_A2_an_event_that_comes_again_is_stored_once(void **state)
{
	struct crowd crowd = crowd_open("again_", "");
	int i;

	(void)state;
	test_threads(CALLERS, append_again, &crowd);
	for (i = 0; i < CALLERS / 2; i++)
		must_have_all(crowd.store, crowd_name(i), TURNS);
	convo_store_close(crowd.store);
}

/* ---- others in the way ------------------------------------------------------------------- */

/* Every seventh row meets a deadlock, says the server. What counts them is no part of a
 * transaction. */
static void test_A1_a_deadlock_leaves_each_to_try_by_itself(void **state)
{
	struct crowd crowd = crowd_open("dead_", "");
	long before;
	int i;

	(void)state;
	server_ask(sql_server, "CREATE TABLE dead_count (n INT) ENGINE=MyISAM");
	server_ask(sql_server, "INSERT INTO dead_count VALUES (0)");
	server_ask(sql_server,
		   "DELIMITER $$\n"
		   "CREATE TRIGGER dead_lock BEFORE INSERT ON dead_events FOR EACH ROW BEGIN "
		   "UPDATE dead_count SET n = n + 1; "
		   "IF (SELECT n FROM dead_count) %% 7 = 0 THEN "
		   "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF; END $$");
	before = count_of("call_procedure");
	test_threads(CALLERS, append_to_own, &crowd);
	must(count_of("call_procedure") > before);
	for (i = 0; i < CALLERS; i++)
		must_have_all(crowd.store, crowd_name(i), (size_t)2 * TURNS);
	convo_store_close(crowd.store);
}

/* What somebody else's connection holds, until a setting that nobody needs tells it to let go. */
struct holder {
	pthread_t thread;
	const char *sql;
};

static void *holder_run(void *ctx)
{
	const struct holder *holder = ctx;

	server_ask(sql_server,
		   "%s;\nDELIMITER $$\n"
		   "BEGIN NOT ATOMIC WHILE @@GLOBAL.max_error_count = 77 DO DO SLEEP(0.01); "
		   "END WHILE; END $$",
		   holder->sql);
	return NULL;
}

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){0, 5000000}, NULL);
}

static void hold(struct holder *holder, const char *sql)
{
	holder->sql = sql;
	server_ask(sql_server, "SET GLOBAL max_error_count = 77");
	must_equal(0, pthread_create(&holder->thread, NULL, holder_run, holder));
	while (strcmp(server_ask(sql_server, "SELECT COUNT(*) FROM information_schema.processlist "
					     "WHERE info = 'DO SLEEP(0.01)'"),
		      "1") != 0)
		pause_a_little();
}

static void let_go(struct holder *holder)
{
	server_ask(sql_server, "SET GLOBAL max_error_count = 64");
	pthread_join(holder->thread, NULL);
}

static void *kill_connections(void *ctx)
{
	struct crowd *crowd = ctx;
	int i;

	while (!atomic_load(&crowd->over)) {
		server_ask(sql_server, "DELIMITER $$\n"
				       "BEGIN NOT ATOMIC "
				       "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; "
				       "FOR c IN (SELECT id FROM information_schema.processlist "
				       "WHERE db = DATABASE() AND id <> CONNECTION_ID()) DO "
				       "EXECUTE IMMEDIATE CONCAT('KILL ', c.id); END FOR; END $$");
		for (i = 0; i < 6; i++)
			pause_a_little();
	}
	return NULL;
}

/* A connection may go at any statement of a round, and while it commits. */
static void test_A8_connections_that_are_killed_lose_nothing(void **state)
{
	struct crowd crowd = crowd_open("kill_", "");
	pthread_t killer;
	long before;
	int i;

	(void)state;
	before = count_of("kill");
	must_equal(0, pthread_create(&killer, NULL, kill_connections, &crowd));
	test_threads(CALLERS, append_to_own, &crowd);
	atomic_store(&crowd.over, true);
	pthread_join(killer, NULL);
	test_say("%ld connections killed", count_of("kill") - before);
	must(count_of("kill") > before);
	for (i = 0; i < CALLERS; i++)
		must_have_all(crowd.store, crowd_name(i), (size_t)2 * TURNS);
	convo_store_close(crowd.store);
}

static void append_or_wait(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_call hasty = {.timeout_ms = 300}, patient = {.timeout_ms = 20000};
	const struct convo_key key = crowd_key(crowd_name(index));
	const struct convo_event event = {.message = HELLO};
	struct convo_err err;
	int turn;

	for (turn = 0; turn < TURNS; turn++) {
		if (index == 0)
			must_fail_with(CONVO_E_TIMEOUT,
				       convo_store_append(crowd->store, &key, NULL, &event, 1, NULL,
							  &hasty, &err));
		else
			must_pass(convo_store_append(crowd->store, &key, NULL, &event, 1, NULL,
						     &patient, &err));
		if (index == 0) {
			crowd->maybe[index] = err.maybe;
			break;
		}
	}
}

/* Its row is locked by others for longer than it has time; a round waits for no row. */
static void test_L2_a_session_that_is_locked_stops_no_other(void **state)
{
	struct crowd crowd = crowd_open("row_", "");
	struct holder holder;
	int i;

	(void)state;
	hold(&holder, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN; "
		      "SELECT no FROM row_sessions FORCE INDEX (name) WHERE app = 'app' AND "
		      "user = 'user' AND session = 's0' FOR UPDATE");
	test_threads(CALLERS, append_or_wait, &crowd);
	let_go(&holder);
	must_have_lost(&crowd, 0, 0);
	for (i = 1; i < CALLERS; i++)
		must_have_all(crowd.store, crowd_name(i), TURNS);
	convo_store_close(crowd.store);
}

/* One in three has little time, one in three is stopped, and one in three waits. */
static void append_when_it_can(void *ctx, int index)
{
	struct crowd *crowd = ctx;
	const struct convo_call call = {.timeout_ms = index % 3 == 1 ? 500 : 30000,
					.cancel = index % 3 == 2 ? crowd->cancel : NULL};
	const struct convo_key key = crowd_key(crowd_name(index));
	const struct convo_event event = {.message = HELLO};
	static const int want[] = {0, CONVO_E_TIMEOUT, CONVO_E_CANCELED};
	struct convo_err err = {0};

	must_equal(want[index % 3],
		   convo_store_append(crowd->store, &key, NULL, &event, 1, NULL, &call, &err));
	crowd->maybe[index] = err.maybe;
	if (index % 3)
		atomic_fetch_add(&crowd->lost, 1);
}

struct letting {
	struct crowd *crowd;
	struct holder *holder;
};

/* First those with little time go, then those that are stopped, then the lock. */
static void *stop_and_let_go(void *ctx)
{
	struct letting *letting = ctx;
	struct crowd *crowd = letting->crowd;

	while (atomic_load(&crowd->lost) < CALLERS / 3)
		pause_a_little();
	convo_cancel_request(crowd->cancel);
	while (atomic_load(&crowd->lost) < CALLERS / 3 * 2)
		pause_a_little();
	let_go(letting->holder);
	return NULL;
}

/* The whole table is locked: rounds, and appends by themselves, stand still in the middle. */
static void test_L2_late_and_stopped_callers_leave_the_others(void **state)
{
	struct crowd crowd = crowd_open("table_", "");
	struct holder holder;
	struct letting letting = {&crowd, &holder};
	struct convo_err err;
	pthread_t thread;
	int i;

	(void)state;
	must_pass(convo_cancel_new(&crowd.cancel, &err));
	test_threads(CALLERS, append_to_own, &crowd);
	hold(&holder, "LOCK TABLES table_events WRITE");
	must_equal(0, pthread_create(&thread, NULL, stop_and_let_go, &letting));
	test_threads(CALLERS, append_when_it_can, &crowd);
	pthread_join(thread, NULL);
	for (i = 0; i < CALLERS; i++) {
		if (i % 3 == 0)
			must_have_all(crowd.store, crowd_name(i), 2 * TURNS + 1);
		else
			must_have_lost(&crowd, i, (size_t)2 * TURNS);
	}
	convo_cancel_free(crowd.cancel);
	convo_store_close(crowd.store);
}

int main(void)
{
	const struct CMUnitTest rounds[] = {
		cmocka_unit_test(test_A7_callers_share_a_transaction),
		cmocka_unit_test(test_A1_callers_of_one_session_leave_no_gap),
		cmocka_unit_test(test_A5_the_limit_and_the_expiry_hold_in_a_round),
		cmocka_unit_test(test_A3_A4_who_is_refused_does_not_hurt_the_others),
		cmocka_unit_test(test_A2_an_event_that_comes_again_is_stored_once),
		cmocka_unit_test(test_A1_a_deadlock_leaves_each_to_try_by_itself),
		cmocka_unit_test(test_A8_connections_that_are_killed_lose_nothing),
		cmocka_unit_test(test_L2_a_session_that_is_locked_stops_no_other),
		cmocka_unit_test(test_L2_late_and_stopped_callers_leave_the_others),
	};
	int rc;

	sql_server = server_start(SERVER_MARIADB, SERVER_FAST);
	rc = TEST_RUN(rounds);
	server_end(sql_server);
	return rc;
}
