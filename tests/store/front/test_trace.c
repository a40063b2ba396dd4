/*
 * Tracing: a listener hears every call as it ended, and the caller gets what it would get without
 * one. A backend that counts tells what it counted.
 */
#include <support/test.h>

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include <convo/convo.h>

#include <base/alloc.h>
#include <base/fail.h>
#include <store/trace/trace.h>

#define MOST 64

/* What was heard, by any thread. */
struct heard {
	pthread_mutex_t lock;
	int count;
	struct convo_trace_call call[MOST]; /* without what lives for the callback */
	char session[MOST][32];
};

static void hear(void *ctx, const struct convo_trace_call *call)
{
	struct heard *heard = ctx;

	pthread_mutex_lock(&heard->lock);
	if (heard->count < MOST) {
		snprintf(heard->session[heard->count], 32, "%s",
			 call->key && call->key->session ? call->key->session : "-");
		heard->call[heard->count] = *call;
		heard->call[heard->count++].key = NULL;
	}
	pthread_mutex_unlock(&heard->lock);
}

static int heard_count(struct heard *heard)
{
	int count;

	pthread_mutex_lock(&heard->lock);
	count = heard->count;
	pthread_mutex_unlock(&heard->lock);
	return count;
}

static const struct convo_trace_call *heard_last(const struct heard *heard, const char *op,
						 const char *session, int code)
{
	const struct convo_trace_call *last = &heard->call[heard->count - 1];

	must(heard->count > 0);
	must_equal_str(op, last->op);
	must_equal_str(session, heard->session[heard->count - 1]);
	must_equal(code, last->code);
	must(last->duration_us >= 0);
	return last;
}

static convo_store *trace_store(const char *url, struct heard *heard)
{
	const struct convo_trace trace = {.on_call = hear, .ctx = heard};
	const struct convo_store_options opts = {.trace = &trace, .clean_interval_ms = CONVO_OFF};
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, url, &opts, &err));
	return store;
}

static const struct convo_key key = {"app", "user", "s"};

static void trace_every_call(const char *url)
{
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct convo_event events[] = {{.message = "{\"role\":\"user\"}"},
				       {.message = "{\"role\":\"user\"}"}};
	convo_store *store = trace_store(url, &heard);
	convo_session *session = NULL;
	convo_cursor *cursor = NULL;
	convo_state *state = NULL;
	struct convo_err err;
	size_t count;

	heard_last(&heard, "open", "-", 0);
	must(*convo_store_describe(store));
	must_pass(convo_store_create(store, &key, NULL, NULL, NULL, &err));
	must_equal(0, heard_last(&heard, "create", "s", 0)->events);
	must_fail_with(CONVO_E_EXISTS, convo_store_create(store, &key, NULL, NULL, NULL, &err));
	heard_last(&heard, "create", "s", CONVO_E_EXISTS);
	must_pass(convo_store_append(store, &key, NULL, events, 2, NULL, NULL, &err));
	must_equal(2, heard_last(&heard, "append", "s", 0)->events);
	must_pass(convo_store_load(&session, store, &key, NULL, NULL, &err));
	must_equal(2, convo_session_count(session));
	must_equal(2, heard_last(&heard, "load", "s", 0)->events);
	convo_session_free(session);
	must_pass(convo_store_rename(store, &key, "t", NULL, &err));
	heard_last(&heard, "rename", "s", 0);
	must_pass(convo_store_state_delete(store, &key, "n", NULL, &err));
	heard_last(&heard, "state_set", "s", 0);
	must_pass(convo_store_state_list(&state, store, &key, CONVO_SCOPE_APP, NULL, &err));
	heard_last(&heard, "state_list", "s", 0);
	convo_state_free(state);
	must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, &err));
	must_pass(convo_store_list(store, cursor, 10, &count, NULL, &err));
	must_equal(1, heard_last(&heard, "list", "-", 0)->events);
	convo_cursor_free(cursor);
	must_pass(convo_store_delete(store, &key, NULL, &err));
	heard_last(&heard, "delete", "s", 0);
	must_fail_with(CONVO_E_NOTFOUND,
		       convo_store_append(store, &key, NULL, events, 2, NULL, NULL, &err));
	must_equal(0, heard_last(&heard, "append", "s", CONVO_E_NOTFOUND)->events);
	must_pass(convo_store_restore(store, &key, NULL, NULL, &err));
	heard_last(&heard, "restore", "s", 0);
	must_pass(convo_store_clean(store, NULL, NULL, &err));
	heard_last(&heard, "clean", "-", 0);
	must_pass(convo_store_purge(store, &key, NULL, NULL, &err));
	must_equal_str("purge", heard.call[heard.count - 2].op); /* and a step of cleaning */
	convo_store_close(store);
	heard_last(&heard, "close", "-", 0);
}

