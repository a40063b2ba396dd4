/*
 * What the memory store shares with loaded sessions in place of copies: it stays as it was loaded,
 * and goes when nobody holds it (a leak, or a use after the end, is the sanitizers' to find).
 */
#include <support/test.h>

#include <stdio.h>

#define ROUNDS 300

static const struct convo_key key = {"app", "user", "s"};

static convo_store *open_store(size_t limit)
{
	const struct convo_store_options opts = {.clean_interval_ms = CONVO_OFF,
						 .event_limit = (int64_t)limit};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, "memory:", &opts, &err));
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	return store;
}

/* Append event `i`, whose text and state tell its number. */
static void say(convo_store *store, int i)
{
	char message[512], state[64];
	struct convo_event event = {.message = message, .state = state, .author = "me"};
	struct convo_err err;

	snprintf(message, sizeof(message), "{\"role\":\"user\",\"content\":\"%0*d\"}", i % 400 + 1,
		 i);
	snprintf(state, sizeof(state), "{\"n\":%d,\"user:n\":%d}", i, i);
	must_pass(convo_store_append(store, &key, NULL, &event, 1, NULL, NULL, &err));
}

/* A loaded session that ends with event `last`: its events and its state are of one moment. */
static void check(const convo_session *session)
{
	int last = (int)convo_session_meta(session)->last_seq;
	size_t count = convo_session_count(session);
	char want[512];

	must(count > 0);
	for (size_t i = 0; i < count; i++) {
		const struct convo_event *event = convo_session_event(session, i);
		int n = last - (int)(count - 1 - i);

		must_equal(n, event->seq);
		snprintf(want, sizeof(want), "{\"role\":\"user\",\"content\":\"%0*d\"}",
			 n % 400 + 1, n);
		must_equal_str(want, event->message);
		must_equal(strlen(want), event->message_len);
		must_equal_str("me", event->author);
		must_equal_str("user", event->role);
		must_equal(CONVO_UUID_SIZE - 1, strlen(event->id));
	}
	snprintf(want, sizeof(want), "%d", last);
	must_equal_str(want, convo_session_state_get(session, "n")->json);
	must_equal_str(want, convo_session_state_get(session, "user:n")->json);
}

static void test_S2_what_was_loaded_outlives_limit_session_and_store(void **state)
{
	convo_store *store = open_store(3);
	convo_session *kept[ROUNDS] = {NULL};
	struct convo_err err;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		say(store, i + 1);
		must_pass(convo_store_load(&kept[i], store, &key, NULL, NULL, &err));
	}
	must_pass(convo_store_delete(store, &key, NULL, &err));
	convo_store_close(store);
	for (int i = 0; i < ROUNDS; i++) {
		must_equal(i + 1, convo_session_meta(kept[i])->last_seq);
		check(kept[i]);
		convo_session_free(kept[i]);
	}
}

static void share_run(void *ctx, int index)
{
	convo_store *store = ctx;
	convo_session *before = NULL;
	struct convo_err err;

	for (int i = 0; i < ROUNDS; i++) {
		convo_session *session = NULL;

		if (index == 0) {
			say(store, i + 2);
			continue;
		}
		must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
		check(session);
		convo_session_free(before);
		before = session;
	}
	convo_session_free(before);
}

static void test_S2_what_is_shared_is_read_while_the_limit_drops_it(void **state)
{
	convo_store *store = open_store(5);

	(void)state;
	say(store, 1);
	test_threads(4, share_run, store);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest memory_share[] = {
		cmocka_unit_test(test_S2_what_was_loaded_outlives_limit_session_and_store),
		cmocka_unit_test(test_S2_what_is_shared_is_read_while_the_limit_drops_it),
	};

	return TEST_RUN(memory_share);
}
