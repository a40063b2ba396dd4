/*
 * The fault suite; see fault_suite.h. Each test counts the bytes of an undisturbed call, then does
 * it again and again with the connection broken at one of them.
 */
#include "store/shared/fault_suite.h"

#include <stdio.h>

#include <convo/store.h>

#include <base/clock.h>
#include <support/json_same.h>
#include <support/proxy.h>
#include <support/test.h>

#define SAMPLES 16
#define TIMEOUT_MS 250
#define SLACK_MS 500 /* a call may end this much after its timeout on a busy machine */

static struct server *fault_server;

static const char *const fault_names[] = {"none", "cut", "delay", "half"};
static const char *const way_names[] = {"request", "reply"};

struct fault {
	struct proxy *proxy;
	convo_store *through; /* over the proxy, one connection */
	convo_store *direct;
	struct convo_key key;
	int64_t stored; /* events that are there for certain */
};

/* ---- setup ------------------------------------------------------------------------------ */

static convo_store *fault_open(const char *url)
{
	const struct convo_store_options opts = {
		.timeout_ms = TIMEOUT_MS, .clean_interval_ms = -1, .max_connections = 1};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

/* Make the schema, which may take longer than the calls of the tests have time for. */
static void fault_prepare(void)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, fault_server->url, NULL, &err));
	convo_store_close(store);
}

static int fault_setup(void **state)
{
	static int number;
	struct fault *fault;
	struct convo_err err;

	if (!fault_server)
		return 0;
	if (!number)
		fault_prepare();
	fault = calloc(1, sizeof(*fault));
	must(fault);
	fault->key.app = "faults";
	fault->key.user = "u";
	fault->key.session = test_text("s%d", number++);
	fault->proxy = proxy_start(fault_server->host, fault_server->port);
	fault->direct = fault_open(fault_server->url);
	fault->through = fault_open(proxy_url(fault->proxy, fault_server->url));
	must_pass(convo_store_create(fault->direct, &fault->key, NULL, NULL, NULL, &err));
	*state = fault;
	return 0;
}

static int fault_teardown(void **state)
{
	struct fault *fault = *state;

	if (!fault)
		return 0;
	convo_store_close(fault->through);
	convo_store_close(fault->direct);
	proxy_end(fault->proxy);
	free(fault);
	return 0;
}

static struct fault *fault_of(void **state)
{
	if (!fault_server)
		test_skip("no server to test with");
	return *state;
}

/* Make sure that the connection over the proxy works, so that faults hit the call alone. */
static void fault_settle(struct fault *fault)
{
	struct convo_window none = {.kind = CONVO_WINDOW_NONE};
	convo_session *session = NULL;
	struct convo_err err;
	int rc = -1;

	proxy_arm(fault->proxy, PROXY_NONE, PROXY_REQUEST, 0);
	for (int i = 0; rc < 0 && i < 10; i++)
		rc = convo_store_load(&session, fault->through, &fault->key, &none, NULL, &err);
	must_equal(0, rc);
	convo_session_free(session);
}

/* ---- positions -------------------------------------------------------------------------- */

typedef void (*fault_call)(struct fault *fault, enum proxy_fault kind);

static bool fault_all(void)
{
	const char *text = getenv("CONVO_TEST_FAULTS");

	return text && strcmp(text, "all") == 0;
}

/* The next position; the last byte is always one. */
static size_t fault_next(size_t at, size_t step, size_t length)
{
	return at + step >= length && at < length - 1 ? length - 1 : at + step;
}

/* Run a call with the fault at each of some positions of one direction. */
static void fault_walk(struct fault *fault, enum proxy_fault kind, enum proxy_way way,
		       fault_call call)
{
	size_t samples = kind == PROXY_HALF ? SAMPLES / 4 : SAMPLES, length, step, at;

	/* The first time may take more: a script or a statement is made known to the server. */
	fault_settle(fault);
	call(fault, PROXY_NONE);
	proxy_arm(fault->proxy, PROXY_NONE, way, 0);
	call(fault, PROXY_NONE);
	length = proxy_passed(fault->proxy, way);
	must(length > 0);
	step = fault_all() || length <= samples ? 1 : length / samples;
	for (at = 0; at < length; at = fault_next(at, step, length)) {
		fault_settle(fault);
		proxy_arm(fault->proxy, kind, way, at);
		call(fault, kind);
		/* Of the farewell of a connection it may not see all bytes each time. */
		if (!proxy_fired(fault->proxy) && proxy_passed(fault->proxy, way) > at)
			must_not_reach("%s at byte %zu of %zu of the %s did not happen",
				       fault_names[kind], at, length, way_names[way]);
	}
	test_say("%s: %zu bytes of %s, every %zu", fault_names[kind], length, way_names[way], step);
}

