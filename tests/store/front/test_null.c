/*
 * Every public function is given NULL where a handle, a key, a place for its result or another
 * pointer belongs: it is CONVO_E_INVALID with a whole error, or the nothing that its header speaks
 * of; never a crash. tests/headers.py sees to it that no function is missing here.
 */
#include <support/test.h>

#include <stdio.h>

#include <convo/convo.h>

/* An error with nothing in it that a failure would leave by chance. */
static struct convo_err null_err;

static struct convo_err *null_mark(void)
{
	memset(&null_err, 0x5a, sizeof(null_err));
	return &null_err;
}

static void must_refuse_call(int rc, const char *expr)
{
	if (rc != CONVO_E_INVALID)
		must_not_reach("%s gave %d", expr, rc);
	must_equal(CONVO_E_INVALID, null_err.code);
	must(!memcmp(&null_err.maybe, &(bool){false}, sizeof(bool)));
	must_equal(0, null_err.last_seq);
	must_equal(0, null_err.busy_ms);
	for (size_t i = 0; i < sizeof(null_err.reserved) / sizeof(null_err.reserved[0]); i++)
		must_equal(0, null_err.reserved[i]);
	must(memchr(null_err.text, '\0', sizeof(null_err.text)) != NULL);
	must(*null_err.text && !strchr(null_err.text, '\n'));
}

/* The call, which passes E where its error goes, is CONVO_E_INVALID, with an error and without. */
#define E null_at
#define REFUSED(expr)                                    \
	do {                                             \
		struct convo_err *null_at = null_mark(); \
                                                         \
		must_refuse_call((expr), #expr);         \
		null_at = NULL;                          \
		must_equal(CONVO_E_INVALID, (expr));     \
	} while (0)

static const struct convo_key good = {"app", "user", "session"};
static const struct convo_event said = {.message = "{\"role\":\"user\",\"content\":\"x\"}"};

static convo_store *null_store(void)
{
	convo_store *store = NULL;
	struct convo_err err;

	must_pass(convo_store_open(&store, "memory:", NULL, &err));
	must_pass(convo_store_create(store, &good, NULL, NULL, NULL, &err));
	return store;
}

static void test_null__texts_and_errors(void **state)
{
	char uuid[CONVO_UUID_SIZE] = "";
	int64_t ms = -9;
	char *text = NULL;

	(void)state;
	convo_free(NULL);
	must(*convo_version() && *convo_code_name(0) && *convo_code_name(12345));
	REFUSED(convo_duration_parse(&ms, NULL, E));
	REFUSED(convo_duration_parse(NULL, "1s", E));
	REFUSED(convo_json_quote(NULL, "a", 1, E));
	REFUSED(convo_json_quote(&text, NULL, 1, E));
	REFUSED(convo_message_text(NULL, "{}", 2, E));
	REFUSED(convo_message_text(&text, NULL, 2, E));
	REFUSED(convo_message_make(NULL, "user", "a", 1, E));
	REFUSED(convo_message_make(&text, NULL, "a", 1, E));
	REFUSED(convo_message_make(&text, "user", NULL, 1, E));
	convo_uuid_make(NULL);
	convo_turn_event_id(NULL, "t", 1);
	convo_turn_event_id(uuid, NULL, 1);
	must_equal_str("", uuid);
	must(text == NULL && ms == -9);
}

static void test_null__cancels(void **state)
{
	(void)state;
	REFUSED(convo_cancel_new(NULL, E));
	convo_cancel_free(NULL);
	convo_cancel_request(NULL);
	must(!convo_cancel_requested(NULL));
	convo_cancel_reset(NULL);
	must_equal(-1, convo_cancel_fd(NULL));
}

static void test_null__backends(void **state)
{
	char *sql = NULL;

	(void)state;
	must(convo_backend_at(SIZE_MAX) == NULL);
	must(convo_backend_find(NULL) == NULL);
	must(convo_backend_variable_at(NULL, 0) == NULL);
	must(!convo_backend_is_built(NULL));
	REFUSED(convo_store_schema(NULL, "sqlite", NULL, E));
	REFUSED(convo_store_schema(&sql, NULL, NULL, E));
	must(sql == NULL);
}

static void test_null__stores_are_opened_and_described(void **state)
{
	convo_store *store = NULL;

	(void)state;
	REFUSED(convo_store_open(NULL, "memory:", NULL, E));
	REFUSED(convo_store_open(&store, NULL, NULL, E));
	must(store == NULL);
	convo_store_close(NULL);
	must(*convo_store_describe(NULL));
}

/* A store of NULL, with all else as it should be. */
static void test_null__no_store(void **state)
{
	const struct convo_item item = {.name = "a", .json = "1"};
	const struct convo_event *event = NULL;
	convo_session *session = NULL;
	convo_cursor *cursor = NULL;
	convo_reader *reader = NULL;
	convo_state *list = NULL;
	struct convo_created made;
	struct convo_stats stats;
	struct convo_err err;
	int64_t n = 7, seq;
	char *json = NULL;
	size_t count;

	(void)state;
	must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, &err));
	must_pass(convo_reader_new(&reader, &good, NULL, &err));
	REFUSED(convo_store_create(NULL, &good, NULL, &made, NULL, E));
	REFUSED(convo_store_load(&session, NULL, &good, NULL, NULL, E));
	REFUSED(convo_store_rename(NULL, &good, "t", NULL, E));
	REFUSED(convo_store_list(NULL, cursor, 10, &count, NULL, E));
	REFUSED(convo_store_read(&event, NULL, reader, NULL, E));
	REFUSED(convo_store_delete(NULL, &good, NULL, E));
	REFUSED(convo_store_restore(NULL, &good, NULL, NULL, E));
	REFUSED(convo_store_purge(NULL, &good, NULL, NULL, E));
	REFUSED(convo_store_append(NULL, &good, NULL, &said, 1, &seq, NULL, E));
	REFUSED(convo_store_state_get(&json, NULL, &good, "a", NULL, E));
	REFUSED(convo_store_state_set(NULL, &good, &item, 1, NULL, E));
	REFUSED(convo_store_state_delete(NULL, &good, "a", NULL, E));
	REFUSED(convo_store_state_list(&list, NULL, &good, CONVO_SCOPE_SESSION, NULL, E));
	REFUSED(convo_store_clean(NULL, &n, NULL, E));
	REFUSED(convo_store_fork(NULL, &good, NULL, &made, NULL, E));
	REFUSED(convo_store_settle(NULL, &good, &n, NULL, E));
	REFUSED(convo_store_stats(NULL, "app", NULL, &stats, NULL, E));
	must(!session && !event && !json && !list);
	convo_cursor_free(cursor);
	convo_reader_free(reader);
}

