/*
 * The connection pool over a driver that is only numbers: order, limit, repeats and truth.
 */
#include <support/test.h>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/fail.h>
#include <store/shared/pool.h>
#include <store/shared/wait.h>

/* A server that a test scripts. */
struct fake {
	struct convo_store store; /* first: the driver gets the store alone */
	struct store_pool *pool;
	atomic_int connects, open, most_open;
	atomic_int refuse; /* how many of the next connects fail; negative: all */
	int refuse_code;
	int hurry_ms;          /* with less time than that a refusal is a timeout */
	atomic_bool stale;     /* idle connections look closed */
	atomic_bool elsewhere; /* there is another server */
};

struct fake_conn {
	struct fake *fake;
	int number;
};

static void *fake_connect(struct convo_store *store, const struct store_call *call,
			  struct convo_err *err)
{
	struct fake *fake = (struct fake *)store;
	struct fake_conn *conn;
	int open, most;

	if (fake->refuse) {
		fake->refuse--;
		if (call->deadline_us - cv_clock_mono_us() < fake->hurry_ms * 1000)
			cv_fail(err, CONVO_E_TIMEOUT, "fake: no time");
		else
			cv_fail(err, fake->refuse_code, "fake: refused");
		return NULL;
	}
	conn = malloc(sizeof(*conn));
	must(conn);
	conn->fake = fake;
	conn->number = ++fake->connects;
	open = ++fake->open;
	most = fake->most_open;
	while (open > most && !atomic_compare_exchange_weak(&fake->most_open, &most, open))
		;
	return conn;
}

static void fake_disconnect(void *conn)
{
	((struct fake_conn *)conn)->fake->open--;
	free(conn);
}

static bool fake_usable(void *conn)
{
	return !((struct fake_conn *)conn)->fake->stale;
}

static bool fake_elsewhere(struct convo_store *store)
{
	return ((struct fake *)store)->elsewhere;
}

static const struct pool_driver fake_driver = {.connect = fake_connect,
					       .disconnect = fake_disconnect,
					       .usable = fake_usable,
					       .elsewhere = fake_elsewhere};

static int fake_setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	struct convo_err err;

	must(fake);
	fake->refuse_code = CONVO_E_IO;
	fake->store.opts.max_connections = 3;
	strcpy(fake->store.where, "Fake (nowhere)");
	must_pass(cv_pool_new(&fake->pool, &fake->store, &fake_driver, &err));
	*state = fake;
	return 0;
}

static int fake_teardown(void **state)
{
	struct fake *fake = *state;

	cv_pool_free(fake->pool);
	must_equal(0, fake->open);
	free(fake);
	return 0;
}

static void fake_limit(struct fake *fake, int limit)
{
	struct convo_err err;

	cv_pool_free(fake->pool);
	fake->store.opts.max_connections = limit;
	must_pass(cv_pool_new(&fake->pool, &fake->store, &fake_driver, &err));
}

static void nap(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

/* ---- an operation that does as told --------------------------------------------------- */

struct step {
	int rc;
	enum pool_fate fate;
};

struct script {
	const struct step *steps; /* one per try; the last is for all later ones */
	size_t count;
	size_t tries;
	int number; /* of the connection of the last try */
};

static int script_op(struct convo_store *store, void *conn, const struct store_call *call,
		     void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct script *script = ctx;
	size_t at = script->tries < script->count ? script->tries : script->count - 1;
	const struct step *step = &script->steps[at];

	(void)store;
	(void)call;
	script->tries++;
	script->number = ((struct fake_conn *)conn)->number;
	*fate = step->fate;
	if (step->rc < 0)
		cv_fail(err, step->rc, "fake: failed");
	return step->rc;
}

static const struct step fine = {0, POOL_KEEP};

static struct store_call call_in(int ms)
{
	struct store_call call = {0};

	call.now_us = cv_clock_us();
	call.deadline_us = cv_clock_mono_us() + ms * 1000;
	return call;
}

static int run_steps(struct fake *fake, int ms, bool repeat, struct script *script,
		     struct convo_err *err)
{
	struct store_call call = call_in(ms);

	return cv_pool_run(fake->pool, &call, repeat, script_op, script, err);
}

/* ---- L4: limit, order, idle ones ------------------------------------------------------ */

static int hold_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		   enum pool_fate *fate, struct convo_err *err)
{
	(void)store;
	(void)conn;
	(void)call;
	(void)fate;
	(void)err;
	nap(*(int *)ctx);
	return 0;
}

