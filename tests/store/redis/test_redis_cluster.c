/*
 * The Redis store on a cluster: slots that move, nodes that die, stand still and come back, seeds that
 * are something else, and users with few rights. The contract is in test_redis_cluster_contract.c, what
 * nodes may say that is not true in test_redis_route.c, the state of the app in test_redis_notes.c.
 */
#include <support/test.h>

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <base/clock.h>
#include <store/redis/request.h>
#include <support/fake_redis.h>
#include <support/groups.h>

#include "store/shared/calls.h"

#define WRITERS 4

static struct group *group; /* NULL: not installed */

static const struct convo_store_options quiet = {.timeout_ms = 10000,
						 .clean_interval_ms = CONVO_OFF};

static int cluster_setup(void **state)
{
	(void)state;
	if (group)
		(void)group_new_database(group);
	return 0;
}

static void cluster_needed(void)
{
	if (!group)
		test_skip("no redis-server to test with");
}

static convo_store *store_open(const char *url)
{
	struct convo_err err;
	convo_store *store = NULL;

	must_pass(convo_store_open(&store, url, &quiet, &err));
	return store;
}

static void nap_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

/* The master of the user of calls.h. */
static int master_of_user(void)
{
	return group_master(group, "convo:{app:user}");
}

/* A master that is not that one. */
static int other_master(int master)
{
	for (int i = 0; i < group->data; i++) {
		if (i != master &&
		    strstr(server_try(group->node[i], "INFO replication"), "role:master"))
			return i;
	}
	must_not_reach("no other master");
}

/* ---- writers that count ----------------------------------------------------------------- */

/* Threads that append to a session each, and to one that they share, until they are told to stop. */
struct load {
	convo_store *store;
	atomic_bool over;
	atomic_int done[WRITERS]; /* appends of each that were acknowledged */
	atomic_int failed;        /* calls that were not, if they may */
	bool may_fail;
	atomic_llong longest_us, silence_us, last_us;
};

static struct convo_key load_key(int writer, char name[32])
{
	snprintf(name, 32, "own %d", writer);
	return (struct convo_key){"app", "user", writer < 0 ? "s" : name};
}

static void load_begin(struct load *load, convo_store *store)
{
	struct convo_err err;
	char name[32];

	*load = (struct load){.store = store};
	load->last_us = cv_clock_mono_us();
	for (int i = -1; i < WRITERS; i++) {
		const struct convo_key key = load_key(i, name);

		must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	}
}

static void load_note(struct load *load, int64_t begun_us)
{
	int64_t now_us = cv_clock_mono_us();
	long long before_us = atomic_exchange(&load->last_us, now_us);

	if (now_us - begun_us > load->longest_us)
		load->longest_us = now_us - begun_us;
	if (now_us - before_us > load->silence_us)
		load->silence_us = now_us - before_us;
}

/* Append n-th event of a writer, again until it is stored; its id makes that safe (A2). */
static void load_append(struct load *load, const struct convo_key *key, int writer, int n)
{
	const char *id = NULL;
	char message[100], text[CONVO_UUID_SIZE];
	struct convo_err err;
	struct convo_event event = {.message = message};

	snprintf(message, sizeof(message), "{\"role\":\"user\",\"content\":\"%d %d\"}", writer, n);
	snprintf(text, sizeof(text), "0197b0a1-%04x-7000-8000-%04x%08x", writer,
		 strcmp(key->session, "s") != 0, n);
	id = text;
	event.id = id;
	for (;;) {
		int64_t begun_us = cv_clock_mono_us();
		int rc = convo_store_append(load->store, key, NULL, &event, 1, NULL, NULL, &err);

		if (rc == 0)
			load_note(load, begun_us);
		if (rc == 0)
			return;
		if (!load->may_fail)
			must_not_reach("append: %s (%d)", err.text, rc);
		load->failed++;
	}
}