static void fault_walk_all(struct fault *fault, fault_call call)
{
	for (int kind = PROXY_CUT; kind <= PROXY_HALF; kind++) {
		fault_walk(fault, (enum proxy_fault)kind, PROXY_REQUEST, call);
		fault_walk(fault, (enum proxy_fault)kind, PROXY_REPLY, call);
	}
}

static void must_be_in_time(int64_t begin_us)
{
	int64_t took_ms = (cv_clock_mono_us() - begin_us) / 1000;

	if (took_ms > TIMEOUT_MS + SLACK_MS)
		must_not_reach("a call took %lld ms", (long long)took_ms);
}

/* A failure of the network is IO or TIMEOUT. */
static void must_be_network(int rc, const struct convo_err *err)
{
	if (rc != CONVO_E_IO && rc != CONVO_E_TIMEOUT && rc != CONVO_E_GONE)
		must_not_reach("%s: %s", convo_code_name(rc), err->text);
}

/* ---- append ----------------------------------------------------------------------------- */

/*
 * Whether these events are behind those that are there for certain, as they must be if the append
 * succeeded, or may not be if it failed. What is certain is not read again: a walk over every byte
 * appends thousands.
 */
static bool events_are_there(struct fault *fault, const struct convo_event *events, size_t count)
{
	const struct convo_window behind = {.kind = CONVO_WINDOW_AFTER, .seq = fault->stored};
	const struct convo_event *found;
	convo_session *session = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, fault->direct, &fault->key, &behind, NULL, &err));
	found = test_events(session, &n);
	if (n)
		must_equal(count, n);
	for (size_t i = 0; i < n; i++) {
		must_equal(fault->stored + (int64_t)i + 1, found[i].seq);
		must_equal_str(events[i].id, found[i].id);
		must(json_same(events[i].message, found[i].message));
	}
	convo_session_free(session);
	return n > 0;
}

/* All events of the walk, each once. */
static void must_be_whole(struct fault *fault)
{
	const struct convo_event *found;
	convo_session *session = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, fault->direct, &fault->key, NULL, NULL, &err));
	found = test_events(session, &n);
	must_equal(fault->stored, n);
	for (size_t i = 0; i < n; i++)
		must_equal(i + 1, found[i].seq);
	convo_session_free(session);
}

/* Append, judge the outcome, and append again: now it must succeed, and be there once. */
static void append_call(struct fault *fault, enum proxy_fault kind)
{
	char id[2][CONVO_UUID_SIZE];
	struct convo_event events[2] = {
		{.id = id[0], .message = "{\"role\":\"user\",\"content\":\"a question\"}"},
		{.id = id[1], .message = "{\"role\":\"assistant\",\"content\":\"an answer\"}"}};
	int64_t begin_us = cv_clock_mono_us(), seqs[2] = {0, 0};
	struct convo_err err = {0};
	bool there;
	int rc;

	convo_uuid_make(id[0]);
	convo_uuid_make(id[1]);
	rc = convo_store_append(fault->through, &fault->key, NULL, events, 2, seqs, NULL, &err);
	must_be_in_time(begin_us);
	there = events_are_there(fault, events, 2);
	/* A connection that is seen to be lost is replaced, and the append repeated (L3, A2). */
	if (rc < 0 && kind != PROXY_HALF)
		must_not_reach("%s: %s", fault_names[kind], err.text);
	if (rc < 0)
		must_be_network(rc, &err);
	if (rc >= 0 ? !there : there && !err.maybe)
		must_not_reach("append returned %d, maybe %d, but there: %d", rc, err.maybe, there);
	if (rc < 0) {
		must_pass(convo_store_append(fault->direct, &fault->key, NULL, events, 2, seqs,
					     NULL, &err));
		must(events_are_there(fault, events, 2));
	}
	must_equal(fault->stored + 1, seqs[0]);
	must_equal(fault->stored + 2, seqs[1]);
	fault->stored += 2;
}

static void test_A8_append_survives_a_break_at_any_byte(void **state)
{
	struct fault *fault = fault_of(state);

	fault_walk_all(fault, append_call);
	must_be_whole(fault);
}

/* ---- load ------------------------------------------------------------------------------- */