static void crowd_thread(void *ctx, int index)
{
	struct fake *fake = ctx;
	struct convo_err err;
	int ms = 0;

	for (int i = 0; i < 100; i++) {
		struct store_call call = call_in(20000);

		ms = (index + i) % 7 == 0;
		must_pass(cv_pool_run(fake->pool, &call, true, hold_op, &ms, &err));
	}
}

static void test_L4_a_crowd_never_makes_more_than_the_limit(void **state)
{
	struct fake *fake = *state;

	test_threads(16, crowd_thread, fake);
	must(fake->most_open <= 3);
	must_equal(fake->connects, fake->open);
}

static void test_L4_idle_connections_are_used_again(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	for (int i = 0; i < 5; i++)
		must_pass(run_steps(fake, 1000, false, &script, &err));
	must_equal(1, fake->connects);
}

static void test_L4_an_idle_connection_that_was_closed_is_replaced(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	must_pass(run_steps(fake, 1000, false, &script, &err));
	fake->stale = true;
	must_pass(run_steps(fake, 1000, false, &script, &err));
	must_equal(2, script.number);
	must_equal(1, fake->open);
}

struct queue {
	struct fake *fake;
	atomic_int arrived;
	int order[8];
	int served;
};

static int queue_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		    enum pool_fate *fate, struct convo_err *err)
{
	struct queue *queue = (struct queue *)((void **)ctx)[0];

	(void)store;
	(void)conn;
	(void)call;
	(void)fate;
	(void)err;
	queue->order[queue->served++] = *(int *)((void **)ctx)[1];
	if (queue->served == 1)
		nap(400);
	return 0;
}

/* Each joins the queue well after the one before it. */
static void queue_thread(void *ctx, int index)
{
	struct queue *queue = ctx;
	void *both[2] = {queue, &index};
	struct store_call call;
	struct convo_err err;

	nap(40 * index);
	call = call_in(20000);
	must_pass(cv_pool_run(queue->fake->pool, &call, false, queue_op, both, &err));
}

static void test_L4_callers_are_served_in_the_order_of_asking(void **state)
{
	struct queue queue = {.fake = *state};

	fake_limit(queue.fake, 1);
	test_threads(8, queue_thread, &queue);
	must_equal(8, queue.served);
	for (int i = 0; i < 8; i++)
		must_equal(i, queue.order[i]);
	must_equal(1, queue.fake->connects);
}

static void wait_thread(void *ctx, int index)
{
	struct fake *fake = ctx;
	struct store_call call = call_in(index ? 50 : 5000);
	int64_t begin = cv_clock_mono_us();
	struct convo_err err;
	int ms = 300;

	if (index == 0) {
		must_pass(cv_pool_run(fake->pool, &call, true, hold_op, &ms, &err));
		return;
	}
	nap(20);
	must_fail_with(CONVO_E_TIMEOUT, cv_pool_run(fake->pool, &call, true, hold_op, &ms, &err));
	must(!err.maybe);
	must(cv_clock_mono_us() - begin < 250000);
}

static void test_L2_waiting_for_a_connection_ends_at_the_deadline(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	fake_limit(fake, 1);
	test_threads(4, wait_thread, fake);
	must_pass(run_steps(fake, 1000, false, &script, &err));
}

/* One that waits for a connection is canceled while another holds it. */
struct stop {
	struct fake *fake;
	convo_cancel *cancel;
	atomic_bool holding, stopped;
};

static int stop_hold_op(struct convo_store *store, void *conn, const struct store_call *call,
			void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	struct stop *stop = ctx;

	(void)store;
	(void)conn;
	(void)call;
	(void)fate;
	(void)err;
	stop->holding = true;
	while (!stop->stopped)
		nap(1);
	return 0;
}

static void stop_thread(void *ctx, int index)
{
	struct stop *stop = ctx;
	struct store_call call = call_in(60000);
	struct convo_err err;

	if (index == 0) {
		must_pass(cv_pool_run(stop->fake->pool, &call, true, stop_hold_op, stop, &err));
		return;
	}
	while (!stop->holding)
		nap(1);
	if (index == 2) {
		convo_cancel_request(stop->cancel);
		return;
	}
	call.cancel = stop->cancel;
	must_fail_with(CONVO_E_CANCELED,
		       cv_pool_run(stop->fake->pool, &call, true, hold_op, &(int){0}, &err));
	must(!err.maybe);
	stop->stopped = true;
}