static void test_trace__every_call_in_memory_is_heard(void **state)
{
	(void)state;
	trace_every_call("memory:");
}

static void test_trace__every_call_in_a_file_is_heard(void **state)
{
	const struct convo_backend *sqlite = convo_backend_find("sqlite");

	(void)state;
	if (!convo_backend_is_built(sqlite))
		test_skip("no SQLite in this build");
	trace_every_call(test_text("sqlite:%s", test_path(test_dir(), "traced.db")));
}

static void test_trace__what_is_refused_before_the_backend_is_not_heard(void **state)
{
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	convo_store *store = trace_store("memory:", &heard);
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_store_rename(store, &key, "a\nb", NULL, &err));
	must_fail_with(CONVO_E_INVALID, convo_store_delete(store, NULL, NULL, &err));
	must_equal(1, heard.count);
	convo_store_close(store);
}

static void test_trace__a_store_that_does_not_open_is_heard(void **state)
{
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct convo_trace trace = {.on_call = hear, .ctx = &heard};
	const struct convo_store_options opts = {.trace = &trace};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "memory:name", &opts, &err));
	must(store == NULL);
	must_equal(2, heard.count);
	must_equal_str("open", heard.call[0].op);
	must_equal(CONVO_E_INVALID, heard.call[0].code);
	heard_last(&heard, "close", "-", 0);
}

static void test_trace__a_listener_that_makes_no_sense_opens_nothing(void **state)
{
	const struct convo_trace deaf = {0};
	const struct convo_trace newer = {.on_call = hear, .reserved = {"x"}};
	struct convo_store_options opts = {.trace = &deaf};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "memory:", &opts, &err));
	opts.trace = &newer;
	must_fail_with(CONVO_E_INVALID, convo_store_open(&store, "memory:", &opts, &err));
	must(store == NULL);
}

static void test_trace__the_cleaning_thread_is_heard(void **state)
{
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct convo_trace trace = {.on_call = hear, .ctx = &heard};
	const struct convo_store_options opts = {.trace = &trace, .clean_interval_ms = 1};
	struct timespec wait = {0, 1000000};
	convo_store *store = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_open(&store, "memory:", &opts, &err));
	for (int ms = 0; ms < 20000 && heard_count(&heard) < 3; ms++)
		nanosleep(&wait, NULL);
	convo_store_close(store);
	must(heard.count > 3);
	must_equal_str("clean", heard.call[1].op);
}

/* ---- a backend that counts and fails ---------------------------------------------------- */

static int counting_delete(struct convo_store *store, const struct store_call *call,
			   const struct convo_key *whose, struct convo_err *err)
{
	(void)store;
	(void)whose;
	store_work_try(call);
	store_work_trip(call);
	store_work_try(call);
	store_work_trip(call);
	store_work_trip(call);
	store_work_steps(call, 70);
	return cv_fail_maybe(err, CONVO_E_GONE, "lost");
}

static void counting_close(struct convo_store *store)
{
	(void)store;
}

static const struct cv_backend counting = {
	.scheme = "counting",
	.size = sizeof(struct convo_store),
	.delete = counting_delete,
	.close = counting_close,
};

static void test_trace__tries_and_work_are_told_and_errors_passed_on(void **state)
{
	struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct convo_trace trace = {.on_call = hear, .ctx = &heard};
	convo_store *inner = cv_alloc(1, sizeof(*inner)), *store;
	const struct convo_trace_call *last;
	struct convo_err err;

	(void)state;
	must(inner != NULL);
	inner->be = &counting;
	inner->opts.timeout_ms = 1000;
	store = cv_trace_wrap(inner, &trace);
	must(store != NULL && store->be->clean == NULL);
	must_fail_with(CONVO_E_GONE, convo_store_delete(store, &key, NULL, &err));
	must(err.maybe);
	last = heard_last(&heard, "delete", "s", CONVO_E_GONE);
	must(last->maybe);
	must_equal(2, last->tries);
	must_equal(3, last->round_trips);
	must_equal(70, last->steps);
	must_equal(CONVO_E_GONE, convo_store_delete(store, &key, NULL, NULL));
	convo_store_close(store);
	must_equal(3, heard.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace__every_call_in_memory_is_heard),
		cmocka_unit_test(test_trace__every_call_in_a_file_is_heard),
		cmocka_unit_test(test_trace__what_is_refused_before_the_backend_is_not_heard),
		cmocka_unit_test(test_trace__a_store_that_does_not_open_is_heard),
		cmocka_unit_test(test_trace__a_listener_that_makes_no_sense_opens_nothing),
		cmocka_unit_test(test_trace__the_cleaning_thread_is_heard),
		cmocka_unit_test(test_trace__tries_and_work_are_told_and_errors_passed_on),
	};

	return TEST_RUN(tests);
}