static void load_call(struct fault *fault, enum proxy_fault kind)
{
	int64_t begin_us = cv_clock_mono_us();
	convo_session *session = NULL;
	struct convo_err err = {0};
	size_t n = 0;
	int rc = convo_store_load(&session, fault->through, &fault->key, NULL, NULL, &err);

	must_be_in_time(begin_us);
	if (rc < 0 && kind != PROXY_HALF)
		must_not_reach("%s: %s", fault_names[kind], err.text);
	if (rc < 0) {
		must_be_network(rc, &err);
		must(session == NULL);
		return;
	}
	must(test_events(session, &n) != NULL);
	must_equal(fault->stored, n);
	convo_session_free(session);
}

static void test_L3_load_survives_a_break_at_any_byte(void **state)
{
	struct fault *fault = fault_of(state);

	for (int i = 0; i < 3; i++)
		append_call(fault, PROXY_NONE);
	fault_walk_all(fault, load_call);
}

/* ---- state_set, which is not repeated --------------------------------------------------- */

static void set_call(struct fault *fault, enum proxy_fault kind)
{
	static int number;
	int64_t begin_us = cv_clock_mono_us();
	const char *want = test_text("%d", ++number);
	struct convo_item item = {.name = "n", .json = want};
	struct convo_err err = {0};
	char *found = NULL;
	bool there;
	int rc = convo_store_state_set(fault->through, &fault->key, &item, 1, NULL, &err);

	must_be_in_time(begin_us);
	if (convo_store_state_get(&found, fault->direct, &fault->key, "n", NULL, &err) < 0)
		found = NULL;
	there = found && strcmp(found, want) == 0;
	free(found);
	if (rc < 0)
		must_be_network(rc, &err);
	if (rc < 0 && kind == PROXY_DELAY)
		must_not_reach("delay: %s", err.text);
	if (rc >= 0 ? !there : there && !err.maybe)
		must_not_reach("state_set returned %d, maybe %d, but there: %d", rc, err.maybe,
			       there);
	/* One call may fail, but the next works. */
	if (rc < 0)
		must_pass(convo_store_state_set(fault->through, &fault->key, &item, 1, NULL, &err));
}

static void test_A8_state_set_tells_the_truth_at_any_byte(void **state)
{
	fault_walk_all(fault_of(state), set_call);
}

/* ---- create, and open ------------------------------------------------------------------- */

static void create_call(struct fault *fault, enum proxy_fault kind)
{
	static int number;
	struct convo_key key = fault->key;
	int64_t begin_us = cv_clock_mono_us();
	convo_session *session = NULL;
	struct convo_err err = {0}, why = {0};
	bool there;
	int rc;

	key.session = test_text("created-%d", ++number);
	rc = convo_store_create(fault->through, &key, NULL, NULL, NULL, &why);
	must_be_in_time(begin_us);
	if (rc < 0)
		must_be_network(rc, &why);
	if (rc < 0 && kind == PROXY_DELAY)
		must_not_reach("delay: %s", why.text);
	there = convo_store_load(&session, fault->direct, &key, NULL, NULL, &err) == 0;
	convo_session_free(session);
	if (rc >= 0 ? !there : there && !why.maybe)
		must_not_reach("create returned %d, maybe %d, but there: %d", rc, why.maybe, there);
}

static void test_A8_create_tells_the_truth_at_any_byte(void **state)
{
	fault_walk_all(fault_of(state), create_call);
}

static void open_call(struct fault *fault, enum proxy_fault kind)
{
	const struct convo_store_options opts = {.timeout_ms = TIMEOUT_MS, .clean_interval_ms = -1};
	int64_t begin_us = cv_clock_mono_us();
	convo_store *store = NULL;
	struct convo_err err = {0};
	int rc = convo_store_open(&store, proxy_url(fault->proxy, fault_server->url), &opts, &err);

	must_be_in_time(begin_us);
	if (rc < 0 && (kind == PROXY_NONE || kind == PROXY_DELAY))
		must_not_reach("%s: %s", fault_names[kind], err.text);
	if (rc < 0)
		must_be_network(rc, &err);
	must(rc < 0 ? !store : store != NULL);
	convo_store_close(store);
}

static void test_L2_open_ends_in_time_at_any_byte(void **state)
{
	fault_walk_all(fault_of(state), open_call);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fault_setup, fault_teardown)

int fault_suite_run(struct server *server)
{
	const struct CMUnitTest faults[] = {
		FAULT_TEST(test_A8_append_survives_a_break_at_any_byte),
		FAULT_TEST(test_L3_load_survives_a_break_at_any_byte),
		FAULT_TEST(test_A8_state_set_tells_the_truth_at_any_byte),
		FAULT_TEST(test_A8_create_tells_the_truth_at_any_byte),
		FAULT_TEST(test_L2_open_ends_in_time_at_any_byte),
	};
	int rc;

	fault_server = server;
	rc = TEST_RUN(faults);
	server_end(server);
	return rc;
}