static void test_L2_a_cancel_ends_the_waiting_for_a_connection(void **state)
{
	struct stop stop = {.fake = *state};
	struct convo_err err;

	fake_limit(stop.fake, 1);
	must_pass(convo_cancel_new(&stop.cancel, &err));
	test_threads(3, stop_thread, &stop);
	convo_cancel_free(stop.cancel);
}

/* ---- L3: repair ----------------------------------------------------------------------- */

static void test_L3_what_was_lost_runs_again_where_that_is_safe(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}, {0, POOL_KEEP}};
	struct script script = {steps, 2, 0, 0};
	struct convo_err err;

	must_pass(run_steps(*state, 1000, true, &script, &err));
	must_equal(2, script.tries);
	must_equal(2, script.number);
}

static void test_L3_what_may_not_run_twice_fails_once_and_the_next_works(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}, {0, POOL_KEEP}};
	struct script script = {steps, 2, 0, 0};
	struct convo_err err;

	must_fail_with(CONVO_E_IO, run_steps(*state, 1000, false, &script, &err));
	must(err.maybe);
	must_equal(1, script.tries);
	must_pass(run_steps(*state, 1000, false, &script, &err));
	must_equal(2, script.number);
}

static void test_L3_what_was_not_sent_runs_again_always(void **state)
{
	static const struct step steps[] = {
		{CONVO_E_IO, POOL_UNSENT}, {CONVO_E_IO, POOL_UNSENT}, {0, POOL_KEEP}};
	struct script script = {steps, 3, 0, 0};
	struct convo_err err;

	must_pass(run_steps(*state, 1000, false, &script, &err));
	must_equal(3, script.tries);
}

static void test_L3_a_known_server_is_waited_for(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	must_pass(run_steps(fake, 1000, false, &script, &err));
	fake->stale = true;
	fake->refuse = 4;
	must_pass(run_steps(fake, 1000, false, &script, &err));
	must_equal(2, script.number);
}

static void test_L5_what_kept_a_call_waiting_is_told_when_its_time_is_up(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	must_pass(run_steps(fake, 1000, false, &script, &err));
	fake->stale = true;
	fake->refuse = -1;
	fake->refuse_code = CONVO_E_GONE;
	fake->hurry_ms = 90;
	must_fail_with(CONVO_E_GONE, run_steps(fake, 300, false, &script, &err));
	must_equal_str("fake: refused", err.text);
	/* It is the only one that there is. */
	must_fail_with(CONVO_E_TIMEOUT, run_steps(fake, 60, false, &script, &err));
}

static void test_L3_a_server_never_reached_is_reported_at_once(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	int64_t begin = cv_clock_mono_us();
	struct convo_err err;

	fake->refuse = -1;
	must_fail_with(CONVO_E_IO, run_steps(fake, 5000, true, &script, &err));
	must(!err.maybe);
	must_equal_str("fake: refused", err.text);
	must(cv_clock_mono_us() - begin < 1000000);
}

static void test_L3_a_failed_connect_gives_its_place_back(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	fake_limit(fake, 1);
	fake->refuse_code = CONVO_E_DENIED;
	fake->refuse = 2;
	must_fail_with(CONVO_E_DENIED, run_steps(fake, 1000, true, &script, &err));
	must_fail_with(CONVO_E_DENIED, run_steps(fake, 1000, true, &script, &err));
	must_pass(run_steps(fake, 1000, true, &script, &err));
}

/* The first `silent` servers say nothing. */
struct silence {
	int silent, tries;
};