/* The store is there, and something else is not. */
static void test_null__no_key_no_place_no_name(void **state)
{
	convo_store *store = null_store();
	const struct convo_item unnamed = {.json = "1"};
	const struct convo_create create = {.state_count = 1};
	convo_session *session = NULL;
	convo_cursor *cursor = NULL;
	convo_reader *reader = NULL;
	convo_state *list = NULL;
	const struct convo_event silent = {0}, *event = NULL;
	struct convo_place place = {0};
	char *json = NULL;
	size_t count;

	(void)state;
	REFUSED(convo_store_create(store, NULL, NULL, NULL, NULL, E));
	REFUSED(convo_store_create(store, &good, &create, NULL, NULL, E));
	REFUSED(convo_store_load(NULL, store, &good, NULL, NULL, E));
	REFUSED(convo_store_load(&session, store, NULL, NULL, NULL, E));
	REFUSED(convo_store_rename(store, NULL, "t", NULL, E));
	REFUSED(convo_store_list(store, NULL, 10, &count, NULL, E));
	REFUSED(convo_store_read(&event, store, NULL, NULL, E));
	REFUSED(convo_store_delete(store, NULL, NULL, E));
	REFUSED(convo_store_restore(store, NULL, NULL, NULL, E));
	REFUSED(convo_store_purge(store, NULL, NULL, NULL, E));
	REFUSED(convo_store_append(store, NULL, NULL, &said, 1, NULL, NULL, E));
	REFUSED(convo_store_append(store, &good, NULL, NULL, 1, NULL, NULL, E));
	REFUSED(convo_store_append(store, &good, NULL, &silent, 1, NULL, NULL, E));
	REFUSED(convo_store_state_get(NULL, store, &good, "a", NULL, E));
	REFUSED(convo_store_state_get(&json, store, NULL, "a", NULL, E));
	REFUSED(convo_store_state_get(&json, store, &good, NULL, NULL, E));
	REFUSED(convo_store_state_set(store, NULL, &unnamed, 1, NULL, E));
	REFUSED(convo_store_state_set(store, &good, NULL, 1, NULL, E));
	REFUSED(convo_store_state_set(store, &good, &unnamed, 1, NULL, E));
	REFUSED(convo_store_state_delete(store, NULL, "a", NULL, E));
	REFUSED(convo_store_state_delete(store, &good, NULL, NULL, E));
	REFUSED(convo_store_state_list(NULL, store, &good, CONVO_SCOPE_SESSION, NULL, E));
	REFUSED(convo_store_state_list(&list, store, NULL, CONVO_SCOPE_SESSION, NULL, E));
	REFUSED(convo_cursor_new(NULL, "app", "user", CONVO_LIST_LIVE, E));
	REFUSED(convo_cursor_new(&cursor, NULL, "user", CONVO_LIST_LIVE, E));
	REFUSED(convo_cursor_place(NULL, &place, E));
	REFUSED(convo_cursor_seek(NULL, &place, E));
	REFUSED(convo_reader_new(NULL, &good, NULL, E));
	REFUSED(convo_reader_new(&reader, NULL, NULL, E));
	must(!session && !cursor && !reader && !list && !json && !event);
	convo_store_close(store);
}