/* The events of a session are those of the writer, each once, in their order. */
static void load_must_be_whole(struct load *load, const struct convo_key *key, int writer, int n)
{
	convo_session *session = NULL;
	struct convo_err err;
	int next[WRITERS] = {0}, from, number;

	must_pass(convo_store_load(&session, load->store, key, NULL, NULL, &err));
	for (size_t i = 0; i < convo_session_count(session); i++) {
		const struct convo_event *event = convo_session_event(session, i);

		must_equal(i + 1, event->seq);
		must_equal(2, sscanf(event->message, "{\"role\":\"user\",\"content\":\"%d %d",
				     &from, &number));
		must(from >= 0 && from < WRITERS && (writer < 0 || from == writer));
		must_equal(next[from], number);
		next[from]++;
	}
	if (writer >= 0)
		must_equal(n, next[writer]);
	for (int i = 0; writer < 0 && n < 0 && i < WRITERS; i++)
		must_equal(load->done[i], next[i]);
	convo_session_free(session);
}

/* Write and read until it is over; threads from 1 on. */
static void load_run(void *ctx, int index)
{
	struct load *load = ctx;
	int writer = index - 1, n = 0;
	char name[32];
	const struct convo_key own = load_key(writer, name), shared = load_key(-1, name);

	snprintf(name, sizeof(name), "own %d", writer);
	while (!load->over) {
		load_append(load, &shared, writer, n);
		load_append(load, &own, writer, n);
		atomic_store(&load->done[writer], ++n);
		if (n % 4 == 0)
			load_must_be_whole(load, &own, writer, n);
	}
}

static void load_end(struct load *load, const char *what)
{
	char name[32];
	int total = 0;

	for (int i = 0; i < WRITERS; i++) {
		const struct convo_key key = load_key(i, name);

		load_must_be_whole(load, &key, i, load->done[i]);
		total += load->done[i];
	}
	load_must_be_whole(load, &(struct convo_key){"app", "user", "s"}, -1, -1);
	test_say("%s: %d appends, %d failed tries, longest %lld ms, longest silence %lld ms", what,
		 2 * total, load->failed, load->longest_us / 1000, load->silence_us / 1000);
}

/* ---- slots that move ---------------------------------------------------------------------- */

static const char *id_of(int node)
{
	return server_ask(group->node[node], "CLUSTER MYID");
}

/* Move a slot key by key, as an administrator's tool does; half of it stays away for a while. */
static void slot_move(unsigned slot, int from, int to, int half_ms)
{
	const struct server *source = group->node[from], *target = group->node[to];
	const char *keys, *end;
	int n = 0;

	server_ask(target, "CLUSTER SETSLOT %u IMPORTING %s", slot, id_of(from));
	server_ask(source, "CLUSTER SETSLOT %u MIGRATING %s", slot, id_of(to));
	keys = server_ask(source, "CLUSTER GETKEYSINSLOT %u 1000", slot);
	for (; *keys; keys = *end ? end + 1 : end, n++) {
		end = strchr(keys, '\n') ? strchr(keys, '\n') : keys + strlen(keys);
		if (n == 3)
			nap_ms(half_ms);
		server_ask(source, "MIGRATE %s %d \"%.*s\" 0 5000", target->host, target->port,
			   (int)(end - keys), keys);
	}
	server_ask(target, "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
	server_ask(source, "CLUSTER SETSLOT %u NODE %s", slot, id_of(to));
}

static void slot_mover(void *ctx, int index)
{
	unsigned slot = cv_redis_slot("convo:{app:user}");
	struct load *load = ctx;
	int home = master_of_user(), other = other_master(home);

	if (index > 0) {
		load_run(ctx, index);
		return;
	}
	for (int i = 0; i < 3; i++) {
		nap_ms(200);
		slot_move(slot, home, other, 300);
		nap_ms(200);
		slot_move(slot, other, home, 300);
	}
	load->over = true;
}

/* While a slot moves, some of a user's keys are here and some are there: nothing may run on a part. */
static void test_A1_slots_that_move_lose_and_double_nothing(void **state)
{
	struct load load;
	convo_store *store;

	(void)state;
	cluster_needed();
	store = store_open(group->url);
	load_begin(&load, store);
	test_threads(1 + WRITERS, slot_mover, &load);
	load_end(&load, "slots moved");
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_A1_slots_that_move_lose_and_double_nothing,
				       cluster_setup),
	};
	int rc;

	group = group_start(GROUP_REDIS_CLUSTER);
	rc = TEST_RUN(tests);
	group_end(group);
	return rc;
}