static int dumb_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		   enum pool_fate *fate, struct convo_err *err)
{
	struct silence *silence = ctx;
	int64_t left_us = call->deadline_us - cv_clock_mono_us();

	(void)store;
	(void)conn;
	if (call->patience.elsewhere)
		left_us = call->patience.us;
	if (silence->tries++ >= silence->silent)
		return 0;
	nap(left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
	*fate = POOL_LOST;
	return cv_fail_maybe(err, CONVO_E_TIMEOUT, "fake: no answer in time");
}

static int run_silent(struct fake *fake, int ms, bool repeat, struct silence *silence,
		      struct convo_err *err)
{
	struct store_call call = call_in(ms);

	silence->tries = 0;
	return cv_pool_run(fake->pool, &call, repeat, dumb_op, silence, err);
}

static void test_L2_a_server_that_says_nothing_leaves_time_for_another(void **state)
{
	struct fake *fake = *state;
	struct silence silence = {.silent = 1};
	int64_t begin_us;
	struct convo_err err;

	/* There is none, or it must not be asked twice. */
	must_fail_with(CONVO_E_TIMEOUT, run_silent(fake, 300, true, &silence, &err));
	must_equal(1, silence.tries);
	fake->elsewhere = true;
	must_fail_with(CONVO_E_TIMEOUT, run_silent(fake, 300, false, &silence, &err));
	must(err.maybe);
	must_equal(1, silence.tries);

	begin_us = cv_clock_mono_us();
	must_pass(run_silent(fake, 2000, true, &silence, &err));
	must_equal(2, silence.tries);
	must(cv_clock_mono_us() - begin_us < 1800000);
}

static void test_L2_servers_that_all_say_nothing_cost_the_timeout_and_no_more(void **state)
{
	struct fake *fake = *state;
	struct silence silence = {.silent = 1000};
	int64_t begin_us = cv_clock_mono_us();
	struct convo_err err;

	fake->elsewhere = true;
	must_fail_with(CONVO_E_TIMEOUT, run_silent(fake, 400, true, &silence, &err));
	must(err.maybe);
	must(silence.tries > 1 && silence.tries < 6);
	must(cv_clock_mono_us() - begin_us >= 390000);
	must(cv_clock_mono_us() - begin_us < 900000);
}

/* One holds the only connection that the server grants for a while, the other waits for it. */
static void few_thread(void *ctx, int index)
{
	struct fake *fake = ctx;
	struct store_call call = call_in(5000);
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;
	int ms = 100;

	if (index == 0) {
		must_pass(cv_pool_run(fake->pool, &call, true, hold_op, &ms, &err));
		return;
	}
	nap(30);
	must_pass(run_steps(fake, 5000, false, &script, &err));
	must_equal(1, script.number);
}

static void test_L4_a_server_that_grants_few_connections_is_served_by_those(void **state)
{
	struct fake *fake = *state;
	struct script script = {&fine, 1, 0, 0};
	struct convo_err err;

	must_pass(run_steps(fake, 1000, false, &script, &err));
	fake->refuse_code = CONVO_E_GONE;
	fake->refuse = -1;
	test_threads(2, few_thread, fake);
}

/* Hold a connection each until all have one, so that as many are idle afterwards. */
static int meet_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		   enum pool_fate *fate, struct convo_err *err)
{
	(void)store;
	(void)conn;
	(void)call;
	(void)fate;
	(void)err;
	pthread_barrier_wait(ctx);
	return 0;
}

struct meeting {
	struct fake *fake;
	pthread_barrier_t barrier;
};

static void meet_thread(void *ctx, int index)
{
	struct meeting *meeting = ctx;
	struct store_call call = call_in(20000);
	struct convo_err err;

	(void)index;
	must_pass(cv_pool_run(meeting->fake->pool, &call, true, meet_op, &meeting->barrier, &err));
}

/* Make the pool's three connections, all of them idle. */
static void fill_pool(struct fake *fake)
{
	struct meeting meeting = {.fake = fake};

	pthread_barrier_init(&meeting.barrier, NULL, 3);
	test_threads(3, meet_thread, &meeting);
	pthread_barrier_destroy(&meeting.barrier);
	must_equal(3, fake->open);
}

/* Connections that were made before the peer went away, without a word, get no answer. */
static int silent_op(struct convo_store *store, void *conn, const struct store_call *call,
		     void *ctx, enum pool_fate *fate, struct convo_err *err)
{
	(void)store;
	(void)call;
	if (((struct fake_conn *)conn)->number > *(int *)ctx)
		return 0;
	*fate = POOL_LOST;
	return cv_fail(err, CONVO_E_TIMEOUT, "fake: no answer");
}