static void test_null__leases_and_watches(void **state)
{
	const struct convo_call now = {.timeout_ms = 1};
	convo_store *store = null_store();
	convo_lease *lease = NULL;
	convo_watch *watch = NULL;
	struct convo_event draft = said;
	struct convo_draft many = {.key = &good, .event = &draft};
	struct convo_err err;

	(void)state;
	draft.id = "0192f0c1-5a4e-7b3c-8d2e-3f4a5b6c7d8e";
	REFUSED(convo_lease_new(NULL, NULL, E));
	must_pass(convo_lease_new(&lease, NULL, NULL));
	REFUSED(convo_store_draft(NULL, &good, lease, &draft, NULL, E));
	REFUSED(convo_store_draft(store, NULL, lease, &draft, NULL, E));
	REFUSED(convo_store_draft(store, &good, NULL, &draft, NULL, E));
	REFUSED(convo_store_draft(store, &good, lease, NULL, NULL, E));
	REFUSED(convo_store_drafts(NULL, &many, 1, NULL, E));
	REFUSED(convo_store_drafts(store, NULL, 1, NULL, E));
	REFUSED(convo_store_drafts(store, &many, 1, NULL, E));
	must_equal(CONVO_E_INVALID, many.code);
	must_pass(convo_store_drafts(store, NULL, 0, NULL, &err));
	REFUSED(convo_store_settle(store, NULL, NULL, NULL, E));
	must_pass(convo_store_settle(store, &good, NULL, NULL, &err));
	REFUSED(convo_store_fork(store, NULL, NULL, NULL, NULL, E));
	must_pass(convo_store_fork(store, &good, NULL, NULL, NULL, &err));
	REFUSED(convo_store_stats(store, "app", NULL, NULL, NULL, E));
	REFUSED(convo_watch_new(NULL, store, E));
	REFUSED(convo_watch_new(&watch, NULL, E));
	must(watch == NULL);
	must_pass(convo_watch_new(&watch, store, NULL));
	REFUSED(convo_watch_add(NULL, &good, NULL, E));
	REFUSED(convo_watch_add(watch, NULL, NULL, E));
	REFUSED(convo_watch_next(NULL, NULL, NULL, NULL, E));
	must_pass(convo_watch_add(watch, &good, NULL, NULL));
	must_pass(convo_watch_next(watch, NULL, NULL, &now, NULL));
	convo_watch_remove(NULL, &good);
	convo_watch_remove(watch, NULL);
	convo_watch_free(watch);
	convo_watch_free(NULL);
	convo_lease_free(lease);
	convo_lease_free(NULL);
	convo_store_close(store);
}

