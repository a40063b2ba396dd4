/*
 * The storm suite; see storm_suite.h.
 */
#include "store/shared/storm_suite.h"

#include <support/test.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <convo/store.h>

#define KILLS 20
#define WRITERS 4
#define MAX_EVENTS 200000

struct storm {
	convo_store *store;
	struct server *server;
	atomic_bool over;
	atomic_size_t count; /* acknowledged */
	struct {
		char id[CONVO_UUID_SIZE];
		int64_t seq;
	} * acked;
};

static const struct convo_key key = {"app", "user", "storm"};

static enum server_kind storm_kind;

static void nap_ms(int ms)
{
	struct timespec ts = {0, ms * 1000000L};

	nanosleep(&ts, NULL);
}

static void storm_kill(struct storm *storm)
{
	for (int i = 0; i < KILLS; i++) {
		nap_ms(120 + i * 7 % 50);
		server_kill(storm->server);
		nap_ms(i % 3 * 30);
		server_restart(storm->server);
	}
	nap_ms(50);
	storm->over = true;
}

/* Append one event until it is acknowledged. */
static void storm_append(struct storm *storm)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .message = "{\"role\":\"user\"}"};
	struct convo_err err;
	int64_t seq = 0;
	size_t at;
	int rc;

	convo_uuid_make(id);
	do {
		rc = convo_store_append(storm->store, &key, NULL, &event, 1, &seq, NULL, &err);
		if (rc < 0 && rc != CONVO_E_IO && rc != CONVO_E_TIMEOUT && rc != CONVO_E_GONE)
			must_not_reach("%s: %s", convo_code_name(rc), err.text);
	} while (rc < 0);
	at = storm->count++;
	must(at < MAX_EVENTS);
	strcpy(storm->acked[at].id, id);
	storm->acked[at].seq = seq;
}

static void storm_thread(void *ctx, int index)
{
	struct storm *storm = ctx;

	if (index == 0)
		storm_kill(storm);
	while (!storm->over)
		storm_append(storm);
}

static void storm_check(struct storm *storm)
{
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t n;

	must_pass(convo_store_load(&session, storm->store, &key, NULL, NULL, &err));
	events = test_events(session, &n);
	must_equal(storm->count, n);
	for (size_t i = 0; i < n; i++)
		must_equal(i + 1, events[i].seq);
	for (size_t i = 0; i < n; i++) {
		must(storm->acked[i].seq > 0 && storm->acked[i].seq <= (int64_t)n);
		must_equal_str(storm->acked[i].id, events[storm->acked[i].seq - 1].id);
	}
	convo_session_free(session);
}

static void test_A7_killed_under_load_nothing_acknowledged_is_lost(void **state)
{
	const struct convo_store_options opts = {.clean_interval_ms = -1};
	struct storm storm = {.server = server_start(storm_kind, SERVER_DURABLE)};
	struct convo_err err;

	(void)state;
	if (!storm.server)
		test_skip("no server to test with");
	storm.acked = calloc(MAX_EVENTS, sizeof(*storm.acked));
	must(storm.acked);
	must_pass(convo_store_open(&storm.store, storm.server->url, &opts, &err));
	must_pass(convo_store_create(storm.store, &key, NULL, NULL, NULL, &err));
	test_threads(1 + WRITERS, storm_thread, &storm);
	storm_check(&storm);
	test_say("%zu events over %d kills", (size_t)storm.count, KILLS);
	convo_store_close(storm.store);
	server_end(storm.server);
	free(storm.acked);
}

int storm_suite_run(enum server_kind kind)
{
	const struct CMUnitTest storms[] = {
		cmocka_unit_test(test_A7_killed_under_load_nothing_acknowledged_is_lost),
	};

	storm_kind = kind;
	return TEST_RUN(storms);
}