static void test_L3_a_peer_that_went_without_a_word_costs_one_call(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(20000);
	struct convo_err err;
	int gone = 3;

	fill_pool(fake);
	must_fail_with(CONVO_E_TIMEOUT,
		       cv_pool_run(fake->pool, &call, false, silent_op, &gone, &err));
	must(err.maybe);
	must_equal(0, fake->open);
	for (int i = 0; i < 5; i++)
		must_pass(cv_pool_run(fake->pool, &call, true, silent_op, &gone, &err));
	must_equal(4, fake->connects);
}

static void test_L3_what_may_run_twice_does_not_fail_for_it(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(20000);
	struct convo_err err;
	int gone = 3;

	fill_pool(fake);
	must_pass(cv_pool_run(fake->pool, &call, true, silent_op, &gone, &err));
	must_equal(4, fake->connects);
	must_equal(1, fake->open);
}

/* A server that hangs, and an operation that waits as its call tells it. */
struct hang {
	int tries, hangs; /* how many tries hang */
	struct store_patience patience[3];
	int64_t left_us[3];
};

static int hang_op(struct convo_store *store, void *conn, const struct store_call *call, void *ctx,
		   enum pool_fate *fate, struct convo_err *err)
{
	int64_t left_us = call->deadline_us - cv_clock_mono_us();
	struct hang *hang = ctx;

	(void)store;
	(void)conn;
	must(hang->tries < 3);
	hang->patience[hang->tries] = call->patience;
	hang->left_us[hang->tries] = left_us;
	if (hang->tries++ >= hang->hangs)
		return 0;
	nap((int)((call->patience.us ? call->patience.us : left_us) / 1000));
	*fate = POOL_LOST;
	return cv_fail(err, CONVO_E_TIMEOUT, "fake: no answer");
}

static void test_L3_a_hanging_try_leaves_half_of_the_time_to_another(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(400);
	struct hang hang = {.hangs = 1};
	struct convo_err err;

	must_pass(cv_pool_run(fake->pool, &call, true, hang_op, &hang, &err));
	must_equal(2, hang.tries);
	must_equal(2, fake->connects);
	must(hang.patience[0].us > 100000 && hang.patience[0].us <= 200000);
	must(!hang.patience[0].elsewhere);
	must(hang.left_us[1] > 100000);
	must_equal(0, hang.patience[1].us);
}

static void test_L2_a_server_that_hangs_twice_ends_the_call_in_time(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(300);
	int64_t begin = cv_clock_mono_us();
	struct hang hang = {.hangs = 3};
	struct convo_err err;

	must_fail_with(CONVO_E_TIMEOUT, cv_pool_run(fake->pool, &call, true, hang_op, &hang, &err));
	must(err.maybe);
	must_equal(2, hang.tries);
	must(cv_clock_mono_us() - begin < 500000);
	must_equal(0, fake->open);
}

static void test_L3_what_may_not_run_twice_waits_to_the_end(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(200);
	struct hang hang = {.hangs = 3};
	struct convo_err err;

	must_fail_with(CONVO_E_TIMEOUT,
		       cv_pool_run(fake->pool, &call, false, hang_op, &hang, &err));
	must(err.maybe);
	must_equal(1, hang.tries);
	must_equal(0, hang.patience[0].us);
}

/* ---- waiting for a socket ------------------------------------------------------------- */