/* Where NULL is a choice, it works. */
static void test_null__what_may_be_left_out(void **state)
{
	convo_store *store = null_store();
	const struct convo_event *event = NULL;
	convo_cursor *cursor = NULL;
	convo_reader *reader = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_append(store, &good, NULL, &said, 1, NULL, NULL, NULL));
	must_pass(convo_store_rename(store, &good, NULL, NULL, NULL));
	must_pass(convo_store_state_set(store, &good, NULL, 0, NULL, NULL));
	must_pass(convo_cursor_new(&cursor, "app", "user", CONVO_LIST_LIVE, NULL));
	must_pass(convo_store_list(store, cursor, 10, NULL, NULL, NULL));
	must(convo_cursor_meta(cursor, 0) != NULL);
	must_pass(convo_reader_new(&reader, &good, NULL, NULL));
	must_pass(convo_store_read(&event, store, reader, NULL, NULL));
	must(event != NULL);
	REFUSED(convo_store_read(NULL, store, reader, NULL, E));
	must_pass(convo_store_delete(store, &good, NULL, NULL));
	must_pass(convo_store_restore(store, &good, NULL, NULL, NULL));
	must_pass(convo_store_purge(store, &good, NULL, NULL, NULL));
	must_pass(convo_store_clean(store, NULL, NULL, NULL));
	convo_cursor_free(cursor);
	convo_reader_free(reader);
	convo_store_close(store);
}

static void test_null__results_are_nothing(void **state)
{
	const struct convo_event *events[1];

	(void)state;
	must(convo_session_meta(NULL) == NULL);
	must_equal(0, convo_session_count(NULL));
	must(convo_session_event(NULL, 0) == NULL);
	must(convo_session_draft(NULL) == NULL);
	must_equal(0, convo_session_state_count(NULL));
	must(convo_session_state_at(NULL, 0) == NULL);
	must(convo_session_state_get(NULL, "a") == NULL);
	must_equal(0, convo_session_conversation(NULL, events));
	convo_session_free(NULL);
	must_equal(0, convo_state_count(NULL));
	must(convo_state_at(NULL, 0) == NULL);
	convo_state_free(NULL);
	must(convo_cursor_meta(NULL, 0) == NULL);
	must(convo_cursor_owner(NULL) == NULL);
	convo_cursor_free(NULL);
	must(convo_reader_meta(NULL) == NULL);
	convo_reader_free(NULL);
	convo_answer_free(NULL);
	must(convo_answer_call(NULL, 0) == NULL);
	convo_turn_free(NULL);
}

static void test_null__a_session_is_asked_for_nothing(void **state)
{
	convo_store *store = null_store();
	convo_session *session = NULL;
	struct convo_err err;

	(void)state;
	must_pass(convo_store_append(store, &good, NULL, &said, 1, NULL, NULL, &err));
	must_pass(convo_store_load(&session, store, &good, NULL, NULL, &err));
	must(convo_session_state_get(session, NULL) == NULL);
	must_equal(CONVO_E_INVALID, convo_session_conversation(session, NULL));
	convo_session_free(session);
	convo_store_close(store);
}

static int null_answer(void *ctx, const struct convo_request *request, convo_emit_fn emit,
		       void *emit_ctx, convo_cancel *cancel, struct convo_err *err)
{
	(void)ctx;
	(void)request;
	(void)cancel;
	(void)err;
	return emit(emit_ctx, CONVO_DELTA_TEXT, "yes", 3);
}

static void test_null__models(void **state)
{
	const struct convo_message message = {said.message, strlen(said.message)};
	const struct convo_message empty = {NULL, 3};
	const struct convo_request request = {.messages = &message, .count = 1};
	const struct convo_request none = {.count = 1}, hollow = {.messages = &empty, .count = 1};
	struct convo_answer *answer = NULL;
	convo_model *model = NULL;
	struct convo_err err;

	(void)state;
	REFUSED(convo_model_open(NULL, "echo", NULL, E));
	REFUSED(convo_model_open(&model, NULL, NULL, E));
	REFUSED(convo_model_from(NULL, "mine", null_answer, NULL, E));
	REFUSED(convo_model_from(&model, NULL, null_answer, NULL, E));
	REFUSED(convo_model_from(&model, "mine", NULL, NULL, E));
	must(model == NULL);
	convo_model_close(NULL);
	must(convo_model_name(NULL) == NULL || *convo_model_name(NULL));
	REFUSED(convo_model_ask(&answer, NULL, &request, NULL, NULL, E));
	REFUSED(convo_model_check(NULL, NULL, E));
	must_pass(convo_model_from(&model, "mine", null_answer, NULL, &err));
	REFUSED(convo_model_ask(NULL, model, &request, NULL, NULL, E));
	REFUSED(convo_model_ask(&answer, model, NULL, NULL, NULL, E));
	REFUSED(convo_model_ask(&answer, model, &none, NULL, NULL, E));
	REFUSED(convo_model_ask(&answer, model, &hollow, NULL, NULL, E));
	must(answer == NULL);
	must_pass(convo_model_ask(&answer, model, &request, NULL, NULL, NULL));
	convo_answer_free(answer);
	convo_model_close(model);
}

