/*
 * Rounds: appends of many threads to sessions of their own, which travel as one statement
 * (0003.sql), and beside them those that cannot: refused, stored before, of one session.
 */
#include "store/shared/sql_suite.h"

#define WRITERS 24
#define APPENDS 60

/* A repeat fails the round that it is in, and all go alone then. */
enum { PLAIN, TWO_AT_ONCE, ABSENT, STALE, STEADY, REPEATS, KINDS };

static int kinds; /* that take part, of these */

static int kind_of(int index)
{
	return index % kinds;
}

static struct convo_key key_of(int index)
{
	return (struct convo_key){"app", "user", test_text("s%d", index)};
}

static void write_repeat(convo_store *store, const struct convo_key *key, int n)
{
	char id[CONVO_UUID_SIZE];
	const struct convo_event event = {.id = id, .message = "{\"role\":\"user\"}"};
	int64_t first, again;
	struct convo_err err;

	convo_uuid_make(id);
	must_pass(convo_store_append(store, key, NULL, &event, 1, &first, NULL, &err));
	must_pass(convo_store_append(store, key, NULL, &event, 1, &again, NULL, &err));
	must_equal(n + 1, first);
	must_equal(first, again);
}

static void write_one(convo_store *store, int index, int n)
{
	const struct convo_event events[2] = {{.message = "{\"role\":\"user\"}"},
					      {.message = "{\"role\":\"assistant\"}"}};
	struct convo_expect expect = {.check_seq = true, .after_seq = n};
	const struct convo_key key = key_of(index);
	int64_t seqs[2] = {0, 0};
	struct convo_err err;

	switch (kind_of(index)) {
	case PLAIN:
		must_pass(convo_store_append(store, &key, NULL, events, 1, seqs, NULL, &err));
		must_equal(n + 1, seqs[0]);
		break;
	case TWO_AT_ONCE:
		must_pass(convo_store_append(store, &key, NULL, events, 2, seqs, NULL, &err));
		must_equal(2 * n + 1, seqs[0]);
		must_equal(2 * n + 2, seqs[1]);
		break;
	case ABSENT:
		must_fail_with(CONVO_E_NOTFOUND,
			       convo_store_append(store, &key, NULL, events, 1, NULL, NULL, &err));
		break;
	case STALE:
		expect.after_seq = 7;
		must_fail_with(CONVO_E_CONFLICT, convo_store_append(store, &key, &expect, events, 1,
								    NULL, NULL, &err));
		must_equal(0, err.last_seq);
		break;
	case STEADY:
		must_pass(convo_store_append(store, &key, &expect, events, 1, seqs, NULL, &err));
		must_equal(n + 1, seqs[0]);
		break;
	default:
		write_repeat(store, &key, n);
	}
}

static void write_all(void *ctx, int index)
{
	for (int n = 0; n < APPENDS; n++)
		write_one(ctx, index, n);
}

static const int stored[KINDS] = {
	[PLAIN] = APPENDS, [TWO_AT_ONCE] = 2 * APPENDS, [REPEATS] = APPENDS, [STEADY] = APPENDS};

/* `most` of the newest are shown; 0: all. */
static void must_show(convo_store *store, int index, int most)
{
	const int all = stored[kind_of(index)], want = most && all > most ? most : all;
	const struct convo_key key = key_of(index);
	const struct convo_event *events;
	convo_session *session = NULL;
	struct convo_err err;
	size_t count;

	if (kind_of(index) == ABSENT)
		return;
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	events = test_events(session, &count);
	must_equal(want, count);
	for (int i = 0; i < want; i++)
		must_equal(all - want + i + 1, events[i].seq);
	convo_session_free(session);
}

static void rounds(const char *more, int take_part, int most)
{
	convo_store *store;

	sql_needed();
	kinds = take_part;
	store = sql_open(sql_url(NULL, more));
	for (int i = 0; i < WRITERS; i++) {
		if (kind_of(i) != ABSENT)
			sql_create(store, key_of(i).session);
	}
	test_threads(WRITERS, write_all, store);
	for (int i = 0; i < WRITERS; i++)
		must_show(store, i, most);
	convo_store_close(store);
}

static void test_A8_each_of_a_round_gets_its_own(void **state)
{
	(void)state;
	rounds("prefix=rounds_", REPEATS, 0);
	rounds("prefix=repeated_", KINDS, 0);
}

static void test_A5_a_round_keeps_the_limit_of_each(void **state)
{
	(void)state;
	rounds("prefix=limited_&limit=10&ttl=1h", REPEATS, 10);
}

int main(void)
{
	const struct CMUnitTest rounds_tests[] = {
		cmocka_unit_test(test_A8_each_of_a_round_gets_its_own),
		cmocka_unit_test(test_A5_a_round_keeps_the_limit_of_each),
	};
	int rc;

	sql_server = server_start(SERVER_POSTGRES, SERVER_FAST);
	rc = TEST_RUN(rounds_tests);
	server_end(sql_server);
	return rc;
}