/* Two ends of a connection over TCP, the second of which never says anything. */
static void socket_pair(int fd[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	must(listen(listener, 1) == 0);
	must(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(fd[0] >= 0 && connect(fd[0], (struct sockaddr *)&at, size) == 0);
	fd[1] = accept(listener, NULL, NULL);
	must(fd[1] >= 0 && send(fd[0], "hello", 5, 0) == 5);
	close(listener);
}

/* How long an operation waits that has 300 ms, and the patience of 100. */
static int64_t wait_us(bool elsewhere)
{
	int64_t begin = cv_clock_mono_us();
	struct store_patience patience = {100000, elsewhere};
	struct store_wait wait = cv_wait_until(begin + 300000, patience);
	struct pollfd poller = {.events = POLLIN};
	int fd[2], left_ms;

	socket_pair(fd);
	poller.fd = fd[0];
	while ((left_ms = cv_wait_left_ms(&wait, fd[0])) > 0)
		must_equal(0, poll(&poller, 1, left_ms));
	close(fd[0]);
	close(fd[1]);
	return cv_clock_mono_us() - begin;
}

static void test_L3_a_server_that_has_taken_the_request_is_waited_for(void **state)
{
	(void)state;
	must(wait_us(false) >= 300000);
}

static void test_L3_unless_another_one_may_answer(void **state)
{
	int64_t waited_us = wait_us(true);

	(void)state;
	must(waited_us >= 100000 && waited_us < 250000);
}

static void test_L3_the_pool_tells_that_another_one_may(void **state)
{
	struct fake *fake = *state;
	struct store_call call = call_in(20000);
	struct hang hang = {0};
	struct convo_err err;

	fake->elsewhere = true;
	must_pass(cv_pool_run(fake->pool, &call, true, hang_op, &hang, &err));
	must(hang.patience[0].elsewhere);
}

static void test_L3_a_cancel_costs_its_own_connection_alone(void **state)
{
	static const struct step steps[] = {{CONVO_E_CANCELED, POOL_LOST}};
	struct fake *fake = *state;
	struct script script = {steps, 1, 0, 0};
	struct convo_err err;

	fill_pool(fake);
	must_fail_with(CONVO_E_CANCELED, run_steps(fake, 1000, true, &script, &err));
	must(err.maybe);
	must_equal(2, fake->open);
}

static void test_L3_a_refusal_costs_no_connection(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_KEEP}};
	struct fake *fake = *state;
	struct script script = {steps, 1, 0, 0};
	struct convo_err err;

	fill_pool(fake);
	must_fail_with(CONVO_E_IO, run_steps(fake, 1000, true, &script, &err));
	must_equal(3, fake->open);
}

static void test_L3_a_success_may_cost_the_connection(void **state)
{
	static const struct step steps[] = {{0, POOL_LOST}};
	struct fake *fake = *state;
	struct script script = {steps, 1, 0, 0};
	struct convo_err err;

	must_pass(run_steps(fake, 1000, true, &script, &err));
	must_equal(1, script.tries);
	must_equal(0, fake->open);
}

/* ---- A8: the truth about failures ----------------------------------------------------- */

static void test_A8_an_answer_after_a_loss_is_the_answer(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}, {CONVO_E_CONFLICT, POOL_KEEP}};
	struct script script = {steps, 2, 0, 0};
	struct convo_err err;

	must_fail_with(CONVO_E_CONFLICT, run_steps(*state, 1000, true, &script, &err));
	must(!err.maybe);
}

static void test_A8_a_loss_is_told_also_where_a_later_try_is_answered(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}, {0, POOL_KEEP}};
	static const struct step unsent[] = {{CONVO_E_IO, POOL_UNSENT}, {0, POOL_KEEP}};
	struct fake *fake = *state;
	struct script lost = {steps, 2, 0, 0}, not_lost = {unsent, 2, 0, 0};
	struct store_work work = {0};
	struct store_call call = call_in(1000);
	struct convo_err err;

	call.work = &work;
	must_pass(cv_pool_run(fake->pool, &call, true, script_op, &not_lost, &err));
	must(!work.lost);
	must_pass(cv_pool_run(fake->pool, &call, true, script_op, &lost, &err));
	must(work.lost);
}

static void test_A8_a_loss_stays_unknown_when_the_server_stays_away(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}};
	struct fake *fake = *state;
	struct script script = {steps, 1, 0, 0};
	struct store_call call = call_in(100);
	struct convo_err err;

	must_pass(cv_pool_run(fake->pool, &call, true, hold_op, &(int){0}, &err));
	fake->refuse = -1;
	must_fail_with(CONVO_E_IO, run_steps(fake, 100, true, &script, &err));
	must(err.maybe);
	must_equal(1, script.tries);
	must_equal_str("fake: refused", err.text);
}

static void test_A8_a_loss_stays_unknown_when_later_tries_are_denied(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}, {CONVO_E_DENIED, POOL_KEEP}};
	struct script script = {steps, 2, 0, 0};
	struct convo_err err;

	must_fail_with(CONVO_E_IO, run_steps(*state, 1000, true, &script, &err));
	must(err.maybe);
}