static void test_null__runners(void **state)
{
	const struct convo_question question = {.user = "u", .session = "s", .text = "x"};
	const struct convo_question nobody = {.session = "s", .text = "x"};
	const struct convo_question nowhere = {.user = "u", .text = "x"};
	const struct convo_question silent = {.user = "u", .session = "s"};
	struct convo_runner_options opts = {.app = "app"};
	convo_store *store = null_store();
	struct convo_context *context = NULL;
	convo_runner *runner = NULL;
	struct convo_turn *turn = NULL;
	convo_model *model = NULL;
	struct convo_err err;
	char *text = NULL;

	(void)state;
	must_pass(convo_model_open(&model, "echo", NULL, &err));
	REFUSED(convo_runner_new(&runner, NULL, E));
	REFUSED(convo_runner_new(&runner, &opts, E));
	opts.store = store;
	REFUSED(convo_runner_new(&runner, &opts, E));
	opts.model = model;
	REFUSED(convo_runner_new(NULL, &opts, E));
	opts.app = NULL;
	REFUSED(convo_runner_new(&runner, &opts, E));
	must(runner == NULL);
	convo_runner_free(NULL);
	REFUSED(convo_runner_run(&turn, NULL, &question, NULL, NULL, E));
	REFUSED(convo_runner_undo(&text, NULL, "u", "s", NULL, E));
	opts.app = "app";
	must_pass(convo_runner_new(&runner, &opts, &err));
	REFUSED(convo_runner_run(NULL, runner, &question, NULL, NULL, E));
	REFUSED(convo_runner_run(&turn, runner, NULL, NULL, NULL, E));
	REFUSED(convo_runner_run(&turn, runner, &nobody, NULL, NULL, E));
	convo_turn_free(turn);
	turn = NULL;
	REFUSED(convo_runner_run(&turn, runner, &nowhere, NULL, NULL, E));
	convo_turn_free(turn);
	turn = NULL;
	REFUSED(convo_runner_run(&turn, runner, &silent, NULL, NULL, E));
	convo_turn_free(turn);
	REFUSED(convo_runner_undo(&text, runner, NULL, "s", NULL, E));
	REFUSED(convo_runner_undo(&text, runner, "u", NULL, NULL, E));
	REFUSED(convo_runner_context(NULL, runner, "u", "s", NULL, E));
	REFUSED(convo_runner_context(&context, NULL, "u", "s", NULL, E));
	REFUSED(convo_runner_context(&context, runner, NULL, "s", NULL, E));
	REFUSED(convo_runner_context(&context, runner, "u", NULL, NULL, E));
	must(context == NULL);
	convo_context_free(NULL);
	REFUSED(convo_runner_summarize(NULL, "u", "s", NULL, E));
	REFUSED(convo_runner_summarize(runner, NULL, "s", NULL, E));
	REFUSED(convo_runner_summarize(runner, "u", NULL, NULL, E));
	must(text == NULL);
	convo_runner_free(runner);
	convo_model_close(model);
	convo_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null__texts_and_errors),
		cmocka_unit_test(test_null__cancels),
		cmocka_unit_test(test_null__backends),
		cmocka_unit_test(test_null__stores_are_opened_and_described),
		cmocka_unit_test(test_null__no_store),
		cmocka_unit_test(test_null__no_key_no_place_no_name),
		cmocka_unit_test(test_null__leases_and_watches),
		cmocka_unit_test(test_null__what_may_be_left_out),
		cmocka_unit_test(test_null__results_are_nothing),
		cmocka_unit_test(test_null__a_session_is_asked_for_nothing),
		cmocka_unit_test(test_null__models),
		cmocka_unit_test(test_null__runners),
	};

	return TEST_RUN(tests);
}