static void test_A8_a_timeout_is_unknown_only_if_something_was_sent(void **state)
{
	static const struct step lost = {CONVO_E_TIMEOUT, POOL_LOST};
	static const struct step unsent = {CONVO_E_TIMEOUT, POOL_UNSENT};
	struct script script = {&lost, 1, 0, 0};
	struct convo_err err;

	must_fail_with(CONVO_E_TIMEOUT, run_steps(*state, 1000, true, &script, &err));
	must(err.maybe);
	script = (struct script){&unsent, 1, 0, 0};
	must_fail_with(CONVO_E_TIMEOUT, run_steps(*state, 1000, false, &script, &err));
	must(!err.maybe);
	must_equal(1, script.tries);
}

static void test_A8_repeating_ends_at_the_deadline(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}};
	struct script script = {steps, 1, 0, 0};
	int64_t begin = cv_clock_mono_us();
	struct convo_err err;

	must_fail_with(CONVO_E_IO, run_steps(*state, 100, true, &script, &err));
	must(err.maybe);
	must(script.tries > 2);
	must(cv_clock_mono_us() - begin < 300000);
}

static void test_errors_may_be_unwanted(void **state)
{
	static const struct step steps[] = {{CONVO_E_IO, POOL_LOST}};
	struct script script = {steps, 1, 0, 0};

	must_equal(CONVO_E_IO, run_steps(*state, 100, false, &script, NULL));
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest pool[] = {
		POOL_TEST(test_L4_a_crowd_never_makes_more_than_the_limit),
		POOL_TEST(test_L4_idle_connections_are_used_again),
		POOL_TEST(test_L4_an_idle_connection_that_was_closed_is_replaced),
		POOL_TEST(test_L4_callers_are_served_in_the_order_of_asking),
		POOL_TEST(test_L2_waiting_for_a_connection_ends_at_the_deadline),
		POOL_TEST(test_L3_what_was_lost_runs_again_where_that_is_safe),
		POOL_TEST(test_L3_what_may_not_run_twice_fails_once_and_the_next_works),
		POOL_TEST(test_L3_what_was_not_sent_runs_again_always),
		POOL_TEST(test_L3_a_known_server_is_waited_for),
		POOL_TEST(test_L5_what_kept_a_call_waiting_is_told_when_its_time_is_up),
		POOL_TEST(test_L3_a_server_never_reached_is_reported_at_once),
		POOL_TEST(test_L3_a_failed_connect_gives_its_place_back),
		POOL_TEST(test_L4_a_server_that_grants_few_connections_is_served_by_those),
		POOL_TEST(test_L3_a_peer_that_went_without_a_word_costs_one_call),
		POOL_TEST(test_L3_what_may_run_twice_does_not_fail_for_it),
		POOL_TEST(test_L3_a_hanging_try_leaves_half_of_the_time_to_another),
		POOL_TEST(test_L2_a_server_that_hangs_twice_ends_the_call_in_time),
		POOL_TEST(test_L3_what_may_not_run_twice_waits_to_the_end),
		POOL_TEST(test_L3_a_server_that_has_taken_the_request_is_waited_for),
		POOL_TEST(test_L3_unless_another_one_may_answer),
		POOL_TEST(test_L3_the_pool_tells_that_another_one_may),
		POOL_TEST(test_L2_a_cancel_ends_the_waiting_for_a_connection),
		POOL_TEST(test_L2_a_server_that_says_nothing_leaves_time_for_another),
		POOL_TEST(test_L2_servers_that_all_say_nothing_cost_the_timeout_and_no_more),
		POOL_TEST(test_L3_a_cancel_costs_its_own_connection_alone),
		POOL_TEST(test_L3_a_refusal_costs_no_connection),
		POOL_TEST(test_L3_a_success_may_cost_the_connection),
		POOL_TEST(test_A8_an_answer_after_a_loss_is_the_answer),
		POOL_TEST(test_A8_a_loss_is_told_also_where_a_later_try_is_answered),
		POOL_TEST(test_A8_a_loss_stays_unknown_when_the_server_stays_away),
		POOL_TEST(test_A8_a_loss_stays_unknown_when_later_tries_are_denied),
		POOL_TEST(test_A8_a_timeout_is_unknown_only_if_something_was_sent),
		POOL_TEST(test_A8_repeating_ends_at_the_deadline),
		POOL_TEST(test_errors_may_be_unwanted),
	};

	return TEST_RUN(pool);
}
